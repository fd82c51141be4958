#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `graft run` on a terminal: the program has it as its own, the keys that make signals
# reach it once, and it may read from it as part of a foreground pipeline.
# shellcheck disable=SC2016 # what is in single quotes is for the shell inside
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need ip "$PYTHON"

on_terminal() # STEP... -- PROGRAM...
{
	local steps=()
	while [ "$1" != -- ]; do
		steps+=("$1")
		shift
	done
	shift
	grafted -p 8080:80 -- "$@"
	timeout -k 2 "$LIMIT" "$PYTHON" "$T/bin/pty_session.py" "${steps[@]}" -- "${CMD[@]}"
}

cat >"$T/bin/keys.py" <<'END'
import os, signal, sys
count = 0
def interrupted(number, frame):
    global count
    count += 1
    os.write(1, b"interrupted\n")
def report(number, frame):
    os.write(1, b"count %d\n" % count)
    sys.exit(9)
signal.signal(signal.SIGINT, interrupted)
signal.signal(signal.SIGUSR1, report)
os.write(1, b"ready\n")
while True:
    signal.pause()
END
cat >"$T/bin/on_tty.py" <<'END'
import fcntl, os, struct, sys, termios
print("ttys", [os.isatty(fd) for fd in (0, 1, 2)])
with open("/dev/tty", "wb", 0) as tty:
    tty.write(b"controlling terminal\n")
print("foreground", os.tcgetpgrp(0) == os.getpgrp())
line = input("? ")
print("got", line)
size = struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))
print("size", size[0], size[1])
END

test_terminal()
{
	# dash, for bash ignores SIGQUIT. Had graft run passed on a second SIGINT of its own, it would have done so
	# before it passes on a SIGUSR1 that came later.
	check "$WHO: Ctrl-C reaches the program once" on_terminal expect ready \
		send '\x03' expect interrupted signal USR1 expect 'count 1' status 9 -- \
		"$PYTHON" "$T/bin/keys.py"
	check "$WHO: Ctrl-C ends one that does not care" on_terminal expect ready \
		send '\x03' status 130 -- sh -c 'echo ready; exec sleep 1000'
	check "$WHO: Ctrl-\\ too" on_terminal expect ready send '\x1c' status 131 -- \
		sh -c 'ulimit -c 0; echo ready; exec sleep 1000'
	check "$WHO: the program has the terminal" on_terminal \
		expect 'ttys [True, True, True]' expect 'controlling terminal' \
		expect 'foreground True' expect '? ' resize 33 99 send 'a line\n' \
		expect 'got a line' expect 'size 33 99' status 0 -- \
		"$PYTHON" "$T/bin/on_tty.py"
	check "$WHO: end of file from the terminal" on_terminal expect ready send '\x04' \
		expect 'lines 0' status 0 -- bash -c 'echo ready; echo lines $(wc -l)'
	check "$WHO: the end of the terminal ends the program" hang_up
	in_pipeline
}

# The master closes with the session; SIGHUP follows.
hang_up()
{
	on_terminal expect ready -- bash -c "echo \$\$ >$T/homes/$WHO/pid
		echo ready; exec sleep 1000" || return
	within 10 is_gone "$(<"$T/homes/$WHO/pid")"
}

# A shell with job control gives each pipeline a process group of its own.
in_pipeline()
{
	local shell=(bash --norc -mc '"$@" | sed s/got/came:/' shell)
	grafted -p 8080:80 -- bash -c 'echo ready; read -r line; echo "got $line"'
	check "$WHO: reads the terminal in a foreground pipeline" \
		timeout -k 2 "$LIMIT" "$PYTHON" "$T/bin/pty_session.py" expect ready \
		send 'a line\n' expect 'came: a line' status 0 -- "${shell[@]}" "${CMD[@]}"
	grafted -p 8080:80 -- sh -c 'echo ready; exec sleep 1000'
	check "$WHO: Ctrl-C ends a foreground pipeline" \
		timeout -k 2 "$LIMIT" "$PYTHON" "$T/bin/pty_session.py" expect ready \
		send '\x03' status 130 -- "${shell[@]}" "${CMD[@]}"
}

mount -t devpts -o newinstance,ptmxmode=666 devpts /dev/pts 2>/dev/null
for WHO in $USERS; do
	test_terminal
done
finish
