# SPDX-License-Identifier: GPL-2.0-or-later
"""The "host" of the benchmarks and the processes started on it.

The bench starts itself again in new network, mount and PID namespaces. The network
namespace plays the host: loopback, and 10.99.0.1 on a veth whose other end nobody uses.
Nothing outside is touched, and everything started in here dies with it.

    bench (pid 1) -- lo 127.0.0.1, out0 10.99.0.1/24, default route through out0

Programs run as an ordinary user in every way, so that ways differ in the way only.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

OUT = "10.99.0.1"
OUT_NET = "10.99.0.0/24"
BENCH = os.path.dirname(os.path.abspath(__file__))


class Failure(Exception):
    """A measurement that cannot be made; its text is the reason in the results."""


def enter(script, arguments):
    """Replace this process by the same script inside new namespaces."""
    os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                          "--mount-proc", "/usr/bin/python3", script, "--inside",
                          *arguments])


def run(*command, **options):
    """Run to the end; Failure with the first line of its complaint."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, check=False, **options)
    if done.returncode:
        raise Failure(complaint(command[0], done.returncode, done.stderr or done.stdout))
    return done.stdout


def complaint(name, status, text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ended = f"signal {-status}" if status < 0 else f"status {status}"
    return f"{os.path.basename(name)}: {ended}" + (f": {lines[-1]}" if lines else "")


def machine_times():
    """Seconds of CPU since boot: all and stolen."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(word) for word in file.readline().split()[1:9]]
    tick = os.sysconf("SC_CLK_TCK")
    return sum(fields) / tick, fields[7] / tick


class Process:
    """A started program, in a session of its own; its output goes to a file."""

    def __init__(self, argv, env, log):
        self.name = argv[0]
        self.log = log
        with open(log, "wb") as output:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=subprocess.STDOUT, env=env,
                                          start_new_session=True)
        self.pid = self.popen.pid

    def check(self):
        """Failure when it has ended already."""
        status = self.popen.poll()
        if status is not None:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise Failure("server ended: " + complaint(self.name, status, log.read()))

    def stop(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(2)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()


class Host:
    def __init__(self, user, congestion_control, load):
        self.user = pwd.getpwnam(user)
        self.congestion_control = congestion_control
        self.scratch = tempfile.mkdtemp(prefix="graft-bench.")
        self.count = 0
        run("mount", "-t", "tmpfs", "-o", "mode=755", "graft-bench", self.scratch)
        self.load = self.path("load")
        shutil.copy(load, self.load)
        self.congestion = self.path("congestion.sh")
        shutil.copy(os.path.join(BENCH, "congestion.sh"), self.congestion)
        for directory in "home", "run":
            os.mkdir(self.path(directory), 0o700)
            os.chown(self.path(directory), self.user.pw_uid, self.user.pw_gid)
        self.env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "HOME": self.path("home"), "XDG_RUNTIME_DIR": self.path("run"),
                    "LC_ALL": "C"}
        self._network()
        self._tun()

    def close(self):
        subprocess.run(["umount", "-l", self.scratch], check=False)
        os.rmdir(self.scratch)

    def path(self, name):
        return os.path.join(self.scratch, name)

    def _network(self):
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "out0", "type", "veth", "peer", "name", "out1")
        run("ip", "link", "set", "out1", "up")
        run("ip", "addr", "add", OUT + "/24", "dev", "out0")
        run("ip", "link", "set", "out0", "up")
        run("ip", "route", "add", "default", "via", "10.99.0.2")
        self.set_congestion_control()

    def _tun(self):
        """A tun device the ordinary user may open, in our mount namespace only."""
        if os.path.exists("/dev/net/tun"):
            node = self.path("tun")
            os.mknod(node, 0o020666, os.stat("/dev/net/tun").st_rdev)
            os.chmod(node, 0o666)
            run("mount", "--bind", node, "/dev/net/tun")

    def set_congestion_control(self, prefix=()):
        run(*prefix, self.congestion, self.congestion_control)

    def as_user(self):
        return ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}",
                "--clear-groups", "--"]

    def start(self, stack, argv, cpus=None):
        """Start @argv, to be stopped when @stack unwinds; on @cpus ("0", "0-1")."""
        self.count += 1
        argv = [*pin(cpus), *argv]
        process = Process(argv, self.env, self.path(f"log.{self.count}"))
        stack.callback(process.stop)
        return process

    def client(self, argv, cpus, timeout):
        """Run a client to its end; its stdout."""
        try:
            return run(*pin(cpus), *argv, env=self.env, timeout=timeout)
        except subprocess.TimeoutExpired as expired:
            raise Failure(f"client did not end within {timeout:.0f} s") from expired

    def holder(self, stack, cpus=None):
        """A process keeping a new network namespace open: [nsenter words], pid."""
        process = self.start(stack, ["unshare", "--net", "sleep", "infinity"], cpus)
        own, theirs = os.readlink("/proc/self/ns/net"), f"/proc/{process.pid}/ns/net"
        until(lambda: os.readlink(theirs) != own, process.check)
        enter_words = ["nsenter", f"--net={theirs}", "--"]
        run(*enter_words, "ip", "link", "set", "lo", "up")
        return enter_words, process.pid

    def sweep(self):
        """End what a way left behind. Everything in our PID namespace is ours."""
        for name in os.listdir("/proc"):
            if name.isdigit() and name != "1":
                with contextlib.suppress(OSError):
                    os.kill(int(name), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, 0)[0]:
                pass


def pin(cpus):
    return ["taskset", "-c", cpus] if cpus else []


def until(condition, check=lambda: None, seconds=10):
    """Wait for @condition; Failure after @seconds or when @check raises it."""
    deadline = time.monotonic() + seconds
    while not condition():
        check()
        if time.monotonic() > deadline:
            raise Failure(f"not ready within {seconds} s")
        time.sleep(0.005)


def answers(address, port, question, answer):
    """Whether the service there answers @question with @answer."""
    try:
        with socket.create_connection((address, port), 1) as connection:
            connection.sendall(question)
            return connection.recv(len(answer)) == answer
    except OSError:
        return False
