"""The flood of KB 924842 whole: 500 clients, 500 rules, all shapes of messages mixed.

Runs on the ordinary build, if there is one: a quarter of a million messages take the
sanitizers' build minutes, and the other tests are for those.
"""
import json
import os
import re
import subprocess
import time

import pytest

from harness import proxy
from harness.proxy import Statweir, TOP, until

CLIENTS, RULES, SAMPLES, INTERVAL = 500, 500, 3, 10


@pytest.fixture
def ordinary_build(monkeypatch):
    if os.path.exists(os.path.join(TOP, "build/dev/statweir")):
        monkeypatch.setenv("STATWEIR_BIN", "build/dev/statweir")


def tool(name):
    return os.path.join(os.path.dirname(proxy.binary()), name)


def figure(text, what):
    m = re.search(r"^ *%s +(\d+)$" % re.escape(what), text, re.M)
    assert m, "%s is not in: %s" % (what, text)
    return int(m.group(1))


def run_storm(p, folder):
    argv = [tool("storm"), "--target", "127.0.0.1:%d" % p.port, "--clients", str(CLIENTS),
            "--rules", str(RULES), "--quiet", "--duplicate", "1", "--journal", folder + "/journal",
            "--report", folder + "/report"]
    assert subprocess.run(argv, timeout=600, check=False).returncode == 0
    with open(folder + "/report") as f:
        return json.load(f)


def test_storm_500_clients_500_rules(tmp_path, ordinary_build):
    folder = str(tmp_path)
    os.mkdir(folder + "/box")
    mp = subprocess.Popen([tool("sample_mp"), "--listen", "127.0.0.1:0", "--box", folder + "/box",
                           "--dispatch", "--log", folder + "/mp.log"], stdout=subprocess.PIPE,
                          text=True)
    p = None
    try:
        mp_port = int(mp.stdout.readline().strip().rsplit(":", 1)[1])
        start = time.monotonic()
        p = Statweir(mp_port, {"rollup.interval": "%ds" % INTERVAL}).start().ready()
        report = run_storm(p, folder)
        until("every message is settled", lambda: p.ledger() and
              p.metric("statweir_ledger_pending_messages") == 0, 120)
        intervals = (time.monotonic() - start) // INTERVAL + 1
        p.check_books()
        templates = p.metric("statweir_acknowledgement_templates")
        checks = p.metric("statweir_acknowledgement_samples_total") - SAMPLES * templates
    finally:
        if p:
            p.close()
        mp.terminate()
        mp.wait()
    out = subprocess.run(["/usr/bin/python3", os.path.join(TOP, "tests/tools/judge.py"), "--log",
                          folder + "/mp.log", "--journal", folder + "/journal"],
                         capture_output=True, text=True, check=False)
    text = out.stdout + out.stderr
    # Nothing lost, nothing doubled, nothing changed on its way.
    assert out.returncode == 0 and "the books balance" in text, text
    acknowledged = figure(text, "10907 messages acknowledged to clients")
    passed = figure(text, "received by the management point itself")
    assert acknowledged == CLIENTS * RULES and report["acknowledged_rule"] == acknowledged
    assert acknowledged == passed + figure(text, "counted in summaries")
    assert figure(text, "received, bytes equal") == figure(text, "other messages acknowledged") > 0
    assert figure(text, "changed on their way") == 0
    # The trickle: samples for each kind of acknowledgement, checks of them, and summaries.
    assert 1 <= templates <= 4 and checks >= 0
    assert passed <= SAMPLES * templates + checks
    assert figure(text, "clients that have summaries") == CLIENTS
    assert figure(text, "summary messages") <= CLIENTS * intervals, (text, intervals)
