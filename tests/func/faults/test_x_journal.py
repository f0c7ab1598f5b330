"""X2, X4, X9, X17, X21, X22, X42, X44 where a journal stands beside Redis."""
import os
import shutil
import signal
import time

import pytest

from harness import ccm
from harness.faults import ask, count, forwarded
from harness.proxy import until
from load import Load, check

JOURNAL = {"redis.durability": "journal", "journal.segment": "4MiB", "journal.limit": "64MiB"}


def replayed(p):
    return (p.metric("statweir_redis_up") == 1 and
            p.metric("statweir_journal_unapplied_records") == 0 and
            p.metric("statweir_redis_pending_records") == 0)


@pytest.mark.parametrize("moment,hit", [("journal_write", 1), ("journal_write", 2),
                                        ("journal_written", 1), ("journal_synced", 1),
                                        ("journal_synced", 2), ("journal_rename", 1)])
def test_X2_killed_while_the_journal_is_written(moment, hit, failpoints, weirs, redis, mp):
    p = weirs(settings=JOURNAL, failpoints="%s=kill@%d" % (moment, hit))
    sent = []
    while p.proc.poll() is None and len(sent) < 50:
        m = ccm.Message(client=2)
        sent.append((m, ask(p, m)))
    p.is_dead()
    p.again().ready()
    for m, status in sent:
        assert status in (200, None)
        assert ask(p, m) == 200
    until("replayed", lambda: replayed(p))
    assert count(redis, 2) + sum(forwarded(mp, m) for m, _ in sent) == len(sent)


def test_X9_redis_away_the_journal_answers(weirs, redis, mp):
    p = weirs(settings=JOURNAL)
    redis.stop(signal.SIGKILL)
    # Gauges are as old as the last tick: replayed() means nothing before Redis was seen away.
    until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    load = Load(p.port, seed=9)
    load.send(200).retry()
    assert not any(forwarded(mp, s) for s in load.sent.values())
    redis.start()
    until("replayed", lambda: replayed(p), 40)
    check(load, mp, redis)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("moment", ["replay_send", "replay_answered"])
def test_X4_killed_in_a_replay(moment, n, failpoints, weirs, redis, mp):
    p = weirs(settings=JOURNAL)
    redis.stop(signal.SIGKILL)
    load = Load(p.port, seed=4)
    load.send(100).retry()
    p.kill()
    for _ in range(n):
        p.again(moment + "=kill@1")
        if redis.proc.poll() is not None:
            redis.start()
        p.is_dead()
    p.again()
    until("replayed", lambda: replayed(p), 40)
    check(load, mp, redis)


def test_X17_redis_comes_back_without_its_last_seconds(weirs, redis, mp, tmp_path):
    p = weirs(settings=JOURNAL)
    load = Load(p.port, seed=17)
    load.send(50).retry()
    until("recorded", lambda: replayed(p))
    aof = os.path.join(redis.folder, "appendonlydir")
    copy = str(tmp_path / "copy")
    shutil.copytree(aof, copy)
    load.send(80).retry()
    redis.stop(signal.SIGKILL)
    shutil.rmtree(aof)
    shutil.copytree(copy, aof)
    redis.start()
    until("replayed", lambda: p.logged("journal_replayed") and replayed(p), 40)
    check(load, mp, redis)


def test_X17_and_stays_away_longer_than_the_grace_time(weirs, redis, mp, tmp_path):
    p = weirs(settings={**JOURNAL, "journal.grace": "2s"})
    aof = os.path.join(redis.folder, "appendonlydir")
    copy = str(tmp_path / "copy")
    shutil.copytree(aof, copy)
    load = Load(p.port, seed=17)
    load.send(80).retry()
    # It takes 50,000 messages to fill a segment; the next start begins a new one.
    assert p.stop() == 0
    p.again().ready()
    load.send(1).retry()
    until("recorded", lambda: replayed(p))
    redis.stop(signal.SIGKILL)
    shutil.rmtree(aof)
    shutil.copytree(copy, aof)
    gone = time.monotonic() + 5
    until("longer than the grace time", lambda: time.monotonic() > gone, 10)
    redis.start()
    until("replayed", lambda: p.logged("journal_replayed") and replayed(p), 40)
    check(load, mp, redis)


@pytest.mark.parametrize("calls", ["pwrite:ENOSPC@3+", "pwrite:EIO@2+", "fdatasync:EIO@2+",
                                   "fsync:EIO@1+", "rename:EIO@1+", "open:EMFILE@1+",
                                   "pwrite:short@2", "pwrite:short%2", "pwrite:EINTR%2"])
