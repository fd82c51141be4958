# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the scripts of tests/net share. A script sources this file and calls enter_host,
# which starts it again in namespaces of its own:
#
#	root's network          never touched
#	+-- "the host"          network, mount and pid namespace made by enter_host
#	    |   lo, outside0 (10.77.0.1/24, fd77::1/64), an empty /run that holds $T,
#	    |   root's with a BPF file system of its own
#	    +-- graft run PROG  as root, and as an ordinary user (uid 65534)
#
# Everything started here lives in that pid namespace, so the kernel ends it with the
# script however the script ends.
#
# Environment: GRAFT, the graft binary (default: the one under build/); ENGINE, auto,
# notify ..., judged for notify where the kernel judges, native to run the same programs on plain sockets of "the host", or graftd to
# run them with the preload library and graftd (engine_graftd.sh).
# Output is TAP. Exit status: 0 passed, 1 failed, 77 skipped.
set -u

HOST4=10.77.0.1
HOST6=fd77::1
ENGINE=${ENGINE-auto}
USERS=${USERS-root user}
LIMIT=${LIMIT-30} # seconds until a wait or a foreground program is given up
LIB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SOURCE_DIR=${LIB_DIR%/tests}
PYTHON=/usr/bin/python3
# A caller's own directories, and files, may be closed to the ordinary user.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022

COUNT=0
FAILED=0
declare -A PID_OF=()
CMD=()

# --- results -----------------------------------------------------------------------

comment()
{
	printf '# %s\n' "${*//$'\n'/$'\n'# }"
}

ok()
{
	COUNT=$((COUNT + 1))
	echo "ok $COUNT - $*"
}

not_ok() # NAME [DETAIL]
{
	COUNT=$((COUNT + 1))
	FAILED=$((FAILED + 1))
	echo "not ok $COUNT - $1"
	[ -z "${2-}" ] || comment "$2"
}

skip_point() # NAME REASON: one point is skipped, the script goes on
{
	COUNT=$((COUNT + 1))
	echo "ok $COUNT - $1 # SKIP $2"
}

skip() # REASON: the whole script is skipped
{
	echo "1..0 # SKIP $*"
	exit 77
}

die()
{
	echo "Bail out! $*"
	exit 1
}

# check NAME COMMAND...: the command's status decides; its output is shown on failure.
check()
{
	local name=$1 output status
	shift
	output=$("$@" 2>&1)
	status=$?
	if [ "$status" = 0 ]; then
		ok "$name"
		return 0
	fi
	not_ok "$name" "status $status from: $*
$(tail -n 25 <<<"$output")"
	dump_logs
	return 1
}

# equal NAME WANTED GOT
equal()
{
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "wanted: $2
got:    $3"
		dump_logs
	fi
}

# contains NAME PATTERN TEXT: TEXT holds a match of the extended regular expression.
contains()
{
	if grep -Eq -- "$2" <<<"$3"; then
		ok "$1"
	else
		not_ok "$1" "no match of: $2
in: $(tail -n 15 <<<"$3")"
		dump_logs
	fi
}

dump_logs()
{
	local name
	for name in "${!PID_OF[@]}"; do
		comment "--- end of $name.log"
		comment "$(tail -n 6 "$T/$name.log" 2>/dev/null)"
	done
}

finish()
{
	stop_all
	echo "1..$COUNT"
	[ "$FAILED" = 0 ] || exit 1
	exit 0
}

# --- the host of the test ------------------------------------------------------------

enter_host()
{
	if [ -z "${GRAFT_TEST_INSIDE-}" ]; then
		local flags=(--net --mount --pid --fork --kill-child --mount-proc
			--propagation private)
		[ "$(id -u)" = 0 ] || flags=(--user --map-root-user "${flags[@]}")
		unshare "${flags[@]}" true 2>/dev/null ||
			skip "no network, mount and pid namespaces for this user here"
		GRAFT_TEST_CAPABLE=$([ "$(id -u)" = 0 ] && echo root || echo user)
		export GRAFT_TEST_INSIDE=1 GRAFT_TEST_CAPABLE
		exec unshare "${flags[@]}" -- "$BASH" "$0" "$@"
	fi
	trap leave_host EXIT
	trap 'exit 1' INT TERM HUP
	mount -t tmpfs -o mode=755 graft-test /run || die "cannot mount over /run"
	# What others have pinned is not ours to see, nor ours theirs.
	[ "$(id -u)" != 0 ] || mount -t bpf graft-test /sys/fs/bpf 2>/dev/null
	T=/run/test
	prepare_files
	prepare_network
	# The ordinary user may not be able to come back to where the caller is.
	cd "$T" || die "cannot enter $T"
	[ "$ENGINE" != graftd ] || prepare_engine_graftd
}

leave_host()
{
	local status=$?
	trap - EXIT
	stop_all
	exit "$status"
}

