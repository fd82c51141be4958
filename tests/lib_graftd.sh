# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the scripts that need graftd and libgraft-hijack.so share, on top of lib.sh:
#
#	"the host"		made by enter_host; graftd runs here, on /run/graft
#	+-- "box"		a container's network namespace: lo, nothing else; in_box
#
# Environment: GRAFTD, HIJACK: the daemon and the library (default: those of build/).
[ -n "${LIB_DIR-}" ] || . "${BASH_SOURCE[0]%/*}/lib.sh"

STATE=/run/graft
IP_SHIM=${IP_SHIM-$SOURCE_DIR/build/src/ctl/ip}
BUILT=${BUILT-$SOURCE_DIR/build/tests/graftd}
BROKER=$STATE/graftd.sock
PRELOADED=()

# need_graftd: after enter_host. Copies what an ordinary user must be able to read.
need_graftd()
{
	local file
	need_engine
	[ "$GRAFT_TEST_CAPABLE" = root ] || skip "graftd needs root here"
	GRAFTD=${GRAFTD-$SOURCE_DIR/build/src/broker/graftd}
	HIJACK=${HIJACK-$SOURCE_DIR/build/src/intercept/libgraft-hijack.so}
	for file in "$GRAFTD" "$HIJACK"; do
		[ -e "$file" ] || die "no $file; build it"
		cp "$file" "$T/bin/" || die "cannot copy $file"
	done
	for file in "${GRAFTD%/*}/graft-holder" "${HOLDER-}"; do
		[ ! -x "$file" ] || cp "$file" "$T/bin/"
	done
	# in_box NAME COMMAND...: only the network is another one. A program, not a function:
	# what is started in the background must be what gets the signals.
	# shellcheck disable=SC2016
	printf '#!/bin/sh\nbox=$1\nshift\nexec nsenter --net="/run/netns/$box" -- "$@"\n' \
		>"$T/bin/in_box"
	chmod 755 "$T"/bin/*
	GRAFTD=$T/bin/graftd
	HIJACK=$T/bin/libgraft-hijack.so
	PATH=$T/bin:$PATH
	: >"$T/graftd.conf"
	# No connection of one case is in the way of the next one's port.
	echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets
}

# start_graftd [OPTION...]: with $T/graftd.conf, until it answers.
start_graftd()
{
	spawn graftd "$GRAFTD" --foreground --config "$T/graftd.conf" "$@"
	await graftd answers || {
		dump_logs
		die "graftd does not come up"
	}
}

answers()
{
	"$GRAFT" show >/dev/null
}

make_box() # NAME...: namespaces with lo up, under /run/netns
{
	local name
	for name; do
		ip netns add "$name" || die "cannot make the namespace $name"
		ip -n "$name" link set lo up
		ip netns exec "$name" sh -c \
			'echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets'
	done
}

# preload [VARIABLE=VALUE...] -- PROGRAM... -> CMD: as $WHO (root without), with the
# library.
preload()
{
	local variables=()
	while [ "$1" != -- ]; do
		variables+=("$1")
		shift
	done
	shift
	identity "${WHO-root}"
	CMD=("${IDENTITY[@]}" env "LD_PRELOAD=$HIJACK" "${variables[@]}" "$@")
}

# The names of errors that a C program prints as numbers are not portable; Python's are.
limited() # COMMAND...: with the time limit
{
	timeout -k 2 "$LIMIT" "$@"
}
