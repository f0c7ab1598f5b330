"""X11 with the embedded Redis: half a transaction at the end of its file, and two starts."""
import os
import re

from conftest import teach
from harness import ccm, client

# With a journal the message would come back from there, before its client sends it again.
REDIS_ALONE = {"redis.durability": "redis"}


def newest_aof(state):
    folder = os.path.join(state, "appendonlydir")
    names = [f for f in os.listdir(folder) if f.endswith(".incr.aof")]
    return os.path.join(folder, max(names, key=lambda f: int(f.split(".")[-3])))


def test_X11_half_a_transaction_is_not_executed_later(mp, proxies):
    p = proxies(mp.port, REDIS_ALONE).ready()
    teach(p)
    # The rule is known already: its repetition is an addition, which shows if done twice.
    assert client.ask(p.port, ccm.Message(client=11, rule="SAME").raw).status == 200
    last = ccm.Message(client=11, rule="SAME")
    assert client.ask(p.port, last.raw).status == 200
    assert p.stop() == 0
    path = newest_aof(p.state)
    with open(path, "rb") as f:
        data = f.read()
    at = [m.start() for m in re.finditer(rb"HINCRBY\r\n\$\d+\r\nstatweir:x", data)][-1]
    os.truncate(path, data.index(b"*", at) + 5)  # inside of the command behind
    again = proxies(mp.port, REDIS_ALONE, state=p.state).ready()
    assert again.logged("redis_file_mended"), again.log
    assert client.ask(again.port, last.raw).status == 200
    assert again.outcome("absorbed_unique") == 1, again.log
    assert again.stop() == 0
    third = proxies(mp.port, REDIS_ALONE, state=p.state).ready()
    third.ledger()
    assert third.metric("statweir_ledger_absorbed_messages") == 2
    assert third.metric("statweir_ledger_pending_messages") == 2
