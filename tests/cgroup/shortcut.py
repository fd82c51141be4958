#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What programs see of a connection whose two ends are in one policy with `shortcut on`.

shortcut.py --list		the cases
shortcut.py NAME		runs one: prints what was seen, which is to be the same on
				plain sockets
shortcut.py --way NAME		runs one of WAYS, on one processor: which way bytes took,
				and what is known to be different

Both ends are in this process and do not block, or are told not to where it matters.
GRAFT_ROUNDS: connections of the case "order".
"""
import array
import ctypes
import errno
import fcntl
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import termios
import threading

WAIT = 20000
TCP_INFO_SIZE = 256
SO_ZEROCOPY = 60
MSG_ZEROCOPY = 0x4000000
PROCESSORS = os.sched_getaffinity(0)
PATTERN = random.Random(1).randbytes(65521)


def wait(sock, events=select.POLLIN):
    poll = select.poll()
    poll.register(sock, events)
    found = poll.poll(WAIT)
    assert found, "nothing came"
    return found[0][1]


def listen(family=socket.AF_INET, blocks=False):
    server = socket.socket(family)
    server.setblocking(blocks)
    server.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    server.listen(4096)
    return server


def dial(server, family=socket.AF_INET, blocks=False):
    """A connection: the client's end, the server's."""
    client = socket.socket(family)
    client.setblocking(blocks)
    address = server.getsockname()[:2]
    if family == socket.AF_INET6 and server.family == socket.AF_INET:
        address = ("::ffff:127.0.0.1", address[1])
    if client.connect_ex(address) == errno.EINPROGRESS:
        wait(client, select.POLLOUT)
    wait(server)
    served, _ = server.accept()
    served.setblocking(blocks)
    return client, served


def pair(**how):
    with listen(**how) as server:
        return dial(server, **how)


def send_all(sock, data):
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view):]
        except BlockingIOError:
            wait(sock, select.POLLOUT)


def receive(sock, size):
    got = b""
    while len(got) < size:
        try:
            more = sock.recv(size - len(got))
        except BlockingIOError:
            wait(sock)
            continue
        if not more:
            break
        got += more
    return got


def name_of(call, *args):
    """The result of a call, or the name of its error."""
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode[error.errno]


def by_tcp(sock):
    """How many bytes of what this end sent went by TCP."""
    return struct.unpack_from("Q", sock.getsockopt(
        socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE), 200)[0]


def queued(sock):
    size = array.array("i", [-1])
    fcntl.ioctl(sock, termios.FIONREAD, size)
    return size[0]


def exchange(client, served, n=3):
    for i in range(n):
        send_all(client, b"ask%d" % i)
        yield receive(served, 4)
        send_all(served, b"answer%d" % i)
        yield receive(client, 7)


# --- the same as by TCP -----------------------------------------------------------------


def case_exchange():
    for family in socket.AF_INET, socket.AF_INET6:
        yield from exchange(*pair(family=family))


def case_names():
    with listen() as server:
        client, served = dial(server)
        list(exchange(client, served))
        yield client.getpeername() == server.getsockname() == served.getsockname()
        yield served.getpeername() == client.getsockname()


def write_much(sock, total, seed):
    chance = random.Random(seed)
    at = 0
    while at < total:
        size = min(total - at, chance.choice((1, 7, 500, 4096, 70000)))
        start = at % len(PATTERN)
        send_all(sock, (PATTERN[start:] + PATTERN + PATTERN)[:size])
        at += size
    sock.shutdown(socket.SHUT_WR)


def read_much(sock, seed):
    """Reads until the end, and changes now and then whether calls may wait, so that the
    way changes too. Return: how much, and where it was not what it should have been."""
    chance = random.Random(seed)
    at = 0
    while True:
        if chance.random() < 0.2:
            sock.setblocking(chance.random() < 0.5)
        try:
            got = sock.recv(chance.choice((3, 999, 65536)), socket.MSG_DONTWAIT)
        except BlockingIOError:
            wait(sock)
            continue
        if not got:
            return at, None
        start = at % len(PATTERN)
        if got != (PATTERN[start:] + PATTERN + PATTERN)[:len(got)]:
            return at, at
        at += len(got)


def in_process(call, *args):
    child = os.fork()
    if child == 0:
        try:
            call(*args)
            os._exit(0)
        finally:
            os._exit(1)
    return child


def order(seed, server):
    """One connection. Return: whether all of it came right, and some of it each way."""
    ends = dial(server)
    total = random.Random(seed).choice((100, 5000, 40000, 300000))
    writers = [in_process(write_much, end, total, seed + i)
               for i, end in enumerate(ends)]
    results = [read_much(end, seed + 2) for end in ends]
    results += [os.waitpid(writer, 0)[1] for writer in writers]
    ways = [0 < by_tcp(end) < total for end in ends]
    for end in ends:
        end.close()
    return results == [(total, None)] * 2 + [0, 0], any(ways)


def case_order():
    yield all(order(seed, listen())[0]
              for seed in range(int(os.environ.get("GRAFT_ROUNDS", "300"))))


def case_half_close():
    client, served = pair()
    list(exchange(client, served))
    send_all(client, b"the last")
    client.shutdown(socket.SHUT_WR)
    yield name_of(client.send, b"too late")
    yield receive(served, 100)
    send_all(served, b"still heard")
    served.close()
    yield receive(client, 100)
    yield wait(client) & (select.POLLIN | select.POLLHUP | select.POLLERR)


def case_reset():
    for unread in b"", b"unread":
        client, served = pair()
        list(exchange(client, served))
        send_all(client, unread)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        wait(served, select.POLLHUP)
        yield name_of(served.recv, 100)
        yield name_of(served.recv, 100)
        yield name_of(served.send, b"x")


def case_peek():
    client, served = pair()
    list(exchange(client, served))
    send_all(client, b"peeked")
    wait(served)
    yield served.recv(3, socket.MSG_PEEK)
    yield served.recv(100, socket.MSG_PEEK)
    yield served.recv(100)
    yield name_of(served.recv, 100, socket.MSG_PEEK)


def case_vectors():
    client, served = pair()
    list(exchange(client, served))
    client.sendmsg([b"one", b"", b"two" * 50000])
    got = [bytearray(2), bytearray(1), bytearray(4)]
    wait(served)
    yield served.recvmsg_into(got)[0], got
    yield receive(served, 149996) == (b"two" * 50000)[4:]


def case_sendfile():
    client, served = pair()
    list(exchange(client, served))
    with open("/proc/self/exe", "rb") as file:
        wanted = file.read(200000)
        at = 0
        while at < len(wanted):
            at += os.sendfile(client.fileno(), file.fileno(), at, len(wanted) - at)
    send_all(client, b"after it")
    yield receive(served, len(wanted)) == wanted
    yield receive(served, 8)


def case_splice_into():
    client, served = pair()
    list(exchange(client, served))
    out, into = os.pipe()
    os.write(into, b"through a pipe")
    libc = ctypes.CDLL(None, use_errno=True)
    yield libc.splice(out, None, client.fileno(), None, 100, 0)
    send_all(client, b", then not")
    yield receive(served, 24)


def case_readiness():
    client, served = pair()
    list(exchange(client, served))
    both = select.POLLIN | select.POLLOUT
    yield wait(served, both)
    send_all(client, b"12345678")
    wait(served)
    yield wait(served, both)
    edge = select.epoll()
    edge.register(served, select.EPOLLIN | select.EPOLLET | select.EPOLLRDHUP)
    yield [events for _, events in edge.poll(WAIT / 1000)]
    yield served.recv(4), edge.poll(0)
    send_all(client, b"9")
    yield [events for _, events in edge.poll(WAIT / 1000)]
    yield served.recv(100), name_of(served.recv, 1), edge.poll(0)
    client.close()
    yield [events for _, events in edge.poll(WAIT / 1000)]


def case_stopped_reader():
    client, served = pair()
    list(exchange(client, served))
    sent = 0
    while sent < 1 << 28:
        try:
            sent += client.send(PATTERN[sent % len(PATTERN):])
        except BlockingIOError:
            break
    yield sent < 1 << 27
    poll = select.poll()
    poll.register(client, select.POLLOUT)
    yield poll.poll(0)
    got = receive(served, sent)
    yield len(got) == sent, got == (PATTERN * (sent // len(PATTERN) + 1))[:sent]
    yield wait(client, select.POLLOUT)
    yield from exchange(client, served)


def case_killed():
    server = listen()
    child = os.fork()
    if child == 0:
        client = dial_alone(server)
        send_all(client, PATTERN)
        signal.pause()
    wait(server)
    served, _ = server.accept()
    served.setblocking(False)
    yield receive(served, 10) == PATTERN[:10]
    yield receive(served, len(PATTERN) - 20) == PATTERN[10:-10]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    wait(served, 0x2000)  # POLLRDHUP
    yield receive(served, 100) == PATTERN[-10:]
    yield name_of(served.recv, 1)


def dial_alone(server):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(server.getsockname())
    wait(client, select.POLLOUT)
    return client


def case_blocking():
    """Calls that wait: a time limit, all of it, signals between."""
    client, served = pair(blocks=True)
    client.sendall(b"abc")
    yield served.recv(3)
    served.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50000))
    yield name_of(served.recv, 3)
    served.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))
    client.sendall(b"def")
    rest = threading.Thread(target=client.sendall, args=(b"ghi",))
    rest.start()
    yield served.recv(6, socket.MSG_WAITALL)
    rest.join()
    came = threading.Semaphore(0)
    signal.signal(signal.SIGALRM, lambda *_: came.release())

    def answer():
        for _ in range(3):
            came.acquire()
        client.sendall(b"after signals")

    answers = threading.Thread(target=answer)
    answers.start()
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    yield served.recv(100)
    signal.setitimer(signal.ITIMER_REAL, 0)
    answers.join()


def case_mixed_blocking():
    """One that waits at one end, or at the server's."""
    server = listen()
    client, served = dial(server)
    client.setblocking(True)
    served.setblocking(True)
    yield from exchange(client, served)
    with listen(blocks=True) as waiting:
        yield from exchange(*dial(waiting))


