#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: congestion.sh NAME [PROGRAM [ARG...]]
#
# Makes NAME the TCP congestion control of the network namespace it runs in, then becomes
# PROGRAM. The default of a namespace can only be set to what the host allows everybody
# (tcp_allowed_congestion_control, which is the host's to set); where it refuses, each route
# gets the attribute instead, which decides at connect and accept.
name=$1
shift
knob=/proc/sys/net/ipv4/tcp_congestion_control

by_route() {
	for table in local main; do
		ip -4 route show table "$table" | sed '/^broadcast/d; s/ linkdown//' |
		while read -r route; do
			# shellcheck disable=SC2086 # the words of a route are arguments
			ip route replace table "$table" $route congctl "$name" || exit 1
		done || return 1
	done
}

if [ "$(cat $knob)" != "$name" ]; then
	{ echo "$name" >$knob; } 2>/dev/null || by_route || exit 1
fi
[ $# = 0 ] || exec "$@"
