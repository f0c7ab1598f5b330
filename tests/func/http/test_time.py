"""Expectations, early answers, half-closes, and what follows an error: T1 to T6 and T10 of
docs/HTTP.md. Deadlines are in test_deadlines.py."""
import re
import socket
import time

import pytest

from harness import ccm
from harness.proxy import until
from limits_wire import (Client, LATE, echo, echo_again, ok, post, quiet, raw,  # noqa: F401
                         request, rest, upstream, weirs)

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: mp01\r\n\r\n"
EXPECT = b"Expect: 100-continue\r\n"


@pytest.fixture
def weir(weirs):
    return weirs(listen__linger="1s", listen__linger_bytes="64KiB", limits__body="1MiB")


def targets(upstream):
    return [h.split(b" ")[1] for h in upstream.heads]


# --- T1, T2: Expect

def test_T1_expectation_is_forwarded_and_the_100_relayed(weir, upstream):
    def answer(peer, head):
        assert re.search(rb"\r\nExpect: 100-continue\r\n", head)
        assert not peer.buf, "the body came before it was asked for"
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.send(ok(peer.body(head)))
        return True

    upstream.script(answer)
    with Client(weir.port) as c:
        assert c.ask(post(5, EXPECT)).status == 100
        assert c.ask(b"hello").body == b"hello"
        # In step: nothing was left over.
        upstream.script(echo)
        assert c.ask(request(fields=b"X-Nonce: 2\r\n")).body == b"2"


def test_T1_held_message_is_asked_for_by_statweir(weir, upstream):
    """Nothing is upstream yet when the 100 is sent, and no Expect goes there afterwards."""
    m = ccm.Message(endpoint="Other", extra=EXPECT)
    at = m.raw.index(b"\r\n\r\n") + 4
    with Client(weir.port) as c:
        assert c.ask(m.raw[:at]).status == 100
        assert upstream.heads == []
        assert c.ask(m.raw[at:]).status == 200
    assert b"xpect" not in upstream.heads[0]


def test_T1_client_that_does_not_wait_gets_no_100_from_us(weir, upstream):
    m = ccm.Message(endpoint="Other", extra=EXPECT)
    with Client(weir.port) as c:
        assert c.ask(m.raw).status == 200
    assert b"xpect" not in upstream.heads[0]


@pytest.mark.parametrize("data", [post(0, EXPECT), request(fields=EXPECT),
                                  post(5, EXPECT, minor=0) + b"hello",
                                  post(5, b"Expect: anything\r\n", minor=0) + b"hello"],
                         ids=["empty", "no_body", "http10", "http10_other"])
def test_T1_no_expectation_of_1_0_or_without_a_body(weir, upstream, data):
    out, _ = raw(weir, data.replace(b"Host:", b"Connection: close\r\nHost:"))
    assert out.startswith(b"HTTP/1.1 200 ") and b" 100 " not in out
    assert b"xpect" not in upstream.heads[0]


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue", b"100-CONTINUE  "])
def test_T1_expectation_in_any_case(weir, upstream, value):
    out, _ = raw(weir, post(5, b"Connection: close\r\nExpect: " + value + b"\r\n") + b"hello")
    assert out.startswith(b"HTTP/1.1 200 ") and out.endswith(b"5")


@pytest.mark.parametrize("fields", [
    b"Expect: 200-ok\r\n", b"Expect:\r\n", b"Expect: 100-continue, x\r\n", b"Expect: 100\r\n",
    b"Expect: 100-continue;q=1\r\n", b"Expect: \"100-continue\"\r\n", b"Expect: 100 -continue\r\n",
    EXPECT + EXPECT, b"Expect: 100-continue\r\nExpect: y\r\n", b"Expect: ,100-continue\r\n",
])
@pytest.mark.parametrize("method", [b"BITS_POST", b"GET"])
def test_T2_other_expectations_are_refused(weir, upstream, fields, method):
    out, how = raw(weir, post(len(SMUGGLED), fields, method=method) + SMUGGLED)
    assert out.startswith((b"HTTP/1.1 417 ", b"HTTP/1.1 400 ")), out
    assert out.count(b"HTTP/1.1 ") == 1 and how == "fin" and upstream.heads == []


def test_T2_underscore_twin_of_expect_is_no_expectation(weir, upstream):
    raw(weir, post(5, b"Connection: close\r\nEx_pect: 100-continue\r\n") + b"hello")
    assert len(upstream.heads) == 1


# --- T3: a final answer instead of the 100

