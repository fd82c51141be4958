#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs every attempt of `escape` natively and behind an engine of graft, and judges them.

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
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import canary
from container import CONTAINERS
from engines import ENGINES, SWAPPED, USER

ENGINES['container'] = CONTAINERS
HERE = Path(__file__).resolve().parent
DEADLINE = 60
EACH_SECONDS = 3600  # of one race, with --each
NATIVE_TRIES = 30000


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
        self.engine = ENGINES[options.engine]
        self.work = work
        self.escape = self.install(options.escape, 'escape')
        self.escape32 = self.install(options.escape32, 'escape32')
        self.graft = options.graft and self.install(options.graft, 'graft')
        if self.graft:
            self.engine.prepare(self)
        self.setuid = self.install(options.escape, 'escape-setuid')
        self.setuid.chmod(0o4755)
        for name, text in self.engine.policies.items():
            (work / f'{name}.policy').write_text(text.replace('WORK', str(work)))
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

    def start(self, command, uid, extra, policy=None, config=None, outside=()):
        """@policy, @config: grafted like that. @outside: words around it all."""
        environment = {
            'PATH': '/usr/sbin:/usr/bin:/sbin:/bin',
            'HOME': str(self.work),
            'XDG_RUNTIME_DIR': str(self.runtime[uid]),
            'ESCAPE_PROGRAM': str(self.escape),
            'ESCAPE_HELPER': str(self.canary.helper_path),
            'ESCAPE_SETUID': str(self.setuid),
            'ESCAPE_PATHS': str(self.work),
            **extra,
        }
        if self.options.full:
            environment['ESCAPE_FULL'] = '1'
        if self.options.each:
            environment['ESCAPE_SECONDS'] = str(EACH_SECONDS)
        if self.escape32:
            environment['ESCAPE_PROGRAM32'] = str(self.escape32)
        if config:
            command, environment = self.engine.enclose(self, policy, command, environment, config)
        process = subprocess.Popen(
            [str(word) for word in (*outside, *command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors='replace', bufsize=1, env=environment,
            cwd=self.work, start_new_session=True, user=uid, group=uid, extra_groups=[])
        if config:
            self.engine.started(process)
        return process

    def give(self, mode, way, uid, config):
        """A giver or taker of sockets, ready; natively an ordinary process."""
        path = self.runtime[config.user if config else uid] / 'giver'
        path.unlink(missing_ok=True)
        command = [self.escape, mode, path, way]
        giver = self.start(command, uid, {}, 'open', config)
        line = giver.stdout.readline()
        if line.strip() != 'ready':
            raise RuntimeError(f'{mode} did not start: {line.strip()}')
        return path, giver

    def run(self, attempt, way, uid, config=None, tries=NATIVE_TRIES):
        """Natively as @uid, or grafted as @config says."""
        command = [self.escape, '--tries', tries, attempt.name, way]
        extra = {'ESCAPE_VICTIM': str(self.victims[config.user if config else uid].pid)}
        giver, policy, outside = None, None, []
        if config:
            policy = self.first_policy(attempt, config)
            extra['ESCAPE_GRAFTED'] = '1'
        if 'inherit' in attempt.flags:
            outside = [self.escape, '--with-descriptors']
        if 'poller' in attempt.flags:
            outside = [self.escape, '--with-poller', *outside]
        for flag, mode in (('giver', '--give'), ('taker', '--take')):
            if flag not in attempt.flags:
                continue
            extra['ESCAPE_GIVER'], giver = self.give(mode, way, uid, config)
            extra['ESCAPE_GIVER'] = str(extra['ESCAPE_GIVER'])
        self.canary.start_watch()
        try:
            process = self.start(command, uid, extra, policy, config, outside)
            outcome = self.watch(process, config)
            self.engine.ended(process)
            return outcome
        finally:
            if giver:
                canary.end(giver)
                self.engine.ended(giver)

    def first_policy(self, attempt, config):
        if 'open' in attempt.flags:
            return 'open'
        kind = [flag for flag in ('unix', 'paths', 'denies-path') if flag in attempt.flags]
        return '-'.join([config.policy, *kind])

    def attach(self, policy, cgroup):
        subprocess.run([self.graft, 'attach', '--policy', self.work / f'{policy}.policy', cgroup],
                       capture_output=True, check=True)

    def swap(self, cgroup, process):
        """One policy for the other, until @process ends, and its cgroup with it."""
        for policy in itertools.cycle(SWAPPED):
            try:
                self.attach(policy, cgroup)
            except subprocess.CalledProcessError:
                process.wait()
                return

    def answer(self, line, process, config):
        """Does what an attempt asks for. Return: a thread to wait for, or None."""
        word, _, rest = line.partition(' ')
        swapper = None
        if word == 'check-listeners':
            self.canary.look_for_listeners(int(rest), bool(config and config.is_judged))
        elif word == 'replace':
            self.attach(config.policy, rest)
        elif word == 'signal-supervisor':
            self.engine.signal_supervisor(int(rest))
        elif word == 'swap':
            self.attach(SWAPPED[0], rest)
            swapper = threading.Thread(target=self.swap, args=(rest, process))
            swapper.start()
        else:
            return None
        try:
            process.stdin.write('\n')
            process.stdin.flush()
        except BrokenPipeError:
            pass
        return swapper

    def watch(self, process, config):
        output, swapper = [], None
        with canary.Deadline(process, DEADLINE + (EACH_SECONDS if self.options.each else 0)) as deadline:
            for line in process.stdout:
                line = line.rstrip('\n')
                output.append(line)
                if line.startswith('BREACH: '):
                    self.canary.touch(line)
                swapper = self.answer(line, process, config) or swapper
            status = process.wait()
        process.stdin.close()
        if swapper:
            swapper.join()
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


def judge_grafted(attempt, native, outcome, remark):
    """(cell, verdict)"""
    if outcome.touched:
        granted = 'datagram ' if 'tcp-only' in attempt.flags else 'client '
        if remark == 'granted' and ('granted' not in attempt.flags
                                    or all(name.startswith(granted) for name in outcome.touched)):
            return 'granted', 'granted'
        if remark == 'known open':
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
    if 'tcp-only' in attempt.flags:
        return config.policy == 'tcp'
    if config.policy == 'tcp' and not (way.startswith('tcp') and
                                       (attempt.flags & {'race'} or attempt.name.startswith('fastopen'))):
        return False
    if 'user' in attempt.flags and config.user == 0:
        return False
    return not ('narrow' in attempt.flags and config.policy != 'narrow')


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


def share_tries(rows, configs, options):
    """{is the address in memory: tries of one race}"""
    if options.each:
        return {True: options.each, False: options.each}
    tries = {}
    for is_in_memory, part in ((True, options.tries), (False, options.tries // 4)):
        n_races = sum('race' in a.flags and a.is_in_memory() == is_in_memory and fits(a, w, c)
                      for a, w in rows for c in configs)
        tries[is_in_memory] = -(-part // max(1, n_races))
    return tries


def run_rows(suite, rows, configs, options, log):
    """Yields (attempt, way, native cell, {config: cell}, verdict, tries, {config: verdict})."""
    tries = share_tries(rows, configs, options)
    for number, (attempt, way) in enumerate(rows):
        # four ways in a row are not to meet the same configurations each time
        number += number // 4
        native = run_native(suite, attempt, way, log)
        cell, verdict = judge_native(attempt, native)
        cells, verdicts, n_tries, by_config = {}, [verdict] if verdict else [], 0, {}
        for config in configs if suite.graft else []:
            if not fits(attempt, way, config):
                continue
            if not (options.full or options.config or suite.engine.takes_part(config, number)):
                continue
            remark, reason = suite.engine.remark(attempt, config)
            if remark == 'skip':
                cells[config.name] = 'n/a: ' + reason
                continue
            outcome = suite.run(attempt, way, config.starter, config, tries[attempt.is_in_memory()])
            report(log, attempt, way, config.name, outcome)
            if remark is None:
                outcome.touched = {name for name in outcome.touched if not suite.engine.is_aside(attempt, name)}
            if verdict == 'skip' and outcome.unsupported():
                cells[config.name] = 'n/a'
                continue
            cells[config.name], result = judge_grafted(attempt, native, outcome, remark)
            verdicts.append(result)
            by_config[config.name] = result
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


def docs_row(engine, attempt, rows):
    """@rows: (way, native cell, {config: verdict}) of one attempt."""
    ways = ' '.join(way for way, _, _ in rows if way != '-') or '-'
    natively = ', '.join(sorted({native.split(':')[0] for _, native, _ in rows}))
    cells, reasons = [], []
    for config in engine.configs:
        found = {verdicts[config.name] for _, _, verdicts in rows if config.name in verdicts}
        remark, reason = engine.remark(attempt, config)
        # what a race did not win this time is no less open
        if remark == 'known open' and found and 'FAIL' not in found:
            found = {'known open'}
        cells.append('n/a' if remark == 'skip' else SHORT.get(verdict_of(found), '-'))
        if cells[-1] in ('n/a', '**open**', 'granted') and reason not in reasons:
            reasons.append(reason)
    if engine.remarks:
        cells.append('; '.join(reasons))
    return f'| `{attempt.name}` | {attempt.what} | {ways} | {natively} | ' + ' | '.join(cells) + ' |'


def docs_table(engine, results):
    folded = {}
    for attempt, way, native, _, _, _, verdicts in results:
        folded.setdefault(attempt.name, (attempt, []))[1].append((way, native, verdicts))
    columns = ['attempt', 'what is tried', 'over', 'natively', *(config.name for config in engine.configs)]
    columns += ['why'] if engine.remarks else []
    lines = ['| ' + ' | '.join(columns) + ' |', '|---' * len(columns) + '|']
    return '\n'.join(lines + [docs_row(engine, *row) for row in folded.values()])


def write_docs(path, engine, results):
    text = Path(path).read_text()
    begin, end = (text.find(mark) for mark in engine.marks)
    if begin < 0 or end < begin:
        sys.exit(f'{path}: no {engine.marks[0]} and {engine.marks[1]}')
    Path(path).write_text(text[:begin + len(engine.marks[0])] + '\n' + docs_table(engine, results) + '\n' + text[end:])


def options_parse():
    parser = argparse.ArgumentParser(description='try to escape from graft run')
    parser.add_argument('--graft', help='the graft program; without it only the native half runs')
    parser.add_argument('--runtime', help='graft-runtime, for the engine "container"')
    parser.add_argument('--escape', required=True, help='the attempts')
    parser.add_argument('--escape32', help='the same, built for 32 bits')
    parser.add_argument('--only', default='', help='a regular expression over "NAME WAY"')
    parser.add_argument('--config', action='append', help='a column of the table')
    parser.add_argument('--engine', choices=sorted(ENGINES), default='notify', help='what they are made behind')
    parser.add_argument('--tries', type=int, default=1000000, help='of all races over addresses in memory together; '
                        'those over descriptor tables get a quarter as many')
    parser.add_argument('--each', type=int, help='tries of each race instead, however long it takes')
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
            rows = [(a, w) for a in attempts if suite.engine.serves(a)
                    for w in a.ways if re.search(options.only, f'{a.name} {w}')]
            configs = [c for c in suite.engine.configs if not options.config or c.name in options.config]
            for result in run_rows(suite, rows, configs, options, log):
                attempt, way, native, cells, verdict = result[:5]
                print(f'{verdict:<11}{attempt.name:<25}{way:<5} native {native}; grafted {shorten(cells)}', flush=True)
                results.append(result)
            left = suite.engine.left()
        finally:
            suite.close()
    # again, where whoever reads the end of a log finds them
    for attempt, way, native, cells, verdict, *_ in results:
        if verdict == 'FAIL':
            print(f'FAILED: {attempt.name} {way}: native {native}; grafted {cells}')
    counts = {v: sum(r[4] == v for r in results) for v in ('held', 'known open', 'granted', 'skip', 'FAIL')}
    print(f"escape: {len(results)} attempts: {counts['held']} held, {counts['known open']} known open, {counts['granted']} granted, "
          f"{counts['skip']} not possible here, {counts['FAIL']} failed; {sum(r[5] for r in results)} tries raced, "
          f"{sum(r[5] for r in results if r[0].is_in_memory())} of them over addresses in memory"
          + ('' if suite.graft else ' (native half only)'))
    if options.write_docs:
        write_docs(options.write_docs, suite.engine, results)
    if left:
        print(f'FAILED: left behind: {left}')
    return 1 if counts['FAIL'] or not results or left else 0


def main():
    options = options_parse()
    if os.geteuid() != 0:
        print('skipped: needs root to make the host namespace')
        return 77
    if options.graft and not os.access(options.graft, os.X_OK):
        print(f'{options.graft}: cannot execute')
        return 2
    if not options.inside:
        more = ENGINES[options.engine].unshare
        os.execvp('unshare', ['unshare', '--net', '--mount', *more, sys.executable, __file__, '--inside', *sys.argv[1:]])
    return main_inside(options)


if __name__ == '__main__':
    sys.exit(main())
