#!/usr/bin/env python3
"""Compare what clients were told with what the management point received.

    judge.py --log MP_LOG --journal STORM_JOURNAL [--journal ...] [--json FILE]

For every client: 10907 messages acknowledged = received by the management point itself
+ counted in summaries. Other messages must have arrived with the same checksum. The
exit status is 0 when the sums match and 1 when they do not.

A message that was sent and never acknowledged may or may not have been counted; it
widens what is allowed for its client, and is reported.
"""

import argparse
import collections
import json
import sys

ASYNC_OTHERS = ("status", "mixed", "conflict", "state", "inventory", "sync")


class Storm:
    """The journals of all storms."""

    def __init__(self):
        self.acknowledged = {}  # ID of a 10907: (client, rule, crc)
        self.uncertain = {}  # ID of a 10907 without an acknowledgement: (client, rule)
        self.others = {}  # ID of another message: (kind, crc)
        self.repeats = 0
        self.may_count_too = []  # clients of messages that may also be counted in summaries

    def acknowledge(self, ident, client, rule, crc="-"):
        """For a record that is not a file: the client holds an acknowledgement."""
        self.acknowledged[ident] = (client, rule, crc)
        self.uncertain.pop(ident, None)

    def leave_open(self, ident, client, rule):
        """It was sent, and no acknowledgement came."""
        if ident not in self.acknowledged:
            self.uncertain[ident] = (client, rule)

    def repeat_may_count(self, _ident, client):
        """The management point received it, its reply was lost, and it was sent again."""
        self.may_count_too.append(client)

    def read(self, path):
        with open(path, encoding="ascii", errors="replace") as lines:
            for line in lines:
                words = line.split()
                # A storm that was killed may leave half a line at the end.
                if len(words) == 9 and line.endswith("\n"):
                    self.take(words)

    def take(self, words):
        what, kind, ident, client, rule, _sent, _bytes, crc, _reply = words
        if what == "D":
            self.repeats += 1
        elif kind == "rule" and what == "A":
            self.acknowledge(ident, client, rule, crc)
        elif kind == "rule" and what == "U":
            self.leave_open(ident, client, rule)
        elif what == "A" and kind in ASYNC_OTHERS:
            self.others[ident] = (kind, crc)


class ManagementPoint:
    """The journal of sample_mp."""

    def __init__(self):
        self.rules = {}  # ID of a 10907: crc
        self.others = {}  # ID of any other message with an envelope: crc
        self.windows = {}  # window ID: (client, messages)
        self.parts = {}  # window ID: set of part numbers
        self.rules_told = collections.Counter()  # (client, rule): messages
        self.announced = {}  # window ID: number of parts it says it has
        self.summary_ids = set()
        self.summary_repeats = 0
        self.rule_repeats = 0
        self.faults = []

    def read(self, path):
        with open(path, encoding="ascii", errors="replace") as lines:
            for line in lines:
                fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
                if fields.get("taken") == "1" and line.endswith("\n"):
                    self.take(fields)

    def take(self, fields):
        kind, ident = fields["kind"], fields["id"]
        if kind == "summary":
            self.take_summary(fields)
        elif kind == "rule":
            self.rule_repeats += ident in self.rules
            self.rules[ident] = fields["crc"]
        elif ident != "-":
            self.others[ident] = fields["crc"]

    def take_summary(self, fields):
        window, subject = fields["window"], fields["subject"]
        number, _, total = fields["part"].partition("/")
        if not (number.isdigit() and total.isdigit() and fields["messages"].isdigit()):
            self.faults.append("unreadable summary " + fields["id"])
            return
        if fields["id"] in self.summary_ids:
            self.summary_repeats += 1
        self.summary_ids.add(fields["id"])
        said = (subject, int(fields["messages"]))
        if self.windows.setdefault(window, said) != said:
            self.faults.append(f"window {window} says {self.windows[window]} and {said}")
        if self.announced.setdefault(window, int(total)) != int(total):
            self.faults.append(f"window {window} has two numbers of parts")
        seen = self.parts.setdefault(window, set())
        if int(number) not in seen:
            seen.add(int(number))
            self.take_rules(subject.upper(), fields.get("rules", ""))

    def take_rules(self, client, rules):
        for item in filter(None, rules.split(",")):
            rule, _, times = item.partition("*")
            first, _, last = rule.partition("..")
            if not last:
                self.rules_told[client, rule] += int(times or 1)
                continue
            # ABC00012..00019: the digits replace as many at the end of the name
            prefix, width = first[: -len(last)], len(last)
            for number in range(int(first[len(prefix) :]), int(last) + 1):
                self.rules_told[client, f"{prefix}{number:0{width}}"] += 1

    def check_parts(self):
        for window, seen in self.parts.items():
            want = set(range(1, self.announced[window] + 1))
            if seen != want:
                self.faults.append(f"window {window}: parts {sorted(seen)} of {len(want)}")


