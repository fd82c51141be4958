#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure what ways of giving an isolated program the network cost, against the host.

    sudo bench/run.py                    everything, 5 repetitions
    sudo bench/run.py --quick            once, half a second each: does it all work?
    sudo bench/run.py --ways native,native2,graft --cells 'crr-*' --reps 9

Repetition by repetition, cell by cell, every way is measured right after the other, in an
order that rotates, so that what the machine does over time meets all ways alike.
"""

import argparse
import datetime
import fnmatch
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import cells as cells_module
import report
import ways as ways_module
from host import BENCH, Failure, Host, enter, run

STOLEN_LIMIT = 0.05
BUSY_LOAD = 0.5
SETUP_SECONDS = 0.9  # of a run, besides the measurement; for the first estimate only


def options(arguments):
    build = os.path.join(os.path.dirname(BENCH), "build")
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--ways", default="*", help="names or patterns, by comma; "
                        "'graft' means all its engines")
    parser.add_argument("--cells", help="names or patterns, by comma ('*': the optional "
                        "ones too)")
    parser.add_argument("--quick", action="store_true", help="one repetition of 0.5 s")
    parser.add_argument("--json", metavar="FILE", help="write the results there, - is stdout")
    parser.add_argument("--list", action="store_true", help="list ways and cells")
    parser.add_argument("--user", default="nobody", help="who runs the programs")
    parser.add_argument("--cc", default="cubic", help="TCP congestion control")
    parser.add_argument("--graft", default=find_graft(build), help="the program")
    parser.add_argument("--load", default=os.path.join(build, "bench/load"),
                        help="the program")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.reps, chosen.seconds = 1, 0.5
    if chosen.reps < 1 or chosen.seconds <= 0:
        parser.error("--reps and --seconds must be positive")
    chosen.ways = select(parser, chosen.ways, ways_module.ways(chosen.graft, build), "way")
    chosen.cells = select(parser, chosen.cells, cells_module.CELLS, "cell")
    return chosen


def find_graft(build):
    for path in "src/ctl/graft", "src/graft", "graft":
        if os.path.exists(os.path.join(build, path)):
            return os.path.join(build, path)
    return None


def select(parser, patterns, things, what):
    """The @things whose names match; without patterns those measured by default."""
    if patterns is None:
        return [thing for thing in things if thing.default]
    selected = set()
    for pattern in patterns.split(","):
        matching = {thing.name for thing in things
                    if fnmatch.fnmatchcase(thing.name, pattern)}
        matching = matching or {thing.name for thing in things
                                if thing.name.startswith(pattern + "-")}
        if not matching:
            parser.error(f"no {what} named {pattern}; --list shows them")
        selected |= matching
    return [thing for thing in things if thing.name in selected]


def show_list(chosen):
    print("ways:")
    for way in chosen.ways:
        print(f"  {way.name:28} {way.title}")
    print("cells:")
    for cell in cells_module.CELLS:
        extra = "" if cell.default else "  (only when asked for)"
        print(f"  {cell.name:28} {', '.join(row.title for row in cell.rows)}{extra}")


def describe():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpus": len(os.sched_getaffinity(0)), "model": model, "memory_bytes": memory,
            "kernel": os.uname().release, "machine": os.uname().machine}


class Bench:
    def __init__(self, chosen, host):
        self.chosen, self.host = chosen, host
        self.native = ways_module.Native("native", "")
        self.begin = time.monotonic()
        self.done = 0
        self.total = 0
        self.results = {
            "format": 1, "date": datetime.datetime.now(datetime.timezone.utc).isoformat(
                timespec="seconds"),
            "machine": describe(), "congestion_control": chosen.cc,
            "load_average": os.getloadavg()[0],
            "repetitions": chosen.reps, "seconds": chosen.seconds, "user": chosen.user,
            "ways": {way.name: {"title": way.title, "unavailable": way.unavailable(host)}
                     for way in chosen.ways},
            "cells": {cell.name: {"unavailable": cell.unavailable(),
                                  "rows": [vars(row) for row in cell.rows]}
                      for cell in chosen.cells},
            "runs": []}

    def skip(self, cell, way):
        return (cell.direction not in way.directions or
                (way.only_load and not cell.uses_load) or
                (cell.datagrams and not way.datagrams))

    def possible(self, cell, way):
        return not (self.results["ways"][way.name]["unavailable"] or
                    self.results["cells"][cell.name]["unavailable"])

    def one(self, repetition, cell, way):
        record = {"repetition": repetition, "cell": cell.name, "way": way.name,
                  "metrics": {}, "stolen": 0, "dropped": False, "skipped": False,
                  "error": None}
        self.results["runs"].append(record)
        if self.skip(cell, way):
            record["skipped"] = True
            return
        try:
            metrics, stolen = cell.measure(self.host, way, self.native, self.chosen.seconds)
            record.update(metrics=metrics, stolen=round(stolen, 4),
                          dropped=stolen > STOLEN_LIMIT)
            used = metrics.get("congestion_control", self.chosen.cc)
            if used not in (self.chosen.cc, ""):  # AF_UNIX has none
                raise Failure(f"the connection used {used}, not {self.chosen.cc}")
        except (Failure, OSError, ValueError, subprocess.SubprocessError) as failure:
            record["error"] = str(failure)
        self.host.sweep()
        self.progress(record, cell)

    def progress(self, record, cell):
        self.done += 1
        spent = time.monotonic() - self.begin
        left = spent / self.done * (self.total - self.done)
        row = cell.rows[0]
        value = record["error"] or "dropped: stolen time"
        if not record["error"] and not record["dropped"]:
            figure = record["metrics"].get(row.metric, 0)
            value = f"{figure / 1e9:.2f}" if row.unit == "Gb/s" else f"{figure:,.1f}"
            value += " " + row.unit
        print(f"[{self.done}/{self.total}, {left / 60:.1f} min left] "
              f"{record['repetition'] + 1} {cell.name} {record['way']}: {value}",
              file=sys.stderr, flush=True)

    def run(self):
        for way, entry in self.results["ways"].items():
            if entry["unavailable"]:
                print(f"unavailable: {way}: {entry['unavailable']}", file=sys.stderr)
        if self.results["load_average"] > BUSY_LOAD:
            print(f"warning: load average {self.results['load_average']:.2f}: others use "
                  "this machine, the figures will be noise", file=sys.stderr)
        plan = [(cell, [way for way in self.chosen.ways if self.possible(cell, way)])
                for cell in self.chosen.cells]
        self.total = self.chosen.reps * sum(
            not self.skip(cell, way) for cell, ways in plan for way in ways)
        minutes = self.total * (self.chosen.seconds + SETUP_SECONDS) / 60
        print(f"{self.total} runs, about {minutes:.0f} min", file=sys.stderr)
        for repetition in range(self.chosen.reps):
            for cell, ways in plan:
                turn = repetition % len(ways) if ways else 0
                for way in ways[turn:] + ways[:turn]:
                    self.one(repetition, cell, way)
        self.results["summary"] = report.summarise(self.results)
        return self.results


def inside(chosen):
    if os.getpid() != 1 or run("ip", "-brief", "link").count("\n") != 1:
        sys.exit("run.py: --inside is for the bench itself")
    host = Host(chosen.user, chosen.cc, chosen.load)
    try:
        return Bench(chosen, host).run()
    finally:
        host.close()


def write(results, path):
    text = json.dumps(results, indent=1) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main(arguments):
    chosen = options(arguments)
    if chosen.list:
        show_list(chosen)
        return 0
    if os.geteuid() != 0:
        sys.exit("run.py: needs root, to make network namespaces and to pin programs")
    if not os.path.exists(chosen.load):
        sys.exit(f"run.py: {chosen.load} is not built (ninja -C build)")
    if not chosen.inside:
        enter(os.path.abspath(__file__), arguments)
    try:
        results = inside(chosen)
    except Failure as failure:
        sys.exit(f"run.py: {failure}")
    except KeyboardInterrupt:
        sys.exit("run.py: interrupted; nothing written")
    if chosen.json:
        write(results, chosen.json)
    if chosen.json != "-":
        sys.stdout.write(report.text(results))
    failed = any(one["error"] for one in results["runs"])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
