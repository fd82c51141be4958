#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""graftd is killed, its holder is killed, or both; then another graftd takes over.

	test ── server, a process that asked for a `hold` endpoint
	  └──── clients, which connect to its port whether or not it lives
"""
import mmap
import os
import socket
import statistics
import struct
import subprocess
import traceback

import broker
from broker import BIND, CONNECT, Graftd, Server, check, comment, equal, errno_of, \
    knock, until

READY_MS = 100


def test_backlog():
    """kill -9: connections in the backlog of a held socket are served by the next server"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.add("web ipv4 127.0.0.1:8080 hold")
        server = Server(graftd.path, "web")
        check(server.flags & broker.F_HELD, "the grant does not say that it is held")
        first = server.cookie
        before = knock(8080, b"before")
        graftd.kill()
        server.end()
        between = knock(8080, b"between")
        graftd.start()
        after = knock(8080, b"after")
        with Server(graftd.path, "web") as server:
            equal(first, server.cookie, "the socket")
            for client, word in ((before, b"before"), (between, b"between"),
                                 (after, b"after")):
                equal(word, server.accept())
                equal(b"served " + word, client.recv(64))
        graftd.stop()


def test_user_of_held():
    """kill -9: who has the held socket is still known"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.add("web ipv4 127.0.0.1:8080 hold")
        first = Server(graftd.path, "web")
        graftd.restart()
        equal("EADDRINUSE", errno_of(Server, graftd.path, "web"))
        with graftd.client() as client:
            equal("held", client.show()["web"][1])
        first.end()
        with Server(graftd.path, "web") as second:
            equal(first.cookie, second.cookie)
            graftd.restart()
            equal("EADDRINUSE", errno_of(Server, graftd.path, "web"))
        graftd.stop()


def test_clients_wait():
    """kill -9: clients that come before the next graftd is there wait for it"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as old:
            old.greet()
            graftd.kill()
            equal("ECONNRESET", errno_of(old.receive))
        waiting = [graftd.client() for _ in range(50)]
        for client in waiting:
            client.socket.send(broker.pack(broker.HELLO, (1, os.getpid())))
        graftd.start()
        for client in waiting:
            equal(broker.HELLO, client.receive()[0])
            client.close()
        graftd.stop()


def test_page():
    """kill -9: the page that clients have mapped goes on, with another number"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            fd = client.page()
            page = mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ)
            os.close(fd)
        last, = struct.unpack_from("=Q", page)
        graftd.restart()
        now, = struct.unpack_from("=Q", page)
        check(now != last, "the same number")
        with graftd.client() as client:
            client.add("one ipv4 127.0.0.1:8080")
        check(struct.unpack_from("=Q", page)[0] != now, "no change after a change")
        page.close()
        graftd.stop()


def test_holder_killed():
    """the holder is killed: another one is given everything"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.add("web ipv4 127.0.0.1:8080 hold")
        server = Server(graftd.path, "web")
        first = graftd.holder()
        broker.kill(first)
        # In one turn of its loop graftd starts the next, and gives it all there is.
        until("another holder", lambda: graftd.holder() != first)
        with graftd.client() as client:
            client.show()
        graftd.restart()
        equal("EADDRINUSE", errno_of(Server, graftd.path, "web"))
        server.end()
        with Server(graftd.path, "web") as second:
            equal(server.cookie, second.cookie)
        graftd.stop()


def test_both_killed():
    """both are killed: endpoints stay, ports can be bound again"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.add("web ipv4 127.0.0.1:8080 hold")
            client.add("plain ipv4 127.0.0.1:8081")
        server = Server(graftd.path, "web")
        holder = graftd.holder()
        graftd.kill()
        broker.kill(holder)
        # The server has its socket still.
        with knock(8080, b"on") as client:
            equal(b"on", server.accept())
            equal(b"served on", client.recv(64))
        equal("ECONNREFUSED", errno_of(graftd.client))
        graftd.start()
        check("1 held sockets are lost" in graftd.read_log(), graftd.read_log())
        with graftd.client() as client:
            equal({"web", "plain"}, set(client.show()))
        equal("EADDRINUSE", errno_of(Server, graftd.path, "web"))
        server.end()
        check(broker.refuses(8080), "somebody listens")
        with Server(graftd.path, "web") as second:
            check(second.cookie != server.cookie, "the same socket")
            with knock(8080, b"again") as client:
                equal(b"again", second.accept())
                equal(b"served again", client.recv(64))
        graftd.stop()


def torn(graftd, change):
    """Kills it, has its journal changed, starts it. -> names"""
    graftd.kill()
    path = graftd.directory + "/journal"
    with open(path, "rb") as journal:
        data = journal.read()
    with open(path, "wb") as journal:
        journal.write(change(data))
    graftd.start()
    with graftd.client() as client:
        return set(client.show())


def test_torn_journal():
    """a torn journal: all but the torn record, and what comes then is kept, too"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            for i in range(20):
                client.add(f"e{i} ipv4 127.0.0.1:{8000 + i} hold")
        names = {f"e{i}" for i in range(20)}
        with Server(graftd.path, "e3") as server:
            equal(names, torn(graftd, lambda data: data + data[-40:-7]))
            equal(names, torn(graftd, lambda data: data + b"\0" * 300))
            equal("EADDRINUSE", errno_of(Server, graftd.path, "e3"))
        with graftd.client() as client:
            client.add("last ipv4 127.0.0.1:8100")
        equal(names, torn(graftd, lambda data: data[:-3]))
        # Once, and a good record goes behind the last good one.
        with graftd.client() as client:
            client.add("last ipv4 127.0.0.1:8101")
            client.delete("e19")
        graftd.restart()
        with graftd.client() as client:
            endpoints = client.show()
            equal((names | {"last"}) - {"e19"}, set(endpoints))
            check("8101" in endpoints["last"][0], endpoints["last"])
        with Server(graftd.path, "e3") as second:
            equal(server.cookie, second.cookie)
        graftd.stop()


