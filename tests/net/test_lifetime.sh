#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Who outlives whom:
#
#	graft run (front) --> supervisor --> program --> its children
#
# Nothing is left when the front or the program is killed; a program whose supervisor is
# killed keeps its sockets and gets a clean error for new ones; a background child is
# served on after the main program ended. No run leaves a file behind.
. "$(dirname "$0")/../lib.sh"
need_engine # it is about graft's own processes
enter_host "$@"
need curl ip ps pgrep "$PYTHON"

# A private /tmp: whatever appears in it comes from a run.
mount -t tmpfs -o mode=1777 graft-tmp /tmp || die "cannot mount over /tmp"
export TMPDIR=/tmp

# Everything alive in this pid namespace but the script and the host's web server.
others()
{
	# shellcheck disable=SC2009 # pgrep shows no zombies for what they are
	ps -eo stat=,args= | grep -v -e '^Z' -e test_lifetime.sh -e 'ps -eo' \
		-e "http_server.py $HOST4 8000"
}

nothing_left()
{
	[ -z "$(others)" ]
}

left_behind()
{
	find /run /tmp -mindepth 1 ! -type d ! -path "$T/*"
	find "$T/xdg" "$T/homes" ! -type d ! -name 'test.*'
}

clean_after() # WHAT
{
	check "$WHO: $1: no process is left" within 10 nothing_left || others | sed 's/^/# /'
	equal "$WHO: $1: no file is left" "" "$(left_behind)"
}

# A program with a child, a grandchild and one in a session of its own, all busy with
# sockets of the host.
tree()
{
	start tree -p 8080:80 -e 10.77.0.0/24=host -- bash -c "
		setsid $PYTHON $T/bin/http_server.py 0.0.0.0 80 tree stay &
		(trap '' TERM HUP INT; sleep 1000 & wait) &
		echo \$\$ >$T/homes/$WHO/test.pid
		until curl -s http://$HOST4:8080/; do sleep 0.02; done
		echo ready
		exec sleep 1000"
	await tree grep -q ready "$T/tree.log" || return
	FRONT=${PID_OF[tree]}
	PROGRAM=$(<"$T/homes/$WHO/test.pid")
}

killed_front()
{
	tree || return
	kill -KILL "$FRONT"
	status_of tree
	clean_after "graft run killed"
	check "$WHO: graft run killed: nobody listens" within 5 not_listening
}

not_listening()
{
	! is_listening tcp 8080
}

killed_program()
{
	start lone -p 8080:80 -- bash -c "echo \$\$ >$T/homes/$WHO/test.pid
		echo ready; exec sleep 1000"
	await lone grep -q ready "$T/lone.log" || return
	kill -KILL "$(<"$T/homes/$WHO/test.pid")"
	status_of lone
	equal "$WHO: program killed: its status" 137 "$STATUS"
	clean_after "program killed"
}

ended()
{
	try -p 8080:80 -e 10.77.0.0/24=host -- curl -s "http://$HOST4:8000/" >/dev/null
	equal "$WHO: ended by itself: its status" 0 $?
	clean_after "ended by itself"
	start served -p 8080:80 -- "$PYTHON" "$T/bin/http_server.py" 0.0.0.0 80 served
	wait_for_port served "$HOST4" 8080 || return
	check "$WHO: ended by SIGTERM: in time" stop served
	clean_after "ended by SIGTERM"
}

cat >"$T/bin/survivor.py" <<'END'
import errno, os, socket, sys, time
def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.02)
home, host = sys.argv[1:]
listener = socket.create_server(("0.0.0.0", 80))
out = socket.create_connection((host, 8000), 10)
unused = socket.socket()
inner, _ = listener.accept()
print("ready", flush=True)
wait_for(home + "/test.go")
inner.sendall(b"still here\n")
print("accepted socket", inner.recv(100).decode().strip(), flush=True)
out.sendall(b"GET / HTTP/1.0\r\n\r\n")
print("connected socket", out.makefile().read().split()[-1], flush=True)
again, _ = listener.accept()
again.sendall(b"late\n")
again.close()
print("listening socket ok", flush=True)
def attempt(name, call):
    began = time.time()
    try:
        call()
        result = "worked"
    except OSError as e:
        result = errno.errorcode[e.errno]
    print(name, result, "at once" if time.time() - began < 2 else "late", flush=True)
