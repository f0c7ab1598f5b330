"""Sealed once, sent under one ID until acknowledged, never merged into the next."""
import re

import pytest

from conftest import teach
from harness import ccm, client
from harness.mp import ACK, response
from harness.proxy import until


def send(p, client_number, n, rule="R%04d"):
    for i in range(n):
        r = client.ask(p.port, ccm.Message(client=client_number, rule=rule % i).raw)
        assert r.status == 200


def counted(mp):
    """Messages in summaries, each window once."""
    return sum({f["window"]: f["messages"] for f in mp.summaries()}.values())


def test_one_summary_for_each_client(mp, proxies):
    p = proxies(mp.port, {"rollup.interval": "2s"}).ready()
    teach(p)
    for c in (1, 2, 3):
        send(p, c, 4)
    mp.wait(lambda rs: counted(mp) == 12)
    by_client = {}
    for f in mp.summaries():
        by_client.setdefault(f["client"], set()).add(f["window"])
    assert set(by_client) == {"GUID:" + ccm.guid(c) for c in (1, 2, 3)}
    until("settled", lambda: p.ledger() and p.metric("statweir_ledger_pending_messages") == 0)


def test_status_form_is_one_schema_conformant_message(mp, proxies):
    p = proxies(mp.port, {"rollup.interval": "1s", "rollup.machine_name": "WEIR1",
                          "rollup.site_code": "ABC"}).ready()
    teach(p)
    send(p, 5, 3)
    mp.wait(lambda rs: counted(mp) == 3)
    r = [r for r in mp.requests if ccm.summary_facts(r.body)][0]
    assert r.method == b"CCM_POST"
    text = r.body.replace(b"\0", b"")
    assert b"<TargetEndpoint>StatusReceiver</TargetEndpoint>" in text
    assert b"<ReplyMode>Async</ReplyMode>" in text
    assert b"SMS_GenericStatusMessage_Info" in text
    props = mp.summaries()[0]["properties"]
    assert props["MachineName"] == "WEIR1" and props["SiteCode"] == "ABC"
    assert all(len(v) <= 255 for k, v in props.items() if k.startswith("InsertionString"))


FAULTS = {
    "empty": lambda r: b"HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/6.0\r\nContent-Length: 0\r\n\r\n",
    "error": lambda r: response(b"oops", status=b"500 Internal Server Error"),
    "wrong": lambda r: response(b"--x\r\nno such message"),
    "reset": lambda r: None,
    "half": lambda r: (lambda c: c.sendall(ACK[:-20])),
    "garbage": lambda r: (lambda c: c.sendall(b"\x16\x03\x01 what?\r\n\r\n")),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_unacknowledged_summary_is_sent_again_with_the_same_bytes(fault, mp, proxies):
    p = proxies(mp.port, {"rollup.interval": "1s"}).ready()
    teach(p)
    mp.answer = lambda r: FAULTS[fault](r) if ccm.summary_facts(r.body) else ACK
    send(p, 7, 2)
    summaries = lambda rs: [r for r in rs if ccm.summary_facts(r.body)]
    mp.wait(lambda rs: len(summaries(rs)) >= 2)
    mp.answer = lambda r: ACK
    until("delivered", lambda: p.metric("statweir_summaries_total", outcome="delivered") == 1, 60)
    first = [r.body for r in summaries(mp.requests)][:2]
    assert first[0] == first[1]
    assert {f["window"] for f in mp.summaries()} == {mp.summaries()[0]["window"]}


def test_pending_window_is_sent_by_the_next_start(mp, proxies):
    p = proxies(mp.port, {"rollup.interval": "1h"}).ready()
    teach(p)
    send(p, 9, 5)
    assert p.stop() == 0
    assert mp.summaries() == []
    again = proxies(mp.port, {"rollup.interval": "1s"}, state=p.state).ready()
    mp.wait(lambda rs: counted(mp) == 5)
    until("settled", lambda: again.metric("statweir_summaries_total", outcome="delivered") == 1)


def test_exemplar_form_sends_the_newest_genuine_message(mp, proxies):
    p = proxies(mp.port, {"rollup.interval": "1s", "rollup.summary": "exemplar"}).ready()
    teach(p)
    n = len(mp.requests)
    sent = []
    for i in range(4):
        m = ccm.Message(client=11, rule="E%d" % i)
        sent.append(m.body)
        assert client.ask(p.port, m.raw).status == 200
    mp.wait(lambda rs: len(rs) > n)
    until("settled", lambda: p.metric("statweir_ledger_pending_messages") == 0)
    assert all(r.body in sent for r in mp.requests[n:])


def test_log_form_sends_nothing(mp, proxies):
    p = proxies(mp.port, {"rollup.interval": "1s", "rollup.summary": "log"}).ready()
    teach(p)
    n = len(mp.requests)
    send(p, 12, 3)
    until("settled", lambda: p.metric("statweir_summary_messages_total") == 3)
    assert len(mp.requests) == n
    assert any(re.match(r"<6>summary", line) for line in p.log), p.log[-5:]
