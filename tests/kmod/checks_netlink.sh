# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Endpoints by netlink: graft's commands with the module, who may, the program of old, what
# is refused, what is told, many of them, and namespaces that come and go. Made with
# tests/kmod/netlink: genl_ask, old_abi and, where it can be built, old_abi32.

IP=$PREFIX/libexec/graft/ip
MANY=${MANY-100000}

# lines TEXT...: each with the blank that `graft show` ends them with
lines()
{
	local line text=
	for line; do
		text+="$line "$'\n'
	done
	printf '%s' "${text%$'\n'}"
}

# shown NAME LINE...: what `graft show` has is this
shown()
{
	local name=$1
	shift
	equal "$name" "$(lines "$@")" "$(graft show 2>&1)"
}

# refused NAME WHAT COMMAND...: with this on stderr, and status 1
refused()
{
	local name=$1 wanted=$2 got
	shift 2
	got=$("$@" 2>&1)
	equal "$name" "1 $wanted" "$? $got"
}

# By its path: busybox has its own of this name, and prefers it.
as_userns_root() # COMMAND...: in network and user namespaces of an ordinary user's own
{
	as_user /usr/bin/unshare -Urn -- "$@"
}

# --- graft add, del, show ----------------------------------------------------------------

netlink_words()
{
	local access="owner uid=1000 binder uid=6,gid=5 connector any"
	load
	ip netns add web
	shown "no endpoint at first"
	check "add" graft add ep-test type ipv4 addr 127.0.0.1 port 8080
	check "add: in a namespace, by pid" graft add out4 type ipv4 netns 1
	check "add: by name" graft add nx4 ipv4 0.0.0.0:dynamic netns web
	check "add: by path" graft add path type ipv4 port 1 netns /run/netns/web
	# shellcheck disable=SC2086 # words
	check "add: ipv6, share, access" graft add six ipv6 '[2001:db8::1]:80' share $access
	check "add: link-local" graft add zone type ipv6 addr fe80::1%1 port 80
	check "add: unix" graft add u type unix path /run/x.sock
	check "add: abstract" graft add abstract type unix path @name
	check "add: without an address" graft add 0123456789abcdef type any netns web
	shown "show: as graftd has them" \
		"ep-test type ipv4 addr 127.0.0.1 port 8080" \
		"out4 type ipv4 addr 0.0.0.0 port dynamic netns 1" \
		"nx4 type ipv4 addr 0.0.0.0 port dynamic netns web" \
		"path type ipv4 addr 0.0.0.0 port 1 netns /run/netns/web" \
		"six type ipv6 addr 2001:db8::1 port 80 share $access" \
		"zone type ipv6 addr fe80::1%1 port 80" \
		"u type unix path /run/x.sock" "abstract type unix path @name" \
		"0123456789abcdef type any netns web"
	graft show >"$T/shown"
	equal "show: one by name" "$(lines "u type unix path /run/x.sock")" "$(graft show u)"
	refused "show: one that is not there" "graft show: x: no such endpoint" graft show x
	contains "show --json" \
		'"port": "dynamic", "bound": null, "netns": "web", .*"idle", "added_by": 0' \
		"$(graft show --json nx4)"
	refused "add: a name that is taken" \
		"graft add: there is an endpoint 'u' already" graft add u type ipv4
	refused "del: one that is not there" "graft del: no endpoint 'x' here" graft del x
	check "del: several" graft del ep-test out4 nx4 path six zone u abstract 0123456789abcdef
	shown "del: they are gone"
	check "add --batch: what show printed" graft add --batch "$T/shown"
	equal "add --batch: the same again" "$(<"$T/shown")" "$(graft show)"
	ip netns del web
	within 10 test "$(graft show | grep -c web)" = 0
	unload
}

