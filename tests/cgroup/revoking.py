# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the cases of `graft revoke` share: processes in cgroups, and what is asked of them.

An Agent is a process in a cgroup that does with sockets what it is told; one without a
cgroup is outside of all of them. What a call fails with comes back as the error's name.
"""
import ctypes
import errno
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading

GRAFT = os.environ.get("GRAFT", "graft")
TOP = os.environ.get("CGROUP_TOP", "")
LIMIT = 20
V4, V6, STREAM, DGRAM = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM
PLAIN4 = ("connect tcp 127.0.0.1:9001 = host", "connect tcp 127.0.0.1:9002 = host")
LIBC = ctypes.CDLL(None, use_errno=True)
agents = []


class Agent:
    def __init__(self, cgroup=None, netns=False):
        self.mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self.mine.close()
            try:
                self.live(theirs, cgroup, netns)
            finally:
                os._exit(0)
        theirs.close()
        agents.append(self)
        assert self.ask("sync") is None

    def live(self, channel, cgroup, netns):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for other in agents:
            other.mine.close()
        if cgroup:
            with open(cgroup + "/cgroup.procs", "w") as procs:
                procs.write("0")
        if netns:
            subprocess.run(["true"], check=True)
            os_unshare_net()
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        held = {}
        while True:
            message = channel.recv(1 << 16)
            if not message:
                return
            result, descriptors = self.attempt(held, *pickle.loads(message))
            socket.send_fds(channel, [pickle.dumps(result)], descriptors)

    def attempt(self, held, what, key, *rest):
        try:
            return self.do(held, what, key, rest)
        except OSError as error:
            name = errno.errorcode.get(error.errno, str(error))
            return "TIMEOUT" if error.errno is None else name, []

    def do(self, held, what, key, rest):
        if what == "begin":
            return self.begin(held, key, rest), []
        if what == "outcome":
            thread, results = held.pop(key)
            thread.join()
            return results[0], []
        if what == "pair":
            held[key], held[rest[0]] = socket.socketpair(*rest[1:])
            return None, []
        if what == "sync":
            return None, []
        if what == "socket":
            held[key] = socket.socket(*rest)
            held[key].settimeout(LIMIT)
            return None, []
        if what == "accept":
            held[rest[0]], peer = held[key].accept()
            held[rest[0]].settimeout(LIMIT)
            return peer or None, []
        if what == "give":
            return None, [held[key].fileno()]
        if what == "close":
            held.pop(key).close()
            return None, []
        if what == "hammer":
            held["hammered"] = []
            return self.hammer(key, *rest, kept=held["hammered"]), []
        if what == "hammered_are_over":
            return all(is_broken(made) for made in held["hammered"]), []
        if what == "unspec":
            return unspec(held[key]), []
        if what == "twin":
            return self.twin(held, key, *rest), []
        return getattr(held[key], what)(*rest), []

    def begin(self, held, key, rest):
        """Does the rest in a thread of its own. Return: its number."""
        results = []
        thread = threading.Thread(target=lambda: results.append(self.attempt(held, *rest)[0]))
        thread.start()
        held[key] = thread, results
        return thread.native_id

    def hammer(self, address, path, family=V4, *, kept):
        """Connects until it is refused by a rule, and says how often it got through."""
        n = 0
        while True:
            made = socket.socket(family, STREAM)
            made.settimeout(LIMIT)
            try:
                made.connect(address)
                kept.append(made)
                if made.recv(1) == b"x":
                    n += 1
                    if n == 20:
                        open(path, "w").close()
                if len(kept) > 3:
                    kept.pop(0).close()
            except OSError as error:
                if error.errno == errno.EACCES:
                    return n
                made.close()

    def twin(self, held, key, other, mask):
        """A socket whose cookie has the last bits of the other's."""
        def cookie(of):
            return int.from_bytes(of.getsockopt(socket.SOL_SOCKET, 57, 8), sys.byteorder)
        for _ in range(64 * (mask + 1)):
            held[key] = socket.socket(V4, STREAM)
            if not (cookie(held[key]) ^ cookie(held[other])) & mask:
                held[key].settimeout(LIMIT)
                return
        raise OSError(errno.ENOENT, "no such cookie")

    def send(self, *message):
        self.mine.sendall(pickle.dumps(message))

    def answer(self):
        return pickle.loads(self.mine.recv(1 << 16))

    def ask(self, what, key=None, *rest):
        self.send(what, key, *rest)
        return self.answer()

    def take(self, key):
        """Its socket, by SCM_RIGHTS."""
        self.send("give", key)
        _, descriptors, _, _ = socket.recv_fds(self.mine, 1 << 16, 1)
        taken = socket.socket(fileno=descriptors[0])
        taken.settimeout(LIMIT)
        return taken

    def end(self):
        self.mine.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        agents.remove(self)

    # What is made of those.
    def listen(self, key, family, address):
        self.good("socket", key, family, STREAM)
        self.good("setsockopt", key, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.good("bind", key, address)
        self.good("listen", key)

    def connect(self, key, family, address, kind=STREAM):
        self.good("socket", key, family, kind)
        self.good("connect", key, address)

    def good(self, what, key, *rest):
        result = self.ask(what, key, *rest)
        assert not isinstance(result, str), f"{what} {key} {rest}: {result}"
        return result


def os_unshare_net():
    if LIBC.unshare(0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def unspec(made):
    """Connected to nobody any more."""
    if LIBC.connect(made.fileno(), bytes(16), 16) != 0:
        raise OSError(ctypes.get_errno(), "connect")


def is_broken(made):
    try:
        made.send(b"x")
        return False
    except BrokenPipeError:
        return True


def equal(what, wanted, got):
    if wanted != got:
        raise AssertionError(f"{what}: wanted {wanted!r}, got {got!r}")


def graft(*arguments, status=0, **more):
    done = subprocess.run([GRAFT, *arguments], capture_output=True, text=True, timeout=120,
                          check=False, **more)
    if done.returncode != status:
        raise AssertionError(f"graft {arguments}: status {done.returncode}, not {status}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def attach(cgroup, *lines):
    rules = [word for line in lines for word in ("--rule", line)]
    graft("attach", *rules, cgroup)


def revoke(cgroup, *arguments):
    """What it says, as an object."""
    return json.loads(graft("revoke", "--json", *arguments, cgroup))


def n_destroyed(told):
    return sum(one["fate"] == "destroyed" for one in told["sockets"])


def cgroup(name="app"):
    path = f"{TOP}/{name}"
    os.makedirs(path, exist_ok=True)
    return path


def talks(a, a_key, b, b_key):
    """Bytes pass, both ways."""
    for one, one_key, other, other_key in ((a, a_key, b, b_key), (b, b_key, a, a_key)):
        one.good("sendall", one_key, b"ping")
        equal(f"bytes from {one_key} to {other_key}", b"ping",
              other.ask("recv", other_key, 16))


def let_hammer(agents, path, address, *family):
    """Each connects to @address on and on; returns when all do, each with a file at @path
    and its number."""
    for i, one in enumerate(agents):
        one.send("hammer", address, f"{path}{i}", *family)
    for i in range(len(agents)):
        while not os.path.exists(f"{path}{i}"):
            os.sched_yield()


def is_destroyed(agent, key, what):
    equal(what, "ECONNABORTED", agent.ask("recv", key, 1))


def is_reset(agent, key, what):
    assert agent.ask("recv", key, 1) in ("ECONNRESET", b""), what


def cannot_be_reached(agent, address):
    """Nobody answers there, not even by a refusal."""
    agent.good("socket", "probe", V6 if ":" in address[0] else V4, STREAM)
    agent.good("setsockopt", "probe", socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
    equal("a call", "ETIMEDOUT", agent.ask("connect", "probe", address))
    agent.good("close", "probe")


def main(cases):
    """--list names them, NAME runs one: it ends 0, or says what is wrong."""
    named = {name[5:]: case for name, case in cases.items() if name.startswith("case_")}
    if sys.argv[1] == "--list":
        print("\n".join(named))
        return 0
    try:
        named[sys.argv[1]]()
    finally:
        for agent in list(agents):
            agent.end()
    return 0
