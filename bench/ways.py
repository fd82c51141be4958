# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways a program's sockets can reach the host: one class each.

A way puts a program somewhere: place() prepares what it needs (undone when the stack
unwinds) and returns the words that go before the program's own, and the address at which
the other side is found:

    serving     the program listens inside, clients are on the host
    connecting  servers are on the host, the program connects to them
    both        client and server are both inside, each in a place of its own
    alone       the program talks to itself

To add a way: write a class, add it to WAYS. Everything else follows from there.
"""

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass

from host import OUT, OUT_NET, Failure, run, until


@dataclass
class Place:
    prefix: list
    address: str
    listens: str = "0.0.0.0"  # what a server there is told to
    ready: Callable[[], bool] = None  # whether the server is there, if it cannot be asked


class Way:
    name = title = ""
    program, package = None, None
    directions = "serving", "connecting"  # those that say something about this way
    only_load = False  # other programs cannot be told to go this way
    datagrams = False  # it is set up for them, too

    def unavailable(self, _host):
        """Why this way cannot be measured here, or None."""
        if self.program and not shutil.which(self.program):
            return f"{self.program} is not installed (Debian: {self.package})"
        return None

    def place(self, stack, host, direction, port, cpus):
        raise NotImplementedError


class Native(Way):
    """On the host, nothing in between; what all others are compared with."""

    datagrams = True
    directions = "serving", "connecting", "both", "alone"

    def __init__(self, name, title):
        self.name, self.title = name, title

    def place(self, stack, host, direction, port, cpus):
        return Place(host.as_user(), OUT)


class Bridge(Way):
    """A veth pair into a bridge, no NAT: a container network at its best."""

    name, title, datagrams = "veth", "veth+bridge", True

    def place(self, stack, host, direction, port, cpus):
        enter, pid = host.holder(stack, cpus)
        run("ip", "link", "add", "br0", "type", "bridge")
        stack.callback(run, "ip", "link", "del", "br0")
        run("ip", "link", "add", "br-c", "type", "veth", "peer", "name", "eth0", "netns",
            str(pid))
        stack.callback(run, "ip", "link", "del", "br-c")
        run("ip", "link", "set", "br-c", "master", "br0", "up")
        run("ip", "addr", "add", "10.88.0.1/24", "dev", "br0")
        run("ip", "link", "set", "br0", "up")
        run(*enter, "ip", "addr", "add", "10.88.0.2/24", "dev", "eth0")
        run(*enter, "ip", "link", "set", "eth0", "up")
        run(*enter, "ip", "route", "add", "default", "via", "10.88.0.1")
        host.set_congestion_control()
        host.set_congestion_control(enter)
        address = "10.88.0.2" if direction == "serving" else "10.88.0.1"
        return Place([*enter, *host.as_user()], address)


class Pasta(Way):
    """pasta on its fast path: loopback to loopback, bytes spliced, no packets."""

    name, title = "pasta", "pasta (splice)"
    program, package = "pasta", "passt"

    def place(self, stack, host, direction, port, cpus):
        inward = str(port) if direction == "serving" else "none"
        outward = str(port) if direction == "connecting" else "none"
        return Place([*host.as_user(), "pasta", "--quiet", "--config-net", "--ipv4-only",
                      "-t", inward, "-T", outward, "-u", "none", "-U", "none", "--",
                      host.congestion, host.congestion_control], "127.0.0.1")


class Slirp(Way):
    """slirp4netns with its largest MTU; ports through its own API, no second proxy."""

    name, title = "slirp4netns", "slirp4netns"
    program, package = "slirp4netns", "slirp4netns"

    def place(self, stack, host, direction, port, cpus):
        enter, pid = host.holder(stack, cpus)
        api = host.path(f"slirp.{pid}")
        process = host.start(stack, ["slirp4netns", "--configure", "--mtu=65520",
                                     "--disable-dns", "--api-socket", api, str(pid),
                                     "tap0"], cpus)
        until(lambda: os.path.exists(api) and "10.0.2.100" in
              run(*enter, "ip", "-4", "addr", "show"), process.check)
        host.set_congestion_control(enter)
        if direction == "serving":
            self._publish(api, port)
        address = "127.0.0.1" if direction == "serving" else "10.0.2.2"
        return Place([*enter, *host.as_user()], address)

    @staticmethod
    def _publish(api, port):
        request = {"execute": "add_hostfwd", "arguments": {
            "proto": "tcp", "host_addr": "127.0.0.1", "host_port": port,
            "guest_addr": "10.0.2.100", "guest_port": port}}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(api)
            connection.sendall(json.dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            answer = json.loads(connection.makefile().read() or "{}")
        if "return" not in answer:
            raise Failure(f"slirp4netns refused to publish port {port}: {answer}")


class Graft(Way):
    """graft run, started by an ordinary user.

    Connecting, the rule decides what a connection costs: with a prefix, a socket's stack is
    known at connect() only; with all addresses (0/0) it is known from socket() on.
    """

    def __init__(self, engine, program):
        self.name, self.title = f"graft-{engine}", f"graft ({engine})"
        self.engine, self.program = engine, program
        self.datagrams = engine != "preload"
        self.directions = "serving", "connecting", "alone"
        self.egress = OUT_NET

    @classmethod
    def to_anywhere(cls, engine, program):
        way = cls(engine, program)
        way.name, way.title = way.name + "-any", f"graft ({engine}, 0/0)"
        way.directions = ("connecting",)
        way.egress = "0.0.0.0/0"
        return way

    def unavailable(self, host):
        if not self.program or not os.path.exists(self.program):
            return "graft is not built (ninja -C build)"
        try:
            run(*host.as_user(), self.program, "run", "--engine", self.engine, "--",
                "true", env=host.env, timeout=20)
        except (Failure, OSError, TimeoutError) as failure:
            return str(failure)
        return None

    def place(self, stack, host, direction, port, cpus):
        rules = {"serving": ["-p", f"{port}:{port}"],
                 "connecting": ["-e", f"{self.egress}=host"],
                 "alone": ["-e", f"{OUT_NET}=host", "--rule", f"bind tcp {OUT_NET} = host"]}
        return Place([*host.as_user(), self.program, "run", "--engine", self.engine,
                      *rules[direction], "--"], OUT)


class GraftCgroup(Way):
    """graft run --engine cgroup, started by root: the kernel judges an ordinary user's
    program where it is. What it is judged by comes after @n_rules others, which are for
    nobody; connecting, it leads somewhere else than the program asks for."""

    datagrams = True
    asked = "192.0.2.1"

    def __init__(self, program, n_rules=0):
        self.program, self.n_rules = program, n_rules
        self.name, self.title = "graft-cgroup", "graft (cgroup)"
        if n_rules:
            self.name += f"-{n_rules}"
            self.title = f"graft (cgroup, {n_rules + 2} rules)"
        self.directions = ("connecting",) if n_rules else ("serving", "connecting")

    def unavailable(self, host):
        if not self.program or not os.path.exists(self.program):
            return "graft is not built (ninja -C build)"
        try:
            run(self.program, "run", "--engine", "cgroup", "--", "true", timeout=60)
        except (Failure, OSError, TimeoutError) as failure:
            return str(failure)
        return None

    def place(self, stack, host, direction, port, cpus):
        path = host.path("cgroup.policy")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"endpoint there ipv4 {OUT}:{port}\n")
            for i in range(self.n_rules):
                file.write(f"connect tcp 10.{i >> 8 & 255}.{i & 255}.7:{1024 + i} = deny\n")
            file.write({"serving": f"bind tcp 0.0.0.0:{port} = there\n",
                        "connecting": f"connect tcp {self.asked}:{port} = there\n"
                                      f"connect udp {self.asked}:{port} = there\n"}[direction])
        return Place([self.program, "run", "--engine", "cgroup", "--policy", path, "--",
                      *host.as_user()], self.asked if direction == "connecting" else OUT)


class Shortcut(GraftCgroup):
    """Both ends in a run of their own with `shortcut on`: past TCP, where sockets do not
    block."""

    def __init__(self, program):
        super().__init__(program)
        self.name, self.title = "graft-shortcut", "graft (cgroup, shortcut)"
        self.directions = ("both",)

    def place(self, stack, host, direction, port, cpus):
        return Place([self.program, "run", "--engine", "cgroup", "--rule", "shortcut on",
                      "--", *host.as_user()], OUT)


class GraftJudged(GraftCgroup):
    """graft run --engine notify, started by root with a policy that leaves the judging to
    the kernel: the supervisor makes the sockets of an ordinary user's program."""

    def __init__(self, program):
        super().__init__(program)
        self.name, self.title = "graft-notify-root", "graft (notify, root)"

    def place(self, stack, host, direction, port, cpus):
        path = host.path("judged.policy")
        with open(path, "w", encoding="ascii") as file:
            file.write("loopback own\n"
                       f"endpoint here ipv4 {OUT}:{port}\n"
                       f"bind tcp 0.0.0.0:{port} = here\n")
            for proto in "tcp", "udp":
                file.write(f"connect {proto} 0.0.0.0/0 = host\n"
                           f"connect {proto} [::]/0 = host\n")
        return Place([self.program, "run", "--engine", "notify", "--policy", path, "--",
                      *host.as_user()], OUT)


