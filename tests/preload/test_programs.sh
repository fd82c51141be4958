#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The programs of tests/net with libgraft-hijack.so and graftd, not `graft run`, with one,
# two and three hops between: each is one more fork and two more executions. Each line is
# one script of tests/net with all of its checks.
. "$(dirname "$0")/../lib.sh"
NET=$LIB_DIR/net
EVERY='nginx haproxy redis memcached asyncio postgres unix_endpoint'
# Long, so with most hops only.
LAST='openssh iperf3'

one() # HOPS NAME
{
	local output status n
	output=$(HOPS=$1 ENGINE=graftd "$BASH" "$NET/test_$2.sh" 2>&1)
	status=$?
	n=$(grep -c '^ok' <<<"$output")
	if [ $status = 77 ]; then
		skip_point "$2, $1 hops" "${output##*SKIP }"
	elif [ $status = 0 ]; then
		ok "$2, $1 hops: $n checks"
	else
		not_ok "$2, $1 hops" "$(grep -A 12 '^not ok' <<<"$output" | head -n 40)"
	fi
}

if [ "$(id -u)" != 0 ]; then
	skip "graftd needs root here"
fi
for hops in 1 2 3; do
	for name in $EVERY; do
		one $hops "$name"
	done
done
for name in $LAST; do
	one 3 "$name"
done
finish
