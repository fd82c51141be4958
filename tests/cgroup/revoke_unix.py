#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Cases of `graft revoke` about rules on the paths of UNIX sockets, each in cgroups of its own
below CGROUP_TOP. The kernel has hooks for such from Linux 6.7 on.
"""
import os
import select
import signal
import socket
import sys
import tempfile

from revoking import Agent, attach, cgroup, DGRAM, equal, graft, let_hammer, main, n_destroyed, revoke, STREAM

UNIX, SEQPACKET = socket.AF_UNIX, socket.SOCK_SEQPACKET
DIR = tempfile.mkdtemp(dir=os.environ.get("T", "/tmp"))
DB, KEPT, FREE, ASKED = DIR + "/db", DIR + "/kept", "\0graft-free", "/run/asked"
RULES = (f"endpoint db unix {DB}", f"connect unix {ASKED} = db", f"connect unix {KEPT} = own")
CONNECT = {"x86_64": 42, "aarch64": 203}


def each_kind(function):
    """A case for each kind of socket."""
    for name, kind in (("stream", STREAM), ("seqpacket", SEQPACKET), ("datagram", DGRAM)):
        def case(kind=kind):
            function(kind)
        case.__doc__ = function.__doc__
        globals()[f"case_unix_{function.__name__}_{name}"] = case
    return function


def talks(a, a_key, b, b_key, kind):
    """Bytes pass, both ways, or from a datagram's connected end."""
    pairs = ((a, a_key, b, b_key), (b, b_key, a, a_key))
    for one, one_key, other, other_key in pairs[:1] if kind == DGRAM else pairs:
        one.good("send", one_key, b"ping")
        equal(f"bytes from {one_key} to {other_key}", b"ping", other.ask("recv", other_key, 16))


def is_over(agent, key, kind):
    """Nothing can be sent, and of a connection nothing comes."""
    equal(f"sending by {key}", "EPIPE", agent.ask("send", key, b"x"))
    if kind != DGRAM:
        equal(f"reading by {key}", b"", agent.ask("recv", key, 1))


def serve(agent, key, path, kind=STREAM, backlog=100):
    agent.good("socket", key, UNIX, kind)
    agent.good("bind", key, path)
    if kind != DGRAM:
        agent.good("listen", key, backlog)


class Connections:
    """To servers outside: `gone` by rule 1, `kept` by rule 2, `free` by none; and `beside` and
    `outside` where `gone` is, from a cgroup with the same policy and from outside of all; and a
    socketpair()."""

    def __init__(self, kind, rules=RULES):
        self.kind = kind
        self.app, self.other = cgroup("app"), cgroup("other")
        self.server = Agent()
        for key, path in (("gone", DB), ("kept", KEPT), ("free", FREE)):
            serve(self.server, "l" + key, path, kind)
        attach(self.app, *rules)
        attach(self.other, *rules)
        self.agent, self.beside, self.outside = Agent(self.app), Agent(self.other), Agent()
        self.pairs = []
        self.open("gone", self.agent, "gone", ASKED)
        self.open("kept", self.agent, "kept", KEPT)
        self.open("free", self.agent, "free", FREE)
        self.open("gone", self.beside, "beside", ASKED)
        self.open("gone", self.outside, "outside", DB)
        self.agent.good("pair", "one", "two", UNIX, kind)

    def open(self, server, agent, key, path):
        agent.connect(key, UNIX, path, self.kind)
        end = "l" + server
        if self.kind != DGRAM:
            self.server.good("accept", end, "s" + key)
            end = "s" + key
        talks(agent, key, self.server, end, self.kind)
        self.pairs.append((agent, key, end))

    def all_talk(self, *but):
        for agent, key, end in self.pairs:
            if key not in but:
                talks(agent, key, self.server, end, self.kind)
        talks(self.agent, "one", self.agent, "two", self.kind)

    def is_over(self, key):
        is_over(self.agent, key, self.kind)
        if self.kind != DGRAM:
            is_over(self.server, "s" + key, self.kind)

    def check(self, told, key="gone", asked=ASKED, rule=1):
        equal("rules", 1, told["rules"])
        equal("sockets", [("unix", "connected", asked, rule, "destroyed")],
              [(one["protocol"], one["state"], one["peer"], one["rule"], one["fate"])
               for one in told["sockets"]])
        self.is_over(key)
        self.all_talk(key)
        self.agent.good("socket", "again", UNIX, self.kind)
        equal("a new call", "EACCES", self.agent.ask("connect", "again", asked))
        self.agent.good("connect", "again", KEPT if asked == ASKED else ASKED)
        self.open("gone" if asked == ASKED else "kept", self.beside, "again", asked)


