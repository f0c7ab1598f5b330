"""Requests with faults at random: what comes of them does not hang on the pieces in which they
arrive, nothing but strict HTTP/1.1 reaches the upstream, and nothing but that comes back.
MUTATIONS=100000 MUTATIONS_SEED=7 for longer runs."""
import os
import random
import time

from harness.client import Client
from wire import canary, origin, shared, weir  # noqa: F401

N = int(os.environ.get("MUTATIONS", "1000"))
SEED = int(os.environ.get("MUTATIONS_SEED", str(time.time_ns() % 1000000)))

STREAMS = [
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CCM_POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n5\r\nhello\r\n"
    b"3;a=b\r\nabc\r\n0\r\nT: v\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a.test:80/x?y HTTP/1.1\r\nHost: a.test:80\r\nConnection: keep-alive, X\r\nX: 1\r\n"
    b"\r\nHEAD / HTTP/1.0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nMax-Forwards: 7\r\nVia: 1.1 p\r\nExpect: 100-continue\r\n"
    b"Content-Length: 0\r\n\r\nPUT /b HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx"]

PIECES = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b"\x0b", b"\x7f", b"\x80", b"\xff", b":", b",",
          b";", b"=", b'"', b"\\", b"/", b"?", b"#", b"@", b"%0d%0a", b"chunked", b", chunked",
          b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
          b"Transfer-Encoding : chunked\r\n", b"Host: x\r\n", b"HTTP/1.1", b"HTTP/1.0", b"0", b"1",
          b"f", b"+", b"-", b"_", b"0\r\n\r\n", b"\r\n\r\n", b"Connection: Content-Length\r\n",
          b"Connection: close\r\n", b" X: y\r\n", b"GET / HTTP/1.1\r\n", b"gzip", b"HEAD", b"CONNECT"]


def mutate(rng, raw):
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(raw) + 1)
        how = rng.randrange(4)
        if how == 0:
            raw = raw[:at] + raw[at + rng.choice((1, 2, 4)):]
        elif how == 1:
            lines = raw.split(b"\r\n")
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            raw = b"\r\n".join(lines)
        else:
            raw = raw[:at] + rng.choice(PIECES) + raw[at + (how == 2):]
    return raw or b"\r\n"


def outcome(weir, origin, raw, split):
    """What the client was answered and what the upstream was sent."""
    origin.clear()
    answers = []
    with Client(weir.port) as c:
        try:
            c.send(raw, split).half_close()
        except OSError:
            pass  # refused in the middle: the answer is there
        while True:
            # Nobody knows which of the answers is one to HEAD: heads are all that is looked at.
            r = c.response(is_head=True)
            if r is None:
                break
            answers.append(r.status)
            n = int(r.field(b"Content-Length") or 0)
            while len(c.buf) < n and c._more():
                pass
            if not c.buf.startswith(b"HTTP/1.1 "):
                c.buf = c.buf[n:]
    seen = [(r.method, r.target, r.body, r.get(b"Host")) for r in canary(weir, origin)]
    assert origin.faults == [], raw
    assert all(s.is_ended or not s.rest for s in origin.streams), raw
    return answers, seen


def test_faults_at_random_come_to_the_same_in_any_pieces(weir, origin):
    rng = random.Random(SEED)
    print("MUTATIONS_SEED=%d" % SEED)
    for _ in range(N):
        raw = mutate(rng, rng.choice(STREAMS))
        whole = outcome(weir, origin, raw, 0)
        pieces = outcome(weir, origin, raw, rng.choice((1, 2, 7)))
        assert whole == pieces, raw
        assert len(whole[1]) <= len(whole[0]), raw
