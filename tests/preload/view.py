# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a grafted program sees, said line by line: view.py CASE [ARG...]. Ports that the
# kernel picks are printed as PORT.
import os
import socket
import struct
import subprocess
import sys

PATIENCE = 10
TCP_INFO, TCP_NODELAY = 11, 1
SO_DOMAIN, SO_PROTOCOL = 39, 38


def text(address):
    if not isinstance(address, tuple):
        return "unix" if address else "nobody"
    host, port = address[:2]
    return "%s %s" % (host, port if port < 1024 or port in NAMED else "PORT")


NAMED = {8080, 5353, 6053}


def say(what, *values):
    print(what, *[text(v) if isinstance(v, (tuple, str, bytes)) else v for v in values],
          flush=True)


def listening(family=socket.AF_INET, at="0.0.0.0", port=80):
    server = socket.socket(family)
    server.settimeout(PATIENCE)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((at, port))
    say("bound", server.getsockname())
    server.listen(8)
    say("listening", server.getsockname())
    return server


def connected(host="10.1.1.1", port=80, family=socket.AF_INET):
    client = socket.socket(family)
    client.settimeout(PATIENCE)
    client.connect((host, port))
    say("peer", client.getpeername())
    return client


def stream(family, at, host):
    """Both ends in one process."""
    family = getattr(socket, family)
    server = listening(family, at)
    client = connected(host, 80, family)
    fd, address = server.accept()
    say("accepted", address)
    say("serving", fd.getsockname(), fd.getpeername())
    if fd.getpeername() != client.getsockname():
        print("the client is", client.getsockname(), "not", fd.getpeername())
    client.sendall(b"x")
    fd.sendall(fd.recv(1))
    say("echo", len(client.recv(1)))


def inherited():
    """The same through fork and exec: what was noted is gone."""
    server = listening()
    client = connected()
    fd, _ = server.accept()
    fds = [server.fileno(), client.fileno(), fd.fileno()]
    subprocess.run([sys.executable, __file__, "after_exec", *map(str, fds)],
                   pass_fds=fds, check=True, timeout=PATIENCE)


def after_exec(*fds):
    server, client, fd = [socket.socket(fileno=int(n)) for n in fds]
    say("listening", server.getsockname())
    say("peer", client.getpeername())
    say("serving", fd.getsockname())
    say("family", server.family, fd.family, client.family)


def forked():
    server = listening()
    child = os.fork()
    if child == 0:
        client = connected()
        say("child", client.getpeername(), server.getsockname())
        os._exit(0)
    server.accept()
    os.waitpid(child, 0)


def passed():
    """To a child that did not bind it, over a UNIX socket, by SCM_RIGHTS."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    server = listening()
    child = os.fork()
    if child == 0:
        _, fds, _, _ = socket.recv_fds(theirs, 1, 1)
        say("received", socket.socket(fileno=fds[0]).getsockname())
        os._exit(0)
    socket.send_fds(ours, [b"x"], [server.fileno()])
    os.waitpid(child, 0)


def datagrams():
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.settimeout(PATIENCE)
    server.bind(("0.0.0.0", 53))
    say("bound", server.getsockname())
    client = socket.socket(type=socket.SOCK_DGRAM)
    client.settimeout(PATIENCE)
    client.sendto(b"a", ("10.1.1.1", 53))
    _, one = server.recvfrom(16)
    say("from", one)
    server.sendto(b"b", one)
    _, address = client.recvfrom(16)
    say("answer", address)
    client.sendto(b"c", ("10.1.1.1", 53))
    _, _, _, again = server.recvmsg(16)
    print("the same sender" if again == one else (again, one), flush=True)
    server.sendmsg([b"d"], [], 0, again)
    _, _, _, address = client.recvmsg(16)
    say("answer", address)
    client.connect(("10.1.1.1", 53))
    say("peer", client.getpeername())
    client.send(b"e")
    _, again = server.recvfrom(16)
    server.sendto(b"f", again)
    say("answer", client.recvfrom(16)[1])


def two_servers():
    """One socket that is not connected, and two endpoints."""
    servers = []
    for port in 53, 54:
        servers.append(socket.socket(type=socket.SOCK_DGRAM))
        servers[-1].settimeout(PATIENCE)
        servers[-1].bind(("0.0.0.0", port))
    client = socket.socket(type=socket.SOCK_DGRAM)
    client.settimeout(PATIENCE)
    for _ in range(2):
        for server, port in zip(servers, (53, 54)):
            client.sendto(b"a", ("10.1.1.1", port))
            server.sendto(b"b", server.recvfrom(16)[1])
    for _ in range(4):
        say("answer", client.recvfrom(16)[1])


def options():
    server = listening()
    client = socket.socket()
    client.settimeout(PATIENCE)
    client.setsockopt(socket.IPPROTO_TCP, TCP_NODELAY, 1)
    client.connect(("10.1.1.1", 80))
    fd, _ = server.accept()
    say("nodelay", client.getsockopt(socket.IPPROTO_TCP, TCP_NODELAY) != 0)
    for one in server, client, fd:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 44)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 16)
        state = one.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 104)[0]
        say("options", one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            one.getsockopt(socket.IPPROTO_IP, socket.IP_TOS), state,
            one.getsockopt(socket.SOL_SOCKET, SO_DOMAIN),
            one.getsockopt(socket.SOL_SOCKET, SO_PROTOCOL),
            one.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))
    pid, uid, _ = struct.unpack("iii", client.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    say("peer is", pid == os.getpid(), uid == os.getuid())


def own_unix(directory):
    """Sockets that are AF_UNIX from the start."""
    path = os.path.join(directory, "own.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    fd, address = server.accept()
    print("own", server.getsockname() == path, client.getpeername() == path,
          fd.getsockname() == path, repr(address), repr(fd.getpeername()), flush=True)
    try:
        client.setsockopt(socket.IPPROTO_TCP, TCP_NODELAY, 1)
        print("TCP_NODELAY was accepted")
    except OSError as error:
        print("error", error.errno)


def resolved(name):
    for family, _, _, _, address in socket.getaddrinfo(name, 80, 0, socket.SOCK_STREAM):
        say("resolved", family, address[0].split(".")[:2] == ["127", "201"])
        client = socket.create_connection(address[:2], PATIENCE)
        print("the same" if client.getpeername() == address else client.getpeername())
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        say("answer", len(client.recv(1)))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
