"""One burst of load from wrk against one contender, and what it cost."""
import subprocess
import tempfile

import contenders as C
import messages as M

# requests/s first: the rest is per request, or of the latency
COLUMNS = ("requests/s", "cpu us", "user us", "store us", "p50 ms", "p99 ms", "p99.9 ms", "MiB/s",
           "rss MiB")
LONG_S = 4  # thousands of connections: or else making them is all that is measured
FIELDS = ("requests", "us", "p50", "p99", "p999", "errors", "status", "bytes", "bad")


class Failed(RuntimeError):
    """An answer was wrong or missing: the figures would mean nothing."""


class Seeds:
    """Message IDs are 32 bits wide; each burst gets a stretch of its own."""

    def __init__(self):
        self.next = 0

    def take(self):
        self.next += 1
        if self.next * M.SEEDS_EACH >= 1 << 32:
            raise Failed("no message IDs are left: fewer rounds")
        return self.next * M.SEEDS_EACH


def run_wrk(script, port, conns, seconds):
    with tempfile.NamedTemporaryFile("w", suffix=".lua", dir="/tmp") as f:
        f.write(script)
        f.flush()
        out = subprocess.run(
            ["taskset", "-c", str(C.LOAD_CORE), "wrk", "-t1", "-c%d" % conns, "-d%ds" % seconds,
             "--timeout", "20s", "-s", f.name, "http://127.0.0.1:%d/" % port],
            capture_output=True, text=True, timeout=seconds + 90)
    for line in out.stdout.splitlines():
        if line.startswith("RESULT "):
            words = line.split()[1:]
            r = dict(zip(FIELDS, (int(x) for x in words[:len(FIELDS)])))
            r["worst"] = " ".join(words[len(FIELDS):])
            return r
    raise Failed("wrk said nothing: %s %s" % (out.stdout, out.stderr))


def judge(name, r):
    if r["requests"] == 0:
        raise Failed("%s: no answer at all" % name)
    if r["errors"] or r["status"] or r["bad"]:
        raise Failed("%s: %d socket errors, %d error answers, %d wrong answers (%s)" %
                     (name, r["errors"], r["status"], r["bad"], r["worst"]))


def absorbed_all(proxy, scenario, before, r, conns):
    """Its own books must say what wrk saw; a message per connection may be under way."""
    if before is None or not scenario.is_flood:
        return
    n = proxy.absorbed() - before
    if abs(n - r["requests"]) > 2 * conns + 10:
        raise Failed("%s: %d answers, but %d messages absorbed" % (proxy.name, r["requests"], n))


def cut_off(conns, r):
    """Answers that the end of a burst cuts are in its bytes, but not in its requests."""
    return conns / r["requests"]


def verify(proxy, scenario, seeds):
    """
    Look at every answer of a short burst; it warms the proxy up as well. Bytes an answer, and
    by what share that may be wrong.
    """
    script = M.checked(M.seeded(scenario.script, seeds.take()), scenario.want_bytes)
    conns = min(scenario.conns, 64)
    r = run_wrk(script, proxy.port, conns, 1)
    judge(proxy.name, r)
    return r["bytes"] / r["requests"], cut_off(conns, r)


def measure(proxy, scenario, seeds, seconds, bytes_each):
    script = M.seeded(scenario.script, seeds.take())
    if scenario.conns >= 1000:
        seconds = max(seconds, LONG_S)
    recorded = proxy.absorbed()
    proxy.reset_peak()
    user0, system0 = proxy.user_system()
    own0, store0 = proxy.cpu()
    r = run_wrk(script, proxy.port, scenario.conns, seconds)
    own1, store1 = proxy.cpu()
    user1, system1 = proxy.user_system()
    judge(proxy.name, r)
    absorbed_all(proxy, scenario, recorded, r, scenario.conns)
    n = r["requests"]
    # wrk counts statuses above 399 only: a redirection would show in the size of the answers
    each, slack = bytes_each
    if abs(r["bytes"] / n / each - 1) > 0.02 + slack + cut_off(scenario.conns, r):
        raise Failed("%s: answers of %.0f bytes instead of %.0f" %
                     (proxy.name, r["bytes"] / n, each))
    ticks = max(1, user1 - user0 + system1 - system0)
    cpu_us = (own1 - own0) / 1e3 / n
    return {"requests/s": n * 1e6 / r["us"], "cpu us": cpu_us,
            "user us": cpu_us * (user1 - user0) / ticks,
            "store us": (store1 - store0) / 1e3 / n if scenario.is_flood else 0.0,
            "p50 ms": r["p50"] / 1e3, "p99 ms": r["p99"] / 1e3, "p99.9 ms": r["p999"] / 1e3,
            "MiB/s": r["bytes"] * 1e6 / r["us"] / 2**20,
            "rss MiB": proxy.rss_kib("VmHWM") / 1024.0, "requests": n}
