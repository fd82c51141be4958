#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""hold_server.py PORT N: answers N connections at 0.0.0.0:PORT with its process id, and
ends. hold_server.py client HOST:PORT N: makes N connections one after the other, each of
which must be answered; prints by how many servers."""
import os
import socket
import sys


def serve(port, n):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen(64)
    for _ in range(n):
        connection, _ = listener.accept()
        connection.sendall(b"%d\n" % os.getpid())
        connection.close()


def ask(address, n):
    servers = set()
    for _ in range(n):
        with socket.create_connection(address, timeout=20) as connection:
            answer = connection.recv(64)
            if not answer.endswith(b"\n"):
                sys.exit(f"a connection was lost: {answer!r}")
            servers.add(answer)
    print(len(servers), "servers")


if sys.argv[1] == "client":
    host, port = sys.argv[2].split(":")
    ask((host, int(port)), int(sys.argv[3]))
else:
    serve(int(sys.argv[1]), int(sys.argv[2]))
