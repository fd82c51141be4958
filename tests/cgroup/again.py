#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the programs keep of a socket's last call, and must not go by when anything else is so
now: again.py GRAFT CGROUP PINS NAME says "ok" or what was wrong; --list names the cases.

A child is in the cgroup and does what it is told; GRAFT changes what it is judged by.
"""
import errno
import glob
import json
import os
import socket
import subprocess
import sys
import threading

ASKED = "192.0.2.1"
SO_COOKIE = 57
THREADS_SENDS = 20000
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def same(what, wanted, got):
    if wanted != got:
        raise AssertionError(f"{what}: wanted {wanted!r}, got {got!r}")


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


class Child:
    """In the cgroup. Sockets have names; answers are JSON."""

    def __init__(self, cgroup):
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if not self.pid:
            self.ours.close()
            with open(f"{cgroup}/cgroup.procs", "w", encoding="ascii") as procs:
                procs.write("0")
            serve(theirs)
            os._exit(0)
        theirs.close()

    def __getattr__(self, call):
        def ask(*arguments):
            self.ours.send(json.dumps([call, *arguments]).encode())
            return json.loads(self.ours.recv(4096))
        return ask

    def end(self):
        self.ours.close()
        os.waitpid(self.pid, 0)


def serve(channel):
    sockets = {}

    def make(name, family, kind):
        sockets[name] = socket.socket(getattr(socket, family), getattr(socket, kind))
        sockets[name].settimeout(20)

    def send(name, text, *address):
        return outcome(sockets[name].sendto, text.encode(), tuple(address))

    def connect(name, *address):
        return outcome(sockets[name].connect, tuple(address))

    def receive(name):
        text, source = sockets[name].recvfrom(64)
        return [text.decode(), *source[:2]]

    def peer(name):
        return sockets[name].getpeername()[:2]

    def cookie(name):
        return int.from_bytes(sockets[name].getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), sys.byteorder)

    def many(name, *addresses):
        """A thread for each address, all on one socket."""
        def one(address):
            for _ in range(THREADS_SENDS):
                sockets[name].sendto(address[0].encode(), tuple(address))
        threads = [threading.Thread(target=one, args=(address,)) for address in addresses]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    calls = locals()
    while message := channel.recv(4096):
        call, *arguments = json.loads(message)
        channel.send(json.dumps(calls[call](*arguments)).encode())


class Place:
    def __init__(self, graft, cgroup, pins):
        self.graft, self.cgroup = graft, cgroup
        self.pins = pins
        self.child = Child(cgroup)

    def run(self, *arguments):
        done = subprocess.run([self.graft, *arguments], capture_output=True, text=True, check=False)
        same(f"graft {' '.join(arguments)}: {done.stderr}", 0, done.returncode)
        return done.stdout

    def attach(self, *rules):
        self.run("attach", *(word for rule in rules for word in ("--rule", rule)), self.cgroup)

    def lead(self, port):
        self.attach(f"endpoint there ipv4 127.0.0.1:{port}", f"connect any {ASKED}:53 = there")

    def calls(self):
        return json.loads(self.run("stat", "--json", self.cgroup))["rules"][0]["calls"]

    def pin(self, name):
        """Of the programs that judge: this build's alone, as the place of pins is ours."""
        found = glob.glob(f"{self.pins}/graft/*/{name}")
        same(f"pins of {name}", 1, len(found))
        return found[0]


def server(address, family=socket.AF_INET):
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.settimeout(20)
    made.bind(address)
    return made


def reaches(place, text, wanted, *others):
    """A datagram of the child's arrives at @wanted and nowhere else."""
    same(f"{text}: sent", len(text), place.child.send("udp", text, ASKED, 53))
    same(f"{text}: at", text, wanted.recv(64).decode())
    for other in others:
        other.setblocking(False)
        same(f"{text}: elsewhere", "EAGAIN", outcome(other.recv, 64))
        other.settimeout(20)


@case
def a_replaced_policy_counts_at_once(place):
    a, b = server(("127.0.0.1", 5001)), server(("127.0.0.1", 5002))
    place.child.make("udp", "AF_INET", "SOCK_DGRAM")
    place.lead(5001)
    for n in range(3):
        reaches(place, f"a{n}", a, b)
    same("calls", 3, place.calls())
    place.lead(5002)
    for n in range(3):
        reaches(place, f"b{n}", b, a)
    same("calls of the new one", 3, place.calls())
    place.attach(f"connect udp {ASKED}:53 = deny:EHOSTDOWN")
    same("denied", ["EHOSTDOWN"] * 2, [place.child.send("udp", "c", ASKED, 53) for _ in range(2)])
    place.lead(5001)
    reaches(place, "d", a, b)
    place.run("detach", place.cgroup)
    same("not judged", "ENETUNREACH", place.child.send("udp", "e", ASKED, 53))


