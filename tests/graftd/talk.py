#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What graftd says to whom: the registry and its rights, watchers, quotas, reloads, what
a restart brings back. Run by test_talk.sh, as root in namespaces made for the test.

    talk.py GRAFTD DIRECTORY        prints TAP

A case is a function; it gets a graftd of its own, started anew."""
import ctypes
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback

from wire import BIND, CONNECT, Client, u32

GRAFTD, DIRECTORY = sys.argv[1:3]
PATH = DIRECTORY + '/graftd.sock'
CONF = DIRECTORY + '/conf'
LIMIT = 20  # seconds until a wait is given up
USER, OTHER = 1000, 1001
CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
CLONE_NEWNS = 0x20000
PR_SET_DUMPABLE = 4
libc = ctypes.CDLL(None, use_errno=True)


class Daemon:
    def __init__(self):
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [GRAFTD, '--foreground', '--socket', PATH, '--config', CONF],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.ready = self.process.stdout.readline().decode()
        assert self.ready.startswith('graftd: ready'), self.process.stderr.read()

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def restart(self):
        self.kill()
        self.start()

    def stop(self):
        self.process.terminate()
        _, errors = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, errors.decode()


def within(condition):
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    return condition()


def configure(text):
    with open(CONF, 'w', encoding='ascii') as file:
        file.write(text)


def child(function, *args):
    """Starts a process that is something else; what it asserts is asserted here, too."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function(*args)
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        os._exit(status)
    return pid


def await_child(pid):
    assert os.waitpid(pid, 0)[1] == 0, 'the child failed'


def become(uid):
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    libc.prctl(PR_SET_DUMPABLE, 1)


def as_user(uid, function, *args):
    def run():
        become(uid)
        function(*args)
    await_child(child(run))


def unshare(flags):
    if libc.unshare(flags) < 0:
        raise OSError(ctypes.get_errno(), 'unshare')


def in_netns(function, *args, flags=CLONE_NEWNET):
    def run():
        unshare(flags)
        function(*args)
    await_child(child(run))


# --- cases --------------------------------------------------------------------------


def case_add_and_delete(daemon):
    client = Client(PATH)
    assert client.add('web type ipv4 addr 127.0.0.1 port 8080') == 0
    assert client.add('web ipv4 127.0.0.1:1') == errno.EEXIST
    assert client.add('web2 ipv4') == errno.EINVAL
    assert client.add('') == errno.EINVAL
    assert client.add('net type any netns 1') == errno.EOPNOTSUPP
    assert client.add('six ipv6 [fe80::1%2]:80') == errno.EOPNOTSUPP
    assert client.add('out type ipv4') == 0
    assert client.add('db unix /run/db.sock owner uid=5 hold') == 0
    assert client.add('there ipv6 [::1]:80 netns 1') == 0
    assert sorted(client.list()) == [
        'db unix /run/db.sock hold owner uid=5', 'out ipv4 0.0.0.0:dynamic',
        'there ipv6 [::1]:80 netns 1', 'web ipv4 127.0.0.1:8080']
    assert client.delete('web') == 0
    assert client.delete('web') == errno.ENOENT
    assert len(client.list()) == 3


def case_requests_ahead_of_answers(daemon):
    client = Client(PATH)
    answers = []
    for i in range(1000):
        client.send('add', (1, b'n%d ipv4 127.0.0.1:dynamic' % i))
        client.send('delete', (1, b'n%d' % (i - 1)))
        if i >= 40:
            answers += [client.receive()[0], client.receive()[0]]
    answers += [client.receive()[0] for _ in range(80)]
    assert answers == ['bye', 'error'] + ['bye'] * 1998
    assert list(client.list()) == ['n999 ipv4 127.0.0.1:dynamic']


