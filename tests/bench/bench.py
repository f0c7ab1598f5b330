"""make bench: statweir beside HAProxy, nginx and nginx with Lua, in one interleaved run.

One core for the proxy under test (and its Redis), the other for load and backend. Every
round runs all contenders of a scenario one after the other; figures are medians over the
rounds with minimum and maximum, ratios are taken within a round. Only ratios from one
run mean anything. A wrong or missing answer ends the run with an error.
"""
import argparse
import os
import resource
import sys
import time

import contenders as C
import idle
import load
import report
import scenarios as S

OUT = os.path.join(C.TOP, "build", "bench")


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=4, help="of load for each contender and round")
    p.add_argument("--quick", action="store_true", help="one round of 1 s: a look in two minutes")
    p.add_argument("--only", default="", help="scenarios whose key or title contains this")
    p.add_argument("--list", action="store_true", help="the scenarios' keys and titles")
    p.add_argument("--idle", type=int, default=5000, help="idle connections, 0: leave it out")
    p.add_argument("--against", metavar="BINARY", help="another build of statweir beside this one")
    p.add_argument("--names", help="contenders, instead of all of a scenario: statweir+haproxy")
    p.add_argument("--json", default=os.path.join(OUT, "results.json"))
    p.add_argument("--write", action="store_true",
                   help="put figures and plot into docs/ (else into build/bench/)")
    a = p.parse_args()
    if a.quick:
        a.rounds, a.seconds = 1, 1
    return a


def say(what):
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + what)
    else:
        sys.stderr.write(what + "\n")
    sys.stderr.flush()


def fill(proxy, scenario, seeds):
    """Let Redis know all clients of this contender's messages before it counts."""
    while proxy.absorbed() < S.MANY_CLIENTS * 1.05:
        load.judge(proxy.name, load.run_wrk(load.M.seeded(scenario.script, seeds.take()),
                                            proxy.port, 64, 5))


class Bench:
    def __init__(self, args):
        self.args = args
        self.backend = C.Backend()
        self.running = {}
        self.seeds = load.Seeds()
        self.todo = S.chosen(args.only, args.names, args.against)
        self.rows = {s.key: {n: [] for n in s.names} for s in self.todo}
        self.bytes_each = {}

    def start(self):
        self.backend.start(0, C.LOAD_CORE)
        for s in self.todo:
            for name in s.names:
                if (name, s.group) not in self.running:
                    proxy = self.running[name, s.group] = S.MAKERS[name]()
                    proxy.start(self.backend.port)

    def stop(self):
        for c in list(self.running.values()) + [self.backend]:
            c.stop()

    def verify(self):
        for s in self.todo:
            for name in s.names:
                proxy = self.running[name, s.group]
                say("check: %s: %s" % (s.title, name))
                self.bytes_each[s.key, name] = load.verify(proxy, s.of(name), self.seeds)
                if name == "statweir, 100,000 clients":
                    fill(proxy, s.of(name), self.seeds)

    def run(self):
        total = self.args.rounds * sum(len(s.names) for s in self.todo)
        done = 0
        for rnd in range(self.args.rounds):
            for s in self.todo:
                for name in s.names:
                    done += 1
                    say("[%d/%d] %s: %s" % (done, total, s.title, name))
                    self.rows[s.key][name].append(load.measure(
                        self.running[name, s.group], s.of(name), self.seeds, self.args.seconds,
                        self.bytes_each[s.key, name]))

    def idle(self):
        out = {}
        if self.args.only not in "idle" or self.args.idle == 0:
            return out
        for make in idle.CONTENDERS:
            say("%d idle connections: %s" % (self.args.idle, make.name))
            out[make.name] = idle.measure(make, self.backend.port, self.args.idle)
        return out


def conclude(doc, args):
    for s in doc["scenarios"]:
        print(report.text(s["title"], s["result"]))
    if doc["idle"]:
        print(report.idle_text(doc["idle"], args.idle))
    report.write_json(args.json, doc)
    print("\nAll figures: %s" % os.path.relpath(args.json))
    docs = os.path.join(C.TOP, "docs")
    with open(os.path.join(OUT, "results.md"), "w") as f:
        f.write(report.markdown(doc))
    if args.write:
        report.put_into(os.path.join(docs, "PERFORMANCE.md"), report.markdown(doc))
    picture = os.path.join(docs if args.write else OUT, "performance.png")
    if report.plot(doc, picture):
        print("Plot: %s" % os.path.relpath(picture))


def main():
    args = arguments()
    if args.list:
        for s in S.all_scenarios():
            print("%-16s %s" % (s.key, s.title))
        return 0
    os.makedirs(OUT, exist_ok=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 65536), hard), hard))
    began = time.monotonic()
    doc = {"environment": report.environment(args)}
    bench = Bench(args)
    try:
        bench.start()
        bench.verify()
        bench.run()
        doc["idle"] = bench.idle()
        doc["idle connections"] = args.idle
    except RuntimeError as e:
        say("")
        print("bench: FAILED: %s" % e, file=sys.stderr)
        return 1
    finally:
        bench.stop()
    say("")
    doc["scenarios"] = [{"key": s.key, "title": s.title, "connections": s.conns,
                         "result": report.summarise(bench.rows[s.key])} for s in bench.todo]
    conclude(doc, args)
    print("%.0f s; load before it %.2f" % (time.monotonic() - began,
                                           doc["environment"]["load before"]))
    return 0


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.exit(main())
