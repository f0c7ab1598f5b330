"""Who is believed about the client's address, and what the access log says of every change."""
import re
import socket

import pytest

from harness import ccm
from harness.mp import ACK
from harness.proxy import Statweir, until
from limits_wire import (Client, ask, echo, echo_again, ok, raw, request,  # noqa: F401
                         rest, upstream, weirs)

TRUSTED = "127.0.0.6, 127.0.7.0/24, ::1"


@pytest.fixture
def weir(weirs):
    return weirs(listen__trusted=TRUSTED, global__access_log="on", limits__body="1MiB",
                 listen__max_per_address="50")


@pytest.fixture
def absorber(weirs, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "forwarded-ack.http"
    path.write_bytes(ACK)
    return weirs(global__access_log="on", ack__template=path).ready()


def values(head, name):
    return re.findall(rb"(?im)^" + re.escape(name) + rb":[ \t]*(.*?)\r$", head)


def upstream_head(p, upstream, fields=b"", source="127.0.0.5", minor=1):
    n = len(upstream.heads)
    with Client(p.port, source=source) as c:
        assert c.ask(request(fields=fields, minor=minor)).status == 200
    return upstream.wait(n + 1)[-1]


SAID = (b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n"
        b"Forwarded: for=192.0.2.1;proto=https\r\n")


# --- who is believed

@pytest.mark.parametrize("source", ["127.0.0.5", "127.0.0.7", "127.0.8.0", "127.0.6.255"])
def test_peer_outside_the_list_says_nothing_about_itself(weir, upstream, source):
    head = upstream_head(weir, upstream, SAID, source)
    assert values(head, b"X-Forwarded-For") == [source.encode()]
    for name in (b"X-Forwarded-Proto", b"X-Forwarded-Host", b"Forwarded"):
        assert values(head, name) == []
    assert b"192.0.2.1" not in head and b"evil" not in head


@pytest.mark.parametrize("source", ["127.0.0.6", "127.0.7.0", "127.0.7.255"])
def test_trusted_peer_is_believed_and_appended(weir, upstream, source):
    head = upstream_head(weir, upstream, SAID, source)
    peer = source.encode()
    assert values(head, b"X-Forwarded-For") == [b"192.0.2.1, " + peer]
    assert values(head, b"X-Forwarded-Proto") == [b"https"]
    assert values(head, b"X-Forwarded-Host") == [b"evil"]
    assert values(head, b"Forwarded") == [b"for=192.0.2.1;proto=https, for=" + peer]


def test_several_lines_of_a_trusted_peer_are_kept_in_order(weir, upstream):
    head = upstream_head(weir, upstream, b"X-Forwarded-For: 192.0.2.1\r\nX-A: b\r\n"
                         b"x-forwarded-for: 192.0.2.2, 192.0.2.3\r\n", "127.0.0.6")
    assert values(head, b"X-Forwarded-For") == [b"192.0.2.1", b"192.0.2.2, 192.0.2.3, 127.0.0.6"]


@pytest.mark.parametrize("source", ["127.0.0.5", "127.0.0.6"])
def test_peer_that_says_nothing_is_named(weir, upstream, source):
    head = upstream_head(weir, upstream, b"", source)
    assert values(head, b"X-Forwarded-For") == [source.encode()]
    assert values(head, b"Forwarded") == []


def test_empty_value_of_a_trusted_peer_gets_no_empty_member(weir, upstream):
    head = upstream_head(weir, upstream, b"X-Forwarded-For:\r\n", "127.0.0.6")
    assert values(head, b"X-Forwarded-For") == [b"127.0.0.6"]


@pytest.mark.parametrize("name", [b"X_Forwarded_For", b"X-Forwarded_For", b"X_Forwarded_Proto"])
@pytest.mark.parametrize("source", ["127.0.0.5", "127.0.0.6"])
def test_underscore_twins_are_never_believed(weir, upstream, name, source):
    head = upstream_head(weir, upstream, name + b": 192.0.2.1\r\n", source)
    assert b"192.0.2.1" not in head


@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"Forwarded", b"Via"])
@pytest.mark.parametrize("source", ["127.0.0.5", "127.0.0.6"])
def test_nobody_removes_them_with_connection(weir, upstream, name, source):
    with Client(weir.port, source=source) as c:
        r = c.ask(request(fields=b"Connection: " + name + b"\r\n" + name + b": x\r\n"))
        assert r.status == 400 and b"connection_names" in r.body
    assert upstream.heads == []


