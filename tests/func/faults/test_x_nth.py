"""X22, X23, X25: each call of a kind fails once, the first, the second ... until none is left.

The ordinary run takes strides and ends with a pass in which nothing fired, too;
NTH_ALL=1 takes every call: an hour or more.
"""
import http.client
import os
import shutil

import pytest

from command_proxy import CommandProxy
from harness import ccm, client, proxy
from harness.faults import end_leases, has_failpoints
from harness.proxy import TOP, until
from load import Load, check

# A grace longer than that would keep the segments of too many passes, until the journal is full.
JOURNAL = {"redis.durability": "journal", "journal.segment": "4MiB", "journal.limit": "64MiB",
           "journal.grace": "2s", "rollup.interval": "1s"}
GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
PAGES = ["/", "/stats.json", "/stats.csv", "/metrics", "/healthz", "/readyz", "/config", "/ledger",
         "/ledger?fresh=1", "/ledger?format=text", "/ledger/windows", "/clients/GUID:" + ccm.guid(999),
         "/rules", "/rules/TEACH", "/rules/TEACH/missing.csv"]
NEVER = 1 << 40
ROOM = 12  # passes that the journal has room for, each a segment
MOST = 3000  # passes; a loop that does not end by then never will


class Pass:
    """One statweir on the state of the ones before, with the nth call failing."""

    def __init__(self, p, redis, mp, folder, n):
        self.p, self.redis, self.mp, self.n = p, redis, mp, n
        self.gate = os.path.join(folder, "gate")
        self.fired = os.path.join(folder, "fired")
        self.live = os.path.join(folder, "live")
        self.counts = False
        for path in (self.gate, self.fired):
            if os.path.exists(path):
                os.remove(path)

    def start(self, forgets, failpoints=None, **env):
        if forgets:
            shutil.rmtree(os.path.join(self.p.state, "ack"), ignore_errors=True)
        end_leases(self.redis)
        self.counts = "NTH_LIVE" in env
        self.p.again(failpoints, NTH_GATE=self.gate, NTH_FIRED=self.fired, **env).ready()

    def work(self, waits, asks=False):
        """New messages, another request; Redis hangs up, and a summary; each page."""
        load = Load(self.p.port, seed=self.n, threads=2, timeout=5,
                    first_client=100000 + 10 * self.n)
        seen = len(self.mp.requests)
        with open(self.gate, "w", encoding="ascii"):
            if asks:
                self.ask_all()
            if waits:
                self.redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            load.send(20)
            try:
                client.ask(self.p.port, GET)
            except (OSError, AssertionError):
                pass
            if waits:
                try:
                    until("a summary", lambda: self.p.proc.poll() is not None or any(
                        ccm.summary_facts(r.body) for r in self.mp.requests[seen:]), 4)
                except AssertionError:
                    pass
        os.remove(self.gate)
        return load

    def ask_all(self):
        """Each page once; one may be cut, or say that there is no memory."""
        for path in PAGES:
            try:
                self.p.get(path)
            except (OSError, ValueError, http.client.HTTPException):
                pass

    def look_at(self, load):
        load.retry()
        until("recorded", lambda: self.p.metric("statweir_redis_up") == 1 and
              self.p.metric("statweir_journal_unapplied_records") == 0 and
              self.p.metric("statweir_redis_pending_records") == 0, 40)
        check(load, self.mp, self.redis)
        self.p.check_books()

    def fault(self):
        """What was made to fail, and where."""
        if not os.path.exists(self.fired):
            return "nothing"
        with open(self.fired, encoding="utf-8", errors="replace") as f:
            return f.read()

    def has_fired(self):
        return os.path.exists(self.fired)

    def look_for_leaks(self):
        """At its end it holds no more blocks than one that nothing happened to."""
        if not self.counts:
            return
        with open(self.live, encoding="ascii") as f:
            n = int(f.read())
        os.remove(self.live)
        if self.n == 0:
            self.p.held = n
        assert n <= self.p.held, "call %d: %d blocks instead of %d are left\n%s" % (
            self.n, n, self.p.held, self.fault())

    def settle(self, load):
        """It lives, nothing is lost, doubled or out of balance, and it ends well."""
        try:
            self.look_at(load)
        except (OSError, AssertionError) as e:
            raise AssertionError("call %d, exit status %s\n%s\n%s" % (
                self.n, self.p.proc.poll(), self.fault(), "\n".join(self.p.log[-20:]))) from e
        assert self.p.stop() == 0, (self.n, self.fault(), self.p.log[-20:])
        self.look_for_leaks()
        text = "\n".join(self.p.earlier + self.p.log)
        for bad in ("check_failed", "Sanitizer", "worker_died"):
            assert bad not in text, (self.n, self.fault(), text[-5000:])
        self.p.earlier.clear()


def make_room(p):
    """Live for as long as the journal needs to let go of what the passes have left."""
    p.again().ready()
    least = int(p.settings.get("global.workers", "1")) * 8 << 20
    until("the journal lets go", lambda: 0 < p.metric("statweir_journal_bytes") <= least, 30)
    assert p.stop() == 0


