# SPDX-License-Identifier: GPL-2.0-or-later
"""The engines the attempts are made behind: how each is started, what its policies are,
and which attempts come to something else there than "held", each with its reason.
"""

USER = 54321
PORTS = (7700, 7701, 7703, 7711, 7799)  # that attempts ask for


class Config:
    """A column of the table: who the program is, behind which policy."""

    def __init__(self, name, policy, user, starter=None, become=(), is_judged=False):
        self.name = name
        self.policy = policy
        self.user = user
        self.starter = user if starter is None else starter  # of the engine
        self.become = list(become)  # words before the program
        self.is_judged = is_judged  # by the kernel, though notify makes the sockets


class Engine:
    unshare = ['--']  # more of the namespaces that the suite is in, and what is first there

    def __init__(self, words, policies, configs, remarks, marks):
        self.words = words
        self.policies = policies
        self.configs = configs
        self.remarks = remarks
        self.marks = [f'<!-- {marks}:{edge} -->' for edge in ('begin', 'end')]

    def prepare(self, suite):
        """Before the first of them."""

    def enclose(self, suite, policy, command, environment, config):
        """Return: @command behind @policy, and the environment to start it in."""
        return [suite.graft, 'run', *self.words, '--dns', 'none', '--policy',
                suite.work / f'{policy}.policy', '--', *config.become, *command], environment

    def started(self, process):
        """Of the command that enclose() returned last."""

    def ended(self, process):
        """The same, and it is over."""

    def left(self):
        """What should not be there in the end."""
        return []

    def serves(self, attempt):
        """Is @attempt made here at all?"""
        return True

    def takes_part(self, config, number):
        """Of the rows of the table, in that one?"""
        return True

    def remark(self, attempt, config):
        """(verdict, reason) where a touched canary is no failure, or it is not tried."""
        found = self.remarks.get(attempt.name)
        return found[:2] if found and (len(found) < 3 or config.name in found[2]) else (None, '')

    def is_aside(self, attempt, touched):
        """Is what was touched another attempt's matter?"""
        return False


class Notify(Engine):
    def serves(self, attempt):
        return 'cgroup' not in attempt.flags

    def remark(self, attempt, config):
        if 'granted' in attempt.flags or (config.is_judged and attempt.name in HANDED_IN):
            return 'granted', ''
        # what the kernel judges is the socket, whatever number it has: no race is left
        is_open = 'known' in attempt.flags and not (config.is_judged and 'race' in attempt.flags)
        return ('known open', '') if is_open else (None, '')


class Cgroup(Engine):
    def serves(self, attempt):
        return 'tcp-only' not in attempt.flags


    def is_aside(self, attempt, touched):
        """A port that `listen` took by itself after the one asked for was refused."""
        return touched.startswith('listener ') and int(touched.rsplit(':', 1)[1], 16) not in PORTS


def both(text, v4, v6):
    """@text for IPv4 and IPv6."""
    return text.format(v4) + '\n' + text.format(f'[{v6}]') + '\n'


DENY = both('connect any {} = deny', '10.77.0.66', 'fd77::66')
BIND = ''.join(f'bind any {address}:{port} = host\n' for port in (7710, 7711) for address in ('0.0.0.0', '[::]'))
UNIX = ('endpoint path unix /nonexistent\nendpoint name unix @graft-escape-nobody\n'
        + ''.join(f'connect any {address}:{port} = {name}\n' for port, name in ((7720, 'path'), (7721, 'name'))
                  for address in ('10.77.0.1', '[fd77::1]')))
NARROW = both('connect any {} = host', '10.77.0.0/24', 'fd77::/64')
WIDE = both('connect any {} = host', '0.0.0.0/0', '::/0')
LOOPBACK = both('connect any {} = host', '127.0.0.0/8', '::1')

NOTIFY_POLICIES = {
    'narrow': DENY + BIND + NARROW,
    'wide': DENY + BIND + WIDE,
    'tcp': (DENY + BIND + WIDE).replace('any', 'tcp'),
    'open': LOOPBACK + WIDE,
}
NOTIFY_POLICIES['judged'] = 'loopback own\n' + NOTIFY_POLICIES['wide']
NOTIFY_POLICIES |= {f'{name}-unix': UNIX + NOTIFY_POLICIES[name] for name in ('narrow', 'wide', 'judged')}
HANDED_IN = ('rights-helper', 'rights-run')  # judged by where they were made

# The stack is the host's: what no rule speaks of would be open.
NO_BIND = both('bind any {} = deny', '0.0.0.0/0', '::/0')
NO_CONNECT = both('connect any {} = deny', '0.0.0.0/0', '::/0')
CGROUP_POLICIES = {
    'narrow': DENY + BIND + NARROW + NO_BIND + NO_CONNECT,
    'wide': DENY + BIND + LOOPBACK.replace('host', 'deny') + WIDE + NO_BIND,
    'open': LOOPBACK + WIDE,
}


