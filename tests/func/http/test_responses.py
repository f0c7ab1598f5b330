"""What a response may do to the client, and what it may not: R1 to R9 of docs/HTTP.md."""
import os
import random
import re
import signal
import threading

import pytest

from harness import ccm
from harness.proxy import until
from limits_wire import (Client, ask, echo, echo_again, ok, raw, request, rest,  # noqa: F401
                         upstream, weirs)

SECRET = b"SECRET-of-the-upstream"
BODY = b"Content-Length: %d\r\n\r\n" % len(SECRET) + SECRET


@pytest.fixture
def weir(weirs):
    return weirs(upstream__idle_timeout="30s")


# --- R1: interim responses

def interim(status, fields=b""):
    return b"HTTP/1.1 %d Early\r\n" % status + fields + b"\r\n"


def responses(p, data):
    """Statuses up to the final one, and that response."""
    seen = []
    with Client(p.port) as c:
        c.send(data)
        while True:
            r = c.response()
            assert r is not None, seen
            seen.append(r)
            if r.status >= 200:
                return seen


def test_R1_interim_responses_are_relayed_in_order(weir, upstream):
    upstream.sends(interim(102) + interim(103, b"Link: </a>\r\n") + interim(103, b"Link: </b>\r\n")
                   + ok(b"final"), keep=True)
    seen = responses(weir, request())
    assert [r.status for r in seen] == [102, 103, 103, 200]
    assert [r.field(b"Link") for r in seen[1:3]] == [b"</a>", b"</b>"]
    assert seen[-1].body == b"final"


@pytest.mark.parametrize("n", [15, 16, 17])
def test_R1_at_most_sixteen_interim_responses(weir, upstream, n):
    upstream.sends(interim(103) * n + ok(b"final"))
    seen = responses(weir, request())
    if n <= 16:
        assert len(seen) == n + 1 and seen[-1].body == b"final"
    else:
        assert seen[-1].status == 502 and b"response_1xx" in seen[-1].body


def test_R1_no_interim_response_to_http_1_0(weir, upstream):
    upstream.sends(interim(103) * 3 + ok(b"final"))
    out, how = raw(weir, request(minor=0))
    assert out.startswith(b"HTTP/1.1 200 ") and out.endswith(b"final") and b"103" not in out


def test_R1_our_own_100_is_not_sent_twice(weir, upstream):
    """A message held for inspection is asked for by statweir; the upstream's 100 stays inside."""
    m = ccm.Message(xml="<nothing/>", extra=b"Expect: 100-continue\r\n")
    at = m.raw.index(b"\r\n\r\n") + 4

    def answer(peer, head):
        assert b"xpect" not in head
        peer.send(interim(100))
        peer.body(head)
        peer.send(ok(b"taken"))
        return True

    upstream.script(answer)
    with Client(weir.port) as c:
        c.send(m.raw[:at])
        assert c.response().status == 100
        c.send(m.raw[at:])
        r = c.response()
        assert (r.status, r.body) == (200, b"taken")


def test_R1_unasked_101_is_a_bad_gateway(weir, upstream):
    upstream.sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" +
                   SECRET)
    out, _ = raw(weir, request(fields=b"Connection: upgrade, close\r\nUpgrade: x\r\n"))
    assert out.startswith(b"HTTP/1.1 502 ") and SECRET not in out


# --- R2, R3: no body, no length