# What graftd has and the module has not.
netlink_lacks()
{
	local hold="the module af_graft keeps no sockets; leave the word out, or"
	local access="the module af_graft knows programs by uid= and gid= only; use those, or"
	local graftd="give graftd the endpoint with --socket"
	load
	refused "hold" "graft add: x: hold: $hold $graftd" graft add x type ipv4 hold
	refused "cgroup=" "graft add: x: cgroup=: $access $graftd" \
		graft add x type ipv4 owner cgroup=/a
	refused "netns=" "graft add: x: netns=: $access $graftd" \
		graft add x type ipv4 binder netns=1
	contains "a long name" "'0123456789abcdefg' has 17 characters; .* at most 16" \
		"$(graft add 0123456789abcdefg type ipv4 2>&1)"
	contains "reload" 'this is for graftd, .*; the module af_graft has no configuration' \
		"$(graft reload 2>&1)"
	contains "--socket is graftd's" 'graftd does not answer at /run/none' \
		"$(graft show --socket /run/none 2>&1)"
	contains "GRAFT_SOCKET is graftd's" 'graftd does not answer at /run/none' \
		"$(GRAFT_SOCKET=/run/none graft show 2>&1)"
	shown "nothing was added"
	contains "doctor" 'ok +af-graft-module: is loaded, as address family 4' \
		"$(graft doctor)"
	unload
	contains "without the module it is graftd's" 'graftd does not answer at /run/graft' \
		"$(graft show 2>&1)"
	equal "and nothing was loaded" "" "$(lsmod | grep af_graft)"
	contains "doctor, without it" 'no +af-graft-module: is not loaded' "$(graft doctor)"
}

netlink_ip()
{
	load
	ip netns add web
	check "ip graft add" "$IP" graft add ep-test type ipv4 addr 127.0.0.1 port 8080
	check "ip -netns web gr a" "$IP" -netns web gr a out type ipv4 netns 1
	check "ip -netns web gr a, without netns" "$IP" -netns web gr a here type ipv4
	equal "ip graft show" "$(lines "ep-test type ipv4 addr 127.0.0.1 port 8080")" \
		"$("$IP" gr s)"
	equal "ip -netns web graft show" "$(lines \
		"out type ipv4 addr 0.0.0.0 port dynamic netns 1" \
		"here type ipv4 addr 0.0.0.0 port dynamic")" "$("$IP" -netns web gr s)"
	check "ip graft del" "$IP" graft delete ep-test
	shown "ip graft del: it is gone"
	ip netns del web
	unload
}

# A line that fails, and those before and after it.
netlink_batch()
{
	load
	refused "batch: a line that is refused" "stdin:3: there is an endpoint 'a' already" \
		graft add --batch - <<<$'a type ipv4\nb type ipv4\na type ipv4\nc type ipv4'
	shown "batch: nothing behind it was added" \
		"a type ipv4 addr 0.0.0.0 port dynamic" "b type ipv4 addr 0.0.0.0 port dynamic"
	graft add --force --batch - <<<$'c type ipv4\nb type ipv4 hold\nd type any' \
		2>/dev/null
	equal "batch --force: goes on" "c d" "$(graft show c d | cut -d' ' -f1 | xargs)"
	unload
}

# --- who may -----------------------------------------------------------------------------

netlink_users()
{
	local needs="needs CAP_NET_ADMIN over"
	local there="needs CAP_NET_ADMIN where the endpoint leads to"
	load
	graft add ep-test type ipv4 port 8080
	refused "an ordinary user: add" "graft add: x: $needs your network namespace" \
		as_user graft add x type ipv4
	refused "an ordinary user: del" "graft del: ep-test: $needs your network namespace" \
		as_user graft del ep-test
	equal "an ordinary user: show" \
		"$(lines "ep-test type ipv4 addr 0.0.0.0 port 8080")" "$(as_user graft show)"
	if ! as_userns_root true 2>/dev/null; then
		skip_point "root of a user namespace" "this kernel lets users make none"
		unload
		return
	fi
	equal "root of a user namespace: its own network" \
		"$(lines "x type ipv4 addr 0.0.0.0 port dynamic owner uid=0")" \
		"$(as_userns_root sh -c 'graft add x type ipv4 owner uid=0 && graft show')"
	refused "root of a user namespace: not the host's" "graft add: x: $there" \
		as_userns_root graft add x type ipv4 netns 1
	refused "root of a user namespace: nor by the old commands" "EPERM: $there" \
		as_userns_root genl_ask 0 "1:$(old_endpoint x)"
	contains "root of a user namespace: no user that it has not" \
		'your user namespace has no such user' \
		"$(as_userns_root graft add x type ipv4 owner uid=5 2>&1)"
	equal "root of a user namespace: sees itself as it is" '"added_by": 0' \
		"$(as_userns_root sh -c 'graft add x type ipv4 && graft show --json' |
			grep -o '"added_by": [0-9]*')"
	unload
}

