"""Framing of requests: the lines F1 to F20 of docs/HTTP.md."""
import pytest

from harness import ccm
from harness.client import Client
from harness.proxy import Statweir, until
from wire import (SILENCE, canary, echo, forwarded, ok, origin, refused,  # noqa: F401
                  refused_before, shared, weir)

METHODS = (b"POST", b"CCM_POST")


def post(fields, body=b"", method=b"POST", version=b"1.1"):
    return b"%s /p HTTP/%s\r\nHost: a.test\r\n%s\r\n%s" % (method, version, fields, body)


def chunked(body, method=b"POST", fields=b""):
    return post(b"Transfer-Encoding: chunked\r\n" + fields, body, method)


def refused_all(weir, origin, fields, status, word, body=b"0\r\n\r\n", version=b"1.1"):
    for method in METHODS:
        refused_before(weir, origin, post(fields, body, method, version), status, word)


@pytest.mark.parametrize("fields", [
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"Content-Length: 0\r\nX: y\r\ntransfer-encoding: CHUNKED\r\n",
    b"Content-Length: 5\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"])
def test_F1_coding_with_length_refused(weir, origin, fields):
    refused_all(weir, origin, fields, 400, "te_and_length")


@pytest.mark.parametrize("value", [
    b"chunked, gzip", b"xchunked", b"identity", b"gzip", b"chunked;q=1", b'"chunked"', b"chunke",
    b"chunkedchunked", b"chunked identity", b"'chunked'", b"chunked\xa0", b"\xa0chunked",
    b"chunked/1", b"chunked, x", b"chun ked"])
def test_F2_chunked_not_last_or_not_alone_refused(weir, origin, value):
    refused_all(weir, origin, b"Transfer-Encoding: %s\r\n" % value, 400, "te_bad")


@pytest.mark.parametrize("value", [b"", b" ", b",", b" , ,", b",chunked", b"chunked,", b"\t"])
def test_F3_empty_coding_refused(weir, origin, value):
    refused_all(weir, origin, b"Transfer-Encoding:%s\r\n" % value, 400, "te_bad")
    refused_all(weir, origin, b"Transfer-Encoding:%s\r\nContent-Length: 5\r\n" % value, 400,
                "te_bad")


@pytest.mark.parametrize("value", [b"gzip, chunked", b"deflate,chunked", b"identity, chunked",
                                   b"x, chunked", b"gzip;a=b, chunked"])
def test_F4_coding_before_chunked_not_implemented(weir, origin, value):
    refused_all(weir, origin, b"Transfer-Encoding: %s\r\n" % value, 501, "te_unsupported")


def test_F5_coding_in_http10_refused(weir, origin):
    refused_all(weir, origin, b"Transfer-Encoding: chunked\r\n", 400, "te_http10", version=b"1.0")
    refused_all(weir, origin, b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", 400,
                "te_http10", version=b"1.0")


@pytest.mark.parametrize("fields", [
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    b"Transfer-Encoding: chunked\r\ntransfer-encoding: gzip\r\n",
    b"Transfer-Encoding: gzip, chunked, chunked\r\n"])
def test_F6_chunked_twice_refused(weir, origin, fields):
    refused_all(weir, origin, fields, 400, "te_bad")


@pytest.mark.parametrize("value", [
    b"+5", b"-5", b"-0", b"0x5", b"5_0", b"1 1", b"", b" ", b"5e0", b"5.0", b"5;", b"five", b"'5'",
    b'"5"', b"5\xa0", b"0b1", b"5L", b"\xd9\xa5", b"1\t1", b"=5", b"18446744073709551616x"])
def test_F7_length_not_digits_refused(weir, origin, value):
    refused_all(weir, origin, b"Content-Length: %s\r\n" % value, 400, "length_bad", b"hello")


def test_F7_length_with_zeros_and_white_space_is_a_number(weir, origin):
    for value in (b"5", b"005", b"\t 5", b"5 \t", b"00000000000000000000000000000000000000005"):
        r = forwarded(weir, origin, post(b"Content-Length:%s\r\n" % value, b"hello"))
        assert r.body == b"hello" and r.get(b"Content-Length") == [b"5"]


