"""What the tests of responses, limits, time and resources share: a scripted upstream that acts
as soon as a request head is there, and clients that look at raw bytes."""
import os
import re
import socket
import threading
import time

import pytest

from harness import client
from harness.proxy import SCALE, Statweir, binary, until

RESET = b"\1\0\0\0\0\0\0\0"
# A deadline is looked at every 100 ms; the rest is for a busy machine.
LATE = 0.8 * SCALE


IP_BIND_ADDRESS_NO_PORT = 24


def connect(port, source=None, timeout=20):
    """A socket; its own port may be one that another connection has elsewhere."""
    s = socket.socket()
    s.settimeout(timeout)
    if source:
        s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        s.bind((source, 0))
    s.connect(("127.0.0.1", port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


class Client(client.Client):
    def __init__(self, port, timeout=20, source=None):
        self.s = connect(port, source, timeout)
        self.buf = b""


def quiet(seconds):
    """Nobody says anything for so long: only where time itself is what is tested."""
    threading.Event().wait(seconds)


def is_sanitized():
    with open(binary(), "rb") as f:
        return b"__asan_init" in f.read()


class Peer:
    """The upstream's side of one connection."""

    def __init__(self, sock, number):
        self.s = sock
        self.number = number
        self.buf = b""
        self.got = b""  # every byte that ever came
        self.is_ended = False
        self.is_busy = False  # in a script that may end the connection

    def more(self):
        d = self.s.recv(65536)
        self.buf += d
        if len(self.got) < 1 << 20:
            self.got += d[:1 << 20]
        self.is_ended = not d
        return bool(d)

    def head(self):
        while b"\r\n\r\n" not in self.buf:
            if not self.more():
                return None
        head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        return head + b"\r\n\r\n"

    def take(self, n):
        while len(self.buf) < n:
            if not self.more():
                raise OSError("cut")
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def line(self):
        while b"\r\n" not in self.buf:
            if not self.more():
                raise OSError("cut")
        line, self.buf = self.buf.split(b"\r\n", 1)
        return line

    def body(self, head):
        """The whole body behind head; OSError when it is cut."""
        if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
            out = b""
            while True:
                n = int(self.line(), 16)
                out += self.take(n)
                assert self.take(2) == b"\r\n"
                if n == 0:
                    return out
        m = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        return self.take(int(m.group(1))) if m else b""

    def send(self, data):
        self.s.sendall(data)

    def fin(self):
        self.s.shutdown(socket.SHUT_WR)

    def reset(self):
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.s.close()

    def until_end(self, seconds=10):
        """Read on until the proxy closes; True if it does."""
        self.s.settimeout(seconds * SCALE)
        try:
            while self.more():
                pass
            return True
        except ConnectionResetError:
            return True
        except (socket.timeout, TimeoutError):
            return False


def ok(content=b"ok", fields=b""):
    return b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: %d\r\n\r\n" % len(content) + content


def echo(peer, head):
    """Reads the body, answers with what identifies the request."""
    content = peer.body(head)
    m = re.search(rb"(?i)\r\nx-nonce: *([^\r]*)", head)
    peer.send(ok(m.group(1) if m else b"%d" % len(content), b"X-Echo: 1\r\n"))
    return True


class Upstream:
    """answer(peer, head) runs as soon as a head is there; true keeps the connection."""

    def __init__(self, answer=echo):
        self.answer = answer
        self.heads = []
        self.peers = []
        self.cond = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.faults = []
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.cond:
                peer = Peer(s, len(self.peers))
                self.peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        try:
            while True:
                head = peer.head()
                if head is None:
                    break
                with self.cond:
                    self.heads.append(head)
                    peer.is_busy = True
                    self.cond.notify_all()
                if not self.answer(peer, head):
                    break
                peer.is_busy = False
        except OSError:
            pass
        except Exception as e:  # a fault of the script: shown by the fixture
            self.faults.append(e)
        peer.is_ended = True
        peer.s.close()
        peer.is_busy = False

    def settle(self):
        """Connections that a script is about to end have ended; those that hang are nobody's."""
        end = time.monotonic() + 0.5
        while any(p.is_busy for p in self.peers) and time.monotonic() < end:
            quiet(0.005)

    def script(self, answer):
        """Answer so from now on; forget what was seen."""
        with self.cond:
            self.answer = answer
            self.heads.clear()
        return self

    def sends(self, raw, keep=False):
        def answer(peer, head):
            peer.body(head)
            peer.send(raw)
            return keep

        return self.script(answer)

    def wait(self, n=1, seconds=10):
        with self.cond:
            assert self.cond.wait_for(lambda: len(self.heads) >= n, seconds * SCALE), self.heads
            return list(self.heads)

    def stop(self):
        # Closing alone would leave the thread in accept(), on a number that is used again.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.accepting.join(5)
        self.listener.close()
        for p in self.peers:
            try:
                p.s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@pytest.fixture(scope="module")
def upstream():
    u = Upstream()
    yield u
    u.stop()


@pytest.fixture(autouse=True)
def echo_again(request):
    """Every test begins with an upstream that echoes."""
    if "upstream" in request.fixturenames:
        u = request.getfixturevalue("upstream")
        u.settle()
        u.script(echo)
        u.faults.clear()
        yield
        assert not u.faults, u.faults
    else:
        yield


class Weirs:
    """Running statweirs of a module, one for each set of settings."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.running = {}

    def __call__(self, port=None, **settings):
        values = {k.replace("__", "."): str(v) for k, v in settings.items()}
        key = (port, tuple(sorted(values.items())))
        if key not in self.running:
            self.running[key] = Statweir(port or self.upstream.port, values).start()
        return self.running[key]

    def close(self):
        problem = None
        for p in self.running.values():
            try:
                p.close()
            except AssertionError as e:
                problem = problem or e
        if problem:
            raise problem


@pytest.fixture(scope="module")
def weirs(upstream):
    w = Weirs(upstream)
    yield w
    w.close()


def request(target=b"/", method=b"GET", fields=b"", content=None, minor=1):
    out = method + b" " + target + b" HTTP/1.%d\r\nHost: mp01\r\n" % minor + fields
    if content is not None:
        out += b"Content-Length: %d\r\n" % len(content)
    return out + b"\r\n" + (content or b"")


def post(n, fields=b"", minor=1, method=b"BITS_POST"):
    return (method + b" /up HTTP/1.%d\r\nHost: mp01\r\n" % minor + fields +
            b"Content-Length: %d\r\n\r\n" % n)


def ask(p, data):
    with Client(p.port) as c:
        return c.ask(data)


def rest(c, seconds=10):
    """(bytes until the end, "fin" | "reset" | "open")."""
    c.s.settimeout(seconds * SCALE)
    out, c.buf = c.buf, b""
    try:
        while True:
            d = c.s.recv(65536)
            if not d:
                return out, "fin"
            out += d
    except ConnectionResetError:
        return out, "reset"
    except (socket.timeout, TimeoutError):
        return out, "open"


def raw(p, data, seconds=10):
    """All bytes that the proxy sends for data, and how it ends the connection."""
    with Client(p.port) as c:
        c.send(data)
        return rest(c, seconds)


def closes_within(c, low, high, since):
    """What comes until the end, which must come between low and high seconds after since."""
    out, how = rest(c, high + 10)
    took = time.monotonic() - since
    assert how != "open", out
    assert low - 0.02 <= took <= high + LATE, (took, out)
    return out


def counted(p, word, n=1):
    """Until a reason has been counted n times (more)."""
    return until("%s is counted" % word, lambda: p.closed(word) >= n)


def descriptors(p):
    return len(os.listdir("/proc/%d/fd" % p.proc.pid))


def resident(p):
    with open("/proc/%d/status" % p.proc.pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024


def is_idle(p):
    m = p.metrics()
    return m["statweir_connections"] == 0 and m["statweir_messages_in_flight"] == 0