attempt("socket", lambda: socket.socket())
attempt("connect", lambda: unused.connect((host, 8000)))
a, b = socket.socketpair()
a.send(b"x")
print("unix", b.recv(1).decode(), flush=True)
END

# The supervisor is the child of the front that is the parent of the program.
killed_supervisor()
{
	local supervisor
	start survivor -p 8080:80 -e 0.0.0.0/0=host -- \
		"$PYTHON" "$T/bin/survivor.py" "$T/homes/$WHO" "$HOST4"
	wait_for_listener survivor 8080 || return
	exec 8<>"/dev/tcp/$HOST4/8080"
	await survivor grep -q ready "$T/survivor.log" || return
	supervisor=$(pgrep -P "${PID_OF[survivor]}" | head -n 1)
	[ -n "$supervisor" ] || {
		not_ok "$WHO: there is a supervisor"
		return
	}
	kill -KILL "$supervisor"
	within 5 is_gone "$supervisor"
	touch "$T/homes/$WHO/test.go"
	read -r -t 10 -u 8 line
	equal "$WHO: supervisor killed: a connection receives" "still here" "$line"
	echo pong >&8
	equal "$WHO: supervisor killed: the listener accepts" late \
		"$(exec 9<>"/dev/tcp/$HOST4/8080" && read -r -t 10 -u 9 line; echo "$line")"
	within 10 grep -q '^unix' "$T/survivor.log"
	exec 8<&-
	contains "$WHO: supervisor killed: a connection sends" \
		'^accepted socket pong' "$(<"$T/survivor.log")"
	contains "$WHO: supervisor killed: a client's socket works" \
		'^connected socket outside' "$(<"$T/survivor.log")"
	# With the preload engine some sockets may have been handed out ahead of need.
	local failure='E[A-Z]+'
	[ "$ENGINE" != preload ] || failure='(E[A-Z]+|worked)'
	contains "$WHO: supervisor killed: a new socket fails at once" \
		"^socket $failure at once" "$(<"$T/survivor.log")"
	contains "$WHO: supervisor killed: a new connection fails at once" \
		"^connect $failure at once" "$(<"$T/survivor.log")"
	comment "$(grep -E '^(socket|connect) ' "$T/survivor.log")"
	contains "$WHO: supervisor killed: other families work" '^unix x' \
		"$(<"$T/survivor.log")"
	stop survivor
	rm -f "$T/homes/$WHO/test.go"
	clean_after "supervisor killed"
}

# The main program ends with a status while its child has yet to bind and connect.
background()
{
	rm -f "$T/homes/$WHO/test.go"
	start main -p 8080:80 -e 10.77.0.0/24=host -- bash -c "
		(until [ -e $T/homes/$WHO/test.go ]; do sleep 0.02; done
		 curl -s http://$HOST4:8000/ >$T/homes/$WHO/test.out
		 exec $PYTHON $T/bin/http_server.py 0.0.0.0 80 background stay) &
		echo \$! >$T/homes/$WHO/test.pid
		echo main ends
		exit 5"
	await main grep -q 'main ends' "$T/main.log" || return
	within 2 is_gone "${PID_OF[main]}" && comment "$WHO: graft run did not wait for it"
	touch "$T/homes/$WHO/test.go"
	check "$WHO: a background child binds after the main program ended" \
		within 10 can_connect "$HOST4" 8080
	equal "$WHO: and has connected before" outside "$(<"$T/homes/$WHO/test.out")"
	equal "$WHO: and is served" background "$(host curl -sS "http://$HOST4:8080/")"
	kill "$(<"$T/homes/$WHO/test.pid")"
	status_of main
	equal "$WHO: the status is the main program's" 5 "$STATUS"
	rm -f "$T/homes/$WHO"/test.*
	clean_after "background child ended"
}

spawn web "$PYTHON" "$T/bin/http_server.py" "$HOST4" 8000 outside
wait_for_port web "$HOST4" 8000 || finish
for WHO in $USERS; do
	ended
	killed_program
	killed_front
	killed_supervisor
	background
done
finish
