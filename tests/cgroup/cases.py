#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Behind the policy of a cgroup: cases.py NAME says "ok" or what was wrong; --list names the
cases, --policy NAME writes the policy each runs behind, --user NAME fails for one that is
for root only.

The addresses are those of the kernel's own tests of these hooks (sock_addr, bind_perm,
connect_force_port, getset_retval), whose rows are among the cases.
"""
import array
import errno
import os
import socket
import struct
import sys

ASKED4, ASKED6 = ("192.168.1.254", 4040), ("face:b00c:1234:5678::abcd", 6060)
GIVEN4, GIVEN6 = ("127.0.0.1", 4444), ("::1", 6666)
STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
V4, V6 = socket.AF_INET, socket.AF_INET6
CASES = {}

ENDPOINTS = """
endpoint given4 ipv4 127.0.0.1:4444
endpoint given6 ipv6 [::1]:6666
"""
REWRITES = ENDPOINTS + """
bind any 192.168.1.254:4040 = given4
bind any [face:b00c:1234:5678::abcd]:6060 = given6
connect any 192.168.1.254:4040 = given4
connect any [face:b00c:1234:5678::abcd]:6060 = given6
"""


def case(policy, root_only=False):
    def note(function):
        CASES[function.__name__] = (function, policy, root_only)
        return function
    return note


class Wrong(Exception):
    pass


def same(what, wanted, got):
    if wanted != got:
        raise Wrong(f"{what}: wanted {wanted!r}, got {got!r}")


def fails(what, wanted, function, *arguments):
    """@function has to fail with the error of that name."""
    try:
        function(*arguments)
    except OSError as error:
        same(what, wanted, errno.errorcode.get(error.errno, error.errno))
    else:
        raise Wrong(f"{what}: wanted {wanted}, got success")


def make(family, kind):
    made = socket.socket(family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.settimeout(20)
    return made


def serve(family, kind, address):
    server = make(family, kind)
    server.bind(address)
    if kind == STREAM:
        server.listen()
    return server


def refused(what, made, kind, address):
    """Nobody is there: connect() says so, or what is sent comes back."""
    if kind == DGRAM and not address[0].startswith("::ffff:"):
        made.connect(address)
        made.send(b"?")
        fails(what, "ECONNREFUSED", made.recv, 1)
    else:
        fails(what, "ECONNREFUSED", made.connect, address)


def kinds():
    for family, asked, given in ((V4, ASKED4, GIVEN4), (V6, ASKED6, GIVEN6)):
        for kind in (STREAM, DGRAM):
            yield family, kind, asked, given


def converse(what, client, server, kind):
    """A byte each way. Returns the server's end of it, and who it says spoke."""
    client.send(b"?")
    if kind == STREAM:
        peer, source = server.accept()
        same(what, b"?", peer.recv(1))
        peer.send(b"!")
    else:
        peer = server
        byte, source = server.recvfrom(1)
        same(what, b"?", byte)
        server.sendto(b"!", source)
    same(what, b"!", client.recv(1))
    return peer, source


@case(REWRITES)
def bind_is_rewritten():
    """bind4, bind6: stream, dgram; what is asked for is shown, what is given is there."""
    for family, kind, asked, given in kinds():
        server = serve(family, kind, asked)
        same("getsockname", asked, server.getsockname()[:2])
        client = make(family, kind)
        client.connect(given)
        peer, source = converse("through what was given", client, server, kind)
        same("source", client.getsockname()[:2], source[:2])
        same("getsockname after", asked, server.getsockname()[:2])
        if kind == STREAM:
            same("accepted", asked, peer.getsockname()[:2])
            same("accept's peer", client.getsockname()[:2], peer.getpeername()[:2])
        fails("bind again", "EADDRINUSE" if kind == STREAM else "EINVAL",
              (make(family, kind) if kind == STREAM else server).bind, given)