# old_endpoint NAME: struct graft_genl_endpoint of a 64-bit program, without a namespace,
# for 0.0.0.0, in hexadecimal digits
old_endpoint()
{
	local name
	name=$(printf '%s' "$1" | od -An -tx1 | tr -d ' \n')
	# name, netns_path + netns_fd + netns_pid, addrlen 16, AF_INET + the rest
	printf '%-32s%232s%-16s%-256s' "$name" '' 10 02 | tr ' ' 0
}

# --- the bytes ---------------------------------------------------------------------------

netlink_old_abi()
{
	load
	check "the program of old" old_abi
	if has old_abi32; then
		check "the program of old, as 32-bit code" old_abi32
	else
		skip_point "the program of old, as 32-bit code" "the compiler cannot make it"
	fi
	shown "the programs of old left nothing"
	graft add u type unix path /run/x netns 1
	graft add any type any
	check "they see what others added" genl_ask -d 2
	unload
}

# strict NAME WANTED ARGUMENT...: what the kernel says to this request; WANTED with a colon
# at its end where the words are not the module's own
strict()
{
	local name=$1 wanted=$2 got
	shift 2
	got=$(genl_ask "$@" 2>&1)
	[ "${wanted%:}" = "$wanted" ] || got=${got%%:*}:
	equal "strict: $name" "$wanted" "$got"
}

# The numbers are those of <linux/graft.h>; u16 and u32 as this machine has them.
netlink_strict()
{
	load
	strict_attributes
	strict_names
	strict_places
	strict_nested
	strict "a dump of one" "EINVAL:" -d 5 2=a
	strict "one that is not there" "ENOENT: no endpoint of this name" 5 2=nosuch
	strict "an event is no command" "EOPNOTSUPP" 6 2=a
	shown "strict: nothing was added"
	unload
}

strict_attributes()
{
	strict "an attribute nobody knows" "EINVAL:" 3 2=a 3:0200 99:00
	strict "one that only answers have" "EINVAL:" 3 2=a 3:0200 13:0000
	strict "version 0's beside others" "EINVAL:" 3 1:00 2=a 3:0200
	strict "a short family" "EINVAL:" 3 2=a 3:02
	strict "a long family" "EINVAL:" 3 2=a 3:02000000
	strict "flags nobody knows" "EINVAL:" 3 2=a 3:0200 9:02000000
	strict "reserved bytes" "EINVAL:" -r 3 2=a 3:0200
	strict "no name" "EINVAL: name an endpoint: GRAFT_A_NAME is missing" 3 3:0200
	strict "no family" "EINVAL: of which family? GRAFT_A_FAMILY is missing" \
		3 2=a
}

strict_names()
{
	local name
	local bad="a name is [A-Za-z0-9_][A-Za-z0-9_.-]*, 16 at most"
	local size="a name has 1 to 16 characters and one NUL, its end"
	strict "a name of 17" "EINVAL:" 3 2=0123456789abcdefg 3:0200
	strict "an empty name" "EINVAL: $size" 3 2= 3:0200
	strict "a name that goes on" "EINVAL: $size" 3 2:61006200 3:0200
	for name in 'a b' a/b -a .a $'a\nb' $'\xc3\xa4'; do
		strict "the name $(printf %q "$name")" "EINVAL: $bad" 3 "2=$name" 3:0200
	done
}