def test_peer_over_ipv6(weirs, upstream):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    # The harness says 127.0.0.1; the later setting wins.
    for trusted, forwarded in (("", []), ("::1", [b'for=192.0.2.1, for="[::1]"'])):
        p = weirs(global__listen="[::1]:0", listen__trusted=trusted)
        with socket.create_connection(("::1", p.port), 10) as s:
            s.sendall(request(fields=b"Connection: close\r\nForwarded: for=192.0.2.1\r\n"))
            while s.recv(65536):
                pass
        head = upstream.heads[-1]
        assert values(head, b"X-Forwarded-For") == [b"::1"]
        assert values(head, b"Forwarded") == forwarded


def test_list_that_is_none_is_refused_at_start(upstream):
    p = Statweir(upstream.port, {"listen.trusted": "127.0.0.300"})
    with pytest.raises(AssertionError, match="statweir ended"):
        p.start()
    until("it says why", lambda: any("listen.trusted" in x for x in p.log))
    p.expected_exit = p.proc.wait()
    assert p.expected_exit != 0
    p.close()


# --- Via

@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("source", ["127.0.0.5", "127.0.0.6"])
def test_via_gains_our_name(weir, upstream, minor, source):
    """Of trusted and other peers alike: it tells loops, not addresses."""
    head = upstream_head(weir, upstream, b"Via: 1.0 fred, 1.1 p.example.net\r\n", source, minor)
    assert values(head, b"Via") == [b"1.0 fred, 1.1 p.example.net", b"1.%d statweir" % minor]


@pytest.mark.parametrize("n,status", [(2, 200), (3, 508), (4, 508)])
def test_via_with_our_name_so_many_times_is_a_loop(weir, upstream, n, status):
    for fields in (b"Via: " + b", ".join([b"1.1 statweir"] * n) + b"\r\n",
                   b"Via: 1.1 STATWEIR (mine)\r\n" * n):
        with Client(weir.port) as c:
            assert c.ask(request(fields=fields)).status == status


def test_via_with_another_name(weirs, upstream):
    p = weirs(listen__pseudonym="weir-2", listen__via_limit="1")
    head = upstream_head(p, upstream, b"Via: 1.1 statweir, 1.1 weir-22\r\n")
    assert values(head, b"Via")[-1] == b"1.1 weir-2"
    with Client(p.port) as c:
        assert c.ask(request(fields=b"Via: 1.1 weir-2\r\n")).status == 508


def test_two_statweirs_in_a_row(weirs, upstream, weir):
    """The second one trusts the first, and names both peers."""
    first = weirs(port=weir.port)
    with Client(first.port, source="127.0.0.9") as c:
        assert c.ask(request()).status == 200
    head = upstream.heads[-1]
    assert values(head, b"Via") == [b"1.1 statweir", b"1.1 statweir"]
    # 127.0.0.1 is not in its list: what the first one said is dropped.
    assert values(head, b"X-Forwarded-For") == [b"127.0.0.1"]


