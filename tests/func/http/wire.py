"""What the tests of framing, lines and switching share: an upstream that keeps every byte and
reads it by the letter, and clients that look at what was refused and where it went."""
import re
import select
import socket
import threading

import pytest

from harness.client import Client
from harness.proxy import SCALE, Statweir

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
LINE = re.compile(rb"^(" + TOKEN + rb") ([\x21-\x22\x24-\x7e]+) HTTP/1\.1$")
FIELD = re.compile(rb"^(" + TOKEN + rb"): ((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*"
                   rb"[\x21-\x7e\x80-\xff])?)?)$")
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade",
              b"proxy-authenticate", b"proxy-authorization"}
CANARY = b"GET /canary HTTP/1.1\r\nHost: canary.test\r\nConnection: close\r\n\r\n"
# Nothing is said now: the test speaks through request.stream.
SILENCE = b""


def ok(body=b"", fields=b"", status=b"200 OK"):
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, fields, len(body), body)


def echo(r):
    body = b"" if r.method == b"HEAD" else b"%s %s %d" % (r.method, r.target, len(r.body))
    return ok(body)


class Fault(Exception):
    """The upstream was sent what no strict reader takes."""


class Request:
    def __init__(self, stream, raw_head):
        self.stream = stream
        self.head = raw_head
        self.body = b""
        lines = raw_head[:-4].split(b"\r\n")
        m = LINE.match(lines[0])
        if not m or any(not FIELD.match(x) for x in lines[1:]):
            raise Fault("head %r" % raw_head)
        self.method, self.target = m.groups()
        self.fields = [FIELD.match(x).groups() for x in lines[1:]]
        names = [n.lower() for n, v in self.fields]
        if HOP_BY_HOP & set(names) or names.count(b"host") != 1:
            raise Fault("fields %r" % raw_head)
        if names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
            raise Fault("framing %r" % raw_head)
        self.is_chunked = b"transfer-encoding" in names
        if self.is_chunked and self.get(b"Transfer-Encoding") != [b"chunked"]:
            raise Fault("coding %r" % raw_head)
        length = self.get(b"Content-Length") or [b"0"]
        if not re.match(rb"^(0|[1-9][0-9]*)$", length[0]):
            raise Fault("length %r" % raw_head)
        self.length = int(length[0])

    def get(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def __repr__(self):
        return "<%s %s %d>" % (self.method.decode(), self.target.decode(), len(self.body))


class Stream:
    """One connection to the upstream."""

    def __init__(self, sock, number):
        self.s = sock
        self.number = number
        self.raw = b""  # everything that ever came
        self.rest = b""  # what is no whole request yet
        self.requests = []
        self.is_ended = False

    def send(self, data):
        while data:
            select.select([], [self.s], [], 10)
            data = data[self.s.send(data):]

    def fin(self):
        self.s.shutdown(socket.SHUT_WR)


def _take_chunks(rest):
    """(body, what is behind it), or None while it is not whole."""
    body = b""
    while b"\r\n" in rest:
        size, rest = rest.split(b"\r\n", 1)
        if not re.match(rb"^[0-9a-f]+$", size):
            raise Fault("chunk size %r" % size)
        n = int(size, 16)
        if len(rest) < n + 2:
            return None
        if rest[n:n + 2] != b"\r\n":
            raise Fault("chunk end %r" % rest[n:n + 2])
        body, rest = body + rest[:n], rest[n + 2:]
        if n == 0:
            return body, rest
    return None


class Origin:
    """The upstream. answer(request) -> bytes; SILENCE: wait; None: close without a word.

    One thread serves all connections in turn and reads everything that has come before it
    answers anything: an answered canary proves that nothing earlier is still on its way."""

    def __init__(self):
        self.cond = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.alarm, self.bell = socket.socketpair()
        self.streams, self.requests, self.faults = [], [], []
        self.answer = echo
        self.n = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def clear(self):
        with self.cond:
            self.requests, self.faults = [], []
            self.streams = [s for s in self.streams if not s.is_ended]
            for s in self.streams:
                s.raw, s.requests = b"", []

    def stop(self):
        self.alarm.close()
        self.thread.join(10)

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except BlockingIOError:
                return
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.n += 1
            with self.cond:
                self.streams.append(Stream(s, self.n))

    def _read(self, stream):
        while not stream.is_ended:
            try:
                d = stream.s.recv(1 << 18)
            except BlockingIOError:
                return
            except OSError:
                d = b""
            stream.raw += d
            stream.rest += d
            stream.is_ended = not d

    def _next(self, stream):
        if b"\r\n\r\n" not in stream.rest:
            return None
        head, rest = stream.rest.split(b"\r\n\r\n", 1)
        r = Request(stream, head + b"\r\n\r\n")
        if r.is_chunked:
            whole = _take_chunks(rest)
            if whole is None:
                return None
            r.body, rest = whole
        elif len(rest) < r.length:
            return None
        else:
            r.body, rest = rest[:r.length], rest[r.length:]
        stream.rest = rest
        return r

    def _parse(self, stream, seen):
        while True:
            try:
                r = self._next(stream)
            except Fault as e:
                self.faults.append(str(e))
                stream.rest = b""
                stream.is_ended = True
                return
            if r is None:
                return
            stream.requests.append(r)
            self.requests.append(r)
            seen.append(r)

    def _reply(self, r):
        out = self.answer(r)
        try:
            if out is None:
                r.stream.is_ended = True
            elif out:
                r.stream.send(out)
        except OSError:
            r.stream.is_ended = True

    def _run(self):
        while True:
            live = [s for s in self.streams if not s.is_ended]
            ready, _, _ = select.select([self.bell, self.listener] + [s.s for s in live], [], [])
            if self.bell in ready:
                break
            self._accept()
            seen = []
            with self.cond:
                for s in self.streams:
                    self._read(s)
                    self._parse(s, seen)
            for r in seen:
                self._reply(r)
            with self.cond:
                for s in self.streams:
                    if s.is_ended and s.s.fileno() >= 0:
                        s.s.close()
                self.cond.notify_all()
        for s in [self.listener, self.bell] + [s.s for s in self.streams]:
            s.close()

    def wait(self, what, predicate, seconds=10):
        with self.cond:
            assert self.cond.wait_for(predicate, seconds * SCALE), \
                "%s: %r %r" % (what, self.requests, [s.raw for s in self.streams])
        return predicate()

    def request(self, number=1):
        """The numberth request since clear(), as soon as it is whole."""
        return self.wait("request %d" % number,
                         lambda: len(self.requests) >= number and self.requests[number - 1])

    def stream_with(self, data):
        """The connection on which those bytes came."""
        return self.wait("bytes %r" % data,
                         lambda: next((s for s in self.streams if data in s.raw), None))

    def ended(self, stream):
        self.wait("the end of the connection", lambda: stream.is_ended)


SETTINGS = {"listen.header_timeout": "20s", "listen.linger": "1s", "listen.max_per_address": "2000"}


@pytest.fixture(scope="module")
def shared():
    """One upstream and one statweir for all tests of a module."""
    o = Origin()
    p = Statweir(o.port, SETTINGS).start().ready()
    yield o, p
    try:
        p.close()
    finally:
        o.stop()


@pytest.fixture
def origin(shared):
    """The shared upstream; at the end nothing that came may have been other than strict."""
    o, p = shared
    o.clear()
    o.answer = echo
    yield o
    assert not o.faults, o.faults


@pytest.fixture
def weir(shared, origin):
    return shared[1]


def send_all(c, raw, split=0):
    """Send what goes: the other side may have closed after the fault."""
    try:
        c.send(raw, split)
    except OSError:
        pass
    return c


def canary(weir, origin):
    """A stranger's request is served, and is the last that the upstream got."""
    with Client(weir.port) as c:
        r = c.ask(CANARY)
        assert r.status == 200 and r.body == b"GET /canary 0", r
    assert origin.requests[-1].target == b"/canary"
    return origin.requests[:-1]


def refused(weir, origin, raw, status, word, split=0):
    """raw is answered so, the connection ends, and no whole request has gone upstream."""
    origin.clear()
    with Client(weir.port) as c:
        r = send_all(c, raw, split).response()
        assert r is not None, "closed without an answer: %r" % raw
        assert (r.status, r.body.split(b":")[0].decode()) == (status, word), (raw, r)
        assert r.field(b"Connection") == b"close" and c.is_closed(), raw
    assert canary(weir, origin) == [], raw
    for s in origin.streams:
        assert s.is_ended or s.rest == b"", "left open in the middle: %r" % s.rest


def refused_before(weir, origin, raw, status, word):
    """As refused(), in one piece and byte by byte, and not a byte of it has gone upstream."""
    for split in (0, 1):
        refused(weir, origin, raw, status, word, split)
        assert sum(len(s.requests) for s in origin.streams) == 1
        assert all(s.raw.startswith(b"GET /canary") or not s.raw for s in origin.streams), raw


def forwarded(weir, origin, raw, split=0):
    """raw is served; the one request that the upstream saw."""
    origin.clear()
    with Client(weir.port) as c:
        r = c.ask(raw, split)
        assert r.status == 200, (raw, r)
    assert len(origin.requests) == 1, (raw, origin.requests)
    return origin.requests[0]
