"""Every deadline of a client's and of the upstream's: T7 to T9 of docs/HTTP.md."""
import os
import signal
import socket
import time

import pytest

from harness import ccm
from harness.proxy import SCALE, until
from limits_wire import (Client, LATE, ask, closes_within, echo_again, ok, post,  # noqa: F401
                         quiet, request, rest, upstream, weirs)

# The deadlines of most tests; 2000 B/s make 1000 bytes in each window.
D = 0.5


@pytest.fixture
def hasty(weirs):
    """Every deadline is D."""
    return weirs(listen__header_timeout="500ms", listen__idle_timeout="500ms",
                 listen__min_rate="2000B", listen__rate_window="500ms", listen__linger="500ms",
                 upstream__first_byte_timeout="500ms", upstream__between_bytes_timeout="500ms")


# --- T7: slow requests

@pytest.mark.parametrize("first", [b"G", b"GET / HTTP/1.1\r\nHost: mp01\r\n", b"\r\n"])
def test_T7_header_section_must_be_there_in_time(hasty, first):
    with Client(hasty.port) as c:
        t = time.monotonic()
        c.send(first)
        out = closes_within(c, D, D + 0.1, t)
    assert out.startswith(b"HTTP/1.1 408 ") and b"head_timeout" in out


def test_T7_header_section_just_in_time(hasty, upstream):
    with Client(hasty.port) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: mp01\r\n")
        quiet(0.6 * D)
        assert c.ask(b"X-Nonce: n\r\n\r\n").body == b"n"


def test_T7_dribbling_does_not_buy_time(hasty):
    with Client(hasty.port) as c:
        t = time.monotonic()
        c.send(b"GET / HTTP/1.1\r\nHost: mp01\r\nX: ")
        for _ in range(8):
            quiet(D / 10)
            c.send(b"x")
        out = closes_within(c, D, D + 0.1, t)
    assert out.startswith(b"HTTP/1.1 408 ")


def test_T7_time_of_a_header_section_begins_with_its_first_byte(hasty, upstream):
    with Client(hasty.port) as c:
        quiet(0.5 * D)
        c.send(b"GET / HTTP/1.1\r\nHost: mp01\r\n")
        quiet(0.6 * D)
        assert c.ask(b"X-Nonce: n\r\n\r\n").body == b"n"


STREAMED = post(100000)
GATHERED = post(5000)
HELD = ccm.request(b"x" * 5000).replace(b"x" * 5000, b"")


@pytest.mark.parametrize("head", [STREAMED, GATHERED, HELD], ids=["streamed", "gathered", "held"])
@pytest.mark.parametrize("n,windows", [(999, 1), (1000, 2), (1001, 2)])
def test_T7_body_slower_than_the_rate(hasty, upstream, head, n, windows):
    """1000 bytes are asked for in each window; nothing comes after the first n."""
    with Client(hasty.port) as c:
        t = time.monotonic()
        c.send(head)
        if head == STREAMED:
            upstream.wait()
        else:
            quiet(0.05)
        c.send(b"y" * n)
        out = closes_within(c, windows * D, windows * D + 0.2, t)
    assert out.startswith(b"HTTP/1.1 408 ") and b"body_timeout" in out, out
    assert len(upstream.heads) == (head == STREAMED)


@pytest.mark.parametrize("n,is_gathered", [(65535, True), (65536, True), (65537, False)])
def test_T7_slow_body_that_fits_keeps_no_upstream_connection(hasty, upstream, n, is_gathered):
    """With its head in one buffer: what a slow client sends waits with us, not there."""
    head = post(99999, b"X-Nonce: n\r\n")
    size = n - len(head)
    head = head.replace(b"99999", b"%05d" % size)
    with Client(hasty.port) as c:
        c.send(head + b"y" * (size - 1))
        if is_gathered:
            quiet(0.2)
            assert upstream.heads == []
        else:
            upstream.wait()
        assert c.ask(b"y").body == b"n"


