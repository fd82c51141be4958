# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares what programs ask of the kernel, as strace -f wrote it down.

    traces.py [--questions] WANTED... -- GOT...

Good when one of GOT is one of WANTED, process by process, but for: loading shared
libraries, memory, pointers, process ids, ports of the kernel's choice, random numbers and
times; and but for how often a call is repeated that waits or takes what has arrived,
which is a matter of time. With --questions also but for calls that ask about a socket and
change nothing. Otherwise prints how the first ones differ and ends with 1. Descriptor
numbers are compared.
"""
import difflib
import re
import sys

MEMORY = {"brk", "mmap", "munmap", "mprotect", "madvise", "mremap", "mlock"}
# How often these are called, and what they say, depends on time.
TIMED = {"poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "recvfrom",
         "recvmsg", "read", "wait4", "restart_syscall", "nanosleep", "clock_nanosleep",
         "rt_sigreturn", "sched_yield", "rt_sigsuspend"}
# What the kernel tells a program about itself and the time.
CHANGING = {"getrandom", "prlimit64", "getpid", "getppid", "getpgrp", "gettid", "sysinfo",
            "times", "getrusage", "futex"}
# Numbers that may look like a process's, and are not.
NO_PROCESSES = {"listen", "bind", "connect", "setsockopt"}
# Of a socket. An option of a number that no kernel has is a question about a pointer. And
# once, whether the kernel module is there.
QUESTIONS = re.compile(r"(getsockopt|getsockname|getpeername)\(|"
                       r"access\(\"/sys/module/af_graft/|"
                       r"setsockopt\(\d+, SOL_SOCKET, PTR /\* SO_\?\?\? \*/, .* = -1")
CALL = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\w+)(.*)$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
SHARED = re.compile(r"\.so[.0-9]*\"|ld\.so\.(cache|preload)")


def calls_of(path):
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


def without_questions(texts):
    """One that asks in which network namespace it is needs a socket for that."""
    texts = [text for text in texts if not QUESTIONS.match(text)]
    out = []
    for text in texts:
        made = out and re.fullmatch(r"socket\(AF_UNIX, SOCK_DGRAM\|SOCK_CLOEXEC, 0\) = (\d+)",
                                    out[-1])
        if made and text == f"close({made.group(1)}) = 0":
            out.pop()
        else:
            out.append(text)
    return out


def processes(path, may_ask):
    """[[call...]...] by process, in no order of time: who runs first is chance."""
    order, lists, loading = {}, [], {}
    for pid, name, arguments, result in calls_of(path):
        if pid not in order:
            order[pid] = len(lists)
            lists.append([])
            loading[pid] = set()
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
        if name in MEMORY or name in CHANGING:
            continue
        # The library looks at what stderr is when it is loaded, to know it again.
        if name in ("fstat", "newfstatat") and first == "2":
            continue
        if name in TIMED:
            text = name + "(" + ("" if name == "wait4" else first)
        else:
            text = f"{name}({normal(arguments)}) = {result}"
            if name not in NO_PROCESSES:
                for known in order:
                    text = re.sub(rf"\b{known}\b", "PROCESS", text)
            if name in ("clone", "clone3", "fork", "vfork"):
                text = name
        own = lists[order[pid]]
        if not own or own[-1] != text or name not in TIMED:
            own.append(text)
    return sorted(without_questions(calls) if may_ask else calls for calls in lists)


def main():
    arguments = sys.argv[1:]
    may_ask = arguments[0] == "--questions"
    middle = arguments.index("--")
    wanted = [processes(path, may_ask) for path in arguments[may_ask:middle]]
    got = [processes(path, may_ask) for path in arguments[middle + 1 :]]
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
