#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# netns.sh PROGRAM [ARGUMENT...]: in a network namespace just made, sets up what the cases
# take for the host, then becomes PROGRAM.
#
#	lo      127.0.0.1/8  ::1
#	veth77  10.77.0.1/24  fd77::1/64  fe80::77/64   (its peer, veth78, is beside it)
set -eu

ip link set lo up
ip link add veth77 index 77 type veth peer name veth78 index 78
# No address of the kernel's own: its duplicate detection would go on beside the cases.
ip link set veth77 addrgenmode none
ip link set veth78 addrgenmode none
ip addr add 10.77.0.1/24 broadcast 10.77.0.255 dev veth77
ip addr add fd77::1/64 dev veth77 nodad
ip addr add fe80::77/64 dev veth77 nodad
ip link set veth77 up
ip link set veth78 up
echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range
exec "$@"
