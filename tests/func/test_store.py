"""Redis away, wrongly configured, or somebody else's: forward or keep a journal, and say so."""
import os
import signal

import pytest

from conftest import teach
from harness import ccm, client
from harness.faults import absorbing, ask, count, forwarded
from harness.proxy import until
from harness.redis import Redis
from load import Load, check

ALONE = {"redis.durability": "redis"}


def test_external_redis_by_unix_socket(redis, mp, proxies):
    p = proxies(mp.port, {"redis.server": "unix:" + redis.socket}).ready()
    teach(p)
    assert client.ask(p.port, ccm.Message().raw).status == 200
    assert len(mp.requests) == 3
    assert p.outcome("absorbed_unique") == 1


def test_redis_away_everything_is_forwarded_and_said(mp, proxies, tmp_path):
    p = proxies(mp.port, dict(ALONE, **{"redis.server": "unix:%s/none.sock" % tmp_path}))
    for _ in range(6):
        assert client.ask(p.port, ccm.Message().raw).status == 200
    assert len(mp.requests) == 6
    assert p.metric("statweir_redis_up") == 0
    until("it is said", lambda: p.logged("redis_not_ready"))


def test_wrong_fsync_policy_stops_absorption_and_names_the_fix(redis, mp, proxies):
    redis.call("CONFIG", "SET", "appendfsync", "no")
    p = proxies(mp.port, dict(ALONE, **{"redis.server": "unix:" + redis.socket}))
    until("it is said", lambda: any("appendfsync" in line for line in p.log))
    for _ in range(5):
        assert client.ask(p.port, ccm.Message().raw).status == 200
    assert len(mp.requests) == 5
    assert p.outcome("absorbed_unique") == 0


def test_redis_killed_and_restarted_counts_go_on(redis, mp, proxies):
    p = proxies(mp.port, dict(ALONE, **{"redis.server": "unix:" + redis.socket,
                                   "redis.call_timeout": "500ms"}))
    p.ready()
    teach(p)
    messages = [ccm.Message(client=3) for _ in range(5)]
    for m in messages:
        assert client.ask(p.port, m.raw).status == 200
    redis.stop()
    until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    n = len(mp.requests)
    assert client.ask(p.port, ccm.Message(client=4).raw).status == 200
    assert len(mp.requests) == n + 1
    redis.start()
    p.ready()
    for m in messages:
        assert client.ask(p.port, m.raw).status == 200
    assert p.outcome("absorbed_unique") == 5
    assert p.outcome("absorbed_duplicate") == 5


def test_flushed_redis_stops_absorption(redis, mp, proxies):
    p = proxies(mp.port, {"redis.server": "unix:" + redis.socket}).ready()
    teach(p)
    assert client.ask(p.port, ccm.Message().raw).status == 200
    redis.call("FLUSHALL")
    until("noticed", lambda: p.metric("statweir_redis_up") == 0, 40)
    n = len(mp.requests)
    assert client.ask(p.port, ccm.Message().raw).status == 200
    assert len(mp.requests) == n + 1


def test_embedded_redis_killed_is_started_again(learned):
    pid = int(learned.logged("redis_started").split(" pid=")[1].split(" ")[0])
    m = ccm.Message()
    assert client.ask(learned.port, m.raw).status == 200
    os.kill(pid, signal.SIGKILL)
    until("started again", lambda: learned.logged("redis_restarted"))
    learned.ready()
    assert client.ask(learned.port, m.raw).status == 200
    assert learned.outcome("absorbed_unique") == 1
    assert learned.outcome("absorbed_duplicate") == 1


def test_second_statweir_on_the_same_state_directory_is_refused(statweir):
    from harness.proxy import Statweir
    other = Statweir(statweir.upstream, state=statweir.state)
    with pytest.raises(AssertionError, match="state|use"):
        other.start()
    assert other.proc.wait(10) != 0


# --- with a journal --------------------------------------------------------------------


@pytest.fixture
def journaled(weirs):
    """A factory of statweirs with a journal, on the Redis of the test."""
    return lambda **settings: weirs(settings=dict({"redis.durability": "journal"}, **settings))


def everything_replayed(p):
    p.ready()
    until("Redis has it all", lambda: p.metric("statweir_journal_unapplied_records") == 0)


def acknowledged_without_redis(p, mp, load, n):
    forwarded_before = len(mp.requests)
    load.send(n)
    assert not load.open_messages()
    assert len(mp.requests) == forwarded_before


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_journal_redis_gone_in_mid_storm_every_count_right(sig, journaled, redis, mp):
    p = journaled()
    load = Load(p.port, seed=1)
    load.begin(300)
    until("under way", lambda: sum(s.acks for s in load.sent.values()) > 50)
    redis.send(sig)
    until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    load.join()
    acknowledged_without_redis(p, mp, load, 200)
    assert p.outcome("absorbed_journal") >= 200
    assert p.logged("redis_not_ready")
    redis.stop() if sig == signal.SIGKILL else redis.send(signal.SIGCONT)
    if sig == signal.SIGKILL:
        redis.start()
    everything_replayed(p)
    load.send(50)
    check(load, mp, redis)
    assert sum(redis.messages().values()) - count(redis, 999) == 550


def test_journal_statweir_killed_while_redis_is_away_replay_exact(journaled, redis, mp):
    p = journaled()
    load = Load(p.port, seed=2)
    load.send(50)
    redis.stop()
    until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    acknowledged_without_redis(p, mp, load, 150)
    p.kill()
    p.again()
    acknowledged_without_redis(p, mp, load, 100)
    assert p.stop() == 0
    p.again()
    acknowledged_without_redis(p, mp, load, 100)
    p.kill()
    redis.start()
    p.again()
    everything_replayed(p)
    check(load, mp, redis)
    assert sum(redis.messages().values()) - count(redis, 999) == 400


