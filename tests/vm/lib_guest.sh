# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the checks of guest.sh are made of, on top of lib.sh: asking systemd and the kernel,
# and starting programs in the namespaces of the machine, as root or as alice.
#
# Environment: PREFIX, where graft is installed.
. "${BASH_SOURCE[0]%/*}/../lib.sh"
T=/run/test
PATH=$PREFIX/bin:$PREFIX/sbin:$PATH
PEER=/checks/peer
HIJACK=$(find "$PREFIX" -name libgraft-hijack.so)
ALICE=/home/${USER_NAME=alice}
DROP_IN=/run/systemd/system/graftd.service.d/test.conf
SOCKET_DROP_IN=/run/systemd/system/graftd.socket.d
CONF=/etc/graft/graftd.conf
mkdir -p $T "${DROP_IN%/*}" "$ALICE"
chown "$USER_NAME:" "$ALICE"
chmod 700 "$ALICE"

# --- what the kernel and systemd say ---------------------------------------------------

property() # NAME [UNIT]
{
	systemctl show -P "$1" "${2-graftd.service}"
}

graftd_pid()
{
	property MainPID
}

is_in() # PROPERTY VALUE: the service
{
	[ "$(property "$1")" = "$2" ]
}

# of PID FIELD: from its status
of()
{
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

listeners() # PORT: how many wait to be accepted, for each listener of the host
{
	awk -v port="$(printf ':%04X' "$1")" '
		index($2, port) == length($2) - 4 && $4 == "0A" {
			split($5, queues, ":"); print queues[2] }' /proc/net/tcp
}

is_listening() # tcp PORT
{
	[ -n "$(listeners "$2")" ]
}

waits_in_backlog() # PORT
{
	[ "$(listeners "$1")" -ge 1 ]
}

holders()
{
	pidof graft-holder
	grep -l '^Name:[[:space:]]graft-holder' /proc/[0-9]*/status 2>/dev/null
}

# In the words of the unit or a drop-in; takes effect with the next start.
drop_in() # SECTION LINE...
{
	local section=$1
	shift
	printf '%s\n' "[$section]" "$@" >"$DROP_IN"
	systemctl daemon-reload
}

no_drop_in()
{
	rm -f "$DROP_IN"
	systemctl daemon-reload
}

# --- programs ----------------------------------------------------------------------------

# at PLACE USER COMMAND... -> CMD: "host" or the name of a namespace
at()
{
	CMD=()
	# By their paths: busybox has its own of these names, and prefers them.
	[ "$1" = host ] || CMD+=(/usr/bin/nsenter "--net=/run/netns/$1" --)
	[ "$2" = root ] || CMD+=(/usr/bin/setpriv --reuid=1000 --regid=1000 --clear-groups --)
	CMD+=("${@:3}")
}

run_at() # PLACE USER COMMAND...
{
	at "$@"
	timeout "$LIMIT" "${CMD[@]}" 2>&1
}

# serve NAME PLACE USER PAIR ADDRESS [N]: a peer with the library, until it listens. It
# answers with its own name.
serve()
{
	at "$2" "$3" env LD_PRELOAD="$HIJACK" GRAFT_CONV_PAIRS="$4" \
		"$PEER" serve "$5" "$1" "${@:6}"
	spawn "$1" "${CMD[@]}"
	await "$1" grep -qx up "$T/$1.log"
}

ask() # PLACE USER PAIR ADDRESS: with the library
{
	run_at "$1" "$2" env LD_PRELOAD="$HIJACK" GRAFT_CONV_PAIRS="$3" "$PEER" ask "$4"
}

plain() # PLACE ADDRESS: without it
{
	run_at "$1" root "$PEER" ask "$2"
}

make_box() # NAME
{
	ip netns add "$1" && ip -n "$1" link set lo up || die "cannot make the namespace $1"
}

state_of() # ENDPOINT
{
	graft show --json "$1" | sed -n 's/.*"state": *"\([a-z]*\)".*/\1/p'
}

forget()
{
	graft show | cut -d' ' -f1 | xargs -r graft del
}

is_state() # ENDPOINT STATE
{
	[ "$(state_of "$1")" = "$2" ]
}

# is_new PID: another graftd is ready
is_new()
{
	local state
	state=$(systemctl show -p MainPID -p ActiveState graftd)
	[[ $state$'\n' = *ActiveState=active* && $state$'\n' != *MainPID=$1$'\n'* ]]
}

has_restarted() # N
{
	[ "$(property NRestarts)" -ge "$1" ]
}

# no_modules COMMAND...: while the kernel loads none
no_modules()
{
	local modprobe
	modprobe=$(</proc/sys/kernel/modprobe)
	echo >/proc/sys/kernel/modprobe
	"$@"
	echo "$modprobe" >/proc/sys/kernel/modprobe
}

loaded()
{
	cut -d' ' -f1 /proc/modules | sort | xargs
}

# The bits that systemd's names stand for, as in /proc.
capability_mask() # NAME...
{
	local all i name mask=0
	mapfile -t all < <(setpriv --list-caps)
	for name; do
		for i in "${!all[@]}"; do
			[ "cap_${all[i]}" != "$name" ] || mask=$((mask | 1 << i))
		done
	done
	printf '%016x\n' "$mask"
}

# mode PATH: of the mount it is on, in graftd's eyes
mode()
{
	local flags
	flags=$(awk -v path="$1" '$5 == path { flags = $6 } END { print flags }' \
		"/proc/$(graftd_pid)/mountinfo")
	echo "${flags%%,*}"
}

namespaces_of_its_own()
{
	local name
	for name in cgroup ipc mnt net pid user uts; do
		[ "$(readlink "/proc/$1/ns/$name")" = "$(readlink "/proc/1/ns/$name")" ] ||
			echo "$name"
	done
}
