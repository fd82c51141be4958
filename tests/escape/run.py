#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs every attempt of `escape` natively and inside `graft run`, and judges them.

    +-- "host": a network namespace made for this run ----------------------------+
    |  10.77.0.1  fd77::1   7700 service (allowed)                                |
    |  10.77.0.66 fd77::66  7701 canary (denied by a rule)                        |
    |  127.0.0.1 127.1.2.3 ::1 ... 7701 canary (no rule opens it)                 |
    |                                                                             |
    |  graft run --policy P -- escape ATTEMPT WAY                                 |
    +-----------------------------------------------------------------------------+

A row passes when the attempt touches a canary natively (so it is real), touches none
grafted, and reaches the allowed service grafted before and after (so it is not held by
everything being broken). Exit status: 0, 1 some row failed, 2 misuse, 77 skipped.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import canary

HERE = Path(__file__).resolve().parent
USER = 54321
DEADLINE = 60
NATIVE_TRIES = 30000
MARKS = ('<!-- escapes:begin -->', '<!-- escapes:end -->')

DENY = 'connect any 10.77.0.66 = deny\nconnect any [fd77::66] = deny\n'
BIND = ''.join(f'bind any {address}:{port} = host\n' for port in (7710, 7711) for address in ('0.0.0.0', '[::]'))
UNIX = ('endpoint path unix /nonexistent\nendpoint name unix @graft-escape-nobody\n'
        + ''.join(f'connect any {address}:{port} = {name}\n' for port, name in ((7720, 'path'), (7721, 'name'))
                  for address in ('10.77.0.1', '[fd77::1]')))
POLICIES = {
    'narrow': DENY + BIND + 'connect any 10.77.0.0/24 = host\nconnect any [fd77::/64] = host\n',
    'wide': DENY + BIND + 'connect any 0.0.0.0/0 = host\nconnect any [::/0] = host\n',
    'tcp': (DENY + BIND).replace('any', 'tcp')
    + 'connect tcp 0.0.0.0/0 = host\nconnect tcp [::/0] = host\n',
    'open': 'connect any 127.0.0.0/8 = host\nconnect any [::1] = host\n'
    'connect any 0.0.0.0/0 = host\nconnect any [::/0] = host\n',
}
POLICIES |= {f'{name}-unix': UNIX + POLICIES[name] for name in ('narrow', 'wide')}
# column, user id, policy
CONFIGS = [
    ('user/narrow', USER, 'narrow'),
    ('user/wide', USER, 'wide'),
    ('user/tcp', USER, 'tcp'),
    ('root/narrow', 0, 'narrow'),
    ('root/wide', 0, 'wide'),
]


class Attempt:
    def __init__(self, line):
        self.name, ways, flags, self.what = line.split('\t')
        self.ways = ways.split()
        self.flags = set(flags.split())

    def is_in_memory(self):
        """A race over memory, not over the table of descriptors?"""
        return self.name.startswith('race-')


class Outcome:
    """What one run of one attempt came to."""

    def __init__(self, output, status, touched, timed_out):
        self.output = output
        self.status = status
        self.touched = touched
        self.timed_out = timed_out

    def lines(self, prefix):
        return [line for line in self.output if line.startswith(prefix)]

    def unsupported(self):
        found = self.lines('unsupported: ')
        return found[0][len('unsupported: '):] if found else None

    def tries(self):
        return sum(int(line.split()[1]) for line in self.lines('tries: '))

    def last(self):
        results = [line for line in self.output if ' -> ' in line]
        return results[-1].rsplit(' -> ', 1)[1] if results else ''


