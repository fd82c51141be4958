#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Bad input gets exit status 2 and one line on standard error that names what is wrong,
# and the program is not run. What is right but cannot work now gets one line, and the
# program is run.
. "$(dirname "$0")/../lib.sh"
need_engine # there is no command line to judge
enter_host "$@"
need ip

bad() # PATTERN COMMAND...: arguments of graft
{
	local pattern=$1 status lines
	shift
	identity user
	rm -f "$T/homes/user/ran"
	timeout 10 "${IDENTITY[@]}" "$GRAFT" "$@" </dev/null >"$T/out" 2>"$T/err"
	status=$?
	lines=$(wc -l <"$T/err")
	if [ "$status" = 2 ] && [ "$lines" = 1 ] && [ ! -s "$T/out" ] &&
		[ ! -e "$T/homes/user/ran" ] && grep -Eiq -- "$pattern" "$T/err"; then
		ok "graft $*"
	else
		not_ok "graft $*" "status $status, $lines lines, wanted 2, 1 and: $pattern
$(head -n 5 "$T/err")
$(head -n 2 "$T/out")"
	fi
}

run() # PATTERN [RUN-OPTION...]
{
	local pattern=$1
	shift
	bad "$pattern" run "$@" -- touch "$T/homes/user/ran"
}

policy() # LINE:COLUMN, or LINE TEXT: a file with this text is refused there
{
	printf '%s\n' "$2" >"$T/bad.conf"
	run "bad.conf:$1" --policy "$T/bad.conf"
	bad "bad.conf:$1" check "$T/bad.conf"
}

warned() # PATTERN, or "" for no line; [RUN-OPTION...]
{
	local pattern=$1 status
	shift
	identity user
	rm -f "$T/homes/user/ran"
	timeout 10 "${IDENTITY[@]}" "$GRAFT" run "$@" -- touch "$T/homes/user/ran" \
		</dev/null >"$T/out" 2>"$T/err"
	status=$?
	equal "graft run $*: status and lines" "0 $([ -z "$pattern" ] && echo 0 || echo 1)" \
		"$status $(wc -l <"$T/err")"
	[ -z "$pattern" ] || contains "graft run $*: the line" "$pattern" "$(<"$T/err")"
	check "graft run $*: the program ran" [ -e "$T/homes/user/ran" ]
}

bad 'program' run
bad 'program' run -p 8080:80
bad 'program' run --
bad 'frobnicate' frobnicate
run 'no-such-option' --no-such-option
bad 'argument|requires|policy' run --policy
run '70000' -p 70000:80
run '99999' -p 8080:99999
run 'abc' -p abc
run '8080:' -p 8080:
run 'sctp' -p 8080:80/sctp
run '300' -p 300.1.1.1:8080:80
run '9000-9010' -p 9000-9010:80-81
run '9010-9000' -p 9010-9000:80-90
run '::1' -p ::1:8080:80
run '33' -e 10.0.0.0/33=host
run '129' -e ::/129=host
run '10.0.0.0/8' -e 10.0.0.0/8
run '0.0.0.0' -i 0.0.0.0=host
run 'quic' --engine quic
run 'shortcut is on already, by --rule:1' --rule 'shortcut on' --rule 'shortcut off'
warned "--rule:1: 'shortcut on' is for root; notify goes on without" \
	--rule 'shortcut on'
warned '' --rule 'shortcut off'
run 'maybe' --dns maybe
run 'listen' --rule 'listen tcp 0.0.0.0:80 = host'
run 'icmp' --rule 'bind icmp 0.0.0.0:80 = host'
run 'EWHAT' --rule 'connect tcp 10.0.0.1 = deny:EWHAT'
run '=' --rule 'bind tcp 0.0.0.0:80 host'
run 'such|exist' --policy "$T/no/such/file"
run 'directory' --policy "$T"
policy 1:18 'bind tcp 0.0.0.0:70000 = host'
printf '# a comment\nbind tcp 0.0.0.0:80 = nobody\n' >"$T/bad.conf"
bad 'bad.conf:2:' check "$T/bad.conf"
policy 1: 'endpoint web ipv4 127.0.0.1'
policy 1: 'endpoint web ipv5 127.0.0.1:80'
policy 2: 'endpoint web ipv4 127.0.0.1:80
endpoint web ipv4 127.0.0.1:81'
policy 1: 'endpoint web unix relative/path'
policy 1: "endpoint web unix /$(printf 'x%.0s' {1..120})"
policy 1: 'connect tcp 2001:db8::1:80 = host'
policy 1: 'connect tcp [2001:db8::1:80 = host'
policy 3: '

nonsense'
GRAFT_CONV_PAIRS="0.0.0.0=x" run 'GRAFT_CONV_PAIRS 0.0.0.0=x'
GRAFT_INGRESS_CONVERT="0.0.0.0:1=a 0.0.0.0:70000=b" run 'INGRESS_CONVERT 0.0.0.0:70000=b'
GRAFT_EGRESS_CONVERT="10.0.0.0/8=a" run 'GRAFT_EGRESS_CONVERT' -e 10.0.0.0/8=host
GRAFT_BBCONN="a b" run 'GRAFT_BBCONN b'
bad 'listen' explain -p 8080:80 listen tcp 0.0.0.0:80
bad 'sctp' explain -p 8080:80 bind sctp 0.0.0.0:80
bad '0.0.0.0' explain -p 8080:80 bind tcp 0.0.0.0
bad 'such|exist' check "$T/no/such/file"
warned '' --rule 'endpoint web ipv4 127.0.0.1:84 hold share' \
	--rule 'bind tcp 0.0.0.0:84 = web'
# Not defined is graftd's, and there is none here.
export GRAFT_SOCKET=$T/none/graftd.sock
warned "'nowhere'.*none/graftd.sock" -e 10.0.0.0/8=nowhere
warned "'nosuch'.*graftd" -i 0.0.0.0:80=nosuch
warned "'missing'.*graftd" --rule 'bind tcp 0.0.0.0:80 = missing'
GRAFT_CONV_PAIRS="0.0.0.0:80=nosuch" warned "'nosuch'.*graftd"
finish