def compare_rules(storm, point, through):
    """Do summaries name every client's rules, and no others? (not told, never sent)"""
    sent = collections.Counter(
        (client, rule)
        for ident, (client, rule, _) in storm.acknowledged.items()
        if ident not in through
    )
    perhaps = collections.Counter(storm.uncertain.values())
    untold = sum((sent - point.rules_told).values())
    invented = sum((point.rules_told - sent - perhaps).values())
    return untold, invented


def compare(storm, point, held=None, names_rules=True):
    """The books as a dictionary; 'faults' is empty when they balance.

    held: client: messages that are recorded and in no summary yet.
    """
    point.check_parts()
    faults = list(point.faults)
    through = {i for i in storm.acknowledged if i in point.rules}
    expected = collections.Counter(
        client for ident, (client, _, _) in storm.acknowledged.items() if ident not in through
    )
    uncertain = collections.Counter(
        client for ident, (client, _) in storm.uncertain.items() if ident not in point.rules
    )
    counted = collections.Counter()
    for client, messages in point.windows.values():
        counted[client.upper()] += messages
    for client, messages in (held or {}).items():
        counted[client.upper()] += messages
    uncertain.update(storm.may_count_too)

    missing = doubled = uncertain_counted = 0
    for client in expected.keys() | counted.keys() | uncertain.keys():
        surplus = counted[client] - expected[client]
        missing += max(0, -surplus)
        uncertain_counted += min(max(0, surplus), uncertain[client])
        doubled += max(0, surplus - uncertain[client])
    if missing:
        faults.append(f"{missing} acknowledged messages are nowhere")
    if doubled:
        faults.append(f"{doubled} messages are counted more than once")

    untold, invented = compare_rules(storm, point, through) if names_rules else (0, 0)
    if untold or invented:
        faults.append(f"rules of clients: {untold} not told, {invented} told and never sent")

    changed = sum(point.rules[i] != storm.acknowledged[i][2] for i in through)
    lost = sum(i not in point.others for i in storm.others)
    changed += sum(point.others.get(i, crc) != crc for i, (_, crc) in storm.others.items())
    if lost:
        faults.append(f"{lost} other messages were acknowledged and not received")
    if changed:
        faults.append(f"{changed} messages were changed on their way")

    return {
        "acknowledged_10907": len(storm.acknowledged),
        "received_by_mp": len(through),
        "counted_in_summaries": sum(counted.values()),
        "windows": len(point.windows),
        "summary_messages": len(point.summary_ids),
        "summary_repeats": point.summary_repeats,
        "clients_summarised": len(counted),
        "sent_again_though_acknowledged": storm.repeats,
        "received_twice_by_mp": point.rule_repeats,
        "unacknowledged": len(storm.uncertain),
        "unacknowledged_counted": uncertain_counted,
        "missing": missing,
        "doubled": doubled,
        "rules_told": sum(point.rules_told.values()),
        "rules_untold": untold,
        "rules_invented": invented,
        "others_acknowledged": len(storm.others),
        "others_received": len(storm.others) - lost,
        "changed": changed,
        "faults": faults,
    }


WORDS = (
    ("acknowledged_10907", "10907 messages acknowledged to clients"),
    ("received_by_mp", "  received by the management point itself"),
    ("counted_in_summaries", "  counted in summaries"),
    ("windows", "summary windows"),
    ("summary_messages", "summary messages"),
    ("summary_repeats", "  of them sent again (same ID, counted once)"),
    ("clients_summarised", "clients that have summaries"),
    ("sent_again_though_acknowledged", "repeats by clients, acknowledged again"),
    ("received_twice_by_mp", "10907 received twice by the management point"),
    ("unacknowledged", "10907 sent and never acknowledged"),
    ("unacknowledged_counted", "  of them counted all the same"),
    ("missing", "missing"),
    ("doubled", "counted more than once"),
    ("rules_told", "messages told by client and rule in summaries"),
    ("rules_untold", "  acknowledged and not among them"),
    ("rules_invented", "  among them and never sent"),
    ("others_acknowledged", "other messages acknowledged"),
    ("others_received", "  received, bytes equal"),
    ("changed", "changed on their way"),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--log", required=True, action="append", help="journal of sample_mp")
    parser.add_argument("--journal", required=True, action="append", help="journal of storm")
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--quiet", action="store_true", help="print faults only")
    args = parser.parse_args()

    storm, point = Storm(), ManagementPoint()
    for path in args.journal:
        storm.read(path)
    for path in args.log:
        point.read(path)
    books = compare(storm, point)
    if args.json:
        with open(args.json, "w", encoding="ascii") as out:
            json.dump(books, out, indent=2)
            out.write("\n")
    if not args.quiet:
        for name, words in WORDS:
            print(f"  {words:<48} {books[name]:>10}")
    for fault in books["faults"][:20]:
        print("  FAULT: " + fault)
    print("  the books " + ("do NOT balance" if books["faults"] else "balance"))
    return 1 if books["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
