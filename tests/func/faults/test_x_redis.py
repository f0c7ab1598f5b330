"""X9 to X20, X42 to X45: Redis is killed, stopped, slow, full, torn, wrong or cut off."""
import os
import shutil
import signal
import time

import pytest

from fake_redis import FakeRedis
from harness import ccm, client
from harness.faults import absorbing, ask, count, forwarded
from harness.proxy import until
from harness.redis import Redis, RedisError
from load import Load, check


def test_X9_redis_killed_under_load(weirs, redis, mp):
    p = weirs()
    load = Load(p.port, seed=9)
    for _ in range(3):
        load.begin(150)
        until("some are recorded", lambda: sum(s.acks for s in load.sent.values()) % 150 > 20 or
              not load.open_messages())
        redis.stop(signal.SIGKILL)
        load.join()
        redis.start()
        absorbing(p)
        load.retry()
    check(load, mp, redis)


def test_X9_redis_killed_when_its_answer_has_come(failpoints, weirs, redis, mp):
    p = weirs(failpoints="absorb_answered=sleep:300@1")
    m = ccm.Message()
    with client.Client(p.port) as c:
        c.send(m.raw)
        until("recorded", lambda: count(redis) == 1)
        redis.stop(signal.SIGKILL)
        assert c.response().status == 200
    redis.start()
    absorbing(p)
    assert ask(p, m) == 200
    assert count(redis) == 1 and forwarded(mp, m) == 0


@pytest.mark.parametrize("durability,answer", [("redis", 503), ("journal", 200)])
def test_X9_redis_killed_between_recording_and_answer(durability, answer, weirs, redis, mp,
                                                      network):
    net = network(redis.socket)
    p = weirs(server="127.0.0.1:%d" % net.port, settings={"redis.durability": durability})
    net.back.hole = True
    m = ccm.Message()
    with client.Client(p.port) as c:
        c.send(m.raw)
        until("recorded", lambda: count(redis) == 1)
        redis.stop(signal.SIGKILL)
        assert c.response().status == answer
    assert forwarded(mp, m) == 0
    net.heal()
    net.reset_all()
    redis.start()
    absorbing(p)
    assert ask(p, m) == 200
    assert count(redis) == 1 and forwarded(mp, m) == 0


@pytest.mark.parametrize("durability,seconds", [("redis", 1), ("redis", 6), ("journal", 6)])
def test_X10_redis_stopped(durability, seconds, weirs, redis, mp):
    """For two and for twelve of its time-outs; more messages come than may wait."""
    p = weirs(settings={"redis.call_timeout": "500ms", "redis.max_pending": "100",
                        "redis.durability": durability})
    load = Load(p.port, seed=10, threads=130)
    redis.send(signal.SIGSTOP)
    end, most = time.monotonic() + seconds, 0
    for _ in range(2):
        load.begin(200)
        while any(w.is_alive() for w in load.running):
            most = max(most, p.metric("statweir_redis_pending_records"))
        load.join()
    until("the time is over", lambda: time.monotonic() >= end)
    load.send(20)
    assert p.metric("statweir_redis_up") == 0
    assert 0 < most <= 100
    mine = [s for s in load.sent.values() if s.is_acknowledged() and not forwarded(mp, s)]
    assert bool(mine) == (durability == "journal"), len(mine)
    redis.send(signal.SIGCONT)
    absorbing(p)
    load.retry()
    until("the journal is replayed", lambda: not (p.metric("statweir_journal_unapplied_records") or
                                                  p.metric("statweir_redis_pending_records")), 60)
    check(load, mp, redis)


def aof_of(folder):
    names = [f for f in os.listdir(folder) if f.endswith(".incr.aof")]
    assert len(names) == 1, names
    return names[0]


def test_X11_torn_tail_of_the_append_only_file(weirs, redis, mp, tmp_path):
    p = weirs()
    for i in range(3):
        assert ask(p, ccm.Message(client=3, rule="R%d" % i)) == 200
    aof = os.path.join(redis.folder, "appendonlydir")
    synced = os.path.getsize(os.path.join(aof, aof_of(aof)))
    assert ask(p, ccm.Message(client=3, rule="LAST")) == 200
    whole = os.path.getsize(os.path.join(aof, aof_of(aof)))
    assert p.stop() == 0
    redis.stop(signal.SIGTERM)
    cuts = sorted({synced, synced + 1, whole - 1, whole, *range(synced, whole, 37)})
    for cut in cuts:
        folder = tmp_path / ("cut%d" % cut)
        folder.mkdir()
        shutil.copytree(aof, folder / "appendonlydir")
        os.truncate(folder / "appendonlydir" / aof_of(aof), cut)
        r = Redis(folder).start()
        # What is torn was never acknowledged; the rest is whole, and no half of a transaction.
        assert count(r, 3) == (4 if cut == whole else 3), cut
        tag = r.call("KEYS", "statweir:n{*")[0][len("statweir:n"):]
        for k in r.call("KEYS", "statweir:n{*"):
            tag = k[len("statweir:n"):]
            a = r.call("FCALL", "statweir3_audit", 1, "statweir:" + tag)
            assert a[0] == a[2] + a[3] + a[4], (cut, a)
        r.stop()
        shutil.rmtree(folder)


