#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# graft check and graft explain from the outside: output, exit status, order of options.
# policy_commands.sh GRAFT
set -u

graft=$(realpath "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
n=0
failed=0

# expect NAME STATUS EXPECTED-OUTPUT COMMAND...: stdout and stderr together
expect() {
	local name=$1 status=$2 expected=$3 output got
	shift 3
	output=$("$@" 2>&1)
	got=$?
	n=$((n + 1))
	if [ "$output" = "$expected" ] && [ "$got" = "$status" ]; then
		echo "ok $n - $name"
		return
	fi
	failed=1
	echo "not ok $n - $name"
	printf 'status %s, expected %s\n%s\n--- expected\n%s\n' \
		"$got" "$status" "$output" "$expected" | sed 's/^/# /'
}

cat >good.conf <<-'END'
	endpoint web ipv4 127.0.0.1:8080  # the server
	bind tcp 0.0.0.0:80=web
END
cat >more.conf <<-'END'
	bind tcp [::]:80 = web
END
cat >settings.conf <<-'END'
	shortcut on
	bind any 1.2.3.4 = own
END
cat >bad.conf <<-'END'
	bind tcp 0.0.0.0:70000 = web
	bind tcp 0.0.0.0:80 = wbe
END

expect "a good file says nothing" 0 "" "$graft" check good.conf
expect "files make one policy and print back" 0 "endpoint web ipv4 127.0.0.1:8080
bind tcp 0.0.0.0:80 = web
bind tcp [::]:80 = web" "$graft" check --print good.conf more.conf
cat >paths.conf <<-'END'
	endpoint db unix /srv/db.sock
	connect unix /run/db.sock=db
	connect unix @x* = own
	connect unix * = deny
END
expect "rules on UNIX paths print back" 0 "endpoint db unix /srv/db.sock
connect unix /run/db.sock = db
connect unix @x* = own
connect unix * = deny" "$graft" check --print paths.conf
alone="engine: cgroup, and no other, as there are rules on UNIX paths"
expect "a path that leads to an endpoint" 0 "rule paths.conf:2 'connect unix /run/db.sock = db' matches; the path becomes /srv/db.sock
$alone" "$graft" explain --policy paths.conf connect unix /run/db.sock
expect "one that goes on" 0 "rule paths.conf:3 'connect unix @x* = own' matches; the call goes on as it is
$alone" "$graft" explain --policy paths.conf connect unix @xy
expect "one that is denied" 1 "rule paths.conf:4 'connect unix * = deny' matches; the call fails with EACCES
$alone" "$graft" explain --policy paths.conf connect unix run/db.sock
expect "one without a rule" 0 "no rule matches; the call goes on as it is
engine: none needed; no rule moves or denies a socket" "$graft" explain connect unix /x
expect "bind is no such question" 2 \
	"graft explain: no rule is for bind to a UNIX path, as the kernel has no hook for it" \
	"$graft" explain bind unix /x
expect "another engine is refused at once" 2 \
	"graft: paths.conf:2:1: UNIX paths are judged by the cgroup engine alone: --engine cgroup or graft attach, Linux 6.7 or later" \
	"$graft" run --policy paths.conf -- true
expect "every mistake is told of" 2 "bad.conf:1:18: port 70000 is not in 0-65535
bad.conf:2:23: endpoint 'wbe' is not defined; did you mean 'web'?" \
	"$graft" check --print good.conf bad.conf
cat >registry.conf <<-'END'
	bind tcp 0.0.0.0:80 = wbe
	connect any 10.0.0.0/8 = from out
END
expect "a name of the registry is a mistake unless it is said to be none" 2 \
	"registry.conf:1:23: endpoint 'wbe' is not defined; did you mean 'web'?
registry.conf:2:31: endpoint 'out' is not defined" "$graft" check good.conf registry.conf
expect "names of the registry" 0 "endpoint web ipv4 127.0.0.1:8080
# endpoint wbe is in graftd's registry
# endpoint out is in graftd's registry
bind tcp 0.0.0.0:80 = web
bind tcp 0.0.0.0:80 = wbe
connect any 10.0.0.0/8 = from out" "$graft" check --print --registry good.conf registry.conf
expect "a missing file" 2 "none.conf: No such file or directory" "$graft" check none.conf
truncate -s 65M large.conf
expect "a file too large" 2 "large.conf: larger than the 64 MiB a policy file may have" \
	"$graft" check large.conf

expect "explain a file's rule" 0 \
	"rule good.conf:2 'bind tcp 0.0.0.0:80 = web' matches; the socket is made in the host's stack and bound to 127.0.0.1:8080
engine: notify; traps bind connect listen sendto(MSG_FASTOPEN) sendmsg(MSG_FASTOPEN) sendmmsg(MSG_FASTOPEN) socket(AF_GRAFT)
engine af_graft, only if asked for, as it takes root and the kernel module: at 'web'" \
	"$graft" explain --policy good.conf bind tcp 0.0.0.0:80
expect "rules before -p before -i before pairs before -e" 0 \
	"rule --rule:1 'connect any 127.0.0.1:80 = own' matches; the socket stays in the program's own stack
engine: notify; traps socket bind connect listen sendto sendmsg sendmmsg socket(AF_GRAFT)" \
	"$graft" explain -e 0.0.0.0/0=host --bound -p 8080:80 \
	--rule 'connect any 127.0.0.1:80 = own' connect tcp 127.0.0.1:80
expect "-p before -i wherever they stand" 0 \
	"rule -p 8080:80 'bind tcp 0.0.0.0:80 = pub-tcp-8080-4' matches; the socket is made in the host's stack and bound to 0.0.0.0:8080
engine: notify; traps bind connect listen sendto sendmsg sendmmsg socket(AF_GRAFT)
engine af_graft, only if asked for, as it takes root and the kernel module: at 'pub-tcp-8080-4'" \
	"$graft" explain -i 0.0.0.0:80=deny -p 8080:80 bind tcp 0.0.0.0:80
expect "pairs before -e" 1 \
	"rule GRAFT_CONV_PAIRS 10.0.0.1:80=deny 'connect any 10.0.0.1:80 = deny' matches; the call fails with EACCES
engine: notify; traps socket bind connect listen sendto sendmsg sendmmsg socket(AF_GRAFT)" \
	env GRAFT_CONV_PAIRS=10.0.0.1:80=deny "$graft" explain -e 0.0.0.0/0=host \
	connect tcp 10.0.0.1:80
expect "the older variables" 0 \
	"rule GRAFT_INGRESS_CONVERT 0.0.0.0:1-99=web 'bind any 0.0.0.0:1-99 = web' matches; the socket is made in the host's stack and bound to 127.0.0.1:8080
engine: notify; traps socket bind connect listen sendto sendmsg sendmmsg socket(AF_GRAFT)
engine af_graft, only if asked for, as it takes root and the kernel module: at 'web'" \
	env GRAFT_INGRESS_CONVERT=0.0.0.0:1-99=web GRAFT_EGRESS_CONVERT=0.0.0.0/0=host \
	"$graft" explain --rule 'endpoint web ipv4 127.0.0.1:8080' bind tcp 0.0.0.0:80
expect "-e and GRAFT_EGRESS_CONVERT, then GRAFT_BBCONN" 1 \
	"rule GRAFT_EGRESS_CONVERT 10.0.0.0/8=deny 'connect any 10.0.0.0/8 = deny' matches; the call fails with EACCES
engine: notify; traps socket bind connect listen sendto sendmsg sendmmsg socket(AF_GRAFT)" \
	env GRAFT_EGRESS_CONVERT=10.0.0.0/8=deny GRAFT_BBCONN=host "$graft" explain \
	-e 10.0.0.0/7=own connect tcp 10.0.0.1:80
expect "an endpoint of the registry" 0 \
	"rule -i 0.0.0.0:80=wbe 'bind any 0.0.0.0:80 = wbe' matches; endpoint 'wbe' is looked up in graftd's registry when the call is made
engine: notify; traps bind connect listen sendto sendmsg sendmmsg setsockopt(IPPROTO_TCP) socket(AF_GRAFT)
engine af_graft, only if asked for, as it takes root and the kernel module: at 'wbe'" \
	"$graft" explain --policy good.conf -i 0.0.0.0:80=wbe -i 0.0.0.0:81=web \
	bind udp 0.0.0.0:80
expect "one bad pair" 2 \
	"graft: GRAFT_INGRESS_CONVERT 0.0.0.0=x: '0.0.0.0' has no port; expected ADDR:PORT" \
	env GRAFT_INGRESS_CONVERT='0.0.0.0:1=host 0.0.0.0=x' "$graft" explain \
	bind tcp 0.0.0.0:80
expect "nothing to do" 0 "no rule matches; the socket stays in the program's own stack
engine: none needed; no rule moves or denies a socket" \
	"$graft" explain connect udp '[2001:db8::1]:53'
expect "a bad policy" 2 "graft: -p 80:x: port 'x' is not a number" \
	"$graft" explain -p 80:x bind tcp 0.0.0.0:80
expect "a bad address" 2 \
	"graft explain: '1.2.3.4' is not ADDR:PORT (an IPv6 ADDR stands in brackets)" \
	"$graft" explain bind tcp 1.2.3.4
expect "a missing policy file" 2 "graft: none.conf: No such file or directory" \
	"$graft" explain --policy none.conf bind tcp 0.0.0.0:80

# shellcheck disable=SC2317  # called by expect
json() {
	"$graft" explain --json --v6only -p 127.0.0.1:8080:80 bind tcp '[::]:80' |
		python3 -c 'import json, sys
d = json.load(sys.stdin)
print(d["verdict"], d["reason"], d["passed_over"], d["traps"])'
}
expect "json" 0 "own unservable bind tcp [::]:80 = pub-tcp-8080-127.0.0.1 \
['bind', 'connect', 'listen', 'sendto(MSG_FASTOPEN)', 'sendmsg(MSG_FASTOPEN)', 'sendmmsg(MSG_FASTOPEN)', 'socket(AF_GRAFT)']" json

# shellcheck disable=SC2317  # called by expect
json_registry() {
	"$graft" explain --json -e 10.0.0.0/8=out connect tcp 10.0.0.1:80 |
		python3 -c 'import json, sys
d = json.load(sys.stdin)
print(d["verdict"], d["endpoint"], d["registry"], "address" in d)'
}
expect "json of an endpoint of the registry" 0 "from out True False" json_registry

expect "a setting, and what it is for" 0 \
	"no rule matches; the socket stays in the program's own stack
engine: none needed; no rule moves or denies a socket
engine cgroup or notify, of root's: 'shortcut on', by --rule:1" \
	"$graft" explain --rule 'shortcut on' connect tcp 10.0.0.1:80
expect "a setting that contradicts another" 2 \
	"graft: --rule:1:1: shortcut is on already, by settings.conf:1" \
	"$graft" explain --policy settings.conf --rule 'shortcut off' connect tcp 10.0.0.1:80
expect "a setting prints back" 0 "shortcut on
bind any 1.2.3.4 = own" "$graft" check --print settings.conf

# shellcheck disable=SC2317  # called by expect
json_settings() {
	"$graft" explain --json --policy settings.conf connect tcp 10.0.0.1:80 |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["settings"])'
}
expect "json of settings" 0 "{'shortcut': 'on', 'loopback': 'host'}" json_settings

echo "1..$n"
exit $failed
