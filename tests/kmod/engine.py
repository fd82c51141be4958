#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Programs on the kernel module's sockets through libgraft-hijack.so: in a run, `graft run
--engine af_graft`, and with LD_PRELOAD and the module's own registry.

    engine.py --list
    engine.py CASE LIBRARY      in a network namespace made by tests/conformance/netns.sh,
                                as root, with the module loaded and `graft` in PATH

Programs are given as Python, and what they print is compared. Status: 0 good, 1 not.
"""
import atexit
import os
import subprocess
import sys
import time

PYTHON = sys.executable
LIMIT = 60
BEFORE = """
import os, socket, struct, sys, threading, time
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
def make(kind=TCP, family=socket.AF_INET):
    return socket.socket(family, kind)
def serve(address, kind=TCP, family=socket.AF_INET):
    server = make(kind, family)
    server.bind(address)
    if kind == TCP:
        server.listen()
    return server
def client(address, kind=TCP):
    one = make(kind)
    one.connect(address)
    return one
def error(call, *arguments):
    try:
        call(*arguments)
        return "none"
    except OSError as failed:
        return failed.errno
"""
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def start(command, code, **more):
    return subprocess.Popen(command + [PYTHON, "-c", BEFORE + code], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, **more)


def graft_run(options, code):
    return start(["graft", "run", "--engine", "af_graft"] + options + ["--"], code)


def rules(*lines):
    return [word for line in lines for word in ("--rule", line)]


def preloaded(library, code, within=(), **variables):
    return start(list(within), code, env=dict(os.environ, LD_PRELOAD=library, **variables))


def compare(process, wanted):
    """What @process prints, and its end."""
    try:
        printed, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        printed = process.communicate()[0] + "killed\n"
    printed = printed.strip().splitlines()
    wanted = [line.strip() for line in wanted.strip().splitlines()]
    if printed == wanted:
        return True
    print("wanted", *wanted, "got", *printed, sep="\n    ")
    return False


def shell(*commands):
    for command in commands:
        subprocess.run(command, shell=True, check=True)


def first_line(process):
    """Waits for it; a program says so when it is ready."""
    return process.stdout.readline()


# --- runs ---


@case
def publish(_):
    """-p: from outside, and from the run itself"""
    server = graft_run(["-p", "8080:80"], """
server = serve(('0.0.0.0', 80))
print(server.getsockname(), flush=True)
own = client(('127.0.0.1', 80))
print(own.getpeername())
print(server.accept()[0].getsockname()[1], flush=True)
print(server.accept()[0].getsockname()[1])
""")
    ready = first_line(server)
    visitor = start([], "print(client(('127.0.0.1', 8080)).getpeername())")
    return all([compare(visitor, "('127.0.0.1', 8080)"), ready == "('0.0.0.0', 80)\n",
                compare(server, "('127.0.0.1', 80)\n80\n80")])


@case
def publish_more(_):
    """any port of the host, one below 1024, IPv6, and nobody bound"""
    return compare(graft_run(["-p", "80", "-p", "81:81"], """
print(error(client, ('127.0.0.1', 80)))
server = serve(('::', 80), TCP, socket.AF_INET6)
print(server.getsockname()[:2])
print(serve(('0.0.0.0', 81)).getsockname())
print(socket.create_connection(('::1', 80)).getpeername()[:2])
print(client(('127.0.0.1', 80)).getpeername())
"""), """
111
('::', 80)
('0.0.0.0', 81)
('::1', 80)
('127.0.0.1', 80)
""")


@case
def clients(_):
    """-e: streams and datagrams, bound before, refused, denied, without blocking"""
    server = start([], """
server, echo = serve(('10.77.0.1', 7000)), serve(('10.77.0.1', 7001), UDP)
print('ready', flush=True)
for _ in range(2):
    data, who = echo.recvfrom(9)
    echo.sendto(data[::-1], who)
sys.stdin.read()
""")
    first_line(server)
    return compare(graft_run(["-e", "10.0.0.0/8=host"] + rules(
        "connect any 10.9.0.0/16 = deny:EPERM"), """
one = make()
one.bind(('', 0))
one.connect(('10.77.0.1', 7000))
print(one.getpeername())
one = make(UDP)
one.sendto(b'hi', ('10.77.0.1', 7001))
print(one.recvfrom(9))
one = make(UDP)
one.bind(('', 0))
one.sendto(b'hi', ('127.0.0.1', 9))
one.sendto(b'ho', ('10.77.0.1', 7001))
print(one.recvfrom(9))
print(error(client, ('10.9.0.1', 1)), error(client, ('10.77.0.1', 1)),
      error(client, ('127.0.0.1', 7000)))
one = make()
one.setblocking(False)
print(one.connect_ex(('10.77.0.1', 7000)))
time.sleep(0.5)
print(one.getpeername())
"""), """
('10.77.0.1', 7000)
(b'ih', ('10.77.0.1', 7001))
(b'oh', ('10.77.0.1', 7001))
1 111 111
115
('10.77.0.1', 7000)
""")


def make_other(name):
    shell(f"ip netns add {name}", f"ip -n {name} link set lo up",
          f"ip -n {name} addr add 10.5.5.5/24 dev lo")
    atexit.register(shell, f"ip netns del {name}")


@case
def other_namespace(_):
    """endpoints of another namespace: fixed, dynamic, as a source, with a long name"""
    make_other("graft-x")
    return compare(graft_run(rules(
        "endpoint web ipv4 10.5.5.5:8000 netns graft-x",
        "endpoint dyn ipv4 10.5.5.5:dynamic netns graft-x",
        "endpoint out ipv4 10.5.5.5:dynamic netns graft-x",
        "endpoint quite-a-long-name-this ipv4 127.0.0.1:8123",
        "bind tcp 0.0.0.0:80 = web", "connect tcp 1.1.1.1:80 = web",
        "bind any 0.0.0.0:81 = dyn", "connect any 1.1.1.1:81 = dyn",
        "bind tcp 0.0.0.0:82 = quite-a-long-name-this",
        "connect any 10.5.0.0/16 = from out"), """
web = serve(('0.0.0.0', 80))
one = client(('1.1.1.1', 80))
two, who = web.accept()
print(web.getsockname(), one.getpeername(), two.getsockname()[1], who == one.getsockname())
print(error(client, ('1.1.1.1', 81)))
server = serve(('0.0.0.0', 81))
print(server.getsockname(), client(('1.1.1.1', 81)).getpeername())
server.close()
server, one = serve(('0.0.0.0', 81), UDP), client(('1.1.1.1', 81), UDP)
one.send(b'x')
print(server.recvfrom(9)[0], one.getpeername())
one = client(('10.5.5.5', 8000))
print(one.getsockname()[0], one.getpeername())
print(serve(('0.0.0.0', 82)).getsockname())
"""), """
('0.0.0.0', 80) ('1.1.1.1', 80) 80 True
111
('0.0.0.0', 81) ('1.1.1.1', 81)
b'x' ('1.1.1.1', 81)
10.5.5.5 ('10.5.5.5', 8000)
('0.0.0.0', 82)
""")


UNIX_STREAM = """
server, one = serve(('0.0.0.0', 80)), make()
one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
one.connect(('1.1.1.1', 80))
two, who = server.accept()
print(server.getsockname(), one.getpeername(), one.getsockname()[0], two.getsockname()[1])
print(one.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN),
      one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
print(two.getpeername() == one.getsockname())
"""
SEEN_STREAM = """
('0.0.0.0', 80) ('1.1.1.1', 80) 127.0.0.1 80
2 1
True
"""
UNIX_DATAGRAM = """
server, one = serve(('0.0.0.0', 80), UDP), make(UDP)
one.sendto(b'x', ('1.1.1.1', 80))
data, who = server.recvfrom(9)
print(data, who == one.getsockname())
server.sendto(b'y', who)
print(one.recvfrom(9))
one.sendto(b'z', ('1.1.1.1', 80))
print(server.recvfrom(9)[0])
two = client(('1.1.1.1', 80), UDP)
two.send(b'w')
print(two.getpeername(), server.recvfrom(9)[1] == two.getsockname())
"""
SEEN_DATAGRAM = """
b'x' True
(b'y', ('1.1.1.1', 80))
b'z'
('1.1.1.1', 80) True
"""


def unix(path, proto):
    return graft_run(rules(f"endpoint u unix {path}", f"bind {proto} 0.0.0.0:80 = u",
                           f"connect {proto} 1.1.1.1:80 = u"),
                     UNIX_STREAM if proto == "tcp" else UNIX_DATAGRAM)


@case
def unix_streams(_):
    """a path, one left behind, an abstract name"""
    path = f"/run/graft-engine-{os.getpid()}"
    good = [compare(unix(path, "tcp"), SEEN_STREAM), compare(unix(path, "tcp"), SEEN_STREAM),
            compare(unix("@graft-engine", "tcp"), SEEN_STREAM)]
    os.unlink(path)
    return all(good)


@case
def unix_datagrams(_):
    """the same"""
    path = f"/run/graft-engine-{os.getpid()}"
    good = [compare(unix(path, "udp"), SEEN_DATAGRAM),
            compare(unix(path, "udp"), SEEN_DATAGRAM),
            compare(unix("@graft-engine", "udp"), SEEN_DATAGRAM)]
    os.unlink(path)
    return all(good)


@case
def copies(_):
    """what a child binds and connects is so for its parent"""
    return compare(graft_run(["-p", "8081:80"], """
server, one = make(), make()
if os.fork() == 0:
    server.bind(('0.0.0.0', 80))
    os._exit(0)
os.wait()
server.listen()
if os.fork() == 0:
    one.connect(('127.0.0.1', 80))
    os._exit(0)
os.wait()
print(one.getpeername(), server.accept()[0].getsockname()[1])
"""), "('127.0.0.1', 80) 80")


@case
def families(_):
    """the program's own sockets of AF_GRAFT, whatever the family's number"""
    return compare(graft_run(rules("endpoint ep ipv4 127.0.0.1:8200"), """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def name(text):
    return struct.pack('=H16s', 4, text)
server = libc.socket(4, 1, 0)
print(server > 0, libc.bind(server, name(b'ep'), 18), libc.listen(server, 5))
shown, size = ctypes.create_string_buffer(32), ctypes.c_int(32)
libc.getsockname(server, shown, ctypes.byref(size))
print(size.value, shown.raw[:18] == name(b'ep'))
print(libc.connect(libc.socket(4, 1, 0), name(b'ep'), 18))
print(libc.connect(libc.socket(4, 1, 0), name(b'no'), 18), ctypes.get_errno())
print(libc.sendto(libc.socket(4, 2, 0), b'x', 1, 0, name(b'ep'), 18))
"""), "True 0 0\n18 True\n0\n-1 2\n1")


@case
def shown(_):
    """graft ps"""
    program = graft_run(["-p", "8082:80", "--name", "shown"], """
server = serve(('0.0.0.0', 80))
print('ready', flush=True)
time.sleep(30)
""")
    first_line(program)
    runs = subprocess.run(["graft", "ps", "shown"], stdout=subprocess.PIPE, text=True,
                          check=False).stdout
    sockets = subprocess.run(["graft", "ps", "--sockets", "shown"], stdout=subprocess.PIPE,
                             text=True, check=False).stdout
    program.kill()
    program.wait()
    if "af_graft" in runs and "0.0.0.0:8082" in sockets:
        return True
    print(runs, sockets)
    return False


@case
def refused(_):
    """not for a user; not for a static program"""
    user = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]
    results = [subprocess.run(before + ["graft", "run", "--engine", "af_graft", "-p",
                                        "80:80", "--"] + program, stderr=subprocess.PIPE,
                              text=True, check=False)
               for before, program in ((user, [PYTHON, "-c", ""]), ([], ["busybox", "true"]))]
    wanted = ["needs root", "static program"]
    good = [result.returncode == 125 and want in result.stderr and
            result.stderr.count("\n") == 1 for result, want in zip(results, wanted)]
    if not all(good):
        print(*results, sep="\n")
    return all(good)


# --- the library by itself ---


@case
def registry(library):
    """GRAFT_CONV_PAIRS and the module's endpoints"""
    shell("graft add engine-test type ipv4 addr 127.0.0.1 port 8080")
    return compare(preloaded(library, """
server = serve(('0.0.0.0', 5201))
one = client(('127.0.0.1', 5201))
two, who = server.accept()
print(server.getsockname(), one.getpeername(), two.getsockname()[1], who == one.getsockname())
one = make()
one.setblocking(False)
print(one.connect_ex(('127.0.0.1', 5201)))
time.sleep(0.5)
print(one.getpeername())
print(client(('graft-engine-test', 1)).getpeername()[0][:8])
print(error(client, ('127.0.0.1', 80)), error(serve, ('0.0.0.0', 80)))
print(error(client, ('127.0.0.1', 81)), error(serve, ('0.0.0.0', 81)))
""", GRAFT_CONV_PAIRS="0.0.0.0:5201=engine-test 0.0.0.0:80=none "
                      "0.0.0.0:81=a-name-of-seventeen"), """
('0.0.0.0', 5201) ('127.0.0.1', 5201) 5201 True
115
('127.0.0.1', 5201)
127.201.
111 99
111 99
""")


@case
def registry_dynamic(library):
    """a dynamic endpoint, for streams and datagrams"""
    shell("graft add engine-dynamic type ipv4 addr 127.0.0.1 port dynamic")
    return compare(preloaded(library, """
print(error(client, ('127.0.0.1', 53)))
server = serve(('0.0.0.0', 53))
print(server.getsockname(), client(('127.0.0.1', 53)).getpeername())
server, one = serve(('0.0.0.0', 53), UDP), make(UDP)
for data in b'x', b'y':
    one.sendto(data, ('127.0.0.1', 53))
    print(server.recvfrom(9)[0])
server.sendto(b'z', one.getsockname())
print(one.recvfrom(9))
""", GRAFT_CONV_PAIRS="0.0.0.0:53=engine-dynamic"), """
111
('0.0.0.0', 53) ('127.0.0.1', 53)
b'x'
b'y'
(b'z', ('127.0.0.1', 53))
""")


@case
def registry_unix(library):
    """UNIX endpoints"""
    shell("graft add engine-stream type unix path @engine-stream",
          "graft add engine-dgram type unix path @engine-dgram")
    return all([compare(preloaded(library, code,
                                  GRAFT_CONV_PAIRS=f"0.0.0.0:80={name} 1.1.1.1:80={name}"),
                        seen)
                for name, code, seen in (("engine-stream", UNIX_STREAM, SEEN_STREAM),
                                         ("engine-dgram", UNIX_DATAGRAM, SEEN_DATAGRAM))])


@case
def registry_namespace(library):
    """from a namespace with a table of its own into another, and from there"""
    make_other("graft-z")
    make_other("graft-y")
    within = ["ip", "netns", "exec", "graft-y"]
    shell("ip netns exec graft-y graft add web type ipv4 addr 10.5.5.5 port 9000 netns graft-z",
          "ip netns exec graft-y graft add out type ipv4 addr 10.5.5.5 port dynamic "
          "netns graft-z")
    return compare(preloaded(library, """
server = serve(('1.1.1.1', 80))
print(server.getsockname(), client(('1.1.1.1', 80)).getpeername())
one = client(('10.5.5.5', 9000))
print(one.getsockname()[0], one.getpeername())
""", within, GRAFT_CONV_PAIRS="1.1.1.1:80=web", GRAFT_EGRESS_CONVERT="10.5.0.0/16=out"), """
('1.1.1.1', 80) ('1.1.1.1', 80)
10.5.5.5 ('10.5.5.5', 9000)
""")


@case
def registry_initial(library):
    """an endpoint of the initial namespace, which has a rule"""
    outside = ["nsenter", "-t", "1", "-n"]
    shell(" ".join(outside) + " graft add engine-all type ipv4 addr 127.0.0.1 port 9200 "
          "connector any")
    server = start(outside, """
server, echo = serve(('127.0.0.1', 9200)), serve(('127.0.0.1', 9200), UDP)
print('ready', flush=True)
for _ in range(2):
    data, who = echo.recvfrom(9)
    echo.sendto(data * 2, who)
""")
    first_line(server)
    good = compare(preloaded(library, """
print(client(('1.1.1.1', 80)).getpeername())
one = make(UDP)
for data in b'a', b'b':
    one.sendto(data, ('1.1.1.1', 80))
    print(one.recvfrom(9))
print(socket.getaddrinfo('graft-engine-all', 1)[0][4][0][:8])
""", GRAFT_CONV_PAIRS="1.1.1.1:80=engine-all"), """
('1.1.1.1', 80)
(b'aa', ('1.1.1.1', 80))
(b'bb', ('1.1.1.1', 80))
127.201.
""")
    server.kill()
    shell(" ".join(outside) + " graft del engine-all")
    return good


def main():
    if sys.argv[1:] == ["--list"]:
        print(*CASES, sep="\n")
        return 0
    if len(sys.argv) != 3 or sys.argv[1] not in CASES:
        print(__doc__, file=sys.stderr)
        return 2
    began = time.monotonic()
    good = CASES[sys.argv[1]](sys.argv[2])
    print(f"{sys.argv[1]}: {CASES[sys.argv[1]].__doc__}: "
          f"{'good' if good else 'BAD'}, {time.monotonic() - began:.1f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
