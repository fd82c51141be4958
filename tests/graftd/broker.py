# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Python tests of graftd share: points, a namespace of their own, a graftd to
start and kill, its messages, and servers that are processes of their own.

Everything lives in a pid namespace, so that the kernel ends it with the test, and in a
network namespace with lo alone.
"""
import contextlib
import ctypes
import errno
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

GRAFTD = os.environ.get("GRAFTD", "build/src/broker/graftd")
DEADLINE = 20.0
HELLO, ERROR, BYE, ASK, GRANT, PAGE_ASK = 1, 2, 3, 32, 33, 37
ADD, DEL, RELOAD, ASK_ENDPOINTS, ENDPOINT = 48, 49, 50, 51, 52
BIND, CONNECT = 1, 2
F_HELD = 1 << 4
SO_COOKIE = 57
SO_ACCEPTCONN = 30


class Failed(Exception):
    pass


class Points:
    def __init__(self):
        self.n = self.n_failed = 0

    def run(self, function, *args):
        self.n += 1
        name = (function.__doc__ or function.__name__).split("\n")[0].rstrip(".")
        if args:
            name += " (" + ", ".join(str(a) for a in args) + ")"
        try:
            function(*args)
            print(f"ok {self.n} - {name}", flush=True)
        except Exception:  # pylint: disable=broad-except
            self.n_failed += 1
            text = traceback.format_exc().rstrip().replace("\n", "\n# ")
            print(f"not ok {self.n} - {name}\n# {text}", flush=True)

    def skip(self, name, reason):
        self.n += 1
        print(f"ok {self.n} - {name} # SKIP {reason}", flush=True)

    def end(self):
        print(f"1..{self.n}")
        sys.exit(1 if self.n_failed else 0)


def comment(text):
    print("# " + str(text).replace("\n", "\n# "), flush=True)


def equal(wanted, got, what=""):
    if wanted != got:
        raise Failed(f"{what}: wanted {wanted!r}, got {got!r}")


def check(condition, what):
    if not condition:
        raise Failed(what)


def until(what, condition, deadline=DEADLINE):
    end = time.monotonic() + deadline
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Failed("waited in vain: " + what)
        time.sleep(0.005)


def enter():
    """Starts the script again in namespaces of its own."""
    if "GRAFTD_TEST_INSIDE" not in os.environ:
        flags = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                 "--propagation", "private"]
        if os.geteuid() != 0:
            flags = ["--user", "--map-root-user"] + flags
        if subprocess.run(["unshare", *flags, "true"], check=False,
                          stderr=subprocess.DEVNULL).returncode != 0:
            print("1..0 # SKIP no network, mount and pid namespaces for this user here")
            sys.exit(77)
        os.environ["GRAFTD_TEST_INSIDE"] = "root" if os.geteuid() == 0 else "user"
        for name in ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
                     "WATCHDOG_USEC", "WATCHDOG_PID"):
            os.environ.pop(name, None)
        os.execvp("unshare", ["unshare", *flags, "--", sys.executable, *sys.argv])
    # lo, up: SIOCGIFFLAGS, SIOCSIFFLAGS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        flags = struct.unpack("16sh", fcntl.ioctl(s, 0x8913, struct.pack(
            "16sh14x", b"lo", 0))[:18])[1]
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))
    # No connection of one case is in the way of the next one's port.
    with open("/proc/sys/net/ipv4/tcp_max_tw_buckets", "w", encoding="ascii") as knob:
        knob.write("0")
    # The program is copied to where an ordinary user may read it.
    global GRAFTD  # pylint: disable=global-statement
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "graft-test", "/run"],
                   check=True)
    GRAFTD = shutil.copy(GRAFTD, "/run/graftd")
    os.chmod(GRAFTD, 0o755)


# --- messages ----------------------------------------------------------------------------

def pack(kind, *fields):
    body = b""
    for tag, value in fields:
        data = struct.pack("=I", value) if isinstance(value, int) else value.encode()
        body += struct.pack("=HH", tag, len(data)) + data
    return struct.pack("=IHH", 8 + len(body), kind, 1) + body


def unpack(data):
    """-> type, {tag: bytes}"""
    _, kind, _ = struct.unpack_from("=IHH", data)
    fields, at = {}, 8
    while at < len(data):
        tag, size = struct.unpack_from("=HH", data, at)
        fields[tag] = data[at + 4:at + 4 + size]
        at += 4 + size
    return kind, fields


def number(field):
    return int.from_bytes(field, sys.byteorder)


def text(field):
    return field.rstrip(b"\0").decode()


class Client:
    """A connection; errors of graftd's are OSErrors."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(path)
        self.is_greeted = False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def receive(self):
        data, fds, _, _ = socket.recv_fds(self.socket, 4096, 4)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "graftd hung up")
        kind, fields = unpack(data)
        if kind == ERROR:
            raise OSError(number(fields[1]), text(fields.get(2, b"")))
        return kind, fields, fds

    def greet(self):
        if not self.is_greeted:
            self.socket.send(pack(HELLO, (1, os.getpid()), (2, "test")))
            equal(HELLO, self.receive()[0])
            self.is_greeted = True

    def say(self, *message):
        self.greet()
        self.socket.send(pack(*message))
        equal(BYE, self.receive()[0])

    def add(self, line):
        self.say(ADD, (1, line))

    def delete(self, name):
        self.say(DEL, (1, name))

    def show(self):
        """-> {name: (line, state, port)}"""
        self.greet()
        self.socket.send(pack(ASK_ENDPOINTS))
        result = {}
        while True:
            kind, fields, _ = self.receive()
            if kind == BYE:
                return result
            line = text(fields[1])
            result[line.split()[0]] = (line, text(fields[8]),
                                       number(fields.get(4, b"")))

    def ask(self, op, name, family=socket.AF_INET, kind=socket.SOCK_STREAM):
        """-> socket, {tag: bytes}"""
        self.is_greeted = True
        self.socket.send(pack(ASK, (1, op), (2, name), (3, family), (4, kind), (5, 0)))
        _, fields, fds = self.receive()
        return socket.socket(fileno=fds[0]), fields

    def page(self):
        self.is_greeted = True
        self.socket.send(pack(PAGE_ASK))
        return self.receive()[2][0]


