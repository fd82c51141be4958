#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Sockets that are none of graft's business: UNIX, netlink, and everything within a
# network namespace that the program makes for itself.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need ip curl "$PYTHON"
EGRESS=(-e 0.0.0.0/0=host -e ::/0=host)

cat >"$T/bin/unix.py" <<'END'
import os, socket, sys
path = sys.argv[1]
a, b = socket.socketpair()
a.send(b"pair")
assert b.recv(10) == b"pair"
for kind in socket.SOCK_STREAM, socket.SOCK_SEQPACKET:
    server = socket.socket(socket.AF_UNIX, kind)
    server.bind("\0graft-test-%d" % kind)
    server.listen()
    client = socket.socket(socket.AF_UNIX, kind)
    client.connect("\0graft-test-%d" % kind)
    peer, _ = server.accept()
    socket.send_fds(client, [b"x"], [0])
    data, fds, _, _ = socket.recv_fds(peer, 10, 1)
    assert data == b"x" and len(fds) == 1
    pid, uid, gid = [int.from_bytes(peer.getsockopt(socket.SOL_SOCKET,
                     socket.SO_PEERCRED, 12)[i:i + 4], "little") for i in (0, 4, 8)]
    assert (uid, gid) == (os.getuid(), os.getgid()), (uid, gid)
client = socket.socket(socket.AF_UNIX)
client.connect(path)
client.send(b"hello over unix\n")
print(client.recv(100).decode().strip())
END
cat >"$T/bin/unix_server.py" <<'END'
import os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
server.listen()
print("ready", flush=True)
while True:
    peer, _ = server.accept()
    peer.send(peer.recv(100).upper())
END
cat >"$T/bin/netlink.py" <<'END'
import socket, struct
nl = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
nl.bind((0, 0))
nl.send(struct.pack("=IHHII", 17, 18, 0x301, 1, 0) + b"\0")  # RTM_GETLINK, dump
print(nl.recv(65536).count(b"lo\0") > 0)
END
# Without rules a namespace of one's own has nothing but its loopback, once that is up.
cat >"$T/bin/nested.sh" <<'END'
curl -s --max-time 5 http://127.0.0.1:8000/
echo "down: $?"
ip link set lo up
curl -s --max-time 5 http://127.0.0.1:8000/
echo "up: $?"
curl -s --max-time 5 http://10.77.0.1:8000/
echo "outside: $?"
/usr/bin/python3 "$1" 127.0.0.1 7000 nested &
for i in $(seq 500); do
	curl -s --max-time 5 http://127.0.0.1:7000/ && break
	sleep 0.02
done
END

test_families()
{
	equal "$WHO: UNIX sockets within the run and to the host" "HELLO OVER UNIX" \
		"$(try "${EGRESS[@]}" -- "$PYTHON" "$T/bin/unix.py" "$T/unix.sock" 2>&1)"
	equal "$WHO: netlink" True \
		"$(try "${EGRESS[@]}" -- "$PYTHON" "$T/bin/netlink.py" 2>&1)"
	if [ "$ENGINE" != native ]; then
		equal "$WHO: the run has one interface, which is up" "lo UNKNOWN" \
			"$(try "${EGRESS[@]}" -- ip -br link 2>&1 | awk '{ print $1, $2 }')"
	fi
	equal "$WHO: a network namespace within is left alone" "down: 7
up: 7
outside: 7
nested" "$(try "${EGRESS[@]}" -- unshare -Urn \
		bash "$T/bin/nested.sh" "$T/bin/http_server.py" 2>&1)"
}

spawn web "$PYTHON" "$T/bin/http_server.py" 127.0.0.1 8000 secret
spawn web_outside "$PYTHON" "$T/bin/http_server.py" "$HOST4" 8000 outside
spawn unix "$PYTHON" "$T/bin/unix_server.py" "$T/unix.sock"
wait_for_port web 127.0.0.1 8000 && wait_for_port web_outside "$HOST4" 8000 &&
	await unix grep -q ready "$T/unix.log" || finish
for WHO in $USERS; do
	test_families
done
finish
