"""Forwarding: the lines W1 to W11 of docs/HTTP.md."""
import email.utils
import re
import threading

import pytest

from harness import ccm
from harness.client import Client
from harness.mp import ACK
from harness.proxy import Statweir
from wire import (canary, echo, forwarded, ok, origin, refused,  # noqa: F401
                  refused_before, shared, weir)


def get(fields=b"", target=b"/p", method=b"GET", version=b"1.1"):
    return b"%s %s HTTP/%s\r\nHost: a.test\r\n%s\r\n" % (method, target, version, fields)


@pytest.mark.parametrize("options,gone", [
    (b"X-Secret", b"X-Secret"), (b"x-secret", b"X-SECRET"), (b"close, X-Secret", b"X-Secret"),
    (b",X-Secret,", b"X-Secret"), (b"keep-alive,\tX-Secret ", b"X-Secret"),
    (b"a\r\nConnection: X-Secret", b"X-Secret"), (b"X-Secret, X-Secret", b"X-Secret")])
def test_W1_fields_named_in_connection_are_removed(weir, origin, options, gone):
    for split in (0, 1):
        r = forwarded(weir, origin, get(gone + b": 1\r\nConnection: " + options + b"\r\n" +
                                        gone + b": 2\r\nX-Kept: 3\r\n"), split)
        assert r.get(gone) == [] and r.get(b"Connection") == [] and r.get(b"X-Kept") == [b"3"]


@pytest.mark.parametrize("name", [b"Connection", b"Keep-Alive", b"Proxy-Connection", b"TE",
                                  b"Trailer", b"Upgrade", b"Proxy-Authenticate",
                                  b"Proxy-Authorization"])
def test_W1_hop_by_hop_fields_are_removed_named_or_not(weir, origin, name):
    for spelt in (name, name.upper(), name.lower()):
        r = forwarded(weir, origin, get(spelt + b": x-odd\r\n" + spelt + b": x-odder\r\n"))
        assert r.get(name) == [] and b"x-odd" not in r.head
    r = forwarded(weir, origin, get(b"TE: trailers\r\nConnection: TE, " + name + b"\r\n"))
    assert r.get(b"TE") == []


def test_W1_hop_by_hop_fields_of_a_response_are_removed(weir, origin):
    origin.answer = lambda r: ok(b"hi", b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: "
                                 b"timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nTrailer: A\r\n"
                                 b"X-Kept: 2\r\n")
    with Client(weir.port) as c:
        r = c.ask(get())
        for name in (b"Connection", b"X-Hop", b"Keep-Alive", b"Proxy-Connection", b"Upgrade",
                     b"Trailer"):
            assert r.field(name) is None, r.head
        assert r.field(b"X-Kept") == b"2" and r.body == b"hi"


@pytest.mark.parametrize("name", [
    b"Host", b"Content-Length", b"Content-Type", b"Content-Encoding", b"Content-Range",
    b"Transfer-Encoding", b"Authorization", b"X-Forwarded-For", b"X-Forwarded-Proto", b"Forwarded",
    b"Via", b"CCMClientID", b"CCMClientIDSignature", b"Cookie", b"Expect", b"Max-Forwards", b"Date",
    b"User-Agent", b"Accept", b"BITS-Packet-Type", b"Range", b"If-None-Match", b"SOAPAction",
    b"Depth", b"content-LENGTH"])
def test_W2_connection_that_names_an_end_to_end_field_refused(weir, origin, name):
    for options in (name, b"close, " + name, name + b",keep-alive"):
        refused_before(weir, origin, get(b"Connection: " + options + b"\r\n"), 400,
                       "connection_names")


@pytest.mark.parametrize("options", [b"a b", b'"close"', b"close;q=1", b"a\x80", b"a=b", b"(close)",
                                     b", ".join([b"x"] * 65)])
def test_W2_connection_option_not_a_token_refused(weir, origin, options):
    refused_before(weir, origin, get(b"Connection: " + options + b"\r\n"), 400, "connection_names")


def test_W3_via_gains_our_name(weir, origin):
    assert forwarded(weir, origin, get()).get(b"Via") == [b"1.1 statweir"]
    assert forwarded(weir, origin, get(version=b"1.0")).get(b"Via") == [b"1.0 statweir"]
    r = forwarded(weir, origin, get(b"Via: 1.0 fred, 1.1 p.test:80 (x)\r\nX: y\r\nVia: 1.1 q\r\n"))
    assert r.get(b"Via") == [b"1.0 fred, 1.1 p.test:80 (x)", b"1.1 q", b"1.1 statweir"]