def address(field):
    """Of a grant: IPv4."""
    port, = struct.unpack_from("!H", field, 2)
    return socket.inet_ntoa(field[4:8]), port


def cookie(sock):
    return number(sock.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))


# --- processes ---------------------------------------------------------------------------

def processes(name):
    """Of our pid namespace."""
    result = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat",
                                                encoding="latin1") as stat:
            line = stat.read()
            comm, state = line[line.index("(") + 1:line.rindex(")")], \
                line[line.rindex(")") + 2]
            if comm == name and state not in "ZX":
                result.append(int(pid))
    return result


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    until(f"end of {pid}", lambda: pid not in [int(p) for p in os.listdir("/proc")
                                               if p.isdigit()] or is_zombie(pid))


def set_dumpable():
    check(ctypes.CDLL(None).prctl(4, 1) == 0, "prctl")  # PR_SET_DUMPABLE


def is_zombie(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat",
                                            encoding="latin1") as stat:
        return stat.read().rpartition(")")[2].split()[0] in "ZX"
    return True


class Graftd:
    """One place for state; any number of graftds, one after another."""

    def __init__(self, uid=None):
        self.directory = tempfile.mkdtemp(dir="/run")
        self.path = self.directory + "/sock"
        self.config = self.directory + "/conf"
        self.uid = uid
        with open(self.config, "w", encoding="ascii"):
            pass
        if uid is not None:
            os.chown(self.directory, uid, uid)
        self.process = None
        self.log = ""
        self.ready_ms = 0.0

    def command(self, *options):
        return [GRAFTD, "-f", "-s", self.path, "-c", self.config, *options]

    def start(self, *options, **arguments):
        """Until it says that it is ready."""
        begin = time.monotonic()
        output = open(self.directory + "/log", "w+", encoding="utf-8")
        if self.uid is not None:
            arguments.update(user=self.uid, group=self.uid, extra_groups=[])
        self.process = subprocess.Popen(self.command(*options), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=output,
                                        **arguments)
        output.close()
        line = self.process.stdout.readline().decode()
        self.ready_ms = (time.monotonic() - begin) * 1000
        if " ready on " not in line:
            self.process.wait()
            raise Failed("graftd did not start: " + self.read_log())
        restored = re.search(r"restored in ([\d.]+) ms", line)
        return float(restored.group(1))

    def read_log(self):
        with contextlib.suppress(FileNotFoundError), \
                open(self.directory + "/log", encoding="utf-8") as log:
            return log.read()
        return ""

    def forget(self):
        self.process.stdout.close()
        status = self.process.wait(DEADLINE)
        self.process = None
        return status

    def kill(self):
        self.process.kill()
        equal(-signal.SIGKILL, self.forget(), "status")

    def restart(self, *options, **arguments):
        self.kill()
        return self.start(*options, **arguments)

    def stop(self):
        if self.process:
            self.process.terminate()
            equal(0, self.forget(), "status after SIGTERM: " + self.read_log())

    def client(self):
        return Client(self.path)

    def holder(self):
        pids = until("a holder", lambda: processes("graft-holder"))
        equal(1, len(pids), "holders")
        return pids[0]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            with contextlib.suppress(OSError):
                comment("graftd's log:\n" + self.read_log())
        if self.process:
            self.process.kill()
            self.forget()
        for pid in processes("graft-holder"):
            with contextlib.suppress(ProcessLookupError):
                kill(pid)


