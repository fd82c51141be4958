#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Cases of `graft revoke` about listeners, datagrams and sockets that the kernel leaves, each in
cgroups of its own below CGROUP_TOP.
"""
import os
import signal
import socket
import subprocess
import sys

from revoking import (Agent, attach, cannot_be_reached, cgroup, DGRAM, equal, graft,
                      is_destroyed, is_reset, let_hammer, main, n_destroyed, PLAIN4, revoke, STREAM, talks, V4, V6)


def listener(family, lines, asked, reached, *choice):
    app = cgroup()
    attach(app, *lines)
    agent, client = Agent(app), Agent()
    agent.listen("gone", family, asked)
    agent.listen("kept", family, (asked[0], 7002))
    agent.good("socket", "auto", family, STREAM)
    agent.good("listen", "auto")
    auto = (reached[0], agent.good("getsockname", "auto")[1])
    for key, address in (("gone", reached), ("kept", (reached[0], 7002)), ("auto", auto)):
        client.connect("c" + key, family, address)
        agent.good("accept", key, "a" + key)
        talks(agent, "a" + key, client, "c" + key)
    client.connect("waiting", family, reached)
    told = revoke(app, *choice)
    equal("listener, accepted, to be accepted", ["connected", "connected", "listening"],
          sorted(one["state"] for one in told["sockets"]))
    equal("destroyed", 3, n_destroyed(told))
    is_destroyed(agent, "agone", "what was accepted")
    is_reset(client, "cgone", "its peer")
    is_reset(client, "waiting", "one nobody has accepted")
    equal("the listener", "EINVAL", agent.ask("accept", "gone", "none"))
    # It keeps its port, and listen() is judged by nobody.
    agent.good("listen", "gone")
    cannot_be_reached(client, reached)
    for key in ("kept", "auto"):
        talks(agent, "a" + key, client, "c" + key)
    client.connect("more", family, (reached[0], 7002))
    agent.good("accept", "kept", "amore")
    talks(agent, "amore", client, "more")
    agent.good("socket", "again", family, STREAM)
    equal("a new bind", "EACCES", agent.ask("bind", "again", asked))


def case_listener_plain4():
    listener(V4, ("bind tcp 127.0.0.1:7001 = host", "bind tcp 127.0.0.1:7002 = host",
                  "connect tcp 0.0.0.0/0 = host"), ("127.0.0.1", 7001), ("127.0.0.1", 7001),
             "--rule", "1")


def case_listener_rewritten4():
    listener(V4, ("endpoint web ipv4 127.0.0.1:7801", "bind tcp 127.0.0.1:80 = web",
                  "bind tcp 127.0.0.1:7002 = host"), ("127.0.0.1", 80), ("127.0.0.1", 7801),
             "--endpoint", "web")


def case_listener_plain6():
    listener(V6, ("bind tcp [::1]:7001 = host", "bind tcp [::1]:7002 = host"),
             ("::1", 7001), ("::1", 7001), "--rule", "1")


def case_bound_only():
    """Bound, and listening only after: the kernel can destroy nothing."""
    app = cgroup()
    attach(app, "bind tcp 127.0.0.1:7001 = host", "bind tcp 127.0.0.1:7002 = host")
    agent, client = Agent(app), Agent()
    for key, port in (("gone", 7001), ("kept", 7002)):
        agent.good("socket", key, V4, STREAM)
        agent.good("bind", key, ("127.0.0.1", port))
    told = revoke(app, "--rule", "1")
    equal("sockets", [("bound", "silenced", 1)],
          [(one["state"], one["fate"], one["rule"]) for one in told["sockets"]])
    equal("its own calls", "EACCES", agent.ask("connect", "gone", ("127.0.0.1", 7002)))
    agent.good("listen", "gone")
    cannot_be_reached(client, ("127.0.0.1", 7001))
    agent.good("listen", "kept")
    client.connect("c", V4, ("127.0.0.1", 7002))
    agent.good("accept", "kept", "a")
    talks(agent, "a", client, "c")
    # The next policy does not wake it, nor does none.
    attach(app, "bind tcp 127.0.0.1:7001 = host")
    cannot_be_reached(client, ("127.0.0.1", 7001))
    graft("detach", app)
    cannot_be_reached(client, ("127.0.0.1", 7001))


def case_silence_ends():
    """With the last one it was for, packets are not looked at any more."""
    app = cgroup()
    attach(app, "bind tcp 127.0.0.1:7001 = host")
    agent = Agent(app)
    agent.good("socket", "gone", V4, STREAM)
    agent.good("bind", "gone", ("127.0.0.1", 7001))
    revoke(app)

    def n_programs():
        text = subprocess.run(["bpftool", "cgroup", "show", app], capture_output=True,
                              text=True, check=True).stdout
        return text.count("graft_dead_")
    equal("while it is there", 2, n_programs())
    attach(app, "bind tcp 127.0.0.1:7001 = host")
    equal("with the next policy", 2, n_programs())
    agent.good("close", "gone")
    attach(app, "bind tcp 127.0.0.1:7001 = host")
    equal("without it", 0, n_programs())


def case_own_loopback():
    """A listener and a client of the policy's own loopback, by rules, and such by none."""
    app = cgroup()
    attach(app, "loopback own", "connect tcp 127.0.0.1:9001 = own",
           "bind tcp 127.0.0.1:9001 = own")
    agent = Agent(app)
    for key, port in (("gone", 9001), ("kept", 9002)):
        agent.listen(key, V4, ("127.0.0.1", port))
        agent.connect("c" + key, V4, ("127.0.0.1", port))
        agent.good("accept", key, "a" + key)
        talks(agent, "a" + key, agent, "c" + key)
    equal("listener, accepted, client", 3, n_destroyed(revoke(app)))
    # Each end is destroyed, or reset by the other.
    for key in "cgone", "agone":
        got = agent.ask("recv", key, 1)
        assert got in ("ECONNABORTED", "ECONNRESET"), (key, got)
    talks(agent, "akept", agent, "ckept")
    agent.connect("again", V4, ("127.0.0.1", 9002))
    for what in "connect", "bind":
        agent.good("socket", what, V4, STREAM)
        equal(what, "EACCES", agent.ask(what, what, ("127.0.0.1", 9001)))
    # The next policy does not wake the listener; it had no port of its own to keep.
    attach(app, "loopback own")
    agent.good("listen", "gone")
    agent.good("socket", "c", V4, STREAM)
    equal("a call", "ECONNREFUSED", agent.ask("connect", "c", ("127.0.0.1", 9001)))