def test_W3_loop_is_noticed(weir, origin):
    twice = b"Via: 1.1 statweir, 1.0 STATWEIR (comment)\r\n"
    assert len(forwarded(weir, origin, get(twice)).get(b"Via")) == 2
    for third in (b"Via: 1.1 statweir\r\n", b"Via: HTTP/1.1 statweir\r\n", b"Via: 1.1\tStatweir\r\n"):
        origin.clear()
        with Client(weir.port) as c:
            r = c.ask(get(twice + third))
            assert r.status == 508 and r.body.startswith(b"via_loop")
            # The request was whole: the connection may go on.
            assert c.ask(get()).status == 200
        assert len(canary(weir, origin)) == 1
    # Others that only look like it.
    r = forwarded(weir, origin, get(twice + b"Via: 1.1 statweir.test, 1.1 xstatweir, statweir\r\n"))
    assert r.get(b"Via")[-1] == b"1.1 statweir"


@pytest.mark.parametrize("version", [b"1.0", b"1.1", b"1.2", b"1.9"])
def test_W4_our_own_version_is_sent(weir, origin, version):
    r = forwarded(weir, origin, get(version=version))
    assert r.head.startswith(b"GET /p HTTP/1.1\r\n")


def test_W4_response_has_our_version_and_suits_the_clients(weir, origin):
    origin.answer = lambda r: b"HTTP/1.0 200 Fine\r\nContent-Length: 2\r\n\r\nhi"
    with Client(weir.port) as c:
        r = c.ask(get())
        assert r.head.startswith(b"HTTP/1.1 200 Fine\r\n")
        assert c.ask(get()).body == b"hi"  # the upstream closed, the client need not know
    origin.answer = echo
    with Client(weir.port) as c:
        r = c.ask(get(b"Connection: keep-alive\r\n", version=b"1.0"))
        assert r.field(b"Connection") == b"keep-alive"
        r = c.ask(get(version=b"1.0"))
        assert r.field(b"Connection") == b"close" and c.is_closed()


FORWARDED = (b"X-Forwarded-For: 10.1.1.1, 10.2.2.2\r\nX-Forwarded-Proto: https\r\nx-forwarded-host: "
             b"b.test\r\nForwarded: for=10.1.1.1\r\nX-Forwarded-For: 10.3.3.3\r\n")


def test_W5_strangers_forwarding_fields_are_dropped(weir, origin):
    r = forwarded(weir, origin, get(FORWARDED))
    assert r.get(b"X-Forwarded-For") == [b"127.0.0.1"]
    for name in (b"X-Forwarded-Proto", b"X-Forwarded-Host", b"Forwarded"):
        assert r.get(name) == []


def test_W5_trusted_peers_forwarding_fields_are_kept_and_extended(origin):
    p = Statweir(origin.port, {"listen.trusted": "10.0.0.0/8, 127.0.0.0/8"}).start()
    try:
        p.ready()
        r = forwarded(p, origin, get(FORWARDED))
        assert r.get(b"X-Forwarded-For") == [b"10.1.1.1, 10.2.2.2", b"10.3.3.3, 127.0.0.1"]
        assert r.get(b"X-Forwarded-Proto") == [b"https"]
        assert r.get(b"X-Forwarded-Host") == [b"b.test"]
        assert r.get(b"Forwarded") == [b"for=10.1.1.1, for=127.0.0.1"]
        assert forwarded(p, origin, get()).get(b"X-Forwarded-For") == [b"127.0.0.1"]
    finally:
        p.close()


def test_W6_options_counts_max_forwards_down(weir, origin):
    for n, left in ((b"1", b"0"), (b"10", b"9"), (b"007", b"6"),
                    (b"18446744073709551615", b"9223372036854775807")):
        r = forwarded(weir, origin, get(b"Max-Forwards: %s\r\n" % n, method=b"OPTIONS"))
        assert r.get(b"Max-Forwards") == [left]
    for target in (b"/p", b"*"):
        origin.clear()
        with Client(weir.port) as c:
            r = c.ask(get(b"Max-Forwards: 0\r\n", target, b"OPTIONS"))
            assert r.status == 200 and r.body.startswith(b"max_forwards")
            assert c.ask(get()).status == 200
        assert [x.method for x in canary(weir, origin)] == [b"GET"]