@pytest.mark.parametrize("fields", [
    b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: 5, 6\r\n",
    b"Content-Length: 6\r\nX: y\r\ncontent-length: 5\r\n", b"Content-Length: 0\r\nContent-Length: 5\r\n",
    b"Content-Length: 5,\r\n", b"Content-Length: ,5\r\n"])
def test_F8_different_lengths_refused(weir, origin, fields):
    refused_all(weir, origin, fields, 400, "length_repeated", b"hello")


@pytest.mark.parametrize("fields", [
    b"Content-Length: 5\r\nContent-Length: 5\r\n", b"Content-Length: 5, 5\r\n",
    b"Content-Length: 5,5,5\r\n"])
def test_F9_same_length_twice_refused(weir, origin, fields):
    refused_all(weir, origin, fields, 400, "length_repeated", b"hello")


@pytest.mark.parametrize("value", [b"9223372036854775808", b"18446744073709551615",
                                   b"18446744073709551621", b"1" + b"0" * 40, b"9" * 2000])
def test_F10_length_out_of_range_refused(weir, origin, value):
    refused_all(weir, origin, b"Content-Length: %s\r\n" % value, 400, "length_range", b"hello")


def test_F10_largest_length_is_forwarded_as_it_is(weir, origin):
    with Client(weir.port) as c:
        c.send(post(b"Content-Length: 9223372036854775807\r\n", b"hello"))
        s = origin.stream_with(b"Content-Length: 9223372036854775807\r\n")
        origin.stream_with(b"hello")
    origin.ended(s)
    assert canary(weir, origin) == []


@pytest.mark.parametrize("size", [b"8000000000000000", b"ffffffffffffffff", b"10000000000000005",
                                  b"00000000000000005", b"f" * 400])
def test_F10_chunk_size_out_of_range_refused(weir, origin, size):
    for split in (0, 1):
        refused(weir, origin, chunked(size + b"\r\nhello\r\n0\r\n\r\n"), 400, "chunk_range", split)


# Bytes behind the head of a chunked request, and the word for what is wrong with them.
SIZES = [b"+5", b"-5", b"0x5", b"5_0", b" 5", b"\t5", b"5 ", b"5\t", b"", b"x", b"5 5", b"\x005",
         b"5\x00", b"'5'", b"5h", b",5", b"5,", b"\xef\xbc\x95", b"#5", b"=5"]


def faulty(weir, origin, body, word):
    """Refused alone, byte by byte, behind a good chunk, and with the head sent long before."""
    for raw, split in ((chunked(body), 0), (chunked(body), 1),
                       (chunked(b"3\r\nabc\r\n" + body, b"CCM_POST"), 0)):
        refused(weir, origin, raw, 400, word, split)
    origin.clear()
    with Client(weir.port) as c:
        c.send(chunked(b""))
        s = origin.stream_with(b"POST /p")
        r = c.ask(body)
        assert r.status == 400 and r.body.startswith(word.encode()), (body, r)
        assert c.is_closed()
    origin.ended(s)
    assert canary(weir, origin) == []


@pytest.mark.parametrize("size", SIZES)
def test_F11_chunk_size_not_hexadecimal_refused(weir, origin, size):
    faulty(weir, origin, size + b"\r\nhello\r\n0\r\n\r\n", "chunk_size")


@pytest.mark.parametrize("body", [
    b"5\r\nhello!\r\n0\r\n\r\n", b"5\r\nhell\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\r0\r\n\r\n", b"5\r\nhello\n\r0\r\n\r\n", b"5\r\nhello \r\n0\r\n\r\n",
    b"5\r\nhelloGET / HTTP/1.1\r\n"])
def test_F12_chunk_data_of_another_length_refused(weir, origin, body):
    faulty(weir, origin, body, "chunk_data")