@each_kind
def rule(kind):
    made = Connections(kind)
    made.check(revoke(made.app, "--rule", "1"))


@each_kind
def rule_own(kind):
    made = Connections(kind)
    made.check(revoke(made.app, "--rule", RULES[2]), "kept", KEPT, 2)


@each_kind
def endpoint(kind):
    made = Connections(kind)
    made.check(revoke(made.app, "--endpoint", "db"))


@each_kind
def whole_policy(kind):
    made = Connections(kind)
    told = revoke(made.app)
    equal("rules and sockets", (2, 2), (told["rules"], n_destroyed(told)))
    made.is_over("gone")
    made.is_over("kept")
    made.all_talk("gone", "kept")
    told = revoke(made.app)
    equal("the second time", (0, []), (told["rules"], told["sockets"]))


@each_kind
def dry_run(kind):
    made = Connections(kind)
    text = graft("revoke", "--dry-run", "--rule", "1", made.app)
    assert f"would destroy unix, connected, * - {ASKED}, by rule 1" in text, text
    assert "1 rule would be revoked, 1 socket would be destroyed" in text, text
    told = revoke(made.app, "--dry-run")
    equal("as an object", [None, None], [one["fate"] for one in told["sockets"]])
    made.all_talk()
    made.open("gone", made.agent, "another", ASKED)
    assert "revoked" not in graft("stat", made.app)
    text = graft("revoke", "-v", "--rule", "1", made.app)
    assert f"destroyed unix, connected, * - {ASKED}, by rule 1" in text, text
    assert "1 rule revoked, 2 sockets destroyed" in text, text
    made.all_talk("gone", "another")


@each_kind
def policy_replaced(kind):
    """The rule is the one that decides the same call now."""
    made = Connections(kind)
    attach(made.app, "connect unix /elsewhere = own", *RULES)
    told = revoke(made.app, "--rule", "1")
    equal("a rule of that number did not make it", [], told["sockets"])
    made.all_talk()
    made.check(revoke(made.app, "--rule", "2"), rule=2)
    attach(made.app, *RULES)
    made.open("gone", made.agent, "anew", ASKED)
    made.is_over("gone")
    attach(made.app, "connect udp 127.0.0.1:9 = host")
    equal("no rule decides it any more", [], revoke(made.app)["sockets"])
    talks(made.agent, "anew", made.server, made.pairs[-1][2], kind)


@each_kind
def nested(kind):
    """Two policies over one socket: each may be revoked."""
    app, below, server = cgroup("app"), cgroup("app/below"), Agent()
    serve(server, "l", DB, kind)
    attach(app, f"connect unix {DB} = own", "connect unix * = deny")
    attach(below, f"endpoint db unix {DB}", "connect unix /a = db", "connect unix /b = db")
    agent = Agent(below)
    agent.connect("a", UNIX, "/a", kind)
    agent.connect("b", UNIX, "/b", kind)
    equal("of the inner one", 1, n_destroyed(revoke(below, "--rule", "1")))
    is_over(agent, "a", kind)
    agent.good("send", "b", b"x")
    equal("of the outer one", 1, n_destroyed(revoke(app, "--rule", "1")))
    is_over(agent, "b", kind)