REFUSALS = ["LOADING Redis is loading the dataset in memory",
            "READONLY You can't write against a read only replica.",
            "MISCONF Errors writing to the AOF file: No space left on device",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "BUSY Redis is busy running a script.",
            "NOREPLICAS Not enough good replicas to write.",
            "MOVED 3999 127.0.0.1:6381",
            "CLUSTERDOWN The cluster is down",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "NOAUTH Authentication required.",
            "NOPERM this user has no permissions to run the 'fcall' command",
            "ERR Function not found"]
DOUBTS = ["ERR Error running script: out of memory script: statweir3, on @user_function:3.",
          "WHATEVER unknown", "OOM said inside. script: statweir3_absorb, on @user_function:9."]


CLIENT_1 = "GUID:" + ccm.guid(1)


@pytest.fixture
def fake():
    r = FakeRedis()
    yield r
    r.close()


@pytest.fixture
def on_fake(fake, proxies, mp):
    p = proxies(mp.port, {"redis.server": "127.0.0.1:%d" % fake.port,
                          "redis.call_timeout": "500ms", "redis.durability": "redis",
                          "redis.shards": "16"}).ready()
    for _ in range(3):
        assert ask(p, ccm.Message(client=999)) == 200
    until("samples are remembered", lambda: fake.count("absorb") and p.metric(
        "statweir_redis_pending_records") == 0)
    return p


def words(text):
    return text.split(" ")[0] + ("" if text[0] != "E" else text.split(" ")[1])


@pytest.mark.parametrize("error", REFUSALS, ids=words)
def test_X12_redis_refuses_the_message_is_forwarded(error, fake, on_fake, mp):
    fake.errors["absorb"] = error
    m = ccm.Message()
    assert ask(on_fake, m) == 200
    assert forwarded(mp, m) == 1
    assert on_fake.outcome("absorbed_unique") == 0
    fake.errors.clear()
    absorbing(on_fake)
    n = ccm.Message()
    assert ask(on_fake, n) == 200 and forwarded(mp, n) == 0


@pytest.mark.parametrize("error", DOUBTS + [b"+OK\r\n", b"$3\r\nabc\r\n", b"*0\r\n"],
                         ids=["inside", "unknown", "inside_oom", "status", "bulk", "array"])
def test_X12_outcome_unknown_is_neither_acknowledged_nor_forwarded(error, fake, on_fake, mp):
    fake.errors["absorb"] = error
    m = ccm.Message()
    assert ask(on_fake, m) == 503
    assert forwarded(mp, m) == 0
    fake.errors.clear()
    absorbing(on_fake)
    assert ask(on_fake, m) == 200
    assert forwarded(mp, m) == 0 and len([c for c, _ in fake.digests if c == CLIENT_1]) == 1


def test_X12_missing_library_is_loaded_and_the_call_sent_again(fake, on_fake, mp):
    fake.errors["absorb"] = "ERR Function not found"
    fake.errors_left["absorb"] = 1
    m = ccm.Message()
    assert ask(on_fake, m) == 200
    assert forwarded(mp, m) == 0 and on_fake.outcome("absorbed_unique") == 1


@pytest.mark.parametrize("command", ["CLIENT", "INFO", "CONFIG", "HSETNX", "HMGET", "FUNCTION"])
@pytest.mark.parametrize("error", [REFUSALS[0], "close"], ids=words)
def test_X12_error_in_the_greeting_or_a_check_forwards(command, error, fake, on_fake, mp):
    fake.errors[command] = (lambda c: c.shutdown(2)) if error == "close" else error
    for c in list(fake.conns):
        try:
            c.shutdown(2)
        except OSError:
            pass
    until("asked", lambda: fake.count(command) > 1)
    m = ccm.Message()
    assert ask(on_fake, m) == 200
    assert forwarded(mp, m) + on_fake.outcome("absorbed_unique") == 1
    fake.errors.clear()
    absorbing(on_fake)


