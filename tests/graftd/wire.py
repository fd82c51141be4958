# SPDX-License-Identifier: GPL-2.0-or-later
"""Talking to graftd by hand: messages as in src/wire/wire.h, and nothing of its code."""
import array
import os
import socket
import struct

TYPES = dict(hello=1, error=2, bye=3, ask=32, grant=33, ask_supply=34, ask_policy=35,
             policy=36, ask_page=37, page=38, add=48, delete=49, reload=50,
             ask_endpoints=51, endpoint=52, watch=53, event=54, place=55)
NAMES = {number: name for name, number in TYPES.items()}
BIND, CONNECT, FROM = 1, 2, 3
F_REPLY, F_SOCKET = 1, 2
ENDPOINT = {1: 'line', 2: 'uid', 3: 'netns', 4: 'port', 5: 'n_binds', 6: 'n_connects',
            7: 'n_denied', 8: 'state'}
EVENT = {1: 'kind', 2: 'name', 3: 'uid', 4: 'pid', 5: 'netns', 6: 'text'}
TEXTS = {'line', 'state', 'kind', 'name', 'text'}


def u32(value):
    return struct.pack('=I', value)


def pack(kind, *fields):
    body = b''.join(struct.pack('=HH', tag, len(data)) + data for tag, data in fields)
    return struct.pack('=IHH', 8 + len(body), TYPES[kind], 1) + body


def unpack(data):
    size, number, _ = struct.unpack('=IHH', data[:8])
    fields, at = {}, 8
    while at < size:
        tag, n = struct.unpack('=HH', data[at:at + 4])
        fields[tag] = data[at + 4:at + 4 + n]
        at += 4 + n
    return NAMES.get(number, number), fields


def named(fields, names):
    result = {}
    for tag, name in names.items():
        data = fields.get(tag, b'')
        result[name] = data.decode() if name in TEXTS else int.from_bytes(data, 'little')
    return result


class Client:
    def __init__(self, path, hello=True, timeout=10):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        if hello:
            self.send('hello', (1, u32(os.getpid())), (2, b'test'))
            kind, _ = self.receive()
            assert kind == 'hello', kind

    def send(self, kind, *fields, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))]
        self.socket.sendmsg([pack(kind, *fields)], control if fds else [])

    def receive(self):
        """(type, fields), or (None, {}) at the end."""
        data = self.socket.recv(4096)
        return unpack(data) if data else (None, {})

    def request(self, kind, *fields):
        """0, or the errno of the answer; self.text is what was said."""
        self.send(kind, *fields)
        kind, fields = self.receive()
        self.text = fields.get(2, b'').decode() if kind == 'error' else ''
        return int.from_bytes(fields[1], 'little') if kind == 'error' else 0

    def add(self, line):
        return self.request('add', (1, line.encode()))

    def delete(self, name):
        return self.request('delete', (1, name.encode()))

    def reload(self):
        return self.request('reload')

    def place(self, name):
        return self.request('place', (1, name.encode()))

    def list(self):
        """{line: endpoint}"""
        self.send('ask_endpoints')
        return self.collect()

    def collect(self):
        found = {}
        while True:
            kind, fields = self.receive()
            if kind != 'endpoint':
                assert kind == 'bye', (kind, fields)
                return found
            endpoint = named(fields, ENDPOINT)
            assert endpoint['line'] not in found
            found[endpoint['line']] = endpoint

    def watch(self):
        self.send('watch')
        return self.collect()

    def event(self):
        kind, fields = self.receive()
        assert kind == 'event', (kind, fields)
        return named(fields, EVENT)

    def ask(self, operation, name, family=socket.AF_INET, kind=socket.SOCK_STREAM,
            address=None, old=None):
        """A socket; or the errno."""
        fields = [(1, u32(operation)), (2, name.encode()), (3, u32(family)),
                  (4, u32(kind)), (5, u32(0)), (6, u32(F_SOCKET if old else 0))]
        if address:
            fields.append((7, struct.pack('=H', socket.AF_INET) +
                           struct.pack('!H', address[1]) +
                           socket.inet_aton(address[0]) + bytes(8)))
        self.send('ask', *fields, fds=[old.fileno()] if old else ())
        data, control, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(8))
        answer, fields = unpack(data)
        fds = array.array('i')
        for _, _, rights in control:
            fds.frombytes(rights[:len(rights) - len(rights) % fds.itemsize])
        if answer == 'error':
            assert not fds
            self.text = fields.get(2, b'').decode()
            return int.from_bytes(fields[1], 'little')
        assert answer == 'grant', answer
        for extra in fds[1:]:
            os.close(extra)
        self.address = fields.get(3)
        return socket.socket(fileno=fds[0])

    def close(self):
        self.socket.close()
