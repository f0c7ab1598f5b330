"""X1 to X3: statweir is killed at a named moment; the retry is counted once."""
import pytest

from harness import ccm, client
from harness.faults import ask, count, end_leases, forwarded
from harness.mp import ACK
from harness.proxy import until


def kill_and_retry(p, message, redis, mp):
    assert ask(p, message) is None
    p.is_dead()
    before = count(redis)
    p.again().ready()
    assert ask(p, message) == 200
    assert forwarded(mp, message) == 0
    return before


@pytest.mark.parametrize("moment", ["request_head", "message_whole", "absorb_send"])
def test_X1_killed_before_redis_has_it(moment, failpoints, weirs, redis, mp):
    p = weirs(failpoints=moment + "=kill@1")
    m = ccm.Message()
    assert kill_and_retry(p, m, redis, mp) == 0
    assert count(redis) == 1
    assert p.outcome("absorbed_unique") == 1


def test_X1_killed_in_half_a_body(weirs, redis, mp):
    p = weirs()
    m = ccm.Message()
    with client.Client(p.port) as c:
        c.send(m.raw[:-100])
        until("the head is read", lambda: p.metric("statweir_messages_in_flight") == 1)
        p.kill()
    p.again().ready()
    assert count(redis) == 0
    assert ask(p, m) == 200
    assert count(redis) == 1 and forwarded(mp, m) == 0


@pytest.mark.parametrize("moment", ["absorb_answered=kill@1", "ack_send=kill@1",
                                    "ack_short=short:10;ack_sent=kill@1",
                                    "ack_short=short:200;ack_sent=kill@1"])
def test_X2_killed_after_redis_has_it(moment, failpoints, weirs, redis, mp):
    p = weirs(failpoints=moment)
    m = ccm.Message()
    assert kill_and_retry(p, m, redis, mp) == 1
    assert count(redis) == 1
    assert p.outcome("absorbed_duplicate") == 1


def test_X2_killed_after_the_acknowledgement_left(failpoints, weirs, redis, mp):
    p = weirs(failpoints="ack_sent=kill@1")
    m = ccm.Message()
    assert ask(p, m) == 200
    p.is_dead()
    p.again().ready()
    assert ask(p, m) == 200
    assert count(redis) == 1 and p.outcome("absorbed_duplicate") == 1
    assert forwarded(mp, m) == 0


def test_X2_killed_while_redis_has_it_and_has_not_answered(weirs, redis, mp, network):
    net = network(redis.socket)
    p = weirs(server="127.0.0.1:%d" % net.port, settings={"redis.call_timeout": "30s"})
    net.back.hole = True
    m = ccm.Message()
    with client.Client(p.port) as c:
        c.send(m.raw)
        until("Redis has it", lambda: count(redis) == 1)
        p.kill()
        assert c.is_closed() and c.buf == b""
    net.heal()
    p.again().ready()
    assert ask(p, m) == 200
    assert count(redis) == 1 and p.outcome("absorbed_duplicate") == 1


@pytest.mark.parametrize("moment", ["seal_answered", "summary_send", "unanswered",
                                    "summary_acknowledged", "settle_send", "settle_answered"])
def test_X3_killed_with_a_summary_on_its_way(moment, failpoints, weirs, redis, mp):
    p = weirs()
    for i in range(4):
        assert ask(p, ccm.Message(client=5, rule="R%d" % i)) == 200
    assert p.stop() == 0
    p.settings["rollup.interval"] = "1s"
    if moment == "unanswered":
        mp.answer = lambda r: b"" if ccm.summary_facts(r.body) else ACK
        p.again()
        mp.wait(lambda rs: mp.summaries())
        p.kill()
        mp.answer = lambda r: ACK
    else:
        p.again(moment + "=kill@1")
        p.is_dead()
    end_leases(redis)
    p.again().ready()
    mp.wait(lambda rs: mp.summaries())
    until("settled", lambda: p.ledger() and p.metric("statweir_ledger_pending_messages") == 0)
    bodies = {r.body for r in mp.requests if ccm.summary_facts(r.body)}
    facts = mp.summaries()
    assert len(bodies) == len({f["window"] for f in facts})
    windows = {f["window"]: f["messages"] for f in facts}
    assert sum(windows.values()) == 4
    if moment in ("unanswered", "summary_acknowledged", "settle_send"):
        assert len(facts) == len(windows) + 1  # the repetition, same ID and bytes
    else:
        assert len(facts) == len(windows)
