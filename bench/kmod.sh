#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kmod.sh BUILD: bench/kmod.c in an emulated machine with each packaged kernel, and the
# table of docs/kmod.md. See tests/kmod/checks_speed.sh for what it must not fall behind.
set -eu
cd "$(dirname "$0")/.."
BUILD=$(realpath "${1-build}")
export BUILD COUNTED=yes ONLY=speed MEMORY=2048 PATIENCE=1800
export PROGRAMS=$BUILD/tests/kmod/kmod_bench
ROWS=$(mktemp)
trap 'rm -f "$ROWS"' EXIT

ninja -C "$BUILD" tests/kmod/kmod_bench >/dev/null
{
	echo
	echo "| kernel | bulk | round trip p50 (low is good) | connect, a byte each way, close | bind, 100,000 endpoints against 10 (low is good) | plain against itself |"
	echo "|---|---|---|---|---|---|"
} >"$ROWS"
awk '!/^#/ && NF { print $1 }' tests/kmod/kernels | while read -r name; do
	echo "measuring with Linux $name" >&2
	tests/kmod/test_kernel.sh "$name" </dev/null | awk '
		/^ok 1 - / { kernel = $4; sub(/:$/, "", kernel) }
		/^# speed / { got[$3] = $4; again = again (again ? ", " : "") $6 }
		/^not ok/ { print > "/dev/stderr" }
		END {
			sub(/, [^,]*$/, "", again)
			printf "| %s | %s | %s | %s | %s | %s |\n", kernel, got["bulk"],
				got["rr"], got["crr"], got["bind_100000"], again
		}' >>"$ROWS"
done
echo >>"$ROWS"
cat "$ROWS"
awk -v rows="$ROWS" '
	/^<!-- end of speed -->$/ {
		while ((getline line < rows) > 0)
			print line
		hidden = 0
	}
	!hidden { print }
	/^<!-- speed: / { hidden = 1 }' docs/kmod.md >docs/kmod.md.new
mv docs/kmod.md.new docs/kmod.md
