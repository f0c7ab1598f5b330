"""X6, X23, X25, X33, X35 to X38: signals, short calls, no memory, clocks, leases."""
import os
import signal
import struct
import threading
import time

import pytest

from harness import ccm, client
from harness.faults import absorbing, ask, count, end_leases, forwarded, learn
from harness.mp import ACK
from harness.proxy import Statweir, until
from load import Load, check

DAY = 86400
TO_1970 = pytest.param(-int(time.time()) + 3600, id="to 1970")


class Clock:
    """The wall clock of the processes that are started with .env."""

    def __init__(self, folder, shim):
        self.path = os.path.join(str(folder), "clock")
        self.turn(0)
        self.env = {"LD_PRELOAD": shim, "NTH_CLOCK": self.path}

    def turn(self, seconds):
        with open(self.path, "r+b" if os.path.exists(self.path) else "w+b") as f:
            f.write(struct.pack("<q", seconds))


@pytest.fixture
def clock(tmp_path, shim):
    return Clock(tmp_path, shim)


def restart(redis, env):
    redis.stop(signal.SIGTERM)
    redis.env = env
    redis.start()


def settled(p):
    return p.get("/ledger?fresh=1")[0] == 200 and p.metric(
        "statweir_ledger_pending_messages") == 0


def test_X6_term_under_load(weirs, redis, mp):
    for i in range(5):
        p = weirs() if i == 0 else p.again().ready()
        load = Load(p.port, seed=600 + i, threads=8, first_client=6000 + 10 * i)
        load.begin(200)
        until("under way", lambda: sum(s.acks for s in load.sent.values()) > 20 + 10 * i)
        assert p.stop() == 0
        load.stop()
        p.again().ready()
        load.retry()
        check(load, mp, redis)
        assert p.stop() == 0


def test_X6_second_term_ends_at_once(weirs, mp):
    p = weirs(settings={"global.drain": "30s"})
    mp.answer = lambda r: b""
    with client.Client(p.port) as c:
        c.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        mp.wait(lambda rs: rs and rs[-1].method == b"GET")
        p.proc.send_signal(signal.SIGTERM)
        until("it drains", lambda: p.logged("drain"))
        assert p.proc.poll() is None
        p.proc.send_signal(signal.SIGTERM)
        assert p.proc.wait(5) == 0


@pytest.mark.parametrize("calls", ["send:short%2;recv:short%3", "send:EINTR%3;recv:EINTR%2",
                                   "send:EAGAIN%3;recv:EAGAIN%2", "read:short%2;write:short%2",
                                   "read:EINTR%3;write:EINTR%3", "writev:short%2;connect:EINTR%9",
                                   "accept:EINTR%2", "accept:ECONNRESET%2"])
def test_X23_short_interrupted_and_deferred_calls(calls, shim, weirs, redis, mp, tmp_path):
    gate = tmp_path / "gate"
    p = weirs(LD_PRELOAD=shim, NTH_ONLY="statweir", NTH_CALLS=calls, NTH_GATE=str(gate))
    gate.touch()
    load = Load(p.port, seed=23)
    load.send(60).retry()
    get = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
    mp.answer = lambda r: b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"y" * 70000
    for _ in range(5):
        assert client.ask(p.port, get).body == b"y" * 70000
    check(load, mp, redis)
    gate.unlink()


@pytest.mark.parametrize("calls", ["accept:EMFILE@2", "accept:ENFILE@2", "accept:ENOBUFS@2",
                                   "connect:ENOBUFS@1", "connect:ECONNREFUSED@1"])
def test_X26_no_descriptor_for_a_moment(calls, shim, weirs, redis, mp, tmp_path):
    gate = tmp_path / "gate"
    p = weirs(LD_PRELOAD=shim, NTH_ONLY="statweir", NTH_CALLS=calls, NTH_GATE=str(gate))
    gate.touch()
    load = Load(p.port, seed=26)
    load.send(30).retry()
    get = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
    assert client.ask(p.port, get).status in (200, 502)
    assert client.ask(p.port, get).status == 200
    check(load, mp, redis)


@pytest.mark.parametrize("hours", [1, 24, 24 * 7])
def test_X33_retry_after(hours, weirs, redis, mp, clock):
    restart(redis, clock.env)
    p = weirs(settings={"rollup.window": "10d", "rollup.interval": "1h"}, **clock.env)
    messages = [ccm.Message(client=33) for _ in range(5)]
    for m in messages:
        assert ask(p, m) == 200
    clock.turn(hours * 3600)
    for m in messages:
        assert ask(p, m) == 200
    assert count(redis, 33) == 5
    assert not any(forwarded(mp, m) for m in messages)


def test_X33_retry_across_a_change_of_window(weirs, redis, mp, clock):
    restart(redis, clock.env)
    p = weirs(settings={"rollup.window": "1d", "rollup.interval": "1s"}, **clock.env)
    m = ccm.Message(client=33, rule="ABC00001")
    assert ask(p, m) == 200
    until("settled", lambda: settled(p), 40)
    index = [k for k in redis.call("KEYS", "statweir:i{*") if redis.call("HGET", k, "ABC00001")][0]
    # Never more than a window after it was heard last.
    for hours, window in ((23, "0"), (45, "1"), (68, "1"), (91, "2")):
        clock.turn(hours * 3600)
        assert ask(p, m) == 200
        assert count(redis, 33) == 1, hours
        until("the window changes", lambda w=window: redis.call("HGET", index, "@w") == w)
        assert ask(p, m) == 200
        assert count(redis, 33) == 1, hours


