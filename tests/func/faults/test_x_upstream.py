"""X27 to X29: the management point refuses, resets, answers nonsense, or is away."""
import pytest

from harness import ccm, client
from harness.faults import ask
from harness.mp import ACK, response
from harness.proxy import until

ANSWERS = {
    "reset": (lambda r: None, 502),
    "500": (lambda r: response(b"oops", status=b"500 Internal Server Error"), 500),
    "garbage": (lambda r: lambda c: c.sendall(b"\x16\x03\x01 what?\r\n\r\n"), 502),
    "half_a_head": (lambda r: lambda c: c.sendall(ACK[:40]), 502),
    "half_a_body": (lambda r: lambda c: c.sendall(ACK[:-20]), None),
    "silence": (lambda r: b"", 504),
    "200_then_reset": (lambda r: lambda c: c.sendall(ACK), 200),
    "two_lengths": (lambda r: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"
                    b"hello", 502),
    "empty": (lambda r: response(b""), 200),
    "another": (lambda r: response(b"Welcome"), 200),
}


def is_summary(r):
    return ccm.summary_facts(r.body) is not None


def summary_bodies(mp):
    return [r.body for r in mp.requests if is_summary(r)]


@pytest.mark.parametrize("fault", sorted(ANSWERS))
def test_X27_forwarded_request_gets_an_honest_answer(fault, weirs, mp):
    p = weirs(settings={"upstream.first_byte_timeout": "300ms"})
    get = b"GET /SMS_MP/.sms_aut?MPLIST HTTP/1.1\r\nHost: x\r\n\r\n"
    answer, status = ANSWERS[fault]
    mp.answer = answer
    try:
        r = client.ask(p.port, get)
        assert r is not None and r.status == status
    except AssertionError:
        assert status is None  # cut in the body, as it came
    mp.answer = lambda r: ACK
    assert client.ask(p.port, get).status == 200


@pytest.mark.parametrize("fault", sorted(ANSWERS))
def test_X27_summary_is_sent_again_the_same(fault, weirs, redis, mp):
    p = weirs(settings={"rollup.interval": "1s", "upstream.first_byte_timeout": "300ms"})
    mp.answer = lambda r: ANSWERS[fault][0](r) if is_summary(r) else ACK
    for i in range(3):
        assert ask(p, ccm.Message(client=27, rule="R%d" % i)) == 200
    mp.wait(lambda rs: len(summary_bodies(mp)) >= (1 if fault == "200_then_reset" else 2))
    mp.answer = lambda r: ACK
    until("settled", lambda: p.ledger() and p.metric("statweir_ledger_pending_messages") == 0)
    windows = {f["window"]: f["messages"] for f in mp.summaries() if f["client"].endswith("1B")}
    assert sum(windows.values()) == 3
    assert len({r for r in summary_bodies(mp)}) == len({f["window"] for f in mp.summaries()})


def test_X27_upstream_refuses_then_comes_back(weirs, mp):
    p = weirs(settings={"rollup.interval": "1s"})
    get = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
    mp.stop()
    assert client.ask(p.port, get).status == 502
    assert ask(p, ccm.Message(client=27)) == 200  # recorded: it needs no upstream
    mp.start()
    until("forwarded again", lambda: client.ask(p.port, get).status == 200)
    mp.wait(lambda rs: mp.summaries())
    until("settled", lambda: p.ledger() and p.metric("statweir_ledger_pending_messages") == 0)


@pytest.mark.parametrize("after", [0, 1, 100, 250])
def test_X28_answer_to_a_summary_is_lost(after, weirs, mp, network):
    net = network(("127.0.0.1", mp.port))
    p = weirs(upstream=net.port, settings={"rollup.interval": "1s",
                                           "upstream.first_byte_timeout": "300ms",
                                           "upstream.between_bytes_timeout": "300ms"})

    def lose_the_answer(r):
        if is_summary(r) and len(summary_bodies(mp)) == 1:
            net.back.cut_after = after
        return ACK

    mp.answer = lose_the_answer
    assert ask(p, ccm.Message(client=28)) == 200
    mp.wait(lambda rs: len(summary_bodies(mp)) >= 2)
    until("settled", lambda: p.ledger() and p.metric("statweir_ledger_pending_messages") == 0)
    assert len(set(summary_bodies(mp))) == 1
    assert sum({f["window"]: f["messages"] for f in mp.summaries()}.values()) == 1


def test_X29_upstream_away_for_many_intervals(weirs, redis, mp):
    p = weirs(settings={"rollup.interval": "1s"})
    mp.stop()
    sent = 0
    for _ in range(4):
        for c in range(3):
            assert ask(p, ccm.Message(client=290 + c)) == 200
            sent += 1
        sealed = p.metric("statweir_summaries_total", outcome="retried")
        until("tried again", lambda: p.metric("statweir_summaries_total",
                                              outcome="retried") > sealed, 40)
    # One summary of a client is on its way at a time, the rest waits in one bucket.
    assert p.metric("statweir_summaries_total", outcome="sealed") == 3
    mp.start()
    until("settled", lambda: p.ledger() and
          p.metric("statweir_ledger_pending_messages") == 0, 90)
    windows = {f["window"]: (f["client"], f["messages"]) for f in mp.summaries()}
    assert sum(n for _, n in windows.values()) == sent
    for who in {c for c, _ in windows.values()}:
        assert [n for c, n in windows.values() if c == who] == [1, 3]  # in their order
