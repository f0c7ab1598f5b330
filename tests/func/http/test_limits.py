"""Every limit of docs/HTTP.md at limit - 1, at the limit and at limit + 1."""
import os
import re
import signal
import socket
import subprocess
import threading
import time
import zlib

import pytest

from harness import ccm
from harness.mp import ACK
from harness.proxy import until
from limits_wire import (Client, LATE, ask, echo, echo_again, ok, raw,  # noqa: F401
                         quiet, request, rest, upstream, weirs)

CLOSE = b"Connection: close\r\n"
EDGE = [-1, 0, 1]


@pytest.fixture
def weir(weirs):
    return weirs()


@pytest.fixture
def small(weirs):
    return weirs(limits__request_line="256B", limits__field_line="300B", limits__header_section="1KiB",
                 limits__fields="8", limits__method="9", limits__chunk_extensions="10B",
                 limits__trailers="20B", limits__body="1000B", limits__response_head="1KiB")


def status_and_word(p, data):
    """Status of the answer and, where it is ours, the word of its reason."""
    out, how = raw(p, data)
    assert out.count(b"HTTP/1.1 ") == 1 and how != "open", out
    m = re.search(rb"\r\n\r\n([a-z_0-9]+): ", out)
    return int(out[9:12]), m.group(1).decode() if m else ""


def check(p, upstream, data, is_over, status, word):
    before = p.closed(word)
    n = len(upstream.heads)
    got = status_and_word(p, data)
    if is_over:
        assert got == (status, word)
        assert p.closed(word) == before + 1
        assert len(upstream.heads) == n, "it went upstream all the same"
    else:
        assert got == (200, "")
        assert len(upstream.heads) == n + 1


# --- heads

def sized_line(n):
    line = b"GET /%s HTTP/1.1"
    return line % (b"u" * (n - len(line) + 2)) + b"\r\nHost: mp01\r\n" + CLOSE + b"\r\n"


def sized_field(n):
    return request(fields=b"X: " + b"x" * (n - 3) + b"\r\n" + CLOSE)


def sized_head(n):
    """Field lines of at most 250 bytes each, n bytes in all."""
    out = b"GET / HTTP/1.1\r\nHost: mp01\r\n" + CLOSE
    step = 8000 if n > 4096 else 250
    while True:
        left = n - len(out) - 2
        assert left >= 6
        take = left if left <= step else min(step, left - 6)
        out += b"X: " + b"x" * (take - 5) + b"\r\n"
        if take == left:
            return out + b"\r\n"


def many_fields(n):
    return request(fields=CLOSE + b"".join(b"X-%d: y\r\n" % i for i in range(n - 2)))


def long_method(n):
    return request(method=b"M" * n, fields=CLOSE)


HEADS = {
    "request_line": (sized_line, 8192, 256, 414, "request_line_long"),
    "field_line": (sized_field, 8192, 300, 431, "field_long"),
    "header_section": (sized_head, 32768, 1024, 431, "head_long"),
    "fields": (many_fields, 100, 8, 431, "field_count"),
    "method": (long_method, 32, 9, 501, "method_long"),
}


@pytest.mark.parametrize("d", EDGE)
@pytest.mark.parametrize("name", sorted(HEADS))
def test_limit_of_a_request_head(weir, upstream, name, d):
    make, limit, _, status, word = HEADS[name]
    check(weir, upstream, make(limit + d), d > 0, status, word)


@pytest.mark.parametrize("d", EDGE)
@pytest.mark.parametrize("name", sorted(HEADS))
def test_limit_of_a_request_head_as_configured(small, upstream, name, d):
    make, _, limit, status, word = HEADS[name]
    check(small, upstream, make(limit + d), d > 0, status, word)


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_host(weir, upstream, d):
    data = request(fields=CLOSE).replace(b"mp01", b"h" * (255 + d))
    check(weir, upstream, data, d > 0, 400, "host_bad")