def case_users(daemon):
    Client(PATH).add('root ipv4 127.0.0.1:8000')
    Client(PATH).add('low ipv4 127.0.0.1:80')

    def user():
        client = Client(PATH)
        assert client.add('mine ipv4 127.0.0.1:8080') == 0
        assert client.add('given ipv4 127.0.0.1:8081 connector any') == 0
        assert client.add('low2 ipv4 127.0.0.1:80') == errno.EACCES
        assert client.add('there ipv4 127.0.0.1:8080 netns 1') == errno.EPERM
        assert client.delete('root') == errno.EPERM
        assert client.delete('nothing') == errno.ENOENT
        assert client.reload() == errno.EPERM
        assert client.place('root') == errno.EPERM
        assert 'mine ipv4 127.0.0.1:8080 owner uid=1000' in client.list()
        assert isinstance(client.ask(BIND, 'root'), socket.socket)
        assert client.ask(BIND, 'low') == errno.EACCES
        assert isinstance(client.ask(CONNECT, 'low'), socket.socket)

    def other():
        client = Client(PATH)
        assert client.delete('mine') == errno.EPERM
        assert client.add('mine ipv4 127.0.0.1:8082') == errno.EEXIST
        assert client.ask(BIND, 'mine') == errno.EACCES
        assert client.ask(CONNECT, 'mine') == errno.EACCES
        assert isinstance(client.ask(CONNECT, 'given'), socket.socket)
        assert client.ask(BIND, 'given') == errno.EACCES

    as_user(USER, user)
    as_user(OTHER, other)
    assert Client(PATH).delete('mine') == 0


def case_root_of_another_user_namespace(daemon):
    """Who says uid 0 there is nobody here."""
    def run():
        become(USER)
        unshare(CLONE_NEWUSER)
        with open('/proc/self/uid_map', 'w', encoding='ascii') as file:
            file.write('0 1000 1')
        assert os.getuid() == 0
        client = Client(PATH)
        assert client.add('low ipv4 127.0.0.1:80') == errno.EACCES
        assert client.reload() == errno.EPERM
        assert client.place('root') == errno.EPERM

    await_child(child(run))


def case_root_without_capabilities(daemon):
    """As in a container on the host's network."""
    code = ('import errno, sys; sys.path.insert(0, %r); from wire import Client\n'
            'client = Client(%r)\n'
            'assert client.add("low ipv4 127.0.0.1:80") == errno.EACCES, client.text\n'
            'assert client.reload() == errno.EPERM' % (os.path.dirname(__file__), PATH))
    subprocess.run(['setpriv', '--bounding-set', '-net_admin', '--inh-caps',
                    '-net_admin', sys.executable, '-c', code], check=True)


def case_root_of_a_container_on_the_hosts_network(daemon):
    """With every capability, but another root directory."""
    def run():
        unshare(CLONE_NEWNS)
        root = DIRECTORY + '/root'
        os.makedirs(root + DIRECTORY)
        for command in (['mount', '--bind', root, root],
                        ['mount', '--bind', DIRECTORY, root + DIRECTORY]):
            subprocess.run(command, check=True)
        os.chroot(root)
        client = Client(PATH)
        assert client.add('low ipv4 127.0.0.1:80') == errno.EACCES
        assert client.add('path unix /run/x') == errno.EPERM
        assert client.reload() == errno.EPERM
        assert client.place('root') == errno.EPERM

    await_child(child(run))


def case_namespaces(daemon):
    """A table for each; names of the host's only with a clause."""
    host = Client(PATH)
    host.add('plain ipv4 127.0.0.1:8000')
    host.add('given ipv4 127.0.0.1:8001 owner any')
    host.add('user ipv4 127.0.0.1:8002 owner uid=1000')
    host.add('both ipv4 127.0.0.1:8003 owner any')

    def inside():
        client = Client(PATH)
        assert client.add('inner ipv4 127.0.0.1:80') == 0
        assert client.add('both ipv4 127.0.0.1:81') == 0
        assert client.add('held ipv4 127.0.0.1:82 hold') == errno.EPERM
        assert client.add('there ipv4 127.0.0.1:80 netns 1') == errno.EPERM
        assert sorted(client.list()) == [
            'both ipv4 127.0.0.1:8003 owner any', 'both ipv4 127.0.0.1:81',
            'given ipv4 127.0.0.1:8001 owner any', 'inner ipv4 127.0.0.1:80']
        assert client.ask(CONNECT, 'plain') == errno.EACCES
        assert client.ask(CONNECT, 'user') == errno.EACCES
        assert client.ask(CONNECT, 'nothing') == errno.ENOENT
        assert client.ask(CONNECT, 'host', address=('127.0.0.1', 80)) == errno.EACCES
        assert client.delete('plain') == errno.ENOENT
        # The host's, and the own one of the same name first.
        own = client.socket.getsockopt(socket.SOL_SOCKET, 71, 8)
        given = client.ask(BIND, 'given')
        assert given.getsockopt(socket.SOL_SOCKET, 71, 8) != own
        assert given.getsockname() == ('127.0.0.1', 8001)
        os.system('ip link set lo up')
        both = client.ask(BIND, 'both')
        assert both.getsockopt(socket.SOL_SOCKET, 71, 8) == own
        assert both.getsockname() == ('127.0.0.1', 81)
        assert client.delete('both') == 0

    in_netns(inside)
    assert within(lambda: len(host.list()) == 4), host.list()


