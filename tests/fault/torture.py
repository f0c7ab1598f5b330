#!/usr/bin/env python3
"""Kill statweir and Redis at random moments under load, start them again, compare the books.

    torture.py [--kills 1600] [--seed N] [--short] [--what statweir,redis,both,worker,term]
               [--workers 1] [--messages 100] [--lose-tail] [--set section.key=value]...

A fifth of the kills come within 30 ms of a summary's arrival at the management point, while
it is acknowledged and settled.

After every kill: each message that was sent is sent again until it has an acknowledgement;
then Redis must have counted exactly those that the management point did not receive itself.
A message that the management point received in a try whose answer was lost may be counted
too (once), as it would have arrived twice without statweir; how many were is printed. At the end
every message must be in exactly one summary.
"""
import argparse
import collections
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "func")]
from harness import ccm  # noqa: E402
from harness.faults import Weir, absorbing, end_leases, own_port  # noqa: E402
from harness.mp import ManagementPoint  # noqa: E402
from harness.proxy import until  # noqa: E402
from harness.redis import Redis  # noqa: E402
from load import Load  # noqa: E402


WHAT = ("statweir", "redis", "both")
WHAT_WORKERS = WHAT + ("worker", "term")
AFTER_SUMMARY = 0.2  # share of kills


def fail(what):
    raise AssertionError(what)


def settle_journal(weir):
    """What only the journal has comes to Redis; figures are as old as the last tick."""
    def is_quiet():
        m = weir.metrics()
        return weir.get("/readyz")[0] == 200 and m["statweir_redis_up"] == 1 and not (
            m["statweir_journal_unapplied_records"] or m["statweir_redis_pending_records"])

    for _ in range(2):
        time.sleep(0.25)
        until("all is recorded", is_quiet, 30)


class Books:
    """Client: messages, over the whole run. What was compared once is not looked at again."""

    def __init__(self):
        self.ever = collections.Counter()  # as Redis said last
        self.may_come = collections.Counter()  # a lost answer's repetition, not counted yet
        self.windows = {}  # ID: (client, messages)
        self.bodies = {}  # (window, part): digest of the bytes
        self.tried_again = collections.deque(maxlen=500)
        self.sent = self.forwarded = self.tolerated = self.repeats = 0

    def take_summary(self, r, facts):
        said = (facts["client"].upper(), facts["messages"])
        part = (facts["window"], facts["part"])
        digest = hashlib.sha256(r.body).digest()
        if self.windows.setdefault(facts["window"], said) != said:
            fail("window %s says %r and %r" % (facts["window"], self.windows[facts["window"]],
                                               said))
        self.repeats += part in self.bodies
        if self.bodies.setdefault(part, digest) != digest:
            fail("summary %r was sent again with other bytes" % (part,))

    def compare(self, load, requests, ask_redis, weir, patience_s):
        """All of load is acknowledged. Redis counted it once, or the management point has it."""
        receipts = collections.defaultdict(list)
        for r in requests:
            facts = ccm.summary_facts(r.body)
            if facts:
                self.take_summary(r, facts)
            else:
                receipts[ccm.message_id(r.body)].append(r.at)
        least, most = collections.Counter(), collections.Counter()
        for s in load.sent.values():
            least[s.client] += s.id not in receipts
            was_lost = s.was_lost(len(receipts.get(s.id, ())))
            most[s.client] += s.id not in receipts or was_lost
            self.forwarded += s.id in receipts
            if s.id in receipts and len(s.tries) > 1:
                self.tried_again.append((s.client, s.id, self.sent // len(load.sent) + 1,
                                         receipts[s.id], s.tries))
        if most != least and patience_s:
            settle_journal(weir)
        ever = self.wait_for(least, ask_redis, patience_s)
        for c in least:
            new = ever.get(c, 0) - self.ever[c]
            if new < least[c]:
                fail("client %s: %d messages lost" % (c, least[c] - new))
            if new > most[c] + self.may_come[c]:
                fail("client %s: %d messages doubled\n%s" % (
                    c, new - most[c] - self.may_come[c], self.suspects(c)))
            self.may_come[c] += most[c] - new
            self.tolerated += new - least[c]
        self.ever.update({c: ever.get(c, 0) - self.ever[c] for c in least})
        self.sent += len(load.sent)
        told = self.told()
        for c, n in told.items():
            if n > ever.get(c, 0):
                fail("client %s: summaries tell of %d, recorded were %d" % (c, n, ever[c]))

    def wait_for(self, least, ask_redis, patience_s):
        """What the journal has acknowledged comes to Redis a little later."""
        end = time.monotonic() + patience_s
        while True:
            ever = ask_redis()
            if all(ever.get(c, 0) - self.ever[c] >= n for c, n in least.items()):
                return ever
            if time.monotonic() >= end:
                return ever
            time.sleep(0.02)

    def suspects(self, client):
        """What the management point received after another try, in this iteration or before."""
        return "\n".join("%s kill %d received %r tries %r" % x[1:] for x in self.tried_again
                         if x[0] == client)

    def told(self):
        told = collections.Counter()
        for client, n in self.windows.values():
            told[client] += n
        return told


