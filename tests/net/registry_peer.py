#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that knows ports and addresses only; see test_registry.sh for what its calls
become. registry_peer.py CASE..., prints one line for each."""
import socket
import sys


def stream(port, family=socket.AF_INET, host="127.0.0.1", any_="0.0.0.0"):
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((any_, port))
    server.listen(5)
    client = socket.socket(family)
    client.settimeout(10)
    client.connect((host, port))
    peer, _ = server.accept()
    client.sendall(b"ping")
    answer = peer.recv(16)
    # The side that closes first keeps its port busy.
    client.close()
    peer.close()
    server.close()
    return answer.decode()


def datagram(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.settimeout(10)
    server.bind(("0.0.0.0", port))
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names = set()
    for _ in range(3):
        client.sendto(b"ping", ("127.0.0.1", port))
        _, name = server.recvfrom(16)
        names.add(name)
    # One socket sends them all.
    return "ping" if len(names) == 1 else f"from {names}"


def bind(port):
    with socket.socket() as server:
        server.bind(("0.0.0.0", port))
        return "bound"


def connect(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        return client.recv(64).decode().strip() or "closed"


def strays(port):
    """Where does a socket that was put into another namespace send next?"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", port + 1000))
        server.settimeout(5)
        client.sendto(b"far", ("127.0.0.1", port))
        client.sendto(b"own", ("127.0.0.1", port + 1000))
        return server.recv(16).decode()


def again(port):
    """Reads lines; at each, connects."""
    for line in sys.stdin:
        try:
            print(line.strip(), connect(port), flush=True)
        except OSError as error:
            print(line.strip(), error.strerror, flush=True)
    return "end"


CASES = {
    "stream": lambda: stream(80),
    "dynamic": lambda: stream(81),
    "unix": lambda: stream(82),
    "six": lambda: stream(84, socket.AF_INET6, "::1", "::"),
    "datagram": lambda: datagram(80),
    "bind-none": lambda: bind(83),
    "connect-none": lambda: connect(83),
    "bind-closed": lambda: bind(85),
    "connect-closed": lambda: connect(85),
    "far": lambda: connect(86),
    "strays": lambda: strays(86),
    "again": lambda: again(86),
}

for case in sys.argv[1:]:
    try:
        print(case, CASES[case](), flush=True)
    except OSError as error:
        print(case, error.strerror, flush=True)
