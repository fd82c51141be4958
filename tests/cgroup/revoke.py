#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Cases of `graft revoke` about rules and the connections made under them, each in cgroups of
its own below CGROUP_TOP.
"""
import errno
import json
import os
import socket
import subprocess
import sys

from revoking import (Agent, attach, cgroup, equal, graft, is_destroyed, is_reset, main,
                      n_destroyed, PLAIN4, revoke, STREAM, talks, V4, V6)


class Connections:
    """To servers outside: `gone` by rule 1, `kept` by rule 2, `free` by none; and to the first
    one's address from a second cgroup that has the same policy, and from outside."""

    def __init__(self, family, loopback, asked, lines, reach=None):
        self.asked, self.kept = asked, (loopback, 9002)
        self.family = family
        self.app, self.other = cgroup("app"), cgroup("other")
        self.server = Agent()
        for key, port in (("gone", 9001), ("kept", 9002), ("free", 9003)):
            self.server.listen("l" + key, V4 if family == V4 or reach else V6,
                               (reach or loopback, port))
        attach(self.app, *lines)
        attach(self.other, *lines)
        self.agent, self.beside, self.outside = Agent(self.app), Agent(self.other), Agent()
        self.pairs = []
        self.open("gone", self.agent, "gone", asked)
        self.open("kept", self.agent, "kept", self.kept)
        self.open("free", self.agent, "free", (loopback, 9003))
        self.open("gone", self.beside, "beside", asked)
        self.open("gone", self.outside, "outside", (loopback, 9001))

    def open(self, server, agent, key, address):
        agent.connect(key, self.family, address)
        self.server.good("accept", "l" + server, "s" + key)
        talks(agent, key, self.server, "s" + key)
        self.pairs.append((agent, key))

    def all_talk(self, *but):
        for agent, key in self.pairs:
            if key not in but:
                talks(agent, key, self.server, "s" + key)

    def check(self, told, n_rules=1):
        equal("rules", n_rules, told["rules"])
        equal("sockets destroyed", 1, n_destroyed(told))
        is_destroyed(self.agent, "gone", "its owner's error")
        is_reset(self.server, "sgone", "its peer hears")
        self.all_talk("gone")
        self.agent.good("socket", "again", self.family, STREAM)
        equal("a new call", "EACCES", self.agent.ask("connect", "again", self.asked))
        self.agent.connect("again2", self.family, self.kept)
        self.beside.connect("again", self.family, self.asked)



THERE4 = ("endpoint there ipv4 127.0.0.1:9001", "connect tcp 10.9.9.9:80 = there",
          "connect tcp 127.0.0.1:9002 = host")


def case_rule_plain4():
    made = Connections(V4, "127.0.0.1", ("127.0.0.1", 9001), PLAIN4)
    made.check(revoke(made.app, "--rule", "1"))


def case_rule_text():
    made = Connections(V4, "127.0.0.1", ("127.0.0.1", 9001), PLAIN4)
    made.check(revoke(made.app, "--rule", " connect  tcp 127.0.0.1:9001 =  host"))


def case_rule_rewritten4():
    made = Connections(V4, "127.0.0.1", ("10.9.9.9", 80), THERE4)
    made.check(revoke(made.app, "--rule", "1"))


def case_endpoint():
    made = Connections(V4, "127.0.0.1", ("10.9.9.9", 80), THERE4)
    made.check(revoke(made.app, "--endpoint", "there"))


def case_rule_plain6():
    made = Connections(V6, "::1", ("::1", 9001), ("connect tcp [::1]:9001 = host",
                                                   "connect tcp [::1]:9002 = host"))
    made.check(revoke(made.app, "--rule", "1"))


def case_rule_rewritten6():
    made = Connections(V6, "::1", ("fd99::9", 80), (
        "endpoint there ipv6 [::1]:9001", "connect tcp [fd99::9]:80 = there",
        "connect tcp [::1]:9002 = host"))
    made.check(revoke(made.app, "--rule", "1"))


def case_rule_mapped():
    made = Connections(V6, "::ffff:127.0.0.1", ("::ffff:10.9.9.9", 80), THERE4,
                       reach="127.0.0.1")
    made.check(revoke(made.app, "--rule", "1"))


