#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts what meson's testlog.json files say: summary.py TESTLOG...

A test that speaks TAP counts by its points, any other counts as one. A test that ended
badly counts at least one failure, whatever points it printed. Each failed point and each
skip with its reason is a line; the last line is "N passed, N failed, N skipped" alone.
Exit status 1 when something failed, or when nothing was run.
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


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.lines = []

    def add_points(self, name, text):
        for line in text.splitlines():
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
            else:
                self.passed += 1

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
