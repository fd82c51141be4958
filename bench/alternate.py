#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands in turn, a second each or less: what others do on the machine meets all of them
alike. Prints a row of a table for each figure: the ratio to the first command's of the same
round, as a median, and quartiles.

alternate.py ROUNDS FILE FIGURE=TITLE...

FILE has a command a line, for the shell; each prints JSON with FIGURE, or what wrk prints. A
run during which the hypervisor stole more than 5 % of the machine does not count.
"""
import json
import os
import re
import statistics
import subprocess
import sys

from host import machine_times

STOLEN = 0.05


def parse(output):
    if output.lstrip().startswith("{"):
        return json.loads(output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    errors = re.search(r"Socket errors: .*|Non-2xx.*", output)
    if errors or not rate or float(rate.group(1)) == 0:
        sys.exit(f"alternate.py: wrk: {errors.group(0) if errors else output}")
    return {"per_second": float(rate.group(1))}


def measure(command):
    """Its figures, and the share of time that was stolen."""
    total, stolen = machine_times()
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=60, start_new_session=True)
    total, stolen = (now - before for now, before in zip(machine_times(), (total, stolen)))
    if done.returncode:
        sys.exit(f"alternate.py: {command}: {done.stderr or done.stdout}")
    return parse(done.stdout), stolen / total if total else 0


def go_rounds(commands, rounds):
    """By command, by round: figures, or None. And how many were dropped."""
    found = [[] for _ in commands]
    dropped = 0
    for number in range(rounds + 1):
        for i in range(len(commands)):
            at = (i + number) % len(commands)
            figures, stolen = measure(commands[at])
            if stolen > STOLEN:
                figures = None
                dropped += 1
            if number:  # the first fills caches
                found[at].append(figures)
    return found, dropped


def cell(base, other, figure):
    ratios = [b[figure] / a[figure] for a, b in zip(base, other) if a and b]
    if len(ratios) < 3:
        return "–"
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} ({low:.2f}–{high:.2f})"


def main(rounds, path, *rows):
    with open(path, encoding="utf-8") as file:
        commands = file.read().splitlines()
    found, dropped = go_rounds(commands, int(rounds))
    if dropped:
        print(f"{dropped} runs were dropped: stolen time", file=sys.stderr)
    for row in rows:
        figure, title = row.split("=", 1)
        print("| " + " | ".join([title] + [cell(found[0], other, figure)
                                           for other in found[1:]]) + " |")
        rates = [statistics.median([one[figure] for one in way if one] or [0])
                 for way in found]
        print(title, figure, *(round(rate, 1) for rate in rates), file=sys.stderr)
    sys.stderr.flush()


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    main(*sys.argv[1:])
