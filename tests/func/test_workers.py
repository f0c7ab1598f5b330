"""Several workers under a supervisor."""
import json
import os
import re
import signal

from conftest import teach
from harness import ccm, client
from harness.proxy import until


def worker_pids(p):
    with open("/proc/%d/task/%d/children" % (p.proc.pid, p.proc.pid)) as f:
        pids = [int(x) for x in f.read().split()]
    names = {}
    for pid in pids:
        with open("/proc/%d/comm" % pid) as f:
            names[pid] = f.read().strip()
    return [pid for pid, name in names.items() if "redis" not in name]


def test_workers_auto_is_one_for_each_processor(mp, proxies):
    p = proxies(mp.port, {"global.workers": "auto"}).ready()
    n = len(os.sched_getaffinity(0))
    assert json.loads(p.get("/stats.json")[1])["workers"] == n
    assert "workers=%d" % n in p.logged("listening")
    if n > 1:
        until("all are there", lambda: len(worker_pids(p)) == n)


def test_workers_wait_their_turn_on_the_processor(mp, proxies):
    p = proxies(mp.port, {"global.workers": "2"})
    pids = until("two workers", lambda: len(worker_pids(p)) == 2 and worker_pids(p))
    until("patient", lambda: all(os.sched_getscheduler(w) == os.SCHED_BATCH for w in pids))
    assert os.sched_getscheduler(p.proc.pid) == os.SCHED_OTHER
    one = proxies(mp.port, {"global.workers": "1"}).ready()
    assert os.sched_getscheduler(one.proc.pid) == os.SCHED_OTHER


def test_two_workers_share_the_count(mp, proxies):
    p = proxies(mp.port, {"global.workers": "2"}).ready()
    for _ in range(4):
        teach(p, 5)
    m = ccm.Message()
    for _ in range(12):
        assert client.ask(p.port, m.raw).status == 200
    assert p.outcome("absorbed_unique") >= 1
    assert p.ledger()


def test_killed_worker_is_replaced_on_the_same_socket(mp, proxies):
    p = proxies(mp.port, {"global.workers": "2"})
    pids = until("two workers", lambda: len(worker_pids(p)) == 2 and worker_pids(p))
    os.kill(pids[0], signal.SIGKILL)
    until("replaced", lambda: len(worker_pids(p)) == 2 and pids[0] not in worker_pids(p))
    for _ in range(20):
        r = client.ask(p.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert r.status == 200
    assert any(re.match(r"<3>worker_died", line) for line in p.log)
