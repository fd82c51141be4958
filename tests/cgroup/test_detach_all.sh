#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# graft detach --all: policies of two builds, on cgroups that are there and on one that was
# removed, programs that somebody left without a policy; and what is not to go: a run's policy,
# and programs that are not graft's. What is pinned is this test's own, in its mount namespace.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] || skip "needs root"
# shellcheck source=tests/lib_cgroup.sh
. "$LIB_DIR/lib_cgroup.sh"
need bpftool
BUILD=${MESON_BUILD_ROOT-$SOURCE_DIR/build}
FEW=$BUILD/tests/cgroup/graft-few
PINS=/sys/fs/bpf/graft
DENY='connect tcp 10.9.9.9:80 = deny:ENETDOWN'

# What connect() comes to: of a socket that is made first, and of one made when a line is read.
cat >"$T/bin/ask.py" <<'EOP'
import errno, socket, sys
def ask(made):
    try:
        made.connect(("10.9.9.9", 80))
    except OSError as error:
        return errno.errorcode[error.errno]
early = socket.socket()
print("ready", flush=True)
for line in sys.stdin:
    print(ask(socket.socket()), ask(early), flush=True)
EOP
ask() # CGROUP
{
	in_cgroup "$1" "$PYTHON" "$T/bin/ask.py" <<<ask | tail -n 1
}

start_asking() # NAME COMMAND...: reads $T/NAME.in
{
	mkfifo "$T/$1.in"
	# shellcheck disable=SC2016 # the inner shell's own
	spawn "$1" sh -c 'exec "$@" <"$0"' "$T/$1.in" "${@:2}" "$PYTHON" "$T/bin/ask.py"
}

programs_on() # CGROUP
{
	bpftool cgroup show "$1" | grep -c graft_
}

# bpftool 7.1 does not know these. BPF_PROG_QUERY of BPF_CGROUP_UNIX_CONNECT to _GETPEERNAME.
unix_programs_on() # CGROUP
{
	"$PYTHON" - "$1" <<'EOP'
import ctypes, os, struct, sys
libc, found = ctypes.CDLL(None, use_errno=True), 0
for kind in range(49, 53):
    query = ctypes.create_string_buffer(struct.pack("=IIIIQI", os.open(sys.argv[1], os.O_RDONLY), kind, 0, 0, 0, 0), 64)
    if libc.syscall(321 if os.uname().machine == "x86_64" else 280, 16, query, 64) == 0:
        found += struct.unpack_from("=I", query, 24)[0]
print(found)
EOP
}

pinned() # BUILDS
{
	find "$PINS" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l
}

