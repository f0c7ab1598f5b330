"""X8: a worker dies in one request; the others and the supervisor go on."""
import os

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