def test_T7_steady_slow_body_arrives(hasty, upstream):
    with Client(hasty.port) as c:
        c.send(post(3000, b"X-Nonce: n\r\n"))
        for _ in range(10):
            c.send(b"y" * 300)
            quiet(0.2 * D)
        assert c.response().body == b"n"


def test_T7_whole_held_request_has_a_limit(weirs, upstream):
    """Fast enough for the rate, but not over at the end of its time."""
    p = weirs(listen__request_timeout="1s", listen__rate_window="10m")
    with Client(p.port) as c:
        t = time.monotonic()
        c.send(HELD)
        for _ in range(6):
            c.send(b"y" * 500)
            quiet(0.12)
        out = closes_within(c, 1, 1.1, t)
    assert out.startswith(b"HTTP/1.1 408 ")
    assert upstream.heads == []


# --- T8: idle connections

@pytest.mark.parametrize("n", [0, 1, 3])
def test_T8_idle_connection_is_closed_without_a_word(hasty, upstream, n):
    with Client(hasty.port) as c:
        for _ in range(n):
            assert c.ask(request()).status == 200
        out = closes_within(c, D - 0.03, D + 0.1, time.monotonic())
    assert out == b""


def test_T8_request_just_in_time(hasty, upstream):
    with Client(hasty.port) as c:
        for i in range(3):
            quiet(0.6 * D)
            assert c.ask(request(fields=b"X-Nonce: %d\r\n" % i)).body == b"%d" % i


@pytest.mark.parametrize("n", [0, 1])
def test_T8_request_that_is_already_there_wins(hasty, upstream, n):
    """It came in time; the proxy looks only after the deadline."""
    with Client(hasty.port) as c:
        for _ in range(n):
            assert c.ask(request()).status == 200
        os.kill(hasty.proc.pid, signal.SIGSTOP)
        try:
            c.send(request(fields=b"X-Nonce: there\r\n"))
            quiet(D + 0.3)
        finally:
            os.kill(hasty.proc.pid, signal.SIGCONT)
        assert c.response().body == b"there"


# --- T9: slow upstreams

class Deaf:
    """A listener whose queue is full: connections are neither made nor refused."""

    def __enter__(self):
        self.s = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self.s.getsockname()[1]
        self.fill = []
        for _ in range(3):
            c = socket.socket()
            c.setblocking(False)
            c.connect_ex(("127.0.0.1", self.port))
            self.fill.append(c)
        quiet(0.05)
        return self

    def __exit__(self, *a):
        for c in self.fill:
            c.close()
        self.s.close()


def test_T9_connect_has_a_limit(weirs):
    with Deaf() as deaf:
        p = weirs(port=deaf.port, upstream__connect_timeout="500ms")
        t = time.monotonic()
        r = ask(p, request())
        took = time.monotonic() - t
        assert r.status == 504 and b"upstream_connect_timeout" in r.body
        assert D - 0.02 <= took <= D + 0.1 + LATE


def test_T9_nobody_listens(weirs):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    r = ask(weirs(port=port), request())
    assert r.status == 502 and b"upstream_refused" in r.body


def waits(n, *pieces):
    """Sends the pieces with n seconds before each."""
    def answer(peer, head):
        peer.body(head)
        for piece in pieces:
            quiet(n)
            peer.send(piece)
        return True

    return answer


def falls_silent(data):
    def answer(peer, head):
        peer.send(data)
        peer.until_end(5)
        return False

    return answer


def test_T9_first_byte_has_a_limit(hasty, upstream):
    upstream.script(waits(3 * D, ok()))
    with Client(hasty.port) as c:
        t = time.monotonic()
        r = c.ask(request())
        took = time.monotonic() - t
        assert r.status == 504 and b"upstream_timeout" in r.body
        assert D - 0.02 <= took <= D + 0.1 + LATE
    # Whatever comes later on that connection is nobody's.
    assert upstream.peers[-1].until_end(5) or upstream.peers[-1].is_ended


def test_T9_first_byte_just_in_time(hasty, upstream):
    upstream.script(waits(0.6 * D, ok(b"late")))
    assert ask(hasty, request()).body == b"late"