@case(REWRITES)
def connect_is_rewritten():
    for family, kind, asked, given in kinds():
        server = serve(family, kind, given)
        same("the server's own", given, server.getsockname()[:2])
        client = make(family, kind)
        client.connect(asked)
        same("getpeername", asked, client.getpeername()[:2])
        peer, source = converse("to what was given", client, server, kind)
        same("source", client.getsockname()[:2], source[:2])
        if kind == STREAM:
            same("accept's peer", client.getsockname()[:2], peer.getpeername()[:2])
        same("getpeername after", asked, client.getpeername()[:2])


@case(REWRITES)
def datagrams_are_rewritten():
    """sendmsg4, sendmsg6; the answer comes from whom was asked: recvmsg4, recvmsg6."""
    for family, asked, given in ((V4, ASKED4, GIVEN4), (V6, ASKED6, GIVEN6)):
        server, client = serve(family, DGRAM, given), make(family, DGRAM)
        client.sendto(b"?", asked)
        byte, source = server.recvfrom(1)
        same("question", b"?", byte)
        server.sendto(b"!", source)
        byte, answerer = client.recvfrom(1)
        same("answer", (b"!", asked), (byte, answerer[:2]))
        other = serve(family, DGRAM, (given[0], 0))
        other.sendto(b"x", client.getsockname())
        same("somebody else", other.getsockname()[:2], client.recvfrom(1)[1][:2])
        client.connect(asked)
        client.send(b"?")
        same("connected", b"?", server.recvfrom(1)[0])
        server.sendto(b"!", source)
        same("connected answer", asked, client.recvfrom(1)[1][:2])


@case(REWRITES)
def mapped_addresses_are_ipv4():
    """An AF_INET6 socket that names IPv4 addresses."""
    asked, given = ("::ffff:192.168.1.254", 4040), ("127.0.0.1", 4444)
    for kind in (STREAM, DGRAM):
        server, client = serve(V4, kind, given), make(V6, kind)
        client.connect(asked)
        same("getpeername", asked, client.getpeername()[:2])
        converse("mapped", client, server, kind)
        if kind == DGRAM:
            client = make(V6, DGRAM)
            client.sendto(b"?", asked)
            _, source = server.recvfrom(1)
            server.sendto(b"!", source)
            same("answer", asked, client.recvfrom(1)[1][:2])
        server.close()
        server = serve(V6, kind, asked)
        same("getsockname", asked, server.getsockname()[:2])
        client = make(V4, kind)
        client.connect(given)
        converse("mapped bind", client, server, kind)


@case(REWRITES + "connect udp [::1]:6666 = deny:EHOSTUNREACH\n")
def wildcard_destination_is_loopback():
    """sendmsg6 to [::], as BSD has it."""
    fails("[::]", "EHOSTUNREACH", make(V6, DGRAM).sendto, b"x", ("::", 6666))


@case(ENDPOINTS + """
bind any 192.168.1.254:4040 = deny
bind any [face:b00c:1234:5678::abcd]:6060 = deny:EADDRNOTAVAIL
connect any 192.168.1.254:4040 = deny
connect any [face:b00c:1234:5678::abcd]:6060 = deny:ENETUNREACH
""")
def denials_have_their_errno():
    for family, kind, asked, given in kinds():
        fails("bind", "EACCES" if family == V4 else "EADDRNOTAVAIL",
              make(family, kind).bind, asked)
        wanted = "EACCES" if family == V4 else "ENETUNREACH"
        fails("connect", wanted, make(family, kind).connect, asked)
        if kind == DGRAM:
            fails("sendto", wanted, make(family, kind).sendto, b"x", asked)
            connected = make(family, kind)
            connected.connect(given)
            fails("sendto, connected elsewhere", wanted, connected.sendto, b"x", asked)
            fails("sendmsg", wanted, connected.sendmsg, [b"x"], [], 0, asked)


ERRNOS = ["EPERM", "EACCES", "ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT",
          "EADDRNOTAVAIL", "EAFNOSUPPORT", "ENETDOWN", "ECONNRESET"]


@case("".join(f"connect tcp 192.168.1.254:{4040 + i} = deny:{name}\n"
              for i, name in enumerate(ERRNOS)))