@pytest.mark.parametrize("body,word", [
    (b"5\nhello\r\n0\r\n\r\n", "chunk_size"), (b"5\rhello\r\n0\r\n\r\n", "chunk_size"),
    (b"5\r\nhello\n0\r\n\r\n", "chunk_data"), (b"5\r\rhello\r\n", "chunk_size"),
    (b"5;a\nhello\r\n0\r\n\r\n", "chunk_ext"), (b"5;a=\rb\r\nhello\r\n", "chunk_ext"),
    (b"5;a\rb\r\nhello\r\n", "chunk_size"), (b'5;a="b\nc"\r\nhello\r\n', "chunk_ext"),
    (b'5;a="b\rc"\r\nhello\r\n', "chunk_ext"), (b"0\n\r\n", "chunk_size"),
    (b"0\r\n\n", "trailer_bad"), (b"0\r\n\rX", "trailer_bad"), (b"0\r\nA: b\n\r\n", "trailer_bad"),
    (b"0\r\nA: b\rC: d\r\n\r\n", "trailer_bad"), (b"0\r\nA: b\r\n\n", "trailer_bad"),
    (b"0\r\nA\r\n\r\n", "trailer_bad"), (b"0\r\n: b\r\n\r\n", "trailer_bad"),
    (b"0\r\nA : b\r\n\r\n", "trailer_bad"), (b"0\r\nA: b\r\n c\r\n\r\n", "trailer_bad"),
    (b"0\r\n A: b\r\n\r\n", "trailer_bad"), (b"0\r\nA: \x00\r\n\r\n", "trailer_bad")])
def test_F13_lone_cr_or_lf_in_chunk_lines_refused(weir, origin, body, word):
    faulty(weir, origin, body, word)


@pytest.mark.parametrize("ext", [b";a", b";a=b", b';a="b;c\\"\x80"', b";a;b=c;d", b";a=\"\""])
def test_F14_chunk_extensions_are_not_forwarded(weir, origin, ext):
    for split in (0, 1):
        r = forwarded(weir, origin, chunked(b"5" + ext + b"\r\nhello\r\n0" + ext + b"\r\n\r\n"),
                      split)
        assert r.body == b"hello"
        assert ext not in r.stream.raw


def test_F14_chunk_extensions_are_bounded(weir, origin):
    def body(n):
        return b"5;" + b"a" * (n - 1) + b"\r\nhello\r\n0\r\n\r\n"

    assert forwarded(weir, origin, chunked(body(4096))).body == b"hello"
    faulty(weir, origin, body(4097), "chunk_ext")
    # In all chunks of the message together.
    many = b"1;abcdefg\r\nx\r\n" * 512
    assert forwarded(weir, origin, chunked(many + b"0\r\n\r\n")).body == b"x" * 512
    faulty(weir, origin, many + b"0;a\r\n\r\n", "chunk_ext")


@pytest.mark.parametrize("ext", [b";", b"; a", b" ;a", b";a =b", b";a= b", b";=b", b";a;", b";a=",
                                 b';a="b', b';a="b"c', b";a=b\x01", b";a=(b)", b"a=b", b";\xe4"])
def test_F14_chunk_extension_malformed_refused(weir, origin, ext):
    word = "chunk_size" if ext[:1] != b";" else "chunk_ext"
    faulty(weir, origin, b"5" + ext + b"\r\nhello\r\n0\r\n\r\n", word)


def test_F15_trailers_are_dropped(weir, origin):
    trailers = b"X-Checksum: 17\r\nDate: Thu, 01 Mar 2007 10:11:12 GMT\r\nEmpty:\r\n"
    for split in (0, 1):
        r = forwarded(weir, origin, chunked(b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n",
                                            fields=b"Trailer: X-Checksum\r\n"), split)
        assert r.body == b"hello"
        assert r.get(b"X-Checksum") == r.get(b"Trailer") == r.get(b"Empty") == []
        assert b"17" not in r.stream.raw