def test_X21_X22_journal_fails_nothing_undurable_is_acknowledged(calls, shim, weirs, redis, mp,
                                                                 tmp_path):
    gate = tmp_path / "gate"
    p = weirs(settings=JOURNAL, LD_PRELOAD=shim,
              NTH_ONLY="statweir", NTH_PATH="/journal/", NTH_CALLS=calls, NTH_GATE=str(gate))
    gate.touch()
    load = Load(p.port, seed=21)
    load.send(150)
    if "+" in calls and "open" not in calls:
        assert any(p.logged(w) for w in ("journal_write_failed", "journal_no_space",
                                         "journal_failed")), p.log[-5:]
    # What is acknowledged now must survive the loss of both processes.
    redis.stop(signal.SIGKILL)
    p.kill()
    gate.unlink()
    redis.start()
    p.again().ready()
    load.retry()
    until("replayed", lambda: replayed(p), 40)
    check(load, mp, redis)


@pytest.mark.parametrize("is_redis_there", [True, False])
def test_X22_sync_failed_in_doubt_and_not_forwarded(is_redis_there, shim, weirs, redis, mp,
                                                    tmp_path):
    """503, for Redis may have it, or the file all the same; and the store is not ready."""
    gate = tmp_path / "gate"
    p = weirs(settings=JOURNAL, LD_PRELOAD=shim, NTH_ONLY="statweir", NTH_PATH="/journal/",
              NTH_CALLS="fdatasync:EIO@1+;fsync:EIO@1+", NTH_GATE=str(gate))
    if not is_redis_there:
        redis.stop(signal.SIGKILL)
        until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    gate.touch()
    m = ccm.Message(client=22)
    assert ask(p, m) == 503
    until("noticed", lambda: p.logged("journal_failed"))
    assert ask(p, m) == 503
    other = ccm.Message(client=23)
    assert ask(p, other) == 200 and forwarded(mp, other) == 1  # the store is not ready
    p.kill()
    gate.unlink()
    p.again()
    if not is_redis_there:
        redis.start()
    until("an acknowledgement", lambda: ask(p, m) == 200)
    until("replayed", lambda: replayed(p), 40)
    assert forwarded(mp, m) == 0 and count(redis, 22) == 1


@pytest.mark.parametrize("call", ["pwrite", "fdatasync", "fsync", "rename", "open"])
def test_X22_journal_nth_call_fails_and_it_mends(call, shim, weirs, redis, mp, tmp_path):
    for n in (1, 2, 3, 5):
        gate = tmp_path / ("gate%d" % n)
        p = weirs(settings=JOURNAL, LD_PRELOAD=shim,
                  NTH_ONLY="statweir", NTH_PATH="/journal/", NTH_GATE=str(gate),
                  NTH_CALLS="%s:EIO@%d" % (call, n))
        gate.touch()
        load = Load(p.port, seed=22, first_client=2200 + 10 * n)
        load.send(100).retry()
        until("replayed", lambda p=p: replayed(p), 40)
        check(load, mp, redis)
        p.close()


def test_X42_slow_journal_acknowledgements_wait(shim, weirs, redis, mp, tmp_path):
    gate = tmp_path / "gate"
    p = weirs(settings=JOURNAL, LD_PRELOAD=shim, NTH_ONLY="statweir", NTH_PATH="/journal/",
              NTH_CALLS="fdatasync:sleep300@1+", NTH_GATE=str(gate))
    assert ask(p, ccm.Message(client=42)) == 200
    gate.touch()
    load = Load(p.port, seed=42)
    load.send(12)
    slow = [t[1] - t[0] for s in load.sent.values() for t in s.tries if not forwarded(mp, s)]
    assert slow and min(slow) > 0.25
    gate.unlink()
    load.retry()
    check(load, mp, redis)


def test_X44_both_killed_and_the_tail_of_redis_lost(weirs, redis, mp, tmp_path):
    p = weirs(settings=JOURNAL)
    load = Load(p.port, seed=44)
    load.send(50).retry()
    until("recorded", lambda: replayed(p))
    aof = os.path.join(redis.folder, "appendonlydir")
    copy = str(tmp_path / "copy")
    shutil.copytree(aof, copy)
    load.send(80)
    redis.stop(signal.SIGKILL)
    p.kill()
    shutil.rmtree(aof)
    shutil.copytree(copy, aof)
    redis.start()
    p.again().ready()
    load.retry()
    until("replayed", lambda: replayed(p), 40)
    check(load, mp, redis)
