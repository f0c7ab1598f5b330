"""Clients that take, hold, dribble and break off: what they may cost, and that others are served."""
import os
import random
import resource
import shutil
import socket
import subprocess
import threading
import time

import pytest

from harness import ccm
from harness.mp import ACK
from harness.proxy import SCALE, Statweir, until
from limits_wire import (Client, RESET, ask, connect, descriptors, echo,  # noqa: F401
                         echo_again, is_idle, is_sanitized, ok, quiet, request, resident, upstream,
                         weirs)

BLOCK = 65536  # one buffer
MIB = 1 << 20
# A sanitizer keeps freed memory for a while, and shadows the rest.
SLACK = (24 if is_sanitized() else 3) * MIB


@pytest.fixture
def lean(upstream, tmp_path):
    """A factory of statweirs whose memory can be judged, and that know the acknowledgement."""
    made = []
    path = tmp_path / "ack.http"
    path.write_bytes(ACK)

    def start(**settings):
        values = {"ack.template": path, "listen.max_per_address": 1000}
        values.update({k.replace("__", "."): v for k, v in settings.items()})
        p = Statweir(upstream.port, values)
        p.env = {"ASAN_OPTIONS": "quarantine_size_mb=1:thread_local_quarantine_size_kb=64"}
        made.append(p)
        return p.start().ready()

    yield start
    for p in made:
        p.close()


# --- connections of one address

@pytest.mark.parametrize("d", [-1, 0, 1])
def test_limit_of_connections_from_one_address(weirs, upstream, d):
    p = weirs(listen__max_per_address="20", listen__trusted="127.0.0.6, 127.0.7.0/24")
    until("no connection is left", lambda: p.metric("statweir_connections") == 0)
    before = p.metric("statweir_connections_refused_total")
    conns = [Client(p.port, source="127.0.0.5") for _ in range(20 + d)]
    answered = 0
    for c in conns:
        try:
            answered += c.ask(request()).status == 200
        except (AttributeError, ConnectionError):
            pass
    assert answered == min(20, 20 + d)
    assert p.metric("statweir_connections_refused_total") == before + (d > 0)
    # Others are not concerned; trusted peers have no limit.
    for source, n in (("127.0.0.7", 20), ("127.0.0.6", 60), ("127.0.7.9", 60)):
        more = [Client(p.port, source=source) for _ in range(n)]
        for c in more:
            assert c.ask(request()).status == 200
        conns += more
    if d > 0:
        with Client(p.port, source="127.0.0.5") as c:
            assert c.is_closed()
    conns[0].close()
    until("one of them has gone", lambda: p.metric("statweir_connections") < 160 + d)
    with Client(p.port, source="127.0.0.5") as c:
        assert c.ask(request()).status == 200
    for c in conns:
        c.close()


# --- descriptors

def cpu_seconds(p):
    with open("/proc/%d/stat" % p.proc.pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_accepting_pauses_without_descriptors_and_recovers(lean, upstream):
    p = lean(upstream__idle_timeout="1m")
    assert ask(p, request()).status == 200  # one upstream connection is there
    pid = p.proc.pid
    top = max(int(n) for n in os.listdir("/proc/%d/fd" % pid))
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (top + 20, 20000))
    first = Client(p.port)
    assert first.ask(request()).status == 200
    conns = [Client(p.port) for _ in range(60)]
    until("accepting pauses", lambda: p.logged("accept_paused"))
    # Those inside are served, nothing spins, nothing is said again and again.
    used, lines = cpu_seconds(p), len(p.log)
    for _ in range(20):
        assert first.ask(request(fields=b"X-Nonce: in\r\n")).body == b"in"
        quiet(0.05)
    assert cpu_seconds(p) - used < 0.5 * SCALE
    assert len(p.log) - lines < 5
    for c in conns[:50]:
        c.close()
    for c in conns[50:]:
        assert c.ask(request(fields=b"X-Nonce: late\r\n")).body == b"late"
        c.close()
    first.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert p.metric("statweir_accept_pauses_total") >= 1
    until("all are closed", lambda: p.metric("statweir_connections") == 0)


# --- memory

def test_readers_of_one_byte_a_second_cost_bounded_memory(lean, upstream):
    """Ten clients, 200 MB each."""
    p = lean()

    def answer(peer, head):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MIB))
        for _ in range(200):
            peer.send(b"z" * MIB)
        return True

    assert ask(p, request()).status == 200
    upstream.script(answer)
    before = resident(p)
    conns = [Client(p.port) for _ in range(10)]
    for c in conns:
        c.send(request())
    most = 0
    for _ in range(3):
        for c in conns:
            assert c.s.recv(1)
        quiet(1)
        most = max(most, resident(p) - before)
    assert most < 10 * 2 * BLOCK + SLACK, most
    # They keep nobody else from being served.
    upstream.script(echo)
    assert ask(p, request(fields=b"X-Nonce: n\r\n")).body == b"n"
    for c in conns:
        c.reset()
    until("all have gone", lambda: is_idle(p))