@pytest.mark.parametrize("name", [
    b"Content-Length", b"Transfer-Encoding", b"Host", b"Trailer", b"TE", b"Connection",
    b"Content-Type", b"Content-Encoding", b"Content-Range", b"Authorization", b"Cookie",
    b"Set-Cookie", b"Expect", b"Upgrade", b"Max-Forwards", b"Cache-Control", b"Keep-Alive",
    b"Proxy-Authorization", b"Via", b"X-Forwarded-For", b"Forwarded", b"content_length",
    b"TRANSFER_ENCODING", b"Range"])
def test_F15_forbidden_trailer_refused(weir, origin, name):
    faulty(weir, origin, b"5\r\nhello\r\n0\r\nX: y\r\n" + name + b": 1\r\n\r\n", "trailer_bad")


CUTS = {"length": post(b"Content-Length: 100000\r\n", b"hello"),
        "chunk": chunked(b"a\r\nhello"),
        "chunk_line": chunked(b"5\r\nhello\r\n"),
        "last_chunk": chunked(b"5\r\nhello\r\n0\r\n"),
        "chunk_end": chunked(b"5\r\nhello")}


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("where", sorted(CUTS))
def test_F16_body_cut_by_the_client_is_no_message(weir, origin, where, how):
    with Client(weir.port) as c:
        c.send(CUTS[where])
        s = origin.stream_with(b"hello")
        if how == "reset":
            c.reset()
        else:
            r = c.half_close().response()
            assert r is None or r.status == 400
            assert r is None or c.is_closed()
    origin.ended(s)
    assert canary(weir, origin) == []


def test_F16_slow_body_is_no_message(origin):
    p = Statweir(origin.port, {"listen.rate_window": "300ms", "listen.min_rate": "100B"}).start()
    try:
        p.ready()
        for raw in CUTS.values():
            origin.clear()
            with Client(p.port) as c:
                r = c.ask(raw)
                assert r.status == 408 and c.is_closed()
            assert canary(p, origin) == []
            assert all(s.is_ended or not s.rest for s in origin.streams)
    finally:
        p.close()


def test_F16_cut_status_message_is_neither_absorbed_nor_counted(weir, origin):
    for how in (Client.half_close, Client.reset):
        origin.clear()
        before = weir.metrics()
        m = ccm.Message()
        with Client(weir.port) as c:
            how(c.send(m.raw[:-1]))
            if how == Client.half_close:
                assert c.response().status == 400 and c.is_closed()
        until("the end is noticed", lambda: weir.metric("statweir_messages_in_flight") == 0)
        assert canary(weir, origin) == []
        after = weir.metrics()
        for name in ('statweir_messages_outcome_total{outcome="absorbed_unique"}',
                     'statweir_messages_outcome_total{outcome="absorbed_duplicate"}',
                     "statweir_recognised_total"):
            assert after[name] == before[name]
        # The cut message and the canary.
        name = "statweir_messages_received_total"
        assert after[name] == before[name] + 2


@pytest.mark.parametrize("first", [
    b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Close\r\n\r\n",
    b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
    b"GET /1 HTTP/1.0\r\n\r\n", b"GET /1 HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
    b"POST /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"])
