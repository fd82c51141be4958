# SPDX-License-Identifier: GPL-2.0-or-later
"""A tiny DNS server for the zone test., over UDP and TCP.

    dns_server.py ADDRESS [PORT]

    web.test   A 10.77.0.1, AAAA fd77::1
    v4.test    A 10.77.0.1
    v6.test    AAAA fd77::1
    big.test   40 A records 10.78.0.1-40; truncated (and empty) over UDP

Other names do not exist. Every query is a line "udp|tcp NAME TYPE" on standard output.
"""
import ipaddress
import socket
import socketserver
import struct
import sys
import threading

A, AAAA = 1, 28
ZONE = {
    ("web.test", A): ["10.77.0.1"],
    ("web.test", AAAA): ["fd77::1"],
    ("v4.test", A): ["10.77.0.1"],
    ("v6.test", AAAA): ["fd77::1"],
    ("big.test", A): ["10.78.0.%d" % i for i in range(1, 41)],
}
NAMES = {name for name, _ in ZONE}
QR_AA, TC, NXDOMAIN = 0x8400, 0x0200, 3


def question_of(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    return ".".join(labels), struct.unpack_from("!H", query, at + 1)[0], query[12 : at + 5]


def answer(query, protocol):
    ident, flags = struct.unpack_from("!HH", query)
    name, kind, question = question_of(query)
    print(protocol, name, kind, flush=True)
    records = [ipaddress.ip_address(a).packed for a in ZONE.get((name, kind), [])]
    flags = QR_AA | (flags & 0x0100)
    if name not in NAMES:
        flags |= NXDOMAIN
    if protocol == "udp" and len(records) > 20:
        flags |= TC
        records = []
    reply = struct.pack("!HHHHHH", ident, flags, 1, len(records), 0, 0) + question
    for record in records:
        reply += struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(record)) + record
    return reply


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        query, sock = self.request
        sock.sendto(answer(query, "udp"), self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        while size := self.rfile.read(2):
            query = self.rfile.read(struct.unpack("!H", size)[0])
            reply = answer(query, "tcp")
            self.wfile.write(struct.pack("!H", len(reply)) + reply)


def main():
    address = (sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 53)
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    socketserver.TCPServer.address_family = family
    socketserver.TCPServer.allow_reuse_address = True
    servers = [
        socketserver.ThreadingUDPServer(address, Udp),
        socketserver.ThreadingTCPServer(address, Tcp),
    ]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()


main()