def case_whole_policy():
    made = Connections(V4, "127.0.0.1", ("10.9.9.9", 80), THERE4)
    told = revoke(made.app)
    equal("rules", 2, told["rules"])
    equal("sockets", 2, n_destroyed(told))
    is_destroyed(made.agent, "gone", "the first rule's")
    is_destroyed(made.agent, "kept", "the second rule's")
    made.all_talk("gone", "kept")
    for key, address, wanted in (("n1", ("10.9.9.9", 80), "EACCES"),
                                 ("n2", ("127.0.0.1", 9002), "EACCES"),
                                 ("n3", ("127.0.0.1", 9003), None)):
        made.agent.good("socket", key, V4, STREAM)
        equal(f"a new call to {address}", wanted, made.agent.ask("connect", key, address))


def case_dry_run():
    made = Connections(V4, "127.0.0.1", ("10.9.9.9", 80), THERE4)
    text = graft("revoke", "--dry-run", "--rule", "1", made.app)
    assert "would destroy tcp, connected, 127.0.0.1:" in text, text
    assert "- 127.0.0.1:9001, by rule 1" in text, text
    assert "1 rule would be revoked, 1 socket would be destroyed" in text, text
    made.all_talk()
    made.agent.connect("again", V4, ("10.9.9.9", 80))
    assert "revoked" not in graft("stat", made.app)
    text = graft("revoke", "-v", "--rule", "1", made.app)
    assert "destroyed tcp, connected, 127.0.0.1:" in text, text
    assert "1 rule revoked, 2 sockets destroyed" in text, text
    made.all_talk("gone")


def case_stat_and_twice():
    made = Connections(V4, "127.0.0.1", ("10.9.9.9", 80), THERE4)
    calls = json.loads(graft("stat", "--json", made.app))["rules"]
    made.check(revoke(made.app, "--rule", "1"))
    rules = json.loads(graft("stat", "--json", made.app))["rules"]
    equal("revoked", [True, False], [rule["revoked"] for rule in rules])
    equal("the calls are counted on", calls[0]["calls"] + 1, rules[0]["calls"])
    text = graft("stat", made.app)
    assert "connect tcp 10.9.9.9:80 = there (revoked)" in text, text
    told = revoke(made.app, "--rule", "1")
    equal("the second time", (0, []), (told["rules"], told["sockets"]))
    made.all_talk("gone")


def case_attach_again():
    made = Connections(V4, "127.0.0.1", ("10.9.9.9", 80), THERE4)
    revoke(made.app)
    attach(made.app, *THERE4)
    made.agent.connect("again", V4, ("10.9.9.9", 80))
    made.server.good("accept", "lgone", "sagain")
    talks(made.agent, "again", made.server, "sagain")
    is_destroyed(made.agent, "gone", "what was revoked stays destroyed")
    assert "revoked" not in graft("stat", made.app)
    # An edition later: the same connection is by another rule.
    attach(made.app, "connect tcp 10.1.1.1:1 = host", *THERE4)
    told = revoke(made.app, "--rule", "1")
    equal("a rule of that number did not make it", [], told["sockets"])
    talks(made.agent, "again", made.server, "sagain")
    equal("its own did", 1, n_destroyed(revoke(made.app, "--rule", "2")))
    is_destroyed(made.agent, "again", "the connection of the policy before")


def case_before_the_policy():
    """What was there before is of no rule."""
    app, server = cgroup(), Agent()
    server.listen("l", V4, ("127.0.0.1", 9001))
    agent = Agent(app)
    agent.connect("c", V4, ("127.0.0.1", 9001))
    server.good("accept", "l", "s")
    attach(app, *PLAIN4)
    equal("sockets", [], revoke(app)["sockets"])
    talks(agent, "c", server, "s")


def case_connect_rule_spares_accepted():
    """Whom somebody connected to is not by a rule for whom it may connect to."""
    app = cgroup()
    attach(app, "connect tcp 127.0.0.0/8 = host")
    agent, client = Agent(app), Agent()
    agent.listen("l", V4, ("127.0.0.1", 7001))
    client.connect("c", V4, ("127.0.0.1", 7001))
    agent.good("accept", "l", "a")
    equal("sockets", [], revoke(app)["sockets"])
    talks(agent, "a", client, "c")
    client.connect("d", V4, ("127.0.0.1", 7001))
    agent.good("accept", "l", "b")
    talks(agent, "b", client, "d")