BODILESS = [
    (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
    (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (b"HEAD", b"HTTP/1.1 404 Not Found\r\n\r\n"),
    (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 100\r\n\r\n"),
    (b"GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n"),
    (b"GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (b"CCM_POST", b"HTTP/1.1 204 No Content\r\n\r\n"),
]


@pytest.mark.parametrize("method,answer", BODILESS, ids=range(len(BODILESS)))
def test_R2_no_body_is_read_or_sent(weir, upstream, method, answer):
    def both(peer, head):
        if not head.startswith(b"GET /second"):
            peer.send(answer)
            return True
        return echo(peer, head)

    upstream.script(both)
    with Client(weir.port) as c:
        r = c.send(request(method=method)).response(is_head=True)
        assert r.status == int(answer.split()[1])
        # Nothing of a body came: the connection is in step.
        r = c.ask(request(b"/second", fields=b"X-Nonce: again\r\n"))
        assert r.body == b"again"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_R2_bytes_behind_a_bodiless_response_are_nobodys(weir, upstream, status):
    def both(peer, head):
        if not head.startswith(b"GET /second"):
            peer.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n\r\n" % len(SECRET) + SECRET)
            return True
        return echo(peer, head)

    upstream.script(both)
    with Client(weir.port) as c:
        assert c.ask(request()).status == int(status[:3])
        c.send(request(b"/second", fields=b"X-Nonce: again\r\nConnection: close\r\n"))
        out, _ = rest(c)
        assert out.startswith(b"HTTP/1.1 200 ") and out.endswith(b"again") and SECRET not in out


def test_R2_head_with_body_bytes_is_not_relayed(weir, upstream):
    upstream.sends(b"HTTP/1.1 200 OK\r\n" + BODY)
    out, _ = raw(weir, request(method=b"HEAD", fields=b"Connection: close\r\n"))
    assert out.startswith(b"HTTP/1.1 200 ") and SECRET not in out
    assert b"Content-Length: %d\r\n" % len(SECRET) in out


FRAMED = [b"Content-Length: 0\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]


@pytest.mark.parametrize("fields", FRAMED)
@pytest.mark.parametrize("status", [b"103 Early Hints", b"204 No Content"])
def test_R3_framing_fields_of_1xx_and_204_are_removed(weir, upstream, status, fields):
    last = b"" if status.startswith(b"204") else ok(b"final")
    upstream.sends(b"HTTP/1.1 " + status + b"\r\nX-Kept: 1\r\n" + fields + b"\r\n" + last)
    with Client(weir.port) as c:
        r = c.ask(request())
        assert r.status == int(status[:3]) and r.field(b"X-Kept") == b"1"
        assert not re.search(rb"(?i)content-length|transfer-encoding", r.head)
        if last:
            assert c.response().body == b"final"


# --- R4, R5: responses that are none

@pytest.mark.parametrize("fields", [
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
])
def test_R4_both_framings_are_a_bad_gateway(weir, upstream, fields):
    def answer(peer, head):
        peer.send(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n5\r\nhello\r\n0\r\n\r\n")
        assert peer.until_end()
        return False

    upstream.script(answer)
    r = ask(weir, request())
    assert r.status == 502 and b"hello" not in r.body


BAD_HEADS = {
    "no_status": b"HTTP/1.1 \r\n" + BODY,
    "two_digits": b"HTTP/1.1 20 OK\r\n" + BODY,
    "four_digits": b"HTTP/1.1 2000 OK\r\n" + BODY,
    "two_spaces": b"HTTP/1.1  200 OK\r\n" + BODY,
    "tab": b"HTTP/1.1\t200 OK\r\n" + BODY,
    "status_099": b"HTTP/1.1 099 OK\r\n" + BODY,
    "status_600": b"HTTP/1.1 600 OK\r\n" + BODY,
    "minus": b"HTTP/1.1 -20 OK\r\n" + BODY,
    "http2": b"HTTP/2.0 200 OK\r\n" + BODY,
    "http09": SECRET + b" <html>no header section</html>",
    "lower_case": b"http/1.1 200 OK\r\n" + BODY,
    "icy": b"ICY 200 OK\r\n" + BODY,
    "leading_space": b" HTTP/1.1 200 OK\r\n" + BODY,
    "nul_in_reason": b"HTTP/1.1 200 O\0K\r\n" + BODY,
    "cr_in_reason": b"HTTP/1.1 200 O\rK\r\n" + BODY,
    "lf_only": b"HTTP/1.1 200 OK\n" + BODY,
    "lf_only_field": b"HTTP/1.1 200 OK\r\nX: y\n" + BODY,
    "cr_only_field": b"HTTP/1.1 200 OK\r\nX: y\rZ: z\r\n" + BODY,
    "fold": b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n" + BODY,
    "fold_first": b"HTTP/1.1 200 OK\r\n X: y\r\n" + BODY,
    "space_before_colon": b"HTTP/1.1 200 OK\r\nX : y\r\n" + BODY,
    "no_colon": b"HTTP/1.1 200 OK\r\nX\r\n" + BODY,
    "no_name": b"HTTP/1.1 200 OK\r\n: y\r\n" + BODY,
    "nul": b"HTTP/1.1 200 OK\r\nX: \0\r\n" + BODY,
    "del": b"HTTP/1.1 200 OK\r\nX: \x7f\r\n" + BODY,
    "two_lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + BODY,
    "list_of_lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello" + SECRET,
    "signed_length": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello" + SECRET,
    "hex_length": b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello" + SECRET,
    "empty_length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello" + SECRET,
    "huge_length": b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n" + SECRET,
    "wrapped_length": b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\n" + SECRET,
    "gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" + SECRET,
    "identity": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n" + SECRET,
    "chunked_twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n" + SECRET,
    "chunked_not_last": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n" + SECRET,
    "te_http10": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + SECRET,
    "cut_head": b"HTTP/1.1 200 OK\r\nX: " + SECRET,
    "nothing": b"",
}


@pytest.mark.parametrize("word", sorted(BAD_HEADS))
def test_R5_bad_head_is_a_bad_gateway(weir, upstream, word):
    upstream.sends(BAD_HEADS[word])
    out, how = raw(weir, request(fields=b"Connection: close\r\n"))
    assert out.startswith(b"HTTP/1.1 502 Bad Gateway\r\n"), out
    assert SECRET not in out and how == "fin"


BAD_CHUNKS = {
    "size_no_hex": b"zz\r\n" + SECRET,
    "size_signed": b"+5\r\nhello\r\n",
    "size_0x": b"0x5\r\nhello\r\n",
    "size_space": b" 5\r\nhello\r\n",
    "size_trailing_space": b"5 \r\nhello\r\n",
    "size_lf": b"5\nhello\r\n",
    "size_empty": b"\r\nhello\r\n",
    "size_range": b"8000000000000000\r\n" + SECRET,
    "size_wrap": b"10000000000000005\r\nhello\r\n",
    "data_long": b"5\r\nhello" + SECRET + b"\r\n0\r\n\r\n",
    "data_lf": b"5\r\nhello\n0\r\n\r\n",
    "trailer_bad": b"5\r\nhello\r\n0\r\nX y\r\n\r\n",
    "end_lf": b"5\r\nhello\r\n0\r\n\n",
}


@pytest.mark.parametrize("word", sorted(BAD_CHUNKS))
@pytest.mark.parametrize("first", [b"", b"3\r\nabc\r\n"], ids=["at_once", "later"])
def test_R5_bad_chunk_never_looks_whole(weir, upstream, word, first):
    """Known with the head: 502. After bytes have been sent: cut, without a last chunk."""
    def answer(peer, head):
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + first)
        if first:
            until("the first chunk is with the client", seen.is_set)
        peer.send(BAD_CHUNKS[word])
        return False

    seen = threading.Event()
    upstream.script(answer)
    with Client(weir.port) as c:
        c.send(request(fields=b"Connection: close\r\n"))
        if first:
            while b"abc" not in c.buf:
                assert c._more()
            seen.set()
        out, how = rest(c)
    assert how != "open" and SECRET not in out
    assert not out.endswith(b"\r\n0\r\n\r\n"), out
    assert out.startswith(b"HTTP/1.1 502 " if out.startswith(b"HTTP/1.1 5") else b"HTTP/1.1 200 ")


def test_R5_bad_first_chunk_in_one_piece_with_the_head_is_a_502(weir, upstream):
    upstream.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + SECRET)
    out, _ = raw(weir, request(fields=b"Connection: close\r\n"))
    assert out.startswith(b"HTTP/1.1 502 ") and SECRET not in out


# --- R6: cut responses stay cut

@pytest.mark.parametrize("end", ["fin", "reset"])
@pytest.mark.parametrize("minor", [1, 0])
@pytest.mark.parametrize("head,sent", [
    (b"Content-Length: 100\r\n", b"x" * 99),
    (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n"),
    (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n"),
    (b"Transfer-Encoding: chunked\r\n", b"5\r\nhel"),
], ids=["length", "no_last_chunk", "no_last_crlf", "in_chunk"])
def test_R6_cut_response_looks_cut(weir, upstream, head, sent, minor, end):
    def answer(peer, h):
        peer.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + sent)
        until("bytes are with the client", seen.is_set)
        if end == "reset":
            peer.reset()
        return False

    seen = threading.Event()
    upstream.script(answer)
    with Client(weir.port) as c:
        c.send(request(minor=minor))
        while b"hel" not in c.buf and b"xxx" not in c.buf:
            assert c._more()
        seen.set()
        out, how = rest(c)
    assert how != "open"
    if b"chunked" in out:
        assert not out.endswith(b"0\r\n\r\n")
    elif b"Content-Length" in out:
        assert len(out.split(b"\r\n\r\n", 1)[1]) < 100
    else:
        # To 1.0 the end is the only frame: it must not be a clean one.
        assert how == "reset", out


def test_R6_reset_within_a_close_delimited_response_looks_cut(weir, upstream):
    def answer(peer, head):
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        until("bytes are with the client", seen.is_set)
        peer.reset()
        return False

    seen = threading.Event()
    upstream.script(answer)
    with Client(weir.port) as c:
        c.send(request())
        while b"hello" not in c.buf:
            assert c._more()
        seen.set()
        out, _ = rest(c)
    assert b"chunked" in out and not out.endswith(b"0\r\n\r\n")


# --- R7: nothing is left for the next

@pytest.mark.parametrize("extra", [SECRET, ok(SECRET), b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
                         ids=["bytes", "response", "crlf", "100"])
@pytest.mark.parametrize("when", ["with", "later"])
def test_R7_bytes_behind_a_response_reach_nobody(weir, upstream, extra, when):
    def answer(peer, head):
        if b"/second" in head:
            return echo(peer, head)
        peer.send(ok(b"first") + (extra if when == "with" else b""))
        if when == "later":
            until("the answer is with the client", seen.is_set)
            peer.send(extra)
        assert peer.until_end(), "connection with stray bytes was kept"
        done.set()
        return False

    seen, done = threading.Event(), threading.Event()
    upstream.script(answer)
    with Client(weir.port) as c:
        assert c.ask(request()).body == b"first"
        seen.set()
        if when == "later":
            assert done.wait(10)
        c.send(request(b"/second", fields=b"X-Nonce: mine\r\nConnection: close\r\n"))
        out, _ = rest(c)
    assert out.startswith(b"HTTP/1.1 200 ") and out.endswith(b"mine") and SECRET not in out
    assert done.wait(10)


def test_R7_stray_bytes_found_at_the_moment_of_reuse(weir, upstream):
    """They arrive while the proxy looks elsewhere, together with the next client's request."""
    def answer(peer, head):
        if b"/second" in head:
            return echo(peer, head)
        peer.send(ok(b"first"))
        until("the proxy stands still", still.is_set)
        peer.send(ok(SECRET))
        sent.set()
        peer.until_end()
        return False

    still, sent = threading.Event(), threading.Event()
    upstream.script(answer)
    with Client(weir.port) as a, Client(weir.port) as b:
        assert b.ask(request(b"/second", fields=b"X-Nonce: warm\r\n")).body == b"warm"
        assert a.ask(request()).body == b"first"
        until("the pool has it", lambda: weir.metric("statweir_messages_in_flight") == 0)
        os.kill(weir.proc.pid, signal.SIGSTOP)
        try:
            b.send(request(b"/second", fields=b"X-Nonce: mine\r\n"))
            still.set()
            assert sent.wait(10)
        finally:
            os.kill(weir.proc.pid, signal.SIGCONT)
        r = b.response()
        assert r.body == b"mine", r


def test_R7_upstream_that_closes_its_idle_connection_costs_nobody_a_502(weir, upstream):
    """The end of an idle connection that comes together with a request is seen before use."""
    def answer(peer, head):
        echo(peer, head)
        until("the proxy stands still", still.is_set)
        peer.fin()
        gone.set()
        peer.until_end()
        return False

    still, gone = threading.Event(), threading.Event()
    upstream.script(answer)
    with Client(weir.port) as c:
        assert c.ask(request(fields=b"X-Nonce: 1\r\n")).body == b"1"
        until("the pool has it", lambda: weir.metric("statweir_messages_in_flight") == 0)
        os.kill(weir.proc.pid, signal.SIGSTOP)
        try:
            c.send(request(fields=b"X-Nonce: 2\r\n"))
            still.set()
            assert gone.wait(10)
        finally:
            os.kill(weir.proc.pid, signal.SIGCONT)
        assert c.response().body == b"2"


# --- R8: framing towards the client

@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 200000], ids=["empty", "short", "long"])
def test_R8_close_delimited_becomes_chunked_for_1_1(weir, upstream, content):
    upstream.sends(b"HTTP/1.1 200 OK\r\n\r\n" + content)
    with Client(weir.port) as c:
        r = c.ask(request())
        assert r.field(b"Transfer-Encoding") == b"chunked" and r.body == content
        assert r.field(b"Content-Length") is None
        # The client's connection goes on, the upstream's does not.
        upstream.script(echo)
        assert c.ask(request(fields=b"X-Nonce: 2\r\n")).body == b"2"


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nA: b\r\n\r\n",
], ids=["close_1_1", "close_1_0", "chunked"])
def test_R8_close_delimited_for_1_0(weir, upstream, answer):
    upstream.sends(answer)
    out, how = raw(weir, request(minor=0, fields=b"Connection: keep-alive\r\n"))
    head, content = out.split(b"\r\n\r\n", 1)
    assert content == b"hello" and how == "fin"
    assert b"ransfer-" not in head and b"ontent-Length" not in head
    assert b"\r\nConnection: close" in head


def test_R8_chunked_is_chunked_anew(weir, upstream):
    """Chunk extensions and trailers of the upstream end here."""
    upstream.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;e=1\r\nhe\r\n3\r\nllo\r\n"
                   b"0;z\r\nX-Trailer: " + SECRET + b"\r\n\r\n", keep=True)
    with Client(weir.port) as c:
        c.send(request())
        r = c.response()
        assert r.body == b"hello" and SECRET not in r.raw


def test_R8_http_1_0_upstream_with_a_length(weir, upstream):
    upstream.sends(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    with Client(weir.port) as c:
        for _ in range(2):
            r = c.ask(request())
            assert r.body == b"hello" and r.head.startswith(b"HTTP/1.1 200 ")


# --- R9: every answer belongs to its request

def test_R9_answers_never_change_places(weirs, upstream):
    """40 clients over 4 upstream connections that end, err and talk too much, at random."""
    p = weirs(upstream__max_connections=4, upstream__idle_timeout="30s")
    seed = random.randrange(1 << 30)
    print("seed", seed)
    lock, dice = threading.Lock(), random.Random(seed)

    def answer(peer, head):
        nonce = re.search(rb"X-Nonce: ([^\r]*)", head).group(1)
        peer.body(head)
        with lock:
            n = dice.randrange(12)
        echoed = ok(nonce, b"X-Nonce: " + nonce + b"\r\n")
        if n == 0:
            return False
        if n == 1:
            peer.send(echoed[:-3])
            return False
        if n == 2:
            peer.send(echoed + ok(b"stray", b"X-Nonce: stray\r\n"))
            return True
        if n == 3:
            peer.send(b"garbage\r\n\r\n")
            return False
        if n == 4:
            peer.send(interim(103) + echoed)
            return True
        if n == 5:
            peer.send(b"HTTP/1.1 200 OK\r\nX-Nonce: " + nonce +
                      b"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(nonce) + nonce +
                      b"\r\n0\r\n\r\n")
            return True
        if n == 6:
            peer.send(echoed)
            return False
        peer.send(echoed)
        return True

    def client(number, results):
        rnd = random.Random(seed + number)
        c = None
        for i in range(25):
            nonce = b"%d-%d" % (number, i)
            content = b"y" * rnd.choice([0, 10, 3000])
            if c is None:
                c = Client(p.port)
            try:
                r = c.ask(request(method=b"BITS_POST", fields=b"X-Nonce: " + nonce + b"\r\n",
                                  content=content))
                while r is not None and r.status < 200:
                    assert r.status == 103
                    r = c.response()
            except (AssertionError, ConnectionError):
                r = None
            if r is None or r.status != 200:
                results.append("none" if r is None else r.status)
                c.close()
                c = None
                continue
            results.append("ok" if (r.field(b"X-Nonce"), r.body) == (nonce, nonce) else (nonce, r.raw))
        if c:
            c.close()

    upstream.script(answer)
    results = []
    threads = [threading.Thread(target=client, args=(n, results)) for n in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    wrong = [r for r in results if isinstance(r, tuple)]
    assert not wrong, (seed, wrong[:3])
    assert len(results) == 40 * 25 and results.count("ok") > 500, (seed, len(results))
    assert set(results) <= {"ok", "none", 502}, set(map(str, results))
