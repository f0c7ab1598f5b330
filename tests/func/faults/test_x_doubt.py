"""A message that may be recorded is not forwarded while Redis cannot be asked (X2, X9, X14, X44)."""
import os
import signal

import pytest

from harness import ccm
from harness.faults import absorbing, ask, count, forwarded, learn
from harness.proxy import Statweir, until


@pytest.mark.parametrize("moment", ["absorb_answered", "ack_send", "ack_sent"])
def test_X44_killed_after_recording_then_redis_away(moment, failpoints, weirs, redis, mp):
    p = weirs(failpoints=moment + "=kill@1")
    m = ccm.Message(client=44)
    ask(p, m)
    p.is_dead()
    assert count(redis, 44) == 1
    redis.stop(signal.SIGKILL)
    p.again()
    assert ask(p, m) == 503
    fresh = ccm.Message(client=44)
    assert ask(p, fresh) == 200 and forwarded(mp, fresh) == 1
    redis.start()
    absorbing(p)
    assert ask(p, m) == 200
    assert forwarded(mp, m) == 0 and count(redis, 44) == 1


def test_X14_in_doubt_and_redis_away(weirs, redis, mp, network):
    net = network(redis.socket)
    p = weirs(server="127.0.0.1:%d" % net.port)
    net.back.cut_after = 1
    m = ccm.Message(client=14)
    assert ask(p, m) == 503
    assert count(redis, 14) == 1
    net.refuse()
    until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    assert ask(p, m) == 503
    assert forwarded(mp, m) == 0
    net.heal()
    absorbing(p)
    assert ask(p, m) == 200
    assert count(redis, 14) == 1 and p.outcome("absorbed_duplicate") == 1


def test_X9_in_doubt_then_redis_refuses(weirs, redis, mp, network):
    net = network(redis.socket)
    p = weirs(server="127.0.0.1:%d" % net.port)
    net.back.cut_after = 0
    m = ccm.Message(client=9)
    assert ask(p, m) == 503
    net.heal()
    absorbing(p)
    redis.call("CONFIG", "SET", "min-replicas-to-write", 1)
    assert ask(p, m) == 503
    fresh = ccm.Message(client=9)
    assert ask(p, fresh) == 200 and forwarded(mp, fresh) == 1
    redis.call("CONFIG", "SET", "min-replicas-to-write", 0)
    absorbing(p)
    assert ask(p, m) == 200
    assert forwarded(mp, m) == 0 and count(redis, 9) == 1


def test_X8_other_worker_knows_of_the_doubt(failpoints, weirs, redis, mp):
    p = weirs(settings={"global.workers": "2"}, failpoints="absorb_answered=kill@2", teach=False)
    Statweir.ready(p)

    def kill_a_worker():
        m = ccm.Message(client=8)
        before = count(redis, 8)
        return ask(p, m) is None and count(redis, 8) > before and m

    broken = until("a worker dies with a recorded message", kill_a_worker, 40)
    redis.stop(signal.SIGKILL)
    until("noticed", lambda: p.metric("statweir_redis_up") == 0)
    until("an answer", lambda: ask(p, broken) == 503)
    redis.start()
    until("an acknowledgement", lambda: ask(p, broken) == 200)
    assert forwarded(mp, broken) == 0


def test_X31_retry_of_a_recorded_message_is_no_sample(weirs, redis, mp):
    p = weirs(settings={"ack.revalidate": "1s"})
    m = ccm.Message(client=31)
    assert ask(p, m) == 200
    known = count(redis, 31) + forwarded(mp, m)
    # Each second one recognised message is forwarded to check the acknowledgement.
    samples = p.metric("statweir_acknowledgement_samples_total")
    until("time for two samples", lambda: ask(p, m) == 200 and ask(p, ccm.Message()) == 200 and
          p.metric("statweir_acknowledgement_samples_total") >= samples + 2)
    assert known == 1 and count(redis, 31) + forwarded(mp, m) == 1


@pytest.mark.parametrize("durability", ["redis", "journal"])
def test_X31_retry_of_a_recorded_message_while_nothing_is_learned(durability, failpoints, weirs,
                                                                  redis, mp):
    """As for a worker that has not heard yet what another one has learned."""
    p = weirs(settings={"redis.durability": durability}, failpoints="ack_send=kill@1")
    m = ccm.Message(client=31)
    assert ask(p, m) is None
    p.is_dead()
    for f in os.listdir(os.path.join(p.state, "ack")):
        os.remove(os.path.join(p.state, "ack", f))
    p.again().ready()
    assert ask(p, m) == 503 and ask(p, m) == 503
    learn(p)
    assert ask(p, m) == 200
    until("it is recorded", lambda: count(redis, 31) == 1)
    assert forwarded(mp, m) == 0
    fresh = ccm.Message(client=31)
    assert ask(p, fresh) == 200 and forwarded(mp, fresh) == 0
