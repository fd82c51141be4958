#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""graftd under a service manager: one that the test plays, and, for activation,
systemd-socket-activate.

	Manager ── $NOTIFY_SOCKET <── graftd: READY=1, FDSTORE=1 with a descriptor ...
	   └────── $LISTEN_FDS ──> the next graftd: the unit's socket, and what was stored
"""
import os
import shutil
import signal
import socket
import subprocess
import time

import broker
from broker import Graftd, Server, check, equal, errno_of, knock, until

# To be told its own pid, a process is started by a shell that becomes it.
BECOME = 'LISTEN_PID=$$ exec "$@"'


class Manager:
    """As systemd does it: what is stored is given to each process that is started."""

    def __init__(self, graftd, unit=False, watchdog_us=0):
        self.graftd = graftd
        self.watchdog_us = watchdog_us
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.settimeout(broker.DEADLINE)
        self.notify.bind(graftd.directory + "/notify")
        self.store = {}
        self.said = []
        self.listener = None
        if unit:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.listener.bind(graftd.path)
            self.listener.listen(128)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.notify.close()
        self.forget()
        if self.listener:
            self.listener.close()

    def forget(self):
        """The unit is stopped."""
        for fd in self.store.values():
            os.close(fd)
        self.store = {}

    def start(self):
        """-> when it is ready"""
        given = list(self.store.items())
        if self.listener:
            given.insert(0, ("control", self.listener.fileno()))
        environment = dict(os.environ, NOTIFY_SOCKET=self.notify.getsockname())
        if self.watchdog_us:
            environment["WATCHDOG_USEC"] = str(self.watchdog_us)
        if given:
            environment["LISTEN_FDS"] = str(len(given))
            environment["LISTEN_FDNAMES"] = ":".join(name for name, _ in given)
        # Out of the way of the numbers that they get.
        high = [broker.fcntl.fcntl(fd, broker.fcntl.F_DUPFD_CLOEXEC, 500)
                for _, fd in given]

        def take_fds():
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)

        command = self.graftd.command
        self.graftd.command = lambda *options: ["sh", "-c", BECOME, "sh",
                                                *command(*options)]
        try:
            self.graftd.start(env=environment, preexec_fn=take_fds,
                              pass_fds=range(3, 3 + len(given)))
        finally:
            self.graftd.command = command
            for fd in high:
                os.close(fd)
        self.until("READY=1")

    def hear(self):
        """One message. -> its lines"""
        data, fds, _, _ = socket.recv_fds(self.notify, 4096, 4)
        lines = data.decode().split("\n")
        fields = dict(line.split("=", 1) for line in lines)
        if "FDSTORE" in fields:
            equal(1, len(fds), "descriptors")
            equal("0", fields.get("FDPOLL"), "FDPOLL")
            check(len(fields["FDNAME"]) < 256 and ":" not in fields["FDNAME"],
                  "a name that systemd refuses")
            self.store[fields["FDNAME"]] = fds[0]
        elif "FDSTOREREMOVE" in fields:
            fd = self.store.pop(fields["FDNAME"], None)
            if fd is not None:
                os.close(fd)
        self.said.append(lines)
        return lines

    def until(self, line):
        """What was said up to then, and is to be heard no more."""
        end = time.monotonic() + broker.DEADLINE
        while not any(line in lines for lines in self.said):
            check(time.monotonic() < end, f"no {line}, but {self.said}")
            self.hear()
        said, self.said = self.said, []
        return said

    def hear_all(self):
        self.notify.setblocking(False)
        try:
            while True:
                self.hear()
        except BlockingIOError:
            pass
        finally:
            self.notify.settimeout(broker.DEADLINE)


def test_store(unit):
    """kill -9: systemd's store has what is needed"""
    with Graftd() as graftd, Manager(graftd, unit) as manager:
        manager.start()
        equal([], broker.processes("graft-holder"))
        with graftd.client() as client:
            client.add("web ipv4 127.0.0.1:8080 hold")
            client.add("shut ipv4 127.0.0.1:8081 hold")
            client.add("gone ipv4 127.0.0.1:8082 hold")
        shut = Server(graftd.path, "shut")
        server = Server(graftd.path, "web")
        gone = Server(graftd.path, "gone")
        gone.end()
        waiting = knock(8080, b"one")
        graftd.kill()
        manager.hear_all()
        equal(3 + (not unit), len(manager.store), f"in the store: {manager.store}")
        shut.shutdown()
        shut.end()
        server.end()
        early = graftd.client()
        early.socket.send(broker.pack(broker.HELLO, (1, os.getpid())))
        manager.start()
        equal(broker.HELLO, early.receive()[0])
        early.close()
        with Server(graftd.path, "web") as second:
            equal(server.cookie, second.cookie)
            equal(b"one", second.accept())
            equal(b"served one", waiting.recv(64))
            with graftd.client() as client:
                client.delete("gone")
            check(f"held-{gone.cookie:x}" in manager.store, manager.store)
            equal([["FDSTOREREMOVE=1", f"FDNAME=held-{gone.cookie:x}"]],
                  [lines for lines in manager.until("FDSTOREREMOVE=1")
                   if "FDSTOREREMOVE=1" in lines])
            check(broker.refuses(8082), "it is there still")
            until("the one shut down listens", lambda: not broker.refuses(8081))
            graftd.kill()
            manager.hear_all()
            manager.start()
            equal("EADDRINUSE", errno_of(Server, graftd.path, "web"))
        equal(2 + (not unit), len(manager.store))