def every_errno_arrives():
    for i, name in enumerate(ERRNOS):
        fails(name, name, make(V4, STREAM).connect, ("192.168.1.254", 4040 + i))


@case("bind any 127.0.0.1:4098 = deny:EPERM\nbind any [::1]:5000 = deny:EPERM\n")
def another_port_after_a_denial():
    """post_bind's rows: denied, then again on another port of the same socket."""
    for family, host, denied in ((V4, "127.0.0.1", 4098), (V6, "::1", 5000)):
        for kind in (STREAM, DGRAM):
            server = make(family, kind)
            fails("denied", "EPERM", server.bind, (host, denied))
            server.bind((host, 4099))
            same("then", (host, 4099), server.getsockname()[:2])


@case("""
endpoint source4 ipv4 127.0.0.4:dynamic
endpoint forced4 ipv4 127.0.0.1:22222
endpoint forced6 ipv6 [::1]:22223
connect any 127.0.0.1:4444 = from source4
connect any 127.0.0.1:60000 = from forced4
connect any [::1]:60000 = from forced6
""")
def source_is_bound_first():
    """connect's bind, with and without a port: connect_force_port; sendmsg's source."""
    for kind in (STREAM, DGRAM):
        server, client = serve(V4, kind, GIVEN4), make(V4, kind)
        client.connect(GIVEN4)
        same("source", "127.0.0.4", client.getsockname()[0])
        converse("from there", client, server, kind)
        for family, host, port in ((V4, "127.0.0.1", 22222), (V6, "::1", 22223)):
            server, client = serve(family, kind, (host, 60000)), make(family, kind)
            client.connect((host, 60000))
            same("forced", (host, port), client.getsockname()[:2])
            same("peer", (host, 60000), client.getpeername()[:2])
    server = serve(V4, STREAM, ("127.0.0.1", 4444))
    client = make(V4, STREAM)
    client.bind(("127.0.0.5", 0))
    client.connect(GIVEN4)
    same("bound already", "127.0.0.5", client.getsockname()[0])
    server = serve(V4, DGRAM, GIVEN4)
    client = make(V4, DGRAM)
    client.sendto(b"?", GIVEN4)
    same("datagram's source", "127.0.0.4", server.recvfrom(1)[1][0])


@case("endpoint low4 ipv4 127.0.0.1:111\nendpoint low6 ipv6 [::1]:111\n"
      "bind tcp 127.0.0.1:111 = low4\nbind tcp [::1]:111 = low6\n"
      "bind tcp 127.0.0.1:80 = low4\n")
def low_ports_by_rule():
    """bind_perm: an endpoint is permission."""
    for family, host in ((V4, "127.0.0.1"), (V6, "::1")):
        if os.geteuid() != 0:
            fails("110", "EACCES", make(family, STREAM).bind, (host, 110))
        server = make(family, STREAM)
        server.bind((host, 111))
        same("111", (host, 111), server.getsockname()[:2])
        server.close()
    server = make(V4, STREAM)
    server.bind(("127.0.0.1", 80))
    same("80", ("127.0.0.1", 80), server.getsockname())


@case("endpoint db ipv4 127.0.0.1:dynamic\n"
      "bind any 0.0.0.0:3306 = db\nconnect any 127.0.0.1:3306 = db\n")
