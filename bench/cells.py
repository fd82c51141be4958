# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured: a cell is one workload in one direction, a row one of its figures.

Serving: a client on the host, the server inside. Connecting: the client inside, the
server on the host. Both: each inside a place of its own. To add a workload: write a
class, add it to CELLS.
"""

import contextlib
import csv
import json
import os
import re
import shutil
from dataclasses import dataclass

from host import Failure, answers, machine_times, until

PORT = 5201
QUIET = 0.1  # CPU seconds per second that others may use while CPU is counted


@dataclass
class Row:
    metric: str
    title: str
    unit: str
    better: str  # "high" or "low"


class Cell:
    """One server, one client. Subclasses say which."""

    programs = {}  # program: Debian package
    question, answer = b"c", b"c"
    server_cpus = client_cpus = None  # None: wherever the scheduler puts them
    default = True
    datagrams = False  # it sends some
    uses_load = False  # and no program of somebody else's
    polls = False  # its sockets do not block

    def __init__(self, name, direction, rows):
        self.name, self.direction = name, direction
        self.rows = rows

    def unavailable(self):
        for program, package in self.programs.items():
            if not shutil.which(program):
                return f"{program} is not installed (Debian: {package})"
        return None

    def prepare(self, host):
        pass

    def server(self, host, listens):
        return [host.load, "serve", listens, str(PORT), *self.polling()]

    def polling(self):
        return ["--poll"] if self.polls else []

    def client(self, host, address, seconds):
        raise NotImplementedError

    def parse(self, output):
        return json.loads(output)

    def timeout(self, seconds):
        return 30 + 10 * seconds

    def measure(self, host, way, native, seconds):
        """The figures of one run of this cell, and the share of time stolen."""
        inside = native if self.direction == "connecting" else way
        outside = native if self.direction == "serving" else way
        with contextlib.ExitStack() as stack:
            self.prepare(host)
            place = inside.place(stack, host, "serving", PORT, self.server_cpus)
            server = host.start(stack, [*place.prefix, *self.server(host, place.listens)],
                                self.server_cpus)
            until(place.ready or (lambda: answers(place.address, PORT, self.question,
                                                  self.answer)), server.check)
            served_at = place.address
            place = outside.place(stack, host, "connecting", PORT, self.client_cpus)
            address = place.address if self.direction == "connecting" else served_at
            client = [*place.prefix, host.load, "await", address, str(PORT),
                      *self.client(host, address, seconds)]
            total, stolen = machine_times()
            output = host.client(client, self.client_cpus, self.timeout(seconds))
            total, stolen = machine_times()[0] - total, machine_times()[1] - stolen
        return self.parse(output), stolen / total if total else 0


class Bulk(Cell):
    """One stream, as iperf3 does. The CPU per byte is the whole machine's (load)."""

    uses_load = True

    def __init__(self, direction, reverse=False, polls=False):
        self.reverse, self.polls = reverse, polls
        self.default = not reverse
        name = ("bulk-poll-" if polls else "bulk-") + direction
        name += "-reverse" if reverse else ""
        title = f"bulk{', polling' if polls else ''}, {direction}"
        title += ", reverse" if reverse else ""
        rows = [Row("bits_per_second", title, "Gb/s", "high")]
        if not reverse:
            rows.append(Row("cpu_s_per_gb", title.replace("bulk", "CPU s per GB"), "s/GB",
                            "low"))
        super().__init__(name, direction, rows)

    def client(self, host, address, seconds):
        reverse = ["--reverse"] if self.reverse else []
        return [host.load, "bulk", address, str(PORT), str(seconds), *reverse,
                *self.polling()]

    def parse(self, output):
        figures = json.loads(output)
        background = figures["machine_background"]
        if background < QUIET:  # else the machine's time is not ours
            busy = figures["machine_busy"] - background * figures["seconds"]
            figures["cpu_s_per_gb"] = busy / (figures["bytes"] / 1e9)
        return figures


class Pinned(Cell):
    """A cell of small messages: where both ends run decides more than anything else.

    One core: client, server and whatever is between them share CPU 0. Two cores: the
    client has CPU 0, the server CPU 1, what is between them runs where it likes.
    """

    mode = ""
    uses_load = True

    def __init__(self, name, direction, cores, rows, polls=False):
        self.cores, self.polls = cores, polls
        name += "-poll" if polls else ""
        super().__init__(f"{name}-{cores}core-{direction}", direction, rows)
        if cores == 1:
            self.server_cpus = self.client_cpus = "0"

    def unavailable(self):
        if len(os.sched_getaffinity(0)) < self.cores:
            return "needs two CPUs"
        return None

    def server(self, host, listens):
        return [*super().server(host, listens), "--pin", "1" if self.cores == 2 else "0"]

    def client(self, host, address, seconds):
        return [host.load, self.mode, address, str(PORT), str(seconds), "--pin", "0",
                *self.polling()]


def where(cores, direction, polls):
    return (f"{'polling, ' if polls else ''}{'one core' if cores == 1 else 'two cores'}, "
            f"{direction}")


class RoundTrip(Pinned):
    """64 bytes there and back on one connection."""

    mode = "rr"

    def __init__(self, direction, cores, polls=False):
        title = f"round trip, {where(cores, direction, polls)}"
        super().__init__("rr", direction, cores, [
            Row("p50_us", title + ", p50", "us", "low"),
            Row("p99_us", title + ", p99", "us", "low")], polls)
        self.default = direction != "connecting"