def test_limit_is_known_before_the_line_ends(weir, upstream):
    """Nobody waits for the end of a line that is too long already."""
    for data, status in ((b"GET /" + b"u" * 9000, 414),
                         (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000, 431),
                         (b"M" * 9000, 414)):
        out, how = raw(weir, data)
        assert out.startswith(b"HTTP/1.1 %d " % status) and how == "fin"


# --- bodies

def chunked(content, ext=b"", trailers=b""):
    return (b"BITS_POST / HTTP/1.1\r\nHost: mp01\r\n" + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" +
            (b"%x" % len(content) + ext + b"\r\n" + content + b"\r\n" if content else b"") + b"0\r\n" +
            trailers + b"\r\n")


def is_whole_upstream(upstream):
    """Scripts the upstream to tell (True or False) whether a whole message has come."""
    seen = []

    def answer(peer, head):
        try:
            peer.body(head)
        except (OSError, ValueError):
            seen.append(False)
            return False
        seen.append(True)
        peer.send(ok())
        return True

    upstream.script(answer)
    return seen


def check_body(p, upstream, data, is_over, status, word):
    seen = is_whole_upstream(upstream)
    got = status_and_word(p, data)
    assert got == ((status, word) if is_over else (200, ""))
    if upstream.heads:
        until("the upstream has seen its end", lambda: seen)
    assert (True in seen) == (not is_over)


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_a_body_with_a_length(small, upstream, d):
    check_body(small, upstream, request(method=b"POST", fields=CLOSE, content=b"x" * (1000 + d)),
               d > 0, 413, "body_long")


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_a_chunked_body(small, upstream, d):
    check_body(small, upstream, chunked(b"x" * (1000 + d)), d > 0, 413, "body_long")
    two = chunked(b"x" * (500 + d)).replace(b"\r\n\r\n", b"\r\n\r\n1f4\r\n" + b"y" * 500 + b"\r\n", 1)
    check_body(small, upstream, two, d > 0, 413, "body_long")


@pytest.mark.parametrize("d", EDGE)
@pytest.mark.parametrize("config,limit", [("weir", 4096), ("small", 10)])
def test_limit_of_chunk_extensions(request, upstream, config, limit, d):
    p = request.getfixturevalue(config)
    ext = b";e=" + b"v" * (limit + d - 3)
    check_body(p, upstream, chunked(b"hello", ext), d > 0, 400, "chunk_ext")


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_chunk_extensions_is_the_message_s(small, upstream, d):
    """Spread over two chunks and the last one."""
    data = chunked(b"hello", b";e=1").replace(b"\r\n0\r\n", b"\r\n3;f\r\nabc\r\n0;" +
                                             b"g" * (3 + d) + b"\r\n")
    check_body(small, upstream, data, d > 0, 400, "chunk_ext")


@pytest.mark.parametrize("d", EDGE)
@pytest.mark.parametrize("config,limit", [("weir", 8192), ("small", 20)])
def test_limit_of_trailers(request, upstream, config, limit, d):
    p = request.getfixturevalue(config)
    trailers = b"X-T: " + b"t" * (limit + d - 7) + b"\r\n"
    check_body(p, upstream, chunked(b"hello", b"", trailers), d > 0, 400, "trailer_long")
    assert d > 0 or b"X-T" not in upstream.peers[-1].got


# --- responses (16 interim responses: test_responses.py)

def sized_response(n, step=8000):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
    while len(head) + 2 < n:
        left = n - len(head) - 2
        take = left if left <= step else min(step, left - 6)
        head += b"X: " + b"x" * (take - 5) + b"\r\n"
    assert len(head) + 2 == n
    return head + b"\r\nbody"


