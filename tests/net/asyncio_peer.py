# SPDX-License-Identifier: GPL-2.0-or-later
"""An asyncio echo server and the client that checks it.

    asyncio_peer.py server PORT                on 0.0.0.0 and [::], streams and datagrams
    asyncio_peer.py client PORT ADDRESS...     prints one line "ADDRESS ok"

The stream client opens forty connections at once, sends up to 1 MB on each, shuts down
its side and expects everything back and then the end. The datagram client sends from a
connected endpoint and from one that names the destination each time.
"""
import asyncio
import hashlib
import os
import socket
import sys

CONNECTIONS, DATAGRAMS = 40, 50


async def echo_stream(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    writer.close()


class EchoDatagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def serve(port):
    loop = asyncio.get_running_loop()
    servers = [await asyncio.start_server(echo_stream, "0.0.0.0", port)]
    servers.append(await asyncio.start_server(echo_stream, "::", port))
    for address in ("0.0.0.0", "::"):
        sock = socket.socket(
            socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM
        )
        if ":" in address:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((address, port))
        await loop.create_datagram_endpoint(EchoDatagrams, sock=sock)
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def check_stream(address, port, size):
    reader, writer = await asyncio.open_connection(address, port)
    data = os.urandom(size)

    async def send():
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    _, back = await asyncio.gather(send(), reader.read(-1))
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest(), size
    writer.close()
    await writer.wait_closed()


class Collect(asyncio.DatagramProtocol):
    def __init__(self):
        self.queue = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.queue.put_nowait((data, addr))

    def error_received(self, exc):
        self.queue.put_nowait((exc, None))


async def check_datagrams(address, port, connected):
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    target = (address, port)
    transport, protocol = await loop.create_datagram_endpoint(
        Collect,
        remote_addr=target if connected else None,
        family=family,
    )
    for i in range(DATAGRAMS):
        transport.sendto(b"datagram %d" % i, None if connected else target)
        data, addr = await asyncio.wait_for(protocol.queue.get(), 10)
        assert data == b"datagram %d" % i, (data, i)
        assert addr[1] == port, addr
    transport.close()


async def check(port, addresses):
    for address in addresses:
        await asyncio.gather(
            *(
                check_stream(address, port, 1 + i * 1048576 // CONNECTIONS)
                for i in range(CONNECTIONS)
            )
        )
        await check_datagrams(address, port, True)
        await check_datagrams(address, port, False)
        print(address, "ok")


if sys.argv[1] == "server":
    asyncio.run(serve(int(sys.argv[2])))
else:
    asyncio.run(asyncio.wait_for(check(int(sys.argv[2]), sys.argv[3:]), 25))
