"""make bench-throttle: what the throttle does for a management point that is overrun.

A sample management point serves so many requests a second and fewer when pushed
further. Four runs: a wave, a slow-down, the return after an outage, and one client that
sends as much as all others. Each prints what it asserts and exits 1 if it doesn't hold;
--write puts the plots into docs/.
"""
import argparse
import asyncio
import json
import os
import random
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/func"))
from harness import ccm  # noqa: E402

RATE = 300  # requests a second that the management point can serve
POLICY = b"GET /SMS_MP/.sms_pol?ABC00001 HTTP/1.1\r\nHost: mp\r\n\r\n"


def status_message(client):
    return ccm.Message(client=client, xml=ccm.status(kind="SMS_Other_Status",
                                                     number=1073741900)).raw


class Point:
    """A sample management point of its own process."""

    def __init__(self, folder, rate):
        # A port that stays the same when the point vanishes and comes back.
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % s.getsockname()[1]
        self.proc = subprocess.Popen(
            [os.path.join(TOP, "build/dev/sample_mp"), "--listen", address, "--control",
             "127.0.0.1:0", "--box", os.path.join(folder, "box"), "--max-rate", str(rate)],
            stdout=subprocess.PIPE, text=True)
        said = dict(self.proc.stdout.readline().split() for _ in range(2))
        self.port = int(said["listening"].rsplit(":", 1)[1])
        self.control_port = int(said["control"].rsplit(":", 1)[1])

    def control(self, words):
        with socket.create_connection(("127.0.0.1", self.control_port)) as s:
            s.sendall(words.encode() + b"\n")
            return s.makefile().readline()

    def taken(self):
        return json.loads(self.control("stats"))["taken"]["status"]

    def stop(self):
        self.proc.terminate()
        self.proc.wait()


class Weir:
    def __init__(self, folder, upstream, settings=()):
        argv = [os.path.join(TOP, "build/dev/statweir"), "--listen", "127.0.0.1:0", "--upstream",
                "127.0.0.1:%d" % upstream, "--admin", "127.0.0.1:0", "--state",
                os.path.join(folder, "state"), "--set", "listen.trusted=127.0.0.1"]
        for s in settings:
            argv += ["--set", s]
        self.log_path = os.path.join(folder, "log")
        self.log = open(self.log_path, "wb")
        self.proc = subprocess.Popen(argv, stderr=self.log)
        end = time.monotonic() + 15
        while True:
            text = open(self.log_path).read()
            m = re.search(r"listening .*listen=\S+:(\d+) .*admin=\S+:(\d+)", text)
            if m:
                break
            if time.monotonic() > end or self.proc.poll() is not None:
                raise RuntimeError("statweir did not start: %s" % text)
            time.sleep(0.05)
        self.port, self.admin = int(m.group(1)), int(m.group(2))

    async def metrics(self):
        r, w = await asyncio.open_connection("127.0.0.1", self.admin)
        w.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = (await r.read()).decode()
        w.close()
        return {k: float(v) for k, v in re.findall(r"(?m)^(statweir\S+) (\S+)$", text)}

    def changes(self):
        return [line for line in open(self.log_path) if "throttle" in line and "change=" in line]

    def stop(self):
        self.proc.terminate()
        self.proc.wait()


class Asker(asyncio.Protocol):
    """One request on one connection; result is (status, Retry-After) or None when cut."""

    def __init__(self, request, done):
        self.request, self.done, self.buf = request, done, b""

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data):
        self.buf += data
        head, sep, rest = self.buf.partition(b"\r\n\r\n")
        if not sep:
            return
        m = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if len(rest) < int(m.group(1) if m else 0):
            return
        after = re.search(rb"(?i)\r\nretry-after: (\d+)", head)
        self.finish((int(head[9:12]), int(after.group(1)) if after else 0))
        self.transport.close()

    def connection_lost(self, exc):
        self.finish(None)

    def finish(self, result):
        if not self.done.done():
            self.done.set_result(result)