def case_namespace_of_a_user(daemon):
    """Who made a namespace may add to its table, though he is nobody in ours."""
    def run():
        become(USER)
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
        client = Client(PATH)
        assert client.add('inner ipv4 127.0.0.1:80') == 0, client.text
        assert isinstance(client.ask(CONNECT, 'inner'), socket.socket)

    await_child(child(run))


def case_end_of_a_namespace(daemon):
    """Its table goes with it, whether graftd sees it end or not."""
    host = Client(PATH)
    host.add('stays ipv4 127.0.0.1:8000')
    watcher = Client(PATH)
    watcher.watch()

    def inside(n, pipe):
        unshare(CLONE_NEWNET)
        client = Client(PATH)
        for i in range(n):
            assert client.add('n%d ipv4 127.0.0.1:80' % i) == 0
        os.read(pipe, 1)

    def gone():
        return list(Client(PATH).list()) == ['stays ipv4 127.0.0.1:8000']

    for is_killed in (False, True):
        pipe = os.pipe()
        pid = child(inside, 10, pipe[0])
        assert within(lambda: len(Client(PATH).list()) == 11)
        if is_killed:
            daemon.restart()
            assert len(Client(PATH).list()) == 11
            daemon.kill()
        os.write(pipe[1], b'x')
        await_child(pid)
        if is_killed:
            daemon.start()
        else:
            kinds = [watcher.event()['kind'] for _ in range(20)]
            assert kinds == ['add'] * 10 + ['del'] * 10
        assert within(gone), Client(PATH).list()


def case_watch(daemon):
    host = Client(PATH)
    host.add('before ipv4 127.0.0.1:8000')
    watcher = Client(PATH)
    assert list(watcher.watch()) == ['before ipv4 127.0.0.1:8000']
    host.add('after ipv4 127.0.0.1:8001')
    event = watcher.event()
    assert (event['kind'], event['name'], event['text']) == (
        'add', 'after', 'after ipv4 127.0.0.1:8001')
    assert (event['uid'], event['pid']) == (0, os.getpid())
    bound = host.ask(BIND, 'after')
    assert watcher.event()['kind'] == 'bind'
    host.ask(CONNECT, 'after').close()
    event = watcher.event()
    assert (event['kind'], event['text']) == ('connect', '127.0.0.1:8001')
    as_user(USER, lambda: Client(PATH).ask(BIND, 'none'))
    host.delete('before')
    event = watcher.event()
    assert (event['kind'], event['name']) == ('del', 'before')
    host.reload()
    assert watcher.event()['kind'] == 'reload'
    bound.close()


def case_watch_is_for_what_one_may_see(daemon):
    host = Client(PATH)

    def inside(pipe, answer):
        unshare(CLONE_NEWNET)
        watcher = Client(PATH)
        assert watcher.watch() == {}
        os.write(answer, b'x')
        os.read(pipe, 1)
        event = watcher.event()
        assert (event['kind'], event['name']) == ('add', 'open'), event

    go, answer = os.pipe(), os.pipe()
    pid = child(inside, go[0], answer[1])
    os.read(answer[0], 1)
    host.add('closed ipv4 127.0.0.1:8000')
    host.add('open ipv4 127.0.0.1:8001 owner any')
    os.write(go[1], b'x')
    await_child(pid)


def case_watch_while_it_changes(daemon):
    """List and events together give what there is, whatever happened in between."""
    host = Client(PATH)
    for i in range(3000):
        host.add('n%d ipv4 127.0.0.1:dynamic' % i)
    watcher = Client(PATH)
    watcher.send('watch')
    for i in range(0, 3000, 3):
        host.delete('n%d' % i)
        host.add('m%d ipv4 127.0.0.1:dynamic' % i)
    wanted = set(host.list())
    known, listing = set(), True
    while known != wanted or listing:
        kind, fields = watcher.receive()
        assert kind in ('endpoint', 'bye', 'event'), (kind, fields)
        if kind == 'bye':
            listing = False
        elif kind == 'endpoint':
            known.add(fields[1].decode())
        elif fields[1] == b'add':
            known.add(fields[6].decode())
        elif fields[1] == b'del':
            known.discard(fields[2].decode() + ' ipv4 127.0.0.1:dynamic')