class Torture:
    def __init__(self, seed, settings=None, workers=1, messages=100, what=None,
                 loses_tail=False, after_summary=AFTER_SUMMARY):
        self.random = random.Random(seed)
        self.seed = seed
        self.folder = tempfile.mkdtemp(prefix="sw-torture-", dir="/tmp")
        self.redis = Redis(self.folder, "--auto-aof-rewrite-min-size", "1mb").start()
        self.mp = ManagementPoint()
        self.messages = messages
        self.what = what or list(WHAT if workers == 1 else WHAT_WORKERS)
        self.books = Books()
        self.loses_tail = loses_tail
        self.after_summary = after_summary
        self.done = collections.Counter()
        values = {"redis.server": "unix:" + self.redis.socket, "rollup.interval": "1s",
                  "redis.call_timeout": "1s", "global.drain": "1s", "global.workers": workers,
                  "listen.max_per_address": "10000",
                  "rollup.settle_wait": "2s" if loses_tail else "0s"}
        values.update(settings or {})
        self.wait_s = 20 if values.get("redis.durability", "journal") == "journal" else 0
        self.weir = Weir(self.mp.port, values, os.path.join(self.folder, "state"))
        self.start_weir()
        self.weir.ready()

    def start_weir(self):
        # Not the same port again: a worker that has been started later than the first ones
        # has inherited its socket, and may be about to end.
        self.weir.settings["global.admin"] = "127.0.0.1:%d" % own_port()
        self.weir.again()

    def wait_random(self, limit_s):
        time.sleep(self.random.random() * limit_s)

    def wait_for_summary(self, limit_s=6):
        """A summary arrives at the management point, from now on; False: none did."""
        seen = len(self.mp.requests)

        def has_come():
            nonlocal seen
            new = self.mp.requests[seen:]
            seen += len(new)
            return any(ccm.summary_facts(r.body) for r in new)

        with self.mp.cond:
            return self.mp.cond.wait_for(has_come, limit_s)

    def workers(self):
        """Process IDs; none where the one worker is the first process itself."""
        with open("/proc/%d/task/%d/children" % (2 * (self.weir.proc.pid,)),
                  encoding="ascii") as f:
            return [int(w) for w in f.read().split()]

    def kill_statweir(self):
        """Its first process: the workers end what they have begun. Or all, as with the host."""
        is_whole = self.random.random() < 0.5
        if self.weir.proc.poll() is not None:
            return
        workers = self.workers()
        self.weir.kill()
        for w in workers if is_whole else ():
            try:
                os.kill(w, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def kill(self, target):
        if target == "statweir":
            self.kill_statweir()
        elif target == "redis":
            self.redis.stop(signal.SIGKILL)
        elif target == "both":
            first = self.random.choice([self.kill_statweir, self.redis.stop])
            first()
            self.wait_random(0.01)
            self.kill_statweir()
            self.redis.stop(signal.SIGKILL)
        elif target == "worker":
            os.kill(self.random.choice(self.workers()), signal.SIGKILL)
        elif target == "term":
            if self.weir.stop() != 0:
                fail("exit status %d after TERM" % self.weir.proc.returncode)

    def aof(self):
        """(file that Redis appends to, its size)"""
        folder = os.path.join(self.redis.folder, "appendonlydir")
        names = [f for f in os.listdir(folder) if f.endswith(".incr.aof")]
        newest = max(names, key=lambda f: int(f.split(".")[-3]))
        path = os.path.join(folder, newest)
        return path, os.path.getsize(path)

    def lose_tail(self, before):
        """As if the power of Redis's host had failed before its file was synced."""
        path, size = self.aof()
        if path == before[0] and size > before[1]:
            os.truncate(path, self.random.randrange(before[1], size))
            self.done["tail lost"] += 1

    def wait_and_look(self, seconds):
        """Long enough for seals and summaries: aof() as of a second before the end, since when
        everything may be lost, where Redis syncs every second. Never more: a summary leaves
        rollup.settle_wait after its seal.
        """
        end = time.monotonic() + seconds
        seen = self.aof()
        while time.monotonic() < end:
            if time.monotonic() < end - 1:
                seen = self.aof()
            time.sleep(0.02)
        return seen

    def is_rewritten(self):
        """Redis 7.0 leaves half a transaction in a torn file and executes it at its second
        start: statweir has the file written anew after the first (docs/STORE.md).
        """
        info = self.redis.call("INFO", "persistence")
        return "aof_rewrites:0\r" not in info and "aof_rewrite_in_progress:0\r" in info

    def start_again(self):
        starts = []
        if self.redis.proc.poll() is not None:
            starts.append(self.redis.start)
        if self.weir.proc.poll() is not None:
            starts.append(self.start_weir)
        self.random.shuffle(starts)
        for start in starts:
            start()
        end_leases(self.redis)

    def check_log(self):
        text = "\n".join(self.weir.earlier + self.weir.log)
        for bad in ("check_failed", "Sanitizer", "runtime error:"):
            if bad in text:
                fail(text[-5000:])
        self.weir.earlier.clear()

    def one(self):
        target = self.random.choice(self.what)
        absorbing(self.weir)
        until("Redis has written its file anew", self.is_rewritten, 20)
        load = Load(self.weir.port, seed=self.random.random(), timeout=5)
        before = self.aof()
        if self.random.random() < self.after_summary:
            load.send(self.messages - self.messages // 2)
            if self.loses_tail:
                before = self.wait_and_look(self.random.random() * 4)
                self.done["after a wait"] += 1
            else:
                self.done["after a summary"] += self.wait_for_summary()
            load.begin(self.messages // 2)
            self.wait_random(0.03)
        else:
            load.begin(self.messages)
            self.wait_random(0.1)
        self.kill(target)
        self.done[target] += 1
        load.join()
        if self.redis.proc.poll() is not None and self.loses_tail:
            self.lose_tail(before)
        self.start_again()
        load.retry()
        with self.mp.cond:
            requests, self.mp.requests = self.mp.requests, []
        self.books.compare(load, requests, lambda: self.upper(self.redis.messages()),
                           self.weir, self.wait_s)
        self.weir.check_books()
        self.check_log()

    @staticmethod
    def upper(counts):
        return {k.upper(): v for k, v in counts.items()}

    def finish(self):
        """Everything is told, once."""
        end_leases(self.redis)
        until("everything is settled", lambda: self.weir.get("/ledger?fresh=1")[0] == 200 and
              self.weir.metric("statweir_ledger_pending_messages") == 0, 90)
        for r in self.mp.requests:
            facts = ccm.summary_facts(r.body)
            if facts:
                self.books.take_summary(r, facts)
        ever = collections.Counter(self.upper(self.redis.messages()))
        if self.books.told() != +ever:
            fail("told %r, recorded %r" % (self.books.told(), ever))

    def close(self):
        if self.weir.proc.poll() is None:
            self.weir.kill()
        self.redis.stop()
        self.mp.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def say_progress(i, n, began, books):
    took = time.monotonic() - began
    line = "[%-30s] %d/%d kills, %d messages, %.0f s, about %.0f s left" % (
        "#" * (30 * i // n), i, n, books.sent, took, took / i * (n - i))
    if sys.stderr.isatty():
        print("\r" + line, end="\n" if i == n else "", file=sys.stderr, flush=True)
    elif i == n or i % max(1, n // 20) == 0:
        print(line, file=sys.stderr, flush=True)


def run(kills, seed, **kw):
    """The books of a run without a fault; raises AssertionError else."""
    print("torture: seed %d, repeat with --seed %d --kills %d" % (seed, seed, kills), flush=True)
    began = time.monotonic()
    t = Torture(seed, **kw)
    try:
        for i in range(kills):
            try:
                t.one()
            except AssertionError as e:
                raise AssertionError("kill %d, seed %d: %s" % (i + 1, seed, e)) from e
            say_progress(i + 1, kills, began, t.books)
        t.finish()
    finally:
        t.close()
    b = t.books
    print("torture: statweir killed %d times, Redis %d times" % (
        sum(t.done[k] for k in ("statweir", "both", "worker")), t.done["redis"] + t.done["both"]))
    print("torture: %d kills (%s), %d messages, %d recorded, %d forwarded, %d windows, %d "
          "summaries sent again, %d repeated after a lost answer, lost 0, doubled 0, %.0f s" % (
              kills, ", ".join("%s %d" % x for x in sorted(t.done.items())), b.sent,
              sum(b.ever.values()), b.forwarded, len(b.windows), b.repeats, b.tolerated,
              time.monotonic() - began))
    return b


def main():
    a = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    a.add_argument("--kills", type=int, default=1600)
    a.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    a.add_argument("--short", action="store_true", help="20 kills")
    a.add_argument("--what", help="of statweir, redis, both, worker, term; default: the first "
                   "three, with --workers 2 and more all")
    a.add_argument("--workers", type=int, default=1)
    a.add_argument("--messages", type=int, default=100)
    a.add_argument("--lose-tail", action="store_true", help="cut Redis's file after its death; "
                   "needs the journal and a rollup.settle_wait")
    a.add_argument("--set", action="append", default=[], metavar="section.key=value")
    o = a.parse_args()
    try:
        run(20 if o.short else o.kills, o.seed, workers=o.workers, messages=o.messages,
            what=o.what.split(",") if o.what else None, loses_tail=o.lose_tail,
            settings=dict(s.split("=", 1) for s in o.set))
    except AssertionError as e:
        sys.exit("FAULT: %s" % e)


if __name__ == "__main__":
    main()