def test_journal_killed_in_the_middle_of_a_replay(journaled, redis, mp, network):
    net = network(redis.socket)
    p = journaled(**{"redis.server": "127.0.0.1:%d" % net.port, "redis.call_timeout": "30s"})
    load = Load(p.port, seed=3, clients=40, threads=8)
    redis.stop()
    until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    acknowledged_without_redis(p, mp, load, 1500)
    for _ in range(2):
        redis.start()
        net.back.hole = False
        until("it begins", lambda: sum(redis.messages().values()) - count(redis, 999) > 0)
        p.kill()
        redis.stop(signal.SIGTERM)
        p.again()
        acknowledged_without_redis(p, mp, load, 20)
    redis.start()
    everything_replayed(p)
    check(load, mp, redis)
    assert sum(redis.messages().values()) - count(redis, 999) == 1540


def test_journal_repairs_what_redis_forgot_when_it_crashed(journaled, redis, mp):
    redis.call("CONFIG", "SET", "appendfsync", "everysec")
    p = journaled()
    load = Load(p.port, seed=4)
    load.send(40)
    folder = os.path.join(redis.folder, "appendonlydir")
    aof = [os.path.join(folder, f) for f in os.listdir(folder) if f.endswith(".incr.aof")][0]
    size = os.path.getsize(aof)
    load.send(60)
    redis.stop()
    # As after a power failure: what was written in the last second is not on the disk.
    os.truncate(aof, size)
    redis.args += ["--appendfsync", "everysec"]
    redis.start()
    until("said", lambda: p.logged("redis_is_another"))
    everything_replayed(p)
    load.send(20)
    check(load, mp, redis)
    assert sum(redis.messages().values()) - count(redis, 999) == 120


def test_journal_of_two_workers(journaled, redis, mp):
    p = journaled(**{"global.workers": "2"})
    load = Load(p.port, seed=5, threads=8)
    load.send(50)
    redis.stop()
    until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    acknowledged_without_redis(p, mp, load, 100)
    assert sorted(os.listdir(os.path.join(p.state, "journal"))) == ["0", "1"]
    p.kill()
    redis.start()
    p.again()
    everything_replayed(p)
    check(load, mp, redis)


@pytest.mark.parametrize("nth,event", [(3, "journal_no_space"), (60, "journal_failed")])
def test_journal_on_a_failing_disk_forwards_and_says_so(nth, event, shim, weirs, mp):
    p = weirs(settings={"redis.durability": "journal"}, LD_PRELOAD=shim, NTH_ONLY="statweir",
              NTH_PATH="/journal/", NTH_CALLS="fdatasync:EIO@%d+;fsync:EIO@4+" % nth)
    for _ in range(200):
        assert ask(p, ccm.Message()) in (200, 503)
        if p.logged(event):
            break
    assert p.logged(event)
    m = ccm.Message()
    assert ask(p, m) == 200
    assert forwarded(mp, m) == 1
    assert "/journal/0" in p.get("/stats.json")[1]


# --- with a replica --------------------------------------------------------------------


@pytest.fixture
def replicated(mp, proxies, tmp_path):
    """(statweir, master, replica) where one replica must have what is acknowledged."""
    folders = [tmp_path / "m", tmp_path / "r"]
    for f in folders:
        f.mkdir()
    master = Redis(folders[0], "--repl-diskless-sync-delay", "0", has_port=True).start()
    replica = Redis(folders[1], "--replicaof", "127.0.0.1 %d" % master.port).start()
    p = proxies(mp.port, {"redis.server": "unix:" + master.socket, "redis.durability": "redis",
                          "redis.wait": "1", "redis.wait_timeout": "300ms"}).ready()
    teach(p)
    yield absorbing(p), master, replica
    p.stop()
    replica.stop()
    master.stop()


def load_names(load):
    return {s.client for s in load.sent.values()}


def test_wait_acknowledged_is_on_the_replica(replicated, mp):
    p, master, replica = replicated
    load = Load(p.port, seed=6)
    load.send(150)
    assert not load.open_messages()
    master.stop()
    replica.call("REPLICAOF", "NO", "ONE")
    check(load, mp, replica)
    assert sum(n for c, n in replica.messages().items() if c in load_names(load)) == 150


def test_wait_replica_silent_not_acknowledged_and_counted_once(replicated, mp):
    p, master, replica = replicated
    replica.send(signal.SIGSTOP)
    m = ccm.Message(client=7)
    assert ask(p, m) == 503
    assert forwarded(mp, m) == 0
    assert "replicas (redis.wait)" in p.logged("redis_not_ready")
    # Still connected, and asked every second.
    until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    other = ccm.Message(client=7)
    assert ask(p, other) == 200
    assert forwarded(mp, other) == 1
    replica.send(signal.SIGCONT)
    p.ready()
    for _ in range(2):
        assert ask(p, m) == 200
    assert forwarded(mp, m) == 0
    assert count(master, 7) == 1


def test_wait_replica_gone_forwarded_until_it_is_back(replicated, mp):
    p, master, replica = replicated
    replica.stop()
    until("noticed", lambda: ask(p, ccm.Message(client=8)) and
          p.metric("statweir_redis_up") == 0)
    m = ccm.Message(client=9)
    assert ask(p, m) == 200
    assert forwarded(mp, m) == 1
    replica.start()
    p.ready()
    m = ccm.Message(client=9)
    assert ask(p, m) == 200
    assert forwarded(mp, m) == 0 and count(master, 9) == 1