def case_slow_watcher(daemon):
    host = Client(PATH)
    slow, quick = Client(PATH), Client(PATH)
    slow.watch()
    quick.watch()
    for i in range(10000):
        host.add('n%d ipv4 127.0.0.1:dynamic' % i)
        assert quick.event()['name'] == 'n%d' % i
    kind, n = 'event', 0
    while kind == 'event':
        kind, fields = slow.receive()
        n += 1
    assert kind == 'error' and int.from_bytes(fields[1], 'little') == errno.ENOBUFS
    assert n < 10000
    assert slow.receive()[0] is None


def case_greeting(daemon):
    client = Client(PATH, hello=False)
    client.send('add', (1, b'x ipv4 127.0.0.1:1'))
    kind, fields = client.receive()
    assert kind == 'error' and int.from_bytes(fields[1], 'little') == errno.EPROTO
    assert client.receive()[0] is None
    client = Client(PATH)
    client.send('hello', (1, u32(1)))
    assert client.receive()[0] == 'error'
    # Who says nothing is closed after a while.
    silent = Client(PATH, hello=False, timeout=LIMIT)
    assert silent.socket.recv(10) == b''


def case_unread_answers(daemon):
    """Who does not read is not read from, and closed after a while; others are served."""
    host = Client(PATH)
    for i in range(2000):
        host.add('n%d ipv4 127.0.0.1:dynamic' % i)
    deaf = Client(PATH, timeout=LIMIT)
    deaf.socket.setblocking(False)
    n = 0
    try:
        while True:
            deaf.send('ask_endpoints')
            n += 1
    except BlockingIOError:
        pass
    assert n < 10000
    assert len(host.list()) == 2000
    poll = select.poll()
    poll.register(deaf.socket, 0)
    assert poll.poll(LIMIT * 1000), 'it is still connected'
    assert len(host.list()) == 2000


def case_quotas(daemon):
    configure('quota endpoints 3 uid=1000\nquota connections 4\nquota watchers 1\n'
              'quota held 2\n')
    assert Client(PATH).reload() == 0

    def user():
        client = Client(PATH)
        for i in range(3):
            assert client.add('n%d ipv4 127.0.0.1:%d hold' % (i, 8000 + i)) == 0
        assert client.add('n3 ipv4 127.0.0.1:8003') == errno.EDQUOT
        assert client.delete('n0') == 0
        assert client.add('n0 ipv4 127.0.0.1:8000 hold') == 0
        held = [client.ask(BIND, 'n%d' % i) for i in range(3)]
        assert held[2] == errno.EDQUOT, held
        assert client.delete('n0') == 0
        held = client.ask(BIND, 'n2')
        assert isinstance(held, socket.socket), os.strerror(held)
        watcher = Client(PATH)
        watcher.watch()
        assert Client(PATH).request('watch') == errno.EDQUOT
        more = [Client(PATH), Client(PATH)]
        turned_away = Client(PATH, hello=False)
        kind, fields = turned_away.receive()
        assert kind == 'error' and int.from_bytes(fields[1], 'little') == errno.EDQUOT
        more.pop().close()
        assert within(lambda: can_greet())

    def can_greet():
        try:
            return Client(PATH)
        except (AssertionError, OSError):
            return None

    as_user(USER, user)
    assert Client(PATH).add('root ipv4 127.0.0.1:1') == 0


def listens(port):
    try:
        socket.create_connection(('127.0.0.1', port)).close()
        return True
    except ConnectionRefusedError:
        return False


def case_reload(daemon):
    configure('endpoint a ipv4 127.0.0.1:8000\nendpoint b ipv4 127.0.0.1:8001 hold\n')
    client = Client(PATH)
    client.add('mine ipv4 127.0.0.1:9000')
    assert client.reload() == 0
    before = sorted(client.list())
    assert len(before) == 3
    assert client.delete('a') == errno.EPERM
    held = client.ask(BIND, 'b')
    held.listen()
    # Wrong: nothing changes, the first mistake is told.
    configure('endpoint c ipv4 127.0.0.1:8000\nquota x\n')
    assert client.reload() == errno.EINVAL
    assert client.text.startswith(CONF + ':2:'), client.text
    assert sorted(client.list()) == before
    # Who may use it changes, what is bound does not.
    configure('endpoint b ipv4 127.0.0.1:8001 hold owner uid=5\n'
              'endpoint mine ipv4 127.0.0.1:9001\n')
    assert client.reload() == 0
    found = client.list()
    assert sorted(found) == ['b ipv4 127.0.0.1:8001 hold owner uid=5',
                             'mine ipv4 127.0.0.1:9001']
    assert found['b ipv4 127.0.0.1:8001 hold owner uid=5']['state'] == 'held'
    held.close()
    socket.create_connection(('127.0.0.1', 8001)).close()
    # What the file no longer has goes, at SIGHUP as well.
    configure('')
    daemon.process.send_signal(signal.SIGHUP)
    assert within(lambda: client.list() == {})
    assert within(lambda: not listens(8001))


