"""Redis away, wrongly configured, or somebody else's: forward everything, and say so."""
import os
import signal
import subprocess

import pytest

from conftest import teach
from harness import ccm, client
from harness.proxy import until


class Redis:
    def __init__(self, folder, *args):
        self.folder = str(folder)
        self.socket = os.path.join(self.folder, "r.sock")
        self.args = list(args)
        self.proc = None

    def start(self):
        argv = ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.folder,
                "--save", "", "--appendonly", "yes", "--appendfsync", "always",
                "--maxmemory-policy", "noeviction"] + self.args
        self.proc = subprocess.Popen(argv, executable="/usr/bin/redis-check-rdb",
                                     stdout=subprocess.DEVNULL)
        until("Redis answers", lambda: self.cli("PING") == "PONG")
        return self

    def cli(self, *args):
        return subprocess.run(["redis-cli", "-s", self.socket] + list(args), capture_output=True,
                              text=True).stdout.strip()

    def stop(self, sig=signal.SIGTERM):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(sig)
            self.proc.wait()


@pytest.fixture
def redis(tmp_path):
    r = Redis(tmp_path).start()
    yield r
    r.stop(signal.SIGKILL)


def test_external_redis_by_unix_socket(redis, mp, proxies):
    p = proxies(mp.port, {"redis.server": "unix:" + redis.socket}).ready()
    teach(p)
    assert client.ask(p.port, ccm.Message().raw).status == 200
    assert len(mp.requests) == 3
    assert p.outcome("absorbed_unique") == 1


def test_redis_away_everything_is_forwarded_and_said(mp, proxies, tmp_path):
    p = proxies(mp.port, {"redis.server": "unix:%s/none.sock" % tmp_path})
    for _ in range(6):
        assert client.ask(p.port, ccm.Message().raw).status == 200
    assert len(mp.requests) == 6
    assert p.metric("statweir_redis_up") == 0
    until("it is said", lambda: p.logged("redis_not_ready"))


def test_wrong_fsync_policy_stops_absorption_and_names_the_fix(redis, mp, proxies):
    redis.cli("CONFIG", "SET", "appendfsync", "no")
    p = proxies(mp.port, {"redis.server": "unix:" + redis.socket})
    until("it is said", lambda: any("appendfsync" in line for line in p.log))
    for _ in range(5):
        assert client.ask(p.port, ccm.Message().raw).status == 200
    assert len(mp.requests) == 5
    assert p.outcome("absorbed_unique") == 0


def test_redis_killed_and_restarted_counts_go_on(redis, mp, proxies):
    p = proxies(mp.port, {"redis.server": "unix:" + redis.socket, "redis.call_timeout": "500ms"})
    p.ready()
    teach(p)
    messages = [ccm.Message(client=3) for _ in range(5)]
    for m in messages:
        assert client.ask(p.port, m.raw).status == 200
    redis.stop(signal.SIGKILL)
    until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    n = len(mp.requests)
    assert client.ask(p.port, ccm.Message(client=4).raw).status == 200
    assert len(mp.requests) == n + 1
    redis.start()
    p.ready()
    for m in messages:
        assert client.ask(p.port, m.raw).status == 200
    assert p.outcome("absorbed_unique") == 5
    assert p.outcome("absorbed_duplicate") == 5


def test_flushed_redis_stops_absorption(redis, mp, proxies):
    p = proxies(mp.port, {"redis.server": "unix:" + redis.socket}).ready()
    teach(p)
    assert client.ask(p.port, ccm.Message().raw).status == 200
    redis.cli("FLUSHALL")
    until("noticed", lambda: p.metric("statweir_redis_up") == 0, 40)
    n = len(mp.requests)
    assert client.ask(p.port, ccm.Message().raw).status == 200
    assert len(mp.requests) == n + 1


def test_embedded_redis_killed_is_started_again(learned):
    pid = int(learned.logged("redis_started").split(" pid=")[1].split(" ")[0])
    m = ccm.Message()
    assert client.ask(learned.port, m.raw).status == 200
    os.kill(pid, signal.SIGKILL)
    until("started again", lambda: learned.logged("redis_restarted"))
    learned.ready()
    assert client.ask(learned.port, m.raw).status == 200
    assert learned.outcome("absorbed_unique") == 1
    assert learned.outcome("absorbed_duplicate") == 1


def test_second_statweir_on_the_same_state_directory_is_refused(statweir):
    from harness.proxy import Statweir
    other = Statweir(statweir.upstream, state=statweir.state)
    with pytest.raises(AssertionError, match="state|use"):
        other.start()
    assert other.proc.wait(10) != 0
