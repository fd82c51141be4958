# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers DNS queries that come over UDP by asking over TCP, as DNS2SOCKS does.

    dns_to_tcp.py LISTEN-ADDRESS LISTEN-PORT SERVER-ADDRESS SERVER-PORT

One poll() loop, non-blocking TCP connections, one per query.
"""
import select
import socket
import struct
import sys

udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((sys.argv[1], int(sys.argv[2])))
udp.setblocking(False)
server = (sys.argv[3], int(sys.argv[4]))
poll = select.poll()
poll.register(udp, select.POLLIN)
waiting = {}
print("ready", flush=True)


def ask(query, client):
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    tcp.setblocking(False)
    poll.register(tcp, select.POLLOUT)
    waiting[tcp.fileno()] = [tcp, client, struct.pack("!H", len(query)) + query, b""]
    tcp.connect_ex(server)


def work(entry, events):
    tcp, client, query, answer = entry
    if events & select.POLLOUT and query:
        if tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        entry[2] = query[tcp.send(query) :]
        if not entry[2]:
            poll.modify(tcp, select.POLLIN)
        return True
    entry[3] = answer = answer + tcp.recv(65536)
    if len(answer) < 2 or len(answer) < 2 + struct.unpack("!H", answer[:2])[0]:
        return bool(answer)
    udp.sendto(answer[2:], client)
    return False


while True:
    for fd, events in poll.poll():
        if fd == udp.fileno():
            ask(*udp.recvfrom(4096))
        elif not work(waiting[fd], events):
            poll.unregister(fd)
            waiting.pop(fd)[0].close()
