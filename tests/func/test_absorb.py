"""Learning the acknowledgement, replaying it, and stopping when it no longer holds."""
import re

from conftest import teach
from harness import ccm, client
from harness.client import same_but_date
from harness.mp import ACK, ACK_BODY, response
from harness.proxy import until


def test_samples_forwarded_then_absorbed_with_equal_bytes(statweir, mp):
    replies = [client.ask(statweir.port, ccm.Message(rule="R%d" % i).raw) for i in range(10)]
    assert len(mp.requests) == 3
    assert statweir.outcome("absorbed_unique") == 7
    for r in replies[1:]:
        assert same_but_date(r.raw, replies[0].raw), (r.raw, replies[0].raw)
    assert replies[-1].body == ACK_BODY


def test_same_message_five_times_on_three_connections_counts_once(learned):
    m = ccm.Message()
    conns = [client.Client(learned.port) for _ in range(3)]
    for i in range(5):
        assert conns[i % 3].ask(m.raw).body == ACK_BODY
    for c in conns:
        c.close()
    assert learned.outcome("absorbed_unique") == 1
    assert learned.outcome("absorbed_duplicate") == 4


def test_retry_of_a_forwarded_sample_is_not_counted(statweir, mp):
    first = ccm.Message()
    assert client.ask(statweir.port, first.raw).status == 200
    teach(statweir, 2)
    until("the first is remembered", lambda: statweir.metric("statweir_redis_records_total") >= 3)
    assert client.ask(statweir.port, first.raw).status == 200
    assert len(mp.requests) == 3
    assert statweir.outcome("absorbed_unique") == 0
    assert statweir.outcome("absorbed_duplicate") == 1


def test_empty_200_is_never_a_template(mp, proxies):
    mp.answer = lambda r: b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 0\r\n\r\n"
    p = proxies(mp.port).ready()
    for _ in range(12):
        assert client.ask(p.port, ccm.Message().raw).status == 200
    assert len(mp.requests) == 12
    assert p.metric("statweir_acknowledgement_templates") == 0


def test_disagreeing_replies_stop_absorption(mp, proxies):
    mp.answer = lambda r: response(ACK_BODY + b"%d" % len(mp.requests))
    p = proxies(mp.port).ready()
    for _ in range(8):
        assert client.ask(p.port, ccm.Message().raw).status == 200
    assert len(mp.requests) == 8
    assert p.outcome("absorbed_unique") == 0


def test_reply_that_carries_the_request_id_is_masked(mp, proxies):
    def answer(r):
        return response(ACK_BODY + ccm.utf16(ccm.message_id(r.body)))

    mp.answer = answer
    p = proxies(mp.port).ready()
    teach(p)
    m = ccm.Message()
    assert client.ask(p.port, m.raw).body == ACK_BODY + ccm.utf16(m.id)
    assert len(mp.requests) == 3


def test_revalidation_mismatch_stops_absorption(mp, proxies):
    p = proxies(mp.port, {"ack.revalidate": "1s"}).ready()
    teach(p)
    mp.answer = lambda r: response(b"something else")

    def forwarded():
        client.ask(p.port, ccm.Message().raw)
        return p.metric("statweir_acknowledgement_mismatches_total") >= 1

    until("a mismatch is seen", forwarded)
    n = len(mp.requests)
    r = client.ask(p.port, ccm.Message().raw)
    assert r.body == b"something else" and len(mp.requests) == n + 1


def test_template_survives_a_restart(mp, proxies):
    p = proxies(mp.port).ready()
    teach(p)
    assert p.stop() == 0
    n = len(mp.requests)
    again = proxies(mp.port, state=p.state).ready()
    assert client.ask(again.port, ccm.Message().raw).body == ACK_BODY
    assert len(mp.requests) == n


def test_operator_template_is_used_at_once(mp, proxies, tmp_path):
    path = tmp_path / "ack.http"
    path.write_bytes(ACK)
    p = proxies(mp.port, {"ack.template": str(path)}).ready()
    assert client.ask(p.port, ccm.Message().raw).body == ACK_BODY
    assert mp.requests == []


def test_connection_semantics_of_the_request_are_kept(learned):
    close = ccm.Message(extra=b"Connection: close\r\n").raw
    with client.Client(learned.port) as c:
        r = c.ask(close)
        assert r.body == ACK_BODY
        assert re.search(rb"(?i)\r\nconnection: close\r\n", r.head)
        assert c.is_closed()
    with client.Client(learned.port) as c:
        for _ in range(3):
            assert c.ask(ccm.Message().raw).body == ACK_BODY


def test_pipelined_messages_are_answered_in_order(learned, mp):
    get = b"GET /SMS_MP/.sms_aut?MPLIST HTTP/1.1\r\nHost: x\r\n\r\n"
    mp.answer = lambda r: response(b"policy", fields=b"X-Kind: get\r\n")
    with client.Client(learned.port) as c:
        c.send(ccm.Message().raw + get + ccm.Message().raw + ccm.Message().raw + get)
        kinds = [c.response().body for _ in range(5)]
    assert kinds == [ACK_BODY, b"policy", ACK_BODY, ACK_BODY, b"policy"]


def test_refused_request_is_answered_once(mp, proxies):
    # Its bytes stayed in the buffer: one GET was answered with 502 for ever.
    p = proxies(mp.port).ready()
    mp.stop()
    get = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
    with client.Client(p.port) as c:
        assert c.ask(get).status == 502
        assert c.ask(get).status == 502
        assert c.ask(ccm.Message().raw).status == 502
        assert not c.is_closed(0.3) and c.buf == b""
    assert p.metric("statweir_messages_received_total") == 3