@pytest.mark.parametrize("d", EDGE)
@pytest.mark.parametrize("limit", [1024, 65536])
def test_limit_of_a_response_head(weirs, upstream, limit, d):
    p = weirs(limits__response_head="%dB" % limit)
    upstream.sends(sized_response(limit + d, 250 if limit < 4096 else 8000))
    status, word = status_and_word(p, request(fields=CLOSE))
    if d > 0:
        assert (status, word) == (502, "response_long")
    else:
        assert (status, word) == (200, "")


def test_large_heads_survive_a_slow_reader(weir, upstream):
    """Heads that do not fit behind what waits for the client must wait as well."""
    n = 150

    def answer(peer, head):
        k = int(re.search(rb"GET /(\d+)", head).group(1))
        content = b"%06d" % k * 3000
        pad = b"".join(b"X-%d: " % i + b"x" * 8000 + b"\r\n" for i in range(5 + k % 3))
        if k % 4 == 0:
            peer.send(b"HTTP/1.1 103 Early Hints\r\n" + pad[:8007] + b"\r\n")
        peer.send(ok(content, pad))
        return True

    upstream.script(answer)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        s.connect(("127.0.0.1", weir.port))
        s.settimeout(20)
        c = Client.__new__(Client)
        c.s, c.buf = s, b""
        threading.Thread(target=s.sendall, daemon=True,
                         args=(b"".join(request(b"/%d" % i) for i in range(n)),)).start()
        quiet(0.3)
        for i in range(n):
            r = c.response()
            while r.status < 200:
                r = c.response()
            assert r.status == 200 and r.body == b"%06d" % i * 3000, (i, r)


# --- what may be absorbed

