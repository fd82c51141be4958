#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeps a connection to each of many mirrors. Orders come by standard input, a line each:

    add ADDRESS PORT    connects; "added", or why not
    drop PORT           closes; "dropped"
    talk                a word on each, which has to come back: "N of M"
"""
import socket
import sys

LIMIT = 30
clients = {}


def add(address, port):
    try:
        clients[port] = socket.create_connection((address, int(port)), LIMIT)
    except OSError as error:
        return str(error)
    return "added"


def drop(port):
    clients.pop(port).close()
    return "dropped"


def answers(client, word):
    try:
        got = b""
        while len(got) < len(word):
            piece = client.recv(len(word) - len(got))
            if not piece:
                return False
            got += piece
    except OSError:
        return False
    return got == word


def talk(round_of=[0]):
    round_of[0] += 1
    words = {port: f"{port} says {round_of[0]}\n".encode() for port in clients}
    for port, client in clients.items():
        try:
            client.sendall(words[port])
        except OSError:
            pass
    return f"{sum(answers(c, words[p]) for p, c in clients.items())} of {len(clients)}"


for line in sys.stdin:
    order, *words = line.split()
    print({"add": add, "drop": drop, "talk": talk}[order](*words), flush=True)