def test_X13_redis_disk_full(shim, weirs, redis, mp):
    p = weirs()
    load = Load(p.port, seed=13)
    load.send(40)
    redis.stop()
    gate = os.path.join(redis.folder, "gate")
    redis.env = {"LD_PRELOAD": shim, "NTH_CALLS": "write:ENOSPC@10+", "NTH_PATH": ".aof",
                 "NTH_GATE": gate}
    redis.start()
    absorbing(p)
    with open(gate, "w", encoding="ascii"):
        pass
    load.send(120)
    until("Redis has ended, as it does with appendfsync always",
          lambda: redis.proc.poll() is not None)
    check_before = [s for s in load.sent.values() if s.is_acknowledged()]
    assert len(check_before) >= 40
    redis.env = {}
    redis.start()
    absorbing(p)
    load.retry()
    check(load, mp, redis)


@pytest.mark.parametrize("durability", ["redis", "journal"])
@pytest.mark.parametrize("meets", ["full", "fills"])
def test_X13_full_redis_is_drained(meets, durability, weirs, redis, mp):
    """Summaries are what makes room: they are sealed, sent and settled all the same."""
    p = weirs(settings={"redis.durability": durability, "rollup.interval": "2s"})
    load = Load(p.port, seed=113)
    load.send(30)
    redis.call("CONFIG", "SET", "maxmemory", "1")
    if meets == "full":
        redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    until("everything is told", lambda: sum(f["messages"] for f in mp.summaries()) >= sum(
        n for c, n in redis.messages().items()), 40)
    until("settled", lambda: p.ledger() and p.metric("statweir_ledger_pending_messages") == 0, 40)
    redis.call("CONFIG", "SET", "maxmemory", "0")
    absorbing(p)
    check(load, mp, redis)


def test_X14_connection_cut_inside_a_reply(weirs, redis, mp, network):
    net = network(redis.socket)
    p = weirs(server="127.0.0.1:%d" % net.port)
    messages = []
    for n in range(5):
        net.back.cut_after = n
        m = ccm.Message(client=14)
        messages.append(m)
        first = ask(p, m)
        # The reply is ":1\r\n".
        assert first == (200 if n >= 4 else 503), n
        assert forwarded(mp, m) == 0
        net.heal()
        absorbing(p)
    for m in messages:
        assert ask(p, m) == 200
    assert count(redis, 14) == 5
    assert not any(forwarded(mp, m) for m in messages)


@pytest.mark.parametrize("at", range(4))
def test_X14_reply_with_a_wrong_byte(at, weirs, redis, mp, network):
    """It may be read as any number, or as none: never as more than was recorded."""
    net = network(redis.socket)
    p = weirs(server="127.0.0.1:%d" % net.port)
    m = ccm.Message(client=14)
    net.back.corrupt_at = at
    first = ask(p, m)
    assert first in (200, 503) and forwarded(mp, m) == 0
    net.heal()
    absorbing(p)
    assert ask(p, m) == 200
    assert count(redis, 14) == 1 and forwarded(mp, m) == 0


def test_X43_redis_behind_a_slow_line(weirs, redis, mp, network):
    net = network(redis.socket)
    p = weirs(server="127.0.0.1:%d" % net.port, settings={"redis.call_timeout": "5s"})
    net.there.rate = 8000
    load = Load(p.port, seed=143, threads=16)
    load.send(64)
    assert not load.open_messages()
    assert sum(forwarded(mp, s) for s in load.sent.values()) == 0
    check(load, mp, redis)


def test_X15_reply_after_the_time_out_answers_nobody_else(weirs, redis, mp, network):
    net = network(redis.socket)
    p = weirs(server="127.0.0.1:%d" % net.port, settings={"redis.call_timeout": "300ms"})
    net.back.delay_s = 0.7
    late = ccm.Message(client=15)
    r = client.ask(p.port, late.raw)
    assert r.status == 503 and int(r.field(b"Retry-After")) > 0
    net.heal()
    absorbing(p)
    others = [ccm.Message(client=15) for _ in range(5)]
    for m in others:
        assert ask(p, m) == 200
    assert count(redis, 15) == 6
    assert not any(forwarded(mp, m) for m in others)
    assert ask(p, late) == 200
    assert p.outcome("absorbed_duplicate") == 1 and count(redis, 15) == 6


@pytest.mark.parametrize("way", ["there", "back", "both"])
def test_X16_partition(way, weirs, redis, mp, network):
    net = network(redis.socket)
    p = weirs(server="127.0.0.1:%d" % net.port, settings={"redis.call_timeout": "400ms"})
    load = Load(p.port, seed=16)
    load.send(20)
    net.there.hole = way in ("there", "both")
    net.back.hole = way in ("back", "both")
    load.begin(40)
    until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    load.join()
    net.heal()
    net.reset_all()
    absorbing(p)
    load.retry()
    check(load, mp, redis)