@pytest.fixture
def absorber(weirs, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "limits-ack.http"
    path.write_bytes(ACK)
    return weirs(ack__template=path).ready()


def check_absorbed(p, upstream, m, is_over, doubt=None):
    """Within the limit it is absorbed; past it, it is forwarded byte for byte."""
    bodies = []

    def answer(peer, head):
        bodies.append(peer.body(head))
        peer.send(ok(b"taken"))
        return True

    upstream.script(answer)
    before = p.metrics()
    r = ask(p, m.raw)
    after = p.metrics()
    key = 'statweir_messages_outcome_total{outcome="%s"}'
    absorbed = after[key % "absorbed_unique"] - before[key % "absorbed_unique"]
    assert r.status == 200
    if is_over:
        assert absorbed == 0 and bodies == [m.body] and r.body == b"taken"
        if doubt:
            name = 'statweir_recognition_doubtful_total{reason="%s"}' % doubt
            assert after[name] == before[name] + 1
    else:
        assert absorbed == 1 and bodies == []


def padded(n, **kw):
    """A message whose status text has exactly n bytes."""
    short = len(ccm.utf16(ccm.status(extra='<Property Name="P"></Property>'))) + 2
    xml = ccm.status(extra='<Property Name="P">%s</Property>' % ("p" * ((n - short) // 2)))
    assert len(ccm.utf16(xml)) + 2 == n, (len(ccm.utf16(xml)), n)
    return ccm.Message(xml=xml, **kw)


def with_part_field(m, n):
    """The same message with n bytes more: a field in the head of its first part."""
    m.body = m.body.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * (n - 5) + b"\r\n\r\n", 1)
    m.raw = ccm.request(m.body)
    return m


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_a_body_that_is_held(absorber, upstream, d):
    """recognise.max_inspect, 64 KiB of request body."""
    m = padded(62000, compress=False)
    m = with_part_field(m, 65536 + d - len(m.body))
    assert len(m.body) == 65536 + d
    candidates = absorber.metric("statweir_candidates_total")
    check_absorbed(absorber, upstream, m, d > 0)
    assert absorber.metric("statweir_candidates_total") == candidates + (d <= 0)


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_a_part_head(absorber, upstream, d):
    m = ccm.Message()
    head = m.body.index(b"\r\n\r\n") + 4 - (m.body.index(b"\r\n") + 2)
    check_absorbed(absorber, upstream, with_part_field(m, 4096 + d - head), d > 0, "part_head")


@pytest.mark.parametrize("d", [-2, 0, 2])
def test_limit_of_an_inflated_payload(absorber, upstream, d):
    """recognise.max_inflated, 256 KiB of UTF-16."""
    check_absorbed(absorber, upstream, padded(262144 + d), d > 0, "inflate_limit")


def test_inflate_bomb_stops_at_the_limit(absorber, upstream):
    m = ccm.Message(pack=lambda p: zlib.compress(b"<\0" * (60 << 20), 9)[:60000])
    check_absorbed(absorber, upstream, m, True)


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_a_boundary(absorber, upstream, d):
    boundary = "b" * (70 + d)
    m = ccm.Message(boundary=boundary)
    m.body = m.body.replace(ccm.BOUNDARY.encode(), boundary.encode())
    m.raw = ccm.request(m.body, boundary=boundary)
    check_absorbed(absorber, upstream, m, d > 0)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_limit_of_parts(absorber, upstream, n):
    m = ccm.Message()
    mark = b"--" + ccm.BOUNDARY.encode()
    parts = m.body.split(mark)[1:-1]
    m.body = mark + mark.join((parts + [b"\r\n\r\nthird\r\n"])[:n]) + mark + b"--"
    m.raw = ccm.request(m.body)
    check_absorbed(absorber, upstream, m, n != 2, "parts")


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_xml_depth(absorber, upstream, d):
    """16 levels, of which Status and Properties are two."""
    n = 16 + d - 2
    check_absorbed(absorber, upstream, ccm.Message(xml=ccm.status(extra="<d>" * n + "</d>" * n)),
                   d > 0, "status_xml")


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_attributes(absorber, upstream, d):
    attrs = "".join(' a%d="x"' % i for i in range(32 + d - 1))
    xml = ccm.status(extra='<Property Name="P"%s>v</Property>' % attrs)
    check_absorbed(absorber, upstream, ccm.Message(xml=xml), d > 0, "status_xml")


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_an_xml_name(absorber, upstream, d):
    name = "n" * (64 + d)
    xml = ccm.status(extra='<Property Name="P" %s="x">v</Property>' % name)
    check_absorbed(absorber, upstream, ccm.Message(xml=xml), d > 0, "status_xml")


# --- connections and requests

def open_silent(p, n):
    return [Client(p.port) for _ in range(n)]


def still_open(c):
    c.s.setblocking(False)
    try:
        return c.s.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False
    finally:
        c.s.settimeout(20)


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_connections(weirs, upstream, d):
    p = weirs(listen__max_connections="20")
    until("no connection is left", lambda: p.metric("statweir_connections") == 0)
    refused = p.metric("statweir_connections_refused_total")
    conns = open_silent(p, 20 + d)
    if d > 0:
        until("one is refused", lambda: not all(still_open(c) for c in conns))
    for c in conns:
        if still_open(c):
            assert c.ask(request(fields=b"X-Nonce: n\r\n")).body == b"n"
    assert sum(map(still_open, conns)) == min(20, 20 + d)
    assert p.metric("statweir_connections_refused_total") == refused + (d > 0)
    conns[0].close()
    until("one has gone", lambda: p.metric("statweir_connections") < 20)
    with Client(p.port) as c:
        assert c.ask(request()).status == 200
    for c in conns:
        c.close()


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_connections_without_a_first_byte(weirs, upstream, d):
    """Half of listen.max_connections may say nothing; the oldest makes room."""
    p = weirs(listen__max_connections="400", listen__max_per_address="1000")
    until("no connection is left", lambda: p.metric("statweir_connections") == 0)
    with Client(p.port) as speaking:
        assert speaking.ask(request()).status == 200
        conns = open_silent(p, 200 + d)
        if d > 0:
            until("the oldest has gone", lambda: not still_open(conns[0]))
        until("all were accepted", lambda: p.metric("statweir_connections") == 201 + min(d, 0))
        assert sum(map(still_open, conns)) == 200 + min(d, 0)
        assert still_open(speaking), "not one of the silent"
        assert conns[-1].ask(request()).status == 200
    for c in conns:
        c.close()


@pytest.mark.parametrize("pipelined", [False, True])
def test_limit_of_requests_on_a_connection(weirs, upstream, pipelined):
    p = weirs(listen__max_requests="3")
    with Client(p.port) as c:
        if pipelined:
            c.send(b"".join(request(b"/%d" % i) for i in range(5)))
        for i in range(3):
            r = c.response() if pipelined else c.ask(request(b"/%d" % i))
            assert (r.field(b"Connection") == b"close") == (i == 2)
        assert rest(c) == (b"", "fin")
    assert len(upstream.heads) == 3


def test_one_request_of_a_connection_at_a_time(weir, upstream):
    """Pipelined requests wait in the buffer until the one before is answered."""
    go = threading.Event()

    def answer(peer, head):
        assert go.wait(10)
        return echo(peer, head)

    upstream.script(answer)
    with Client(weir.port) as c:
        c.send(b"".join(request(fields=b"X-Nonce: %d\r\n" % i) for i in range(4)))
        upstream.wait()
        quiet(0.3)
        assert len(upstream.heads) == 1
        go.set()
        assert [c.response().body for _ in range(4)] == [b"0", b"1", b"2", b"3"]


# --- queues

def test_limits_of_the_upstream_pool(weirs, upstream):
    """Two connections, one in the queue, the fourth is refused; the third gives up in time."""
    p = weirs(upstream__max_connections="2", upstream__max_waiting="1", upstream__wait_timeout="500ms")
    go = threading.Event()

    def answer(peer, head):
        assert go.wait(10)
        return echo(peer, head)

    upstream.script(answer)
    conns = [Client(p.port) for _ in range(4)]
    for i, c in enumerate(conns[:2]):
        c.send(request(fields=b"X-Nonce: n\r\n"))
        upstream.wait(i + 1)
    t = time.monotonic()
    conns[2].send(request())
    until("the third waits", lambda: p.metric("statweir_upstream_waiting") == 1)
    r = conns[3].ask(request())
    assert r.status == 503 and b"upstream_queue_full" in r.body and r.field(b"Retry-After")
    r = conns[2].response()
    assert r.status == 503 and b"upstream_busy" in r.body
    assert 0.48 <= time.monotonic() - t <= 0.6 + LATE
    go.set()
    for c in conns[:2]:
        assert c.response().body == b"n"
        c.close()
    assert p.metric("statweir_upstream_connections") <= 2


@pytest.mark.parametrize("d", EDGE)
def test_limit_of_messages_that_wait_for_redis(weirs, upstream, tmp_path, d):
    """Redis stands still: so many messages wait for it, the next ones are forwarded."""
    path = tmp_path / "ack.http"
    path.write_bytes(ACK)
    p = weirs(ack__template=path, redis__max_pending="100", redis__call_timeout="20s").ready()
    children = subprocess.run(["pgrep", "-P", str(p.proc.pid)], capture_output=True, text=True).stdout
    pids = [int(x) for x in children.split()]
    assert pids, "no private Redis found"
    n = 100 + d
    conns = [Client(p.port) for _ in range(n)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for c in conns:
            c.send(ccm.Message().raw)
        until("all have come", lambda: p.metric("statweir_recognised_total") == n)
        if d > 0:
            upstream.wait(d)
        quiet(0.2)
        assert len(upstream.heads) == max(d, 0)
        assert p.metric("statweir_redis_pending_records") == min(n, 100)
        assert p.metric("statweir_store_refused_total") == max(d, 0)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    for c in conns:
        assert c.response().status == 200
        c.close()
    assert p.outcome("absorbed_unique") == min(n, 100)