def test_T9_first_byte_is_awaited_from_the_end_of_the_upload(hasty, upstream):
    upstream.script(waits(0.6 * D, ok(b"late")))
    with Client(hasty.port) as c:
        c.send(post(2400))
        for _ in range(4):
            c.send(b"y" * 600)
            quiet(0.25 * D)
        assert c.response().body == b"late"


def test_T9_steady_slow_response_arrives(hasty, upstream):
    upstream.script(waits(0.5 * D, b"HTTP/1.1 200 OK\r\nCont", b"ent-Length: 6\r\n\r\n", b"ab", b"cd",
                          b"ef"))
    assert ask(hasty, request()).body == b"abcdef"


@pytest.mark.parametrize("minor", [1, 0])
@pytest.mark.parametrize("fields", [b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n", b""],
                         ids=["length", "chunked", "close"])
def test_T9_silence_within_a_response_cuts_it(hasty, upstream, fields, minor):
    part = b"2\r\nab\r\n" if b"chunked" in fields else b"ab"
    upstream.script(falls_silent(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + part))
    with Client(hasty.port) as c:
        t = time.monotonic()
        c.send(request(minor=minor))
        out, how = rest(c, 5)
        assert D - 0.02 <= time.monotonic() - t <= D + 0.1 + LATE
    assert b"ab" in out and b"0\r\n\r\n" not in out
    assert how == "reset" or b"chunked" in out or b"Content-Length: 6" in out


def test_T9_silence_within_a_response_head_is_a_504(hasty, upstream):
    upstream.script(falls_silent(b"HTTP/1.1 200 OK\r\nX: "))
    r = ask(hasty, request())
    assert r.status == 504


def test_T9_upstream_that_takes_no_upload_has_its_own_limit(weirs, upstream):
    """The rate is the client's; what the upstream refuses to read is not the client's fault."""
    p = weirs(listen__min_rate="1000B", listen__rate_window="300ms",
              upstream__between_bytes_timeout="1s")
    upstream.script(lambda peer, head: quiet(4))
    with Client(p.port) as c:
        c.s.settimeout(0.2)
        t = time.monotonic()
        c.send(post(1 << 30))
        try:
            while True:
                c.s.sendall(b"y" * 65536)
        except (socket.timeout, TimeoutError):
            pass
        c.s.settimeout(10)
        r = c.response()
        took = time.monotonic() - t
    assert r.status == 504, r
    assert 1 <= took <= 1.8 + LATE, took


def test_T9_upstream_that_goes_on_reading_later_gets_the_whole_upload(weirs, upstream):
    p = weirs(listen__min_rate="1000B", listen__rate_window="300ms",
              upstream__between_bytes_timeout="1s")
    n = 24 << 20

    def answer(peer, head):
        quiet(0.8)
        got = len(peer.buf)
        while got < n:
            got += len(peer.s.recv(1 << 20))
        peer.send(ok(b"%d" % got))

    upstream.script(answer)
    with Client(p.port) as c:
        c.send(post(n))
        c.send(b"y" * n)
        assert c.response().body == b"%d" % n


def test_T9_client_that_reads_nothing_is_cut_off(hasty, upstream):
    upstream.sends(ok(b"z" * (64 << 20)))
    before = hasty.closed("client_slow")
    with Client(hasty.port) as c:
        t = time.monotonic()
        c.send(request())
        until("cut off", lambda: hasty.closed("client_slow") == before + 1, 6)
        assert time.monotonic() - t >= 0.9 * D
        out, how = rest(c)
        assert len(out) < 64 << 20


def test_T9_client_that_reads_slowly_but_steadily_gets_everything(hasty, upstream):
    size = 16 << 20
    upstream.sends(ok(b"z" * size))
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.connect(("127.0.0.1", hasty.port))
        s.settimeout(10 * SCALE)
        s.sendall(request(fields=b"Connection: close\r\n"))
        got, t = 0, time.monotonic()
        while time.monotonic() - t < 4 * D:
            got += len(s.recv(32768))
            quiet(0.1)
        assert got < size / 2
        while True:
            d = s.recv(1 << 20)
            if not d:
                break
            got += len(d)
    assert got > size