def case_host_owner(daemon):
    configure('stack host owner uid=1000\n')
    assert Client(PATH).reload() == 0

    def inside(may):
        client = Client(PATH)
        answer = client.ask(BIND, 'host', address=('127.0.0.1', 8000))
        assert isinstance(answer, socket.socket) == may, answer
        assert client.ask(BIND, 'host', address=('127.0.0.1', 80)) == errno.EACCES

    def user(uid, may):
        unshare(CLONE_NEWNET)
        os.setuid(uid)
        inside(may)

    await_child(child(user, USER, True))
    await_child(child(user, OTHER, False))


def case_places(daemon):
    """For programs that are not there it is no more than a question."""
    client = Client(PATH)
    assert client.place('nothing') == errno.ENOENT and 'nothing' in client.text
    assert client.add('web ipv4 127.0.0.1:8080') == 0
    assert client.place('web') == 0


def case_restart(daemon):
    client = Client(PATH)
    for i in range(1000):
        client.add('n%d ipv4 127.0.0.1:dynamic' % i)
    for i in range(0, 1000, 2):
        client.delete('n%d' % i)
    bound = client.ask(BIND, 'n1')
    bound.listen()
    before = client.list()
    daemon.restart()
    client = Client(PATH)
    after = client.list()
    assert sorted(after) == sorted(before)
    line = 'n1 ipv4 127.0.0.1:dynamic'
    assert after[line]['port'] == before[line]['port'] == bound.getsockname()[1]
    assert after[line]['state'] == 'bound'
    # In good order as well.
    status, errors = daemon.stop()
    assert (status, errors) == (0, ''), errors
    assert not os.path.exists(PATH)
    daemon.start()
    assert sorted(Client(PATH).list()) == sorted(before)
    bound.close()
    assert Client(PATH).list()[line]['state'] == 'idle'