SLOW = {
    "head": b"GET / HTTP/1.1\r\nHost: mp01\r\nX: ",
    "held": ccm.Message().raw[:400],
    "upload": b"BITS_POST /up HTTP/1.1\r\nHost: mp01\r\nContent-Length: 100000\r\n\r\n",
}


@pytest.mark.parametrize("word", sorted(SLOW))
def test_two_hundred_dribbling_clients_cost_bounded_memory(lean, upstream, word):
    p = lean()
    assert ask(p, request()).status == 200
    before = resident(p)
    conns = [Client(p.port) for _ in range(200)]
    for c in conns:
        c.send(SLOW[word])
    most = 0
    for _ in range(10):
        for c in conns:
            c.send(b"x")
        most = max(most, resident(p) - before)
        assert ask(p, request(fields=b"X-Nonce: n\r\n")).body == b"n"
    until("all are there", lambda: p.metric("statweir_connections") == 200)
    # Each way one block at most, and what a connection and its request are themselves.
    each = 2 * BLOCK + 32768
    assert most < 200 * each * (2 if is_sanitized() else 1) + SLACK, most
    for c in conns:
        c.reset()
    until("all have gone", lambda: is_idle(p))


def test_sender_that_nobody_reads_is_held_back(lean, upstream):
    """1 GiB is offered; what the proxy takes is one block each way and the kernel's share."""
    p = lean()
    go = threading.Event()
    upstream.script(lambda peer, head: go.wait(10) and False)
    before = resident(p)
    with Client(p.port) as c:
        c.send(b"BITS_POST /up HTTP/1.1\r\nHost: mp01\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        c.s.settimeout(0.5)
        sent = 0
        try:
            while sent < 1 << 28:
                sent += c.s.send(b"y" * MIB)
        except (socket.timeout, TimeoutError):
            pass
        assert sent < 64 * MIB
        assert resident(p) - before < 2 * BLOCK + SLACK
        go.set()


# --- ten thousand connections that go wrong

GET = request(fields=b"X-Nonce: n\r\n")
POST = b"BITS_POST /up HTTP/1.1\r\nHost: mp01\r\nContent-Length: 3000\r\n\r\n"


class Chaos:
    """Connections that are opened, half used and left in every way; the seed repeats them."""

    def __init__(self, p, seed):
        self.p = p
        self.dice = random.Random(seed)
        self.kept = []

    def garbage(self):
        return bytes(self.dice.randrange(256) for _ in range(self.dice.randrange(1, 200)))

    def data(self):
        message = ccm.Message(client=self.dice.randrange(50)).raw
        whole = self.dice.choice([GET, POST + b"y" * 3000, message, message, GET * 3,
                                  GET + message + GET])
        n = self.dice.randrange(8)
        if n == 0:
            return b""
        if n == 1:
            return self.garbage()
        if n == 2:
            at = self.dice.randrange(len(whole))
            return whole[:at] + self.garbage() + whole[at:]
        if n in (3, 4):
            return whole[:self.dice.randrange(len(whole))]
        return whole

    def end(self, s):
        n = self.dice.randrange(4)
        try:
            if n == 0:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            elif n == 1:
                s.shutdown(socket.SHUT_WR)
                s.settimeout(0.02)
                s.recv(65536)
            elif n == 2:
                s.settimeout(0.005)
                s.recv(100)
        except OSError:
            pass
        s.close()

    def one(self):
        s = connect(self.p.port, "127.0.%d.%d" % (self.dice.randrange(1, 200),
                                                  self.dice.randrange(1, 250)))
        data = self.data()
        try:
            at = self.dice.choice([0, 0, self.dice.randrange(len(data) + 1)])
            if at:
                s.sendall(data[:at])
            s.sendall(data[at:])
        except OSError:
            pass
        if self.dice.randrange(10) == 0:
            self.kept.append(s)
        else:
            self.end(s)
        if len(self.kept) > 100:
            self.end(self.kept.pop(self.dice.randrange(len(self.kept))))

    def run(self, n):
        for _ in range(n):
            self.one()
        while self.kept:
            self.end(self.kept.pop())
        until("all is over", lambda: is_idle(self.p), 30)


def test_ten_thousand_broken_connections_leave_nothing(lean, upstream):
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(1 << 30)))
    count = int(os.environ.get("CHAOS_CONNECTIONS", 10000))
    print("CHAOS_SEED=%d" % seed)
    p = lean(upstream__idle_timeout="100ms", listen__linger="200ms")
    dice = random.Random(seed)

    def answer(peer, head):
        """Mostly right, sometimes as bad as the clients."""
        n = dice.randrange(40)
        if n == 0:
            return False
        if n == 1:
            peer.send(b"garbage")
            return False
        if n == 2:
            peer.send(ok(b"early"))
            return False
        return echo(peer, head)

    def settled():
        # Upstream connections end too.
        until("the pool is empty", lambda: p.metric("statweir_upstream_connections") == 0)
        fds = []
        for _ in range(10):  # the question itself needs one for a moment
            quiet(0.02)
            fds.append(descriptors(p))
        return min(fds), resident(p)

    upstream.script(answer)
    chaos = Chaos(p, seed)
    chaos.run(count // 4)
    fds, rss = settled()
    chaos.run(count)
    fds_after, rss_after = settled()
    assert fds_after == fds, (seed, fds, fds_after)
    assert rss_after - rss < SLACK, (seed, rss, rss_after)
    p.check_books()
    m = p.metrics()
    assert m["statweir_connections_total"] >= count * 1.2
    for fate in ("passed", "absorbed_unique", "refused", "aborted"):
        assert m['statweir_messages_outcome_total{outcome="%s"}' % fate] > 0, fate
    upstream.script(echo)
    assert ask(p, GET).body == b"n"


# --- slowhttptest

class Canary(threading.Thread):
    """Another client's request and message every so often: each must be answered, soon."""

    def __init__(self, p):
        super().__init__(daemon=True)
        self.p = p
        self.done = threading.Event()
        self.took = []
        self.problem = None

    def run(self):
        while not self.done.wait(0.25):
            try:
                t = time.monotonic()
                for data in (GET, ccm.Message(client=7).raw):
                    with Client(self.p.port, timeout=10 * SCALE, source="127.0.0.9") as c:
                        r = c.ask(data)
                        assert r is not None and r.status == 200, r
                self.took.append(time.monotonic() - t)
            except Exception as e:
                self.problem = self.problem or e


ATTACKS = {
    "slow_headers": ["-H", "-i", "1", "-x", "24"],
    "slow_bodies": ["-B", "-i", "1", "-s", "8192", "-x", "10"],
    "slow_reading": ["-X", "-w", "10", "-y", "20", "-n", "1", "-z", "5", "-k", "3"],
}


@pytest.mark.skipif(not shutil.which("slowhttptest"), reason="package slowhttptest")
@pytest.mark.parametrize("word", sorted(ATTACKS))
def test_slowhttptest_keeps_nobody_else_waiting(lean, upstream, word):
    """800 connections, SLOWHTTP_SECONDS (4) for each attack; all of them are let in."""
    seconds = int(os.environ.get("SLOWHTTP_SECONDS", 4))
    # An answer larger than the buffers holds an upstream connection.
    p = lean(upstream__max_connections=2000 if word == "slow_reading" else 256)
    big = ok(b"z" * (MIB // 4))

    def answer(peer, head):
        if head.startswith(b"GET /big "):
            peer.send(big)
            return True
        return echo(peer, head)

    assert ask(p, GET).status == 200
    upstream.script(answer)
    before = resident(p)
    canary = Canary(p)
    canary.start()
    out = subprocess.run(["slowhttptest", "-c", "800", "-r", "800", "-l", str(seconds), "-p", "3", "-u",
                          "http://127.0.0.1:%d/big" % p.port] + ATTACKS[word],
                         capture_output=True, text=True, timeout=seconds + 60)
    most = p.metric("statweir_connections_total")
    grown = resident(p) - before
    canary.done.set()
    canary.join()
    assert most >= 800, out.stdout[-2000:]
    assert canary.problem is None, canary.problem
    assert len(canary.took) >= seconds and max(canary.took) < 5 * SCALE, max(canary.took)
    assert grown < 800 * 2 * (BLOCK + 16384) * (2 if is_sanitized() else 1) + SLACK, grown
    until("all have gone", lambda: is_idle(p), 40)


def test_default_limit_of_an_address_stops_slowhttptest_early(lean, upstream):
    """Of 300 connections of one address only 200 get in."""
    p = lean(listen__max_per_address="200")
    conns = [Client(p.port, source="127.0.0.5") for _ in range(300)]
    until("the rest is refused", lambda: p.metric("statweir_connections_refused_total") == 100)
    assert p.metric("statweir_connections") == 200
    assert ask(p, GET).status == 200
    for c in conns:
        c.close()