strict_places()
{
	local family="neither AF_INET, AF_INET6, AF_UNIX nor AF_UNSPEC"
	strict "another family" "EAFNOSUPPORT: $family" 3 2=a 3:0300
	strict "AF_INET, 16 bytes" "EINVAL: an AF_INET address has 4 bytes" \
		3 2=a 3:0200 4:00000000000000000000000000000001
	strict "AF_INET6, 4 bytes" "EINVAL: an AF_INET6 address has 16 bytes" \
		3 2=a 3:0a00 4:7f000001
	strict "an address of 3" "ERANGE:" 3 2=a 3:0200 4:000000
	strict "AF_UNIX with an address" \
		"EINVAL: an address goes with AF_INET and AF_INET6 only" \
		3 2=a 3:0100 4:7f000001 7:2f61
	strict "AF_UNSPEC with a port" "EINVAL: a port goes with AF_INET and AF_INET6 only" \
		3 2=a 3:0000 5:1f90
	strict "AF_INET with a scope" "EINVAL: a scope goes with AF_INET6 only" \
		3 2=a 3:0200 6:01000000
	strict "a scope for ::" "EINVAL: a scope goes with a link-local address only" \
		3 2=a 3:0a00 6:01000000
	strict "a scope for fe80::1" "ok 0" \
		3 2=a 3:0a00 4:fe800000000000000000000000000001 6:01000000
	strict "that one, by its name" "ok 1" 5 2=a
	strict "and gone" "ok 0" 4 2=a
	strict "AF_INET with a path" "EINVAL: a path goes with AF_UNIX only" \
		3 2=a 3:0200 7:2f61
	strict "AF_UNIX without" "EINVAL: an AF_UNIX endpoint has a path: GRAFT_A_PATH" \
		3 2=a 3:0100
	strict "a relative path" "EINVAL: a path begins with '/', an abstract name with NUL" \
		3 2=a 3:0100 7:61
	strict "a NUL in a path" \
		"EINVAL: no NUL in a path but to begin an abstract name" \
		3 2=a 3:0100 7:2f6100
	strict "an abstract name of none" \
		"EINVAL: an abstract name has characters behind its NUL" 3 2=a 3:0100 7:00
}

strict_nested()
{
	local one="give a descriptor or a process, one of the two"
	strict "a namespace by nothing" "EINVAL: $one" 3 2=a 3:0200 0x8008:
	strict "a namespace by both" "EINVAL: $one" 3 2=a 3:0200 \
		0x8008:08000100000000000800020001000000
	strict "no such process" "ESRCH: no process of this number has a network" \
		3 2=a 3:0200 0x8008:08000200ffffff7f
	strict "no such descriptor" "EBADF: not a descriptor of a network namespace" \
		3 2=a 3:0200 0x8008:080001003f030000
	strict "one of something else" "EINVAL: not a descriptor of a network namespace" \
		3 2=a 3:0200 0x8008:0800010000000000
	strict "a nest that does not say so" "EINVAL:" 3 2=a 3:0200 8:0800020001000000
	strict "a rule for nothing" \
		"EINVAL: a rule for what? GRAFT_RULE_A_USES is missing" \
		3 2=a 3:0200 0x800a:0c000b800800020005000000
	strict "a rule for an unknown use" "ERANGE:" \
		3 2=a 3:0200 0x800a:0c000b800800010004000000
	strict "17 rules" "EINVAL: an endpoint has at most 16 rules" 3 2=a 3:0200 \
		"0x800a:$(printf '0c000b800800010001000000%.0s' {1..17})"
}

# --- what is told ------------------------------------------------------------------------

# The first word of each event of NAME in the log LOG.
events_of() # NAME LOG
{
	awk -v name="$1" '$2 == name { print $1 }' "$T/$2.log" | xargs
}

# Events are told from the moment on that it listens, which nothing tells.
listening() # LOG
{
	graft add probe type any
	graft del probe
	grep -q probe "$T/$1.log"
}

has_events() # WANTED NAME LOG
{
	[ "$(events_of "$2" "$3")" = "$1" ]
}