class GraftDaemon(Way):
    """The preload library by itself: sockets from graftd, no process of ours beside."""

    name, title = "graftd", "graftd + preload"

    def __init__(self, build):
        self.graftd = os.path.join(build, "src/broker/graftd")
        self.library = os.path.join(build, "src/intercept/libgraft-hijack.so")

    def unavailable(self, _host):
        for path in self.graftd, self.library:
            if not os.path.exists(path):
                return f"{os.path.basename(path)} is not built (ninja -C build)"
        return None

    def place(self, stack, host, direction, port, cpus):
        state = host.path("graftd")
        os.makedirs(state, exist_ok=True)
        conf, sock = state + "/graftd.conf", state + "/graftd.sock"
        with open(conf, "w", encoding="ascii") as file:
            file.write("stack host owner any\n")
        daemon = host.start(stack, [self.graftd, "--foreground", "--state", state,
                                    "--socket", sock, "--config", conf], cpus)
        until(lambda: os.path.exists(sock), daemon.check)
        enter, _ = host.holder(stack, cpus)
        policy = state + "/policy"
        with open(policy, "w", encoding="ascii") as file:
            file.write({"serving": f"bind tcp 0.0.0.0:{port} = host\n",
                        "connecting": f"connect tcp {OUT_NET} = host\n"}[direction])
        return Place([*enter, *host.as_user(), "env", f"GRAFT_SOCKET={sock}",
                      f"GRAFT_POLICY={policy}", f"LD_PRELOAD={self.library}"], OUT)