# The programs and files an ordinary user must be able to read are copied: the build
# tree may well be under /root.
prepare_files()
{
	mkdir -p "$T/bin" "$T/homes/root" "$T/homes/user" "$T/xdg/root" "$T/xdg/user"
	chmod 700 "$T"/homes/* "$T"/xdg/*
	cp "$LIB_DIR"/net/*.py "$T/bin/" 2>/dev/null
	chmod -f 644 "$T"/bin/*.py
	if [ "$ENGINE" != native ]; then
		GRAFT=${GRAFT-$SOURCE_DIR/build/src/ctl/graft}
		[ -x "$GRAFT" ] || die "no graft at $GRAFT; build it or set GRAFT"
		cp "$GRAFT" "$T/bin/graft" && chmod 755 "$T/bin/graft"
		# `graft run --engine preload` looks for it beside itself.
		LIBRARY=${LIBRARY-${GRAFT%/*}/../intercept/libgraft-hijack.so}
		[ ! -e "$LIBRARY" ] || cp "$LIBRARY" "$T/bin/libgraft-hijack.so"
	fi
	GRAFT=$T/bin/graft
	if [ "$GRAFT_TEST_CAPABLE" = root ]; then
		chown 65534:65534 "$T/homes/user" "$T/xdg/user"
	else
		chmod 777 "$T/homes/user" "$T/xdg/user"
	fi
}

prepare_network()
{
	ip link set lo up || die "cannot bring lo up"
	if ip link add outside0 type dummy 2>/dev/null; then
		:
	elif ip link add outside0 type veth peer name outside1 2>/dev/null; then
		ip link set outside1 up
	fi
	if [ -e /sys/class/net/outside0 ] || ip link show outside0 >/dev/null 2>&1; then
		OUTSIDE=outside0
	else
		OUTSIDE=lo
	fi
	ip link set "$OUTSIDE" up
	ip addr add "$HOST4/24" dev "$OUTSIDE" || die "cannot add $HOST4"
	ip -6 addr add "$HOST6/64" dev "$OUTSIDE" nodad || die "cannot add $HOST6"
}

# need PROGRAM...: skips the script when one is missing.
need()
{
	local program
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# As root a program changes user, which takes more of root than a user can map.
root_needs_root()
{
	[ "$GRAFT_TEST_CAPABLE" = root ] || USERS=user
}

need_engine()
{
	[ "$ENGINE" != native ] || skip "nothing to test without an engine"
}

# Settings of "the host" that programs read. replace_file PATH reads the text from
# standard input and is undone by leaving the mount namespace.
replace_file()
{
	local file=$T/etc/${1##*/} target
	mkdir -p "$T/etc"
	cat >"$file"
	chmod "${2-644}" "$file"
	target=$(readlink -f "$1")
	[ -e "$target" ] || die "$1 does not exist here"
	mount --bind "$file" "$target" || die "cannot replace $1"
}

# --- users and engines ---------------------------------------------------------------

# identity root|user -> IDENTITY, a prefix that changes user and then executes.
identity()
{
	# A background command of a shell without job control ignores SIGINT.
	IDENTITY=(env '--default-signal=INT,QUIT' HOME="$T/homes/$1"
		XDG_RUNTIME_DIR="$T/xdg/$1")
	[ "$1" = user ] || return 0
	if [ "$GRAFT_TEST_CAPABLE" = root ]; then
		IDENTITY=(setpriv --reuid=65534 --regid=65534 --clear-groups
			"${IDENTITY[@]}")
	else
		IDENTITY=(unshare --user --map-user=65534 --map-group=65534
			"${IDENTITY[@]}")
	fi
}

# Makes a directory of $WHO's own.
own_dir()
{
	mkdir -p "$@"
	if [ "$WHO" = user ]; then
		if [ "$GRAFT_TEST_CAPABLE" = root ]; then
			chown 65534:65534 "$@"
		else
			chmod 777 "$@"
		fi
	fi
}

# grafted [RUN-OPTION...] -- PROGRAM [ARG...] -> CMD, run as $WHO by $ENGINE.
grafted()
{
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	identity "$WHO"
	case $ENGINE in
	native) CMD=("${IDENTITY[@]}" "$@") ;;
	graftd) graftd_command "${options[@]}" -- "$@" ;;
	judged) # by the kernel, which takes root
		CMD=("${IDENTITY[@]}" "$GRAFT" run --engine notify --rule 'loopback own'
			--rule 'connect any 0.0.0.0/0 = host'
			--rule 'connect any [::]/0 = host' "${options[@]}" -- "$@")
		;;
	auto) CMD=("${IDENTITY[@]}" "$GRAFT" run "${options[@]}" -- "$@") ;;
	*) CMD=("${IDENTITY[@]}" "$GRAFT" run --engine "$ENGINE" "${options[@]}" -- "$@") ;;
	esac
}

# The port a server asks for: its own with an engine, the host's without one.
inside() # HOST-PORT OWN-PORT
{
	if [ "$ENGINE" = native ]; then echo "$1"; else echo "$2"; fi
}

# each_user FUNCTION: runs it as $WHO = root and $WHO = user.
each_user()
{
	for WHO in $USERS; do
		"$1"
		stop_all
	done
}