class Server:
    """A process that asks for an endpoint, and does as it is told. What it has no name
    for fails as in the test."""

    def __init__(self, path, name, listens=True, kind=socket.SOCK_STREAM):
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            # The test's other descriptors are not its own.
            number_ = os.dup2(theirs.fileno(), 100)
            os.closerange(3, 100)
            os.closerange(101, 4096)
            self.serve(socket.socket(fileno=number_), path, name, listens, kind)
        theirs.close()
        self.line = ours
        self.line.settimeout(DEADLINE)
        self.cookie, self.flags, self.port = 0, 0, 0
        answer = self.line.recv(256).decode().split()
        if answer[0] == "error":
            self.end()
            raise OSError(int(answer[1]), "as the server got it")
        self.cookie, self.flags, self.port = (int(n) for n in answer[1:])

    @staticmethod
    def serve(line, path, name, listens, kind):
        """For good."""
        libc = ctypes.CDLL(None)
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        try:
            with Client(path) as client:
                sock, grant = client.ask(BIND, name, kind=kind)
            if listens:
                sock.listen(64)
            port = sock.getsockname()[1]
            line.send(f"ok {cookie(sock)} {number(grant[1])} {port}".encode())
        except OSError as error:
            line.send(f"error {error.errno}".encode())
            os._exit(1)
        while True:
            word = line.recv(1)
            if word == b"a":  # accept one, answer what it said
                peer, _ = sock.accept()
                data = peer.recv(64)
                peer.send(b"served " + data)
                peer.close()
                line.send(data)
            elif word == b"s":
                sock.shutdown(socket.SHUT_RDWR)
                line.send(b"s")
            else:
                os._exit(0)

    def accept(self):
        self.line.send(b"a")
        return self.line.recv(64)

    def shutdown(self):
        self.line.send(b"s")
        equal(b"s", self.line.recv(1))

    def end(self):
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
            self.line.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def knock(port, word=b"hello"):
    """A connection that has said its word. -> socket"""
    client = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
    client.send(word)
    return client


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
    except ConnectionRefusedError:
        return True
    return False


def errno_of(function, *args, **arguments):
    """-> the name of the error, or "" """
    try:
        result = function(*args, **arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    with contextlib.suppress(AttributeError):
        result.end()
    return ""
