"""X8: a worker dies in one request; the others and the supervisor go on."""
import os
import signal
import threading

import pytest

from harness import client
from harness.proxy import until
from load import Load, check
from test_workers import worker_pids


def test_X8_abort_in_one_request_the_supervisor_goes_on(failpoints, weirs, redis, mp):
    p = weirs(settings={"global.workers": "2"}, failpoints="message_whole=abort@3", teach=False)
    p.ready()
    load = Load(p.port, seed=8, threads=2)
    load.send(60).retry(60)
    until("a worker died", lambda: p.logged("worker_died"))
    check(load, mp, redis)
    assert os.path.exists("/proc/%d" % p.proc.pid)
    assert client.ask(p.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").status == 200


@pytest.mark.parametrize("moment", ["absorb_answered", "ack_send", "ack_sent", "message_whole"])
def test_X8_books_of_a_killed_worker_are_closed(moment, failpoints, weirs, redis, mp):
    p = weirs(settings={"global.workers": "2"}, failpoints=moment + "=kill@4", teach=False)
    p.ready()
    load = Load(p.port, seed=8, threads=2)
    load.send(60)
    until("a worker died", lambda: p.logged("worker_died"))
    until("both run", lambda: p.get("/readyz")[0] == 200)
    p.check_books()


def test_X8_worker_that_ends_before_the_supervisor_listens(failpoints, weirs):
    p = weirs(settings={"global.workers": "2"})
    assert p.stop() == 0
    old = p.proc
    start = threading.Thread(target=lambda: p.again("workers_begun=sleep:1000"))
    start.start()
    pids = until("two workers", lambda: p.proc is not old and len(worker_pids(p)) == 2
                 and worker_pids(p))
    os.kill(pids[0], signal.SIGKILL)
    start.join()
    until("it was missed", lambda: p.logged("worker_died"))
    until("both run", lambda: len(worker_pids(p)) == 2 and pids[0] not in worker_pids(p))
    assert p.ready().stop() == 0