PATHS = ('connect unix WORK/paths/allowed = own\nconnect unix WORK/paths/allowed.log = own\n'
         'connect unix WORK/own/allowed = own\nconnect unix * = deny\n')
CGROUP_POLICIES |= {f'{name}-{kind}': rules + CGROUP_POLICIES[name] for name in ('narrow', 'wide')
                    for kind, rules in (('paths', PATHS), ('denies-path', 'connect unix WORK/paths/secret = deny\n'))}


def swapped(letter, led, port, denied, error, error_of_both):
    """One of two policies that replace each other; cgroup.c has them as a table."""
    policy = ''
    for family, own, form in (('ipv4', '10.77.0.1', '10.77.0.{}'), ('ipv6', '[fd77::1]', '[fd77::{}]')):
        policy += (f'endpoint {letter}-{family} {family} {own}:{port}\n'
                   f'connect any {form.format(led)} = {letter}-{family}\n'
                   f'connect any {form.format(denied)} = deny:{error}\n'
                   f'connect any {form.format(66)} = deny:{error_of_both}\n')
    return policy + CGROUP_POLICIES['narrow']


SWAPPED = ('swap-a', 'swap-b')
CGROUP_POLICIES |= {'swap-a': swapped('a', 81, 7704, 82, 'EHOSTDOWN', 'ENETDOWN'),
                    'swap-b': swapped('b', 82, 7705, 81, 'ENETDOWN', 'EHOSTDOWN')}

ROOT = ('root/narrow',)
BY_ROOT = ('bare/narrow', 'root/narrow')
UNJUDGED = 'this family is not judged'
LISTEN = 'no hook meets `listen` without `bind`: any free port of the host'
OUTSIDE = 'made outside: judged by where it was made, so a grant of whoever hands it in'
TRACED = 'a process outside of the same user is that user\'s: not a matter of cgroups'
CGROUP_REMARKS = {
    'listen': ('known open', LISTEN),
    'listen-refused': ('known open', LISTEN),
    'listen-disconnected': ('known open', LISTEN),
    'listen-again': ('known open', LISTEN),
    'rights-helper': ('granted', OUTSIDE),
    'rights-run': ('granted', OUTSIDE),
    'rights-inherited': ('granted', OUTSIDE),
    'ptrace': ('granted', TRACED),
    'process-memory': ('granted', TRACED),
    'process-descriptors': ('granted', TRACED),
    'process-files': ('granted', TRACED),
    'setuid': ('granted', 'the rights of users are the host\'s; what it runs is in the cgroup still'),
    'packet': ('known open', 'no hook meets AF_PACKET; it takes CAP_NET_RAW', ROOT),
    'unix-abstract': ('known open', 'AF_UNIX is not judged without rules on its paths'),
    'path-names': ('known open', 'a path is judged as it is written, not as it is found'),
    'path-link': ('granted', 'what is at an allowed path is whose directory it is in'),
    'path-mount': ('known open', 'who may make a user namespace has mounts of his own'),
    'vsock': ('known open', UNJUDGED),
    'cgroup-leave': ('granted', 'root may write cgroup.procs of any cgroup', BY_ROOT),
    'cgroup-born': ('granted', 'root may write cgroup.procs of any cgroup', BY_ROOT),
    'cgroup-detach': ('granted', 'CAP_SYS_ADMIN may', ROOT),
    'cgroup-map': ('granted', 'the pins are root\'s', BY_ROOT),
    'io-uring-outside': ('granted', 'the ring acts as its maker: a grant of whoever left it open'),
    'unix-endpoint': ('skip', 'such a policy is refused'),
    'clone3': ('skip', 'there is no table of descriptors to fool'),
}

AS_USER = ['setpriv', f'--reuid={USER}', f'--regid={USER}', '--clear-groups']
AS_BARE = ['setpriv', '--bounding-set=-all', '--inh-caps=-all']

ENGINES = {
    'notify': Notify(
        [], NOTIFY_POLICIES,
        [Config('user/narrow', 'narrow', USER), Config('user/wide', 'wide', USER), Config('user/tcp', 'tcp', USER),
         Config('root/narrow', 'narrow', 0), Config('root/wide', 'wide', 0),
         Config('root/judged', 'judged', 0, is_judged=True)],
        {}, 'escapes'),
    'cgroup': Cgroup(
        ['--engine', 'cgroup'], CGROUP_POLICIES,
        [Config('user/narrow', 'narrow', USER, 0, AS_USER), Config('user/wide', 'wide', USER, 0, AS_USER),
         Config('bare/narrow', 'narrow', 0, 0, AS_BARE), Config('root/narrow', 'narrow', 0)],
        CGROUP_REMARKS, 'escapes-cgroup'),
}