def case_failed_calls():
    """What a rule let but did not come about is not by that rule."""
    app, server = cgroup(), Agent()
    server.listen("l", V4, ("127.0.0.1", 9002))
    attach(app, "connect tcp 127.0.0.1:9001 = host", "bind tcp 127.0.0.1:9002 = host")
    agent = Agent(app)
    agent.good("socket", "a", V4, STREAM)
    agent.good("setblocking", "a", True)
    equal("nobody there", "ECONNREFUSED", agent.ask("connect", "a", ("127.0.0.1", 9001)))
    agent.good("connect", "a", ("127.0.0.1", 9002))
    server.good("accept", "l", "sa")
    agent.good("socket", "b", V4, STREAM)
    equal("taken", "EADDRINUSE", agent.ask("bind", "b", ("127.0.0.1", 9002)))
    agent.good("connect", "b", ("127.0.0.1", 9002))
    server.good("accept", "l", "sb")
    equal("sockets", [], revoke(app)["sockets"])
    talks(agent, "a", server, "sa")
    talks(agent, "b", server, "sb")


def case_same_place():
    """Two sockets whose notes have one place in a table."""
    app, server = cgroup(), Agent()
    server.listen("l", V4, ("127.0.0.1", 9001))
    attach(app, *PLAIN4)
    agent = Agent(app)
    agent.connect("a", V4, ("127.0.0.1", 9001))
    agent.good("twin", "b", "a", 0xffff)
    agent.good("connect", "b", ("127.0.0.1", 9001))
    equal("destroyed", 2, n_destroyed(revoke(app, "--rule", "1")))
    is_destroyed(agent, "a", "the first one")
    is_destroyed(agent, "b", "the second one")


def case_unsent():
    """Closed, and what it has to send is not sent yet."""
    app, server = cgroup(), Agent()
    server.listen("l", V4, ("127.0.0.1", 9001))
    attach(app, *PLAIN4)
    agent = Agent(app)
    agent.connect("c", V4, ("127.0.0.1", 9001))
    server.good("accept", "l", "s")
    agent.good("setblocking", "c", False)
    while agent.ask("send", "c", bytes(8192)) != "EAGAIN":
        pass
    agent.good("close", "c")
    equal("destroyed", 1, n_destroyed(revoke(app)))
    got = b"x"
    while isinstance(got, bytes) and got:
        got = server.ask("recv", "s", 1 << 15)
    equal("its peer hears", "ECONNRESET", got)


def case_below():
    app, server = cgroup(), Agent()
    below = cgroup("app/below")
    server.listen("l", V4, ("127.0.0.1", 9001))
    attach(app, *PLAIN4)
    agent = Agent(below)
    agent.connect("c", V4, ("127.0.0.1", 9001))
    equal("destroyed", 1, n_destroyed(revoke(app)))
    is_destroyed(agent, "c", "a descendant's")


def case_nested():
    """Two policies over one socket: each may be revoked."""
    app, server = cgroup(), Agent()
    below = cgroup("app/below")
    server.listen("l", V4, ("127.0.0.1", 9001))
    attach(app, "connect tcp 127.0.0.1:9001 = host")
    attach(below, "endpoint there ipv4 127.0.0.1:9001", "connect tcp 10.9.9.9:80 = there",
           "connect tcp 10.9.9.8:80 = there")
    agent = Agent(below)
    for key, address in (("a", "10.9.9.9"), ("b", "10.9.9.8")):
        agent.connect(key, V4, (address, 80))
    equal("of the inner one", 1, n_destroyed(revoke(below, "--rule", "1")))
    is_destroyed(agent, "a", "the inner one's")
    equal("of the outer one", 1, n_destroyed(revoke(app)))
    is_destroyed(agent, "b", "the outer one's")


def case_given_away():
    """By SCM_RIGHTS to a process outside, and its maker is gone."""
    app, server = cgroup(), Agent()
    server.listen("l", V4, ("127.0.0.1", 9001))
    attach(app, *PLAIN4)
    agent = Agent(app)
    agent.connect("c", V4, ("127.0.0.1", 9001))
    server.good("accept", "l", "s")
    taken = agent.take("c")
    agent.end()
    taken.sendall(b"ping")
    equal("it works", b"ping", server.ask("recv", "s", 9))
    equal("destroyed", 1, n_destroyed(revoke(app)))
    try:
        taken.recv(1)
        raise AssertionError("it lives")
    except OSError as error:
        equal("its error", errno.ECONNABORTED, error.errno)
    is_reset(server, "s", "its peer")


