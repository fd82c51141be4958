#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The cases of again.py: what is kept of a socket's last call.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] || skip "needs root"

# shellcheck source=tests/lib_cgroup.sh
. "$LIB_DIR/lib_cgroup.sh"
AGAIN=$SOURCE_DIR/tests/cgroup/again.py
for name in $("$PYTHON" "$AGAIN" --list); do
	mkdir "$TOP/$name"
	check "$name" "$PYTHON" "$AGAIN" "$GRAFT" "$TOP/$name" /sys/fs/bpf "$name"
done
finish
