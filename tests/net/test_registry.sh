#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `graft run` with rules that name endpoints of graftd's registry.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need_engine
PEER=$T/bin/registry_peer.py
cp "${GRAFTD:-$SOURCE_DIR/build/src/broker/graftd}" "$T/bin/graftd" || die "no graftd"
GRAFTD=$T/bin/graftd
root_needs_root

mkdir -m 755 "$T/graftd"
: >"$T/graftd/conf"
export GRAFT_SOCKET=$T/graftd/graftd.sock

start_graftd()
{
	spawn graftd "$GRAFTD" --foreground --socket "$GRAFT_SOCKET" --state "$T/graftd" \
		--config "$T/graftd/conf"
	await graftd grep -q ready "$T/graftd.log" || die "graftd does not start"
}

start_graftd
# Another namespace, with a server that says who it is.
spawn far unshare --net sh -c "ip link set lo up && exec $PYTHON -c '
import socket
s = socket.socket()
s.bind((\"127.0.0.1\", 7086))
s.listen(8)
print(\"up\", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b\"far\")
    c.close()
'"
await far grep -q up "$T/far.log" || die "no server in the other namespace"

add()
{
	"$GRAFT" add "$@" || die "cannot add $1"
}

mkdir -m 1777 "$T/graftd/sockets"
add ep-stream type ipv4 addr 127.0.0.1 port 8080 owner any
add ep-dynamic type ipv4 addr 127.0.0.1 port dynamic owner any
add ep-unix type unix path "$T/graftd/sockets/unix" owner any
add ep-six type ipv6 addr ::1 port 8084 owner any
add ep-closed type ipv4 addr 127.0.0.1 port 8085 owner uid=12345
add ep-far type ipv4 addr 127.0.0.1 port 7086 netns "${PID_OF[far]}" owner any

RULES=()
for pair in 80=ep-stream 81=ep-dynamic 82=ep-unix 83=ep-none 85=ep-closed 86=ep-far; do
	RULES+=(--rule "bind any 0.0.0.0:${pair/=/ = }"
		--rule "connect any 127.0.0.1:${pair/=/ = }")
done
RULES+=(--rule 'bind tcp [::]:84 = ep-six' --rule 'connect tcp [::1]:84 = ep-six')

registry()
{
	local output want
	output=$(try "${RULES[@]}" -- "$PYTHON" "$PEER" stream dynamic unix six datagram \
		bind-none connect-none bind-closed connect-closed far 2>&1)
	[ "$WHO" = root ] && want="Address already in use|bound" || want='Permission denied'
	for line in 'stream ping' 'dynamic ping' 'unix ping' 'six ping' 'datagram ping' \
		'bind-none Cannot assign requested address' \
		'connect-none Connection refused' 'far far'; do
		contains "$WHO: $line" "^$line\$" "$output"
	done
	# Root of graftd's own namespaces may use any endpoint.
	[ "$WHO" = root ] || contains "$WHO: bind to somebody else's" \
		"^bind-closed $want\$" "$output"
	[ "$WHO" = root ] || contains "$WHO: connect to somebody else's" \
		"^connect-closed $want\$" "$output"
}

# Calls fail while there is no graftd, and work again when there is one.
without()
{
	local pid
	mkfifo "$T/again.$WHO"
	grafted "${RULES[@]}" -- "$PYTHON" "$PEER" again
	: >"$T/again.log"
	"${CMD[@]}" <"$T/again.$WHO" >"$T/again.log" 2>&1 &
	PID_OF[again]=$!
	exec 5>"$T/again.$WHO"
	echo one >&5
	await again grep -q '^one ' "$T/again.log"
	stop graftd
	echo two >&5
	await again grep -q '^two ' "$T/again.log"
	start_graftd 5>&-
	echo three >&5
	await again grep -q '^three ' "$T/again.log"
	pid=${PID_OF[graftd]}
	kill -KILL "$pid"
	within 10 is_gone "$pid"
	{ wait "$pid"; } 2>/dev/null
	start_graftd 5>&-
	echo four >&5
	await again grep -q '^four ' "$T/again.log"
	exec 5>&-
	status_of again
	equal "$WHO: graftd there, gone, there, killed" 'one far
two Network is down
three far
four far' "$(grep -E '^(one|two|three|four) ' "$T/again.log")"
}

# What a socket in a far namespace may be used for is judged as always.
strays()
{
	contains "$WHO: a socket in a far namespace serves no other address there" \
		'^strays own$' "$(try "${RULES[@]}" -- "$PYTHON" "$PEER" strays 2>&1)"
}

for WHO in $USERS; do
	registry
	strays
	without
done
finish
