#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `graft run` stands in for its program: exit status, signals, standard streams, other
# inherited descriptors, environment, directory, identity.
# shellcheck disable=SC2016 # what is in single quotes is for the shell inside
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need ip "$PYTHON"

status_is() # WANTED NAME PROGRAM...
{
	local wanted=$1 name=$2
	shift 2
	try -p 8080:80 -- "$@" >"$T/out" 2>&1
	equal "$WHO: status $wanted: $name" "$wanted" $?
}

test_status()
{
	status_is 0 "success" true
	status_is 3 "the program's own" bash -c 'exit 3'
	status_is 255 "the largest" bash -c 'exit 255'
	status_is 127 "not found in PATH" no-such-program
	status_is 127 "not found by path" /no/such/program
	status_is 126 "not executable" "$T/not_executable"
	status_is 126 "a directory" "$T"
	status_is 143 "killed by SIGTERM" bash -c 'kill -TERM $$'
	status_is 137 "killed by SIGKILL" bash -c 'kill -KILL $$'
	status_is 129 "killed by SIGHUP" bash -c 'kill -HUP $$'
	status_is 134 "aborted" bash -c 'ulimit -c 0; kill -ABRT $$'
	[ "$ENGINE" != native ] || return
	try -- /no/such/program 2>"$T/err"
	contains "$WHO: 127 says which program" '/no/such/program' "$(<"$T/err")"
	equal "$WHO: in one line" 1 "$(wc -l <"$T/err")"
}

cat >"$T/bin/signals.py" <<'END'
import signal, sys
def heard(number, frame):
    sys.stdout.write("heard %s\n" % signal.Signals(number).name)
    sys.stdout.flush()
    if number == signal.SIGUSR2:
        sys.exit(5)
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), heard)
signal.signal(signal.SIGUSR2, heard)
print("ready", flush=True)
while True:
    signal.pause()
END

# Each signal sent to graft run is heard once; the last one ends the program.
test_signals()
{
	local name wanted=ready
	start listener -p 8080:80 -- "$PYTHON" "$T/bin/signals.py" \
		SIGTERM SIGINT SIGHUP SIGUSR1 SIGQUIT SIGALRM SIGWINCH
	await listener grep -q ready "$T/listener.log" || return
	for name in TERM INT HUP USR1 QUIT ALRM WINCH; do
		kill "-$name" "${PID_OF[listener]}"
		within 5 grep -q "heard SIG$name" "$T/listener.log"
		wanted+=" heard SIG$name"
	done
	kill -USR2 "${PID_OF[listener]}"
	wanted+=" heard SIGUSR2"
	status_of listener
	equal "$WHO: each signal reaches the program once" "$wanted" \
		"$(tr '\n' ' ' <"$T/listener.log" | sed 's/ $//')"
	equal "$WHO: and its answer to the last is the status" 5 "$STATUS"
	start sleeper -p 8080:80 -- bash -c 'echo ready; exec sleep 1000'
	await sleeper grep -q ready "$T/sleeper.log"
	kill -TERM "${PID_OF[sleeper]}"
	status_of sleeper
	equal "$WHO: a program without a handler ends with 128+15" 143 "$STATUS"
}

test_streams()
{
	equal "$WHO: standard input and output" "$(sha256sum <"$T/data")" \
		"$(try -- cat <"$T/data" | sha256sum)"
	equal "$WHO: through pipes" "$(sha256sum <"$T/data")" \
		"$(dd if="$T/data" bs=64k 2>/dev/null | try -- sha256sum | cat)"
	try -- bash -c 'echo out; echo err >&2' >"$T/out" 2>"$T/err"
	equal "$WHO: standard output alone" out "$(<"$T/out")"
	equal "$WHO: standard error alone" err "$(<"$T/err")"
	equal "$WHO: another descriptor" seven \
		"$(try -- bash -c 'echo seven >&7' 7>&1 >/dev/null)"
	equal "$WHO: no descriptor of graft's own" "$(find /proc/self/fd/ | wc -l)" \
		"$(try -- find /proc/self/fd/ | wc -l)"
	equal "$WHO: standard input closed" "closed" \
		"$(try -- bash -c '[ -e /dev/fd/0 ] || echo closed' <&-)"
	try -- yes 2>/dev/null | head -n 1 >"$T/out"
	equal "$WHO: a pipe closed by its reader ends it" "141 0" "${PIPESTATUS[*]}"
	equal "$WHO: in a pipeline" "a b c" "$(try -- printf 'c\nb\na\n' | sort | xargs)"
}

test_surroundings()
{
	local wanted
	equal "$WHO: environment" "some value" \
		"$(SOME_NAME="some value" try -- printenv SOME_NAME)"
	equal "$WHO: directory" "$T/homes" "$(cd "$T/homes" && try -- pwd)"
	equal "$WHO: umask" 0037 "$(umask 037 && try -- bash -c umask)"
	equal "$WHO: limits" 333 "$(ulimit -n 333 && try -- bash -c 'ulimit -n')"
	wanted=0:0
	[ "$WHO" = root ] || wanted=65534:65534
	equal "$WHO: user and group" "$wanted" "$(try -- bash -c 'echo $(id -u):$(id -g)')"
	equal "$WHO: file ownership as seen inside" "$wanted" \
		"$(try -- stat -c '%u:%g' "$T/homes/$WHO")"
	equal "$WHO: a file made inside" "$wanted" "$(
		try -- touch "$T/homes/$WHO/made"
		stat -c '%u:%g' "$T/homes/$WHO/made")"
	rm -f "$T/homes/$WHO/made"
	equal "$WHO: arguments, odd ones too" "[] [a b] [--] [-p]" \
		"$(try -- bash -c 'printf "[%s] " "$@" | sed "s/ $//"' _ '' 'a b' -- -p)"
	[ "$ENGINE" != native ] || return
	equal "$WHO: without --" works "$("${IDENTITY[@]}" "$GRAFT" run echo works)"
}

# A caller that ignores SIGCHLD would never hear of its children's end.
cat >"$T/bin/ignoring.py" <<'END'
import signal, subprocess, sys
end = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True,
    preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
print(end.returncode, end.stdout.strip())
END

test_ignored_children()
{
	[ "$ENGINE" != native ] || return
	equal "$WHO: status, where children are ignored" "3 1" "$("${IDENTITY[@]}" \
		"$PYTHON" "$T/bin/ignoring.py" "$GRAFT" run -p 8080:80 -- "$PYTHON" -c \
		'import signal; print(int(signal.getsignal(signal.SIGCHLD))); exit(3)')"
}

echo text >"$T/not_executable"
head -c 5000000 /dev/urandom >"$T/data"
[ "$GRAFT_TEST_CAPABLE" = root ] || USERS=root
for WHO in $USERS; do
	test_status
	test_signals
	test_streams
	test_surroundings
	test_ignored_children
done
finish