# --- processes -------------------------------------------------------------------------

# spawn NAME COMMAND...: in the background, output in $T/NAME.log, pid in PID_OF[NAME].
spawn()
{
	local name=$1
	shift
	: >"$T/$name.log"
	"$@" </dev/null >>"$T/$name.log" 2>&1 &
	PID_OF[$name]=$!
}

# start NAME [RUN-OPTION...] -- PROGRAM...: a grafted program in the background.
start()
{
	local name=$1
	shift
	grafted "$@"
	spawn "$name" "${CMD[@]}"
}

# try [RUN-OPTION...] -- PROGRAM...: a grafted program in the foreground.
try()
{
	grafted "$@"
	timeout --foreground -k 2 "$LIMIT" "${CMD[@]}"
}

# host COMMAND...: on the host's side, with the same time limit.
host()
{
	timeout --foreground -k 2 "$LIMIT" "$@"
}

# within SECONDS COMMAND...: waits until the command succeeds.
within()
{
	local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		((${EPOCHREALTIME/[.,]/} < end)) || return 1
		sleep 0.02
	done
}

is_listening() # tcp|udp PORT
{
	[ -n "$(ss -Hln "--$1" "sport = :$2" 2>/dev/null)" ]
}

can_connect() # HOST PORT
{
	(exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}

is_gone() # PID: ended; a zombie counts
{
	local state
	state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
	[ -z "$state" ] || [ "$state" = Z ]
}

# await NAME COMMAND...: until the command succeeds or the process NAME ends.
await()
{
	local name=$1 end=$((${EPOCHREALTIME/[.,]/} + LIMIT * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		if is_gone "${PID_OF[$name]}" || ((${EPOCHREALTIME/[.,]/} >= end)); then
			"$@" >/dev/null 2>&1 && return 0
			not_ok "$name comes up (${WHO-host})" "waited for: $*
$(tail -n 15 "$T/$name.log")"
			return 1
		fi
		sleep 0.02
	done
}

# Without touching the server: some count or log every connection.
wait_for_listener() # NAME PORT [udp]
{
	await "$1" is_listening "${3-tcp}" "$2"
}

wait_for_port() # NAME HOST PORT
{
	await "$1" can_connect "$2" "$3"
}

# stop NAME: SIGTERM, then SIGKILL after a while. Returns 1 when it took the latter.
stop()
{
	local pid=${PID_OF[$1]-} status=0
	[ -n "$pid" ] || return 0
	kill -TERM "$pid" 2>/dev/null
	if ! within 10 is_gone "$pid"; then
		kill -KILL "$pid" 2>/dev/null
		status=1
	fi
	{ wait "$pid"; } 2>/dev/null
	unset "PID_OF[$1]"
	return "$status"
}

stop_all()
{
	local name
	for name in "${!PID_OF[@]}"; do
		stop "$name" || comment "$name had to be killed"
	done
}

# status_of NAME: waits for it to end by itself -> STATUS (124: it did not).
status_of()
{
	local pid=${PID_OF[$1]}
	if within "$LIMIT" is_gone "$pid"; then
		{ wait "$pid"; } 2>/dev/null
		STATUS=$?
	else
		kill -KILL "$pid"
		STATUS=124
	fi
	unset "PID_OF[$1]"
}

# It reads this file in turn, which shellcheck would follow without end.
# shellcheck source=/dev/null
[ "$ENGINE" != graftd ] || . "$LIB_DIR/engine_graftd.sh"

# For the http block of an nginx whose files are in $T/nginx.
nginx_paths()
{
	cat <<END
client_body_temp_path $T/nginx/body;
	proxy_temp_path $T/nginx/proxy;
	fastcgi_temp_path $T/nginx/fastcgi;
	uwsgi_temp_path $T/nginx/uwsgi;
	scgi_temp_path $T/nginx/scgi;
END
}

# An nginx at port 80 that says hello; its files are in $T/nginx.
hello_config()
{
	cat <<END
daemon off;
worker_processes 2;
pid $T/nginx/pid;
error_log stderr notice;
events { worker_connections 512; }
user root root;
http {
	access_log off;
	$(nginx_paths)
	server { listen 80; location / { return 200 "hello\n"; } }
}
END
}

# Builds tests/net/go, static -> GO_PEER, a file of that NAME beside the cache of Go, which is in
# the build tree. To be called before enter_host.
build_go_peer() # NAME
{
	local cache=${MESON_BUILD_ROOT:-$SOURCE_DIR/build}/tests/net/go
	mkdir -p "$cache" || die "cannot write to $cache"
	export GO_PEER=$cache/$1
	(cd "$SOURCE_DIR/tests/net/go" && GOCACHE=$cache/cache GOPATH=$cache/path \
		GOFLAGS=-mod=mod GOTOOLCHAIN=local GO111MODULE=off CGO_ENABLED=0 HOME=$cache \
		go build -o "$GO_PEER" main.go) || die "go build failed"
}
