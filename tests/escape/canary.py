# SPDX-License-Identifier: GPL-2.0-or-later
"""The host of the escape suite: its namespace, the allowed service, and the canaries.

A canary says that something reached it: a TCP one by any accept, a UDP one by any
datagram, the kernel's ICMP counters by any echo request, the socket tables by any
listener that was not there before, a packet socket by any packet that has a route and
is on its way to a denied address. It answers nothing.
"""

import ctypes
import os
import selectors
import signal
import socket
import subprocess
import threading

LO = 1
GIVEN = 7710
OF_LETTER = {7704: b'a', 7705: b'b'}
UDPLITE = 136
DENIED = {socket.inet_pton(family, address) for family, address in (
    (socket.AF_INET, '10.77.0.66'), (socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, 'fd77::66'))}
ETH_P_ALL = 3
SO_ATTACH_FILTER = 26
# Packets with options (IPv4) or with a routing header first (IPv6), from their IP header on.
WITH_ROUTE = (
    (0x30, 0, 0, 0), (0x54, 0, 0, 0xf0), (0x15, 3, 0, 0x60),  # the version
    (0x30, 0, 0, 0), (0x54, 0, 0, 0x0f), (0x25, 2, 3, 5),     # the length of the header
    (0x30, 0, 0, 6), (0x15, 0, 1, 43),                        # what comes next
    (0x06, 0, 0, 0xffff), (0x06, 0, 0, 0),
)


def host_make():
    """Fills the new network namespace; /run is made private to this mount namespace."""
    for command in (
        'mount -t tmpfs tmpfs /run',
        'ip link set lo up',
        'ip link add host0 type veth peer name host1',
        'ip address add 10.77.0.1/24 dev host0',
        'ip address add 10.77.0.66/24 dev host0',
        'ip address add fd77::1/64 dev host0 nodad',
        'ip address add fd77::66/64 dev host0 nodad',
        'ip link set host0 up',
        'ip link set host1 up',
        'ip route add 239.0.0.0/8 dev lo',
    ):
        subprocess.run(command.split(), check=True)
    with open('/proc/sys/net/ipv4/ping_group_range', 'w') as file:
        file.write('0 2147483647')