def case_options():
    client, served = pair()
    tcp = socket.IPPROTO_TCP
    client.setsockopt(tcp, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    yield from exchange(client, served)
    client.setsockopt(tcp, socket.TCP_CORK, 1)
    client.send(b"cork")
    client.send(b"ed")
    client.setsockopt(tcp, socket.TCP_CORK, 0)
    yield receive(served, 6)
    for level, option in ((tcp, socket.TCP_NODELAY), (tcp, socket.TCP_CORK),
                          (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                          (socket.SOL_SOCKET, socket.SO_ERROR)):
        yield client.getsockopt(level, option)


def case_zerocopy():
    client, served = pair()
    list(exchange(client, served))
    client.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    client.send(PATTERN[:20000], MSG_ZEROCOPY)
    yield receive(served, 20000) == PATTERN[:20000]
    wait(client, select.POLLERR)
    _, control, _, _ = client.recvmsg(1, 200, socket.MSG_ERRQUEUE)
    yield struct.unpack_from("IBBBBII", control[0][2])


def case_many():
    """As many sockets at once as ten thousand."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    server = listen()
    ends = [dial(server) for _ in range(5000)]
    for client, _ in ends:
        client.send(b"all")
    yield all(receive(served, 3) == b"all" for _, served in ends)
    for _, served in ends:
        served.send(b"of them")
    yield all(receive(client, 7) == b"of them" for client, _ in ends)


# --- which way, and what is different ---------------------------------------------------


def way(client, served):
    sent = by_tcp(client), by_tcp(served)
    list(exchange(client, served))
    return ["TCP" if now > before else "shortcut"
            for now, before in zip((by_tcp(client), by_tcp(served)), sent)]


def way_taken():
    for family in socket.AF_INET, socket.AF_INET6:
        yield way(*pair(family=family))


def way_mapped():
    """An IPv6 socket that connects to an IPv4 one."""
    yield way(*dial(listen(), family=socket.AF_INET6))


def way_blocking():
    yield way(*dial(listen(), blocks=True))
    yield way(*dial(listen(blocks=True)))


def way_mixed():
    """Both ways within one connection, in the order of the bytes."""
    results = [order(seed, listen()) for seed in range(40)]
    yield all(right for right, _ in results), any(mixed for _, mixed in results)


def way_accepted():
    """A server that accepts first and has the socket not block then, as redis."""
    server = listen()
    for _ in range(2):
        client = dial_alone(server)
        wait(server)
        served, _ = server.accept()
        served.setblocking(True)
        client.send(b"first")
        sent = by_tcp(client)
        served.setblocking(False)
        receive(served, 5)
        yield sent, way(client, served)


def way_brief():
    """Connections for a request each: after some the shortcut stays away."""
    server = listen()
    ways = []
    for _ in range(60):
        client, served = dial(server)
        ways.append(way_once(client, served))
        client.close()
        served.close()
    yield ways[0], ways[-1]


def way_once(client, served):
    send_all(client, b"ask")
    receive(served, 3)
    sent = by_tcp(served)
    send_all(served, b"answer")
    receive(client, 6)
    return "TCP" if by_tcp(served) > sent else "shortcut"


def way_again():
    """One that lasts makes the next ones worth it."""
    server = listen()
    for _ in range(60):
        client, served = dial(server)
        way_once(client, served)
        client.close()
        served.close()
    client, served = dial(server)
    list(exchange(client, served, 50))
    client.close()
    served.close()
    yield way_once(*dial(server))


def way_small():
    """Small messages that come faster than they are read; large ones that do."""
    for size, n in (1000, 200), (50000, 20):
        server = listen()
        client, served = dial(server)
        list(exchange(client, served))
        for _ in range(n):
            send_all(client, bytes(size))
        receive(served, n * size)
        yield way_once(client, served), way_once(*dial(server))


def way_sent(client, served, size):
    sent = by_tcp(client)
    send_all(client, bytes(size))
    receive(served, size)
    return "TCP" if by_tcp(client) > sent else "shortcut"


def way_far():
    """A large message and a small one, to who last spoke elsewhere and to who did so here."""
    here, there, *_ = sorted(PROCESSORS)
    client, served = dial(listen())
    list(exchange(client, served))
    for processor in there, here:
        os.sched_setaffinity(0, {processor})
        send_all(served, b"spoken")
        receive(client, 6)
        os.sched_setaffinity(0, {here})
        yield way_sent(client, served, 50000), way_sent(client, served, 100)


def way_silent():
    """A large message to who has not spoken yet."""
    client, served = dial(listen())
    send_all(client, b"ask")
    receive(served, 3)
    yield way_sent(client, served, 50000)


def way_urgent():
    client, served = dial(listen())
    list(exchange(client, served))
    client.send(b"u", socket.MSG_OOB)
    wait(served, select.POLLIN | select.POLLPRI)
    yield name_of(served.recv, 1)


def way_splice_out():
    client, served = dial(listen())
    list(exchange(client, served))
    client.send(b"for a pipe")
    wait(served)
    _, into = os.pipe()
    libc = ctypes.CDLL(None, use_errno=True)
    yield libc.splice(served.fileno(), None, into, None, 100, 2)


def way_unread():
    """What close() says of bytes that nobody read."""
    client, served = dial(listen())
    list(exchange(client, served))
    client.send(b"never read")
    wait(served)
    served.close()
    wait(client)
    yield name_of(client.recv, 1)


def way_later():
    """A socket that blocks after it has connected, a signal while it waits."""
    client, served = dial(listen())
    list(exchange(client, served))
    client.setblocking(True)
    came = []

    def on_alarm(*_):
        came.append(1)
        if len(came) == 3:
            send_all(served, b"after signals")

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    yield name_of(client.recv, 100)
    signal.setitimer(signal.ITIMER_REAL, 0)


def way_little():
    """SO_RCVLOWAT, with less than that."""
    client, served = dial(listen())
    list(exchange(client, served))
    served.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 10)
    send_all(client, b"few")
    poll = select.poll()
    poll.register(served, select.POLLIN)
    yield bool(poll.poll(0))


def way_counted():
    """FIONREAD, of bytes that came each way."""
    client, served = dial(listen())
    list(exchange(client, served))
    client.send(b"12345")
    wait(served)
    past = queued(served)
    receive(served, 5)
    served.setblocking(True)
    client.send(b"12345")
    wait(served)
    yield {(5, 5): "all", (5, 0): "not TCP's", (0, 5): "TCP's"}[past, queued(served)]


CASES = {name[5:]: case for name, case in list(globals().items())
         if name.startswith("case_")}
WAYS = {name[4:]: case for name, case in list(globals().items())
        if name.startswith("way_") and name not in ("way_once", "way_sent")}

if __name__ == "__main__":
    if sys.argv[1] == "--list":
        print(*CASES)
    else:
        table = CASES
        if sys.argv[1] == "--way":
            table = WAYS
            os.sched_setaffinity(0, {min(PROCESSORS)})
        for seen in table[sys.argv[-1]]():
            print(seen)