def case_on_its_way():
    """In a message that nobody has received, its maker gone."""
    app, server = cgroup(), Agent()
    server.listen("l", V4, ("127.0.0.1", 9001))
    attach(app, *PLAIN4)
    agent = Agent(app)
    agent.connect("c", V4, ("127.0.0.1", 9001))
    server.good("accept", "l", "s")
    agent.send("give", "c")
    channel, agent.mine = agent.mine, socket.socketpair()[0]
    import select
    select.select([channel], [], [])
    agent.end()
    equal("destroyed", 1, n_destroyed(revoke(app)))
    is_reset(server, "s", "its peer")


def case_other_netns():
    app = cgroup()
    attach(app, *PLAIN4)
    agent = Agent(app, netns=True)
    agent.listen("l", V4, ("127.0.0.1", 9001))
    agent.connect("c", V4, ("127.0.0.1", 9001))
    agent.good("accept", "l", "s")
    told = revoke(app)
    equal("destroyed", 1, n_destroyed(told))
    assert told["sockets"][0]["netns"] != os.stat("/proc/self/ns/net").st_ino
    is_destroyed(agent, "c", "the other namespace's")


def case_multipath():
    """The connection of TCP below it is what is made and destroyed; without one it waits for
    another, which nobody makes here."""
    app = cgroup()
    try:
        socket.socket(V4, STREAM, 262).close()
    except OSError:
        print("# no MPTCP here")
        return
    attach(app, *PLAIN4)
    agent, server = Agent(app), Agent()
    server.good("socket", "l", V4, STREAM, 262)
    server.good("bind", "l", ("127.0.0.1", 9001))
    server.good("listen", "l")
    agent.good("socket", "c", V4, STREAM, 262)
    agent.good("connect", "c", ("127.0.0.1", 9001))
    server.good("accept", "l", "s")
    talks(agent, "c", server, "s")
    told = revoke(app)
    equal("sockets", [("tcp", "destroyed")],
          [(one["protocol"], one["fate"]) for one in told["sockets"]])
    left = subprocess.run(["ss", "-Htn", "state", "established"], capture_output=True,
                          text=True, check=True).stdout
    equal("connections of TCP left", "", left)


def case_refusals():
    app, none = cgroup(), cgroup("none")
    attach(app, *THERE4)
    for arguments, status, text in (
            ((app, "--rule", "3"), 1, "no such rule"),
            ((app, "--rule", "connect tcp 10.9.9.9:81 = there"), 1, "no such rule"),
            ((app, "--endpoint", "nowhere"), 1, "no rule of its policy has an endpoint"),
            ((none,), 1, "has no policy"),
            (("/tmp",), 1, "no cgroup"),
            ((), 2, "name one CGROUP"),
            ((app, none), 2, "name one CGROUP"),
            ((app, "--rule", "0"), 2, "neither the number of a rule nor a rule"),
            ((app, "--rule", "1", "--endpoint", "there"), 2, "at a time"),
            ((app, "--what"), 2, "")):
        said = graft("revoke", *arguments, status=status)
        assert text in said, (arguments, said)
    assert "revoked" not in graft("stat", app)
    said = graft("revoke", app, status=1, user=65534, group=65534, extra_groups=[])
    assert "take root" in said, said
    graft("attach", "--audit", "--rule", PLAIN4[0], app)
    said = graft("revoke", app, status=1)
    assert "--audit" in said, said
    attach(app, "connect tcp 10.9.9.9:80 = deny:ENETDOWN")
    said = graft("revoke", app)
    assert "0 rules revoked, 0 sockets destroyed" in said, said
    agent = Agent(app)
    agent.good("socket", "c", V4, STREAM)
    equal("a denial stays as it is", "ENETDOWN", agent.ask("connect", "c", ("10.9.9.9", 80)))


CASES = {name[5:]: case for name, case in globals().items() if name.startswith("case_")}


if __name__ == "__main__":
    sys.exit(main(globals()))
