"""make bench: statweir beside HAProxy and nginx, all in one interleaved run.

One core for the proxy under test, the other for load and backend. Every round runs
all contenders one after the other; figures are medians over the rounds with minimum
and maximum. Only ratios from one run mean anything: the machine is shared.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import contenders as C
import messages as M

COLUMNS = ("requests/s", "cpu us", "store us", "p50 ms", "p99 ms", "p99.9 ms", "MiB/s", "rss MiB")


def run_wrk(script, port, conns, seconds):
    """One burst of load: the figures that wrk saw."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua", dir="/tmp") as f:
        f.write(script)
        f.flush()
        out = subprocess.run(
            ["taskset", "-c", str(C.LOAD_CORE), "wrk", "-t1", "-c%d" % conns, "-d%ds" % seconds,
             "--timeout", "10s", "-s", f.name, "http://127.0.0.1:%d/" % port],
            capture_output=True, text=True, timeout=seconds + 60)
    for line in out.stdout.splitlines():
        if line.startswith("RESULT "):
            v = [int(x) for x in line.split()[1:]]
            return {"requests": v[0], "us": v[1], "p50": v[2], "p99": v[3], "p999": v[4],
                    "errors": v[5], "status": v[6], "bytes": v[7]}
    raise RuntimeError("wrk said nothing: %s %s" % (out.stdout, out.stderr))


def measure(proxy, script, conns, seconds):
    own0, store0 = proxy.cpu()
    r = run_wrk(script, proxy.port, conns, seconds)
    own1, store1 = proxy.cpu()
    n = max(1, r["requests"])
    if r["errors"] or r["status"]:
        raise RuntimeError("%s: %d socket errors, %d error answers" %
                           (proxy.name, r["errors"], r["status"]))
    return {"requests/s": n * 1e6 / r["us"], "cpu us": (own1 - own0) / 1e3 / n,
            "store us": (store1 - store0) / 1e3 / n, "p50 ms": r["p50"] / 1e3,
            "p99 ms": r["p99"] / 1e3, "p99.9 ms": r["p999"] / 1e3,
            "MiB/s": r["bytes"] * 1e6 / r["us"] / 2**20,
            "rss MiB": proxy.rss_kib("VmHWM") / 1024.0}


def scenarios(conns):
    flood = lambda seed: M.flood_script().replace("SEED_BASE", str(seed))
    other = lambda seed: M.flood_script(b"/ccm_other/request").replace("SEED_BASE", str(seed))
    inspected = lambda seed: M.flood_script(kind="Other_Status", number=1073751824).replace(
        "SEED_BASE", str(seed))
    return [
        ("pass: 2 KB CCM_POST, not inspected", other, ("statweir", "haproxy", "nginx"), conns),
        ("pass: 2 KB CCM_POST, inspected", inspected, ("statweir", "haproxy", "nginx"), conns),
        ("pass: GET, 8 KB reply", lambda s: M.get_script("/8k"), ("statweir", "haproxy", "nginx"),
         conns),
        ("pass: 10 MB download", lambda s: M.get_script("/10m"), ("statweir", "haproxy", "nginx"),
         4),
        ("pass: 10 MB upload", lambda s: M.upload_script("/up", 10 << 20),
         ("statweir", "haproxy", "nginx"), 4),
        ("absorb: 10907 flood (others forward it)", flood, ("statweir", "haproxy", "nginx"), conns),
    ]


def medians(rows):
    out = {}
    for c in COLUMNS:
        v = [r[c] for r in rows]
        out[c] = (statistics.median(v), min(v), max(v))
    return out


def show(title, results):
    print("\n%s" % title)
    print("  %-10s %s" % ("", " ".join("%22s" % c for c in COLUMNS)))
    for name, m in results.items():
        print("  %-10s %s" % (name, " ".join("%8.1f [%5.1f %6.1f]" % m[c] for c in COLUMNS)))
    base = results.get("statweir")
    for name, m in results.items():
        if name != "statweir" and base:
            print("  statweir / %-8s cpu %.2f   p99 %.2f   MiB/s %.2f" % (
                name, base["cpu us"][0] / m["cpu us"][0], base["p99 ms"][0] / m["p99 ms"][0],
                base["MiB/s"][0] / m["MiB/s"][0]))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=4, help="of load for each contender and round")
    p.add_argument("--connections", type=int, default=64)
    p.add_argument("--only", default="", help="scenarios whose name contains this")
    p.add_argument("--json", help="write all figures there")
    a = p.parse_args()
    todo = [s for s in scenarios(a.connections) if a.only in s[0]]
    backend = C.Backend()
    running = {}
    rows = {s[0]: {n: [] for n in s[2]} for s in todo}
    try:
        backend.start(0, C.LOAD_CORE)
        for kind in (C.Statweir, C.Haproxy, C.Nginx):
            running[kind.name] = kind().start(backend.port)
        total = a.rounds * sum(len(s[2]) for s in todo)
        done = 0
        for rnd in range(a.rounds):
            for title, script, names, conns in todo:
                for name in names:
                    done += 1
                    sys.stderr.write("\r[%d/%d] round %d: %s: %s          " %
                                     (done, total, rnd + 1, title, name))
                    sys.stderr.flush()
                    seed = (rnd * 64 + 1) * 3000000 % (1 << 31)
                    rows[title][name].append(
                        measure(running[name], script(seed), conns, a.seconds))
        sys.stderr.write("\n")
    finally:
        for c in list(running.values()) + [backend]:
            c.stop()
    out = {}
    for title, _, names, _ in todo:
        out[title] = {n: medians(rows[title][n]) for n in names}
        show(title, out[title])
    if a.json:
        with open(a.json, "w") as f:
            json.dump(out, f, indent=1)
    return 0


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.exit(main())