@pytest.mark.parametrize("who", ["proxy", "redis", "both"])
@pytest.mark.parametrize("jump", [3600, -3600, 10 * 365 * DAY, -10 * 365 * DAY, TO_1970])
@pytest.mark.parametrize("durability", ["redis", "journal"])
def test_X35_wall_clock_jumps(durability, jump, who, weirs, redis, mp, clock):
    if who != "proxy":
        restart(redis, clock.env)
    p = weirs(settings={"rollup.interval": "1s", "redis.durability": durability},
              **(clock.env if who != "redis" else {}))
    load = Load(p.port, seed=35)
    load.send(30)
    clock.turn(jump)
    load.send(30)
    for s in list(load.sent.values())[:20]:
        assert ask(p, s.message) == 200
    end_leases(redis)
    check(load, mp, redis)
    clock.turn(0)
    load.send(10).retry()
    check(load, mp, redis)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_X7_hangup_changes_nothing_and_says_so(workers, weirs, redis, mp):
    p = weirs(settings={"global.workers": workers})
    load = Load(p.port, seed=7)
    load.begin(100)
    everybody = [p.proc.pid] + children(p.proc.pid)
    for pid in everybody * 3:
        os.kill(pid, signal.SIGHUP)
    load.join()
    until("it is said", lambda: "restart" in (p.logged("hangup_ignored") or ""))
    assert [p.proc.pid] + children(p.proc.pid) == everybody
    assert not load.open_messages()
    check(load, mp, redis)


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
        return [int(w) for w in f.read().split()]


@pytest.mark.parametrize("restarted", [False, True], ids=["runs", "restarted"])
def test_X20_forward_jump_of_redis_forgets_no_id(restarted, weirs, redis, mp, clock):
    """What was summarised before the jump is known after it, whatever Redis reads then."""
    restart(redis, clock.env)
    p = weirs(settings={"rollup.interval": "1s"})
    load = Load(p.port, seed=20)
    load.send(30)
    until("settled", lambda: settled(p), 40)
    clock.turn(10 * 365 * DAY)
    if restarted:
        restart(redis, clock.env)
        absorbing(p)
    for s in list(load.sent.values()):
        assert ask(p, s.message) == 200
    check(load, mp, redis)


def test_X36_holder_of_the_lease_is_suspended(weirs, redis, mp):
    # Its summaries get no answer: where it finds its leases free when it wakes, it must give up first.
    a = weirs(settings={"rollup.interval": "1s", "global.drain": "1s",
                        "upstream.first_byte_timeout": "3s"})
    load = Load(a.port, seed=36, first_client=3600)
    mp.answer = lambda r: b"" if ccm.summary_facts(r.body) else ACK
    load.send(30)
    mp.wait(lambda rs: mp.summaries())
    a.proc.send_signal(signal.SIGSTOP)
    end_leases(redis)
    mp.answer = lambda r: ACK
    b = weirs(settings={"rollup.interval": "1s"}, teach=False)
    Statweir.ready(b)
    learn(b)
    until("the other has settled everything", lambda: settled(b), 60)
    a.proc.send_signal(signal.SIGCONT)
    load.send(10).retry()
    until("settled", lambda: settled(b), 60)
    check(load, mp, redis)
    told = {}
    for f in mp.summaries():
        assert told.setdefault(f["window"], f["messages"]) == f["messages"]


def test_X37_two_flushers_post_one_id_and_one_settles(failpoints, weirs, redis, mp):
    a = weirs(settings={"rollup.interval": "1s"}, failpoints="summary_acknowledged=sleep:3000@1")
    assert ask(a, ccm.Message(client=37)) == 200
    mp.wait(lambda rs: mp.summaries())
    end_leases(redis)
    b = weirs(settings={"rollup.interval": "1s"}, teach=False)
    Statweir.ready(b)
    learn(b)
    mp.wait(lambda rs: len(mp.summaries()) >= 2)
    until("settled", lambda: settled(b), 40)
    windows = {f["window"]: f["messages"] for f in mp.summaries()}
    assert windows and sum(n for n in windows.values()) == 1
    bodies = {r.body for r in mp.requests if ccm.summary_facts(r.body)}
    assert len(bodies) == 1
    until("the first is awake and well", lambda: a.metric("statweir_redis_up") == 1)


def test_X38_recording_and_sealing_at_once(weirs, redis, mp):
    pair = [weirs(settings={"rollup.interval": "1s"}) for _ in range(2)]
    loads = [Load(p.port, seed=380 + i, first_client=3800, threads=3)
             for i, p in enumerate(pair)]
    ts = [threading.Thread(target=x.send, args=(1500,)) for x in loads]
    for t in ts:
        t.start()
    for t in ts:
        t.join()
    for x in loads:
        x.retry()
    loads[0].sent.update(loads[1].sent)
    for p in pair:
        until("settled", lambda p=p: settled(p), 60)
    books = check(loads[0], mp, redis)
    assert books["windows"] >= 6
