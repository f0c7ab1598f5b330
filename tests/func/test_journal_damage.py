"""A journal whose files are damaged: statweir starts, sets them aside, says so, replays the rest."""
import glob
import os

import pytest

from harness import ccm
from harness.faults import Weir, ask, learn
from harness.proxy import until
from load import client_name

N = 150


class Damage:
    """N messages acknowledged from the journal alone, by a statweir that was killed then."""

    def __init__(self, mp, redis):
        self.mp, self.redis = mp, redis
        self.p = Weir(mp.port, {"redis.server": "unix:" + redis.socket,
                                "redis.durability": "journal", "rollup.summary": "exemplar",
                                "journal.segment": "4MiB"})
        self.p.again().ready()
        learn(self.p)
        until("the samples are remembered", lambda: self.p.metric(
            "statweir_redis_records_total") >= 3)
        redis.stop()
        until("noticed", lambda: self.p.logged("redis_not_ready"))
        before = len(mp.requests)
        self.sent = [self.message(i) for i in range(N)]
        for m in self.sent:
            assert ask(self.p, m) == 200
        assert len(mp.requests) == before
        self.p.kill()

    @staticmethod
    def message(i):
        """Each is a client of its own, and 70 KB long: some segments are needed."""
        extra = '<Property Name="Attribute499">%s</Property>' % ("x" * 30000)
        return ccm.Message(client=5000 + i, xml=ccm.status("ABC00001", extra=extra),
                           compress=False)

    def files(self, ending="seg"):
        return sorted(glob.glob(os.path.join(self.p.state, "journal/0/*." + ending)))

    def back(self):
        """Start both again; the places of the messages that Redis has not got."""
        self.redis.start()
        self.p.again().ready()
        until("the rest is replayed", lambda: self.p.logged("journal_replayed") and
              self.p.metric("statweir_journal_unapplied_records") == 0)
        ever = self.redis.messages()
        counts = [ever.get(client_name(5000 + i), 0) for i in range(N)]
        assert max(counts) == 1
        return [i for i, n in enumerate(counts) if n == 0]

    def quarantined(self):
        return self.p.metric("statweir_journal_quarantined_segments_total")

    def goes_on(self):
        """What is new is absorbed, and what was lost is counted when it comes again."""
        before = len(self.mp.requests)
        assert ask(self.p, ccm.Message(client=4)) == 200
        for m in self.sent:
            assert ask(self.p, m) == 200
        assert len(self.mp.requests) == before
        ever = self.redis.messages()
        assert [ever.get(client_name(5000 + i), 0) for i in range(N)] == [1] * N


@pytest.fixture
def damage(mp, redis):
    d = Damage(mp, redis)
    yield d
    d.p.close()


def place_of(path, message):
    """Where a message stands in a file, or -1."""
    with open(path, "rb") as f:
        return f.read().find(message.body)


def holder(damage, i):
    """(file, place in it) of message i."""
    for path in damage.files():
        at = place_of(path, damage.sent[i])
        if at >= 0:
            return path, at
    raise AssertionError("message %d is in no segment" % i)


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))


def test_torn_tail_is_the_end_of_the_log(damage):
    path, at = holder(damage, N - 1)
    os.truncate(path, at + 1000)
    assert damage.back() == [N - 1]
    # As after a power failure: nothing that was synced is missing, so no damage.
    assert damage.quarantined() == 0
    assert not damage.p.logged("journal_damaged")
    damage.goes_on()


def test_flipped_byte_in_the_middle_of_a_segment(damage):
    assert len(damage.files()) >= 2
    path, at = holder(damage, 20)
    flip(path, at + 500)
    assert damage.back() == [20]
    assert damage.quarantined() == 1
    line = damage.p.logged("journal_damaged")
    assert line.startswith("<3>") and os.path.basename(path) in line and "what=record" in line
    damage.goes_on()
    until("kept aside", lambda: damage.files("bad"))
    assert len(damage.files("bad")) == 1


def test_flipped_byte_in_the_header_of_a_segment(damage):
    first = holder(damage, 0)[0]
    lost = [i for i in range(N) if place_of(first, damage.sent[i]) >= 0]
    assert 10 < len(lost) < N
    flip(first, 9)
    assert damage.back() == lost
    assert damage.quarantined() == 1
    assert "what=header" in damage.p.logged("journal_damaged")
    assert len(damage.files("bad")) == 1
    damage.goes_on()


def test_deleted_segment_in_the_middle(damage):
    middle = holder(damage, N // 2)[0]
    lost = [i for i in range(N) if place_of(middle, damage.sent[i]) >= 0]
    assert 0 not in lost and N - 1 not in lost
    os.unlink(middle)
    assert damage.back() == lost
    assert damage.quarantined() == 1
    assert "what=end" in damage.p.logged("journal_damaged")
    damage.goes_on()
