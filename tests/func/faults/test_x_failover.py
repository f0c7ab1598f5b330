"""X17 and X18: a replica that is behind becomes the master; the old one goes on, or tries to."""
import signal

import pytest

from harness.faults import absorbing, ask, end_leases
from harness.proxy import Statweir, until
from harness.redis import Redis
from load import Load, check

JOURNAL = {"redis.durability": "journal", "rollup.interval": "1h"}


class Pair:
    """A master and its replica, which follows over a network of its own."""

    def __init__(self, tmp_path, network):
        folders = [tmp_path / "old", tmp_path / "new"]
        for folder in folders:
            folder.mkdir()
        self.old, self.new = [Redis(folder, has_port=True).start() for folder in folders]
        self.old.call("CONFIG", "SET", "repl-diskless-sync-delay", 0, "min-replicas-max-lag", 1,
                      "repl-ping-replica-period", 1)
        self.link = network(("127.0.0.1", self.old.port))
        self.new.call("REPLICAOF", "127.0.0.1", self.link.port)
        self.await_replica()

    def await_replica(self):
        def offset(r):
            return [line for line in r.call("INFO", "replication").split("\r\n")
                    if line.startswith("master_repl_offset")]
        until("the replica has all", lambda: "master_link_status:up" in self.new.call(
            "INFO", "replication") and offset(self.old) == offset(self.new), 30)

    def part(self):
        self.link.there.hole = self.link.back.hole = True

    def promote(self):
        self.new.call("REPLICAOF", "NO", "ONE")

    def stop(self):
        self.old.stop()
        self.new.stop()


@pytest.fixture
def pair(tmp_path, network):
    p = Pair(tmp_path, network)
    yield p
    p.stop()


def recorded(redis, load):
    """Messages of the load that this server has ever counted."""
    mine = {s.client.upper() for s in load.sent.values()}
    return sum(n for c, n in redis.messages().items() if c.upper() in mine)


def test_X17_promoted_replica_lacks_what_was_acknowledged(weirs, mp, network, pair):
    front = network(pair.old.socket)
    p = weirs(server="127.0.0.1:%d" % front.port, settings=JOURNAL)
    load = Load(p.port, seed=17)
    load.send(40)
    pair.await_replica()
    pair.part()
    load.send(60)
    assert not load.open_messages()
    pair.old.stop(signal.SIGKILL)
    pair.promote()
    assert recorded(pair.new, load) < recorded_by(load, mp)
    front.target = pair.new.socket
    front.reset_all()
    until("another Redis is noticed", lambda: p.logged("redis_is_another"), 20)
    absorbing(p)
    until("the journal is replayed", lambda: recorded(pair.new, load) == recorded_by(load, mp), 20)
    for s in list(load.sent.values())[:30]:
        assert ask(p, s.message) == 200
    check(load, mp, pair.new)


def recorded_by(load, mp):
    """Messages of the load that the management point has not received itself."""
    passed = {m.id for m in load.sent.values() if any(t[3] for t in m.tries)}
    assert mp.requests
    return len(load.sent) - len(passed)


def test_X18_two_masters_none_of_their_messages_is_lost(weirs, mp, network, pair):
    """One statweir is cut off with the old master, which refuses; another has the new one."""
    pair.old.call("CONFIG", "SET", "min-replicas-to-write", 1)
    front = network(pair.old.socket)
    a = weirs(server="127.0.0.1:%d" % front.port, settings=JOURNAL)
    behind = Load(a.port, seed=181, first_client=1800)
    behind.send(30)
    pair.await_replica()
    pair.part()
    until("the old master refuses", lambda: refuses(pair.old), 20)
    before = recorded(pair.old, behind)
    behind.send(40)
    assert recorded(pair.old, behind) == before
    assert a.outcome("absorbed_journal") >= 30
    pair.promote()
    b = weirs(server="unix:" + pair.new.socket, settings=JOURNAL, teach=False)
    Statweir.ready(b)
    ahead = Load(b.port, seed=182, first_client=1850)
    ahead.send(40).retry()
    for s in list(behind.sent.values())[30:50]:
        assert ask(b, s.message) in (200, 503)  # its client has come to the other one
    front.target = pair.new.socket
    front.reset_all()
    absorbing(a)
    until("the journal is replayed", lambda: a.metric("statweir_journal_unapplied_records") == 0, 30)
    end_leases(pair.new)
    behind.retry()
    books = check_both(behind, ahead, mp, pair.new)
    assert not books["faults"]


def refuses(redis):
    try:
        redis.call("SET", "probe", 1)
    except Exception as e:  # pylint: disable=broad-except
        return "NOREPLICAS" in str(e)
    return False


def check_both(one, other, mp, redis):
    one.sent.update(other.sent)
    return check(one, mp, redis)
