"""What the tests of faults share: a Redis of their own, failpoints, the shim, the judge."""
import os
import random
import shutil
import socket
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))), "fault"))

from fault_proxy import FaultProxy  # noqa: E402

from . import ccm, client  # noqa: E402
from .proxy import TOP, Statweir, binary, until  # noqa: E402
from .redis import Redis  # noqa: E402


def has_failpoints():
    with open(binary(), "rb") as f:
        return b"STATWEIR_FAILPOINTS" in f.read()


@pytest.fixture
def failpoints():
    if not has_failpoints():
        pytest.skip("this binary has no failpoints (-DSTATWEIR_DEBUG)")


@pytest.fixture
def shim():
    """Path of the LD_PRELOAD shim."""
    for folder in (os.path.dirname(binary()), os.path.join(TOP, "build/dev")):
        path = os.path.join(folder, "nth_call.so")
        if os.path.exists(path):
            return path
    pytest.skip("make build/dev/nth_call.so")


@pytest.fixture
def redis(tmp_path):
    r = Redis(tmp_path).start()
    yield r
    r.stop()


@pytest.fixture
def network():
    """A factory of fault proxies."""
    made = []

    def make(target):
        made.append(FaultProxy(target))
        return made[-1]

    yield make
    for p in made:
        p.close()


def own_port():
    """Free, and not one that the kernel gives to connections while statweir is being restarted."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Weir(Statweir):
    """With a Redis of the test's; may be killed and started anew on the same port and state."""

    def again(self, failpoints=None, **env):
        self.env = dict(env)
        if failpoints:
            self.env["STATWEIR_FAILPOINTS"] = failpoints
        self.settings.setdefault("global.listen", "127.0.0.1:%d" % own_port())
        return self.start()

    def mark(self):
        """The least mark that Redis must have, as kept in the state directory; -1: none."""
        try:
            with open(os.path.join(self.state, "redis-mark", "0"), encoding="ascii") as f:
                return int(f.read().split()[4])
        except FileNotFoundError:
            return -1

    def accept_redis(self):
        """As an operator does who goes on with what Redis has now."""
        assert self.stop() == 0
        shutil.rmtree(os.path.join(self.state, "redis-mark"))
        return self.again()

    def is_dead(self):
        return until("statweir is dead", lambda: self.proc.poll() is not None)


@pytest.fixture
def weirs(mp, redis):
    """A factory of statweirs on the test's Redis; checked and stopped at the end."""
    made = []

    def make(settings=None, upstream=None, server=None, failpoints=None, state=None, teach=True,
             **env):
        values = {"redis.server": server or "unix:" + redis.socket, "rollup.interval": "1h",
                  "rollup.settle_wait": "0s", "redis.call_timeout": "1s",
                  "redis.connect_timeout": "1s", "redis.durability": "redis",
                  "redis.shards": "16"}
        values.update(settings or {})
        w = Weir(upstream or mp.port, values, state)
        made.append(w)
        w.again(None if teach else failpoints, **({} if teach else env))
        if teach:
            Statweir.ready(w)
            learn(w)
            until("the samples are remembered", lambda: w.metric(
                "statweir_redis_records_total") >= 3 and
                w.metric("statweir_redis_pending_records") == 0)
            if failpoints or env:
                assert w.stop() == 0
                w.again(failpoints, **env).ready()
        return w

    yield make
    problem = None
    for w in reversed(made):
        try:
            w.close()
        except AssertionError as e:
            problem = problem or e
    if problem:
        raise problem


def absorbing(p):
    """Wait until a message is absorbed: redis_up may still tell of the moment before."""
    before = p.outcome("absorbed_unique")
    until("messages are absorbed", lambda: ask(p, ccm.Message(client=998)) and
          p.outcome("absorbed_unique") > before)
    return p


def learn(p):
    for _ in range(3):
        r = client.ask(p.port, ccm.Message(client=999, rule="TEACH").raw)
        assert r.status == 200, r


def ask(p, message, timeout=10):
    """Status of the answer, or None where the connection broke."""
    try:
        with client.Client(p.port, timeout=timeout) as c:
            r = c.ask(message.raw)
            return r.status if r else None
    except (OSError, AssertionError):
        return None


def count(redis, n=1):
    """Messages of client n that Redis has."""
    return redis.messages().get("GUID:" + ccm.guid(n), 0)


def forwarded(mp, message):
    """How often the management point itself received it."""
    return sum(1 for r in mp.requests if ccm.message_id(r.body) == message.id)


def end_leases(redis):
    """As if a holder that was killed had been dead for half a minute."""
    for key in redis.call("KEYS", "statweir:l{*"):
        redis.call("HSET", key, "end", 0)