def test_deleted():
    """what was deleted, or lost hold, is not held by the next graftd"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.add("a ipv4 127.0.0.1:8080 hold")
            client.add("b ipv4 127.0.0.1:8081 hold")
            client.add("c ipv4 127.0.0.1:8082 hold")
            for name in "abc":
                Server(graftd.path, name).end()
            client.delete("a")
            until("a is let go", lambda: broker.refuses(8080))
            client.delete("b")
            client.add("b ipv4 127.0.0.1:8081")
        graftd.restart()
        check(broker.refuses(8080), "a listens")
        check(broker.refuses(8081), "b listens")
        knock(8082).close()
        # What the store has and the journal has not.
        names = torn(graftd, lambda data: b"".join(
            line for line in data.splitlines(True) if not line.endswith(b" c\n")))
        equal({"b", "c"}, names)
        until("c is let go", lambda: broker.refuses(8082))
        check("is nobody's" in graftd.read_log(), graftd.read_log())
        graftd.stop()


def test_dynamic():
    """kill -9: the port of a dynamic endpoint is known, as long as its server is there"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.add("dyn ipv4 127.0.0.1:dynamic")
            equal("ECONNREFUSED", errno_of(client.ask, CONNECT, "dyn"))
        server = Server(graftd.path, "dyn")
        graftd.restart()
        with graftd.client() as client:
            sock, grant = client.ask(CONNECT, "dyn")
            sock.close()
            equal(("127.0.0.1", server.port), broker.address(grant[3]))
            equal(("bound", server.port), client.show()["dyn"][1:])
            server.end()
            equal("ECONNREFUSED", errno_of(client.ask, CONNECT, "dyn"))
        # A stranger at that port is not its server.
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stranger.bind(("127.0.0.1", server.port))
            stranger.listen()
            graftd.restart()
            with graftd.client() as client:
                equal("ECONNREFUSED", errno_of(client.ask, CONNECT, "dyn"))
                equal("idle", client.show()["dyn"][1])
        graftd.stop()


def test_dynamic_held():
    """kill -9: a dynamic port that is held stays the same without a server"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.add("dyn ipv4 127.0.0.1:dynamic hold")
        server = Server(graftd.path, "dyn")
        server.end()
        graftd.restart()
        waiting = knock(server.port, b"x")
        with Server(graftd.path, "dyn") as second:
            equal(server.port, second.port)
            equal(b"x", second.accept())
        waiting.close()
        graftd.stop()


def test_second():
    """a second graftd is refused, and the first is not disturbed"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.add("web ipv4 127.0.0.1:8080 hold")
        Server(graftd.path, "web").end()
        for _ in range(3):
            second = subprocess.run(graftd.command(), capture_output=True, text=True,
                                    timeout=broker.DEADLINE, check=False)
            equal(1, second.returncode)
            equal("", second.stdout)
            check(f"graftd already runs (pid {graftd.process.pid})" in second.stderr,
                  second.stderr)
        # With other state, at the same path.
        os.mkdir(graftd.directory + "/other")
        second = subprocess.run(graftd.command("-S", graftd.directory + "/other"),
                                capture_output=True, text=True,
                                timeout=broker.DEADLINE, check=False)
        equal(1, second.returncode)
        check("Address already in use" in second.stderr, second.stderr)
        with graftd.client() as client:
            equal({"web"}, set(client.show()))
        until("one holder", lambda: len(broker.processes("graft-holder")) == 1)
        knock(8080).close()
        graftd.stop()