@case
def a_revoked_rule_is_refused_at_once(place):
    a = server(("127.0.0.1", 5001))
    rules = ["endpoint there ipv4 127.0.0.1:5001", f"connect udp {ASKED}:53 = there",
             f"connect udp {ASKED}:54 = there", f"connect udp {ASKED}:55 = there"]
    place.attach(*rules)
    for name in "udp", "other":
        place.child.make(name, "AF_INET", "SOCK_DGRAM")
    for port in 54, 55, 53:
        for _ in range(2):
            same(f"to {port}", 1, place.child.send("udp", "a", ASKED, port))
    # twice, for the image is one of two by turns
    for rule, port in ((2, 54), (1, 53)):
        place.run("revoke", "--rule", str(rule), place.cgroup)
        same(f"rule {rule} revoked", "EACCES", place.child.send("udp", "b", ASKED, port))
    same("the rest", 1, place.child.send("udp", "c", ASKED, 55))
    place.attach(*rules)
    same("another policy, another socket", 1, place.child.send("other", "d", ASKED, 53))
    while a.recv(64) != b"d":
        pass


@case
def threads_of_one_socket_keep_apart(place):
    """Each names its address in what it sends."""
    addresses = [("192.0.2.1", 53), ("192.0.2.2", 53)]
    servers = [server(("127.0.0.1", port)) for port in (5001, 5002)]
    place.attach("endpoint a ipv4 127.0.0.1:5001", "endpoint b ipv4 127.0.0.1:5002",
                 "connect udp 192.0.2.1:53 = a", "connect udp 192.0.2.2:53 = b")
    heard = [set(), set()]

    def listen(n):
        while (text := servers[n].recv(64).decode()) != "end":
            heard[n].add(text)
    threads = [threading.Thread(target=listen, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    place.child.make("udp", "AF_INET", "SOCK_DGRAM")
    place.child.many("udp", *addresses)
    for thread, port in zip(threads, (5001, 5002)):
        while thread.is_alive():  # a full buffer drops what ends it
            server_of_none = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            server_of_none.sendto(b"end", ("127.0.0.1", port))
            server_of_none.close()
            thread.join(0.1)
    same("heard", [{"192.0.2.1"}, {"192.0.2.2"}], heard)


@case
def families_keep_apart(place):
    """The hook for IPv4 has 127.0.0.1 in the word the other has the beginning of 7f00:1:: in."""
    a = server(("127.0.0.1", 5001))
    place.attach("connect udp 0.0.0.0/0 = host", "connect udp [::]/0 = deny:EHOSTDOWN")
    place.child.make("udp", "AF_INET6", "SOCK_DGRAM")
    for _ in range(2):
        same("IPv4", 1, place.child.send("udp", "a", "::ffff:127.0.0.1", 5001))
        same("arrives", b"a", a.recv(64))
        same("IPv6", "EHOSTDOWN", place.child.send("udp", "b", "7f00:1::", 5001))


@case
def an_answer_comes_from_where_it_was_asked(place):
    """Even if the table of what was sent has room for others only."""
    a = server(("127.0.0.1", 5001))
    place.child.make("udp", "AF_INET", "SOCK_DGRAM")
    place.lead(5001)
    sent = place.pin("graft_sent")
    for n in range(3):
        same("sent", 1, place.child.send("udp", "q", ASKED, 53))
        text, source = a.recvfrom(64)
        for entry in json.loads(subprocess.run(["bpftool", "-j", "map", "dump", "pinned", sent],
                                               capture_output=True, check=True).stdout):
            subprocess.run(["bpftool", "map", "delete", "pinned", sent, "key", *entry["key"]], check=True)
        a.sendto(text, source)
        same(f"answer {n}", ["q", ASKED, 53], place.child.receive("udp"))


@case
def a_taken_place_costs_memory_and_nothing_else(place):
    """A stream whose place in the table of connect()s another has."""
    listener = socket.create_server(("127.0.0.1", 5001))
    place.lead(5001)
    for name, is_taken in ("free", False), ("taken", True):
        place.child.make(name, "AF_INET", "SOCK_STREAM")
        cookie = place.child.cookie(name)
        key = (cookie & 0xffff).to_bytes(4, sys.byteorder)
        value = (cookie + 0x10000).to_bytes(8, sys.byteorder) + bytes(56)
        brief = place.pin("graft_brief")
        if is_taken:
            subprocess.run(["bpftool", "map", "update", "pinned", brief, "key", *map(str, key),
                            "value", *map(str, value)], check=True)
        same(f"{name}: connect", None, place.child.connect(name, ASKED, 53))
        same(f"{name}: peer", [ASKED, 53], place.child.peer(name))
        accepted, _ = listener.accept()
        if is_taken:
            place.run("revoke", "--rule", "1", place.cgroup)
            accepted.settimeout(20)
            same("revoked: the other end", "ECONNRESET", outcome(accepted.recv, 1))


def main():
    if sys.argv[1] == "--list":
        print("\n".join(CASES))
        return 0
    graft, cgroup, pins, name = sys.argv[1:]
    place = Place(graft, cgroup, pins)
    try:
        CASES[name](place)
    except AssertionError as wrong:
        print(wrong)
        return 1
    finally:
        place.child.end()
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