def datagrams(family, lines, asked, reached, other, *choice):
    """A bound and a connected socket of the rules, and one each of none."""
    app = cgroup()
    attach(app, *lines)
    agent, outside = Agent(app), Agent()
    for key, address in (("gone", asked), ("kept", other)):
        agent.good("socket", key, family, DGRAM)
        agent.good("bind", key, address)
    outside.good("socket", "server", family, DGRAM)
    outside.good("bind", "server", (reached[0], 6001))
    outside.good("socket", "server2", family, DGRAM)
    outside.good("bind", "server2", (reached[0], 6002))
    agent.connect("cgone", family, (reached[0], 6001), DGRAM)
    agent.connect("ckept", family, (reached[0], 6002), DGRAM)
    outside.good("socket", "o", family, DGRAM)
    outside.good("sendto", "o", b"a", reached)
    equal("before", b"a", agent.ask("recv", "gone", 9))
    told = revoke(app, *choice)
    equal("sockets", ["bound", "connected"], sorted(one["state"] for one in told["sockets"]))
    equal("destroyed", 2, n_destroyed(told))
    is_destroyed(agent, "gone", "the bound one")
    is_destroyed(agent, "cgone", "the connected one")
    # One processor sends all, so the second datagram is there after the first would be.
    outside.good("sendto", "o", b"b", reached)
    outside.good("sendto", "o", b"c", other)
    equal("one that was kept", b"c", agent.ask("recv", "kept", 9))
    agent.good("setblocking", "gone", False)
    equal("nothing reaches the dead one", "EAGAIN", agent.ask("recv", "gone", 9))
    equal("nor does it send", "EACCES", agent.ask("sendto", "gone", b"d", other))
    equal("nor the connected one", "EDESTADDRREQ", agent.ask("send", "cgone", b"d"))
    agent.good("send", "ckept", b"e")
    equal("the other one does", b"e", outside.ask("recv", "server2", 9))


def case_datagrams4():
    datagrams(V4, ("bind udp 127.0.0.1:5001 = host", "bind udp 127.0.0.1:5002 = own",
                   "connect udp 127.0.0.1:6001 = host"), ("127.0.0.1", 5001),
              ("127.0.0.1", 5001), ("127.0.0.1", 5003))


def case_datagrams6():
    datagrams(V6, ("bind udp [::1]:5001 = host", "connect udp [::1]:6001 = host"),
              ("::1", 5001), ("::1", 5001), ("::1", 5003))


def case_datagrams_rewritten4():
    datagrams(V4, ("endpoint in ipv4 127.0.0.1:5801", "bind udp 127.0.0.1:53 = in",
                   "connect udp 127.0.0.1:6001 = host"), ("127.0.0.1", 53),
              ("127.0.0.1", 5801), ("127.0.0.1", 5003))


def case_datagrams_unconnected():
    """A rule for where it sends destroys nothing, and refuses the next datagram."""
    app = cgroup()
    attach(app, "connect udp 127.0.0.1:6001 = host")
    agent, outside = Agent(app), Agent()
    outside.good("socket", "server", V4, DGRAM)
    outside.good("bind", "server", ("127.0.0.1", 6001))
    agent.good("socket", "s", V4, DGRAM)
    agent.good("sendto", "s", b"a", ("127.0.0.1", 6001))
    equal("sockets", [], revoke(app)["sockets"])
    equal("the next one", "EACCES", agent.ask("sendto", "s", b"a", ("127.0.0.1", 6001)))
    agent.good("sendto", "s", b"b", ("127.0.0.1", 6002))


