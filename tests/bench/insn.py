"""make bench-insn: instructions for each step of a message, against the table in the tree.

callgrind counts what the driver (insn_main.c) executes; the counts repeat exactly, so a
change of one per cent is a change of the program. They are judged only where compiler and
libraries are those of the table. A step that became better fails too: the table must
follow (BENCH_ARGS=--update), or the next loss would hide in the gain.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
TABLE = os.path.join(HERE, "insn.json")
OUT = os.path.join(TOP, "build", "bench")
# The C library chooses its string functions by the processor: the same ones everywhere.
PLAIN = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-ERMS,-FSRM,-BMI2,-RTM"


def made_with():
    """What the counts depend on besides our own code."""
    found = {}
    gcc = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=False)
    found["gcc"] = gcc.stdout.split("\n")[0]
    for package in ("libc6", "libdeflate0", "node-llhttp"):
        v = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True,
                           text=True, check=False).stdout
        # Security updates of Debian do not move the counts by a per cent.
        found[package] = re.split(r"[-+]", v)[0]
    return found


def count(binary, rounds):
    os.makedirs(OUT, exist_ok=True)
    trace = os.path.join(OUT, "callgrind.insn")
    env = dict(os.environ, GLIBC_TUNABLES=PLAIN)
    with tempfile.TemporaryDirectory(prefix="sw-insn-", dir="/tmp") as scratch:
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + trace, binary, scratch,
             str(rounds)], env=env, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit("insn: " + run.stderr[-2000:])
    lines = subprocess.run(
        ["callgrind_annotate", "--inclusive=yes", "--threshold=100", "--auto=no", trace],
        capture_output=True, text=True, check=True).stdout.split("\n")
    counts = {}
    for line in lines:
        m = re.match(r"\s*([\d,]+) \(.*insn_main\.c:op_(\w+) ", line)
        if m:
            counts[m.group(2)] = round(int(m.group(1).replace(",", "")) / rounds)
    return counts, trace


def compare(old, new, tolerance):
    n_off = 0
    print("%-28s %10s %10s" % ("instructions for each", "now", "table"))
    for name in sorted(set(old) | set(new), key=lambda n: -new.get(n, 0)):
        a, b = old.get(name), new.get(name)
        if a is None or b is None:
            print("%-28s %10s %10s   not in both" % (name, b, a))
            n_off += 1
            continue
        change = 100.0 * (b - a) / a
        is_off = abs(change) > tolerance
        n_off += is_off
        print("%-28s %10d %10d   %+.1f %%%s" % (name, b, a, change, "  <--" if is_off else ""))
    return n_off


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("binary")
    p.add_argument("--rounds", type=int, default=500)
    p.add_argument("--tolerance", type=float, default=2.0, help="per cent")
    p.add_argument("--update", action="store_true", help="write the table")
    a = p.parse_args()
    counts, trace = count(a.binary, a.rounds)
    if not counts:
        sys.exit("insn: callgrind saw none of the op_ functions")
    here = made_with()
    if a.update:
        with open(TABLE, "w") as f:
            json.dump({"made with": here, "instructions": counts}, f, indent=1, sort_keys=True)
            f.write("\n")
        print("written: %s" % os.path.relpath(TABLE))
        return 0
    with open(TABLE) as f:
        table = json.load(f)
    n_off = compare(table["instructions"], counts, a.tolerance)
    print("where they are spent: callgrind_annotate %s" % os.path.relpath(trace))
    if here != table["made with"]:
        print("not judged: the table was made with %s, this is %s" % (table["made with"], here))
        return 0
    if n_off > 0:
        print("%d of %d differ by more than %g %%: find out why, or accept it with "
              "make bench-insn BENCH_ARGS=--update" % (n_off, len(counts), a.tolerance))
    return 1 if n_off > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
