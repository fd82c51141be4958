# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# ENGINE=graftd for the scripts of tests/net: a program runs with libgraft-hijack.so in a
# network namespace of its own, without `graft run`; its endpoints are graftd's, its rules
# are in GRAFT_POLICY. Sourced by lib.sh.
#
# HOPS in the environment: how many times a program forks and executes another before the
# one that matters (0).
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib_graftd.sh"
HOPS=${HOPS-0}
POLICIES=0

# One fork and two executions; signals and the status go through.
HOP=(timeout --foreground --kill-after=5 600 sh -c "exec env HOP=1 \"\$@\"" hop)

prepare_engine_graftd()
{
	need_graftd
	echo 'stack host owner any' >"$T/graftd.conf"
	start_graftd
	# It stays when a script stops everything; the pid namespace ends it.
	unset 'PID_OF[graftd]'
	cat >"$T/bin/own_network" <<'END'
#!/bin/sh
# own_network COMMAND...: in a new network namespace with lo up
exec unshare --net -- sh -c 'ip link set lo up && exec "$@"' - "$@"
END
	chmod 755 "$T/bin/own_network"
}

define() # NAME WORDS...: an endpoint, unless it is there
{
	"$GRAFT" show "$1" >/dev/null 2>&1 || "$GRAFT" add "$@" owner any ||
		die "cannot define $*"
}

# publish HOST-PORT[-LAST]:PORT[-LAST][/PROTOCOL] -> lines on stdout
publish()
{
	local proto host own first last i at kind
	proto=${1#*/}
	[ "$proto" != "$1" ] || proto='tcp udp'
	host=${1%%:*} own=${1##*:} own=${own%/*}
	first=${host%-*} last=${host#*-}
	for ((i = 0; i <= last - first; i++)); do
		at=$((first + i))
		for kind in $proto; do
			define "pub6-$at" ipv6 "[::]:$at"
			define "pub4-$at" ipv4 "0.0.0.0:$at"
			echo "bind $kind [::]:$((${own%-*} + i)) = pub6-$at"
			echo "bind $kind 0.0.0.0:$((${own%-*} + i)) = pub4-$at"
		done
	done
}

egress() # PREFIX=host
{
	local prefix=${1%=*}
	[[ $prefix != *:* ]] || prefix="[$prefix]"
	echo "connect any $prefix = ${1##*=}"
}

# What a policy file defines is defined in the registry.
policy_file()
{
	local word rest
	while read -r word rest; do
		if [ "$word" = endpoint ]; then
			# A script may mean another place by the same name next time.
			"$GRAFT" del "${rest%% *}" 2>/dev/null
			# shellcheck disable=SC2086 # a line of words
			define $rest
		else
			echo "$word $rest"
		fi
	done <"$1"
}

# graftd_command OPTION... -- PROGRAM... -> CMD
graftd_command()
{
	local policy i hops=()
	policy=$T/policy.$((++POLICIES))
	: >"$policy"
	while [ "$1" != -- ]; do
		case $1 in
		-p) publish "$2" ;;
		-e) egress "$2" ;;
		--rule) echo "$2" ;;
		--policy) policy_file "$2" ;;
		*) die "ENGINE=graftd does not know $1" ;;
		esac >>"$policy"
		shift 2
	done
	shift
	chmod 644 "$policy"
	for ((i = 0; i < HOPS; i++)); do
		hops+=("${HOP[@]}")
	done
	# Never as a shell's job: the program must be what gets the signals.
	CMD=("$T/bin/own_network" "${IDENTITY[@]}" env "LD_PRELOAD=$HIJACK"
		GRAFT_POLICY="$policy" "${hops[@]}" "$@")
}