class Suite:
    def __init__(self, options, work):
        self.options = options
        self.work = work
        self.escape = self.install(options.escape, 'escape')
        self.escape32 = self.install(options.escape32, 'escape32')
        self.graft = options.graft and self.install(options.graft, 'graft')
        self.setuid = self.install(options.escape, 'escape-setuid')
        self.setuid.chmod(0o4755)
        for name, text in POLICIES.items():
            (work / f'{name}.policy').write_text(text)
        self.runtime = {}
        for uid in (USER, 0):
            self.runtime[uid] = work / f'user-{uid}'
            self.runtime[uid].mkdir(mode=0o700)
            os.chown(self.runtime[uid], uid, uid)
        self.canary = canary.Canary(work)
        self.victims = {uid: self.start([self.escape, '--victim'], uid, {}) for uid in (USER, 0)}
        for victim in self.victims.values():
            victim.stdout.readline()

    def install(self, path, name):
        if not path:
            return None
        copy = self.work / name
        shutil.copy(path, copy)
        copy.chmod(0o755)
        return copy

    def close(self):
        for victim in self.victims.values():
            victim.kill()
            victim.wait()
        self.canary.close()

    def start(self, command, uid, extra):
        environment = {
            'PATH': '/usr/sbin:/usr/bin:/sbin:/bin',
            'HOME': str(self.work),
            'XDG_RUNTIME_DIR': str(self.runtime[uid]),
            'ESCAPE_PROGRAM': str(self.escape),
            'ESCAPE_HELPER': str(self.canary.helper_path),
            'ESCAPE_SETUID': str(self.setuid),
            **extra,
        }
        if self.options.full:
            environment['ESCAPE_FULL'] = '1'
        if self.escape32:
            environment['ESCAPE_PROGRAM32'] = str(self.escape32)
        return subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors='replace', bufsize=1, env=environment,
            cwd=self.work, start_new_session=True, user=uid, group=uid, extra_groups=[])

    def grafted(self, policy, command):
        return [self.graft, 'run', '--dns', 'none', '--policy', self.work / f'{policy}.policy',
                '--', *command]

    def give(self, way, uid, graft):
        """A giver of sockets, ready; natively an ordinary process."""
        path = self.runtime[uid] / 'giver'
        path.unlink(missing_ok=True)
        command = [self.escape, '--give', path, way]
        giver = self.start(self.grafted('open', command) if graft else command, uid, {})
        line = giver.stdout.readline()
        if line.strip() != 'ready':
            raise RuntimeError(f'the giver did not start: {line.strip()}')
        return path, giver

    def run(self, attempt, way, uid, policy=None, tries=NATIVE_TRIES):
        command = [self.escape, '--tries', tries, attempt.name, way]
        extra = {'ESCAPE_VICTIM': str(self.victims[uid].pid)}
        giver = None
        if policy:
            command = self.grafted(policy + ('-unix' if 'unix' in attempt.flags else ''), command)
            extra['ESCAPE_GRAFTED'] = '1'
        if 'inherit' in attempt.flags:
            command = [self.escape, '--with-descriptors', *command]
        if 'giver' in attempt.flags:
            extra['ESCAPE_GIVER'], giver = self.give(way, uid, policy is not None)
            extra['ESCAPE_GIVER'] = str(extra['ESCAPE_GIVER'])
        self.canary.start_watch()
        try:
            return self.watch(self.start(command, uid, extra))
        finally:
            if giver:
                canary.end(giver)

    def watch(self, process):
        output = []
        with canary.Deadline(process, DEADLINE) as deadline:
            for line in process.stdout:
                line = line.rstrip('\n')
                output.append(line)
                if line.startswith('BREACH: '):
                    self.canary.touch(line)
                if line.startswith('check-listeners '):
                    self.canary.look_for_listeners(int(line.split()[1]))
                    try:
                        process.stdin.write('\n')
                        process.stdin.flush()
                    except BrokenPipeError:
                        pass
            status = process.wait()
        process.stdin.close()
        return Outcome(output, status, self.canary.end_watch(), deadline.passed)


def judge_native(attempt, outcome):
    """(cell, verdict or None)"""
    if outcome.unsupported():
        return f'n/a: {outcome.unsupported()}', 'skip'
    if outcome.timed_out:
        return 'hangs', 'FAIL'
    if 'compares' in attempt.flags:
        return 'compared', None
    if not outcome.touched:
        return f'NOT REAL ({outcome.last()}, status {outcome.status})', 'FAIL'
    return 'reached', None


