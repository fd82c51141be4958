#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a policy of a cgroup costs, by turns of some milliseconds (load/turns.c).

    sudo bench/turns.py [--seconds S] [--only turns|shortcut] [--json FILE] [--write FILE]
                          [--graft GRAFT] [--load LOAD]

One client goes from cgroup to cgroup: some without a policy, some with one. --write puts
the tables, of policies and of the shortcut, between their markers of a document.
"""

import argparse
import contextlib
import datetime
import json
import os
import shutil
import sys
import tempfile
from typing import NamedTuple

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import document
from host import OUT, Failure, Host, answers, enter, run, until

PORT = 5201
ASKED = "192.0.2.1"
SHORT = "127.0.0.1"
LED = "".join(f"connect {proto} {ASKED}:{PORT} = there\n" for proto in ("tcp", "udp"))
OTHERS = [f"10.{i >> 8 & 255}.{i & 255}.7:{1024 + i}" for i in range(9998)]



class Table(NamedTuple):
    """@places: title, policy (None: none), the address asked for. @kinds: of `load turns`,
    on how many cores, title. @servers: address, the words before the program."""
    name: str
    rate: str
    places: list
    kinds: list
    servers: list
    options: tuple = ()


POLICIES = Table("turns", "rate, of that without a policy", [
    ("no policy", None, OUT),
    ("no policy, again", None, OUT),
    ("1 rule, stays", f"connect any {OUT}:{PORT} = host\n", OUT),
    ("1 rule, leads elsewhere", "endpoint there ipv4 {out}:{port}\n" + LED, ASKED),
    ("the last of 10,000 rules", "endpoint there ipv4 {out}:{port}\n"
     + "".join(f"connect tcp {other} = host\n" for other in OTHERS) + LED, ASKED),
    ("the last of 10,000, others deny", "endpoint there ipv4 {out}:{port}\n"
     + "".join(f"connect tcp {other} = deny\n" for other in OTHERS) + LED, ASKED),
], [
    ("bulk", (2,), "bulk, 128 KiB writes"),
    ("rr", (1,), "64 bytes there and back"),
    ("crr", (1, 2), "connect, 1 B, close"),
    ("sendto", (1,), "sendto(), 64 bytes"),
], [("0.0.0.0", [])])
SHORTCUT = Table("shortcut", "rate, of that by TCP", [
    ("TCP", None, OUT),
    ("TCP, again", None, OUT),
    ("past it", "shortcut on\n", SHORT),
], [
    ("whole", (1, 2), "1 MiB in writes of 128 KiB, answered"),
    ("pieces", (1,), "1 MiB in writes of 16 KiB, answered"),
    ("rr", (1, 2), "64 bytes there and back"),
    ("crr", (1,), "connect, 1 B, close"),
], [(OUT, []), (SHORT, ["run", "--engine", "cgroup", "--rule", "shortcut on", "--"])],
    ("--poll",))
TABLES = [POLICIES, SHORTCUT]


def options(arguments):
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="of each row")
    parser.add_argument("--only", choices=[wanted.name for wanted in TABLES])
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--write", metavar="FILE")
    parser.add_argument("--graft", default=os.path.join(here, "../build/src/ctl/graft"))
    parser.add_argument("--load", default=os.path.join(here, "../build/bench/load"))
    parser.add_argument("--user", default="nobody", help=argparse.SUPPRESS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def hierarchy():
    with open("/proc/self/mounts", encoding="ascii") as mounts:
        for line in mounts:
            if line.split()[2] == "cgroup2":
                return line.split()[1]
    raise Failure("no cgroup v2 is mounted")


@contextlib.contextmanager
def cgroups(host, graft, places):
    """One for each place: the words that load wants."""
    top = tempfile.mkdtemp(prefix="graft-turns-", dir=hierarchy())
    try:
        words = []
        for number, (_, policy, address) in enumerate(places):
            cgroup = f"{top}/{number}"
            os.mkdir(cgroup)
            if policy is not None:
                path = host.path(f"policy.{number}")
                with open(path, "w", encoding="ascii") as file:
                    file.write(policy.format(out=OUT, port=PORT))
                run(graft, "attach", "--policy", path, cgroup)
            words += ["--place", f"{cgroup}/cgroup.procs={address}"]
        yield words
    finally:
        for directory, _, _ in os.walk(top, topdown=False):
            os.rmdir(directory)


def serve(host, serving, chosen, wanted, cpu):
    for address, words in wanted.servers:
        words = [chosen.graft, *words] if words else []
        server = host.start(serving, [*words, chosen.load, "serve", address, str(PORT),
                                      "--sink", *wanted.options], cpu)
        asked = OUT if address == "0.0.0.0" else address
        until(lambda asked=asked: answers(asked, PORT, b"c", b"c"), server.check)


def measure(host, chosen, wanted):
    rows = []
    with contextlib.ExitStack() as stack:
        places = stack.enter_context(cgroups(host, chosen.graft, wanted.places))
        for kind, cores, title in wanted.kinds:
            for n in cores:
                with contextlib.ExitStack() as serving:
                    serve(host, serving, chosen, wanted, "0" if n == 1 else "1")
                    output = run("taskset", "-c", "0", chosen.load, "turns", OUT, str(PORT),
                                 str(chosen.seconds), "--kind", kind, *wanted.options,
                                 *places, timeout=60 + 3 * chosen.seconds)
                where = "one core" if n == 1 else "two cores"
                rows.append({"title": f"{title}, {where}", **json.loads(output)})
                print(rows[-1]["title"], *(place["median"] for place in rows[-1]["places"]),
                      file=sys.stderr, flush=True)
    return rows


def table(results, wanted):
    titles = [title for title, *_ in wanted.places[1:]]
    lines = [f"{results['date'][:10]}, Linux {results['kernel']}, "
             f"{results['cpus']} CPUs, cubic; quartiles in brackets.\n",
             f"| {wanted.rate} | " + " | ".join(titles) + " |",
             "|---" * len(wanted.places) + "|"]
    for row in results["rows"][wanted.name]:
        cells = [f"{place['median']:.3f} ({place['q25']:.2f}–{place['q75']:.2f})"
                 for place in row["places"][1:]]
        lines.append(f"| {row['title']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments):
    chosen = options(arguments)
    if os.geteuid() != 0:
        sys.exit("turns.py: needs root, to attach policies and to make a namespace")
    if not chosen.inside:
        for name in "graft", "load":
            if not shutil.which(getattr(chosen, name)):
                sys.exit(f"turns.py: {getattr(chosen, name)} is not built (ninja -C build)")
        enter(os.path.abspath(__file__), arguments)
    try:
        host = Host(chosen.user, "cubic", chosen.load)
        try:
            rows = {wanted.name: measure(host, chosen, wanted) for wanted in TABLES
                    if chosen.only in (None, wanted.name)}
        finally:
            host.sweep()
            host.close()
    except Failure as failure:
        sys.exit(f"turns.py: {failure}")
    results = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
               "kernel": os.uname().release, "cpus": os.cpu_count(),
               "seconds": chosen.seconds, "rows": rows}
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            file.write(json.dumps(results, indent=1) + "\n")
    for wanted in TABLES:
        if wanted.name in rows:
            text = table(results, wanted)
            sys.stdout.write(text)
            if chosen.write:
                wrong = document.write(chosen.write, wanted.name, text)
                if wrong:
                    sys.exit(f"turns.py: {wrong}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
