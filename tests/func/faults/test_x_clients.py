"""X31 to X34, X40, X41: clients vanish, repeat, crawl, and send the worst."""
import socket
import threading
import zlib

import pytest

from harness import ccm, client
from harness.faults import ask, count, forwarded
from harness.mp import ACK, ACK_BODY, response
from harness.proxy import Statweir, until
from load import Load, check

NESTED = ('--x\r\ncontent-type: multipart/mixed; boundary="y"\r\n\r\n--y\r\n\r\n--y--\r\n--x--')
HOSTILE = {
    "7000_parts": lambda m: b"\r\n".join([b"--x\r\n\r\n"] * 7000) + b"\r\n--x--",
    "nested": lambda m: NESTED.encode(),
    "no_end": lambda m: m.body[:-30],
    "odd_bytes": lambda m: m.body.replace(b"\xff\xfe", b"\xff\xfe<", 1),
    "big_endian": lambda m: m.body.replace(b"\xff\xfe", b"\xfe\xff", 1),
    "surrogates": lambda m: m.body.replace("PC0001".encode("utf-16-le"), b"\0\xd8" * 6),
    "nul_in_envelope": lambda m: m.body.replace("PC0001".encode("utf-16-le"), b"\0" * 12),
}
HOSTILE_PAYLOADS = {
    "zlib_bomb": lambda: ccm.Message(pack=lambda p: zlib.compress(b"<\0" * 20000000)),
    "zlib_cut": lambda: ccm.Message(pack=lambda p: zlib.compress(p)[:-3]),
    "zlib_tail": lambda: ccm.Message(pack=lambda p: zlib.compress(p) + b"tail"),
    "not_zlib": lambda: ccm.Message(pack=lambda p: b"\0" * 200),
    "entities": lambda: ccm.Message(xml='<!DOCTYPE S [<!ENTITY a "' + "b" * 500 + '">'
                                    '<!ENTITY c "&a;&a;&a;&a;">]>' + ccm.status(), compress=False),
    "deep": lambda: ccm.Message(xml="<Status>" * 2000 + "</Status>" * 2000),
    "length_wrong": lambda: ccm.Message(xml=ccm.status() + " " * 9, hooks=""),
}


@pytest.mark.parametrize("moment", ["connected", "half_head", "half_body", "whole"])
def test_X31_client_vanishes_and_comes_again(moment, weirs, redis, mp):
    p = weirs()
    part = {"connected": 0, "half_head": 60, "half_body": -50, "whole": None}[moment]
    messages = [ccm.Message(client=31) for _ in range(20)]
    for m in messages:
        c = client.Client(p.port)
        c.send(m.raw[:part])
        c.reset()
    until("nothing is in flight", lambda: p.metric("statweir_messages_in_flight") == 0)
    early = count(redis, 31)
    assert early <= (20 if moment == "whole" else 0)
    for m in messages:
        assert ask(p, m) == 200
    assert count(redis, 31) == 20
    assert not any(forwarded(mp, m) for m in messages)


def test_X31_client_vanishes_while_redis_is_asked(failpoints, weirs, redis, mp):
    p = weirs(failpoints="absorb_send=sleep:200@1")
    m = ccm.Message(client=31)
    c = client.Client(p.port)
    c.send(m.raw)
    until("in flight", lambda: count(redis, 31) == 0 and p.proc.poll() is None)
    c.reset()
    until("recorded", lambda: count(redis, 31) == 1)
    assert ask(p, m) == 200
    assert count(redis, 31) == 1


def test_X32_same_message_at_once_to_two_instances(weirs, redis, mp):
    pair = [weirs(), weirs()]
    for round_ in range(10):
        m = ccm.Message(client=32)
        gate = threading.Barrier(10)
        statuses = []

        def one(p, m=m, gate=gate, statuses=statuses):
            gate.wait()
            statuses.append(ask(p, m))

        ts = [threading.Thread(target=one, args=(pair[i % 2],)) for i in range(10)]
        for t in ts:
            t.start()
        for t in ts:
            t.join()
        assert set(statuses) <= {200, 503} and 200 in statuses
        assert count(redis, 32) == round_ + 1
        assert forwarded(mp, m) == 0


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64])
def test_X34_message_in_small_segments(step, weirs, redis, mp):
    p = weirs()
    m = ccm.Message(client=34)
    with client.Client(p.port) as c:
        r = c.ask(m.raw, split=step)
    assert r.status == 200 and r.body == ACK_BODY
    assert count(redis, 34) == 1 and forwarded(mp, m) == 0


