# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command on a terminal of its own and talks to it.

    pty_session.py STEP... -- COMMAND...

    expect TEXT   waits until TEXT has been printed since the last expectation
    send TEXT     types TEXT (\\n, \\x03 ... as in Python)
    signal NAME   sends the command's process a signal
    resize R C    changes the terminal's size
    status N      the command ends by itself with exit status N (128+N by a signal)

Each step is two arguments (resize: three). Exit status 0 when all went well; what
was printed goes to standard output otherwise.
"""
import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

DEADLINE = 20


class Session:
    def __init__(self, command):
        self.seen = b""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                os.execvp(command[0], command)
            finally:
                os._exit(127)

    def read(self, end):
        ready, _, _ = select.select([self.master], [], [], max(0, end - time.time()))
        if not ready:
            raise SystemExit("timed out; seen so far:\n" + self.seen.decode(errors="replace"))
        try:
            data = os.read(self.master, 4096)
        except OSError:
            data = b""
        self.seen += data
        return bool(data)

    def expect(self, text):
        end = time.time() + DEADLINE
        wanted = codecs.decode(text, "unicode_escape").encode()
        while wanted not in self.seen:
            if not self.read(end):
                raise SystemExit(
                    "ended before %r; seen:\n%s" % (text, self.seen.decode(errors="replace"))
                )
        self.seen = self.seen.split(wanted, 1)[1]

    def send(self, text):
        os.write(self.master, codecs.decode(text, "unicode_escape").encode())

    def signal(self, name):
        os.kill(self.pid, getattr(signal, "SIG" + name))

    def resize(self, rows, columns):
        size = struct.pack("HHHH", int(rows), int(columns), 0, 0)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def status(self, wanted):
        end = time.time() + DEADLINE
        while self.read(end):
            pass
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if (code if code >= 0 else 128 - code) != int(wanted):
            raise SystemExit(
                "status %d, not %s; seen:\n%s" % (code, wanted, self.seen.decode(errors="replace"))
            )


def main():
    arguments = sys.argv[1:]
    split = arguments.index("--")
    steps, command = arguments[:split], arguments[split + 1 :]
    session = Session(command)
    while steps:
        count = 3 if steps[0] == "resize" else 2
        getattr(session, steps[0])(*steps[1:count])
        steps = steps[count:]


main()
