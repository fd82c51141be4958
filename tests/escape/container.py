# SPDX-License-Identifier: GPL-2.0-or-later
"""The attempts, made inside of containers that graft-runtime starts, one for each.

    "host" of the suite ----- graft-runtime run, or run and exec ----- runc or crun
       the suite's files, at their own path               /usr, read-only

A container is root of its own /; what it shares with the host is the suite's directory, so
that UNIX sockets, and with them descriptors, go from one container to another.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from engines import USER, Config, Notify, NOTIFY_POLICIES

RUNTIME_TESTS = Path(__file__).resolve().parent.parent / 'runtime'
DOCKER_CAPS = ('CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP',
               'SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE')
STATE = Path('/run/graft-escape')


class Container(Config):
    def __init__(self, name, policy, user, backend, caps=(), is_executed=False, has_shortcut=False):
        super().__init__(name, policy, user, starter=0)
        self.backend = backend
        self.caps = caps
        self.is_executed = is_executed  # into a container without capabilities
        self.has_shortcut = has_shortcut


class Containers(Notify):
    """Behind the notify engine, as a container has it."""

    # its first process takes the status of whatever lost its parent
    unshare = ['--pid', '--fork', '--kill-child', '--mount-proc', '--', 'sh', '-c', '"$@"; exit $?', 'sh']

    def __init__(self, configs, remarks, marks):
        super().__init__([], NOTIFY_POLICIES, configs, remarks, marks)
        self.n_started = 0
        self.templates = {}  # by the configuration's name
        self.of_process = {}  # pid of what we started: (container's id, backend)

    def serves(self, attempt):
        return not attempt.flags & {'cgroup', 'tcp-only'}

    def remark(self, attempt, config):
        if 'granted' in attempt.flags:
            return 'granted', ''
        return super(Notify, self).remark(attempt, config)

    def takes_part(self, config, number):
        """The first takes part in every row, the others in turn."""
        return config is self.configs[0] or self.configs[1 + number % 2] is config

    def prepare(self, suite):
        """Once: what all bundles share, and a cgroup v2 that both runtimes know."""
        self.suite = suite
        self.mark = f'gre{os.getpid()}x{os.urandom(3).hex()}'
        self.runtime = suite.install(suite.options.runtime, 'graft-runtime')
        STATE.mkdir(mode=0o700)
        log = f'{os.path.abspath(suite.options.log)}.runtime' if suite.options.log else STATE / 'log'
        (STATE / 'runtime.conf').write_text(f'policies {suite.work}\nlog {log}\n')
        self.binds = self.make_root()
        if subprocess.run(['stat', '-fc', '%T', '/sys/fs/cgroup'], capture_output=True,
                          text=True, check=True).stdout.strip() != 'cgroup2fs':
            subprocess.run(['umount', '-R', '/sys/fs/cgroup'], check=True)
            subprocess.run(['mount', '-t', 'cgroup2', 'graft-escape', '/sys/fs/cgroup'], check=True)

    def make_root(self):
        """The root of all containers. Return: what is bound into it."""
        binds = [str(self.suite.work), '/usr:ro']
        for directory in ('proc', 'dev', 'tmp', 'usr'):
            (STATE / 'rootfs' / directory).mkdir(parents=True)
        for path in ('/bin', '/sbin', '/lib', '/lib64'):
            if os.path.islink(path):
                (STATE / f'rootfs{path}').symlink_to(os.readlink(path))
            elif os.path.isdir(path):
                binds.append(f'{path}:ro')
        return binds

    def template(self, config, caps):
        """Return: the text of a config.json, as the containers of @config have it."""
        if config.name in self.templates:
            return self.templates[config.name]
        words = [sys.executable, RUNTIME_TESTS / 'bundle.py', STATE, '--cgroup', '/',
                 '--seccomp', RUNTIME_TESTS / 'docker_profile.json', '--user', config.user]
        words += [word for bind in self.binds for word in ('--bind', bind)]
        words += [word for cap in caps for word in ('--cap', f'CAP_{cap}')]
        if not caps:
            words.append('--no-new-privileges')
        subprocess.run([str(word) for word in [*words, '--', '/none']], check=True)
        return self.templates.setdefault(config.name, (STATE / 'config.json').read_text())

    def make_bundle(self, name, policy, config, caps):
        """Return: its directory, and its config.json as an object."""
        bundle = STATE / name
        bundle.mkdir()
        content = json.loads(self.template(config, caps))
        content['root']['path'] = str(STATE / 'rootfs')
        content['linux']['cgroupsPath'] = f'/{self.mark}-{name}'
        content['annotations'] = {'graft.policy': f'{policy}.policy'}
        if config.has_shortcut:
            content['annotations']['graft.rule'] = 'shortcut on'
        return bundle, content

    def call(self, backend, *words):
        """Words that call our runtime, and their environment."""
        environment = {'PATH': os.environ['PATH'], 'GRAFT_RUNTIME_CONFIG': str(STATE / 'runtime.conf'),
                       'GRAFT_RUNTIME_STATE': str(STATE / 'state'), 'GRAFT_RUNTIME_BACKEND': backend}
        return [str(word) for word in (self.runtime, '--root', STATE / backend, *words)], environment

    def enclose(self, suite, policy, command, environment, config):
        name = f'c{self.n_started}'
        self.n_started += 1
        bundle, content = self.make_bundle(name, policy, config, () if config.is_executed else config.caps)
        process = content['process']
        process['env'] = [f'{key}={value}' for key, value in {**environment, 'ESCAPE_CONTAINED': '1'}.items()]
        process['cwd'] = str(suite.work)
        process['args'] = [str(word) for word in command]
        words = ['run', '--bundle', bundle, name]
        if config.is_executed:
            executed = json.dumps(process | {
                'capabilities': {kind: [f'CAP_{cap}' for cap in config.caps]
                                 for kind in ('bounding', 'effective', 'permitted')},
                'noNewPrivileges': False})
            (bundle / 'process.json').write_text(executed)
            process['args'] = [str(suite.escape), '--victim']
            words = ['exec', '--process', bundle / 'process.json', name]
        (bundle / 'config.json').write_text(json.dumps(content))
        self.entered = (name, config.backend)
        if config.is_executed:
            for first in (['create', '--bundle', bundle, name], ['start', name]):
                call, outer = self.call(config.backend, *first)
                subprocess.run(call, env=outer, check=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self.call(config.backend, *words)

    def started(self, process):
        self.of_process[process.pid] = self.entered

    def ended(self, process):
        """Nothing of the container that @process was started in is left."""
        name, backend = self.of_process.pop(process.pid, (None, None))
        if not name:
            return
        call, environment = self.call(backend, 'delete', '-f', name)
        subprocess.run(call, env=environment, capture_output=True, check=False)
        shutil.rmtree(STATE / name)

    def processes(self, *names):
        """Those of these names: we have a pid namespace of our own."""
        found = []
        for path in Path('/proc').glob('[0-9]*/comm'):
            try:
                if path.read_text().strip() in names:
                    found.append(int(path.parent.name))
            except OSError:
                pass
        return found

    def signal_supervisor(self, signal):
        for pid in self.processes('graft-container'):
            os.kill(pid, signal)

    def left(self):
        """What should not be there when all containers are gone; `delete` cleans up after supervisors
        that were killed."""
        call, environment = self.call('runc', 'delete', '-f', 'none')
        subprocess.run(call, env=environment, capture_output=True, check=False)
        deadline = time.monotonic() + 20
        while (found := self.find_left()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return found

    def find_left(self):
        found = [f'process {pid}' for pid in self.processes('graft-container', 'graft-netns')]
        found += [str(path) for path in (STATE / 'state').glob('*.[0-9]*') if path.is_socket()]
        found += [str(path) for path in Path('/sys/fs/cgroup').glob(f'{self.mark}*')]
        return found


NOBODY = 'a container is handed no descriptors'
CONTAINER_REMARKS = {
    'rights-inherited': ('skip', NOBODY),
    'io-uring-inherited': ('skip', NOBODY),
    'vsock': ('known open', 'the profile\'s to forbid'),
}

CONTAINERS = Containers(
    [Container('docker/narrow', 'narrow', 0, 'runc', DOCKER_CAPS, has_shortcut=True),
     Container('bare/wide', 'wide', USER, 'runc'),
     Container('exec/narrow', 'narrow', 0, 'crun', DOCKER_CAPS, is_executed=True)],
    CONTAINER_REMARKS, 'escapes-container')