def test_W6_max_forwards_of_other_methods_is_left_alone_and_never_added(weir, origin):
    for method in (b"GET", b"CCM_POST", b"POST"):
        r = forwarded(weir, origin, get(b"Max-Forwards: 0\r\n", method=method))
        assert r.get(b"Max-Forwards") == [b"0"]
    assert forwarded(weir, origin, get(method=b"OPTIONS")).get(b"Max-Forwards") == []


@pytest.mark.parametrize("value", [b"", b"x", b"-1", b"1,2", b"+1", b"1 2"])
def test_W6_max_forwards_that_is_no_number_refused(weir, origin, value):
    raw = get(b"Max-Forwards: %s\r\n" % value, method=b"OPTIONS")
    refused_before(weir, origin, raw, 400, "max_forwards_bad")
    # Elsewhere it means nothing (RFC 9110 7.6.2).
    assert forwarded(weir, origin, get(b"Max-Forwards: %s\r\n" % value)).method == b"GET"


@pytest.mark.parametrize("raw,word", [
    (get(method=b"TRACE"), "method_trace"), (get(b"Max-Forwards: 0\r\n", method=b"TRACE"), "method_trace"),
    (b"TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "method_trace"),
    (b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", "method_connect"),
    (b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
     "method_connect"),
    (b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", "method_connect"),
    (b"CONNECT a.test:443 HTTP/1.0\r\n\r\n", "method_connect")])
def test_W7_trace_and_connect_are_not_served(weir, origin, raw, word):
    refused_before(weir, origin, raw, 405, word)
    with Client(weir.port) as c:
        assert b"GET" in c.ask(raw).field(b"Allow")


UPGRADES = [b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n",
            b"Upgrade: h2c\r\n", b"Connection: upgrade, close\r\nUpgrade: TLS/1.0\r\n",
            b"Connection: Upgrade\r\n"]


@pytest.mark.parametrize("fields", UPGRADES)
def test_W8_upgrade_is_removed_and_what_follows_is_framed(weir, origin, fields):
    for version in (b"1.1", b"1.0"):
        r = forwarded(weir, origin, get(fields, version=version))
        assert r.get(b"Upgrade") == r.get(b"Connection") == []
    smuggled = get(target=b"/smuggled")
    raw = (b"POST /u HTTP/1.1\r\nHost: a\r\n" + fields.replace(b", close", b"") +
           b"Content-Length: %d\r\n\r\n" % len(smuggled) + smuggled + get(target=b"/next"))
    for split in (0, 1):
        origin.clear()
        with Client(weir.port) as c:
            assert c.send(raw, split).response().status == 200
            assert c.response().body == b"GET /next 0"
        assert [x.target for x in canary(weir, origin)] == [b"/u", b"/next"]


def test_W8_switch_that_nobody_asked_for_is_an_error(weir, origin):
    origin.answer = lambda r: echo(r) if r.target == b"/canary" else (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\1\2\3")
    for fields in [b""] + UPGRADES:
        origin.clear()
        with Client(weir.port) as c:
            r = c.ask(get(fields))
            assert r.status == 502 and r.body.startswith(b"response_1xx")
        s = origin.request().stream
        origin.ended(s)
        canary(weir, origin)


@pytest.mark.parametrize("method", [b"CCM_POST", b"POST", b"GET", b"PUT"])
@pytest.mark.parametrize("is_reused", [False, True])
def test_W9_nothing_is_sent_twice(weir, origin, method, is_reused):
    raw = b"%s /once HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" % method
    origin.answer = lambda r: None if r.target == b"/once" else echo(r)
    with Client(weir.port) as c:
        if is_reused:
            assert c.ask(get()).status == 200
        r = c.ask(raw)
        assert r.status == 502
    assert [x.target for x in canary(weir, origin)].count(b"/once") == 1


def test_W9_answer_cut_in_the_middle_is_not_asked_for_again(weir, origin):
    def half(r):
        if r.target == b"/canary":
            return echo(r)
        r.stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        return None

    origin.answer = half
    with Client(weir.port) as c:
        with pytest.raises((AssertionError, ConnectionError)):
            c.ask(get(method=b"CCM_POST"))
    assert len(canary(weir, origin)) == 1


def test_W10_date_is_added_where_it_is_missing(weir, origin):
    with Client(weir.port) as c:
        assert email.utils.parsedate_to_datetime(c.ask(get()).field(b"Date").decode())
        origin.answer = lambda r: ok(b"", b"date: Thu, 01 Mar 2007 10:11:12 GMT\r\n")
        r = c.ask(get())
        assert re.findall(rb"(?im)^date: .*", r.head) == [b"date: Thu, 01 Mar 2007 10:11:12 GMT\r"]


def test_W10_authentication_and_allow_pass_unchanged(weir, origin):
    answers = {b"/401": (b"401 Unauthorized", b'WWW-Authenticate: Basic realm="a, b", charset="UTF-8"'
                         b'\r\nwww-authenticate: Digest  qop="auth" , nonce="x"\r\n'),
               b"/405": (b"405 No", b"Allow: GET ,HEAD\r\nALLOW: CCM_POST\r\n"),
               b"/401x": (b"401 Unauthorized", b"")}
    origin.answer = lambda r: ok(b"x", answers[r.target][1], answers[r.target][0])
    with Client(weir.port) as c:
        for target, (status, fields) in answers.items():
            r = c.ask(get(b"Authorization: Basic  Zm9vOmJhcg==\r\n", target))
            assert fields in r.head and r.head.startswith(b"HTTP/1.1 " + status)
            assert origin.requests[-1].get(b"Authorization") == [b"Basic  Zm9vOmJhcg=="]


# --- W11: logon that is bound to a connection ---

class Logon:
    """An upstream that keeps its users by connection, as IIS does, and knows no others there."""

    def __init__(self, scheme, early_close=False):
        self.scheme = scheme
        self.early_close = early_close
        self.user = {}   # by stream number: who began to log on there
        self.state = {}  # by stream number: 1 challenged, 2 logged on
        self.wrong = []

    def __call__(self, r):
        if r.target == b"/canary":
            return echo(r)
        user = r.get(b"X-User")[0]
        n = r.stream.number
        if self.user.setdefault(n, user) != user:
            self.wrong.append("%s on the connection of %s" % (user, self.user[n]))
        said = (r.get(b"Authorization") or [b""])[0]
        step = self.state.get(n, 0)
        if step == 2:
            if said:
                self.wrong.append("logon anew on %d" % n)
            return ok(b"as " + self.user[n])
        if not said:
            self.user.pop(n)  # nobody yet
            close = b"Connection: close\r\n" if self.early_close else b""
            return ok(b"who?", b"WWW-Authenticate: " + self.scheme + b"\r\n" + close,
                      b"401 Unauthorized")
        if step == 0 and said == self.scheme + b" 1" + user:
            self.state[n] = 1
            return ok(b"prove it", b"WWW-Authenticate: " + self.scheme + b" 2" + user + b"\r\n",
                      b"401 Unauthorized")
        if step == 1 and said == self.scheme + b" 3" + user:
            self.state[n] = 2
            return ok(b"as " + self.user[n])
        self.wrong.append("leg %r in state %d of %d" % (said, step, n))
        return ok(b"no", status=b"403 Forbidden")


def as_user(user, said=b"", target=b"/secret"):
    auth = b"Authorization: " + said + b"\r\n" if said else b""
    return get(b"X-User: " + user + b"\r\n" + auth, target)


class User:
    def __init__(self, weir, name, scheme, asks_first=True):
        self.c = Client(weir.port)
        self.name = name
        legs = [b"", scheme + b" 1" + name, scheme + b" 3" + name] + [b""] * 3
        self.legs = legs if asks_first else legs[1:]
        self.n_challenges = 2 if asks_first else 1

    def step(self, i):
        r = self.c.ask(as_user(self.name, self.legs[i]))
        if i < self.n_challenges:
            assert r.status == 401, (self.name, i, r)
        else:
            assert r.status == 200 and r.body == b"as " + self.name, (self.name, i, r)
        return r


@pytest.fixture
def logon(origin):
    def script(scheme=b"NTLM", **kw):
        origin.answer = made[0] = Logon(scheme, **kw)
        return made[0]

    made = [None]
    yield script
    assert made[0].wrong == []


@pytest.mark.parametrize("scheme", [b"NTLM", b"Negotiate", b"ntlm"])
def test_W11_two_logons_step_by_step_never_mix(weir, origin, logon, scheme):
    logon(scheme)
    a, b = User(weir, b"anna", scheme), User(weir, b"bert", scheme)
    for i in range(len(a.legs)):
        a.step(i)
        assert canary(weir, origin)  # a third, without a name, in between
        b.step(i)
    streams = {r.stream for r in origin.requests if r.get(b"X-User")}
    assert len(streams) == 2
    for s in streams:
        assert len({r.get(b"X-User")[0] for r in s.requests if r.get(b"X-User")}) == 1
    # Each upstream connection ends with its client, and nobody inherits it.
    for u in (a, b):
        mine = next(r.stream for r in origin.requests if r.get(b"X-User") == [u.name])
        assert not mine.is_ended
        u.c.close()
        origin.ended(mine)


def test_W11_many_logons_at_once_never_mix(weir, origin, logon):
    logon()
    failed = []

    def life(i):
        try:
            for turn in range(5):
                u = User(weir, b"u%d-%d" % (i, turn), b"NTLM", asks_first=turn % 2 == 0)
                for leg in range(len(u.legs)):
                    u.step(leg)
                u.c.close()
        except Exception as e:  # noqa: B902 (told by the assertion below)
            failed.append(repr(e))

    threads = [threading.Thread(target=life, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []
    for s in origin.streams:
        assert len({r.get(b"X-User")[0] for r in s.requests if r.get(b"X-User")}) <= 1


def test_W11_connection_on_which_somebody_is_logged_on_goes_to_nobody_else(weir, origin, logon):
    logon()
    u = User(weir, b"anna", b"NTLM", asks_first=False)
    for i in range(3):
        u.step(i)
    mine = origin.requests[-1].stream
    u.c.close()
    origin.ended(mine)
    # A stranger on the next connection is nobody.
    with Client(weir.port) as c:
        assert c.ask(as_user(b"eve")).status == 401


def test_W11_upstream_that_ends_a_bound_connection_ends_the_clients(weir, origin, logon):
    logon()
    u = User(weir, b"anna", b"NTLM")
    for i in range(4):
        u.step(i)
    origin.requests[-1].stream.fin()
    assert u.c.is_closed()


@pytest.mark.parametrize("total", [0, 8192, 16384, 32768, 65536])
def test_W11_surplus_bytes_on_a_bound_connection_answer_nothing(weir, origin, logon, total):
    """Also where the answer ends with a read: the surplus is still in the socket then."""
    logon()
    u = User(weir, b"anna", b"NTLM")
    for i in range(4):
        u.step(i)
    whole = ok(b"x" * (total - len(ok(b"x" * total)) + total)) if total else ok(b"x")
    origin.answer = lambda r: whole + ok(b"not asked for")
    u.c.send(2 * as_user(b"anna"))
    r = u.c.response()
    assert r.status == 200 and r.body.strip(b"x") == b""
    r = u.c.response()
    assert r is None or r.status == 502
    assert u.c.is_closed()


def test_W11_challenge_with_close_is_told_to_the_client(weir, origin, logon):
    script = logon(early_close=True)
    with Client(weir.port) as c:
        r = c.ask(as_user(b"anna"))
        assert r.status == 401 and r.field(b"WWW-Authenticate") == b"NTLM"
        assert r.field(b"Connection") == b"close" and c.is_closed()
    u = User(weir, b"anna", b"NTLM", asks_first=False)
    for i in range(3):
        u.step(i)
    assert script.state


def test_W11_nothing_is_absorbed_on_a_bound_connection(origin):
    origin.answer = lambda r: ACK
    p = Statweir(origin.port).start()
    try:
        p.ready()
        for _ in range(3):
            with Client(p.port) as c:
                assert c.ask(ccm.Message(client=999).raw).status == 200
        with Client(p.port) as c:
            n = len(origin.requests)
            assert c.ask(ccm.Message().raw).status == 200
            assert len(origin.requests) == n and p.outcome("absorbed_unique") == 1
            # From the first sign of a logon on, everything passes.
            assert c.ask(get(b"Authorization: NTLM 1x\r\n")).status == 200
            for i in range(3):
                m = ccm.Message()
                assert c.ask(m.raw).status == 200
                assert origin.requests[-1].body == m.body
            assert len({r.stream for r in origin.requests[n:]}) == 1
        with Client(p.port) as c:  # a challenge is a sign too
            origin.answer = lambda r: ok(b"", b'WWW-Authenticate: Basic realm="x", Negotiate\r\n',
                                         b"401 Unauthorized") if r.method == b"GET" else ACK
            assert c.ask(get()).status == 401
            n = len(origin.requests)
            assert c.ask(ccm.Message().raw).status == 200
            assert len(origin.requests) == n + 1
        assert p.outcome("absorbed_unique") == 1
    finally:
        p.close()