@each_kind
def given_away(kind):
    """By SCM_RIGHTS to a process outside, and its maker is gone; another one has a copy."""
    app, server = cgroup(), Agent()
    serve(server, "l", DB, kind)
    attach(app, *RULES)
    agent = Agent(app)
    agent.connect("c", UNIX, ASKED, kind)
    taken = agent.take("c")
    agent.end()
    taken.send(b"ping")
    equal("destroyed", 1, n_destroyed(revoke(app)))
    try:
        taken.send(b"x")
        raise AssertionError("it lives")
    except BrokenPipeError:
        pass


def put_on_its_way(agent, key):
    """In a message that nobody has received, and its maker is gone. Return: where it is."""
    agent.send("give", key)
    channel, agent.mine = agent.mine, socket.socketpair()[0]
    select.select([channel], [], [])
    agent.end()
    return channel


def receive(channel):
    _, descriptors, _, _ = socket.recv_fds(channel, 1 << 16, 1)
    return socket.socket(fileno=descriptors[0])


def case_unix_on_its_way_with_peer():
    """A process has its other end: that is enough."""
    app, server = cgroup(), Agent()
    serve(server, "l", DB)
    attach(app, *RULES)
    agent = Agent(app)
    agent.connect("c", UNIX, ASKED)
    server.good("accept", "l", "s")
    channel = put_on_its_way(agent, "c")
    equal("destroyed", 1, n_destroyed(revoke(app)))
    is_over(server, "s", STREAM)
    equal("for whoever receives it", b"", receive(channel).recv(1))


@each_kind
def on_its_way(kind):
    """No process has it, nor its other end, if it has one."""
    app, server = cgroup(), Agent()
    serve(server, "l", DB, kind)
    serve(server, "k", KEPT, kind)
    attach(app, *RULES)
    agent = Agent(app)
    agent.connect("c", UNIX, ASKED, kind)
    channel = put_on_its_way(agent, "c")
    text = graft("revoke", "-v", app)
    assert f"lives unix, connected, * - {ASKED}, by rule 1" in text, text
    assert "2 rules revoked, 0 sockets destroyed, 1 lives" in text, text
    assert "1 UNIX socket, of which no process has a descriptor to be had, still lives" in text
    taken = receive(channel)
    taken.send(b"x")
    if kind == DGRAM:
        attach(app, *RULES)
        try:
            taken.sendto(b"x", KEPT)
            raise AssertionError("it is not dead")
        except PermissionError:
            pass
    told = revoke(app)
    equal("now a process has it", ["destroyed"], [one["fate"] for one in told["sockets"]])
    try:
        taken.send(b"x")
        raise AssertionError("it lives")
    except BrokenPipeError:
        pass
    equal("after that", [], revoke(app)["sockets"])


@each_kind
def failed_calls(kind):
    """What a rule let but did not come about is not by that rule."""
    app, server = cgroup(), Agent()
    serve(server, "l", KEPT, kind)
    attach(app, *RULES)
    agent = Agent(app)
    for key in "ab":
        agent.good("socket", key, UNIX, kind)
        equal("nobody there", "ENOENT", agent.ask("connect", key, ASKED))
    agent.good("connect", "a", KEPT)
    equal("sockets", [], revoke(app, "--rule", "1")["sockets"])
    agent.good("send", "a", b"x")
    agent.good("connect", "b", KEPT)
    agent.good("send", "b", b"x")


@each_kind
def before_the_policy(kind):
    """What was there before is of no rule."""
    app, server = cgroup(), Agent()
    serve(server, "l", KEPT, kind)
    agent = Agent(app)
    agent.connect("c", UNIX, KEPT, kind)
    attach(app, *RULES)
    equal("sockets", [], revoke(app)["sockets"])
    agent.good("send", "c", b"x")