class Path(Way):
    """Client and server speak AF_UNIX themselves: what no way onto it can beat."""

    name, title, directions = "unix", "AF_UNIX by itself", ("both",)
    only_load = True

    def place(self, stack, host, direction, port, cpus):
        path = host.path("run/own.sock")
        if direction == "serving":
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        return Place(host.as_user(), path, path, ready=lambda: os.path.exists(path))


class Unix(Way):
    """Client and server ask for TCP, and meet on a UNIX path."""

    name, title, directions = "graft-unix", "graft (preload, TCP on UNIX)", ("both",)

    def __init__(self, program):
        self.program = program

    def unavailable(self, host):
        return Graft("preload", self.program).unavailable(host)

    def place(self, stack, host, direction, port, cpus):
        path = host.path("run/bench.sock")
        if direction == "serving":
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        return Place([*host.as_user(), self.program, "run", "--engine", "preload",
                      "--rule", f"endpoint bench unix {path}",
                      "--rule", f"bind tcp 0.0.0.0:{port} = bench",
                      "--rule", f"connect tcp {OUT}:{port} = bench", "--"], OUT,
                     ready=lambda: os.path.exists(path))


def ways(graft, build):
    """All ways, in the order of the tables. The first is what the others are divided by."""
    return [Native("native", "host-native"), Native("native2", "host-native again"),
            Bridge(), Pasta(), Slirp(), Graft("notify", graft),
            Graft.to_anywhere("notify", graft), Graft("preload", graft),
            GraftJudged(graft), GraftCgroup(graft), GraftCgroup(graft, 9998),
            GraftDaemon(build), Shortcut(graft), Unix(graft), Path()]