def judge_grafted(attempt, native, outcome):
    """(cell, verdict)"""
    if outcome.touched:
        granted = 'datagram ' if 'tcp-only' in attempt.flags else 'client '
        if 'granted' in attempt.flags and all(name.startswith(granted) for name in outcome.touched):
            return 'granted', 'granted'
        if 'known' in attempt.flags:
            return 'open', 'known open'
        return 'ESCAPED: ' + ', '.join(sorted(outcome.touched)), 'FAIL'
    if outcome.timed_out:
        return 'HANGS', 'FAIL'
    if 'allowed: answers' not in outcome.output:
        return f'allowed NOT reached (status {outcome.status})', 'FAIL'
    if outcome.status == 4:
        return 'allowed NOT reached afterwards', 'FAIL'
    if outcome.status != 0 and 'ends' not in attempt.flags:
        return f'ended with {outcome.status}', 'FAIL'
    if 'compares' in attempt.flags:
        there, here = native.lines('errno '), outcome.lines('errno ')
        differ = [f'{b[6:]} (native {a.split()[-1]})' for a, b in zip(there, here) if a != b]
        if differ or len(there) != len(here):
            return 'DIFFERS: ' + ('; '.join(differ) or 'ended early'), 'FAIL'
        return 'same errno', 'held'
    return ('held ' + outcome.last()).strip(), 'held'


def fits(attempt, way, config):
    name, uid, policy = config
    if 'tcp-only' in attempt.flags:
        return policy == 'tcp'
    if policy == 'tcp' and not (way.startswith('tcp') and
                                (attempt.flags & {'race'} or attempt.name.startswith('fastopen'))):
        return False
    if 'user' in attempt.flags and uid == 0:
        return False
    return not ('narrow' in attempt.flags and policy != 'narrow')


def verdict_of(verdicts):
    for verdict in ('FAIL', 'known open', 'granted', 'held'):
        if verdict in verdicts:
            return verdict
    return 'skip'


def report(log, attempt, way, where, outcome):
    if log:
        log.write(f'== {attempt.name} {way} {where}: status {outcome.status}, '
                  f'touched {sorted(outcome.touched)}\n')
        log.writelines(line + '\n' for line in outcome.output[:400])
        log.flush()


def run_native(suite, attempt, way, log):
    """A race may need more than one go to be won."""
    for factor in (1, 10, 30) if 'race' in attempt.flags else (1,):
        native = suite.run(attempt, way, 0 if 'root' in attempt.flags else USER,
                           tries=factor * NATIVE_TRIES)
        report(log, attempt, way, 'native', native)
        if native.touched or native.unsupported():
            break
    return native