def end(process):
    """Ends a process group that we started, and takes its status."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    for stream in (process.stdin, process.stdout):
        stream.close()


class Deadline:
    """Kills @process when it has not ended in time."""

    def __init__(self, process, seconds):
        self.passed = False
        self.process = process
        self.timer = threading.Timer(seconds, self.pass_by)

    def pass_by(self):
        self.passed = True
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def __enter__(self):
        self.timer.start()
        return self

    def __exit__(self, *_):
        self.timer.cancel()


def listeners():
    """Everything in the socket tables that waits for strangers."""
    found = set()
    for table in ('tcp', 'tcp6', 'udp', 'udp6', 'udplite', 'udplite6'):
        try:
            with open(f'/proc/self/net/{table}') as file:
                lines = file.readlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            port = int(fields[1].rsplit(':', 1)[1], 16)
            waits = fields[3] == '0A' if table.startswith('tcp') else fields[2].endswith(':0000')
            if waits and port != GIVEN:
                found.add((f'listener {table} {fields[1]}', fields[9]))
    return found


class Filter(ctypes.Structure):
    _fields_ = [('code', ctypes.c_uint16), ('jt', ctypes.c_uint8), ('jf', ctypes.c_uint8), ('k', ctypes.c_uint32)]


class Program(ctypes.Structure):
    _fields_ = [('n', ctypes.c_uint16), ('first', ctypes.POINTER(Filter))]


def listeners_on_lo():
    """Ports of TCP that nobody outside the host reaches."""
    lines = subprocess.run(['ss', '-Hlnt'], check=True, capture_output=True, text=True).stdout.splitlines()
    where = [line.split()[3].rsplit(':', 1) for line in lines]
    return {int(port) for address, port in where
            if address.endswith('%lo') or address.startswith(('127.', '[::1]', '[::ffff:127.'))}


def packets_with_routes():
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    code = (Filter * len(WITH_ROUTE))(*WITH_ROUTE)
    sniffer.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(Program(len(WITH_ROUTE), code)))
    sniffer.bind(('lo', ETH_P_ALL))
    sniffer.setblocking(False)
    return sniffer


def echo_requests():
    counts = {}
    with open('/proc/self/net/snmp') as file:
        lines = [line.split() for line in file if line.startswith('Icmp:')]
    counts['echo v4'] = int(lines[1][lines[0].index('InEchos')])
    with open('/proc/self/net/snmp6') as file:
        for line in file:
            if line.startswith('Icmp6InEchos '):
                counts['echo v6'] = int(line.split()[1])
    return counts


class Canary:
    """One thread serves all sockets; touches are collected between start and end_watch."""

    def __init__(self, work):
        self.selector = selectors.DefaultSelector()
        self.touched = set()
        self.lock = threading.Lock()
        self.is_closing = False
        self.wake, self.woken = socket.socketpair()
        self.drained = threading.Event()
        self.selector.register(self.woken, selectors.EVENT_READ, self.on_wake)
        self.helper_path = work / 'helper'
        self.add_all(work)
        self.known_listeners = listeners()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def add(self, family, kind, address, handler, protocol=0, shares=True):
        sock = socket.socket(family, kind, protocol)
        if shares:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # so that a thief with SO_REUSEPORT is not stopped by chance
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        if kind == socket.SOCK_STREAM:
            sock.listen(512)
        sock.setblocking(False)
        self.selector.register(sock, selectors.EVENT_READ, handler)
        return sock

    def add_all(self, work):
        v4, v6 = socket.AF_INET, socket.AF_INET6
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        for family, address in ((v4, '10.77.0.1'), (v6, 'fd77::1')):
            self.add(family, stream, (address, 7700), self.on_service)
            self.add(family, datagram, (address, 7700), self.on_question)
        for family, address in ((v4, '127.0.0.1'), (v4, '127.1.2.3'), (v4, '10.77.0.66'),
                                (v6, '::1'), (v6, 'fd77::66')):
            self.add(family, stream, (address, 7701), self.on_accept)
            self.add(family, datagram, (address, 7701), self.on_datagram)
            try:
                self.add(family, datagram, (address, 7701), self.on_datagram, UDPLITE)
            except OSError:
                pass
        for family, address in ((v4, '127.0.0.1'), (v6, '::1')):
            self.add(family, stream, (address, 40001), self.on_accept)
            self.add(family, datagram, (address, 40001), self.on_datagram)
        self.add(v4, datagram, ('127.255.255.255', 7701), self.on_datagram)
        group = self.add(v4, datagram, ('239.77.77.77', 7703), self.on_datagram)
        group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                         socket.inet_aton('239.77.77.77') + bytes(4) + LO.to_bytes(4, 'little'))
        for family, address in ((v4, '0.0.0.0'), (v6, '::')):
            for kind in (stream, datagram):
                self.add(family, kind, (address, 7711), self.on_accept, shares=False)
        for family, address in ((v4, '127.0.0.1'), (v6, '::1')):
            client = self.add(family, datagram, (address, 40002), self.on_datagram)
            client.connect((address, GIVEN))
        for kind, name, handler in ((stream, 'stream', self.on_name),
                                    (datagram, 'datagram', self.on_name_datagram)):
            named = socket.socket(socket.AF_UNIX, kind)
            named.bind(f'\0graft-escape-{name}')
            if kind == stream:
                named.listen(512)
            self.selector.register(named, selectors.EVENT_READ, handler)
        self.add_paths(work)
        self.selector.register(packets_with_routes(), selectors.EVENT_READ, self.on_packet)
        # where the policies of a swap lead: the letter says whom it was for
        for family, address in ((v4, '10.77.0.1'), (v6, 'fd77::1')):
            for port in OF_LETTER:
                self.add(family, stream, (address, port), self.on_led)
                self.add(family, datagram, (address, port), self.on_letter)
        helper = socket.socket(socket.AF_UNIX, stream)
        helper.bind(str(self.helper_path))
        os.chmod(self.helper_path, 0o666)
        helper.listen(16)
        self.selector.register(helper, selectors.EVENT_READ, self.on_helper)

    def add_paths(self, work):
        """UNIX sockets of the file system; see path.c."""
        for name, mode in (('paths', 0o755), ('own', 0o777)):
            (work / name).mkdir()
            (work / name).chmod(mode)
        for kind, name, handler in ((socket.SOCK_STREAM, 'secret', self.on_path),
                                    (socket.SOCK_DGRAM, 'secret.log', self.on_path_datagram),
                                    (socket.SOCK_STREAM, 'allowed', self.on_visitor),
                                    (socket.SOCK_DGRAM, 'allowed.log', self.on_letter_to_none)):
            made = socket.socket(socket.AF_UNIX, kind)
            made.bind(str(work / 'paths' / name))
            (work / 'paths' / name).chmod(0o666)
            if kind == socket.SOCK_STREAM:
                made.listen(512)
            made.setblocking(False)
            self.selector.register(made, selectors.EVENT_READ, handler)

    def on_path(self, sock):
        self.on_visitor(sock)
        self.touch('path stream')

    def on_path_datagram(self, sock):
        sock.recv(1 << 16)
        self.touch('path datagram')

    def on_visitor(self, sock):
        sock.accept()[0].close()

    def on_letter_to_none(self, sock):
        sock.recv(1 << 16)

    def serve(self):
        while not self.is_closing:
            for key, _ in self.selector.select():
                try:
                    key.data(key.fileobj)
                except (BlockingIOError, ConnectionError):
                    pass

    def on_wake(self, sock):
        """Answers once nothing else is waiting."""
        others = [key for key, _ in self.selector.select(0) if key.fileobj is not sock]
        if not others:
            sock.recv(1)
            self.drained.set()

    def on_accept(self, sock):
        connection, _ = sock.accept()
        connection.close()
        self.touch(f'tcp {sock.getsockname()[0]}')

    def on_datagram(self, sock):
        sock.recv(1 << 16)
        address, port = sock.getsockname()[:2]
        self.touch(f'client {address}' if port == 40002 else f'datagram {address}')

    def on_packet(self, sock):
        packet = sock.recv(1 << 16)
        target = packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]
        if target in DENIED:
            self.touch('routed to ' + socket.inet_ntop(
                socket.AF_INET if len(target) == 4 else socket.AF_INET6, target))

    def on_letter(self, sock):
        if sock.recv(1 << 16) != OF_LETTER[sock.getsockname()[1]]:
            self.touch('a mix of two policies')

    def on_led(self, sock):
        connection, _ = sock.accept()
        connection.setblocking(False)
        self.selector.register(connection, selectors.EVENT_READ, self.on_first)

    def on_first(self, connection):
        port = connection.getsockname()[1]
        try:
            data = connection.recv(1)
        except OSError:
            data = b''
        if data and data != OF_LETTER[port]:
            self.touch('a mix of two policies')
        self.selector.unregister(connection)
        connection.close()

    def on_name(self, sock):
        connection, _ = sock.accept()
        connection.close()
        self.touch('abstract stream')

    def on_name_datagram(self, sock):
        sock.recv(1 << 16)
        self.touch('abstract datagram')

    def on_service(self, sock):
        connection, _ = sock.accept()
        connection.setblocking(False)
        self.selector.register(connection, selectors.EVENT_READ, self.on_talk)

    def on_talk(self, connection):
        try:
            data = connection.recv(4096)
            if data:
                connection.send(b'ok')
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.selector.unregister(connection)
        connection.close()

    def on_question(self, sock):
        _, peer = sock.recvfrom(1 << 16)
        sock.sendto(b'ok', peer)

    def on_helper(self, sock):
        connection, _ = sock.accept()
        connection.settimeout(5)
        with connection:
            name = connection.recv(4).decode()
            family = socket.AF_INET6 if name.endswith('6') else socket.AF_INET
            kind = socket.SOCK_STREAM if name.startswith('tcp') else socket.SOCK_DGRAM
            with socket.socket(family, kind) as made:
                socket.send_fds(connection, [b'x'], [made.fileno()])

    def touch(self, what):
        with self.lock:
            self.touched.add(what)

    def look_for_listeners(self, port, has_loopback=False):
        """New ones; only those at @port unless it is 0. @has_loopback: those at any port on
        lo are of the policy's own loopback, and so are datagram sockets, which
        tests/cgroup/test_judged.sh sends to."""
        kept = listeners_on_lo() if has_loopback else set()
        for name, _ in listeners() - self.known_listeners:
            at = int(name.rsplit(':', 1)[1], 16)
            if port and at != port:
                continue
            if not has_loopback or not (name.startswith('listener udp') or at in kept):
                self.touch(name)

    def drain(self):
        self.drained.clear()
        self.wake.send(b'.')
        if not self.drained.wait(30):
            raise RuntimeError('the canaries do not answer')

    def start_watch(self):
        self.drain()
        with self.lock:
            self.touched = set()
        self.echoes = echo_requests()

    def end_watch(self):
        self.drain()
        for name, count in echo_requests().items():
            if count != self.echoes[name]:
                self.touch(name)
        with self.lock:
            return set(self.touched)

    def close(self):
        self.is_closing = True
        self.wake.send(b'.')
        self.thread.join(5)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
        self.wake.close()
