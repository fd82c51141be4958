# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares what programs ask of the kernel, as strace -f wrote it down.

    traces.py WANTED... -- GOT...

Good when one of GOT is one of WANTED, process by process, but for: loading shared
libraries, memory, pointers, process ids, ports of the kernel's choice, random numbers and
times, questions about sockets (getsockopt and the like); and but for how often a call is repeated that waits or takes
what has arrived, which is a matter of time. Otherwise prints how the first ones differ
and ends with 1. Descriptor numbers are compared.
"""
import difflib
import re
import sys

MEMORY = {"brk", "mmap", "munmap", "mprotect", "madvise", "mremap", "mlock"}
# How often these are called, and what they say, depends on time.
TIMED = {"poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "recvfrom", "recvmsg", "read", "wait4", "restart_syscall", "nanosleep",
         "clock_nanosleep", "rt_sigreturn", "sched_yield", "rt_sigsuspend"}
# What the kernel tells a program about itself and the time.
CHANGING = {"getrandom", "prlimit64", "getpid", "getppid", "getpgrp", "gettid", "sysinfo", "times",
            "getrusage", "futex"}
CALL = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\w+)(.*)$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
SHARED = re.compile(r"\.so[.0-9]*\"|ld\.so\.(cache|preload)")


def calls(path):
    """(pid, name, arguments, result) of each call that returned."""
    begun = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            line = line.rstrip("\n")
            if line.endswith("<unfinished ...>"):
                begun[line.split(None, 1)[0]] = line[: -len("<unfinished ...>")].rstrip()
                continue
            resumed = RESUMED.match(line)
            if resumed:
                line = begun.pop(resumed.group(1), "? ?(")
                line += " " * line.endswith(",") + resumed.group(3).lstrip()
            call = CALL.match(line)
            if call:
                yield call.group(1), call.group(2), call.group(3), call.group(4)


def normal(text):
    text = re.sub(r"0x[0-9a-f]+", "PTR", text)
    text = re.sub(r"data=\{[^}]*\}", "data=PTR", text)
    text = re.sub(r"htons\((3[2-9]|[456]\d)\d{3}\)", "htons(ANY)", text)
    text = re.sub(r"st_size=\d+|st_mtime=.*?,|/\* \d+ vars \*/", "", text)
    text = re.sub(r"(child_tidptr|parent_tid|tls|stack|stack_size|child_tid)=\S+", "", text)
    # What goes over the wire has times in it.
    return re.sub(r'"(\\.|[^"\\])*"(\.\.\.)?', lambda m: m.group(0)
                  if m.group(0).startswith('"/') else '"..."', text)


# Questions that change nothing and take no number. The library asks some of its own of
# sockets that calls name, while there are rules.
QUESTIONS = {"getsockopt", "getsockname", "getpeername"}
# Setting an option that there is not: whether an address can be read.
NO_OPTION = re.compile(r"setsockopt\(\d+, SOL_SOCKET, 0x[0-9a-f]+ /\* SO_\?\?\? \*/")
# Once it asks in which network namespace it is, of a socket that is closed at once.
WHERE = [re.compile(r"socket\(AF_UNIX, SOCK_DGRAM\|SOCK_CLOEXEC, 0\) = (\d+)"),
         re.compile(r"close\((\d+)\) = 0")]


def without_where(texts):
    """Without the first such two, after each execve."""
    out, at, may = [], 0, True
    while at < len(texts):
        found = [a.fullmatch(b) for a, b in zip(WHERE, texts[at : at + 2])]
        if may and len(found) == 2 and all(found) and len({f.group(1) for f in found}) == 1:
            may = False
            at += 2
            continue
        may = may or texts[at].startswith("execve(")
        out.append(texts[at])
        at += 1
    return out


def processes(path):
    """[[call...]...] by process, in no order of time: who runs first is chance."""
    order, lists, loading = {}, [], {}
    for pid, name, arguments, result in calls(path):
        if pid not in order:
            order[pid] = len(lists)
            lists.append([])
            loading[pid] = set()
        if NO_OPTION.match(f"{name}({arguments}"):
            continue
        mine = loading[pid]
        first = arguments.split(",", 1)[0].strip()
        if name in ("openat", "open", "access", "faccessat2", "readlink", "newfstatat") \
                and SHARED.search(arguments):
            if name.startswith("open") and not result.startswith("-"):
                mine.add(result)
            continue
        if first in mine and name in ("read", "pread64", "fstat", "newfstatat", "close"):
            if name == "close":
                mine.discard(first)
            continue
        if name in MEMORY or name in CHANGING or name in QUESTIONS:
            continue
        # The library looks at what stderr is when it is loaded, to know it again.
        if name in ("fstat", "newfstatat") and first == "2":
            continue
        if name in TIMED:
            text = name + "(" + ("" if name == "wait4" else first)
        else:
            text = f"{name}({normal(arguments)}) = {result}"
            for known in order:
                text = re.sub(rf"\b{known}\b", "PROCESS", text)
            if name in ("clone", "clone3", "fork", "vfork"):
                text = name
        own = lists[order[pid]]
        if not own or own[-1] != text or name not in TIMED:
            own.append(text)
    return sorted(without_where(calls) for calls in lists)


def main():
    middle = sys.argv.index("--")
    wanted = [processes(path) for path in sys.argv[1:middle]]
    got = [processes(path) for path in sys.argv[middle + 1 :]]
    n_calls = sum(len(process) for process in wanted[0])
    for one in got:
        if one in wanted:
            print(f"{len(one)} processes, {n_calls} calls")
            return 0
    if len(wanted[0]) != len(got[0]):
        print(f"{len(wanted[0])} processes became {len(got[0])}")
    for a, b in zip(wanted[0], got[0]):
        for line in list(difflib.unified_diff(a, b, "without", "with", lineterm="", n=2))[:40]:
            print(line)
    return 1


sys.exit(main())