def share_tries(rows, configs, total):
    """{is the address in memory: tries of one race}"""
    tries = {}
    for is_in_memory, part in ((True, total), (False, total // 4)):
        n_races = sum('race' in a.flags and a.is_in_memory() == is_in_memory and fits(a, w, c)
                      for a, w in rows for c in configs)
        tries[is_in_memory] = -(-part // max(1, n_races))
    return tries


def run_rows(suite, rows, configs, options, log):
    """Yields (attempt, way, native cell, {config: cell}, verdict, tries, {config: verdict})."""
    tries = share_tries(rows, configs, options.tries)
    for attempt, way in rows:
        native = run_native(suite, attempt, way, log)
        cell, verdict = judge_native(attempt, native)
        cells, verdicts, n_tries, by_config = {}, [verdict] if verdict else [], 0, {}
        for config in configs if suite.graft else []:
            if not fits(attempt, way, config):
                continue
            outcome = suite.run(attempt, way, config[1], config[2], tries[attempt.is_in_memory()])
            report(log, attempt, way, config[0], outcome)
            if verdict == 'skip' and outcome.unsupported():
                cells[config[0]] = 'n/a'
                continue
            cells[config[0]], result = judge_grafted(attempt, native, outcome)
            verdicts.append(result)
            by_config[config[0]] = result
            n_tries += outcome.tries()
        if not suite.graft and not verdict:
            verdicts.append('held')
        yield attempt, way, cell, cells, verdict_of(verdicts), n_tries, by_config


def shorten(cells):
    """One cell when all configurations agree, else each with its name."""
    if not cells:
        return '-'
    if len(set(cells.values())) == 1:
        return next(iter(cells.values()))
    if all(cell.startswith('held') for cell in cells.values()):
        return 'held ' + '/'.join(sorted({cell[5:] for cell in cells.values() if cell[5:]}))
    return '; '.join(f'{name}: {cell}' for name, cell in cells.items())


SHORT = {'held': 'held', 'known open': '**open**', 'granted': 'granted', 'FAIL': '**ESCAPED**'}


def docs_row(attempt, rows):
    """@rows: (way, native cell, {config: verdict}) of one attempt."""
    ways = ' '.join(way for way, _, _ in rows if way != '-') or '-'
    natively = ', '.join(sorted({native.split(':')[0] for _, native, _ in rows}))
    cells = []
    for config, _, _ in CONFIGS:
        found = {verdicts[config] for _, _, verdicts in rows if config in verdicts}
        # what a race did not win this time is no less open
        if 'known' in attempt.flags and found and 'FAIL' not in found:
            found = {'known open'}
        cells.append(SHORT.get(verdict_of(found), '-'))
    return f'| `{attempt.name}` | {attempt.what} | {ways} | {natively} | ' + ' | '.join(cells) + ' |'


def docs_table(results):
    folded = {}
    for attempt, way, native, _, _, _, verdicts in results:
        folded.setdefault(attempt.name, (attempt, []))[1].append((way, native, verdicts))
    columns = ['attempt', 'what is tried', 'over', 'natively', *(config[0] for config in CONFIGS)]
    lines = ['| ' + ' | '.join(columns) + ' |', '|---' * len(columns) + '|']
    return '\n'.join(lines + [docs_row(*row) for row in folded.values()])


def write_docs(path, results):
    text = Path(path).read_text()
    begin, end = text.find(MARKS[0]), text.find(MARKS[1])
    if begin < 0 or end < begin:
        sys.exit(f'{path}: no {MARKS[0]} and {MARKS[1]}')
    Path(path).write_text(text[:begin + len(MARKS[0])] + '\n' + docs_table(results) + '\n' + text[end:])


def options_parse():
    parser = argparse.ArgumentParser(description='try to escape from graft run')
    parser.add_argument('--graft', help='the graft program; without it only the native half runs')
    parser.add_argument('--escape', required=True, help='the attempts')
    parser.add_argument('--escape32', help='the same, built for 32 bits')
    parser.add_argument('--only', default='', help='a regular expression over "NAME WAY"')
    parser.add_argument('--config', action='append', help='one of ' + ' '.join(c[0] for c in CONFIGS))
    parser.add_argument('--tries', type=int, default=1000000, help='of all races over addresses in memory together; '
                        'those over descriptor tables get a quarter as many')
    parser.add_argument('--full', action='store_true', help='big floods')
    parser.add_argument('--log', help='what every call of every attempt returned')
    parser.add_argument('--write-docs', metavar='FILE', help='put the table between its markers')
    parser.add_argument('--inside', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args()


def main_inside(options):
    os.umask(0o022)  # attempts run as a user too, who must read what is made here
    log = open(options.log, 'w') if options.log else None
    results = []
    canary.host_make()
    with tempfile.TemporaryDirectory(prefix='graft-escape-') as directory:
        work = Path(directory)
        work.chmod(0o755)
        suite = Suite(options, work)
        try:
            listing = subprocess.run([suite.escape, '--list'], capture_output=True, text=True, check=True)
            attempts = [Attempt(line) for line in listing.stdout.splitlines()]
            rows = [(a, w) for a in attempts for w in a.ways if re.search(options.only, f'{a.name} {w}')]
            configs = [c for c in CONFIGS if not options.config or c[0] in options.config]
            for result in run_rows(suite, rows, configs, options, log):
                attempt, way, native, cells, verdict = result[:5]
                print(f'{verdict:<11}{attempt.name:<25}{way:<5} native {native}; grafted {shorten(cells)}', flush=True)
                results.append(result)
        finally:
            suite.close()
    counts = {v: sum(r[4] == v for r in results) for v in ('held', 'known open', 'granted', 'skip', 'FAIL')}
    print(f"escape: {len(results)} attempts: {counts['held']} held, {counts['known open']} known open, {counts['granted']} granted, "
          f"{counts['skip']} not possible here, {counts['FAIL']} failed; {sum(r[5] for r in results)} tries raced, "
          f"{sum(r[5] for r in results if r[0].is_in_memory())} of them over addresses in memory"
          + ('' if suite.graft else ' (native half only)'))
    if options.write_docs:
        write_docs(options.write_docs, results)
    return 1 if counts['FAIL'] or not results else 0


def main():
    options = options_parse()
    if os.geteuid() != 0:
        print('skipped: needs root to make the host namespace')
        return 77
    if options.graft and not os.access(options.graft, os.X_OK):
        print(f'{options.graft}: cannot execute')
        return 2
    if not options.inside:
        os.execvp('unshare', ['unshare', '--net', '--mount', '--', sys.executable, __file__, '--inside', *sys.argv[1:]])
    return main_inside(options)


if __name__ == '__main__':
    sys.exit(main())
