#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two containers whose policies say `shortcut on`: what one sends the other past TCP is what
# TCP would have brought, however a connection or a container ends; with one policy alone,
# nothing goes past it.
#
#	client (container) --> $HOST4:8080 (way), :8081 (much) <-- web (container)
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need_containers
need bpftool
cp "$SOURCE_DIR/tests/runtime/pair.py" "$SOURCE_DIR/tests/cgroup/shortcut.py" "$T/bin/"
PAIR=("$PYTHON" -B "$T/bin/pair.py")
ON=(--annotation 'graft.rule.1=shortcut on')
WAY=8080
MUCH=8081

# container ID OPTION... -- ARGUMENT...: of pair.py
container()
{
	local id=$1 options=()
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	bundle "$id" --seccomp "$PROFILE" --bind /usr:ro --bind /lib:ro --bind /lib64:ro \
		--bind "$T/bin:ro" "${options[@]}" -- "${PAIR[@]}" "${@:2}"
	check "$id is started" up "$id"
	check "$id is up" within "$LIMIT" log_has "$id" 'serves\|waits'
}

server() # ID OPTION...
{
	container "$@" --annotation "graft.publish=$HOST4:$WAY:80 $HOST4:$MUCH:81" -- \
		serve 80 81
}

client() # ID OPTION...
{
	container "$@" --annotation "graft.rule.2=connect tcp $HOST4/32 = host" -- wait
}

ask() # CLIENT PORT KIND...
{
	timeout "$LIMIT" "$RUNTIME" --root "$T/root" exec "$1" "${PAIR[@]}" ask "$HOST4" \
		"${@:2}" 2>&1
}

ways() # NAME WAY CLIENT
{
	equal "$1" "way ['$2', '$2']" "$(ask "$3" "$WAY" way)"
}

gone() # ID...: all that there are
{
	local id
	for id; do
		check "$id is deleted" down "$id"
	done
	check "nothing is left" within "$LIMIT" nothing_left "$@"
}

replace() # FUNCTION ID
{
	check "$2 is deleted" down "$2"
	"$1" "$2" "${ON[@]}"
}

# What connections see, and what the server says of them, with these options of both.
see_all()
{
	server "$1-web" "${@:2}"
	client "$1-client" "${@:2}"
	ask "$1-client" "$WAY" close reset refused close >"$T/$1.asked"
	ask "$1-client" "$MUCH" copy copy copy >>"$T/$1.asked"
	within "$LIMIT" said "$1-web" 4
	grep -v serves "$T/$1-web.log" | sort >"$T/$1.served"
	gone "$1-web" "$1-client"
}

said() # ID NUMBER: so many connections were told of
{
	[ "$(grep -vc serves "$T/$1.log")" = "$2" ]
}

see_all plain
see_all short "${ON[@]}"
equal "closed, reset by each, much both ways: as by TCP" "$(<"$T/plain.asked")" \
	"$(<"$T/short.asked")"
equal "and so does the server see it" "$(<"$T/plain.served")" "$(<"$T/short.served")"
contains "which is: all of it" 'copy \(\(3000000, None\), 0\)' "$(<"$T/plain.asked")"
contains "a reset is heard" 'reset ECONNRESET' "$(<"$T/plain.served")"

# The kernel may not have what it takes; then there is one line, and TCP.
if grep -q "'shortcut on' goes without" "$T/runtime.log"; then
	contains "it goes without, and says why" 'FIONREAD' "$(<"$T/runtime.log")"
	server web "${ON[@]}"
	client client "${ON[@]}"
	ways "by TCP" TCP client
	gone web client
	finish
fi

pin() { echo /sys/fs/bpf/graft/*/"$1"; }
judged()
{
	bpftool -j map dump pinned "$(pin graft_judged)" |
		"$PYTHON" -c 'import json, sys; print(len(json.load(sys.stdin)))'
}
has_judged() { [ "$(judged)" = "$1" ]; }
table_is_empty() { ! bpftool map getnext pinned "$(pin graft_shortcuts)" >/dev/null 2>&1; }
check "no cgroup has it any more" within "$LIMIT" has_judged 0
check "no socket is in the table" within "$LIMIT" table_is_empty

programs() # on each supervisor's cgroup, a line each
{
	local pid
	for pid in $(supervisors); do
		bpftool cgroup show "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup")" |
			grep -o 'graft_[a-z0-9]\{1,9\}' | sort -u | xargs
	done
}

# --- who has it -------------------------------------------------------------------------

server web "${ON[@]}"
client client "${ON[@]}"
client other
ways "two policies with it: past TCP" shortcut client
ways "the client's without: by TCP" TCP other
ways "and with it as before" shortcut client
check "two cgroups have it" has_judged 2
equal "by two programs each, and none that judges" "2 graft_close graft_connectio graft_pen
1 graft_pen" "$(programs | sort | uniq -c | sed 's/^ *//')"
equal "what is denied stays so" "connect: ENETUNREACH" \
	"$(runtime exec client /inside get 10.77.0.9 "$WAY" 2>&1)"

# --- somebody is killed in mid-transfer ---------------------------------------------------

# stream NAME CLIENT: one that goes on until somebody ends it
stream()
{
	spawn "$1" "$RUNTIME" --root "$T/root" exec "$2" "${PAIR[@]}" ask "$HOST4" "$MUCH" \
		stream
	await "$1" grep -q flows "$T/$1.log"
}

stream killed client
runtime kill web KILL
status_of killed
equal "the server's container is killed: what came was right" "flows past TCP
stream ('EOF', 'all was right')" "$(<"$T/killed.log")"
replace server web
ways "another in its place: past TCP" shortcut client

stream killer client
runtime kill client KILL
status_of killer
contains "the client's container is killed: it flowed past TCP" 'flows past TCP' \
	"$(<"$T/killer.log")"
check "the server hears of it" within "$LIMIT" log_has web 'stream \(EPIPE\|ECONNRESET\)'
replace client client
ways "another in its place: past TCP" shortcut client

replace server web # the port has learnt that its readers may be slow
stream orphan client
mapfile -t killed < <(supervisors)
kill -KILL "${killed[@]}"
check "supervisors are killed" within "$LIMIT" no_supervisor
runtime kill web KILL
status_of orphan
equal "a transfer goes on without them: what came was right" "flows past TCP
stream ('EOF', 'all was right')" "$(<"$T/orphan.log")"
gone web client other
check "nothing is left of it: no cgroup" within "$LIMIT" has_judged 0
check "and no socket in the table" within "$LIMIT" table_is_empty
finish
