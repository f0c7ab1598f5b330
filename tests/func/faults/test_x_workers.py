"""X8: a worker dies in one request; the others and the supervisor go on."""
import os

import pytest

from harness import client
from harness.proxy import until
from load import Load, check


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
