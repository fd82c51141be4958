#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What graft-runtime adds to the start of a container: `run` of a program that ends at once,
# by the backend alone, by graft-runtime without a policy, with one, and with one that says
# `shortcut on`, in turn. Prints the median of each in milliseconds, and of the differences
# round by round. Root.
#
#	bench/container_start.sh [ROUNDS]		BACKEND=runc
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib_container.sh"
BACKEND=${BACKEND-runc}
ROUNDS=${1-40}
enter_host "$@"
need_containers

bundle plain --seccomp "$PROFILE" -- /inside exit 0
bundle policy --seccomp "$PROFILE" --annotation "graft.publish=$HOST4:8080:80" \
	--annotation 'graft.rule.1=connect any 0.0.0.0/0 = host' -- /inside exit 0
bundle short --seccomp "$PROFILE" --annotation "graft.publish=$HOST4:8080:80" \
	--annotation 'graft.rule.1=connect any 0.0.0.0/0 = host' \
	--annotation 'graft.rule.2=shortcut on' -- /inside exit 0
touch "$T/backend" "$T/none" "$T/with" "$T/short-times"

# timed FILE COMMAND...: its microseconds go into the file.
timed()
{
	local file=$1 start=${EPOCHREALTIME/[.,]/}
	shift
	"$@" >/dev/null 2>&1 || die "failed: $*"
	echo $((${EPOCHREALTIME/[.,]/} - start)) >>"$file"
}

for ((i = 0; i <= ROUNDS; i++)); do
	timed "$T/backend" "$BACKEND" --root "$T/root" run --bundle "$T/plain" "a$i"
	timed "$T/none" "$RUNTIME" --root "$T/root" run --bundle "$T/plain" "b$i"
	timed "$T/with" "$RUNTIME" --root "$T/root" run --bundle "$T/policy" "c$i"
	within 10 nothing_left || die "something was left"
	timed "$T/short-times" "$RUNTIME" --root "$T/root" run --bundle "$T/short" "d$i"
	within 10 nothing_left || die "something was left"
done

"$PYTHON" - "$T/backend" "$T/none" "$T/with" "$T/short-times" <<'END'
import statistics
import sys

# The first round fills caches.
backend, none, policy, short = (
    [int(line) / 1000 for line in open(name, encoding="ascii")][1:] for name in sys.argv[1:]
)
print(f"rounds {len(backend)}")
for name, values in (("backend", backend), ("no policy", none), ("policy", policy),
                     ("shortcut", short)):
    above = statistics.median(v - b for v, b in zip(values, backend))
    print(f"{name:10} median {statistics.median(values):6.1f} ms, above the backend {above:+5.1f}")
END
