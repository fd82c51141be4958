#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
As cases.py, for rules on the paths of UNIX sockets; takes the same arguments. Sockets of
the file system are made in CASES_DIR, which is to be empty and everybody's.

The abstract names are those of the kernel's own tests of these hooks (sock_addr), whose
rows connect_unix, sendmsg_unix, recvmsg_unix and getpeername_unix are among the cases.
"""
import array
import ctypes
import os
import socket
import struct
import sys

import cases
from cases import case, DGRAM, fails, libc_connect_unspec, main, same, STREAM, Wrong

cases.CASES.clear()
SEQPACKET = socket.SOCK_SEQPACKET
DIR = os.environ.get("CASES_DIR", "/nonexistent")
ASKED, GIVEN = "\0bpf_cgroup_unix_test", "\0bpf_cgroup_unix_test_rewrite"
ASKED_FILE, GIVEN_FILE = DIR + "/asked", DIR + "/given"
PAIRS = (ASKED, GIVEN), (ASKED_FILE, GIVEN_FILE), (ASKED, GIVEN_FILE), (ASKED_FILE, GIVEN)
LIBC = ctypes.CDLL(None, use_errno=True)


def text(path):
    """As a policy has it."""
    return path.replace("\0", "@", 1)


def rewrites(asked, given):
    return (f"endpoint given unix {text(given)}\n"
            f"connect unix {text(asked)} = given\n")


def make(kind):
    made = socket.socket(socket.AF_UNIX, kind)
    made.settimeout(20)
    return made


def serve(kind, path):
    server = make(kind)
    if not path.startswith("\0") and os.path.exists(path):
        os.unlink(path)
    server.bind(path)
    if kind != DGRAM:
        server.listen()
    return server


def shown(path):
    """A socket's address as Python has it."""
    return path.encode() if path.startswith("\0") else path


def raw_connect(made, path, size=None):
    """With an address of just these bytes, and of @size."""
    address = struct.pack("H", socket.AF_UNIX) + path
    if LIBC.connect(made.fileno(), address, len(address) if size is None else size) < 0:
        raise OSError(ctypes.get_errno(), "connect")


def each_pair(pairs):
    """A case for each of @pairs, with its policy."""
    def note(function):
        for number, (asked, given) in enumerate(pairs):
            def one(asked=asked, given=given):
                function(asked, given)
            one.__name__ = f"{function.__name__}_{number}"
            case(rewrites(asked, given))(one)
    return note


@each_pair(PAIRS)
def connect_is_rewritten(asked, given):
    """connect_unix, getpeername_unix, and recvmsg_unix of a stream."""
    for kind in (STREAM, SEQPACKET):
        server, client = serve(kind, given), make(kind)
        client.connect(asked)
        peer, source = server.accept()
        same("accept", "", source)
        same("getpeername", shown(asked), client.getpeername())
        same("accepted", (shown(given), ""), (peer.getsockname(), peer.getpeername()))
        same("the server's own", shown(given), server.getsockname())
        client.send(b"?")
        same("question", (b"?", None), peer.recvfrom(1))
        peer.send(b"!")
        same("answer", (b"!", shown(asked)), client.recvfrom(1))
        same("getpeername after", shown(asked), client.getpeername())
        again = make(kind)
        again.connect(given)
        same("where it says", shown(given), again.getpeername())


@each_pair(PAIRS[:2])
def refused_then_connected(asked, given):
    """What was asked by a connect that failed is forgotten by the next one."""
    client, server = make(STREAM), serve(STREAM, DIR + "/other")
    fails("nobody there", "ECONNREFUSED" if given[0] == "\0" else "ENOENT",
          client.connect, asked)
    client.connect(DIR + "/other")
    same("getpeername", DIR + "/other", client.getpeername())
    same("accept", "", server.accept()[1])


@each_pair(PAIRS)
def datagrams_are_rewritten(asked, given):
    """sendmsg_unix, recvmsg_unix."""
    server, other, client = serve(DGRAM, given), serve(DGRAM, "\0other"), make(DGRAM)
    client.bind("\0client")
    for send in (client.sendto, lambda what, to: client.sendmsg([what], [], 0, to)):
        send(b"?", asked)
        byte, source = server.recvfrom(1)
        same("question", (b"?", b"\0client"), (byte, source))
        server.sendto(b"!", source)
        same("answer", (b"!", shown(asked)), client.recvfrom(1))
        server.sendto(b"!", source)
        byte, _, _, source = client.recvmsg(1)
        same("answer by recvmsg()", (b"!", shown(asked)), (byte, source))
    other.sendto(b"x", b"\0client")
    same("somebody else", (b"x", b"\0other"), client.recvfrom(1))
    client.sendto(b"?", given)
    server.sendto(b"!", server.recvfrom(1)[1])
    same("by its own name", (b"!", shown(given)), client.recvfrom(1))


@each_pair(PAIRS[:2])
def connected_datagrams_are_rewritten(asked, given):
    """getpeername() of such is for the programs of the peer's cgroup: it is left alone."""
    server, client = serve(DGRAM, given), make(DGRAM)
    client.bind("\0client")
    client.connect(asked)
    same("getpeername", shown(given), client.getpeername())
    client.send(b"?")
    same("question", (b"?", b"\0client"), server.recvfrom(1))
    server.sendto(b"!", b"\0client")
    same("answer", (b"!", shown(asked)), client.recvfrom(1))
    libc_connect_unspec(client)
    client.sendto(b"?", asked)
    same("after AF_UNSPEC", b"?", server.recv(1))