def test_X18_master_without_its_replica_refuses(weirs, redis, mp, tmp_path):
    p = weirs()
    folder = tmp_path / "replica"
    folder.mkdir()
    redis.call("CONFIG", "SET", "repl-diskless-sync-delay", 0, "min-replicas-max-lag", 1,
               "repl-ping-replica-period", 1)
    replica = Redis(folder, "--replicaof", "127.0.0.1", "1").start()
    replica.stop()
    redis.call("CONFIG", "SET", "min-replicas-to-write", 1)
    m = ccm.Message(client=18)
    assert ask(p, m) == 200
    assert forwarded(mp, m) == 1 and count(redis, 18) == 0
    redis.call("CONFIG", "SET", "min-replicas-to-write", 0)
    absorbing(p)
    assert ask(p, ccm.Message(client=18)) == 200
    assert count(redis, 18) == 1


def test_X18_demoted_master_is_left(weirs, redis, mp):
    p = weirs()
    redis.call("REPLICAOF", "127.0.0.1", "1")
    m = ccm.Message(client=18)
    assert ask(p, m) in (200, 503)
    until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    assert ask(p, m) == 200 and forwarded(mp, m) >= 1 and count(redis, 18) == 0
    redis.call("REPLICAOF", "NO", "ONE")
    absorbing(p)


def forwards(p, mp, client, reason):
    until("it is said", lambda: reason in (p.logged("redis_not_ready") or ""), 40)
    m = ccm.Message(client=client)
    assert ask(p, m) == 200 and forwarded(mp, m) == 1


def test_X19_flushall_stops_absorption_until_it_is_accepted(weirs, redis, mp):
    p = weirs()
    assert ask(p, ccm.Message(client=19)) == 200
    redis.call("FLUSHALL")
    redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    forwards(p, mp, 19, "has lost its data")
    assert p.stop() == 0
    forwards(p.again(), mp, 19, "has lost its data")
    p.accept_redis().ready()
    assert ask(p, ccm.Message(client=19)) == 200 and count(redis, 19) == 1


def test_X19_another_redis_in_its_place(weirs, redis, mp):
    p = weirs()
    assert ask(p, ccm.Message(client=19)) == 200
    redis.call("HSET", "statweir:meta", "nonce", "f" * 32)
    redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    forwards(p, mp, 19, "nonce")
    p.accept_redis().ready()
    assert ask(p, ccm.Message(client=19)) == 200 and count(redis, 19) == 2


def put_files(redis, path):
    redis.stop()
    shutil.rmtree(os.path.join(redis.folder, "appendonlydir"))
    shutil.copytree(path, os.path.join(redis.folder, "appendonlydir"))
    redis.start()


@pytest.mark.parametrize("durability", ["redis", "journal"])
def test_X19_older_backup_stops_absorption_until_the_newer_is_back(durability, weirs, redis, mp,
                                                                   tmp_path):
    aof, older, newer = (str(tmp_path / x) for x in ("appendonlydir", "older", "newer"))
    p = weirs(settings={"redis.durability": durability, "journal.grace": "2s"})
    assert ask(p, ccm.Message(client=19)) == 200
    shutil.copytree(aof, older)
    n = p.mark()
    if durability == "redis":
        assert p.stop() == 0
        p.again().ready()
    until("a later mark must be there", lambda: p.mark() > max(n, 1), 20)
    assert ask(p, ccm.Message(client=19)) == 200 and count(redis, 19) == 2
    redis.stop()
    shutil.copytree(aof, newer)
    put_files(redis, older)
    forwards(p, mp, 19, "older state of its data")
    assert p.stop() == 0
    forwards(p.again(), mp, 19, "older state of its data")
    put_files(redis, newer)
    absorbing(p)
    assert count(redis, 19) == 2
    put_files(redis, older)
    forwards(p, mp, 19, "older state of its data")
    absorbing(p.accept_redis())


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_X20_eviction_is_refused(policy, weirs, redis, mp):
    redis.call("CONFIG", "SET", "maxmemory-policy", policy)
    p = weirs(teach=False)
    until("it is said", lambda: any("maxmemory-policy" in line for line in p.log))
    for _ in range(5):
        m = ccm.Message()
        assert ask(p, m) == 200 and forwarded(mp, m) == 1