def case_unix_connected_already():
    """A call that must fail changes nothing."""
    made = Connections(STREAM)
    equal("twice", "EISCONN", made.agent.ask("connect", "gone", KEPT))
    equal("of the second rule", [KEPT],
          [one["peer"] for one in revoke(made.app, "--rule", "2")["sockets"]])
    talks(made.agent, "gone", made.server, "sgone", STREAM)
    made.is_over("kept")
    equal("of the first rule", 1, n_destroyed(revoke(made.app, "--rule", "1")))
    made.is_over("gone")


def case_unix_accepted_is_spared():
    """Whom somebody connected to is not by a rule for whom it may connect to."""
    app = cgroup()
    attach(app, "connect unix * = own")
    agent, client = Agent(app), Agent()
    serve(agent, "l", DB)
    client.connect("c", UNIX, DB)
    agent.good("accept", "l", "a")
    equal("sockets", [], revoke(app)["sockets"])
    talks(agent, "a", client, "c", STREAM)


def case_unix_other_netns():
    app = cgroup()
    attach(app, "connect unix @there = own")
    agent = Agent(app, netns=True)
    serve(agent, "l", "\0there")
    agent.connect("c", UNIX, "\0there")
    agent.good("accept", "l", "s")
    told = revoke(app)
    equal("destroyed", [("@there", "destroyed")],
          [(one["peer"], one["fate"]) for one in told["sockets"]])
    assert told["sockets"][0]["netns"] != os.stat("/proc/self/ns/net").st_ino
    is_over(agent, "c", STREAM)


def case_unix_datagrams_reconnect():
    """A connect() that fails leaves the socket where it was, by that rule."""
    app, server = cgroup(), Agent()
    serve(server, "l", DB, DGRAM)
    attach(app, *RULES)
    agent = Agent(app)
    agent.connect("failed", UNIX, ASKED, DGRAM)
    equal("nobody there", "ENOENT", agent.ask("connect", "failed", KEPT))
    serve(server, "k", KEPT, DGRAM)
    for key, first, then in (("there", ASKED, KEPT), ("back", KEPT, ASKED)):
        agent.connect(key, UNIX, first, DGRAM)
        agent.good("connect", key, then)
    equal("of the second rule", 1, n_destroyed(revoke(app, "--rule", "2")))
    is_over(agent, "there", DGRAM)
    for key in ("failed", "back"):
        talks(agent, key, server, "l", DGRAM)
    equal("of the first rule", 2, n_destroyed(revoke(app, "--rule", "1")))
    for key in ("failed", "back"):
        is_over(agent, key, DGRAM)


def case_unix_datagrams_disconnected():
    app, server = cgroup(), Agent()
    serve(server, "l", DB, DGRAM)
    serve(server, "k", KEPT, DGRAM)
    attach(app, *RULES)
    agent = Agent(app)
    agent.connect("c", UNIX, ASKED, DGRAM)
    agent.good("unspec", "c")
    equal("sockets", [], revoke(app, "--rule", "1")["sockets"])
    agent.good("sendto", "c", b"x", KEPT)
    equal("by address", b"x", server.ask("recv", "k", 9))


# --- calls that wait, and several at a time -------------------------------------------------

def fill(agent, path):
    """The next connect() to @path, which has room for one, waits."""
    agent.connect("fill" + path, UNIX, path)


def begin(agent, key, what, *rest):
    """In a thread of the agent's; it waits in connect() when this returns."""
    thread = agent.good("begin", key, what, *rest)
    number = CONNECT.get(os.uname().machine)
    while True:
        with open(f"/proc/{agent.pid}/task/{thread}/syscall", encoding="ascii") as syscall:
            if syscall.read().split()[0] == str(number):
                return
        os.sched_yield()