async def ask(port, request, timeout=60):
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    start = time.monotonic()
    try:
        transport, _ = await loop.create_connection(lambda: Asker(request, done), "127.0.0.1", port)
    except OSError:
        return None, time.monotonic() - start
    try:
        result = await asyncio.wait_for(done, timeout)
    except asyncio.TimeoutError:
        result = None
    transport.abort() if result is None else transport.close()
    return result, time.monotonic() - start


class Record:
    """What happened when, in seconds since the start of the run."""

    def __init__(self):
        self.start = time.monotonic()
        self.answers, self.refusals, self.arrivals, self.policy, self.limits = [], [], [], [], []

    def now(self):
        return time.monotonic() - self.start


async def probe(rec, port, stop, every=0.1):
    while not stop.is_set():
        at = rec.now()
        result, took = await ask(port, POLICY, 30)
        rec.policy.append((at, took if result and result[0] == 200 else 30.0))
        await asyncio.sleep(max(0.0, every - took))


async def watch(rec, weir, stop):
    while not stop.is_set():
        m = await weir.metrics()
        rec.limits.append((rec.now(), m["statweir_throttle_shared_concurrency_limit"],
                           m["statweir_throttle_shared_rate_limit"],
                           m["statweir_hold_queue_messages"]))
        await asyncio.sleep(0.25)


async def deliver(rec, port, client, at, ladder=(1, 2, 4, 8), timeout=60):
    """One message until it is acknowledged: 503 waits as told, trouble climbs the ladder."""
    await asyncio.sleep(max(0.0, at - rec.now()))
    request = status_message(client)
    tries = 0
    while True:
        rec.arrivals.append(rec.now())
        result, took = await ask(port, request, timeout)
        if result and result[0] == 200:
            rec.answers.append((rec.now(), took, client))
            return
        rec.refusals.append(rec.now())
        wait = result[1] if result and result[1] else ladder[min(tries, len(ladder) - 1)]
        tries += 1
        await asyncio.sleep(wait * random.uniform(1.0, 1.05))


def percentile(values, p):
    v = sorted(values)
    return v[min(len(v) - 1, int(len(v) * p / 100.0))] if v else 0.0


def per_second(times, width=1.0):
    out = {}
    for t in times:
        out[int(t / width)] = out.get(int(t / width), 0) + 1
    return out


class Verdicts:
    def __init__(self):
        self.failed = 0

    def must(self, what, value, bound, unit=""):
        good = value <= bound
        self.failed += not good
        print("  %-62s %10.2f %s (at most %.2f) %s" % (what, value, unit, bound,
                                                      "ok" if good else "NOT MET"))

    def at_least(self, what, value, bound, unit=""):
        good = value >= bound
        self.failed += not good
        print("  %-62s %10.2f %s (at least %.2f) %s" % (what, value, unit, bound,
                                                       "ok" if good else "NOT MET"))


async def idle_latency(port, seconds=5):
    rec, stop = Record(), asyncio.Event()
    task = asyncio.create_task(probe(rec, port, stop, 0.05))
    await asyncio.sleep(seconds)
    stop.set()
    await task
    return percentile([t for _, t in rec.policy], 99)


async def wave_run(port, weir, n, limit_s):
    rec, stop = Record(), asyncio.Event()
    side = [asyncio.create_task(probe(rec, port, stop))]
    if weir:
        side.append(asyncio.create_task(watch(rec, weir, stop)))
    rng = random.Random(1)
    tasks = [asyncio.create_task(deliver(rec, port, i, 2 + rng.uniform(0, 10))) for i in range(n)]
    end = time.monotonic() + limit_s
    while time.monotonic() < end and not all(t.done() for t in tasks):
        await asyncio.sleep(0.5)
        sys.stderr.write("\r%6.1f s  %d of %d acknowledged, %d refused   " %
                         (rec.now(), len(rec.answers), n, len(rec.refusals)))
    sys.stderr.write("\n")
    for t in tasks:
        t.cancel()
    stop.set()
    await asyncio.gather(*tasks, *side, return_exceptions=True)
    return rec