def test_F17_bytes_behind_a_closing_request_are_not_processed(weir, origin, first):
    for split in (0, 7):
        origin.clear()
        with Client(weir.port) as c:
            c.send(first + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", split)
            r = c.response()
            assert r.status == 200 and b" /1 " in r.body
            assert r.field(b"Connection") == b"close" and c.is_closed()
        assert [r.target for r in canary(weir, origin)] == [b"/1"]


def test_F17_late_bytes_do_not_cost_the_answer(weir, origin):
    origin.answer = lambda r: ok(b"x" * 50000) if r.target == b"/p" else echo(r)
    with Client(weir.port) as c:
        c.send(post(b"Connection: close\r\nContent-Length: 2\r\n", b"hi"))
        origin.request()
        canary(weir, origin)
        for _ in range(2):  # a close would have been a reset by the second
            c.send(b"\r\n")
            canary(weir, origin)
        assert len(c.response().body) == 50000 and c.is_closed()


def test_F18_pipelined_requests_are_answered_in_order(weir, origin):
    raw = (b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" + post(b"Content-Length: 5\r\n", b"GET /") +
           b"HEAD /3 HTTP/1.1\r\nHost: a\r\n\r\n" + chunked(b"5\r\n\r\nGET\r\n0\r\n\r\n") +
           b"\r\nGET /5 HTTP/1.1\r\nHost: a\r\n\r\n")
    for split in (0, 1, 7):
        origin.clear()
        with Client(weir.port) as c:
            c.send(raw, split)
            assert c.response().body == b"GET /1 0"
            assert c.response().body == b"POST /p 5"
            assert c.response(is_head=True).status == 200
            assert c.response().body == b"POST /p 5"
            assert c.response().body == b"GET /5 0"
        assert [r.body for r in canary(weir, origin)] == [b"", b"GET /", b"", b"\r\nGET", b""]


def test_F18_slow_first_answer_still_comes_first(weir, origin):
    origin.answer = lambda r: SILENCE if r.target == b"/1" else echo(r)
    with Client(weir.port) as c:
        c.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        first = origin.request()
        assert canary(weir, origin) == [first]  # the second waits
        first.stream.send(ok(b"first"))
        assert c.response().body == b"first"
        assert c.response().body == b"GET /2 0"


def test_F18_faulty_request_ends_the_connection_after_the_earlier_answers(weir, origin):
    good = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
    for bad in (b"GET /3 HTTP/1.1\r\nHost: a\r\nA: b\nC: d\r\n\r\n", b"\x16\x03\x01\x00\xa5",
                chunked(b"x\r\n"), post(b"Content-Length: 5\r\nContent-Length: 6\r\n")):
        for split in (0, 1):
            origin.clear()
            with Client(weir.port) as c:
                try:
                    c.send(good + bad + b"GET /4 HTTP/1.1\r\nHost: a\r\n\r\n", split)
                except OSError:
                    pass
                assert c.response().body == b"GET /1 0"
                assert c.response().body == b"GET /2 0"
                assert c.response().status == 400 and c.is_closed()
            assert [r.target for r in canary(weir, origin)] == [b"/1", b"/2"]


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PROPFIND", b"DELETE", b"SEARCH",
                                    b"CCM_POST"])
def test_F19_body_of_any_method_is_read_to_its_end(weir, origin, method):
    n = len(SMUGGLED)
    for raw in (post(b"Content-Length: %d\r\n" % n, SMUGGLED, method),
                chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (n, SMUGGLED), method)):
        for split in (0, 1):
            origin.clear()
            with Client(weir.port) as c:
                c.send(raw + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n", split)
                assert c.response(is_head=method == b"HEAD").status == 200
                assert c.response().body == b"GET /next 0"
            seen = canary(weir, origin)
            assert [r.target for r in seen] == [b"/p", b"/next"]
            assert seen[0].method == method and seen[0].body == SMUGGLED


def test_F20_requests_are_framed_anew(weir, origin):
    r = forwarded(weir, origin, post(b"content-LENGTH:\t 0005\t\r\n", b"hello"))
    assert [f for f in r.fields if f[0].lower() == b"content-length"] == [(b"Content-Length", b"5")]
    r = forwarded(weir, origin, post(b"TRANSFER-encoding: \tCHUNKED \r\n",
                                     b"0005;ext=1\r\nhello\r\n3\r\n\r\n0\r\n00;x\r\nT: v\r\n\r\n"))
    assert r.is_chunked and r.body == b"hello\r\n0"
    assert b"0005" not in r.stream.raw and b"T: v" not in r.stream.raw
    assert r.stream.raw.endswith(b"\r\n0\r\n\r\n")


def test_F20_no_framing_is_made_up(weir, origin):
    r = forwarded(weir, origin, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert r.get(b"Content-Length") == [] and not r.is_chunked
    # A POST that says 0 says it again; one that says nothing has no body either.
    assert forwarded(weir, origin, post(b"Content-Length: 0\r\n")).get(b"Content-Length") == [b"0"]
    assert forwarded(weir, origin, post(b"")).get(b"Content-Length") == []
