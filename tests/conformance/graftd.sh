#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# graftd.sh HERE PROGRAM [ARGUMENT...]: starts graftd in what the cases take for the host,
# then PROGRAM in a network namespace beside it, for which everything of the host is there
# to be asked for. HERE holds graftd.
#
# All of it is in a pid namespace, so that nothing is left when it is killed.
set -eu

if [ -z "${GRAFTD_INSIDE-}" ]; then
	export GRAFTD_INSIDE=1
	exec unshare --pid --fork --kill-child --mount --mount-proc -- sh "$0" "$@"
fi
here=$1
shift
state=$(mktemp -d "$here/graftd.XXXXXX")
chmod 755 "$state"
echo 'stack host owner any' >"$state/conf"
mkfifo "$state/ready"
"$here/graftd" --foreground --socket "$state/sock" --state "$state" \
	--config "$state/conf" >"$state/ready" 2>"$state/log" &
graftd=$!
if ! read -r _ <"$state/ready"; then
	cat "$state/log" >&2
	exit 1
fi
export GRAFT_SOCKET="$state/sock"
# shellcheck disable=SC2016  # it is for the shell inside
unshare --net sh -c 'ip link set lo up
	echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range
	exec "$@"' sh "$@" || status=$?
kill "$graftd"
wait "$graftd" || cat "$state/log" >&2
exit "${status-0}"