async def wave(v, n):
    print("wave: %d status messages in 10 s, a point that serves %d/s and less beyond" % (n, RATE))
    out = {}
    for name in ("straight", "statweir"):
        with tempfile.TemporaryDirectory(prefix="sw-pace-") as folder:
            point = Point(folder, RATE)
            weir = Weir(folder, point.port) if name == "statweir" else None
            port = weir.port if weir else point.port
            try:
                idle = await idle_latency(port)
                # Straight it never ends: half a minute shows it.
                rec = await wave_run(port, weir, n, 40 if weir is None else 60 + n / RATE * 2)
                taken = point.taken()
            finally:
                if weir:
                    weir.stop()
                point.stop()
            out[name] = rec
            busy = [t for at, t in rec.policy if at >= 2]
            print("  %s: policy GET p99 idle %.1f ms, in the wave %.1f ms; %d of %d acknowledged, "
                  "%d taken" % (name, idle * 1e3, percentile(busy, 99) * 1e3, len(rec.answers), n,
                                taken))
            if name == "straight":
                v.at_least("straight: policy GET p99", percentile(busy, 99), 5, "s")
                continue
            last = max(t for t, _, _ in rec.answers)
            v.must("policy GET p99 against idle", percentile(busy, 99) / idle, 2)
            v.must("messages without an acknowledgement", n - len(rec.answers), 0)
            v.at_least("throughput against what the point can serve",
                       n / (last - 2) / RATE, 0.9)
    return out


