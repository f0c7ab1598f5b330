"""Whatever leaves a doubt is forwarded byte for byte and counted under its name."""
import zlib

import pytest

from harness import ccm, client


def plain(xml):
    return ccm.Message(xml=xml, compress=False)


OTHER = ccm.status(kind="SoftDistProgramStartedEvent", number=0x40000000 | 10005)
CASES = {
    "mixed": lambda: ccm.Message(xml=ccm.status() + OTHER),
    "several": lambda: ccm.Message(xml=ccm.status() + ccm.status("ABC00002")),
    "other_status": lambda: ccm.Message(xml=OTHER),
    "failure_sibling": lambda: ccm.Message(xml=ccm.status(kind="SWMtr_Status_WMIFailure")),
    "conflict": lambda: ccm.Message(xml=ccm.status(number=0x40000000 | 10908)),
    "severity": lambda: ccm.Message(xml=ccm.status(number=0xC0000000 | 10907)),
    "win32_error": lambda: ccm.Message(xml=ccm.status(win32=5)),
    "hook_unknown": lambda: ccm.Message(
        hooks='<Hook3 Name="zlib-compress"/><Hook4 Name="quantum"/>'),
    "hook_encrypt": lambda: ccm.Message(hooks='<Hook2 Name="encrypt"/>'),
    "inflate": lambda: ccm.Message(pack=lambda p: zlib.compress(p)[:-7]),
    "inflate_limit": lambda: ccm.Message(pack=lambda p: zlib.compress(b"<\0" * 20000000)),
    "doctype": lambda: plain('<!DOCTYPE Status [<!ENTITY a "b">]>' + ccm.status()),
    "status_xml": lambda: plain(ccm.status().replace("</Properties>", "</Wrong>")),
    "endpoint": lambda: ccm.Message(endpoint="MP_HinvEndpoint"),
    "not_async": lambda: ccm.Message(mode="Sync"),
}


@pytest.mark.parametrize("doubt", sorted(CASES))
def test_doubtful_message_forwarded_and_counted(doubt, learned, mp):
    m = CASES[doubt]()
    before = learned.doubt(doubt)
    r = client.ask(learned.port, m.raw)
    assert r.status == 200
    assert mp.requests[-1].body == m.body
    assert learned.doubt(doubt) == before + 1
    assert learned.outcome("absorbed_unique") == 0


def test_chunked_ccm_post_forwarded_uninspected(learned, mp):
    m = ccm.Message()
    candidates = learned.metric("statweir_candidates_total")
    assert client.ask(learned.port, ccm.request(m.body, chunked=True)).status == 200
    assert mp.requests[-1].body == m.body
    assert learned.metric("statweir_candidates_total") == candidates


def test_status_of_1_MiB_forwarded_uninspected(learned, mp):
    m = ccm.Message(xml=ccm.status(extra='<Property Name="X">%s</Property>' % ("y" * (1 << 19))),
                    compress=False)
    assert len(m.body) > 1 << 20
    assert client.ask(learned.port, m.raw).status == 200
    assert mp.requests[-1].body == m.body


def test_unread_ways_forwarded(learned, mp):
    m = ccm.Message()
    for raw in (ccm.request(m.body, path="/ccm_system_windowsauth/request"),
                ccm.request(m.body, method="POST"),
                ccm.request(m.body, extra=b"Authorization: Basic Zm9v\r\n"),
                ccm.request(m.body, extra=b"Content-Encoding: identity\r\n")):
        assert client.ask(learned.port, raw).status == 200
        assert mp.requests[-1].body == m.body
    assert learned.outcome("absorbed_unique") == 0


def test_message_split_at_any_byte_absorbed(learned, mp):
    n = len(mp.requests)
    for split in (1, 7, 1000):
        assert client.ask(learned.port, ccm.Message().raw, split).status == 200
    assert len(mp.requests) == n
    assert learned.outcome("absorbed_unique") == 3


def test_path_in_other_case_absorbed(learned, mp):
    n = len(mp.requests)
    # A path of its own is a key of its own for the acknowledgement, but not by its case.
    assert client.ask(learned.port, ccm.Message(path="/CCM_System/Request").raw).status == 200
    assert len(mp.requests) == n


def test_observe_mode_forwards_everything(mp, proxies):
    p = proxies(mp.port, {"global.mode": "observe"}).ready()
    for _ in range(8):
        assert client.ask(p.port, ccm.Message().raw).status == 200
    assert len(mp.requests) == 8
    assert p.metric("statweir_observed_absorbable_total") == 5
    assert p.outcome("absorbed_unique") == 0


def test_bypass_mode_looks_at_nothing(mp, proxies):
    p = proxies(mp.port, {"global.mode": "bypass"}).ready()
    for _ in range(5):
        assert client.ask(p.port, ccm.Message().raw).status == 200
    assert len(mp.requests) == 5
    assert p.metric("statweir_candidates_total") == 0


def test_enforced_share_is_stable_per_client(mp, proxies):
    p = proxies(mp.port, {"global.enforce": "50%"}).ready()
    for _ in range(40):
        client.ask(p.port, ccm.Message(client=999).raw)
    per_client = {}
    for c in range(40):
        seen = []
        for _ in range(3):
            n = len(mp.requests)
            client.ask(p.port, ccm.Message(client=c).raw)
            seen.append(len(mp.requests) > n)
        assert len(set(seen)) == 1, "client %d is treated now so, now otherwise" % c
        per_client[c] = seen[0]
    assert 5 < sum(per_client.values()) < 35
