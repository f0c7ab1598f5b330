"""Redis gone for a long time in mid-storm: the journal bridges it as far as its bound reaches."""
import json
import signal

import pytest

from harness import ccm
from harness.faults import Weir, ask, count, forwarded
from harness.proxy import until
from load import Load, Sent, check
from test_kill import judge, start_mp, storm

JOURNAL = {"redis.durability": "journal", "redis.call_timeout": "1s", "redis.connect_timeout": "1s"}


def everything_replayed(p):
    p.ready()
    until("Redis has it all", lambda: p.metric("statweir_journal_unapplied_records") == 0)


def store_check(p):
    """(status of all, of Redis and journal, words)."""
    doc = json.loads(p.get("/readyz")[1])
    line = [c for c in doc["checks"] if c["name"] == "redis"][0]
    return doc["status"], line["status"], line["detail"]


def rules_received(folder):
    with open(folder + "/mp.log", encoding="ascii") as f:
        return sum(" kind=rule " in line for line in f)


def storm_through_an_outage(p, folder, redis, sig):
    # Samples first: one whose reply is late must not be taken for a message of the outage.
    assert storm(p.port, folder, "--seed", "10", "--clients", "20", "--rules", "5").wait(60) == 0
    load = storm(p.port, folder, "--rate", "350")
    before = p.outcome("absorbed_unique")
    until("it is under way", lambda: p.outcome("absorbed_unique") > before + 200)
    redis.stop(sig)
    until("noticed", lambda: p.logged("redis_not_ready"))
    assert 'effect="messages are acknowledged from the journal"' in p.logged("redis_not_ready")
    passed = rules_received(folder)
    # Several intervals of summaries.
    until("it goes on", lambda: p.outcome("absorbed_journal") > 1000)
    assert load.poll() is None
    assert rules_received(folder) == passed
    assert "acknowledged from the journal" in store_check(p)[2]
    redis.start()
    assert load.wait(60) == 0
    assert rules_received(folder) == passed
    everything_replayed(p)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_outage_redis_gone_in_mid_storm_every_count_right(sig, tmp_path, redis):
    folder = str(tmp_path)
    redis.stop()
    redis.args += ["--appendfsync", "everysec"]
    redis.start()
    mp, mp_port = start_mp(folder)
    p = Weir(mp_port, dict(JOURNAL, **{"redis.server": "unix:" + redis.socket,
                                       "rollup.interval": "1s", "rollup.settle_wait": "100ms"}))
    try:
        p.again().ready()
        storm_through_an_outage(p, folder, redis, sig)
        until("every message is settled", lambda: p.ledger() and
              p.metric("statweir_ledger_pending_messages") == 0)
        p.check_books()
    finally:
        p.close()
        mp.terminate()
        mp.wait()
    code, text = judge(folder)
    assert code == 0 and "the books balance" in text, text


class Heavy(Load):
    """Messages of 30 KB, of which summaries by exemplar keep everything."""

    def new(self):
        who, rule = self.next()
        extra = '<Property Name="Attribute499">%s</Property>' % ("x" * 14000)
        m = ccm.Message(client=who, rule=rule, xml=ccm.status(rule, extra=extra), compress=False)
        s = self.sent[m.id] = Sent(m)
        return s


def test_outage_longer_than_the_journal_reaches_forwards_the_rest(weirs, redis, mp):
    p = weirs(settings=dict(JOURNAL, **{"rollup.summary": "exemplar", "journal.limit": "8MiB",
                                        "journal.segment": "4MiB", "journal.grace": "2s"}))
    redis.stop()
    until("noticed", lambda: p.logged("redis_not_ready"))
    load = Heavy(p.port, seed=8)
    before = len(mp.requests)
    load.send(100)
    assert len(mp.requests) == before and not load.open_messages()
    load.send(400)
    assert not load.open_messages()
    assert p.outcome("absorbed_journal") + len(mp.requests) - before == 500
    assert p.outcome("absorbed_journal") < 350
    assert p.metric("statweir_journal_bytes") <= 8 << 20
    assert "journal.limit" in p.logged("journal_stopped")
    status, journal, words = store_check(p)
    assert (status, journal) == ("degraded", "degraded") and "journal.limit" in words
    m = ccm.Message(client=8)
    assert ask(p, m) == 200
    redis.start()
    everything_replayed(p)
    until("there is room again", lambda: p.logged("journal_goes_on"))
    assert store_check(p)[1] == "ok"
    load.send(50)
    check(load, mp, redis)
    assert count(redis, 8) + forwarded(mp, m) == 1
    assert not any(forwarded(mp, s) for s in list(load.sent.values())[-50:])