async def slowdown(v, _n):
    print("slow-down: the point serves %d/s, a tenth of it from second 20 to 50" % RATE)
    with tempfile.TemporaryDirectory(prefix="sw-pace-") as folder:
        point = Point(folder, RATE)
        weir = Weir(folder, point.port)
        rec, stop = Record(), asyncio.Event()
        side = [asyncio.create_task(watch(rec, weir, stop)),
                asyncio.create_task(probe(rec, weir.port, stop))]
        try:
            # A little more than it can serve, all the time.
            rng = random.Random(2)
            tasks = [asyncio.create_task(deliver(rec, weir.port, i, rng.uniform(0, 80)))
                     for i in range(RATE * 80 * 11 // 10)]
            await asyncio.sleep(20)
            point.control("rate %d" % (RATE // 10))
            await asyncio.sleep(30)
            point.control("rate %d" % RATE)
            await asyncio.sleep(30)
            for t in tasks:
                t.cancel()
            stop.set()
            await asyncio.gather(*tasks, *side, return_exceptions=True)
        finally:
            weir.stop()
            point.stop()
    # The policy requests that look on are served as well.
    rates = per_second([t for t, _, _ in rec.answers] + [t + took for t, took in rec.policy])
    for name, first, last, want in (("before", 10, 20, RATE), ("slow", 25, 50, RATE / 10),
                                    ("after", 55, 79, RATE)):
        seen = [rates.get(s, 0) for s in range(first, last)]
        mean = statistics.mean(seen)
        # Three seconds together: a tenth of the rate is a handful of messages a second.
        smooth = [statistics.mean(seen[i:i + 3]) for i in range(len(seen) - 2)]
        v.at_least("%s: served a second against what it can" % name, mean / want, 0.9)
        v.must("%s: largest distance from the mean" % name,
               max(abs(s / mean - 1) for s in smooth) * 100, 20, "%")
    return {"statweir": rec}


async def outage(v, _n):
    clients, down, scale = 2000, 60, 1.0
    print("outage: %d s, %d clients on a ladder of 5, 10, 20, 40 s" % (down, clients))
    with tempfile.TemporaryDirectory(prefix="sw-pace-") as folder:
        point = Point(folder, RATE)
        weir = Weir(folder, point.port)
        rec, stop = Record(), asyncio.Event()
        side = [asyncio.create_task(watch(rec, weir, stop))]
        try:
            point.control("mode vanish")
            rng = random.Random(3)
            tasks = [asyncio.create_task(deliver(rec, weir.port, i, rng.uniform(0, 10),
                                                 ladder=(5, 10, 20, 40))) for i in range(clients)]
            await asyncio.sleep(down * scale)
            point.control("mode ok")
            back = rec.now()
            await asyncio.wait(tasks, timeout=90)
            for t in tasks:
                t.cancel()
            stop.set()
            await asyncio.gather(*tasks, *side, return_exceptions=True)
        finally:
            weir.stop()
            point.stop()
    answered = [t for t, _, _ in rec.answers if t > back]
    v.must("messages without an acknowledgement", clients - len(rec.answers), 0)
    if answered:
        seconds = per_second([t - back for t in answered], 2.0)
        busy = [n for s, n in sorted(seconds.items())]
        mean = len(answered) / ((max(answered) - back) / 2.0)
        v.must("peak of requests that reach the point against their mean", max(busy) / mean, 1.5)
    return {"statweir": rec}


async def greedy(v, _n):
    print("greedy: 18 clients at 5/s each; then one more that sends as much as all of them")
    medians = {}
    recs = {}
    for name in ("alone", "greedy"):
        with tempfile.TemporaryDirectory(prefix="sw-pace-") as folder:
            point = Point(folder, RATE)
            weir = Weir(folder, point.port)
            rec, stop = Record(), asyncio.Event()
            side = [asyncio.create_task(watch(rec, weir, stop))]
            try:
                rng = random.Random(4)
                tasks = [asyncio.create_task(deliver(rec, weir.port, c, rng.uniform(0, 30)))
                         for c in range(18) for _ in range(5 * 30)]
                if name == "greedy":
                    tasks += [asyncio.create_task(deliver(rec, weir.port, 999, rng.uniform(0, 30)))
                              for _ in range(18 * 5 * 30)]
                await asyncio.wait(tasks, timeout=90)
                for t in tasks:
                    t.cancel()
                stop.set()
                await asyncio.gather(*tasks, *side, return_exceptions=True)
            finally:
                weir.stop()
                point.stop()
        medians[name] = statistics.median([t for _, t, c in rec.answers if c != 999])
        recs[name] = rec
        print("  %s: median of the others %.1f ms" % (name, medians[name] * 1e3))
    v.must("median of the others with against without", medians["greedy"] / medians["alone"], 1.2)
    return recs


def plot(name, recs, path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    fig, axes = plt.subplots(len(recs), 1, figsize=(9, 3.6 * len(recs)), squeeze=False)
    for ax, (title, rec) in zip(axes[:, 0], recs.items()):
        for label, times, color in (("sent to statweir or the point", rec.arrivals, "0.75"),
                                    ("acknowledged", [t for t, _, _ in rec.answers], "tab:green"),
                                    ("refused or failed", rec.refusals, "tab:red")):
            s = per_second(times)
            if s:
                xs = range(0, max(s) + 1)
                ax.step(xs, [s.get(x, 0) for x in xs], where="post", label=label, color=color)
        if rec.limits:
            ax.plot([t for t, _, _, _ in rec.limits], [h for _, _, _, h in rec.limits], ":",
                    color="tab:blue", label="held now")
        ax.set_yscale("symlog", linthresh=10)
        ax.set_ylabel("messages/s")
        ax.set_xlabel("seconds")
        ax.set_title("%s: %s" % (name, title))
        if rec.policy:
            right = ax.twinx()
            right.plot([t for t, _ in rec.policy], [x * 1e3 for _, x in rec.policy], ".",
                       color="tab:orange", markersize=3, label="policy GET, ms")
            right.set_yscale("log")
            right.set_ylabel("policy GET, ms")
            right.legend(loc="upper right", fontsize=7)
        ax.legend(loc="upper left", fontsize=7)
    fig.tight_layout()
    fig.savefig(path, dpi=90)


RUNS = {"wave": wave, "slowdown": slowdown, "outage": outage, "greedy": greedy}


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--only", default="", help="comma-separated: %s" % ", ".join(RUNS))
    p.add_argument("--messages", type=int, default=20000, help="of the wave")
    p.add_argument("--write", action="store_true", help="plots into docs/, else build/bench/")
    a = p.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    folder = os.path.join(TOP, "docs" if a.write else "build/bench")
    os.makedirs(folder, exist_ok=True)
    v = Verdicts()
    for name in a.only.split(",") if a.only else RUNS:
        recs = asyncio.run(RUNS[name](v, a.messages))
        plot(name, recs, os.path.join(folder, "throttle-%s.png" % name))
    print("all bounds are met" if v.failed == 0 else "%d bounds are not met" % v.failed)
    return 1 if v.failed else 0


if __name__ == "__main__":
    sys.exit(main())
