#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The supervisor is stopped and continued (SIGSTOP, a frozen cgroup, a suspended machine)
# while the program makes and connects sockets: every call ends as if nothing had been.
# Above all no socket() returns 0, as when the kernel lets go of a call half answered.
. "$(dirname "$0")/../lib.sh"
need_engine # nobody to stop on plain sockets
enter_host "$@"
need ip pgrep "$PYTHON"

N_CONNECTS=200
N_STOPS=100

cat >"$T/bin/accept_all.py" <<'END'
import socket, sys
server = socket.create_server((sys.argv[1], 7000), backlog=64)
while True:
    peer, _ = server.accept()
    peer.sendall(b"x")
    peer.close()
END

# Goes on until it has made enough connections and there is the file that says so.
cat >"$T/bin/connect_on.py" <<'END'
import os, socket, sys
address, wanted, enough = sys.argv[1], int(sys.argv[2]), sys.argv[3]
wrong, n = {}, 0
def opened():
    return os.listdir("/proc/self/fd")
# The preload library opens its own with the first connections.
for _ in range(20):
    socket.create_connection((address, 7000)).close()
before = opened()
print("ready", flush=True)
while n < wanted or not os.path.exists(enough):
    n += 1
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        number = sock.fileno()
        sock.connect((address, 7000))
        what = None if number > 2 and sock.recv(1) == b"x" else f"number {number}"
        sock.close()
    except OSError as e:
        what = f"{e}"
    if what:
        wrong[what] = wrong.get(what, 0) + 1
print("connections:", n)
print("wrong:", wrong or "none")
print("open:", "as before" if opened() == before else opened())
END

is_stopped() # PID
{
	grep -q '^State:[[:space:]]*T' "/proc/$1/status"
}

# Return: false when it did not stop, or is gone.
stop_and_go() # PID
{
	local status=0
	kill -STOP "$1" || return 1
	within 5 is_stopped "$1" || status=1
	kill -CONT "$1"
	return "$status"
}

test_stops()
{
	local supervisor n
	rm -f "$T/enough"
	spawn server "$PYTHON" "$T/bin/accept_all.py" "$HOST4"
	wait_for_listener server 7000 || return
	start client -e 0.0.0.0/0=host -- \
		"$PYTHON" "$T/bin/connect_on.py" "$HOST4" "$N_CONNECTS" "$T/enough"
	await client grep -q ready "$T/client.log" || return
	supervisor=$(pgrep -P "${PID_OF[client]}" | head -n 1)
	for ((n = 0; n < N_STOPS; n++)); do
		stop_and_go "$supervisor" || break
	done
	: >"$T/enough"
	status_of client
	equal "$WHO: stopped and continued $N_STOPS times" "$N_STOPS" "$n"
	equal "$WHO: the program ends" 0 "$STATUS"
	contains "$WHO: every connection works" '^wrong: none$' "$(<"$T/client.log")"
	contains "$WHO: no descriptor is lost or left" '^open: as before$' \
		"$(<"$T/client.log")"
}

each_user test_stops
finish