def loop(p, redis, mp, folder, stride, run, least=1, kind=Pass):
    """run(pass) until nothing fires. How many passes."""
    stride = least if os.environ.get("NTH_ALL") else stride
    n, passes = 1, 0
    while passes < MOST:
        one = kind(p, redis, mp, str(folder), n)
        run(one)
        passes += 1
        if not one.has_fired():
            print("nth call: %d passes, stride %d, the last with nothing failing" % (
                passes, stride))
            return passes
        n += stride
        if passes % ROOM == 0 and p.settings["redis.durability"] == "journal":
            make_room(p)
    raise AssertionError("still failing at call %d" % n)


@pytest.mark.parametrize("calls,path,stride", [
    ("pwrite:ENOSPC", "/journal/", 2), ("pwrite:short", "/journal/", 4),
    ("fdatasync:EIO", "/journal/", 3), ("fsync:EIO", "/journal/", 1),
    ("rename:EIO", "/journal/", 1), ("open:EMFILE", "/journal/", 1),
    ("write:ENOSPC", "/ack/", 1), ("fsync:EIO", "/ack/", 1),
    ("send:ECONNRESET", "socket:", 7), ("recv:ECONNRESET", "socket:", 7),
    ("connect:ECONNREFUSED", "socket:", 1), ("accept:ECONNRESET", "", 2)])
def test_X22_X23_nth_call_until_none_fails(calls, path, stride, shim, weirs, redis, mp, tmp_path):
    p = weirs(settings=JOURNAL)
    assert p.stop() == 0

    def run(one):
        one.start(path == "/ack/", LD_PRELOAD=shim, NTH_ONLY="statweir", NTH_PATH=path,
                  NTH_CALLS="%s@%d" % (calls, one.n))
        one.settle(one.work(path == "socket:"))

    assert loop(p, redis, mp, tmp_path, stride, run) > 1
    p.again().ready()


@pytest.fixture
def commands(redis):
    made = CommandProxy(redis.socket)
    yield made
    made.close()


class CommandPass(Pass):
    """The nth command fails that Redis is sent."""

    commands = None

    def has_fired(self):
        return self.commands.fired is not None

    def fault(self):
        return str(self.commands.fired)


@pytest.mark.parametrize("how,durability,stride", [
    ("refused", "journal", 5), ("unsent", "journal", 5), ("unsaid", "journal", 5),
    ("unsaid", "redis", 5)])
def test_X12_X14_nth_command_until_none_fails(how, durability, stride, commands, weirs, redis, mp,
                                              tmp_path):
    p = weirs(settings={**JOURNAL, "redis.durability": durability},
              server="127.0.0.1:%d" % commands.port)
    assert p.stop() == 0

    def run(one):
        one.commands = commands
        one.start(False)
        commands.arm(how, one.n, one.gate)
        one.settle(one.work(True))

    assert loop(p, redis, mp, tmp_path, stride, run, kind=CommandPass) > 1
    p.again().ready()


@pytest.fixture
def plain(monkeypatch):
    """The sanitizers have an allocator of their own: this needs a build without."""
    found = [b for b in (proxy.binary(), os.path.join(TOP, "build/dev/statweir"))
             if os.path.exists(b) and b"__asan_init" not in open(b, "rb").read()]
    if not found:
        pytest.skip("make build/dev/statweir")
    monkeypatch.setenv("STATWEIR_BIN", found[0])


def malloc_fails(shim, one, n=None):
    return {"LD_PRELOAD": shim.replace("nth_call", "nth_malloc"), "NTH_ONLY": "statweir",
            "NTH_LIVE": one.live, "NTH_CALLS": "malloc:fail@%d" % (n or one.n)}


@pytest.mark.parametrize("asks,workers,stride", [(False, 1, 23), (True, 1, 499), (True, 2, 499)])
def test_X25_nth_malloc_until_none_fails(asks, workers, stride, shim, plain, weirs, redis, mp,
                                         tmp_path):
    p = weirs(settings={**JOURNAL, "global.workers": str(workers)})
    assert p.stop() == 0

    def run(one, n=None):
        one.start(False, **malloc_fails(shim, one, n))
        one.settle(one.work(True, asks))

    run(Pass(p, redis, mp, str(tmp_path), 0), NEVER)

    # Pages make thousands of allocations, most of them alike.
    assert loop(p, redis, mp, tmp_path, stride, run, least=7 if asks else 1) > 1
    p.again().ready()


@pytest.mark.parametrize("settings", [
    {}, {"global.workers": "2"}, {"redis.server": "embedded"}], ids=["one", "two", "embedded"])
def test_X25_nth_malloc_of_the_start(settings, shim, plain, weirs, redis, mp, tmp_path):
    p = weirs(settings={**JOURNAL, **settings})
    assert p.stop() == 0
    p.ends = 0

    def run(one):
        with open(one.gate, "w", encoding="ascii"):
            pass
        try:
            p.again(NTH_GATE=one.gate, NTH_FIRED=one.fired, **malloc_fails(shim, one))
        except AssertionError:
            p.reader.join(5)
            assert p.proc.wait() == 1, (one.n, one.fault(), p.log)
            assert "out of memory" in "\n".join(p.log), (one.n, one.fault(), p.log)
            p.ends += 1
            return
        # One that has come up serves, whatever failed meanwhile.
        os.remove(one.gate)
        p.ready()
        assert p.stop() == 0, (one.n, one.fault(), p.log)

    assert loop(p, redis, mp, tmp_path, 7, run) > 1
    assert p.ends > 0
    p.again().ready()
