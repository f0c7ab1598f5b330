"""SIGKILL in mid-storm: what clients hold acknowledgements for is counted exactly once."""
import os
import subprocess

from harness.proxy import Statweir, TOP, binary, until


def tool(name):
    return os.path.join(os.path.dirname(binary()), name)


def start_mp(folder):
    os.makedirs(os.path.join(folder, "box"))
    p = subprocess.Popen([tool("sample_mp"), "--listen", "127.0.0.1:0", "--box",
                          os.path.join(folder, "box"), "--log", os.path.join(folder, "mp.log")],
                         stdout=subprocess.PIPE, text=True)
    line = p.stdout.readline()
    assert line.startswith("listening"), line
    return p, int(line.strip().rsplit(":", 1)[1])


def storm(target, folder, *args):
    argv = [tool("storm"), "--target", "127.0.0.1:%d" % target, "--clients", "40", "--rules", "60",
            "--connections", "16", "--retry-scale", "40", "--quiet", "--journal",
            os.path.join(folder, "storm.journal")] + list(args)
    return subprocess.Popen(argv)


def judge(folder):
    out = subprocess.run(["/usr/bin/python3", os.path.join(TOP, "tests/tools/judge.py"), "--log",
                          os.path.join(folder, "mp.log"), "--journal",
                          os.path.join(folder, "storm.journal")], capture_output=True, text=True)
    return out.returncode, out.stdout + out.stderr


def run_storm(tmp_path, kills):
    folder = str(tmp_path)
    mp, mp_port = start_mp(folder)
    settings = {"rollup.interval": "2s"}
    p = Statweir(mp_port, settings).start()
    load = None
    try:
        p.ready()
        port = p.port
        load = storm(port, folder)
        for i in range(kills):
            done = p.metric("statweir_messages_received_total")
            until("some progress", lambda: load.poll() is not None or
                  p.metric("statweir_messages_received_total") > done + 200)
            p.kill()
            p.settings["global.listen"] = "127.0.0.1:%d" % port
            p.start()
        assert load.wait(240) == 0
        until("every message is settled", lambda: p.ledger() and
              p.metric("statweir_ledger_pending_messages") == 0, 60)
        p.check_books()
    finally:
        if load and load.poll() is None:
            load.kill()
            load.wait()
        p.close()
        mp.terminate()
        mp.wait()
    code, text = judge(folder)
    assert code == 0, text
    return text


def test_storm_books_balance(tmp_path):
    assert "the books balance" in run_storm(tmp_path, 0)


def test_sigkill_in_mid_storm_ledger_exact(tmp_path):
    assert "the books balance" in run_storm(tmp_path, 3)