def test_statweir_before_itself_ends_the_loop(weirs, upstream, weir):
    """Its own address as the upstream: 508 after so many rounds, not for ever."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    p = weirs(port=port, global__listen="127.0.0.1:%d" % port, listen__via_limit="5")
    assert ask(p, request()).status == 508
    assert p.metric("statweir_messages_received_total") == 6


# --- the access log

def log_of(p, mark, event="request"):
    """The fields of the line in which mark stands."""
    def find():
        for line in list(p.log):
            if re.match(r"<6>%s " % event, line) and mark in line:
                return line
        return None

    line = until("%s is logged" % mark, find)
    return dict((k, v.strip('"')) for k, v in re.findall(r'(\w+)=("[^"]*"|\S*)', line))


def said(p, target, fields=b"", source="127.0.0.5", data=None, minor=1):
    with Client(p.port, source=source) as c:
        c.send(data or request(target, fields=fields + b"Connection: close\r\n", minor=minor))
        rest(c)
    return log_of(p, target.decode())


def changed(p, word):
    return int(p.metric("statweir_changed_total", reason=word))


def test_log_of_a_plain_request(weir, upstream):
    line = said(weir, b"/log-plain?q=1")
    assert (line["peer"], line["request"], line["fate"], line["reason"], line["status"]) == (
        "127.0.0.5", "GET /log-plain?q=1", "passed", "none", "200")
    assert line["added"] == "via,peer_address,date"
    assert line["dropped"] == "Connection:hop_by_hop"
    assert "rewritten" not in line and int(line["took_ms"]) >= 0


DROPPED = {
    "hop_by_hop": b"Keep-Alive: 5\r\nTE: trailers\r\n",
    "untrusted_forwarding": SAID,
    "underscore_twin": b"Content_Length: 5\r\nX_Forwarded_For: a\r\n",
    "connection_option": b"Connection: X-Mine, keep-alive\r\nX-Mine: 1\r\nx-mine: 2\r\n",
    "expect_met": b"Expect: 100-continue\r\n",
}


@pytest.mark.parametrize("word", sorted(DROPPED))
def test_log_names_every_dropped_field(weir, upstream, word):
    before = changed(weir, word)
    line = said(weir, b"/log-drop-" + word.encode(), DROPPED[word])
    names = [n.decode() for n in re.findall(rb"([^:\r\n]+):[^\r]*\r\n", DROPPED[word])
             if n != b"Connection"]
    logged = line["dropped"].split(",")
    for name in names:
        assert "%s:%s" % (name, word) in logged, line
    # One for each message, however many fields it had.
    assert changed(weir, word) == before + 1
    head = upstream.heads[-1]
    for name in names:
        assert name in ("X-Forwarded-For",) or values(head, name.encode()) == []


def test_log_says_that_names_were_left_out(weir, upstream):
    fields = b"Connection: " + b", ".join(b"X-%040d" % i for i in range(9)) + b"\r\n"
    fields += b"".join(b"X-%040d: 1\r\n" % i for i in range(9))
    line = said(weir, b"/log-many", fields)
    assert line["dropped"].endswith(",...") and line["added"]


def test_log_of_a_trusted_peer_has_no_drop(weir, upstream):
    before = changed(weir, "untrusted_forwarding")
    line = said(weir, b"/log-trusted", SAID, "127.0.0.6")
    assert "untrusted" not in line["dropped"] and "peer_address" in line["added"]
    assert changed(weir, "untrusted_forwarding") == before


def test_log_of_http_1_0_without_host(weir, upstream):
    line = said(weir, b"/log-10", data=b"GET /log-10 HTTP/1.0\r\n\r\n")
    assert line["added"] == "via,peer_address,default_host,date"


def test_log_of_rewritten_requests(weir, upstream):
    line = said(weir, b"/log-abs", data=b"OPTIONS http://mp01/log-abs HTTP/1.1\r\nHost: mp01\r\n"
                b"Max-Forwards: 7\r\nConnection: close\r\n\r\n")
    assert line["rewritten"] == "target_form,max_forwards_counted"
    assert values(upstream.heads[-1], b"Max-Forwards") == [b"6"]


def test_log_of_chunk_extensions_and_trailers(weir, upstream):
    data = (b"BITS_POST /log-chunks HTTP/1.1\r\nHost: mp01\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n")
    line = said(weir, b"/log-chunks", data=data)
    assert line["dropped"].split(",")[-2:] == ["chunk_extensions", "trailers"]
    assert changed(weir, "chunk_extensions") == changed(weir, "trailers") == 1


@pytest.mark.parametrize("answer,key,words", [
    (b"HTTP/1.1 200 OK\r\nConnection: X-Up\r\nX-Up: 1\r\nContent-Length: 0\r\n\r\n", "dropped",
     ["Connection:hop_by_hop", "X-Up:connection_option"]),
    (b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", "dropped",
     ["Transfer-Encoding:framing_without_body"]),
    (b"HTTP/1.1 200 OK\r\n\r\nhello", "rewritten", ["framing"]),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "added", ["date"]),
], ids=["fields", "framing_without_body", "framing", "date"])
def test_log_of_changed_responses(weir, upstream, answer, key, words):
    upstream.sends(answer)
    mark = b"/log-response-" + words[-1].split(":")[-1].encode() + b"."
    line = said(weir, mark)
    for word in words:
        assert word in line[key].split(","), line


REFUSED = {
    "bare_cr": (400, b"GET /%s HTTP/1.1\r\nHost: mp01\rX\r\n\r\n", False),
    "host_missing": (400, b"GET /%s HTTP/1.1\r\n\r\n", False),
    "via_loop": (508, request(b"/%s", fields=b"Via: 1.1 statweir\r\n" * 3), True),
    "body_long": (413, b"POST /%s HTTP/1.1\r\nHost: mp01\r\nContent-Length: 2000000\r\n\r\n", True),
    "chunk_size": (400, b"POST /%s HTTP/1.1\r\nHost: mp01\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
                   True),
    "body_cut": (400, b"POST /%s HTTP/1.1\r\nHost: mp01\r\nContent-Length: 5\r\n\r\nabc", True),
}


@pytest.mark.parametrize("word", sorted(REFUSED))
def test_log_of_refused_requests(weir, upstream, word):
    """With their target, where a head was read whole."""
    status, data, has_line = REFUSED[word]
    mark = "log-refused-" + word
    n, before = len(weir.log), weir.closed(word)
    with Client(weir.port, source="127.0.0.5") as c:
        c.send(data.replace(b"%s", mark.encode())).half_close()
        out, _ = rest(c)
    assert out.startswith(b"HTTP/1.1 %d " % status)
    line = log_of(weir, mark + '"' if has_line else "reason=" + word)
    assert (line["peer"], line["fate"], line["reason"], line["status"]) == (
        "127.0.0.5", "refused", word, str(status))
    if has_line:
        assert line["request"] == ("GET /" if word == "via_loop" else "POST /") + mark
    else:
        assert line["request"] == "-"
    assert weir.closed(word) == before + 1 and len(weir.log) > n


def test_log_of_a_client_that_went_away(weir, upstream):
    upstream.script(lambda peer, head: peer.until_end(5) and False)
    with Client(weir.port, source="127.0.0.5") as c:
        c.send(request(b"/log-gone"))
        upstream.wait()
        c.reset()
    line = log_of(weir, "/log-gone")
    assert (line["peer"], line["fate"], line["reason"]) == ("127.0.0.5", "aborted", "client_gone")


def test_log_of_a_bad_upstream(weir, upstream):
    upstream.sends(b"garbage\r\n\r\n")
    line = said(weir, b"/log-garbage")
    assert (line["fate"], line["reason"], line["status"]) == ("refused", "status_line", "502")


def test_log_of_an_absorbed_message(absorber):
    m = ccm.Message()
    assert ask(absorber, m.raw).status == 200
    line = log_of(absorber, "fate=absorbed")
    assert (line["request"], line["reason"], line["status"]) == (
        "CCM_POST /ccm_system/request", "none", "200")
    # Nothing went on, and nobody's identity stands in the log.
    assert "added" not in line and "dropped" not in line
    assert not any(ccm.guid(1) in x for x in absorber.log)


def test_log_of_a_refused_connection(weir, upstream):
    conns = [Client(weir.port, source="127.0.0.8") for _ in range(51)]
    line = log_of(weir, "127.0.0.8", "connection")
    assert (line["fate"], line["reason"]) == ("refused", "connection_limit")
    for c in conns:
        c.close()


@pytest.mark.parametrize("target", [b'/log-x"_fate=absorbed', b"/log-x\\x0a", b"/log-x" + b"y" * 3000])
def test_log_cannot_be_forged(weir, upstream, target):
    """Quotes and backslashes of a target are escaped, and it is cut."""
    n = len(weir.log)
    with Client(weir.port, source="127.0.0.5") as c:
        assert c.ask(request(target)).status == 200
    until("logged", lambda: any("/log-x" in x for x in weir.log[n:]))
    line = [x for x in weir.log[n:] if "/log-x" in x][0]
    assert len(re.findall(r'"', line)) == 2 and len(re.findall(r" fate=", line)) == 1
    assert len(line) < 600


def test_no_access_log_unless_asked_for(weirs, upstream):
    p = weirs(listen__max_requests="100")
    assert ask(p, request(b"/log-none")).status == 200
    with Client(p.port) as c:
        c.ask(b"garbage garbage\r\n\r\n")
    assert not any("/log-none" in x or "garbage" in x or "<6>request" in x for x in p.log)
    # Counted all the same.
    assert changed(p, "via") >= 1
