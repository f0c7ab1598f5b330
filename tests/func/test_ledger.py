"""The ledger from outside: statweirctl, windows, and the questions about clients and rules."""
import json
import os
import subprocess

from conftest import teach
from harness import ccm, client
from harness.proxy import binary, until


def ctl(p, *words):
    argv = [os.path.join(os.path.dirname(binary()), "statweirctl"), "--admin",
            "127.0.0.1:%d" % p.admin] + list(words)
    r = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return r.returncode, r.stdout, r.stderr


def absorb(p, who, rule):
    r = client.ask(p.port, ccm.Message(client=who, rule=rule).raw)
    assert r.status == 200


def redis(p, *words):
    out = subprocess.run(["redis-cli", "-s", os.path.join(p.state, "redis.sock")] + list(words),
                         capture_output=True, text=True, check=True).stdout
    return out.split()


def test_ledger_verify_balanced_and_after_a_loss(learned):
    p = learned
    absorb(p, 1, "ABC00001")
    absorb(p, 2, "ABC00002")
    code, out, _ = ctl(p, "ledger", "verify")
    assert code == 0 and "absorbed 2 = summarised 0 + pending 2, imbalance 0" in out
    assert "no window has ended" in out and "the books balance" in out
    # Somebody takes data out of Redis behind our back.
    keys = redis(p, "keys", "statweir:c{*")
    assert len(keys) == 2
    redis(p, "rename", keys[0], "hidden")
    code, out, _ = ctl(p, "ledger", "verify")
    assert code == 1 and "THE BOOKS DO NOT BALANCE" in out and "imbalance 1" in out
    redis(p, "rename", "hidden", keys[0])
    assert ctl(p, "ledger", "verify")[0] == 0


def test_ledger_windows_are_written_down(mp, proxies):
    p = proxies(mp.port, {"rollup.window": "10s", "rollup.interval": "2s"}).ready()
    teach(p)
    absorb(p, 1, "ABC00001")
    windows = until("the message's window has ended", lambda: [
        w for w in json.loads(p.get("/ledger/windows")[1])["windows"] if w["absorbed"]], 40)
    assert len(windows) == 1 and windows[0]["absorbed"] == 1
    assert windows[0]["pending_at_end"] == 1 - windows[0]["summarised"]
    code, out, _ = ctl(p, "ledger", "verify", "--since", "1h")
    assert code == 0 and "<-- off" not in out and "the books balance" in out
    assert ctl(p, "ledger", "verify", "--since", "2100-01-01")[1].count("no window") == 1
    # As if it had been off at its end: said, and an exit status, though the books balance now.
    for key in redis(p, "keys", "statweir:h{*"):
        for number in redis(p, "hkeys", key):
            if number[0] != "@":
                row = redis(p, "hget", key, number)
                redis(p, "hset", key, number, " ".join(row[:-1] + ["3"]))
    code, out, _ = ctl(p, "ledger", "verify", "--since", "1h")
    assert code == 1 and "<-- off" in out


def test_ledger_sheet_and_usage(learned):
    code, out, _ = ctl(learned, "ledger")
    assert code == 0 and out.startswith("Balance sheet of ")
    for words in ([], ["ledger", "burn"], ["ledger", "verify", "--since", "soon"], ["client"]):
        code, _, err = ctl(learned, *words)
        assert code == 64 and "usage:" in err


def test_ledger_nobody_there():
    argv = [os.path.join(os.path.dirname(binary()), "statweirctl"), "--admin", "127.0.0.1:1",
            "ledger", "verify"]
    r = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert r.returncode == 2 and "global.admin" in r.stderr


def test_client_rule_and_missing(learned):
    p = learned
    for who in (1, 2, 3):
        absorb(p, who, "ABC00001")
    absorb(p, 2, "ABC00002")
    code, out, _ = ctl(p, "client", "GUID:" + ccm.guid(2))
    assert code == 0 and '"messages": 2' in out and '"ABC00002"' in out
    code, out, _ = ctl(p, "rule", "ABC00002")
    assert code == 0 and '"clients_reported": 1' in out and '"messages": 1' in out
    code, out, _ = ctl(p, "missing", "ABC00002")
    assert code == 0
    assert sorted(out.split()) == sorted(["client", "GUID:" + ccm.guid(1), "GUID:" + ccm.guid(3)])
    assert ctl(p, "client", "GUID:NOBODY")[0] == 2