def test_restart():
    """SIGTERM and another start, as `systemctl restart` does: nothing that is held is lost"""
    with Graftd() as graftd, Manager(graftd, unit=True) as manager:
        manager.start()
        with graftd.client() as client:
            client.add("web ipv4 127.0.0.1:8080 hold")
        server = Server(graftd.path, "web")
        graftd.stop()
        manager.until("STOPPING=1")
        check(os.path.exists(graftd.path), "the unit's socket is gone")
        waiting = graftd.client()
        waiting.socket.send(broker.pack(broker.HELLO, (1, os.getpid())))
        manager.start()
        equal(broker.HELLO, waiting.receive()[0])
        equal("EADDRINUSE", errno_of(Server, graftd.path, "web"))
        server.end()
        with Server(graftd.path, "web") as second:
            equal(server.cookie, second.cookie)
        # `systemctl stop`: the store is emptied.
        graftd.stop()
        manager.hear_all()
        manager.forget()
        check(broker.refuses(8080), "somebody listens")


def test_own_socket_restart():
    """the same without a socket unit: a path that clients find"""
    with Graftd() as graftd, Manager(graftd) as manager:
        manager.start()
        graftd.stop()
        manager.until("STOPPING=1")
        manager.start()
        with graftd.client() as client:
            client.greet()
        equal(["graftd-control"], list(manager.store))


def test_states():
    """what systemd is told: ready, reloading, ready, stopping"""
    with Graftd() as graftd, Manager(graftd) as manager:
        manager.start()
        with open(graftd.config, "w", encoding="ascii") as config:
            config.write("endpoint one ipv4 127.0.0.1:8080\n")
        before = time.monotonic_ns() // 1000
        graftd.process.send_signal(signal.SIGHUP)
        said = manager.until("READY=1")
        equal("RELOADING=1", said[0][0])
        name, value = said[0][1].split("=")
        equal("MONOTONIC_USEC", name)
        check(before <= int(value) <= time.monotonic_ns() // 1000, "not now")
        equal(["READY=1", "STATUS=1 endpoints"], said[-1])
        # A mistake: also ready afterwards, and as before.
        with open(graftd.config, "w", encoding="ascii") as config:
            config.write("nonsense\n")
        graftd.process.send_signal(signal.SIGHUP)
        said = manager.until("READY=1")
        equal("RELOADING=1", said[0][0])
        with graftd.client() as client:
            equal({"one"}, set(client.show()))
        graftd.stop()
        manager.until("STOPPING=1")


def test_watchdog():
    """the watchdog is fed as often as it wants to be, and not if nobody asked"""
    with Graftd() as graftd, Manager(graftd, watchdog_us=100000) as manager:
        manager.start()
        start = time.monotonic()
        for _ in range(20):
            manager.until("WATCHDOG=1")
        took = time.monotonic() - start
        # One second, when the machine has nothing else to do.
        check(took < 5, f"twenty times in {took:.3f} s")
        graftd.stop()
    with Graftd() as graftd, Manager(graftd) as manager:
        manager.start()
        manager.notify.settimeout(0.3)
        try:
            check(False, f"unasked: {manager.hear()}")
        except TimeoutError:
            pass
        graftd.stop()


def test_from_holder():
    """what a holder has moves to systemd when graftd is started there"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.add("web ipv4 127.0.0.1:8080 hold")
        server = Server(graftd.path, "web")
        graftd.holder()
        graftd.kill()
        with Manager(graftd) as manager:
            manager.start()
            until("the holder's end", lambda: not broker.processes("graft-holder"))
            equal("EADDRINUSE", errno_of(Server, graftd.path, "web"))
            server.end()
            graftd.kill()
            manager.hear_all()
            manager.start()
            with Server(graftd.path, "web") as second:
                equal(server.cookie, second.cookie)


def test_strangers():
    """what else it is started with is closed, and does no harm"""
    with Graftd() as graftd, Manager(graftd) as manager:
        ours, theirs = socket.socketpair()
        manager.store["held-1"] = ours.detach()
        manager.store["held-zz"] = os.open("/dev/null", os.O_RDONLY)
        manager.store["other"] = os.open("/dev/null", os.O_RDONLY)
        manager.start()
        manager.hear_all()
        equal(["graftd-control"], list(manager.store))
        theirs.settimeout(broker.DEADLINE)
        equal(b"", theirs.recv(1), "graftd has it still")
        with graftd.client() as client:
            client.greet()


def test_activation():
    """systemd-socket-activate: the first client starts graftd and is served"""
    with Graftd() as graftd:
        command = ["systemd-socket-activate", "--seqpacket", "-l", graftd.path]
        graftd.process = subprocess.Popen(command + graftd.command(),
                                          stdin=subprocess.DEVNULL,
                                          stdout=subprocess.PIPE,
                                          stderr=subprocess.DEVNULL)
        until("the socket", lambda: os.path.exists(graftd.path) and
              not errno_of(graftd.client))
        with graftd.client() as client:
            client.add("one ipv4 127.0.0.1:8080")
            equal({"one"}, set(client.show()))
        graftd.stop()
        check(os.path.exists(graftd.path), "not graftd's to take away")


def main():
    broker.enter()
    points = broker.Points()
    points.run(test_store, False)
    points.run(test_store, True)
    for test in (test_restart, test_own_socket_restart, test_states, test_watchdog,
                 test_from_holder, test_strangers):
        points.run(test)
    if shutil.which("systemd-socket-activate"):
        points.run(test_activation)
    else:
        points.skip("systemd-socket-activate", "it is not installed")
    points.end()


if __name__ == "__main__":
    main()
