"""X22, X23, X25: each call of a kind fails once, the first, the second ... until none is left.

The ordinary run takes strides and ends with a pass in which nothing fired, too;
NTH_ALL=1 takes every call: some twenty minutes.
"""
import os
import shutil

import pytest

from harness import ccm, client, proxy
from harness.faults import end_leases, has_failpoints
from harness.proxy import TOP, until
from load import Load, check

# A grace longer than that would keep the segments of all passes, until the journal is full.
JOURNAL = {"redis.durability": "journal", "journal.segment": "4MiB", "journal.limit": "64MiB",
           "journal.grace": "2s", "rollup.interval": "1s"}
GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
MOST = 3000  # passes; a loop that does not end by then never will


class Pass:
    """One statweir on the state of the ones before, with the nth call failing."""

    def __init__(self, p, redis, mp, folder, n):
        self.p, self.redis, self.mp, self.n = p, redis, mp, n
        self.gate = os.path.join(folder, "gate")
        self.fired = os.path.join(folder, "fired")
        for path in (self.gate, self.fired):
            if os.path.exists(path):
                os.remove(path)

    def start(self, forgets, failpoints=None, **env):
        if forgets:
            shutil.rmtree(os.path.join(self.p.state, "ack"), ignore_errors=True)
        end_leases(self.redis)
        self.p.again(failpoints, NTH_GATE=self.gate, NTH_FIRED=self.fired, **env).ready()

    def work(self, waits):
        """New messages, another request, a summary; nothing asks statweir for its figures."""
        load = Load(self.p.port, seed=self.n, threads=2, timeout=5,
                    first_client=100000 + 10 * self.n)
        seen = len(self.mp.requests)
        with open(self.gate, "w", encoding="ascii"):
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

    def has_died(self):
        def answers():
            try:
                return self.p.get("/healthz")[0] == 200
            except OSError:
                return self.p.proc.poll() is not None

        until("it answers, or has ended", answers)
        return self.p.proc.poll() is not None

    def look_at(self, load):
        load.retry()
        until("recorded", lambda: self.p.metric("statweir_redis_up") == 1 and
              self.p.metric("statweir_journal_unapplied_records") == 0 and
              self.p.metric("statweir_redis_pending_records") == 0, 40)
        check(load, self.mp, self.redis)
        self.p.check_books()

    def settle(self, load, may_die):
        """Nothing is lost, doubled or out of balance; it ends well. Did it survive?"""
        died = self.has_died()
        assert may_die or not died, (self.n, self.p.log[-20:])
        if not died:
            try:
                self.look_at(load)
            except (OSError, AssertionError):
                # What it got no memory for may be missed later.
                died = may_die and self.p.proc.poll() is not None
                if not died:
                    raise
        if died:
            self.p.log.clear()
            end_leases(self.redis)
            self.p.again().ready()
            self.look_at(load)
        assert self.p.stop() == 0, (self.n, self.p.log[-20:])
        text = "\n".join(self.p.earlier + self.p.log)
        assert "check_failed" not in text and "Sanitizer" not in text, (self.n, text[-5000:])
        self.p.earlier.clear()
        return not died


def loop(p, redis, mp, folder, stride, run):
    """run(pass) until nothing fires. How many passes, and how many ended the process."""
    stride = 1 if os.environ.get("NTH_ALL") else stride
    n, passes, deaths = 1, 0, 0
    while passes < MOST:
        one = Pass(p, redis, mp, str(folder), n)
        deaths += not run(one)
        passes += 1
        if not os.path.exists(one.fired):
            print("nth call: %d passes, stride %d, the last with nothing failing, %d deaths" % (
                passes, stride, deaths))
            return passes
        n += stride
    raise AssertionError("still failing at call %d" % n)


@pytest.mark.parametrize("calls,path,stride", [
    ("pwrite:ENOSPC", "/journal/", 2), ("pwrite:short", "/journal/", 4),
    ("fdatasync:EIO", "/journal/", 3), ("fsync:EIO", "/journal/", 1),
    ("rename:EIO", "/journal/", 1), ("open:EMFILE", "/journal/", 1),
    ("write:ENOSPC", "/ack/", 1), ("fsync:EIO", "/ack/", 1),
    ("send:ECONNRESET", "socket:", 29), ("recv:ECONNRESET", "socket:", 41),
    ("connect:ECONNREFUSED", "socket:", 1), ("accept:ECONNRESET", "", 2)])
def test_X22_X23_nth_call_until_none_fails(calls, path, stride, shim, weirs, redis, mp, tmp_path):
    p = weirs(settings=JOURNAL)
    assert p.stop() == 0

    def run(one):
        one.start(path == "/ack/", LD_PRELOAD=shim, NTH_ONLY="statweir", NTH_PATH=path,
                  NTH_CALLS="%s@%d" % (calls, one.n))
        return one.settle(one.work(path == "socket:"), may_die=False)

    assert loop(p, redis, mp, tmp_path, stride, run) > 1
    p.again().ready()


def test_X25_nth_malloc_until_none_fails(shim, weirs, redis, mp, tmp_path, monkeypatch):
    # The sanitizers have an allocator of their own: this needs a build without.
    plain = [b for b in (proxy.binary(), os.path.join(TOP, "build/dev/statweir"))
             if os.path.exists(b) and b"__asan_init" not in open(b, "rb").read()]
    if not plain:
        pytest.skip("make build/dev/statweir")
    monkeypatch.setenv("STATWEIR_BIN", plain[0])
    p = weirs(settings=JOURNAL)
    assert p.stop() == 0

    def run(one):
        one.start(False, LD_PRELOAD=shim.replace("nth_call", "nth_malloc"), NTH_ONLY="statweir",
                  NTH_CALLS="malloc:fail@%d" % one.n)
        return one.settle(one.work(True), may_die=True)

    assert loop(p, redis, mp, tmp_path, 47, run) > 1
    p.again().ready()