@pytest.mark.parametrize("status", [b"417 No", b"401 Unauthorized", b"200 OK", b"503 Busy"])
@pytest.mark.parametrize("late", [False, True], ids=["with_the_answer", "after_the_answer"])
def test_T3_body_behind_a_final_answer_is_no_request(weir, upstream, status, late):
    def answer(peer, head):
        peer.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nno")
        assert peer.until_end(), "upstream connection with half a request was kept"
        bodies.append(peer.buf)
        return False

    bodies = []
    upstream.script(answer)
    with Client(weir.port) as c:
        c.send(post(len(SMUGGLED), EXPECT))
        r = c.response()
        assert r.status == int(status[:3]) and r.body == b"no"
        assert r.field(b"Connection") == b"close"
        if late:
            assert rest(c, 5)[1] != "open"
        try:
            c.send(SMUGGLED + SMUGGLED)
        except OSError:
            pass
        out, _ = rest(c)
        assert out == b""
    until("the upstream has seen the end", lambda: bodies)
    assert targets(upstream) == [b"/up"]


def test_T3_length_0_with_a_body_behind_it_is_two_requests_or_none(weir, upstream):
    """0.CL: a request without a body is answered; what follows stands for itself."""
    with Client(weir.port) as c:
        c.send(post(0, EXPECT) + SMUGGLED)
        assert c.response().status == 200 and c.response().status == 200
    assert targets(upstream) == [b"/up", b"/smuggled"]


# --- T4: early answers, lingering close

@pytest.mark.parametrize("status", [200, 413])
def test_T4_early_answer_is_relayed_at_once_and_the_upload_stops(weir, upstream, status):
    def answer(peer, head):
        peer.send(b"HTTP/1.1 %d Early\r\nContent-Length: 5\r\n\r\nearly" % status)
        assert peer.until_end(), "the upstream connection was kept"
        total.append(len(peer.got))
        return False

    total = []
    upstream.script(answer)
    with Client(weir.port) as c:
        c.send(post(1 << 20))
        r = c.response()
        assert (r.status, r.body, r.field(b"Connection")) == (status, b"early", b"close")
        c.send(b"x" * 60000)
        assert rest(c)[1] == "fin"
    until("the upstream has seen the end", lambda: total)
    # Only the head had gone: nothing that came after the answer follows.
    assert total[0] < 4096
    assert targets(upstream) == [b"/up"]


def test_T4_early_answer_is_not_lost_to_a_client_that_writes_first(weirs, upstream):
    """The whole upload is written before the answer is read: no reset may eat the answer."""
    p = weirs(listen__linger="5s")

    def answer(peer, head):
        peer.send(ok(b"early"))
        return False

    upstream.script(answer)
    for _ in range(5):
        with Client(p.port) as c:
            c.send(post(900000) + b"x" * 900000)
            assert c.response().body == b"early"


@pytest.mark.parametrize("n,closed", [(65535, False), (65536, True), (65537, True)])
def test_T4_lingering_close_reads_so_many_bytes(weir, upstream, n, closed):
    with Client(weir.port) as c:
        c.send(post(1 << 21))
        assert c.response().status == 413
        assert rest(c)[1] == "fin"
        c.send(b"x" * n)
        if closed:
            until("closed before the time", lambda: weir.metric("statweir_connections") == 0, 0.8)
        else:
            quiet(0.3)
            assert weir.metric("statweir_connections") == 1
    until("closed", lambda: weir.metric("statweir_connections") == 0)


def test_T4_lingering_close_lasts_so_long(weir, upstream):
    with Client(weir.port) as c:
        c.send(post(1 << 21))
        assert c.response().status == 413
        t = time.monotonic()
        assert rest(c)[1] == "fin"
        until("closed", lambda: c.s.send(b"x") and
              weir.metric("statweir_connections") == 0, 5)
        assert 0.98 <= time.monotonic() - t <= 1.1 + LATE


# --- T5, T6: half-closes

@pytest.mark.parametrize("data", [
    request(fields=b"X-Nonce: n\r\n"), post(5, b"X-Nonce: n\r\n") + b"hello",
    request(fields=b"X-Nonce: n\r\n", minor=0),
    post(5, b"X-Nonce: n\r\n").replace(b"Content-Length: 5", b"Transfer-Encoding: chunked") +
    b"5\r\nhello\r\n0\r\n\r\n",
], ids=["get", "post", "http10", "chunked"])
def test_T5_whole_request_is_answered_after_a_half_close(weir, upstream, data):
    def answer(peer, head):
        quiet(0.1)
        return echo(peer, head)

    upstream.script(answer)
    with Client(weir.port) as c:
        c.send(data).half_close()
        out, how = rest(c)
    assert out.startswith(b"HTTP/1.1 200 ") and b"\r\n\r\n" in out and how == "fin"


def test_T5_all_pipelined_requests_are_answered_after_a_half_close(weir, upstream):
    with Client(weir.port) as c:
        c.send(b"".join(request(fields=b"X-Nonce: %d\r\n" % i) for i in range(5))).half_close()
        assert [c.response().body for _ in range(5)] == [b"%d" % i for i in range(5)]
        assert rest(c) == (b"", "fin")


def test_T5_held_message_is_recorded_and_answered_after_a_half_close(weirs, upstream, tmp_path):
    from harness.mp import ACK
    path = tmp_path / "ack.http"
    path.write_bytes(ACK)
    p = weirs(ack__template=path).ready()
    with Client(p.port) as c:
        c.send(ccm.Message().raw).half_close()
        assert c.response().status == 200
        assert rest(c) == (b"", "fin")
    assert p.outcome("absorbed_unique") == 1