netlink_events()
{
	load
	ip netns add web
	spawn monitor graft monitor
	spawn json graft monitor --json ep
	within 10 listening monitor
	within 10 listening json
	graft add ep type ipv4 addr 127.0.0.1 port 8080 netns web owner uid=12345
	contains "events: nobody may" EACCES "$(as_user old_abi bind ep)"
	graft del ep
	graft add ep type ipv4 addr 127.0.0.1 port 8080
	equal "events: bound" ok "$(old_abi bind ep)"
	equal "events: connected, in vain" ECONNREFUSED "$(old_abi connect ep)"
	graft del ep
	graft add gone type any netns web
	ip netns del web
	check "events: of one, in order" within 10 has_events \
		"add deny del add bind release connect del" ep monitor
	check "events: the end of a namespace is one of its endpoints" within 10 has_events \
		"add del" gone monitor
	contains "events: add has the line" \
		"^add ep uid 0 pid [0-9]+ ep ipv4 127.0.0.1:8080 netns web owner uid=12345\$" \
		"$(<"$T/monitor.log")"
	contains "events: deny has who" '^deny ep uid 1000 pid [0-9]+$' "$(<"$T/monitor.log")"
	contains "events: an end by itself has nobody" '^del gone uid 0$' \
		"$(<"$T/monitor.log")"
	contains "events --json" '^\{ "kind": "deny", "name": "ep", "uid": 1000,' \
		"$(<"$T/json.log")"
	equal "events: of those named only" "" "$(grep -v '"name": "ep"' "$T/json.log")"
	contains "counted" '"n_binds": 0, "n_connects": 0, "n_denied": 0' \
		"$(graft add ep type any && graft show --json ep)"
	stop json
	check "the module goes while somebody listens" unload
	check "the monitor says so" within 10 grep -q 'the module af_graft is gone' \
		"$T/monitor.log"
	load
	check "and that it is back" within 10 grep -q 'the module af_graft is back' \
		"$T/monitor.log"
	check "and goes on" within 10 listening monitor
	stop monitor
	unload
}

# --- many, and namespaces ----------------------------------------------------------------

netlink_many()
{
	local start=${EPOCHREALTIME/[.,]/}
	load
	awk -v n="$MANY" 'BEGIN { while (n-- > 0)
		print "ep-" n " type ipv4 addr 127.0.0.1 port dynamic" }' >"$T/many"
	check "$MANY endpoints: a batch" timeout 600 graft add --batch "$T/many"
	comment "$(((${EPOCHREALTIME/[.,]/} - start) / 1000)) ms"
	start=${EPOCHREALTIME/[.,]/}
	graft show >"$T/all"
	comment "shown in $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) ms"
	equal "$MANY endpoints: all are shown" "$MANY" "$(wc -l <"$T/all")"
	equal "$MANY endpoints: each once" "$MANY" "$(sort -u "$T/all" | wc -l)"
	netlink_moving
	check "$MANY endpoints: rmmod" unload
	rm -f "$T/many" "$T/all"
}

# While others come and go, a dump has each of those that stay once.
netlink_moving()
{
	spawn others sh -c 'while :; do graft add other type any; graft del other; done'
	graft show | grep -v '^other ' >"$T/moving"
	stop others
	check "a dump while others come and go" cmp "$T/all" "$T/moving"
	rm -f "$T/moving"
}

namespaces_alive()
{
	awk '$1 == "net_namespace" { print $2 }' /proc/slabinfo
}

has_namespaces() # N
{
	[ "$(namespaces_alive)" -le "$1" ]
}

has_none()
{
	[ -z "$(graft show)" ]
}

netlink_namespaces()
{
	local name before
	load
	before=$(namespaces_alive)
	for name in a b c; do
		ip netns add $name
		graft add watch-$name type any netns $name
	done
	ip netns exec a graft add to-b type any netns b
	ip netns exec b graft add to-a type any netns a
	ip netns exec c graft add to-itself type any netns c
	ip netns exec c graft add to-host type any netns 1
	ip netns del a
	ip netns del b
	ip netns del c
	check "namespaces that lead into one another end" within 20 has_none
	if [ -n "$before" ]; then
		check "and nothing of them is left" within 20 has_namespaces "$before"
	else
		skip_point "and nothing of them is left" "this kernel does not count namespaces"
	fi
	unload
}