def case_torn_journal(daemon):
    client = Client(PATH)
    for i in range(100):
        client.add('n%d ipv4 127.0.0.1:dynamic' % i)
    daemon.kill()
    name = DIRECTORY + '/journal'
    size = os.path.getsize(name)
    os.truncate(name, size - 5)
    daemon.start()
    assert len(Client(PATH).list()) == 99
    assert Client(PATH).add('n99 ipv4 127.0.0.1:dynamic') == 0
    daemon.kill()
    with open(name, 'r+b') as file:
        file.seek(size // 2)
        file.write(b'\0\xff\n\n')
    daemon.start()
    assert 97 <= len(Client(PATH).list()) <= 99
    os.unlink(name)
    daemon.restart()
    assert Client(PATH).list() == {}


def case_clients_wait(daemon):
    """Who connects while there is no graftd is served by the next."""
    daemon.kill()
    waiting = [Client(PATH, hello=False) for _ in range(20)]
    for client in waiting:
        client.send('hello', (1, u32(1)))
    daemon.start()
    for client in waiting:
        assert client.receive()[0] == 'hello'


def case_one_at_a_time(daemon):
    second = subprocess.run([GRAFTD, '--socket', PATH, '--config', CONF], check=False,
                            capture_output=True, timeout=LIMIT)
    assert second.returncode == 1
    assert second.stderr.count(b'\n') == 1 and b'already runs' in second.stderr
    assert Client(PATH).list() == {}


def case_the_users_own(daemon):
    """An ordinary user's graftd: he rules it."""
    directory = DIRECTORY + '/user'
    os.mkdir(directory, 0o700)
    os.chown(directory, USER, USER)

    def run():
        path = directory + '/graft/graftd.sock'
        os.environ['XDG_RUNTIME_DIR'] = directory
        process = subprocess.Popen([GRAFTD, '-f', '-c', CONF], stdout=subprocess.PIPE)
        try:
            assert process.stdout.readline().startswith(b'graftd: ready on ' +
                                                        path.encode())
            client = Client(path)
            assert client.add('x ipv4 127.0.0.1:8000 hold') == 0, client.text
            assert client.reload() == 0
            assert isinstance(client.ask(BIND, 'x'), socket.socket)
        finally:
            process.terminate()
            assert process.wait() == 0

    as_user(USER, run)


def case_misuse(daemon):
    for arguments in (['--bad'], ['-q'], ['--socket'], ['word'], ['-s', 'x', 'y']):
        run = subprocess.run([GRAFTD] + arguments, check=False, capture_output=True,
                             timeout=LIMIT)
        assert run.returncode == 2, arguments
        assert run.stderr.count(b'\n') == 1 and not run.stdout, run.stderr
    run = subprocess.run([GRAFTD, '--help'], check=True, capture_output=True)
    assert run.stdout.startswith(b'Usage: graftd') and not run.stderr


def case_metrics(daemon):
    name = DIRECTORY + '/metrics'
    configure('metrics unix %s\n' % name)
    client = Client(PATH)
    assert client.reload() == 0
    client.add('web ipv4 127.0.0.1:8000')
    client.ask(CONNECT, 'web').close()
    client.ask(CONNECT, 'web').close()
    client.ask(CONNECT, 'nothing')

    def get(request):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(LIMIT)
            stream.connect(name)
            for byte in request:
                stream.send(bytes([byte]))
            answer = b''
            while True:
                data = stream.recv(65536)
                if not data:
                    return answer.decode()
                answer += data

    text = get(b'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')
    assert text.startswith('HTTP/1.0 200 OK\r\n')
    values = dict(line.rsplit(' ', 1) for line in text.split('\r\n\r\n')[1].splitlines()
                  if not line.startswith('#'))
    assert values['graft_grafts_total{endpoint="web",engine="other",'
                  'verdict="granted"}'] == '2'
    assert values['graft_grafts_total{endpoint="other",engine="other",'
                  'verdict="unknown"}'] == '1'
    assert values['graft_endpoints'] == '1'
    assert values['graft_ask_seconds_count'] == '3'
    assert values['graft_ask_seconds_bucket{le="+Inf"}'] == '3'
    assert get(b'GET / HTTP/1.0\n\n').startswith('HTTP/1.0 404')
    # Who asks slowly, or not at all, is in nobody's way.
    idle = [socket.socket(socket.AF_UNIX) for _ in range(8)]
    for stream in idle:
        stream.connect(name)
    assert len(client.list()) == 1
    for stream in idle:
        stream.close()
    # As many names as one likes do not make it grow.
    for i in range(2000):
        client.send('add', (1, b'n%d ipv4 127.0.0.1:8000' % i))
        assert client.receive()[0] == 'bye'
        client.ask(CONNECT, 'n%d' % i).close()
    assert get(b'GET /metrics HTTP/1.0\r\n\r\n').count('\n') < 400


def case_descriptors_do_not_leak(daemon):
    def count():
        return len(os.listdir('/proc/%d/fd' % daemon.process.pid))

    client = Client(PATH)
    client.add('web ipv4 127.0.0.1:dynamic hold')
    client.add('db unix %s/db' % DIRECTORY)
    client.ask(BIND, 'web').close()
    before = count()
    for _ in range(200):
        other = Client(PATH)
        for name in ('web', 'db', 'host', 'nothing'):
            old = socket.socket()
            for operation in (BIND, CONNECT):
                answer = other.ask(operation, name, address=('127.0.0.1', 0), old=old)
                if isinstance(answer, socket.socket):
                    answer.close()
            old.close()
        # More than belong there, and where none belong.
        other.send('ask_page', fds=[0, 1, 2])
        other.close()
        other = Client(PATH)
        other.send('ask_endpoints', fds=[0])
        other.close()
        other = Client(PATH, hello=False)
        other.socket.send(b'garbage')
        other.close()
    assert within(lambda: count() <= before), (before, count())


def main():
    cases = [value for name, value in globals().items() if name.startswith('case_')]
    failed = 0
    for number, case in enumerate(cases, 1):
        configure('')
        daemon = Daemon()
        try:
            case(daemon)
            print('ok %d - %s' % (number, case.__name__[5:].replace('_', ' ')))
        except BaseException:
            failed += 1
            print('not ok %d - %s' % (number, case.__name__[5:].replace('_', ' ')))
            print('# ' + traceback.format_exc().replace('\n', '\n# '))
        if daemon.process.poll() is None:
            daemon.stop()
        for name in ('journal', 'page', 'lock', 'db'):
            if os.path.exists(DIRECTORY + '/' + name):
                os.unlink(DIRECTORY + '/' + name)
        sys.stdout.flush()
    print('1..%d' % len(cases))
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