def case_datagrams_reconnect():
    """A connect() that fails leaves the socket where it was, by that rule."""
    app = cgroup()
    attach(app, "connect udp 127.0.0.1:6001 = host", "connect udp 203.0.113.9:6002 = host",
           "connect udp 127.0.0.1:6003 = host")
    agent, outside = Agent(app), Agent()
    outside.good("socket", "server", V4, DGRAM)
    outside.good("bind", "server", ("127.0.0.1", 6003))
    agent.connect("a", V4, ("127.0.0.1", 6001), DGRAM)
    equal("no way there", "ENETUNREACH", agent.ask("connect", "a", ("203.0.113.9", 6002)))
    agent.connect("b", V4, ("127.0.0.1", 6001), DGRAM)
    agent.good("connect", "b", ("127.0.0.1", 6003))
    equal("of the second rule", [], revoke(app, "--rule", "2")["sockets"])
    equal("of the first rule", 1, n_destroyed(revoke(app, "--rule", "1")))
    is_destroyed(agent, "a", "connected still")
    agent.good("send", "b", b"x")
    equal("connected elsewhere", b"x", outside.ask("recv", "server", 9))


def case_shared_port():
    """Listeners with one port: the kernel finds one of them by its address."""
    app = cgroup()
    attach(app, "bind tcp 127.0.0.1:7001 = host", "bind udp 127.0.0.1:7001 = host")
    agent, client = Agent(app), Agent()
    for i in range(6):
        for key, kind in ((f"t{i}", STREAM), (f"u{i}", DGRAM)):
            agent.good("socket", key, V4, kind)
            agent.good("setsockopt", key, socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            agent.good("bind", key, ("127.0.0.1", 7001))
        agent.good("listen", f"t{i}")
    equal("sockets", 12, len(revoke(app)["sockets"]))
    cannot_be_reached(client, ("127.0.0.1", 7001))
    client.good("socket", "o", V4, DGRAM)
    client.good("socket", "kept", V4, DGRAM)
    client.good("bind", "kept", ("127.0.0.1", 7002))
    for _ in range(20):
        client.good("sendto", "o", b"x", ("127.0.0.1", 7001))
    client.good("sendto", "o", b"y", ("127.0.0.1", 7002))
    equal("a datagram to another one", b"y", client.ask("recv", "kept", 9))
    for i in range(6):
        agent.good("setblocking", f"u{i}", False)
        got = agent.ask("recv", f"u{i}", 9)
        if got == "ECONNABORTED":
            got = agent.ask("recv", f"u{i}", 9)
        equal(f"nothing reaches u{i}", "EAGAIN", got)


def case_load():
    """Not one connection under the rule when it returns."""
    app = cgroup()
    attach(app, *PLAIN4)
    path = f"{os.environ.get('T', '/tmp')}/hammered"
    pid = os.fork()
    if pid == 0:
        serve_forever()
    hammers = [Agent(app) for _ in range(3)]
    try:
        let_hammer(hammers, path, ("127.0.0.1", 9001))
        graft("revoke", "--rule", "1", app)
        left = subprocess.run(
            ["ss", "-Htn", "state", "established", "state", "syn-sent", "state",
             "syn-recv", "state", "close-wait", "( dport = :9001 )"],
            capture_output=True, text=True, check=True).stdout
        equal("connections left", "", left)
        for one in hammers:
            assert one.answer() >= 20
        left = subprocess.run(["ss", "-Htn", "state", "established", "( sport = :9001 )"],
                              capture_output=True, text=True, check=True).stdout
        equal("the server's", "", left)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for i in range(len(hammers)):
            if os.path.exists(f"{path}{i}"):
                os.unlink(f"{path}{i}")


def serve_forever():
    import selectors
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", 9001))
    server.listen(4096)
    known = selectors.DefaultSelector()
    known.register(server, selectors.EVENT_READ)
    while True:
        for key, _ in known.select():
            try:
                if key.fileobj is server:
                    peer, _ = server.accept()
                    peer.sendall(b"x")
                    known.register(peer, selectors.EVENT_READ)
                elif not key.fileobj.recv(1):
                    raise OSError
            except OSError:
                if key.fileobj is not server:
                    known.unregister(key.fileobj)
                    key.fileobj.close()


def case_load_listener():
    """A listener under load, its connections accepted and not."""
    app = cgroup()
    attach(app, "bind tcp 127.0.0.1:9001 = host")
    pid = os.fork()
    if pid == 0:
        with open(app + "/cgroup.procs", "w") as procs:
            procs.write("0")
        serve_forever()
    path = f"{os.environ.get('T', '/tmp')}/hammered"
    clients = [Agent() for _ in range(3)]
    try:
        let_hammer(clients, path, ("127.0.0.1", 9001))
        graft("revoke", app)
        left = subprocess.run(["ss", "-Htan", "state", "connected", "state", "listening",
                               "( sport = :9001 )"],
                              capture_output=True, text=True, check=True).stdout
        left = [line for line in left.splitlines() if "TIME-WAIT" not in line]
        equal("connections left", [], left)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for i, one in enumerate(clients):
            one.end()
            if os.path.exists(f"{path}{i}"):
                os.unlink(f"{path}{i}")


if __name__ == "__main__":
    sys.exit(main(globals()))