@case("".join(f"endpoint e{i} unix @e{i}\nconnect unix @a{i} = e{i}\n" for i in range(6)))
def the_last_four_destinations_are_known():
    servers = [serve(DGRAM, f"\0e{i}") for i in range(6)]
    client = make(DGRAM)
    client.bind("\0client")
    for turn in range(2):
        for i, server in enumerate(servers):
            client.sendto(b"?", f"\0a{i}")
            server.recv(1)
    for i, server in enumerate(servers):
        server.sendto(b"!", b"\0client")
        wanted = f"\0a{i}" if i >= 2 else f"\0e{i}"
        same(f"answer of {i}", (b"!", shown(wanted)), client.recvfrom(1))


@case(f"""
connect unix {text(ASKED)} = deny
connect unix {ASKED_FILE} = deny:ECONNREFUSED
connect unix {DIR}/sub/* = deny:ENOENT
connect any 0.0.0.0/0 = deny:EIO
""")
def denials_have_their_errno():
    paths = ((ASKED, "EACCES"), (ASKED_FILE, "ECONNREFUSED"), (DIR + "/sub/", "ENOENT"),
             (DIR + "/sub/x/y", "ENOENT"))
    servers = [serve(DGRAM, path) for path, _ in paths[:2]]
    kept = serve(DGRAM, "\0kept")
    for path, wanted in paths:
        for kind in (STREAM, SEQPACKET, DGRAM):
            fails("connect", wanted, make(kind).connect, path)
        fails("sendto", wanted, make(DGRAM).sendto, b"x", path)
        connected = make(DGRAM)
        connected.connect("\0kept")
        fails("sendto, connected elsewhere", wanted, connected.sendto, b"x", path)
        fails("sendmsg", wanted, connected.sendmsg, [b"x"], [], 0, path)
        connected.send(b"y")
        same("where it is connected", b"y", kept.recv(2))
    for server in servers:
        server.setblocking(False)
        fails("nothing came", "EAGAIN", server.recv, 1)
    fails("no rule", "ENOENT", make(STREAM).connect, DIR + "/sub")


ALL_BUT = f"""
connect unix {ASKED_FILE} = own
connect unix @ok* = host
connect unix * = deny:EPERM
"""


@case(ALL_BUT)
def all_is_denied_but_what_is_allowed():
    server = serve(STREAM, ASKED_FILE)
    os.chdir(DIR)
    for path in (b"/", b"asked", b"./asked", DIR.encode() + b"/./asked",
                 DIR.encode() + b"//asked", b"\0", b"\0o", b"\0ko", b"@ok", b"\xff",
                 b"/" + b"x" * 107, b"\0" + b"\xff" * 107):
        fails(f"{path}", "EPERM", raw_connect, make(STREAM), path)
        fails(f"{path} to", "EPERM", raw_connect, make(DGRAM), path)
    for path in (ASKED_FILE.encode(), ASKED_FILE.encode() + b"\0",
                 ASKED_FILE.encode() + b"\0/../x"):
        raw_connect(make(STREAM), path)
    serve(STREAM, "\0ok")
    for path in (b"\0ok", b"\0ok\0", b"\0okay"):
        fails(f"{path}", "ECONNREFUSED", raw_connect, make(STREAM), path)
    for size in (0, 2):
        fails("without a path", "EINVAL", raw_connect, make(STREAM), b"/", size)
    server.close()


@case(ALL_BUT)
def who_names_nobody_is_not_judged():
    """bind(), autobind, socketpair(), accept(), and what is connected."""
    for kind in (STREAM, SEQPACKET, DGRAM):
        one, two = socket.socketpair(socket.AF_UNIX, kind)
        one.send(b"x")
        same("socketpair", b"x", two.recv(2))
        two.sendmsg([b"y"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                              array.array("i", [1]))])
        same("socketpair back", b"y", one.recvmsg(2, 64)[0])
    made = make(DGRAM)
    made.bind("")
    same("autobind", (b"\0", 6), (made.getsockname()[:1], len(made.getsockname())))
    named = serve(STREAM, DIR + "/mine")
    same("bind", DIR + "/mine", named.getsockname())
    server, client = serve(STREAM, ASKED_FILE), make(STREAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    client.connect(ASKED_FILE)
    peer, source = server.accept()
    same("autobound by connect", (b"\0", 6), (source[:1], len(source)))
    same("getpeername", ASKED_FILE, client.getpeername())
    peer.send(b"!")
    same("answer", (b"!", ASKED_FILE), client.recvfrom(2))


@case(ALL_BUT)
def policy_stays_with_the_socket():
    """dup, fork, SCM_RIGHTS."""
    for kind in (STREAM, DGRAM):
        made = make(kind)
        fails("plain", "EPERM", made.connect, DIR + "/no")
        fails("dup", "EPERM", made.dup().connect, DIR + "/no")
        pid = os.fork()
        if pid == 0:
            try:
                fails("fork", "EPERM", made.connect, DIR + "/no")
                os._exit(0)
            except Wrong:
                os._exit(1)
        same("fork", 0, os.waitpid(pid, 0)[1])


@case(ALL_BUT, root_only=True)
def raw_sockets_are_none_of_it():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


if __name__ == "__main__":
    sys.exit(main())
