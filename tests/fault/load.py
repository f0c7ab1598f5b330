"""Clients that keep a record of their own, and the comparison with what became of it.

    load = Load(port, seed=7)
    load.send(200)                # new messages, each tried once
    load.retry()                  # those without an acknowledgement, until all have one
    check(load, mp, redis)        # lost 0, doubled 0, Redis and management point agree
"""
import collections
import os
import random
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
for folder in ("tests/func", "tests/tools"):
    sys.path.insert(0, os.path.join(TOP, folder))
import judge  # noqa: E402
from harness import ccm, client  # noqa: E402
from harness.mp import ACK_BODY  # noqa: E402

MP_DATE = b"Thu, 01 Mar 2007 10:11:12 GMT"  # of harness.mp: an acknowledgement of ours has its own


def client_name(n):
    return "GUID:" + ccm.guid(n)


class Sent:
    """One message and what its sender knows."""

    def __init__(self, message):
        self.message = message
        self.id = message.id
        self.client = client_name(message.client)
        self.acks = 0
        self.tries = []  # (begun, ended, status or None, the management point's own?), monotonic

    def is_acknowledged(self):
        return self.acks > 0

    def was_lost(self, n_receipts):
        """Did the management point receive it in a try whose answer the client never got?

        It has received it more often than it has answered it. When it read a request says
        nothing: that may be after the one who passed it on is dead, and the next try begun.
        """
        return n_receipts > sum(1 for t in self.tries if t[2] == 200 and t[3])


class Load:
    """Each message of a client has a rule of its own, but every tenth, which repeats one: so a
    lost message and a doubled one do not make up for each other.
    """

    def __init__(self, port, seed, clients=6, threads=4, first_client=1000, timeout=10):
        self.port = port
        self.random = random.Random(seed)
        self.clients, self.threads = clients, threads
        self.per_client = collections.Counter()
        self.first_client = first_client
        self.timeout = timeout
        self.sent = {}
        self.lock = threading.Lock()
        self.is_stopping = False

    def next(self):
        """(client, rule) of a new message"""
        who = self.first_client + self.random.randrange(self.clients)
        n = self.per_client[who]
        self.per_client[who] += 1
        return who, "ABC%05d" % (0 if n % 10 == 9 else n)

    def new(self):
        who, rule = self.next()
        m = ccm.Message(client=who, rule=rule)
        s = self.sent[m.id] = Sent(m)
        return s

    def _try(self, conn, s, port):
        """The connection to go on with, or None."""
        begun = time.monotonic()
        status, is_passed = None, False
        try:
            conn = conn or client.Client(port, timeout=self.timeout)
            r = conn.ask(s.message.raw)
            if r is not None:
                status, is_passed = r.status, r.field(b"Date") == MP_DATE
                if r.status == 200 and r.body == ACK_BODY:
                    s.acks += 1
        except (OSError, AssertionError):
            pass
        s.tries.append((begun, time.monotonic(), status, is_passed))
        if status is None and conn:
            conn.close()
        return conn if status is not None else None

    def _work(self, queue, port):
        conn = None
        while not self.is_stopping:
            with self.lock:
                if not queue:
                    break
                s = queue.pop()
            conn = self._try(conn, s, port)
        if conn:
            conn.close()

    def _run(self, queue, port=None):
        workers = [threading.Thread(target=self._work, args=(queue, port or self.port))
                   for _ in range(self.threads)]
        for w in workers:
            w.start()
        return workers

    def begin(self, n):
        """Send n new messages in the background; join() waits."""
        self.is_stopping = False
        self.running = self._run([self.new() for _ in range(n)])

    def join(self):
        for w in self.running:
            w.join()

    def stop(self):
        self.is_stopping = True
        self.join()

    def send(self, n):
        self.begin(n)
        self.join()
        return self

    def open_messages(self):
        return [s for s in self.sent.values() if s.tries and not s.is_acknowledged()]

    def retry(self, seconds=30):
        """What nobody tried is left out: it was never sent."""
        end = time.monotonic() + seconds
        while True:
            left = self.open_messages()
            if not left:
                return self
            assert time.monotonic() < end, "%d messages get no acknowledgement, last: %r" % (
                len(left), left[0].tries[-3:])
            if any(s.tries[-1][2] != 200 for s in left) and len(left[0].tries) > 3:
                threading.Event().wait(0.05)
            self.is_stopping = False
            for w in self._run(list(left)):
                w.join()


def books_of(load, mp):
    """The record of the clients and of the management point, as the judge wants them."""
    storm, point = judge.Storm(), judge.ManagementPoint()
    receipts = collections.defaultdict(list)
    for r in list(mp.requests):
        facts = ccm.summary_facts(r.body)
        if facts:
            point.take({"kind": "summary", "id": ccm.message_id(r.body),
                        "window": facts["window"], "subject": facts["client"],
                        "part": "%d/%d" % (facts["part"], facts["parts"]),
                        "messages": str(facts["messages"])})
            continue
        receipts[ccm.message_id(r.body)].append(r)
    for s in load.sent.values():
        if s.id in receipts:
            point.take({"kind": "rule", "id": s.id, "crc": "-"})
        if s.is_acknowledged():
            storm.acknowledge(s.id, s.client, s.message.rule)
        elif s.tries:
            storm.leave_open(s.id, s.client, s.message.rule)
        # Received by the management point in a try that failed for the client: the
        # repetition may be counted too, as it would have arrived twice without statweir.
        if s.is_acknowledged() and s.was_lost(len(receipts.get(s.id, ()))):
            storm.repeat_may_count(s.id, s.client)
    return storm, point


def check_rules(load, mp, redis):
    """Redis has heard of the rule of each message that it alone has, and of no other."""
    passed = {ccm.message_id(r.body) for r in list(mp.requests)}
    must, may = collections.defaultdict(set), collections.defaultdict(set)
    for s in load.sent.values():
        who = s.client.upper()
        may[who].add(s.message.rule)
        if s.is_acknowledged() and s.id not in passed:
            must[who].add(s.message.rule)
    known = {c.upper(): rules for c, rules in redis.rules().items()}
    for who in may:
        got = known.get(who, set())
        assert must[who] <= got, "%s: lost %s" % (who, sorted(must[who] - got)[:20])
        assert got <= may[who], "%s: nobody sent %s" % (who, sorted(got - may[who])[:20])


def check(load, mp, redis=None, held=None):
    """Compare; held: client -> messages that are still in Redis, for want of a redis to ask.

    Where redis is given, its own count of messages ever recorded stands for the summaries,
    and those that have arrived may not say more than it.
    """
    storm, point = books_of(load, mp)
    if redis is not None:
        check_rules(load, mp, redis)
        ever = collections.Counter({k.upper(): v for k, v in redis.messages().items()})
        told = collections.Counter()
        for name, n in point.windows.values():
            told[name.upper()] += n
        over = {k: n - ever[k] for k, n in told.items() if n > ever[k]}
        assert not over, "summaries tell of more than was recorded: %r" % over
        held = {k: n - told[k] for k, n in ever.items()}
    mine = {s.client for s in load.sent.values()}
    held = {k: n for k, n in (held or {}).items() if k in mine}
    point.windows = {w: v for w, v in point.windows.items() if v[0].upper() in mine}
    books = judge.compare(storm, point, held, names_rules=False)
    assert not books["faults"], (books, [s.tries for s in load.sent.values() if len(s.tries) > 1]
                                 [:20])
    return books
