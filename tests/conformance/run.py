#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Runs the conformance cases on plain host sockets and on an engine, compares line by line,
and holds the difference against differences.def.

    run.py --program CONFORMANCE [--graft GRAFT] [--library LIBRARY] [--graftd GRAFTD]
           [--engine NAME[/root|/user]]... [--who root|user] [--case PATTERN]... [--verbose]
           [--slow N]
    run.py --program CONFORMANCE --write-docs FILE
    run.py --program CONFORMANCE --check-docs FILE

One run:

    fresh network namespace ("the host": lo, veth77 10.77.0.1 fd77::1 fe80::77)
      └─ root, or uid 1000 without capabilities
           └─ [the engine]  the program, in whatever namespace the engine gives it

The user's results on plain sockets are compared with root's; an engine's results with
those of the same identity on plain sockets. A difference that is not listed fails, and so
does a listed one that no longer occurs: so the documentation, which is written from the
list, says what was measured. Without --engine every engine is run. Two runs go on at a
time: each has a network namespace of its own.

Engines of the kernel module are skipped where it is not loaded; tests/kmod runs them in a
machine of their own. Root starts them, and the user is one inside. What differs there is
in differences_module.def and holds for Linux MODULE_LINUX: with another one those that do
not occur are no mistake.
Status: 0 good, 1 not, 2 misuse, 77 skipped.
"""
import argparse
import concurrent.futures
import fnmatch
import os
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 300
N_AT_A_TIME = 2
MODULE = "/sys/module/af_graft"
MODULE_LINUX = "6.1"
USER = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]
WHO = ("root", "user")


class Engine(NamedTuple):
    """How the program is started. {graft} and {here} are filled in; a new engine is a row."""
    name: str
    command: tuple
    first: tuple  # connected to before every case: an engine that learns is misled
    about: str
    around: tuple = ()  # what root starts between the host and the user
    is_module: bool = False  # it takes the kernel module, and root
    is_root: bool = False    # it takes root, and the user is one inside


def through_graftd(hops):
    """The library by itself, with graftd, in a program some steps of fork and exec away."""
    return Engine(f"preload-graftd-{hops}",
                  ("env", "LD_PRELOAD={here}/libgraft-hijack.so",
                   "GRAFT_POLICY={here}/host.policy", "sh", "{here}/hops.sh", str(hops)), (),
                  f"LD_PRELOAD and graftd, {hops} fork and exec from the program",
                  ("sh", "{here}/graftd.sh", "{here}"))


def by_module(name, policy, first, about, *inside):
    """graft run --engine af_graft, and what it is to start the program with."""
    return Engine(name, ("{graft}", "run", "--engine", "af_graft",
                         "--policy", "{here}/" + policy, "--") + inside, first, about,
                  is_module=True)


ENGINES = (
    Engine("native", (), (), "plain sockets in the host's stack: the reference"),
    Engine("notify", ("{graft}", "run", "--engine", "notify",
                      "--policy", "{here}/host.policy", "--"), (),
           "seccomp notification; everything goes to the host"),
    Engine("notify-own", ("{graft}", "run", "--engine", "notify",
                          "--policy", "{here}/own.policy", "--"), ("10.77.0.1", "fd77::1"),
           "guessed to be the host's, swapped to the program's own stack at bind or connect"),
    Engine("notify-late", ("{graft}", "run", "--engine", "notify",
                           "--policy", "{here}/late.policy", "--"), ("192.0.2.1", "2001:db8::1"),
           "guessed to be the program's own, swapped to the host's stack at bind or connect"),
    Engine("preload", ("{graft}", "run", "--engine", "preload",
                       "--policy", "{here}/host.policy", "--"), (),
           "libgraft-hijack.so and the broker of a run; everything goes to the host"),
    Engine("preload-own", ("{graft}", "run", "--engine", "preload",
                           "--policy", "{here}/own.policy", "--"), ("10.77.0.1", "fd77::1"),
           "the same; taken from the host's supply, swapped to the program's own stack"),
    Engine("preload-late", ("{graft}", "run", "--engine", "preload",
                            "--policy", "{here}/late.policy", "--"),
           ("192.0.2.1", "2001:db8::1"),
           "the same; the program's own, swapped to the host's stack at bind or connect"),
    Engine("cgroup", ("{graft}", "run", "--engine", "cgroup",
                      "--policy", "{here}/host.policy", "--"), (),
           "BPF programs on the program's cgroup; everything is the host's",
           ("unshare", "-m"), is_root=True),
    Engine("cgroup-own", ("{graft}", "run", "--engine", "cgroup",
                          "--policy", "{here}/loopback.policy", "--"), (),
           "the same; loopback is the policy's own", ("unshare", "-m"), is_root=True),
    Engine("cgroup-shortcut", ("{graft}", "run", "--engine", "cgroup",
                               "--policy", "{here}/shortcut.policy", "--"), (),
           "the same, past TCP where both ends do not block",
           ("unshare", "-m"), is_root=True),
    Engine("notify-judged", ("{graft}", "run", "--engine", "notify",
                             "--policy", "{here}/judged.policy", "--"), (),
           "as root: made by the supervisor, judged by the kernel; loopback is the policy's own",
           ("unshare", "-m"), is_root=True),
    through_graftd(1), through_graftd(2), through_graftd(3),
    Engine("af_graft-plain", ("env", "GRAFTED="), (),
           "the program's own AF_GRAFT sockets, in the host's stack from birth",
           is_module=True),
    by_module("af_graft-native", "host.policy", (),
              "the program's own AF_GRAFT sockets, put into the host's stack at bind or "
              "connect", "env", "-u", "LD_PRELOAD", "GRAFTED=run-host"),
    by_module("af_graft", "host.policy", (),
              "the library and the kernel module; everything goes to the host"),
    by_module("af_graft-own", "own.policy", ("10.77.0.1", "fd77::1"),
              "the same; what connects goes to the host mostly, and these do not"),
    by_module("af_graft-late", "late.policy", ("192.0.2.1", "2001:db8::1"),
              "the same; put into the host's stack at bind or connect"),
)


class Difference(NamedTuple):
    engines: tuple
    who: str
    case: str
    family: str
    type: str
    reason: str
    line: str  # FILE:NUMBER

    def covers(self, engine, who, key):
        return (engine in self.engines and self.who in ("any", who)
                and fnmatch.fnmatchcase(key[0], self.case)
                and self.family in ("*", key[1]) and self.type in ("*", key[2]))


def read_differences():
    return read_list("differences.def") + read_list("differences_module.def")


def read_list(name):
    """Lines of ENGINE[,ENGINE] root|user|any CASE-PATTERN v4|v6|* stream|dgram|* REASON."""
    differences = []
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.split("#", 1)[0].strip()
            if not line:
                continue
            words = line.split(None, 5)
            if len(words) != 6 or words[1] not in WHO + ("any",):
                sys.exit(f"{name}:{number}: six columns are needed")
            engines = tuple(words[0].split(","))
            for engine in engines:
                if engine not in [known.name for known in ENGINES]:
                    sys.exit(f"{name}:{number}: no engine is called {engine}")
            differences.append(Difference(engines, *words[1:6], f"{name}:{number}"))
    return differences


def list_cases(program):
    """[(name, [families], [types], about)]"""
    output = subprocess.run([program, "--list"], check=True, stdout=subprocess.PIPE,
                            text=True).stdout
    cases = []
    for line in output.splitlines():
        name, families, types, about = line.split("\t")
        cases.append((name, families.split(","), types.split(","), about))
    return cases


class Bench:
    """A private directory that uid 1000 can use, with copies of what is run."""

    def __init__(self, options):
        self.path = tempfile.mkdtemp(prefix="graft-conformance-")
        os.chmod(self.path, 0o755)
        self.home = os.path.join(self.path, "home")
        os.mkdir(self.home)
        os.chown(self.home, 1000, 1000)
        self.slow = options.slow
        self.program = self.take(options.program)
        self.graft = self.take(options.graft) if options.graft else None
        if options.library:  # `graft run` looks for it beside itself
            self.take(options.library)
        if options.graftd:
            self.take(options.graftd)
        for name in os.listdir(HERE):
            if name.endswith((".policy", ".sh")):
                self.take(os.path.join(HERE, name))

    def take(self, path):
        copy = os.path.join(self.path, os.path.basename(path))
        shutil.copy(path, copy)
        os.chmod(copy, 0o755)
        return copy

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def run(self, engine, who, patterns, brief):
        """Return: ({(case, family, type): result}, stderr, status).

        @brief: the runs that need not be waited for long when they hang."""
        command = ["unshare", "-n", "sh", os.path.join(self.path, "netns.sh")]
        command += [word.format(here=self.path) for word in engine.around]
        user = USER if who == "user" else []
        engine_command = [word.format(graft=self.graft, here=self.path)
                          for word in engine.command]
        command += engine_command + user if engine.is_module or engine.is_root \
            else user + engine_command
        command += [self.program, "--slow", str(self.slow)]
        for address in engine.first:
            command += ["--first", address]
        for key in brief:
            command += ["--brief", ":".join(key)]
        command += patterns
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": self.home}
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace",
                              cwd="/", env=environment, start_new_session=True) as child:
            try:
                output, errors = child.communicate(timeout=SECONDS * self.slow)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, 9)
                output, errors = child.communicate()
                errors += f"killed after {SECONDS * self.slow} s\n"
        results = {}
        for line in output.splitlines():
            words = line.split("\t", 3)
            if len(words) == 4:
                results[tuple(words[:3])] = words[3]
        return results, errors, child.returncode


def is_elsewhere(engine):
    """Is this another kernel than the list of @engine was made with?"""
    release = os.uname().release
    return engine.is_module and not release.startswith(MODULE_LINUX + ".")


def unlike(wanted, got):
    """The words of two results that differ, when they are about the same things."""
    if wanted is None or got is None:
        return wanted or "(nothing)", got or "(nothing)"
    pairs = list(zip(wanted.split(" "), got.split(" ")))
    if len(wanted.split(" ")) != len(got.split(" ")) or \
            any(a.split("=")[0] != b.split("=")[0] for a, b in pairs):
        return wanted, got
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    return " ".join(a for a, _ in pairs), " ".join(b for _, b in pairs)


class Report:
    def __init__(self, differences, verbose):
        self.differences = differences
        self.verbose = verbose
        self.n_bad = 0
        self.rows = {}

    def bad(self, text):
        self.n_bad += 1
        print(text)

    def compare(self, engine, who, wanted, got):
        title = f"{engine.name} as {who}"
        used = set()
        for key in sorted(set(wanted) | set(got), key=list(wanted).index
                          if set(got) <= set(wanted) else None):
            listed = [entry for entry in self.differences
                      if entry.covers(engine.name, who, key)]
            same = wanted.get(key) == got.get(key)
            row = self.rows.setdefault(key[0].split(".")[0], {}).setdefault(
                (engine.name, who), [0, 0, 0])
            row[0 if same else 1 if listed else 2] += 1
            used.update(listed)
            if same and listed:
                if not is_elsewhere(engine):
                    self.bad(f"{title}: {' '.join(key)}: listed in {listed[0].line}, "
                             "but does not differ any more")
            elif not same and (not listed or self.verbose):
                expected, seen = unlike(wanted.get(key), got.get(key))
                text = (f"{title}: {' '.join(key)}:\n"
                        f"    expected  {expected}\n"
                        f"    got       {seen}")
                if listed:
                    print(f"{text}\n    listed    {listed[0].reason}")
                else:
                    self.bad(text)
        return used

    def stale(self, engine, who, used):
        for entry in self.differences:
            if engine.name in entry.engines and entry.who in ("any", who) \
                    and entry not in used:
                self.bad(f"{entry.line}: no case is called {entry.case}")

    def table(self):
        columns = sorted({column for row in self.rows.values() for column in row},
                         key=lambda c: ([e.name for e in ENGINES].index(c[0]), c[1]))
        heads = [f"{name}/{who}" for name, who in columns]
        print(f"\n{'equal+listed+UNLISTED':22}" + "".join(f"{h:>20}" for h in heads))
        for topic, row in self.rows.items():
            cells = ["+".join(map(str, row.get(c, (0, 0, 0)))) for c in columns]
            print(f"{topic:22}" + "".join(f"{cell:>20}" for cell in cells))


def listed(engine, who, keys, differences):
    return [key for key in keys
            if any(entry.covers(engine.name, who, key) for entry in differences)]


def chosen_runs(options):
    """[(engine, who)] in the order of the report."""
    runs = []
    for name in options.engine or [engine.name for engine in ENGINES]:
        name, _, who = name.partition("/")
        engine = next(engine for engine in ENGINES if engine.name == name)
        runs += [(engine, one) for one in WHO
                 if one == (who or one) and one == (options.who or one)]
    return runs


def run_all(bench, runs, options, differences):
    """{(engine, who): what Bench.run returns} of @runs, and of plain sockets for each."""
    native = ENGINES[0]
    keys = all_keys(list_cases(options.program))
    wanted = dict.fromkeys([(native, who) for _, who in runs])
    if any(engine is native for engine, _ in runs):
        wanted[native, "root"] = None
    wanted.update(dict.fromkeys(runs))
    with concurrent.futures.ThreadPoolExecutor(N_AT_A_TIME) as pool:
        going = {
            (engine, who): pool.submit(
                bench.run, engine, who, options.case or [],
                [] if engine is native else listed(engine, who, keys, differences))
            for engine, who in wanted}
        return {run: future.result() for run, future in going.items()}


def run_engines(options, differences):
    report = Report(differences, options.verbose)
    runs = chosen_runs(options)
    if not os.path.isdir(MODULE):
        for engine in dict.fromkeys(engine for engine, _ in runs if engine.is_module):
            print(f"{engine.name}: skipped, needs the kernel module af_graft")
        runs = [run for run in runs if not run[0].is_module]
    if not runs:
        return 77
    bench = Bench(options)
    try:
        ended = run_all(bench, runs, options, differences)
    finally:
        bench.remove()
    native = ENGINES[0]
    for (engine, who), (got, errors, status) in ended.items():
        if not got or (engine is native and status != 0):
            report.bad(f"{engine.name} as {who}: status {status}\n{errors.rstrip()}")
        if not got or (engine, who) not in runs:
            continue
        used = report.compare(engine, who,
                              ended[native, "root" if engine is native else who][0], got)
        if not options.case:
            report.stale(engine, who, used)
    report.table()
    print(f"{report.n_bad} unlisted or stale" if report.n_bad else "as listed")
    return 1 if report.n_bad else 0


def all_keys(cases):
    return [(name, family, kind) for name, families, types, _ in cases
            for family in families for kind in types]


def document_topics(keys, names, differences):
    out = ["Runs that give the host's own result, of all runs, as root / as a user.", "",
           "| topic | " + " | ".join(f"`{n}`" for n in names) + " |",
           "|---|" + "---|" * len(names)]
    for topic in dict.fromkeys(key[0].split(".")[0] for key in keys):
        mine = [key for key in keys if key[0].split(".")[0] == topic]
        cells = []
        for name in names:
            equal = [sum(not any(entry.covers(name, who, key) for entry in differences)
                         for key in mine) for who in WHO]
            cells.append(f"{equal[0]} / {equal[1]} of {len(mine)}")
        out.append(f"| {topic} | " + " | ".join(cells) + " |")
    return out


def document_differences(differences):
    out = ["| case | engine | as | family | type | reason |", "|---|---|---|---|---|---|"]
    for entry in differences:
        out.append(f"| `{entry.case}` | {', '.join(entry.engines)} | {entry.who} | "
                   f"{entry.family} | {entry.type} | {entry.reason} |")
    return out


def document_engines(engines):
    return ["| engine | what it is |", "|---|---|"] + [
        f"| `{engine.name}` | {engine.about} |" for engine in engines]


def documentation(cases, differences):
    """The text of docs/conformance.md: what is compared, and where engines differ."""
    engines = [engine for engine in ENGINES if not engine.is_module]
    modules = [engine for engine in ENGINES if engine.is_module]
    keys = all_keys(cases)
    out = ["# Conformance",
           "",
           "<!-- Written by tests/conformance/run.py --write-docs; do not edit. -->",
           "",
           f"{len(cases)} cases make {len(keys)} runs over IPv4 and IPv6, streams and "
           "datagrams. Each runs on plain sockets",
           "of the host first, then on every engine, as root and as an ordinary user; the "
           "results are compared word by",
           "word. What differs is listed here with its reason; anything else fails "
           "`meson test --suite conformance`.",
           ""]
    out += document_engines(engines)
    out += ["", "## By topic", ""]
    out += document_topics(keys, [engine.name for engine in engines[1:]], differences)
    out += ["", "## Differences", "",
            "`native` rows are what an ordinary user gets instead of root, without graft.", ""]
    out += document_differences(read_list("differences.def"))
    out += ["", "## The kernel module", "",
            f"Run in a virtual machine with Linux {MODULE_LINUX}, and compared with plain "
            "sockets there.",
            ""]
    out += document_engines(modules) + [""]
    out += document_topics(keys, [engine.name for engine in modules], differences) + [""]
    out += document_differences(read_list("differences_module.def"))
    out += ["", "## Cases", "", "| case | families | types | what it looks at |",
            "|---|---|---|---|"]
    for name, families, types, about in cases:
        out.append(f"| `{name}` | {' '.join(families)} | {' '.join(types)} | {about} |")
    return "\n".join(out) + "\n"


def check_docs(path, text):
    with open(path, encoding="utf-8") as file:
        if file.read() == text:
            return True
    print(f"{path} is not what the cases and differences.def say: "
          "write it with run.py --write-docs")
    return False


def main():
    parser = argparse.ArgumentParser(description="run the conformance cases")
    parser.add_argument("--program", required=True)
    parser.add_argument("--graft")
    parser.add_argument("--library", help="libgraft-hijack.so")
    parser.add_argument("--graftd")
    parser.add_argument("--engine", action="append", metavar="NAME[/root|/user]",
                        choices=[engine.name + who for engine in ENGINES
                                 for who in ("", "/root", "/user")])
    parser.add_argument("--who", choices=WHO)
    parser.add_argument("--case", action="append")
    parser.add_argument("--verbose", action="store_true", help="show listed differences")
    parser.add_argument("--slow", type=int, default=1, metavar="N",
                        help="wait N times as long, in an emulated machine")
    parser.add_argument("--write-docs", metavar="FILE")
    parser.add_argument("--check-docs", metavar="FILE")
    options = parser.parse_args()
    os.umask(0o022)  # cases run as a user too, who must read what is made here
    differences = read_differences()

    if options.check_docs or options.write_docs:
        text = documentation(list_cases(options.program), differences)
        if options.write_docs:
            with open(options.write_docs, "w", encoding="utf-8") as file:
                file.write(text)
            return 0
        return 0 if check_docs(options.check_docs, text) else 1
    if os.geteuid() != 0:
        print("skipped: needs root, to make namespaces and to become a user")
        return 77
    if not options.graft and any(engine.command for engine, _ in chosen_runs(options)):
        parser.error("--graft is needed to run an engine")
    return run_engines(options, differences)


if __name__ == "__main__":
    sys.exit(main())