def case_unix_waiting():
    """A connect() that was judged before, and comes about only afterwards."""
    app, server, outside = cgroup(), Agent(), Agent()
    serve(server, "l", DB, backlog=0)
    serve(server, "k", KEPT)
    attach(app, *RULES)
    agent = Agent(app)
    fill(outside, DB)
    agent.connect("kept", UNIX, KEPT)
    server.good("accept", "k", "server")
    agent.good("socket", "c", UNIX, STREAM)
    agent.good("setblocking", "c", True)
    begin(agent, "call", "connect", "c", ASKED)
    told = revoke(app, "--rule", "1")
    equal("sockets", [("connecting", ASKED, "destroyed")],
          [(one["state"], one["peer"], one["fate"]) for one in told["sockets"]])
    server.good("accept", "l", "s1")
    server.good("accept", "l", "s2")
    equal("connect()", None, agent.ask("outcome", "call"))
    is_over(agent, "c", STREAM)
    equal("its peer", "EPIPE", server.ask("send", "s2", b"x"))
    talks(agent, "kept", server, "server", STREAM)
    talks(outside, "fill" + DB, server, "s1", STREAM)


def case_unix_another_thread():
    """Its connect() by another rule, which fails, does not hide by which it is connected."""
    app, server, outside = cgroup(), Agent(), Agent()
    serve(server, "l", DB, backlog=0)
    attach(app, *RULES)
    agent = Agent(app)
    fill(outside, DB)
    agent.good("socket", "c", UNIX, STREAM)
    agent.good("setblocking", "c", True)
    begin(agent, "call", "connect", "c", ASKED)
    equal("meanwhile", "ENOENT", agent.ask("connect", "c", KEPT))
    server.good("accept", "l", "s1")
    server.good("accept", "l", "s2")
    equal("connect()", None, agent.ask("outcome", "call"))
    talks(agent, "c", server, "s2", STREAM)
    equal("destroyed", 1, n_destroyed(revoke(app, "--rule", "1")))
    is_over(agent, "c", STREAM)


def case_unix_many_threads():
    """More than there are notes for: one stands for all."""
    app, server, outside = cgroup(), Agent(), Agent()
    attach(app, *RULES, f"connect unix {DIR}/many* = own")
    agent = Agent(app)
    agent.good("socket", "c", UNIX, STREAM)
    agent.good("setblocking", "c", True)
    for i in range(5):
        serve(server, f"l{i}", f"{DIR}/many{i}" if i < 4 else DB, backlog=0)
        fill(outside, f"{DIR}/many{i}" if i < 4 else DB)
        begin(agent, f"call{i}", "connect", "c", f"{DIR}/many{i}" if i < 4 else ASKED)
    server.good("accept", "l4", "s1")
    server.good("accept", "l4", "s2")
    equal("connect()", None, agent.ask("outcome", "call4"))
    talks(agent, "c", server, "s2", STREAM)
    equal("destroyed", 1, n_destroyed(revoke(app, "--rule", "1")))
    is_over(agent, "c", STREAM)
    for i in range(4):
        server.good("accept", f"l{i}", "s1")
        equal("the others", "EISCONN", agent.ask("outcome", f"call{i}"))


def serve_forever(path):
    server = socket.socket(UNIX)
    server.bind(path)
    server.listen(4096)
    kept = []
    while True:
        peer, _ = server.accept()
        kept.append(peer)
        try:
            peer.send(b"x")
        except OSError:
            pass
        if len(kept) > 64:
            kept.pop(0).close()


def case_unix_load():
    """Not one connection under the rule when it returns."""
    app = cgroup()
    attach(app, *RULES)
    path = f"{DIR}/hammered"
    pid = os.fork()
    if pid == 0:
        serve_forever(DB)
    hammers = [Agent(app) for _ in range(3)]
    try:
        while not os.path.exists(DB):
            os.sched_yield()
        let_hammer(hammers, path, ASKED, UNIX)
        graft("revoke", "--rule", "1", app)
        equal("sockets left", [], revoke(app, "--dry-run", "--rule", "1")["sockets"])
        for one in hammers:
            assert one.answer() >= 20
            equal("those it has", True, one.ask("hammered_are_over"))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    sys.exit(main(globals()))
