"""Results as text, JSON, Markdown and a plot."""
import json
import os
import platform
import re
import statistics
import subprocess

import contenders as C
from load import COLUMNS

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
COLOURS = {"statweir": "#1b6ca8", "haproxy": "#9a9a9a", "nginx": "#5aa469", "nginx-lua": "#d17a22"}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summarise(rows):
    """{contender: [figures of each round]} -> medians, and ratios within each round."""
    out = {}
    for name, rounds in rows.items():
        out[name] = {c: spread([r[c] for r in rounds]) for c in COLUMNS}
        out[name]["requests"] = sum(r["requests"] for r in rounds)
    for name, rounds in rows.items():
        if name == "statweir" or "statweir" not in rows:
            continue
        out[name]["statweir by this"] = {
            c: spread([a[c] / b[c] for a, b in zip(rows["statweir"], rounds) if b[c] > 0] or [0])
            for c in ("cpu us", "p99 ms", "requests/s")}
    return out


def first_line(argv):
    try:
        p = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return "?"
    return (p.stdout + p.stderr).strip().split("\n")[0]


def cpu_model():
    with open("/proc/cpuinfo") as f:
        found = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
    return found.group(1) if found else platform.machine()


def environment(args):
    return {"cpu": cpu_model(), "cores": os.cpu_count(), "kernel": ".".join(platform.release().split(".")[:2]),
            "commit": first_line(["git", "-C", C.TOP, "describe", "--always", "--dirty"]),
            "haproxy": first_line(["haproxy", "-v"]), "nginx": first_line(["nginx", "-v"]),
            "redis": first_line(["redis-cli", "--version"]), "wrk": "Debian's",
            "load before": os.getloadavg()[0], "rounds": args.rounds, "seconds": args.seconds}


SPREAD = ("requests/s", "cpu us", "store us")  # the others are shown without minimum and maximum


def text_cell(name, v):
    digits = 0 if v["max"] >= 1000 else 1 if name.endswith("us") else 2
    cell_text = "%.*f" % (digits, v["median"])
    if name in SPREAD and v["max"] > 0:
        cell_text += " [%.*f %.*f]" % (digits, v["min"], digits, v["max"])
    return cell_text.rjust(22 if name in SPREAD else 8)


def text(title, result):
    heads = " ".join(c.rjust(22 if c in SPREAD else 8) for c in COLUMNS)
    lines = ["", title, "  %-26s %s" % ("", heads)]
    for name, m in result.items():
        lines.append("  %-26s %s" % (name, " ".join(text_cell(c, m[c]) for c in COLUMNS)))
    for name, m in result.items():
        if "statweir by this" in m:
            lines.append("  statweir / %-26s %s" % (name, "   ".join(
                "%s %.2f [%.2f %.2f]" % (c, v["median"], v["min"], v["max"])
                for c, v in m["statweir by this"].items())))
    return "\n".join(lines)


def idle_text(idle, n):
    return "\n".join(["", "RSS of %d idle connections, bytes each" % n] + [
        "  %-26s %s" % (name, "   ".join("%s %.0f" % kv for kv in m.items()))
        for name, m in idle.items()])


def write_json(path, doc):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        json.dump(doc, f, indent=1)
        f.write("\n")


def cell(v, digits):
    return "%.*f (%.*f–%.*f)" % (digits, v["median"], digits, v["min"], digits, v["max"])


def markdown(doc):
    env = doc["environment"]
    out = ["%s, %s cores, Linux %s; %s; %s; Redis %s. Commit %s, %d rounds of %d s; load before the"
           " run %.2f. Medians (minimum–maximum)." % (
               env["cpu"], env["cores"], env["kernel"],
               " ".join(env["haproxy"].split()[:3]), env["nginx"].replace("nginx version: ", ""),
               env["redis"].replace("redis-cli ", ""), env["commit"], env["rounds"],
               env["seconds"], env["load before"]), ""]
    for s in doc["scenarios"]:
        out += ["**%s%s**" % (s["title"][0].upper(), s["title"][1:]), "",
                "| | requests/s | CPU µs | of it user | Redis µs | p50 ms | p99 ms | p99.9 ms "
                "| peak RSS MiB | statweir's CPU by this |",
                "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
        for name, m in s["result"].items():
            by = m.get("statweir by this")
            digits = 0 if m["cpu us"]["median"] >= 1000 else 1
            out.append("| %s | %s | %s | %.*f | %s | %.2f | %.2f | %.2f | %.1f | %s |" % (
                name, cell(m["requests/s"], 0), cell(m["cpu us"], digits), digits,
                m["user us"]["median"],
                "%.1f" % m["store us"]["median"] if m["store us"]["median"] > 0 else "",
                m["p50 ms"]["median"], m["p99 ms"]["median"], m["p99.9 ms"]["median"],
                m["rss MiB"]["median"], cell(by["cpu us"], 2) if by else ""))
        out.append("")
    if doc.get("idle"):
        out += ["**RSS of %d idle connections, bytes each**" % doc["idle connections"], "",
                "| | never used | kept alive after a request |", "| --- | ---: | ---: |"]
        out += ["| %s | %.0f | %.0f |" % (n, m["never used"], m["kept alive"])
                for n, m in doc["idle"].items()]
        out.append("")
    return "\n".join(out)


def put_into(path, block):
    with open(path) as f:
        before, rest = f.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w") as f:
        f.write("%s%s\n\n%s\n%s%s" % (before, BEGIN, block, END, after))


def bars(ax, scenarios, names, title):
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        for k, s in enumerate(scenarios):
            m = s["result"].get(name)
            if m is None:
                continue
            x, v = k + (i - (len(names) - 1) / 2) * width, m["cpu us"]
            scale = 1000.0 if m["cpu us"]["median"] > 1000 else 1.0
            err = [[(v["median"] - v["min"]) / scale], [(v["max"] - v["median"]) / scale]]
            ax.bar(x, v["median"] / scale, width * 0.9, color=COLOURS[name], yerr=err, capsize=2,
                   label=name if k == 0 else None)
            if m["store us"]["median"] > 0:
                ax.bar(x, m["store us"]["median"] / scale, width * 0.9, bottom=v["median"] / scale,
                       color=COLOURS[name], alpha=0.4, hatch="//",
                       label=name + ": its Redis" if k == 0 else None)
    ax.set_xticks(range(len(scenarios)))
    ax.set_xticklabels([s["key"].split("-", 1)[1].replace("post-", "POST, ") for s in scenarios],
                       rotation=20)
    ax.set_ylabel("CPU per request, µs (large bodies: ms)")
    ax.set_title(title)
    ax.legend(fontsize=8)


def plot(doc, path):
    """False without matplotlib, or with nothing to draw."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot
    passing = [s for s in doc["scenarios"] if s["key"].startswith("pass")]
    absorbing = [s for s in doc["scenarios"] if s["key"].startswith("absorb")]
    if not passing or not absorbing:
        return False
    fig, (left, right) = pyplot.subplots(1, 2, figsize=(13, 4.5), width_ratios=(5, 3))
    bars(left, passing, ("statweir", "haproxy", "nginx"), "Passing on (connections)")
    bars(right, absorbing, ("statweir", "nginx-lua"), "Absorbing a 10907 (connections)")
    fig.tight_layout()
    fig.savefig(path, dpi=110, metadata={"Software": None})
    return True