def test_sigterm():
    """SIGTERM leaves endpoints, and no process, socket or port"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.add("web ipv4 127.0.0.1:8080 hold")
        Server(graftd.path, "web").end()
        knock(8080).close()
        graftd.stop()
        until("the holder's end", lambda: not broker.processes("graft-holder"))
        equal({"conf", "journal", "lock", "log", "page"},
              set(os.listdir(graftd.directory)))
        check(broker.refuses(8080), "somebody listens")
        graftd.start()
        with graftd.client() as client:
            equal({"web"}, set(client.show()))
        with Server(graftd.path, "web"):
            pass
        graftd.stop()


def test_other_path():
    """a graftd that is to listen elsewhere does; one whose path is gone makes another"""
    with Graftd() as graftd:
        graftd.start()
        graftd.kill()
        first, graftd.path = graftd.path, graftd.directory + "/elsewhere"
        graftd.start()
        with graftd.client() as client:
            client.greet()
        until("the end of the other", lambda: errno_of(broker.Client, first))
        graftd.kill()
        os.unlink(graftd.path)
        graftd.start()
        with graftd.client() as client:
            client.greet()
        graftd.stop()


def test_hold_shut_down():
    """kill -9: a held socket that its server shut down listens again"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.add("web ipv4 127.0.0.1:8080 hold")
        server = Server(graftd.path, "web")
        graftd.kill()
        server.shutdown()
        check(broker.refuses(8080), "it listens")
        server.end()
        graftd.start()
        until("it listens", lambda: not broker.refuses(8080))
        graftd.stop()


def test_user():
    """an ordinary user's own graftd, killed alone and with its holder"""
    with Graftd(uid=65534) as graftd:
        graftd.start()
        broker.equal(0o600, os.stat(graftd.path).st_mode & 0o777)
        told, done = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
                # Or else that user's graftd could not see what we have.
                broker.set_dumpable()
                user(graftd, done)
                status = 0
            finally:
                if status:
                    comment(traceback.format_exc())
                os._exit(status)
        os.close(done)
        equal(b"x", os.read(told, 1))
        os.close(told)
        graftd.kill()
        graftd.start()
        equal(0, os.waitpid(pid, 0)[1])
        graftd.stop()
        until("the holder's end", lambda: not broker.processes("graft-holder"))


def user(graftd, done):
    """As that user, while graftd is killed and started again."""
    with graftd.client() as client:
        client.add("web ipv4 127.0.0.1:8080 hold")
    sock, _ = graftd.client().ask(BIND, "web")
    first = broker.cookie(sock)
    sock.listen()
    sock.close()
    old = graftd.process.pid
    os.write(done, b"x")
    until("its end", lambda: broker.is_zombie(old))
    knock(8080).close()
    sock, _ = graftd.client().ask(BIND, "web")
    equal(first, broker.cookie(sock))


def test_many():
    """a thousand held sockets, ten thousand endpoints: ready again in time"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.greet()
            for i in range(1000):
                client.add(f"held{i} ipv4 127.0.0.1:{10000 + i} hold")
                sock, _ = client.ask(BIND, f"held{i}")
                sock.close()
            for i in range(10000):
                client.socket.send(broker.pack(broker.ADD, (
                    1, f"plain{i} ipv4 127.1.0.1:{20000 + i}")))
                if i % 64 == 63:
                    for _ in range(64):
                        equal(broker.BYE, client.receive()[0])
            for _ in range(10000 % 64):
                equal(broker.BYE, client.receive()[0])
        times = []
        for _ in range(10):
            restored = graftd.restart()
            times.append((graftd.ready_ms, restored))
        with graftd.client() as client:
            states = [state for _, state, _ in client.show().values()]
        equal((11000, 1000), (len(states), states.count("held")))
        report("1,000 held sockets and 10,000 endpoints", times)
        graftd.stop()


def test_time():
    """killed 20 times: ready again in time"""
    with Graftd() as graftd:
        graftd.start()
        with graftd.client() as client:
            client.add("web ipv4 127.0.0.1:8080 hold")
        times = []
        with Server(graftd.path, "web"):
            for _ in range(20):
                restored = graftd.restart()
                times.append((graftd.ready_ms, restored))
                equal("EADDRINUSE", errno_of(Server, graftd.path, "web"))
        report("one held socket", times)
        graftd.stop()


def report(what, times):
    """Ten times what is promised fails; other loads on the machine are no failure."""
    ready = sorted(ready for ready, _ in times)
    comment(f"{what}: ready after a start in {statistics.median(ready):.1f} ms (median), "
            f"{ready[-1]:.1f} (worst); of these graftd itself "
            f"{statistics.median(own for _, own in times):.1f}")
    if statistics.median(ready) > READY_MS:
        comment(f"NOT below {READY_MS} ms: another load on this machine?")
    check(statistics.median(ready) < 10 * READY_MS, f"{ready}")


def main():
    broker.enter()
    points = broker.Points()
    for test in (test_backlog, test_user_of_held, test_clients_wait, test_page,
                 test_holder_killed, test_both_killed, test_torn_journal, test_deleted,
                 test_dynamic, test_dynamic_held, test_second, test_sigterm,
                 test_other_path, test_hold_shut_down, test_time, test_many):
        points.run(test)
    if os.environ["GRAFTD_TEST_INSIDE"] == "root":
        points.run(test_user)
    else:
        points.skip("an ordinary user's own graftd", "this is one")
    points.end()


if __name__ == "__main__":
    main()
