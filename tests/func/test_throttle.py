"""What passes is paced: held, let go, refused, dropped, counted."""
import threading
import time
import urllib.error
import urllib.request

import pytest

from harness import ccm, client
from harness.proxy import Statweir, until

# A status message that is not coalesced, and so passes.
OTHER = {"xml": ccm.status(kind="SMS_Other_Status", number=1073741900)}
POLICY = b"GET /SMS_MP/.sms_pol?ABC00001 HTTP/1.1\r\nHost: mp\r\n\r\n"
HEALTH = b"GET /SMS_MP/.sms_aut?MPLIST HTTP/1.1\r\nHost: mp\r\n\r\n"


def status_message(who=1):
    return ccm.Message(client=who, **OTHER).raw


def figure(p, name, cls):
    return int(p.metric("statweir_throttle_" + name, **{"class": cls}))


class Crowd:
    """Requests on connections of their own, sent at once; the answers as they come."""

    def __init__(self, p, requests):
        self.clients = [client.Client(p.port, 60) for _ in requests]
        for c, r in zip(self.clients, requests):
            c.send(r)
        self.answers = [None] * len(requests)
        self.took = [None] * len(requests)
        self.start = time.monotonic()
        self.threads = [threading.Thread(target=self._read, args=(i,), daemon=True)
                        for i in range(len(requests))]
        for t in self.threads:
            t.start()

    def _read(self, i):
        self.answers[i] = self.clients[i].response()
        self.took[i] = time.monotonic() - self.start

    def join(self):
        for t in self.threads:
            t.join(60)
        return [a.status for a in self.answers]


@pytest.fixture
def slow(proxies, mp):
    """Status messages at five a second, one at once."""
    def start(**more):
        s = {"throttle.mode": "fixed", "throttle.status_rate": "5", "throttle.status_burst": "1"}
        s.update(more)
        return proxies(mp.port, s).ready()
    return start


def test_held_at_the_rate_then_let_go(slow, mp):
    p = slow()
    crowd = Crowd(p, [status_message(i) for i in range(11)])
    until("most are held", lambda: figure(p, "held", "status") >= 5)
    assert p.metric("statweir_hold_queue_messages") >= 5
    assert crowd.join() == [200] * 11
    # The first at once, ten more at five a second.
    assert 1.5 < max(crowd.took) < 10
    assert len(mp.requests) == 11
    until("the figures follow", lambda: figure(p, "passed_total", "status") == 11)
    assert figure(p, "held_total", "status") == 10
    assert figure(p, "held", "status") == 0
    assert figure(p, "rate_limit", "status") == 5
    assert figure(p, "hold_p99_milliseconds", "status") >= 500


def test_held_bytes_reach_the_management_point_unchanged(slow, mp):
    p = slow()
    messages = [status_message(i) for i in range(4)]
    assert Crowd(p, messages).join() == [200] * 4
    bodies = sorted(m.split(b"\r\n\r\n", 1)[1] for m in messages)
    assert sorted(r.body for r in mp.requests) == bodies


def test_health_and_policy_pass_by_those_that_wait(slow, mp):
    p = slow(**{"throttle.status_rate": "1"})
    crowd = Crowd(p, [status_message(i) for i in range(6)])
    until("five are held", lambda: figure(p, "held", "status") == 5)
    for request in (POLICY, HEALTH):
        start = time.monotonic()
        assert client.ask(p.port, request).status == 200
        assert time.monotonic() - start < 1
    assert figure(p, "held_total", "policy") == figure(p, "held_total", "health") == 0
    assert crowd.join() == [200] * 6


def test_classes_are_configurable(slow, mp):
    p = slow(**{"throttle.classes": "MP_Special=policy, /files/=bits, StatusReceiver=inventory"})
    Crowd(p, [ccm.Message(endpoint="MP_Special", **OTHER).raw, status_message(),
              b"GET /files/a HTTP/1.1\r\nHost: mp\r\n\r\n"]).join()
    until("the figures follow", lambda: [figure(p, "passed_total", c) for c in
                                         ("policy", "inventory", "bits", "status")] == [1, 1, 1, 0])


def test_classes_that_are_none_are_refused_at_the_start(mp):
    p = Statweir(mp.port, {"throttle.classes": "MP_Special=fast"})
    with pytest.raises(AssertionError, match="throttle.classes"):
        p.start()
    p.expected_exit = 78
    p.close()


def test_full_queue_refuses_with_times_that_spread(slow, mp):
    p = slow(**{"throttle.status_queue": "4", "throttle.status_rate": "1"})
    crowd = Crowd(p, [status_message(i) for i in range(40)])
    codes = crowd.join()
    assert codes.count(200) == 5 and codes.count(503) == 35
    assert len(mp.requests) == 5
    refused = [a for a in crowd.answers if a.status == 503]
    times = [int(a.field(b"Retry-After")) for a in refused]
    assert min(times) >= 1 and len(set(times)) > 5, times
    assert all(b"throttled" in a.body for a in refused)
    until("the figures follow", lambda: figure(p, "refused_total", "status") == 35)
    assert p.closed("throttled") == 35