def dynamic_endpoint_is_filled_by_who_binds():
    fails("nobody there", "ECONNREFUSED", make(V4, STREAM).connect, ("127.0.0.1", 3306))
    servers = []
    for _ in range(3):
        server = make(V4, STREAM)
        server.bind(("0.0.0.0", 3306))
        server.listen()
        same("getsockname", ("0.0.0.0", 3306), server.getsockname())
        servers.append(server)
    datagrams = serve(V4, DGRAM, ("0.0.0.0", 3306))
    met = set()
    while len(met) < 3:  # each is as likely as another
        client = make(V4, STREAM)
        client.connect(("127.0.0.1", 3306))
        same("getpeername", ("127.0.0.1", 3306), client.getpeername())
        for number, server in enumerate(servers):
            server.setblocking(False)
            try:
                peer, _ = server.accept()
            except BlockingIOError:
                continue
            same("accepted", ("127.0.0.1", 3306), peer.getsockname())
            met.add(number)
    client = make(V4, DGRAM)
    client.sendto(b"?", ("127.0.0.1", 3306))
    same("datagram", b"?", datagrams.recv(1))
    for server in servers[:2]:
        server.close()
    servers[2].settimeout(20)  # a client is connected before its server knows
    for _ in range(50):
        client = make(V4, STREAM)
        client.connect(("127.0.0.1", 3306))
        servers[2].accept()[0].close()
    servers[2].close()
    fails("all are gone", "ECONNREFUSED", make(V4, STREAM).connect, ("127.0.0.1", 3306))


@case("endpoint db ipv4 127.0.0.1:dynamic\n"
      "bind any 0.0.0.0:3306 = db\nconnect any 127.0.0.1:3306 = db\n")
def who_does_not_hear_is_passed_over():
    asked = ("0.0.0.0", 3306)
    deaf, heard = [], []
    for kind in (STREAM, DGRAM):
        for _ in range(12):
            deaf.append(make(V4, kind))
            deaf[-1].bind(asked)
            if kind == DGRAM:
                deaf[-1].connect(("127.0.0.1", 9))
        heard.append(serve(V4, kind, asked))
    for _ in range(200):
        client = make(V4, STREAM)
        client.connect(("127.0.0.1", 3306))
        heard[0].accept()[0].close()
        client = make(V4, DGRAM)
        client.sendto(b"?", ("127.0.0.1", 3306))
        same("datagram", b"?", heard[1].recv(1))
    heard[0].close()
    fails("none listens", "ECONNREFUSED", make(V4, STREAM).connect, ("127.0.0.1", 3306))
    deaf[0].listen()
    for _ in range(50):
        make(V4, STREAM).connect(("127.0.0.1", 3306))
        deaf[0].accept()[0].close()


@case("endpoint db ipv4 127.0.0.1:dynamic\nbind any [::]:3306 = db\n"
      "connect any 127.0.0.1:3306 = db\nconnect any [::1]:3306 = db\n")
def ipv6_server_of_an_ipv4_endpoint_is_found():
    for kind in (STREAM, DGRAM):
        server, asked = serve(V6, kind, ("::", 3306)), ("127.0.0.1", 3306)
        client = make(V4, kind)
        client.connect(asked)
        converse("by IPv4", client, server, kind)
        same("peer", asked, client.getpeername()[:2])
        client = make(V6, kind)
        client.connect(("::1", 3306))
        converse("by IPv6", client, server, kind)


@case("endpoint db ipv4 127.0.0.1:dynamic\nbind tcp 0.0.0.0:3306 = db\n")
def endpoint_has_a_limit():
    servers = []
    for _ in range(64):
        server = make(V4, STREAM)
        server.bind(("0.0.0.0", 3306))
        servers.append(server)
    fails("one more", "EPERM", make(V4, STREAM).bind, ("0.0.0.0", 3306))
    servers.pop().close()
    make(V4, STREAM).bind(("0.0.0.0", 3306))


@case("endpoint pub ipv4 127.0.0.1:8080 bound\n"
      "bind tcp 0.0.0.0:80 = pub\nconnect tcp 127.0.0.1:80 = pub\n")
def bound_endpoint_counts_while_it_is():
    plain = serve(V4, STREAM, ("127.0.0.1", 8080))
    fails("nobody bound", "ECONNREFUSED", make(V4, STREAM).connect, ("127.0.0.1", 80))
    plain.close()
    server = serve(V4, STREAM, ("0.0.0.0", 80))
    client = make(V4, STREAM)
    client.connect(("127.0.0.1", 80))
    converse("bound", client, server, STREAM)
    server.close()
    fails("no longer", "ECONNREFUSED", make(V4, STREAM).connect, ("127.0.0.1", 80))


