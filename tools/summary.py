#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts what meson's testlog.json files say: summary.py TESTLOG...

A test that speaks TAP counts by its points, any other counts as one. A test that ended
badly counts at least one failure, whatever points it printed. Each failed point and each
skip with its reason is a line, the former with what the test said of it below it; the
last line is "N passed, N failed, N skipped" alone. Exit status 1 when something failed,
or when nothing was run.
"""
import json
import os
import re
import sys

POINT = re.compile(
    r"^(not )?ok\b(?:\s+\d+)?(?:\s*-)?(.*?)(?:\s+#\s*(SKIP)\b\s*(.*))?$", re.I
)
PLAN_SKIP = re.compile(r"^1\.\.0\s*#\s*SKIP\S*\s*(.*)$", re.I)
GOOD = {"OK", "EXPECTEDFAIL"}
SAID = 24  # lines about a failure that are repeated


def said_of(lines):
    """The comments before the next point."""
    said = []
    for line in lines:
        if POINT.match(line):
            break
        if line.startswith("#"):
            said.append(line)
    return said


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.lines = []

    def add_points(self, name, text):
        lines = text.splitlines()
        for number, line in enumerate(lines):
            point = POINT.match(line)
            if not point:
                continue
            bad, title, directive, reason = point.groups()
            title = title.strip()
            if directive:
                # cmocka says "not ok 1 # SKIP name".
                self.skipped += 1
                self.lines.append(f"skipped: {name}: {title or 'a point'} ({reason})")
            elif bad:
                self.failed += 1
                self.lines.append(f"FAILED:  {name}: {title}")
                self.repeat(said_of(lines[number + 1:])[:SAID])
            else:
                self.passed += 1

    def repeat(self, lines):
        self.lines += ["    " + line for line in lines]

    def add_skipped(self, name, text):
        reasons = [line for line in text.splitlines() if line.strip()]
        reason = reasons[-1] if reasons else "no reason given"
        plan = PLAN_SKIP.match(reason)
        self.skipped += 1
        self.lines.append(f"skipped: {name}: {plan.group(1) if plan else reason}")

    def add(self, name, test):
        text, result = test.get("stdout") or "", test["result"]
        before = self.passed + self.failed + self.skipped, self.failed
        if result == "SKIP":
            self.add_skipped(name, text or test.get("stderr") or "")
            return
        self.add_points(name, text)
        if result in GOOD:
            if self.passed + self.failed + self.skipped == before[0]:
                self.passed += 1
        elif self.failed == before[1]:
            self.failed += 1
            self.lines.append(f"FAILED:  {name}: {result}, status {test.get('returncode')}")
            self.repeat((text + (test.get("stderr") or "")).splitlines()[-SAID:])


def name_of(path, test):
    build = os.path.basename(os.path.dirname(os.path.dirname(os.path.abspath(path))))
    return test["name"] if build == "build" else f"{build}: {test['name']}"


def main(paths):
    count = Count()
    for path in paths:
        with open(path, encoding="utf-8") as log:
            for line in log:
                if line.strip():
                    test = json.loads(line)
                    count.add(name_of(path, test), test)
    for line in count.lines:
        print(line)
    print(f"{count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    return 1 if count.failed or not count.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