def test_X34_message_cut_once_at_every_boundary(weirs, redis, mp):
    p = weirs()
    n = 0
    with client.Client(p.port) as c:
        m = ccm.Message(client=34)
        for at in range(1, len(m.raw), 3):
            m = ccm.Message(client=34)
            c.send(m.raw[:at])
            c.send(m.raw[at:])
            assert c.response().body == ACK_BODY
            n += 1
    assert count(redis, 34) == n


@pytest.mark.parametrize("case", sorted(HOSTILE) + sorted(HOSTILE_PAYLOADS))
def test_X40_hostile_body_is_never_acknowledged_by_us(case, weirs, redis, mp):
    p = weirs()
    if case in HOSTILE:
        boundary = "x" if case in ("7000_parts", "nested") else ccm.BOUNDARY
        raw = ccm.request(HOSTILE[case](ccm.Message(client=40)), boundary=boundary)
    else:
        raw = HOSTILE_PAYLOADS[case]().raw
    n = len(mp.requests)
    absorbed = p.outcome("absorbed_unique")
    r = client.ask(p.port, raw)
    assert r.status in (200, 400, 413)
    assert len(mp.requests) == n + (r.status == 200)
    assert p.outcome("absorbed_unique") == absorbed
    with open("/proc/%d/status" % p.proc.pid, encoding="ascii") as f:
        rss = int([x for x in f if x.startswith("VmRSS")][0].split()[1])
    assert rss < 400 << 10


def test_X41_slow_and_idle_clients_do_not_hold_up_good_ones(weirs, redis, mp):
    p = weirs(settings={"listen.max_per_address": "2000", "listen.header_timeout": "3s",
                        "listen.idle_timeout": "5s"})
    mp.answer = lambda r: response(b"x" * (8 << 20)) if r.target == b"/big" else ACK
    idle = [socket.create_connection(("127.0.0.1", p.port)) for _ in range(1000)]
    slow = [client.Client(p.port) for _ in range(50)]
    for i, c in enumerate(slow):
        c.send(ccm.Message(client=41).raw[:200 + i])
    readers = []
    big = b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n"
    for _ in range(20):  # they never read what they asked for
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", p.port))
        s.sendall(big)
        readers.append(s)
    until("they hold up what is for them", lambda: len(
        [r for r in mp.requests if r.target == b"/big"]) == len(readers))
    load = Load(p.port, seed=41)
    load.send(100)
    assert not load.open_messages()
    check(load, mp, redis)
    with open("/proc/%d/status" % p.proc.pid, encoding="ascii") as f:
        rss = int([x for x in f if x.startswith("VmRSS")][0].split()[1])
    assert rss < 300 << 10  # with the sanitizers' own; none of the 160 MB that nobody reads
    until("those that say nothing are sent away", lambda: p.metric("statweir_connections") <= 120)
    for s in idle + readers:
        s.close()
    for c in slow:
        c.close()


def test_X26_descriptors_run_out_and_come_back(weirs, redis, mp):
    p = weirs(settings={"listen.max_per_address": "2000"})
    import resource
    resource.prlimit(p.proc.pid, resource.RLIMIT_NOFILE, (60, 4096))
    served = client.Client(p.port)
    assert served.ask(ccm.Message(client=26).raw).status == 200
    crowd = [socket.create_connection(("127.0.0.1", p.port)) for _ in range(150)]
    assert served.ask(ccm.Message(client=26).raw).status == 200
    for s in crowd:
        s.close()
    until("accepted again", lambda: ask(p, ccm.Message(client=26), timeout=5) == 200)
    until("twice", lambda: ask(p, ccm.Message(client=26), timeout=5) == 200)
    assert count(redis, 26) >= 3
    served.close()
    assert Statweir.metric(p, "statweir_accept_pauses_total") >= 1