def test_too_old_in_the_queue_is_refused(slow, mp):
    p = slow(**{"throttle.status_rate": "1", "throttle.status_queue_age": "500ms"})
    codes = Crowd(p, [status_message(i) for i in range(6)]).join()
    assert 1 <= codes.count(200) <= 2 and codes.count(503) >= 4


def test_client_that_leaves_the_queue_is_aborted(slow, mp):
    p = slow(**{"throttle.status_rate": "1"})
    crowd = Crowd(p, [status_message(0)])
    assert crowd.join() == [200]
    leaving = [client.Client(p.port) for _ in range(3)]
    for i, c in enumerate(leaving):
        c.send(status_message(i))
    until("three are held", lambda: figure(p, "held", "status") == 3)
    for c in leaving:
        c.close()
    until("they have left", lambda: figure(p, "aborted_total", "status") == 3)
    assert p.outcome("aborted") == 3
    assert len(mp.requests) == 1
    p.check_books()


def test_observe_holds_nothing_and_counts(slow, mp):
    p = slow(**{"throttle.observe": "on", "throttle.status_rate": "1",
                "throttle.status_queue": "4"})
    crowd = Crowd(p, [status_message(i) for i in range(20)])
    assert crowd.join() == [200] * 20
    assert max(crowd.took) < 3
    until("the figures follow", lambda: figure(p, "held_total", "status") +
          figure(p, "refused_total", "status") == 19)
    assert figure(p, "refused_total", "status") > 0
    assert p.metric("statweir_hold_queue_messages") == 0 or \
        figure(p, "held", "status") <= 4


def test_term_lets_the_held_go_within_the_drain_limit(slow, mp):
    p = slow(**{"throttle.status_rate": "1", "global.drain": "6s"})
    crowd = Crowd(p, [status_message(i) for i in range(12)])
    until("eleven are held", lambda: figure(p, "held", "status") == 11)
    start = time.monotonic()
    assert p.stop() == 0
    assert time.monotonic() - start < 8
    assert crowd.join() == [200] * 12
    assert len(mp.requests) == 12


def post(p, path, text):
    r = urllib.request.Request("http://127.0.0.1:%d%s" % (p.admin, path), text.encode(),
                               method="POST")
    try:
        with urllib.request.urlopen(r, timeout=10) as a:
            return a.status, a.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_statbox_report_only_where_it_is_allowed(proxies, mp):
    p = proxies(mp.port).ready()
    code, words = post(p, "/statbox", "41200")
    assert code == 403 and "throttle.files_push" in words


def test_statbox_report_lowers_the_status_rate_and_says_why(proxies, mp):
    p = proxies(mp.port, {"throttle.files_push": "on"}).ready()
    assert post(p, "/statbox", "many")[0] == 400
    assert post(p, "/statbox", "-1")[0] == 400
    files = [41200]

    def reported_and_slow():
        files[0] += 100
        assert post(p, "/statbox", "%d\n" % files[0]) == (200, "ok\n")
        return p.metric("statweir_throttle_status_rate_limit") > 0

    until("status messages slow down", reported_and_slow)
    assert p.metric("statweir_statbox_files") > 41200
    line = p.logged("throttle")
    assert "STAT.BOX" in line and "files" in line and "msg/s" in line


def test_unreachable_few_try_then_what_was_good(proxies, mp):
    p = proxies(mp.port, {"throttle.mode": "auto"}).ready()
    for i in range(40):
        assert Crowd(p, [status_message(i)]).join() == [200]
    mp.stop()
    until("it is known to be away", lambda: (
        Crowd(p, [status_message(i) for i in range(8)][:1]).join() == [502] and
        p.metric("statweir_throttle_shared_rate_limit") <= 1))
    assert "no connection" in p.logged("throttle")
    crowd = Crowd(p, [status_message(100 + i) for i in range(20)])
    until("most are held", lambda: figure(p, "held", "status") >= 17)
    mp.start()
    # Those that tried in the meantime are told so; the others go as soon as one is answered.
    assert crowd.join().count(200) >= 17
    assert max(crowd.took) < 15
    assert p.metric("statweir_throttle_shared_rate_limit") >= 5


def test_statbox_file_is_read(proxies, mp, tmp_path):
    path = tmp_path / "files"
    path.write_text("123\n")
    p = proxies(mp.port, {"throttle.files_from": str(path)}).ready()
    until("the report is seen", lambda: p.metric("statweir_statbox_files") == 123)
