"""What the runs of pace.py are made of: a management point, statweir, clients, figures."""
import asyncio
import json
import os
import random
import re
import socket
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/func"))
from harness import ccm  # noqa: E402

RATE = 300  # requests a second that the management point can serve
SERVERS = 9  # so many at once, each in 30 ms


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
             "127.0.0.1:0", "--box", os.path.join(folder, "box"), "--max-rate", str(rate),
             "--servers", str(SERVERS)],
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
        self.late = []
        self.answers, self.refusals, self.arrivals, self.policy, self.limits = [], [], [], [], []

    def now(self):
        return time.monotonic() - self.start


async def probe(rec, port, stop, every=0.1):
    proc = await asyncio.create_subprocess_exec(
        sys.executable, os.path.join(TOP, "tests/bench/pace_probe.py"), str(port), str(every),
        stdout=asyncio.subprocess.PIPE)
    over = asyncio.create_task(stop.wait())
    while not stop.is_set():
        line = asyncio.create_task(proc.stdout.readline())
        await asyncio.wait({line, over}, return_when=asyncio.FIRST_COMPLETED)
        if not line.done() or not line.result():
            line.cancel()
            break
        at, took = map(float, line.result().split())
        rec.policy.append((at - rec.start, took))
    over.cancel()
    proc.kill()
    await proc.wait()


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
    rec.late.append(rec.now() - at)
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
    """One line for each thing that must hold: the figure, its bound, PASS or FAIL."""

    def __init__(self):
        self.n, self.failed = 0, 0

    def _say(self, what, value, unit, word, bound, good):
        self.n += 1
        self.failed += not good
        print("  %s  %-62s %9.2f %-2s (%s %.2f)" % ("PASS" if good else "FAIL", what, value, unit,
                                                    word, bound), flush=True)

    def must(self, what, value, bound, unit=""):
        self._say(what, value, unit, "at most", bound, value <= bound)

    def at_least(self, what, value, bound, unit=""):
        self._say(what, value, unit, "at least", bound, value >= bound)

    def note(self, what, value, unit=""):
        print("        %-62s %9.2f %s" % (what, value, unit), flush=True)


BAR = 40


async def follow(tasks, rec, seconds, what):
    """Until all have ended or time is over, with a bar where somebody looks on."""
    end = rec.start + seconds
    waiting = set(tasks)
    while waiting and time.monotonic() < end:
        _, waiting = await asyncio.wait(waiting, timeout=min(0.5, end - time.monotonic()))
        if not sys.stderr.isatty():
            continue
        share = min(1.0, max(rec.now() / seconds, 1 - len(waiting) / len(tasks)))
        sys.stderr.write("\r%-9s [%-*s] %5.0f s  %d of %d acknowledged, %d refused  " % (
            what, BAR, "#" * int(share * BAR), rec.now(), len(rec.answers), len(tasks),
            len(rec.refusals)))
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")


async def finish(rec, stop, tasks, side):
    for t in tasks:
        t.cancel()
    stop.set()
    await asyncio.gather(*tasks, *side, return_exceptions=True)


def busiest(times, width=2.0):
    """Most in any span of so many seconds, a second."""
    times, most, first = sorted(times), 0, 0
    for i, t in enumerate(times):
        while times[first] < t - width:
            first += 1
        most = max(most, i - first + 1)
    return most / width


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
            at = [t for t, _, _, _ in rec.limits]
            ax.plot(at, [h for _, _, _, h in rec.limits], ":", color="tab:blue", label="held now")
            ax.step(at, [c for _, c, _, _ in rec.limits], where="post", color="tab:purple",
                    linewidth=1, label="limit, under way")
            # None is a rate beyond what anyone asks for.
            ax.step(at, [r if 0 < r < 1000 else float("nan") for _, _, r, _ in rec.limits],
                    where="post", color="tab:brown", linewidth=1, label="limit, messages/s")
        ax.set_yscale("symlog", linthresh=10)
        ax.set_ylabel("messages/s")
        ax.set_xlabel("seconds")
        ax.set_title("%s: %s" % (name, title), pad=24)
        if rec.policy:
            right = ax.twinx()
            right.plot([t for t, _ in rec.policy], [x * 1e3 for _, x in rec.policy], ".",
                       color="tab:orange", markersize=3)
            right.set_yscale("log")
            right.set_ylim(10, 60000)  # up to where one is given up: runs compare at a glance
            right.set_ylabel("policy GET, ms (dots)", color="tab:orange")
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncol=7, fontsize=7, frameon=False,
                  columnspacing=1.0, borderaxespad=0.3)
    fig.tight_layout()
    fig.savefig(path, dpi=90)