@case(REWRITES)
def failed_bind_leaves_nothing():
    taken = serve(V4, STREAM, GIVEN4)
    server = make(V4, STREAM)
    fails("taken", "EADDRINUSE", server.bind, ASKED4)
    same("unbound", ("0.0.0.0", 0), server.getsockname())
    server.bind(("127.0.0.1", 0))
    same("elsewhere", "127.0.0.1", server.getsockname()[0])
    del taken


DENIED = "connect any 10.0.0.0/8 = deny\nconnect any [fd00::/8] = deny\n"
TARGET = ("10.1.2.3", 9)


@case(REWRITES)
def failed_second_bind_leaves_the_name():
    for family, kind, asked, given in kinds():
        other = ("127.0.0.1", 5000) if family == V4 else ("::1", 5000)
        server = serve(family, kind, asked)
        for place in (asked, other):
            fails(f"bind again, {place}", "EINVAL", server.bind, place)
        same("getsockname", asked, server.getsockname()[:2])
        client = make(family, kind)
        client.connect(given)
        converse("still there", client, server, kind)


@case(REWRITES + """
endpoint far4 ipv4 203.0.113.1:9
endpoint far6 ipv6 [2001:db8:f::1]:9
connect udp 192.168.1.1:1 = deny
connect udp 192.168.1.2:1 = far4
connect udp [2001:db8::1]:1 = deny
connect udp [2001:db8::2]:1 = far6
""")
def failed_connect_leaves_the_peer():
    """Denied, led to where no route is, and going on as it is to such a place."""
    for family, asked, given, places in (
            (V4, ASKED4, GIVEN4, ("192.168.1.1", "192.168.1.2", "203.0.113.7")),
            (V6, ASKED6, GIVEN6, ("2001:db8::1", "2001:db8::2", "2001:db8:f::7"))):
        server, client = serve(family, DGRAM, given), make(family, DGRAM)
        client.connect(asked)
        for place, wanted in zip(places, ("EACCES", "ENETUNREACH", "ENETUNREACH")):
            fails(place, wanted, client.connect, (place, 1))
            same(f"peer after {place}", asked, client.getpeername()[:2])
        client.send(b"?")
        _, source = server.recvfrom(1)
        server.sendto(b"!", source)
        same("source", asked, client.recvfrom(1)[1][:2])
        client.connect(given)
        same("peer, asked for itself", given, client.getpeername()[:2])
        client.connect(asked)
        same("peer, asked for again", asked, client.getpeername()[:2])


LOOPBACK = """
loopback own
endpoint outer ipv4 127.0.0.1:4444
bind any 127.0.0.9:7000 = host
connect any 127.0.0.9:7000 = host
bind any 192.168.1.254:4040 = outer
"""


def loopbacks():
    for family, address in ((V4, "127.0.0.1"), (V4, "127.3.2.1"), (V6, "::1"),
                            (V6, "::ffff:127.0.0.1")):
        for kind in (STREAM, DGRAM):
            yield family, kind, address


@case(LOOPBACK)
def own_loopback_is_one():
    """Bound, found, shown, and refused where nobody is, like the host's."""
    for family, kind, address in loopbacks():
        asked, what = (address, 80), f"{address} {kind}"
        refused(f"{what}: nobody", make(family, kind), kind, asked)
        server = serve(family, kind, asked)
        same(f"{what}: name", asked, server.getsockname()[:2])
        client = make(family, kind)
        client.connect(asked)
        same(f"{what}: peer", asked, client.getpeername()[:2])
        peer, source = converse(what, client, server, kind)
        same(f"{what}: source", client.getsockname()[:2], source[:2])
        if kind == STREAM:
            same(f"{what}: accepted", asked, peer.getsockname()[:2])
        refused(f"{what}: another port", make(family, kind), kind, (address, 81))
        if kind == STREAM:
            fails(f"{what}: taken", "EADDRINUSE", make(family, kind).bind, asked)
        server.close()
        refused(f"{what}: gone", make(family, kind), kind, asked)
        serve(family, kind, asked).close()