CHUNKED = post(5).replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")
CUT = {
    "request_line": b"GET / HTT",
    "head": b"GET / HTTP/1.1\r\nHost: mp01\r\n",
    "gathered": post(5) + b"hell",
    "gathered_head": post(5),
    "length": post(100000) + b"hell",
    "head_only": post(100000),
    "chunk": CHUNKED + b"5\r\nhel",
    "last_chunk": CHUNKED + b"5\r\nhello\r\n",
    "last_crlf": CHUNKED + b"5\r\nhello\r\n0\r\n",
    "message": ccm.Message().raw[:-1],
}


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("word", sorted(CUT))
def test_T5_cut_request_is_never_whole_upstream(weir, upstream, word, how):
    def answer(peer, head):
        try:
            peer.body(head)
            whole.append(head)
        except OSError:
            cut.append(head)
        return False

    whole, cut = [], []
    upstream.script(answer)
    before = weir.metrics()
    with Client(weir.port) as c:
        c.send(CUT[word])
        if word in ("length", "head_only", "chunk", "last_chunk", "last_crlf"):
            upstream.wait()
        if how == "fin":
            c.half_close()
            out, _ = rest(c)
            assert out == b"" or out.startswith(b"HTTP/1.1 400 "), out
        else:
            c.reset()
    until("over", lambda: weir.metric("statweir_messages_in_flight") == 0)
    until("the upstream was cut off", lambda: len(cut) == len(upstream.heads))
    assert whole == []
    after = weir.metrics()
    for name in ("passed", "absorbed_unique", "absorbed_duplicate"):
        key = 'statweir_messages_outcome_total{outcome="%s"}' % name
        assert after[key] == before[key]


def test_T6_answer_of_an_upstream_that_stops_reading_is_relayed(weir, upstream):
    """Its FIN, with the answer before it, while we still write."""
    def answer(peer, head):
        peer.take(1000)
        peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        peer.fin()
        return not peer.until_end()

    upstream.script(answer)
    with Client(weir.port) as c:
        c.send(post(1 << 20) + b"x" * 5000)
        r = c.response()
        assert (r.status, r.body) == (403, b"no")
        assert rest(c)[1] == "fin"


def test_T6_answer_and_reset_is_an_answer_or_a_502(weir, upstream):
    def answer(peer, head):
        peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        quiet(0.05)
        peer.reset()
        return False

    upstream.script(answer)
    with Client(weir.port) as c:
        c.send(post(1 << 20) + b"x" * 50000)
        r = c.response()
        assert (r.status, r.body) == (403, b"no") or r.status == 502


# --- T10: what follows an error with a body pending

PENDING = {
    "413": post(1 << 21),
    "413_chunked": CHUNKED + b"%x\r\n" % (1 << 21),
    "417": post(100, b"Expect: x\r\n"),
    "400": post(100, b"Bad Name: x\r\n"),
    "400_two_lengths": post(100, b"Content-Length: 100\r\n"),
    "400_chunk": CHUNKED + b"zz\r\n",
    "405": post(100, method=b"TRACE"),
    "414": post(100).replace(b"/up", b"/" + b"u" * 9000),
    "431": post(100, b"X: " + b"x" * 9000 + b"\r\n"),
    "501": post(100, method=b"M" * 33),
    "505": post(100).replace(b"HTTP/1.1", b"HTTP/3.0"),
    "508": post(100, b"Via: 1.1 statweir, 1.1 statweir, 1.1 statweir\r\n"),
}


@pytest.mark.parametrize("word", sorted(PENDING))
def test_T10_connection_ends_with_an_error_before_the_body(weir, upstream, word):
    def answer(peer, head):
        try:
            peer.body(head)
            whole.append(head)
        except (OSError, ValueError):
            pass
        return False

    whole = []
    upstream.script(answer)
    out, how = raw(weir, PENDING[word] + SMUGGLED * 3)
    assert out.startswith(b"HTTP/1.1 " + word[:3].encode()), out
    assert out.count(b"HTTP/1.1 ") == 1 and how == "fin"
    assert b"\r\nConnection: close\r\n" in out
    assert whole == [] and b"/smuggled" not in targets(upstream)


def test_T10_connection_ends_when_no_upstream_takes_the_body(weirs):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    out, how = raw(weirs(port=port), post(100000) + SMUGGLED)
    assert out.startswith(b"HTTP/1.1 502 ") and out.count(b"HTTP/1.1 ") == 1 and how == "fin"


def test_T10_error_behind_a_whole_request_ends_nothing(weir, upstream):
    """The request was read to its end: the connection is in step and may go on."""
    upstream.script(lambda peer, head: False)
    with Client(weir.port) as c:
        assert c.ask(request()).status == 502
        upstream.script(echo)
        assert c.ask(request(fields=b"X-Nonce: 2\r\n")).body == b"2"