below=${TOP#"$MOUNT"}
mkdir -p "$TOP/app/below" "$TOP/few" "$TOP/left" "$TOP/gone" "$TOP/foreign"

equal "nothing is there: status 0, nothing is said" "0 " \
	"$("$GRAFT" detach --all 2>&1; echo $?) "
check "and nothing was mounted or loaded" test ! -e "$PINS"

# --- what is there -------------------------------------------------------------------------

check "attach" "$GRAFT" attach --rule "$DENY" "$TOP/app"
check "attach below" "$GRAFT" attach --rule "$DENY" "$TOP/app/below"
check "attach, of another build" "$FEW" attach --rule "$DENY" "$TOP/few"
check "attach, to one that will be removed" "$GRAFT" attach --rule "$DENY" "$TOP/gone"
# shellcheck disable=SC2016 # the inner shell's own
start_asking gone sh -c 'echo $$ >"$0/gone/cgroup.procs" && exec "$@"' "$TOP"
exec 8>"$T/gone.in"
check "a socket is made there" within "$LIMIT" grep -q ready "$T/gone.log"
echo "${PID_OF[gone]}" >"$TOP/cgroup.procs"
check "it is removed" within "$LIMIT" rmdir "$TOP/gone"
start_asking run "$GRAFT" run --engine cgroup --rule "$DENY" --
exec 9>"$T/run.in"
check "a run is on its way" within "$LIMIT" grep -q ready "$T/run.log"
run=$(sed -n 's,^0::\(.*/graft-run-.*\),\1,p' "/proc/$(pgrep -n -f ask.py)/cgroup")
for own in "$PINS"/*/; do
	bpftool map dump pinned "$own/graft_judged" | grep -q "$(stat -c %i "$TOP/app")" && break
done
check "a program without a policy is left" bpftool cgroup attach "$TOP/left" connect4 \
	pinned "$own/graft_connect4" multi
mkdir /sys/fs/bpf/foreign
check "somebody else's, of the same name" bpftool prog loadall "$BUILD/tests/cgroup/foreign.bpf.o" \
	/sys/fs/bpf/foreign
check "is on a cgroup of ours, too" bpftool cgroup attach "$TOP/app" connect4 \
	pinned /sys/fs/bpf/foreign/graft_connect4 multi

equal "judged before: there, below, by another build" "ENETDOWN ENETDOWN ENETDOWN" \
	"$(for cgroup in app app/below few; do ask "$TOP/$cgroup" | cut -d ' ' -f 1; done | xargs)"
echo >&8
check "and by where a socket was made" within "$LIMIT" grep -q 'ENETUNREACH ENETDOWN' "$T/gone.log"

# --- all of it goes ------------------------------------------------------------------------

all=$(printf '%s\n' "$below/app" "$below/app/below" "$below/few" "$below/left" | sort)
equal "--dry-run says which" "$all" "$("$GRAFT" detach --all --dry-run 2>"$T/err" | sort)"
contains "and that a run keeps its own" "^graft detach: runs that go on keep their policies" \
	"$(cat "$T/err")"
equal "and takes none" "ENETDOWN 2" "$(ask "$TOP/few" | cut -d ' ' -f 1) $(pinned)"
equal "--all: which" "$all" "$("$GRAFT" detach --all 2>"$T/err" | sort)"
contains "and that a run keeps its own" "^graft detach: runs that go on keep their policies" \
	"$(cat "$T/err")"
equal "no longer judged: there, below, by another build" "ENETUNREACH ENETUNREACH ENETUNREACH" \
	"$(for cgroup in app app/below few; do ask "$TOP/$cgroup" | cut -d ' ' -f 1; done | xargs)"
: >"$T/gone.log"
echo >&8
check "nor by where a socket was made" within "$LIMIT" grep -q 'ENETUNREACH ENETUNREACH' \
	"$T/gone.log"
equal "no program is on them, but what is somebody else's" "1 0 0 0" \
	"$(for cgroup in app app/below few left; do programs_on "$TOP/$cgroup"; done | xargs)"
equal "the other build's pins are gone" 1 "$(pinned)"
echo >&9
check "the run is judged still" within "$LIMIT" grep -q 'ENETDOWN ENETDOWN' "$T/run.log"
check "by a policy that can be asked" "$GRAFT" stat "$run"

# --- once the run is over ------------------------------------------------------------------

exec 8>&- 9>&-
status_of run
status_of gone
equal "once the run is over: nothing to name, nothing to say" "" "$("$GRAFT" detach --all 2>&1)"
equal "and nothing is pinned" 0 "$(pinned)"
if "$GRAFT" attach --rule 'connect unix @none = deny' "$TOP/few" 2>"$T/err"; then
	equal "programs for UNIX sockets are there" 4 "$(unix_programs_on "$TOP/few")"
	check "go" "$GRAFT" detach --all
	equal "and are not there any more" 0 "$(unix_programs_on "$TOP/few")"
fi
check "a policy is attached afresh" "$GRAFT" attach --rule "$DENY" "$TOP/app"
equal "and judges" ENETDOWN "$(ask "$TOP/app" | cut -d ' ' -f 1)"
fails "--all beside a cgroup" 2 "name a CGROUP, or --all" "$GRAFT" detach --all "$TOP/app"
fails "--dry-run alone" 2 "goes with --all" "$GRAFT" detach --dry-run "$TOP/app"
fails "an ordinary user" 1 "take root" setpriv --reuid 65534 --regid 65534 --clear-groups \
	"$GRAFT" detach --all
check "in the end" "$GRAFT" detach --all
equal "nothing is pinned" 0 "$(pinned)"
finish
