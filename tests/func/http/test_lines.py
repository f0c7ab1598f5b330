"""Start line and fields of requests: the lines L1 to L21 of docs/HTTP.md."""
import pytest

from harness.client import Client
from wire import (canary, forwarded, origin, refused, refused_before, shared, weir)  # noqa: F401


def get(fields=b"", target=b"/p", method=b"GET", version=b"HTTP/1.1", host=b"Host: a.test\r\n"):
    return b"%s %s %s\r\n%s%s\r\n" % (method, target, version, host, fields)


@pytest.mark.parametrize("raw", [
    get(b"A: b\rC: d\r\n"), get(b"A: \rb\r\n"), get(b"A:\rContent-Length: 5\r\n"),
    get(b"A: b\r\r\n"), get(b"A\r: b\r\n"), get(b"\rA: b\r\n"), get(target=b"/\rp"),
    get(method=b"GE\rT"), get(version=b"HTTP/1.1\r"), get(version=b"HTTP\r/1.1"),
    b"GET / HTTP/1.1\rHost: a\r\n\r\n", get(b"A: b\r\n\rX"), get(b"A: b\r\n\r\rX"),
    b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n"])
def test_L1_lone_cr_refused(weir, origin, raw):
    refused_before(weir, origin, raw, 400, "bare_cr")


@pytest.mark.parametrize("raw", [
    b"GET / HTTP/1.1\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\n\r\n", get(b"A: b\nC: d\r\n"),
    get(b"A: b\r\n\n"), b"GET / HTTP/1.1\nHost: a\n\n", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    get(b"A: b\n C: d\r\n"), get(b"\nA: b\r\n"), b"GET /\nHost: a\r\n\r\n"])
def test_L2_lone_lf_refused(weir, origin, raw):
    refused_before(weir, origin, raw, 400, "bare_lf")


@pytest.mark.parametrize("fields", [
    b"A: b\r\n c\r\n", b"A: b\r\n\tc\r\n", b"A:\r\n b\r\n", b"A: b\r\n Content-Length: 5\r\n",
    b"A: b\r\n \r\n", b"Transfer-Encoding:\r\n chunked\r\n", b"Content-Length: 1\r\n 0\r\n"])
def test_L3_folded_field_refused(weir, origin, fields):
    # An empty Transfer-Encoding is refused before its folded line is seen.
    word = "te_bad" if fields.startswith(b"Transfer") else "field_folded"
    refused_before(weir, origin, get(fields), 400, word)


@pytest.mark.parametrize("fields", [
    b"A : b\r\n", b"A\t: b\r\n", b"Content-Length : 5\r\n", b"Transfer-Encoding \t: chunked\r\n",
    b"A B: c\r\n", b"Host : b\r\n"])
def test_L4_white_space_before_the_colon_refused(weir, origin, fields):
    refused_before(weir, origin, get(fields), 400, "field_name")


@pytest.mark.parametrize("start", [b" ", b"\t", b" \t ", b" X: y\r\n", b"\tHost: b\r\n", b" \r\n"])
def test_L5_white_space_before_the_first_field_refused(weir, origin, start):
    refused_before(weir, origin, get(host=start + b"Host: a\r\n"), 400, "field_folded")


@pytest.mark.parametrize("fields,word", [
    (b"A\r\n", "field_no_colon"), (b"no colon here\r\n", "field_no_colon"),
    (b": b\r\n", "field_name"), (b":\r\n", "field_name"), (b"A(b): c\r\n", "field_name"),
    (b"A@b: c\r\n", "field_name"), (b"A\xe4: c\r\n", "field_name"), (b"A\x00: c\r\n", "field_name"),
    (b"A\x7f: c\r\n", "field_name"), (b'"A": c\r\n', "field_name"), (b"A/b: c\r\n", "field_name"),
    (b"\x00\r\n", "field_no_colon"), (b"[A]: c\r\n", "field_name"), (b"A,b: c\r\n", "field_name"),
    (b"{A}: c\r\n", "field_name"), (b"A=b\r\n", "field_no_colon"),
    (b"GET /2 HTTP/1.1\r\n", "field_no_colon"), (b"GET http://b/ HTTP/1.1\r\n", "field_name")])
def test_L6_field_name_not_a_token_refused(weir, origin, fields, word):
    refused_before(weir, origin, get(fields), 400, word)


@pytest.mark.parametrize("byte", sorted(set(range(0x20)) - {0x09, 0x0a, 0x0d} | {0x7f}))
def test_L7_control_character_in_a_value_refused(weir, origin, byte):
    for value in (b"%c", b"b%c", b"%cb", b"b%cb", b"12345678%c", b"x" * 100 + b"%c" + b"y" * 9):
        refused(weir, origin, get(b"A: " + value.replace(b"%c", bytes([byte])) + b"\r\n"), 400,
                "field_control")


def test_L7_every_other_byte_passes_unchanged(weir, origin):
    every = bytes([9] + list(range(0x20, 0x7f)) + list(range(0x80, 0x100)))
    value = b"x" + every + b"y"
    r = forwarded(weir, origin, get(b"A:   " + value + b" \t\r\nB:\r\nC: \t\r\n"))
    assert (b"A", value) in r.fields
    assert (b"B", b"") in r.fields and (b"C", b"") in r.fields
    assert len(forwarded(weir, origin, get(b"A: b\xff\xfe\r\n"), 1).get(b"A")[0]) == 3


@pytest.mark.parametrize("line,word", [
    (b"GET  / HTTP/1.1", "request_line"), (b"GET /  HTTP/1.1", "request_line"),
    (b"GET / HTTP/1.1 ", "request_line"), (b" GET / HTTP/1.1", "method_bad"),
    (b"GET\t/ HTTP/1.1", "method_bad"), (b"GET /\tHTTP/1.1", "target_bad"),
    (b"GET\x0b/ HTTP/1.1", "method_bad"), (b"GET /\x0cHTTP/1.1", "target_bad"),
    (b"GET / HTTP/1.1\t", "version_bad"), (b"GET / HTTP/1.1 HTTP/1.1", "request_line"),
    (b"GET /a b HTTP/1.1", "request_line"), (b"GET", "request_line"), (b"GET ", "request_line"),
    (b"GET /", "request_line"), (b"GET / ", "version_bad"), (b"GET HTTP/1.1", "request_line"),
    (b"GET  HTTP/1.1", "request_line"), (b"/ HTTP/1.1", "method_bad"),
    (b"GET / HTTP/1.1 X: y", "request_line"), (b"GET /\x85HTTP/1.1", "target_bad")])
def test_L8_request_line_is_not_repaired(weir, origin, line, word):
    refused_before(weir, origin, line + b"\r\nHost: a\r\n\r\n", 400, word)


@pytest.mark.parametrize("method", [
    b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CCM_POST", b"BITS_POST", b"PROPFIND",
    b"M-SEARCH", b"get", b"x", b"!#$%&'*+-.^_`|~09", b"A" * 32, b"PRI", b"HTTP", b"TRACEX",
    b"CONNECTX", b"trace"])
def test_L9_any_token_is_a_method(weir, origin, method):
    for split in (0, 1):
        r = forwarded(weir, origin, get(method=method), split)
        assert r.method == method and r.target == b"/p"


@pytest.mark.parametrize("method", [b"G(T", b"G@T", b"G/T", b"G\x00T", b"G\xe4T", b"[GET]", b"GET:",
                                    b'"GET"', b"\x80", b"G,T", b"G=T", b"{}"])
def test_L9_method_not_a_token_refused(weir, origin, method):
    refused_before(weir, origin, get(method=method), 400, "method_bad")


def test_L9_long_method_not_implemented(weir, origin):
    refused_before(weir, origin, get(method=b"A" * 33), 501, "method_long")
    refused_before(weir, origin, get(method=b"A" * 4000), 501, "method_long")


TARGETS = [b"/", b"//", b"///a", b"/a/../b", b"/./a", b"/%2e%2e/", b"/%00", b"/%0d%0aX:%20y", b"/%",
           b"/%zz", b"/a%2Fb", b"/a\\b", b"/?", b"/??", b"/a?b=c&d", b"/a;b?c;d", b"/{}|^`<>\"",
           b"/a//b?//", b"/*", b"/http://b/", b"/a?http://b/", b"/ccm_system/request?x=1&y=%41",
           b"/%C0%AE", b"/a:b@c", b"/[::1]", b"/!$&'()*+,=~"]


@pytest.mark.parametrize("target", TARGETS)
def test_L10_target_passes_unchanged(weir, origin, target):
    for method in (b"GET", b"CCM_POST"):
        assert forwarded(weir, origin, get(target=target, method=method)).target == target


@pytest.mark.parametrize("byte", sorted(set(range(0x20)) - {0x0a, 0x0d, 0x20} | {0x23, 0x7f, 0x80,
                                                                               0xc3, 0xff}))
def test_L10_byte_that_may_not_stand_in_a_target_refused(weir, origin, byte):
    for target in (b"/%c", b"/a%cb", b"/?a%c", b"%c/", b"http://a.test/%c"):
        refused(weir, origin, get(target=target.replace(b"%c", bytes([byte]))), 400, "target_bad")


@pytest.mark.parametrize("target,path,host", [
    (b"http://a.test/x?y=1", b"/x?y=1", b"a.test"), (b"http://a.test", b"/", b"a.test"),
    (b"http://a.test?y", b"/?y", b"a.test"), (b"HTTP://A.Test:80/", b"/", b"A.Test:80"),
    (b"http://a.test:/", b"/", b"a.test:"), (b"https://a.test:443/z", b"/z", b"a.test:443"),
    (b"http://a.test//x", b"//x", b"a.test"), (b"http://a.test/%41", b"/%41", b"a.test")])
def test_L11_absolute_form_is_forwarded_in_origin_form(weir, origin, target, path, host):
    r = forwarded(weir, origin, get(target=target))
    assert r.target == path and r.get(b"Host") == [host]


def test_L11_authority_of_the_target_is_the_host_sent_on(weir, origin):
    # Two spellings of one authority: the target's is what counts.
    r = forwarded(weir, origin, get(target=b"http://A.TEST:80/"))
    assert r.get(b"Host") == [b"A.TEST:80"]
    r = forwarded(weir, origin, get(target=b"http://b.test/", version=b"HTTP/1.0", host=b""))
    assert r.get(b"Host") == [b"b.test"]
    r = forwarded(weir, origin, get(target=b"http://[::1]:81/", host=b"Host: [::1]:81\r\n"))
    assert r.get(b"Host") == [b"[::1]:81"]
    r = forwarded(weir, origin, get(target=b"http://a.test", method=b"OPTIONS"))
    assert r.target == b"*"


@pytest.mark.parametrize("target,word", [
    (b"http://", "target_form"), (b"http:///x", "target_form"), (b"http://?x", "target_form"),
    (b"http://u@a.test/", "target_form"), (b"http://u:p@a.test/", "target_form"),
    (b"http://a.test:99999/", "target_form"), (b"http://a.test:8x/", "target_form"),
    (b"http://a.test,b.test/", "target_form"), (b"http://a.test\\@b.test/", "target_form"),
    (b"http://[::1/", "target_form"), (b"http://[a]/", "target_form"),
    (b"http://:80/", "target_form"), (b"http://a.test:80:80/", "target_form"),
    (b"http://b.test/", "host_mismatch"), (b"http://a.test:81/", "host_mismatch"),
    (b"https://a.test:80/", "host_mismatch"), (b"http://a.test./", "host_mismatch"),
    (b"ftp://a.test/", "target_form"), (b"http:/a.test/", "target_form"),
    (b"http:a.test", "target_form"), (b"file:///x", "target_form"), (b"ws://a.test/", "target_form"),
    (b"urn:x", "target_form"), (b"//a.test\x00", "target_bad")])
def test_L11_absolute_form_not_for_us_refused(weir, origin, target, word):
    refused_before(weir, origin, get(target=target), 400, word)


@pytest.mark.parametrize("method,target", [
    (b"GET", b"a.test:80"), (b"GET", b"a.test"), (b"POST", b"*"), (b"GET", b"*"), (b"GET", b"p"),
    (b"GET", b"p/q"), (b"GET", b"?x"), (b"OPTIONS", b"**"), (b"OPTIONS", b"*/"), (b"GET", b"."),
    (b"OPTIONS", b"*?x"), (b"GET", b"../x"), (b"CCM_POST", b"\\"), (b"GET", b"%2F"),
    (b"GET", b"@/"), (b"GET", b":80")])
def test_L12_target_of_another_form_refused(weir, origin, method, target):
    refused_before(weir, origin, get(target=target, method=method), 400, "target_form")


def test_L12_asterisk_for_options(weir, origin):
    r = forwarded(weir, origin, get(target=b"*", method=b"OPTIONS"))
    assert (r.method, r.target) == (b"OPTIONS", b"*")


@pytest.mark.parametrize("host,word", [
    (b"", "host_missing"), (b"X-Host: a\r\n", "host_missing"),
    (b"Host: a\r\nHost: a\r\n", "field_repeated"), (b"Host: a\r\nHost: b\r\n", "field_repeated"),
    (b"Host: a\r\nX: y\r\nhOST: b\r\n", "field_repeated"), (b"Host:\r\n", "host_bad"),
    (b"Host: a,b\r\n", "host_bad"), (b"Host: a/b\r\n", "host_bad"), (b"Host: a b\r\n", "host_bad"),
    (b"Host: u@a\r\n", "host_bad"), (b"Host: a:80:80\r\n", "host_bad"), (b"Host: a:x\r\n", "host_bad"),
    (b"Host: a:65536\r\n", "host_bad"), (b"Host: a:-1\r\n", "host_bad"), (b"Host: :80\r\n", "host_bad"),
    (b"Host: a:+80\r\n", "host_bad"), (b"Host: a?b\r\n", "host_bad"), (b"Host: a#b\r\n", "host_bad"),
    (b"Host: http://a\r\n", "host_bad"), (b"Host: [::1\r\n", "host_bad"), (b"Host: ::1\r\n", "host_bad"),
    (b"Host: [::1]x\r\n", "host_bad"), (b"Host: a\\b\r\n", "host_bad"), (b"Host: \"a\"\r\n", "host_bad"),
    (b"Host: a%\r\n", "host_bad"), (b"Host: a%zz\r\n", "host_bad"), (b"Host: a\xe4\r\n", "host_bad"),
    (b"Host: " + b"a" * 256 + b"\r\n", "host_bad"), (b"Host: a\tb\r\n", "host_bad")])
def test_L13_host_missing_twice_or_invalid_refused(weir, origin, host, word):
    refused_before(weir, origin, get(host=host), 400, word)


@pytest.mark.parametrize("host", [b"a", b"a.test:80", b"a.test:", b"10.0.0.1:65535", b"[::1]:80",
                                  b"MP01", b"a_b.test", b"a%41", b"a" * 255, b"1.2.3"])
def test_L13_valid_host_is_sent_on(weir, origin, host):
    for version in (b"HTTP/1.1", b"HTTP/1.0"):
        r = forwarded(weir, origin, get(host=b"host: \t%s \r\n" % host, version=version))
        assert r.get(b"Host") == [host]


def test_L14_http10_without_host_gets_the_configured_one(weir, origin):
    r = forwarded(weir, origin, get(host=b"", version=b"HTTP/1.0"))
    assert r.get(b"Host") == [b"127.0.0.1:%d" % origin.port]
    # What was said is not mended.
    refused_before(weir, origin, get(host=b"Host:\r\n", version=b"HTTP/1.0"), 400, "host_bad")
    refused_before(weir, origin, get(host=b"Host: a\r\nHost: a\r\n", version=b"HTTP/1.0"), 400,
                   "field_repeated")


@pytest.mark.parametrize("version", [b"HTTP/1.0"] + [b"HTTP/1.%d" % i for i in range(1, 10)])
def test_L15_every_minor_version_of_1_is_served(weir, origin, version):
    origin.clear()
    with Client(weir.port) as c:
        r = c.ask(get(version=version))
        assert r.status == 200 and r.head.startswith(b"HTTP/1.1 ")
        if version == b"HTTP/1.0":
            assert c.is_closed()
        else:
            assert c.ask(get(version=version)).status == 200
    assert origin.requests[0].head.startswith(b"GET /p HTTP/1.1\r\n")


@pytest.mark.parametrize("version,status,word", [
    (b"HTTP/2.0", 505, "version_major"), (b"HTTP/3.1", 505, "version_major"),
    (b"HTTP/9.9", 505, "version_major"), (b"HTTP/0.9", 400, "version_bad"),
    (b"HTTP/1.10", 400, "version_bad"), (b"HTTP/01.1", 400, "version_bad"),
    (b"HTTP/1.", 400, "version_bad"), (b"HTTP/1", 400, "version_bad"),
    (b"HTTP/.1", 400, "version_bad"), (b"http/1.1", 400, "version_bad"),
    (b"Http/1.1", 400, "version_bad"), (b"HTTPS/1.1", 400, "version_bad"),
    (b"HTTP/1,1", 400, "version_bad"), (b"HTTP/+1.1", 400, "version_bad"),
    (b"HTTP/1.1x", 400, "version_bad"), (b"xHTTP/1.1", 400, "version_bad"),
    (b"HTTP/1.-1", 400, "version_bad"), (b"HTTP", 400, "version_bad"),
    (b"HTTP/1.a", 400, "version_bad"), (b"HTTP/\xb9.1", 400, "version_bad"),
    (b"RTSP/1.0", 400, "version_bad"), (b"ICE/1.0", 400, "version_bad"),
    (b"HTTP/ 1.1", 400, "request_line"), (b"HTTP /1.1", 400, "request_line")])
def test_L15_other_versions_refused(weir, origin, version, status, word):
    refused_before(weir, origin, get(version=version), status, word)


@pytest.mark.parametrize("raw", [b"GET /\r\n", b"GET /\r\n\r\n", b"GET /p\r\nHost: a\r\n\r\n",
                                 b"CCM_POST /ccm_system/request\r\nContent-Length: 5\r\n\r\nhello"])
def test_L15_http09_refused(weir, origin, raw):
    refused_before(weir, origin, raw, 400, "request_line")


def test_L16_up_to_two_empty_lines_before_a_request_are_ignored(weir, origin):
    for n in (1, 2):
        for split in (0, 1):
            assert forwarded(weir, origin, b"\r\n" * n + get(), split).target == b"/p"
    origin.clear()
    with Client(weir.port) as c:
        for _ in range(3):
            assert c.ask(b"\r\n\r\n" + get()).status == 200


@pytest.mark.parametrize("start,word", [
    (b"\r\n\r\n\r\n", "leading_crlf"), (b"\r", "bare_cr"), (b"\r\r\n", "bare_cr"),
    (b"\n", "bare_lf"), (b"\r\n\n", "bare_lf"), (b"\r\n\r", "bare_cr"), (b" \r\n", "method_bad"),
    (b"\x00", "method_bad"), (b"\r\n ", "method_bad"), (b"\xef\xbb\xbf", "method_bad")])
def test_L16_other_bytes_before_a_request_refused(weir, origin, start, word):
    refused_before(weir, origin, start + get(), 400, word)


def test_L17_long_request_line(weir, origin):
    for n in (8000, 8192):
        target = b"/" + b"a" * (n - len(b"GET / HTTP/1.1"))
        assert forwarded(weir, origin, get(target=target)).target == target
    for n in (8193, 9000, 100000):
        target = b"/" + b"a" * (n - len(b"GET / HTTP/1.1"))
        refused(weir, origin, get(target=target), 414, "request_line_long")


def test_L17_large_header_section(weir, origin):
    line = b"A: " + b"b" * (8192 - 3) + b"\r\n"
    r = forwarded(weir, origin, get(line * 3))
    assert r.get(b"A") == [b"b" * (8192 - 3)] * 3
    refused(weir, origin, get(line * 4), 431, "head_long")
    refused(weir, origin, get(b"A: " + b"b" * (8193 - 3) + b"\r\n"), 431, "field_long")
    assert len(forwarded(weir, origin, get(b"A: b\r\n" * 99)).get(b"A")) == 99
    refused(weir, origin, get(b"A: b\r\n" * 100), 431, "field_count")


@pytest.mark.parametrize("name", [b"Content_Length", b"Transfer_Encoding", b"transfer_ENCODING",
                                  b"X_Forwarded_For", b"X-Forwarded_For", b"X_Forwarded-Proto",
                                  b"Content_Type", b"Max_Forwards", b"Keep_Alive"])
def test_L18_underscore_twin_is_dropped(weir, origin, name):
    r = forwarded(weir, origin, get(b"%s: chunked\r\nA_B: c\r\n" % name))
    assert r.get(name) == [] and b"chunked" not in r.head
    # Other names with an underscore are nobody's twin.
    assert r.get(b"A_B") == [b"c"]


@pytest.mark.parametrize("name,value,word", [
    (b"Content-Type", b"a/b", "field_repeated"), (b"Content-Range", b"bytes 0-1/2", "field_repeated"),
    (b"Expect", b"100-continue", "field_repeated"), (b"Authorization", b"Basic eA==", "field_repeated"),
    (b"Content-Length", b"0", "length_repeated"), (b"Host", b"a.test", "field_repeated"),
    (b"Max-Forwards", b"1", "field_repeated")])
def test_L19_repeated_singleton_refused(weir, origin, name, value, word):
    host = b"" if name == b"Host" else b"Host: a.test\r\n"
    for second in (value, b"other"):
        raw = get(b"%s: %s\r\nX: y\r\n%s: %s\r\n" % (name, value, name.lower(), second), host=host)
        refused_before(weir, origin, raw, 400, word)


@pytest.mark.parametrize("fields", [b"A : b\r\n", b"Host: b\r\n", b"Content-Length: x\r\n",
                                    b"Connection: Host\r\n", b"A: b\rc\r\n"])
def test_R2_refusal_of_a_head_request_has_no_body(weir, origin, fields):
    with Client(weir.port) as c:
        c.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
        assert c.response(is_head=True).status == 400
        assert c.is_closed()


def test_L20_unknown_fields_keep_their_order_and_bytes(weir, origin):
    sent = [(b"A", b"1"), (b"b", b"two words"), (b"A", b"3"), (b"X-Y", b""), (b"a", b"4, 5"),
            (b"CCMClientID", b"GUID:1"), (b"Cookie", b"a=b; c=d"), (b"Cookie", b"e=f"),
            (b"SOAPAction", b'"x"'), (b"!#$%&'*+-.^_`|~09", b"v"), (b"Accept", b"*/*"),
            (b"User-Agent", b"ccmhttp"), (b"N" * 8000, b"long")]
    raw = get(b"".join(b"%s: %s\r\n" % f for f in sent))
    for split in (0, 7):
        r = forwarded(weir, origin, raw, split)
        ours = {b"Host", b"Via", b"X-Forwarded-For"}
        assert [f for f in r.fields if f[0] not in ours] == sent
        assert [n for n, v in r.fields if n in ours] == [b"Host", b"Via", b"X-Forwarded-For"]


@pytest.mark.parametrize("raw", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                                 b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"])
def test_L21_http2_preface_refused(weir, origin, raw):
    refused_before(weir, origin, raw, 505, "version_major")


def test_L21_h2c_upgrade_is_not_taken(weir, origin):
    r = forwarded(weir, origin, get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                                    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"))
    assert r.get(b"Upgrade") == r.get(b"HTTP2-Settings") == []
