"""Where a proxy spends its CPU under load: the hottest functions by perf (package linux-perf).

    /usr/bin/python3 tests/bench/hot.py absorb-64            statweir
    /usr/bin/python3 tests/bench/hot.py pass-post-64 haproxy

Samples of the CPU clock, kernel included; no hardware counters are needed.
"""
import argparse
import os
import re
import subprocess
import sys
import time

import contenders as C
import load
import messages as M
import scenarios as S


def record(proxy, scenario, seeds, seconds, data, at_store):
    own, store = proxy.pids()
    pids = ",".join(str(p) for p in (store if at_store else own))
    perf = subprocess.Popen(
        ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4999", "-p", pids, "-o", data, "--",
         "sleep", str(seconds)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)  # perf has attached; the load lasts a second longer than the samples
    load.judge(proxy.name, load.run_wrk(M.seeded(scenario.script, seeds.take()), proxy.port,
                                        scenario.conns, seconds + 1))
    perf.wait()


def rows(data):
    """[(per cent, object, symbol)], hottest first."""
    out = subprocess.run(
        ["perf", "report", "-i", data, "--no-children", "--stdio", "-g", "none", "--sort",
         "dso,symbol"], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in out.split("\n"):
        m = re.match(r"\s*([\d.]+)%\s+(\S+)\s+\[(.)\] (.*?)(\s+-)*\s*$", line)
        if not m:
            continue
        where = "kernel" if m.group(3) == "k" else os.path.basename(m.group(2))
        # a library without symbols comes as one address for each sample
        what = "(no symbols)" if m.group(4).startswith("0x") else m.group(4)
        found[where, what] = found.get((where, what), 0.0) + float(m.group(1))
    return sorted(((v, k[0], k[1]) for k, v in found.items()), reverse=True)


def show(title, found, n):
    print("\n%s" % title)
    where = {}
    for share, dso, _ in found:
        where[dso] = where.get(dso, 0.0) + share
    print("  " + "   ".join("%s %.1f %%" % (k, v)
                            for k, v in sorted(where.items(), key=lambda kv: -kv[1])[:6]))
    for share, dso, symbol in found[:n]:
        print("  %5.2f %%  %-22s %s" % (share, dso, symbol))
    inside = [f for f in found if f[1] != "kernel"]
    total = sum(f[0] for f in inside) or 1.0
    print("  outside the kernel (%.1f %% of all), as shares of that:" % total)
    for share, dso, symbol in inside[:n]:
        print("  %5.2f %%  %-22s %s" % (100.0 * share / total, dso, symbol))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("scenario", help="a key of bench.py --list")
    p.add_argument("contender", nargs="?", default="statweir")
    p.add_argument("--store", action="store_true", help="its Redis instead")
    p.add_argument("--seconds", type=int, default=5)
    p.add_argument("--top", type=int, default=15)
    a = p.parse_args()
    scenario = next((s for s in S.all_scenarios() if s.key == a.scenario), None)
    if scenario is None or a.contender not in scenario.names:
        p.error("no such scenario, or not one of this contender: see bench.py --list")
    backend, proxy = C.Backend(), S.MAKERS[a.contender]()
    seeds = load.Seeds()
    try:
        backend.start(0, C.LOAD_CORE)
        proxy.start(backend.port)
        load.verify(proxy, scenario.of(a.contender), seeds)
        data = os.path.join(proxy.dir, "perf.data")
        record(proxy, scenario.of(a.contender), seeds, a.seconds, data, a.store)
        show("%s: %s%s" % (scenario.title, a.contender, ", Redis" if a.store else ""), rows(data),
             a.top)
    finally:
        proxy.stop()
        backend.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