class Connect(Pinned):
    """Connect, one byte there and back, close; one after the other."""

    mode = "crr"

    def __init__(self, direction, cores, polls=False):
        title = f"connect, 1 B, close, {where(cores, direction, polls)}"
        super().__init__("crr", direction, cores, [
            Row("per_second", title, "/s", "high"),
            Row("p50_us", title + ", p50", "us", "low")], polls)


class Datagrams(Pinned):
    """64 bytes by sendto(), as fast as they go, to where nobody reads them."""

    mode = "sendto"
    datagrams = True

    def __init__(self):
        super().__init__("sendto", "connecting", 1,
                         [Row("per_second", "sendto(), one core, connecting", "/s", "high")])

    def server(self, host, listens):
        return [*super().server(host, listens), "--sink"]


class Nginx(Cell):
    """nginx, one worker, a file of 612 bytes; wrk, one thread, 32 connections."""

    programs = {"nginx": "nginx", "wrk": "wrk"}
    question = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    answer = b"HTTP/1.1 200 OK"

    def __init__(self, direction, close):
        self.close = close
        kind = "Connection: close" if close else "keep-alive"
        super().__init__(f"nginx-{'close' if close else 'keepalive'}-{direction}", direction,
                         [Row("per_second", f"nginx + wrk {kind}, {direction}", "/s", "high")])

    def prepare(self, host):
        base = host.path("nginx")
        if os.path.isdir(base):
            return
        os.makedirs(base + "/www")
        with open(base + "/www/index.html", "w", encoding="ascii") as page:
            page.write("x" * 611 + "\n")
        temporary = "".join(f"{kind}_temp_path {base}/{kind};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(base + "/nginx.conf", "w", encoding="ascii") as conf:
            # "user root": the user itself where it is mapped to root, ignored elsewhere
            conf.write(f"""daemon off; user root root; worker_processes 1;
                pid {base}/pid; error_log stderr;
                events {{ worker_connections 1024; }}
                http {{ access_log off; keepalive_requests 1000000000; sendfile on;
                    {temporary}
                    open_file_cache max=16;
                    server {{ listen 0.0.0.0:{PORT}; root {base}/www; }} }}""")
        os.chown(base, host.user.pw_uid, host.user.pw_gid)

    def server(self, host, _listens):
        return ["nginx", "-p", host.path("nginx"), "-e", "stderr", "-c",
                host.path("nginx/nginx.conf")]

    def client(self, host, address, seconds):
        close = ["-H", "Connection: close"] if self.close else []
        return ["wrk", "-t1", "-c32", f"-d{max(1, round(seconds))}s", *close,
                f"http://{address}:{PORT}/"]

    def parse(self, output):
        rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
        errors = re.search(r"Socket errors: (.*)|Non-2xx.*", output)
        if errors or not rate or float(rate.group(1)) == 0:
            raise Failure("wrk: " + (errors.group(0) if errors else "no requests"))
        return {"per_second": float(rate.group(1))}


class Redis(Cell):
    """redis-benchmark with its defaults: 50 connections, 3 bytes, no pipelining."""

    programs = {"redis-server": "redis-server", "redis-benchmark": "redis-tools"}
    question, answer = b"PING\r\n", b"+PONG"

    def __init__(self, direction):
        super().__init__(f"redis-{direction}", direction,
                         [Row("set", f"redis-benchmark SET, {direction}", "/s", "high"),
                          Row("get", f"redis-benchmark GET, {direction}", "/s", "high")])
        self.default = direction != "connecting"

    def server(self, host, _listens):
        return ["redis-server", "--port", str(PORT), "--bind", "0.0.0.0", "--save", "",
                "--protected-mode", "no", "--dir", host.path("home")]

    def client(self, host, address, seconds):
        return ["redis-benchmark", "-h", address, "-p", str(PORT), "-t", "set,get", "-n",
                str(int(30000 * seconds)), "--csv"]

    def timeout(self, seconds):
        return 30 + 60 * seconds

    def parse(self, output):
        rows = {row[0]: row[1] for row in csv.reader(output.splitlines()) if len(row) > 1}
        try:
            return {"set": float(rows["SET"]), "get": float(rows["GET"])}
        except (KeyError, ValueError) as error:
            raise Failure("redis-benchmark: no figures") from error


class Idle(Cell):
    """The calls of the data path by themselves, in one process, on one core."""

    def __init__(self):
        calls = "send", "recv", "write", "read", "null"
        super().__init__("idle", "alone", [
            Row(f"{call}_ns", f"one {'getppid' if call == 'null' else call}()", "ns", "low")
            for call in calls])

    def measure(self, host, way, native, seconds):
        with contextlib.ExitStack() as stack:
            place = way.place(stack, host, "alone", PORT, "0")
            total, stolen = machine_times()
            output = host.client([*place.prefix, host.load, "idle", str(seconds),
                                  place.address], "0", self.timeout(seconds))
            total, stolen = machine_times()[0] - total, machine_times()[1] - stolen
        return json.loads(output), stolen / total if total else 0


CELLS = [
    *(Bulk(direction) for direction in ("serving", "connecting", "both")),
    *(Bulk(direction, reverse=True) for direction in ("serving", "connecting")),
    *(RoundTrip(direction, cores) for cores in (1, 2)
      for direction in ("serving", "connecting", "both")),
    *(Connect(direction, cores) for cores in (1, 2)
      for direction in ("serving", "connecting", "both")),
    Datagrams(),
    *(Nginx(direction, close) for close in (False, True)
      for direction in ("serving", "connecting", "both")),
    *(Redis(direction) for direction in ("serving", "connecting", "both")),
    Bulk("both", polls=True),
    *(RoundTrip("both", cores, polls=True) for cores in (1, 2)),
    *(Connect("both", cores, polls=True) for cores in (1, 2)),
    Idle(),
]
