#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The cases of cases.py behind `graft run --engine cgroup`: as root, and as a user that root
# starts in it.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] || skip "needs root"

CASES=$T/bin/cases.py
cp "$SOURCE_DIR/tests/cgroup/cases.py" "$CASES"
chmod 755 "$CASES"
for name in $("$PYTHON" "$CASES" --list); do
	"$PYTHON" "$CASES" --policy "$name" >"$T/$name.conf"
	check "root: $name" "$GRAFT" run --engine cgroup --policy "$T/$name.conf" -- \
		"$PYTHON" "$CASES" "$name"
	"$PYTHON" "$CASES" --user "$name" || continue
	check "user: $name" "$GRAFT" run --engine cgroup --policy "$T/$name.conf" -- \
		setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all \
		--inh-caps -all "$PYTHON" "$CASES" "$name"
done
finish
