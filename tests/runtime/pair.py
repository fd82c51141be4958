#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Two ends of TCP connections, each in a place of its own; neither blocks. They are on one
processor: large messages go by TCP to another.

pair.py serve PORT...			serves whoever connects, a process for each, and
					says what it saw of a connection when that ends
pair.py ask ADDRESS PORT KIND...	a connection of each kind, and what it saw
pair.py wait				until it is ended
"""
import os
import select
import signal
import socket
import struct
import sys

from shortcut import by_tcp, in_process, name_of, read_much, receive, send_all, wait, write_much

MUCH = 3_000_000
BLOCK = bytes(range(251)) * 1044
RESETS = struct.pack("ii", 1, 0)


def say(*what):
    print(*what, flush=True)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
    sock.close()


def come_by_tcp(sock):
    """How many bytes came to this end by TCP."""
    return struct.unpack_from("Q", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256),
                              128)[0]


def talk(sock, n=3):
    """The client's part of @n rounds, of which the first may come before the server's end
    is there. Return: the way of what was sent last, and of the answer."""
    for _ in range(n):
        sent = by_tcp(sock)
        send_all(sock, b"ask!")
        before, = struct.unpack("Q", receive(sock, 8))
        after, = struct.unpack("Q", receive(sock, 8))
    return ["TCP" if by_tcp(sock) > sent else "shortcut",
            "TCP" if after > before else "shortcut"]


def answer(sock, n=3):
    for _ in range(n):
        receive(sock, 4)
        send_all(sock, struct.pack("Q", by_tcp(sock)))
        send_all(sock, struct.pack("Q", by_tcp(sock)))


def both_ways(sock):
    """Much to each other at once, calls that wait between: then a half-close."""
    writer = in_process(write_much, sock, MUCH, 1)
    got = read_much(sock, 2)
    status = os.waitpid(writer, 0)[1]
    return got, status


def stream(sock):
    while True:
        send_all(sock, BLOCK)


def drink(sock):
    """Until it ends. Says so when much has come."""
    at = 0
    while True:
        try:
            got = sock.recv(1 << 16)
        except BlockingIOError:
            wait(sock)
            continue
        except OSError as error:
            return name_of(sock.send, b""), error.strerror
        if not got:
            return "EOF", "all was right"
        start = at % len(BLOCK)
        if got != (BLOCK[start:] + BLOCK)[:len(got)]:
            return "wrong", at
        if at < MUCH <= at + len(got):
            say("flows", "by TCP" if come_by_tcp(sock) >= MUCH else "past TCP")
        at += len(got)


# --- kinds: the client's end, the server's ------------------------------------------------


def ask_way(sock):
    return talk(sock)


def serve_way(sock):
    answer(sock)


def ask_copy(sock):
    talk(sock)
    return both_ways(sock)


def serve_copy(sock):
    answer(sock)
    return both_ways(sock)


def ask_close(sock):
    talk(sock)
    got = receive(sock, len(BLOCK) + 1)
    return got == BLOCK, name_of(sock.recv, 1)


def serve_close(sock):
    answer(sock)
    send_all(sock, BLOCK)


def ask_reset(sock):
    talk(sock)
    reset(sock)


def serve_reset(sock):
    answer(sock)
    wait(sock, select.POLLHUP)
    return name_of(sock.recv, 1), name_of(sock.recv, 1), name_of(sock.send, b"x")


def ask_refused(sock):
    talk(sock)
    send_all(sock, b"now!")
    wait(sock, select.POLLHUP)
    return name_of(sock.recv, 1), name_of(sock.recv, 1), name_of(sock.send, b"x")


def serve_refused(sock):
    answer(sock)
    receive(sock, 4)
    reset(sock)


def ask_stream(sock):
    talk(sock)
    return drink(sock)


def serve_stream(sock):
    answer(sock)
    return name_of(stream, sock)


# ------------------------------------------------------------------------------------------


def serve_one(sock):
    sock.setblocking(False)
    kind = receive(sock, 8).decode().strip()
    seen = globals()["serve_" + kind](sock)
    if seen:
        say(kind, *seen) if isinstance(seen, tuple) else say(kind, seen)


def serve(ports):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    poll = select.poll()
    servers = {}
    for port in ports:
        server = socket.create_server(("0.0.0.0", int(port)), backlog=100)
        server.setblocking(False)
        servers[server.fileno()] = server
        poll.register(server, select.POLLIN)
    say("serves")
    while True:
        for fd, _ in poll.poll():
            sock, _ = servers[fd].accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                serve_one(sock)
                os._exit(0)
            sock.close()


def ask(address, port, kind):
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex((address, int(port)))
    wait(sock, select.POLLOUT)
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        say(kind, os.strerror(error))
        return
    send_all(sock, kind.ljust(8).encode())
    say(kind, globals()["ask_" + kind](sock))
    sock.close()


command, *words = sys.argv[1:]
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
if command == "serve":
    serve(words)
elif command == "ask":
    for wanted in words[2:]:
        ask(*words[:2], wanted)
else:
    say("waits")
    signal.pause()
