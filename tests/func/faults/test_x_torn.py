"""X11: half a transaction at the end of Redis's file, and two starts."""
import os
import re

from conftest import teach
from harness import ccm, client
from harness.faults import absorbing, ask, count
from harness.proxy import until

# With a journal the message would come back from there, before its client sends it again.
REDIS_ALONE = {"redis.durability": "redis"}


def newest_aof(state):
    folder = os.path.join(state, "appendonlydir")
    names = [f for f in os.listdir(folder) if f.endswith(".incr.aof")]
    return os.path.join(folder, max(names, key=lambda f: int(f.split(".")[-3])))


def tear(path):
    """Inside of the command behind the last repetition of a rule, which is an addition."""
    with open(path, "rb") as f:
        data = f.read()
    at = [m.start() for m in re.finditer(rb"HINCRBY\r\n\$\d+\r\nstatweir:x", data)][-1]
    os.truncate(path, data.index(b"*", at) + 5)


def test_X11_half_a_transaction_is_not_executed_later(mp, proxies):
    p = proxies(mp.port, REDIS_ALONE).ready()
    teach(p)
    # The rule is known already: its repetition is an addition, which shows if done twice.
    assert client.ask(p.port, ccm.Message(client=11, rule="SAME").raw).status == 200
    last = ccm.Message(client=11, rule="SAME")
    assert client.ask(p.port, last.raw).status == 200
    assert p.stop() == 0
    tear(newest_aof(p.state))
    again = proxies(mp.port, REDIS_ALONE, state=p.state).ready()
    assert again.logged("redis_file_mended"), again.log
    assert client.ask(again.port, last.raw).status == 200
    assert again.outcome("absorbed_unique") == 1, again.log
    assert again.stop() == 0
    third = proxies(mp.port, REDIS_ALONE, state=p.state).ready()
    third.ledger()
    assert third.metric("statweir_ledger_absorbed_messages") == 2
    assert third.metric("statweir_ledger_pending_messages") == 2


def rewritten(r):
    info = r.call("INFO", "persistence")
    return "aof_rewrites:0\r" not in info and "aof_rewrite_in_progress:0\r" in info


def test_X11_half_a_transaction_in_the_file_of_another_redis(weirs, redis):
    p = weirs()
    until("the file is written anew", lambda: rewritten(redis))
    last = ccm.Message(client=11, rule="SAME")
    assert ask(p, ccm.Message(client=11, rule="SAME")) == 200
    assert ask(p, last) == 200
    redis.stop()
    tear(newest_aof(redis.folder))
    redis.start()
    until("the file is written anew", lambda: rewritten(redis))
    until("recorded again", lambda: ask(p, last) == 200 and count(redis, 11) == 2)
    redis.stop()
    redis.start()
    assert count(redis, 11) == 2
    absorbing(p)
    assert count(redis, 11) == 2


def test_X11_redis_that_forbids_to_write_its_file_anew(weirs, redis):
    redis.call("ACL", "SETUSER", "default", "-bgrewriteaof")
    p = weirs()
    assert ask(p, ccm.Message(client=11)) == 200
    assert p.logged("redis_file_not_rewritten"), p.log
    assert not rewritten(redis)