@case(LOOPBACK)
def own_loopback_has_ports_to_pick():
    for family, kind, address in loopbacks():
        server = serve(family, kind, (address, 0))
        port = server.getsockname()[1]
        client = make(family, kind)
        client.connect((address, port))
        converse(address, client, server, kind)


def local_ports(text=None):
    """The ports that this network namespace's kernel picks from; as they were, to be put back."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", "r+") as file:
        before = file.read()
        if text:
            file.seek(0)
            file.write(text)
    return before


@case(LOOPBACK, root_only=True)
def own_loopback_picks_no_port_that_another_asked_for():
    """Eight ports, four of which are asked for: their sockets are at any of the eight.
    No client of a case before has one of those."""
    for first, (family, kind, address) in zip(range(20000, 30000, 100), loopbacks()):
        made = [make_alone(family, kind) for _ in range(8)]
        before = local_ports(f"{first} {first + 7}")
        try:
            for i, server in enumerate(made):
                server.bind((address, first + i if i < 4 else 0))
                if kind == STREAM:
                    server.listen()
        finally:
            local_ports(before)
        ports = [server.getsockname()[1] for server in made]
        same(f"{address} {kind}: asked for", [first, first + 1, first + 2, first + 3], ports[:4])
        same(f"{address} {kind}: two of one port", 8, len(set(ports)))
        for server, port in zip(made, ports):
            fails("taken", "EADDRINUSE", make_alone(family, kind).bind, (address, port))
            client = make_alone(family, kind)
            client.connect((address, port))
            same("peer", port, client.getpeername()[1])
            converse(f"{address} {kind} {port}", client, server, kind)
            server.close()
            refused("gone", make(family, kind), kind, (address, port))


def bind_often(family, kind, address):
    """What becomes of it, other than success."""
    met = set()
    for _ in range(1500):
        with make_alone(family, kind) as made:
            try:
                made.bind(address)
            except OSError as error:
                met.add(errno.errorcode[error.errno])
    return met


@case(LOOPBACK)
def own_loopback_has_one_of_those_who_bind_at_once():
    for family, address in ((V4, "127.0.0.1"), (V6, "::1")):
        children = [os.fork() for _ in range(3)]
        if 0 in children:
            os._exit(bool(bind_often(family, DGRAM, (address, 7777)) - {"EADDRINUSE"}))
        same(address, [0, 0, 0], [os.waitpid(child, 0)[1] for child in children])


@case(LOOPBACK)
def own_loopback_holds_what_is_bound_to_all():
    for kind in (STREAM, DGRAM):
        server = serve(V4, kind, ("0.0.0.0", 8090))
        for address in ("127.0.0.1", "0.0.0.0", "127.9.9.9"):
            if kind == DGRAM and address == "127.9.9.9":
                continue  # is answered from 127.0.0.1, anywhere
            client = make(V4, kind)
            client.connect((address, 8090))
            converse(f"0.0.0.0 as {address}", client, server, kind)
        fails("taken by all", "EADDRINUSE", make_alone(V4, kind).bind, ("127.0.0.1", 8090))
        refused("IPv4 only", make(V6, kind), kind, ("::1", 8090))
        server.close()
        server = serve(V6, kind, ("::", 8090))
        for family, address in ((V4, "127.0.0.1"), (V6, "::1")):
            client = make(family, kind)
            client.connect((address, 8090))
            converse(f":: as {address}", client, server, kind)
        fails("taken by both", "EADDRINUSE", make_alone(V4, kind).bind,
              ("127.0.0.1", 8090))
        server.close()
        server = make(V6, kind)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind(("::", 8090))
        refused("IPv6 only", make(V4, kind), kind, ("127.0.0.1", 8090))
        server.close()
        server = serve(V4, kind, ("127.0.0.1", 8090))
        fails("all, when one is taken", "EADDRINUSE", make_alone(V4, kind).bind,
              ("0.0.0.0", 8090))
        fails("all, when one is taken", "EADDRINUSE", make_alone(V6, kind).bind,
              ("::", 8090))


def make_alone(family, kind):
    made = socket.socket(family, kind)
    made.settimeout(20)
    return made


@case(LOOPBACK)
def own_loopback_is_shared_as_asked():
    for kind in (STREAM, DGRAM):
        asked, servers = ("127.0.0.1", 8091), []
        for _ in range(8):
            server = make_alone(V4, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            server.bind(asked)
            if kind == STREAM:
                server.listen(64)
            server.setblocking(False)
            servers.append(server)
        fails("who does not share", "EADDRINUSE", make_alone(V4, kind).bind, asked)
        servers.pop(0).close()
        clients = []
        for _ in range(200):
            client = make(V4, kind)
            client.connect(asked)
            client.send(b"?")
            clients.append(client)
        for server in servers:
            try:
                server.accept() if kind == STREAM else server.recvfrom(1)
            except BlockingIOError:
                raise Wrong("one of eight met nobody in 200 calls") from None
        for server in servers:
            server.close()
        serve(V4, kind, asked).close()


@case(LOOPBACK)
def own_loopback_datagrams_find_their_way_back():
    """From a bound and an unbound client, unconnected all of them."""
    for family, address in ((V4, "127.0.0.1"), (V6, "::1")):
        server = serve(family, DGRAM, (address, 53))
        for bound in (None, 5353):
            client = make(family, DGRAM)
            if bound:
                client.bind((address, bound))
            fails("nobody", "ECONNREFUSED", client.sendto, b"x", (address, 54))
            client.sendto(b"?", (address, 53))
            _, source = server.recvfrom(1)
            same("source", (address, bound or client.getsockname()[1]), source[:2])
            server.sendto(b"!", source)
            byte, source = client.recvfrom(1)
            same("answer", (b"!", (address, 53)), (byte, source[:2]))


@case(LOOPBACK)
def own_loopback_shows_the_port_a_client_asked_for():
    server = serve(V4, STREAM, ("127.0.0.1", 8092))
    client = make(V4, STREAM)
    client.bind(("127.0.0.1", 5001))
    client.connect(("127.0.0.1", 8092))
    peer, source = server.accept()
    same("accept", ("127.0.0.1", 5001), source)
    same("getpeername", ("127.0.0.1", 5001), peer.getpeername())
    same("getsockname", ("127.0.0.1", 5001), client.getsockname())


@case(LOOPBACK)
def own_loopback_leaves_rules_alone():
    for kind in (STREAM, DGRAM):
        server = serve(V4, kind, ("127.0.0.9", 7000))
        client = make(V4, kind)
        client.connect(("127.0.0.9", 7000))
        converse("host by rule", client, server, kind)
        server = serve(V4, kind, ASKED4)
        same("an endpoint", ASKED4, server.getsockname())
        refused("is not found without a rule", make(V4, kind), kind, GIVEN4)
    server, client = serve(V4, DGRAM, ("127.0.0.9", 7000)), make(V4, DGRAM)
    client.sendto(b"?", ("127.0.0.9", 7000))
    _, source = server.recvfrom(1)
    server.sendto(b"!", source)
    same("who was heard is answered", b"!", client.recv(1))
    fails("who was not is not", "ECONNREFUSED", server.sendto, b"!", ("127.0.0.1", 4))


@case(LOOPBACK)
def own_loopback_has_a_limit():
    import resource
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 4200:
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (4200, most))
    made = []
    for _ in range(4096):
        made.append(make(V4, DGRAM))
        made[-1].bind(("127.0.0.1", 0))
    fails("one more", "EPERM", make(V4, DGRAM).bind, ("127.0.0.1", 0))
    made.pop().close()
    make(V4, DGRAM).bind(("127.0.0.1", 0))


@case(DENIED)
def policy_stays_with_the_socket():
    """dup, fork, connect(AF_UNSPEC), another connect, SCM_RIGHTS."""
    for kind in (STREAM, DGRAM):
        made = make(V4, kind)
        fails("plain", "EACCES", made.connect, TARGET)
        fails("dup", "EACCES", made.dup().connect, TARGET)
        server = serve(V4, kind, ("127.0.0.1", 0))
        again = make(V4, kind)
        again.connect(server.getsockname())
        libc_connect_unspec(again)
        fails("after AF_UNSPEC", "EACCES", again.connect, TARGET)
        pid = os.fork()
        if pid == 0:
            try:
                fails("fork", "EACCES", made.connect, TARGET)
                os._exit(0)
            except Wrong:
                os._exit(1)
        same("fork", 0, os.waitpid(pid, 0)[1])
        one, two = socket.socketpair()
        one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                              array.array("i", [made.fileno()]))])
        _, control, _, _ = two.recvmsg(1, socket.CMSG_SPACE(4))
        passed = socket.socket(fileno=struct.unpack("i", control[0][2])[0])
        fails("SCM_RIGHTS", "EACCES", passed.connect, TARGET)


def libc_connect_unspec(made):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(made.fileno(), struct.pack("H14x", 0), 16) < 0:
        raise OSError(ctypes.get_errno(), "connect(AF_UNSPEC)")


@case(DENIED, root_only=True)
def raw_sockets_are_refused():
    for family, protocol in ((V4, socket.IPPROTO_RAW), (V4, socket.IPPROTO_ICMP),
                             (V6, socket.IPPROTO_ICMPV6)):
        fails("raw", "EPERM", socket.socket, family, socket.SOCK_RAW, protocol)


@case("", root_only=True)
def raw_sockets_are_left_alone_without_denials():
    socket.socket(V4, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


UDPLITE = 136


@case(DENIED)
def sockets_that_nothing_judges_are_refused():
    for family in (V4, V6):
        fails("UDP-Lite", "EPERM", socket.socket, family, DGRAM, UDPLITE)


@case("")
def sockets_that_nothing_judges_are_left_alone_without_denials():
    socket.socket(V4, DGRAM, UDPLITE).close()


IPV6_RTHDR = 57


def route_by(sock, hop):
    """To ::1, and to @hop first."""
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RTHDR, bytes([0, 4, 4, 1, 1, 0, 0, 0])
                    + socket.inet_pton(V6, "::1") + socket.inet_pton(V6, hop))


@case(DENIED)
def source_routes_do_not_leave():
    made = make(V6, DGRAM)
    route_by(made, "::1")
    fails("routing header", "EPERM", made.sendto, b"x", ("::1", 9))
    made.setsockopt(socket.IPPROTO_IPV6, IPV6_RTHDR, b"")
    made.sendto(b"x", ("::1", 9))
    made = make(V4, DGRAM)
    try:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS,
                        bytes([1, 131, 7, 4]) + socket.inet_aton("127.0.0.2"))
    except PermissionError:
        return  # newer kernels want a capability
    fails("IP options", "EPERM", made.sendto, b"x", ("127.0.0.1", 9))


@case("")
def source_routes_leave_without_denials():
    made = make(V6, DGRAM)
    route_by(made, "::1")
    made.sendto(b"x", ("::1", 9))


@case("endpoint alt ipv6 [::1]:6666\nconnect udp [2001:db8::1]:53 = alt4\n"
      "endpoint alt4 ipv4 127.0.0.1:4444\n")
def datagram_cannot_change_its_family():
    fails("IPv6 to IPv4", "EAFNOSUPPORT", make(V6, DGRAM).sendto, b"x",
          ("2001:db8::1", 53))
    server, client = serve(V4, DGRAM, GIVEN4), make(V6, DGRAM)
    client.connect(("2001:db8::1", 53))
    converse("by connect", client, server, DGRAM)
    same("peer", ("2001:db8::1", 53), client.getpeername()[:2])


def main():
    if sys.argv[1] == "--list":
        print("\n".join(CASES))
        return 0
    if sys.argv[1] == "--policy":
        print(CASES[sys.argv[2]][1], end="")
        return 0
    if sys.argv[1] == "--user":
        return int(CASES[sys.argv[2]][2])
    try:
        CASES[sys.argv[1]][0]()
    except Wrong as wrong:
        print(wrong)
        return 1
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
