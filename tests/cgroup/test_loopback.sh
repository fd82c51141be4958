#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `loopback own`: programs of two policies, and those of none, on one address and port of the
# same loopback, at the same time.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] || skip "needs root"
# shellcheck source=tests/lib_cgroup.sh
. "$LIB_DIR/lib_cgroup.sh"
need "$PYTHON"

# talk.py serve NAME: on 127.0.0.1:6379, [::1]:6379 and a datagram socket of the first;
# talk.py ask: who is there, each time.
cat >"$T/bin/talk.py" <<'EOF'
import errno, select, socket, sys
STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
PLACES = ((socket.AF_INET, STREAM, "127.0.0.1"), (socket.AF_INET6, STREAM, "::1"),
          (socket.AF_INET, DGRAM, "127.0.0.1"), (socket.AF_INET6, DGRAM, "::1"))

def serve(name):
    made = []
    for family, kind, address in PLACES:
        server = socket.socket(family, kind)
        server.bind((address, 6379))
        if kind == STREAM:
            server.listen()
        made.append(server)
    print("ready", flush=True)
    while True:
        for server in select.select(made, [], [])[0]:
            if server.type == STREAM:
                peer, _ = server.accept()
                peer.sendall(name)
                peer.close()
            else:
                _, source = server.recvfrom(9)
                server.sendto(name, source)

def ask(family, kind, address):
    client = socket.socket(family, kind)
    client.settimeout(20)
    try:
        client.connect((address, 6379))
        if kind == DGRAM:
            client.send(b"?")
        return client.recv(9).decode()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))

if sys.argv[1] == "serve":
    serve(sys.argv[2].encode())
print(*(ask(*place) for place in PLACES))
EOF
TALK=("$PYTHON" "$T/bin/talk.py")
asks() # CGROUP
{
	(in_cgroup "$TOP/$1" "${TALK[@]}" ask)
}

server() # CGROUP
{
	spawn "server_$1" in_cgroup "$TOP/$1" "${TALK[@]}" serve "$1"
	check "a server in $1" await "server_$1" grep -q ready "$T/server_$1.log"
}

all() # WORD
{
	echo "$1 $1 $1 $1"
}

for name in one two three none; do
	mkdir "$TOP/$name"
	[ "$name" = none ] ||
		check "attach $name" "$GRAFT" attach --rule 'loopback own' "$TOP/$name"
done
server none
for name in one two three; do
	equal "$name does not see the host's" "$(all ECONNREFUSED)" "$(asks "$name")"
done
server one
server two
for name in one two none; do
	equal "$name has its own" "$(all "$name")" "$(asks "$name")"
done
equal "and three none" "$(all ECONNREFUSED)" "$(asks three)"

# It is the same while the policy is replaced, and another's rule opens what it says.
check "replaced" "$GRAFT" attach --rule 'loopback own' \
	--rule 'connect udp 10.0.0.0/8 = deny' "$TOP/one"
equal "one still has its own" "$(all one)" "$(asks one)"
check "two has a rule" "$GRAFT" attach --rule 'loopback own' \
	--rule 'connect tcp 127.0.0.1:6379 = host' "$TOP/two"
equal "which leads to the host's" "none two two two" "$(asks two)"

# The port that a server of one really has is none that another could name.
ports=$(ss -Hlnt src 127.0.0.1 | awk '{ sub(".*:", "", $4); print $4 }' | sort -u)
cat >"$T/bin/every.py" <<'EOF'
import errno, socket, sys
for port in map(int, sys.argv[1:]):
    try:
        socket.create_connection(("127.0.0.1", port), 20)
        print("reached", port)
    except OSError as error:
        print(errno.errorcode[error.errno], end=" ")
EOF
# shellcheck disable=SC2086
equal "not by its real port" "" "$(in_cgroup "$TOP/three" "$PYTHON" "$T/bin/every.py" $ports |
	tr -d ' ' | sed 's/ECONNREFUSED//g')"

# What a policy had is free when it is taken away, and when its cgroup goes.
stop server_one
equal "one's server ends" "$(all ECONNREFUSED)" "$(asks one)"
check "detach" "$GRAFT" detach "$TOP/two"
equal "two is on the host's loopback now" "$(all none)" "$(asks two)"
check "attach again" "$GRAFT" attach --rule 'loopback own' "$TOP/two"
equal "nothing is left of what was there" "$(all ECONNREFUSED)" "$(asks two)"

# Real programs, two of a kind.
if command -v redis-server >/dev/null; then
	for name in one two; do
		spawn "redis_$name" in_cgroup "$TOP/$name" redis-server --port 6379 --bind 127.0.0.1 \
			--save "" --dir "$T"
		await "redis_$name" grep -q "Ready to accept" "$T/redis_$name.log"
		(in_cgroup "$TOP/$name" redis-cli set name "$name" >/dev/null)
	done
	for name in one two; do
		equal "redis of $name" "$name" "$(in_cgroup "$TOP/$name" redis-cli get name)"
	done
else
	skip_point "redis" "not installed"
fi
finish