def test_X42_slow_disk_acknowledgements_wait_and_are_bounded(shim, weirs, redis, mp):
    p = weirs(settings={"redis.call_timeout": "2s", "redis.max_pending": "100"})
    redis.stop()
    gate = os.path.join(redis.folder, "gate")
    redis.env = {"LD_PRELOAD": shim, "NTH_CALLS": "fdatasync:sleep400@1+", "NTH_GATE": gate}
    redis.start()
    absorbing(p)
    with open(gate, "w", encoding="ascii"):
        pass
    load = Load(p.port, seed=42, threads=130)
    load.begin(260)
    most = 0
    while any(w.is_alive() for w in load.running):
        most = max(most, p.metric("statweir_redis_pending_records"))
    load.join()
    assert 90 <= most <= 100
    # What came over the limit was passed on, and did not wait for the disk.
    assert any(forwarded(mp, s) for s in load.sent.values())
    acked = [s for s in load.sent.values() if s.is_acknowledged()]
    slow = [t[1] - t[0] for s in acked for t in s.tries if not forwarded(mp, s)]
    assert slow and min(slow) > 0.3, (sorted(slow), load.open_messages())
    redis.stop()
    redis.env = {}
    redis.start()
    absorbing(p)
    load.retry()
    check(load, mp, redis)


def test_X43_slow_redis_back_pressure_without_time_outs(weirs, redis, mp, network):
    net = network(redis.socket)
    p = weirs(server="127.0.0.1:%d" % net.port, settings={"redis.call_timeout": "2s",
                                                                  "redis.shards": "1"})
    net.back.delay_s = 0.1
    calls = p.metric("statweir_redis_calls_total")
    load = Load(p.port, seed=43, threads=16)
    load.send(160)
    assert not load.open_messages()
    assert p.metric("statweir_redis_errors_total") == 0
    # 16 clients wait at a time: what came while an answer was awaited went in one call.
    assert p.metric("statweir_redis_records_total") > 4 * (
        p.metric("statweir_redis_calls_total") - calls)
    assert sum(forwarded(mp, s) for s in load.sent.values()) == 0
    check(load, mp, redis)


@pytest.mark.parametrize("first", ["proxy", "redis"])
def test_X44_both_killed_started_in_either_order(first, weirs, redis, mp):
    p = weirs()
    load = Load(p.port, seed=44)
    load.begin(150)
    until("some are recorded", lambda: sum(s.acks for s in load.sent.values()) > 30)
    p.kill()
    redis.stop(signal.SIGKILL)
    load.join()
    if first == "redis":
        redis.start()
        p.again()
    else:
        p.again()
        load.send(10)
        redis.start()
    absorbing(p)
    load.retry()
    check(load, mp, redis)


def test_X45_empty_redis_at_start_is_refused_by_who_knows_another(weirs, redis, mp):
    p = weirs()
    assert ask(p, ccm.Message(client=45)) == 200
    assert p.stop() == 0
    redis.call("FLUSHALL")
    forwards(p.again(), mp, 45, "has lost its data")
    p.accept_redis().ready()
    assert ask(p, ccm.Message(client=45)) == 200
    assert count(redis, 45) == 1


def test_X45_another_prefix_begins_anew(weirs, redis, mp):
    p = weirs()
    assert ask(p, ccm.Message(client=45)) == 200
    assert p.stop() == 0
    p.settings["redis.prefix"] = "second"
    p.again().ready()
    assert ask(p, ccm.Message(client=45)) == 200
    assert redis.messages("second") == redis.messages() != {}


@pytest.mark.parametrize("field,value", [("format", "1"), ("shards", "48")])
def test_X46_data_of_another_version_is_refused(field, value, weirs, redis, mp):
    redis.call("HSET", "statweir:meta", "format", 2, "shards", 16, "nonce", "a" * 32)
    redis.call("HSET", "statweir:meta", field, value)
    p = weirs(teach=False)
    until("it is said", lambda: "%s %s" % (field, value) in (p.logged("redis_not_ready") or "") or
          "in %s %s" % (value, field) in (p.logged("redis_not_ready") or ""))
    for _ in range(4):
        m = ccm.Message()
        assert ask(p, m) == 200 and forwarded(mp, m) == 1
    with pytest.raises((RedisError, AssertionError)):
        assert redis.call("KEYS", "statweir:n*")


@pytest.mark.parametrize("times", ["1", "1+"])
def test_X12_link_that_does_not_take_a_command(times, failpoints, weirs, redis, mp):
    p = weirs(failpoints="link_send=error:ENOTCONN@%s" % ("20" if times == "1" else "20+"))
    load = Load(p.port, seed=12)
    load.send(60).retry()
    p.env = {}
    check(load, mp, redis)
