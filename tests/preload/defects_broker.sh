# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Shell cases of test_defects.sh that are about graftd, its registry and the rules.

# Waits until nothing refers to a network namespace any more: its end of a veth pair is
# gone then, and ours with it.
veth_is_gone()
{
	! ip link show "$1" >/dev/null 2>&1
}

case_endpoint_churn()
{
	local i output status
	"$GRAFT" add churn ipv4 127.0.0.1:17020 owner any
	touch "$T/stop"
	: >"$T/churn.out"
	case_grafted churn >"$T/churn.out" 2>&1 &
	# shellcheck disable=SC2154
	PID_OF[churn]=$!
	for i in {1..100}; do
		"$GRAFT" del churn || wrong "del, round $i"
		"$GRAFT" add churn ipv4 127.0.0.1:17020 owner any || wrong "add, round $i"
		[ ${#WRONG[@]} -lt 3 ] || break
	done
	rm -f "$T/stop"
	status_of churn
	touch "$T/stop"
	# shellcheck disable=SC2153
	is "binds and connects meanwhile" 0 "$STATUS"
	[ "$STATUS" = 0 ] || wrong "$(sort "$T/churn.out" | uniq -c | head -n 5)"
	has "the endpoint afterwards" '^churn ' "$("$GRAFT" show churn)"
	"$GRAFT" del churn
}

case_name_grammar()
{
	local name output
	name=$(printf 'n%.0s' {1..63})
	does "63 characters" "$GRAFT" add "$name" ipv4 127.0.0.1:9900
	has "it is shown" "^$name " "$("$GRAFT" show "$name")"
	does "and goes" "$GRAFT" del "$name"
	output=$("$GRAFT" add "${name}n" ipv4 127.0.0.1:9900 2>&1)
	is "64 characters: status" 2 $?
	has "64 characters: the reason" 'n' "$output"
	is "one line of reason" 1 "$(wc -l <<<"$output")"
	output=$("$GRAFT" add 'a b' ipv4 127.0.0.1:9900 2>&1) && wrong "a blank is taken"
	output=$("$GRAFT" add '' ipv4 127.0.0.1:9900 2>&1) && wrong "no name is taken"
	does "a name with every kind of character" \
		"$GRAFT" add a-b_c.D9 type ipv4 addr 127.0.0.1 port 9900
	does "and it goes" "$GRAFT" del a-b_c.D9
	output=$("$GRAFT" del a-b_c.D9 2>&1) && wrong "del of what is not there says 0"
	has "del of what is not there" 'a-b_c\.D9' "$output"
}

case_netns_cycle()
{
	local name
	make_box one two
	for name in one two; do
		ip link add "v$name" type veth peer name inner netns "$name" ||
			{ SKIPPED="no veth here" && return; }
	done
	# Each at the other, one at itself; from the host and from within.
	does "one at two" "$GRAFT" add c-one ipv4 127.0.0.1:9910 netns one owner any
	does "two at itself" "$GRAFT" add c-two ipv4 127.0.0.1:9911 netns two owner any
	does "within one, at itself" in_box one "$GRAFT" add c-own ipv4 127.0.0.1:9912
	does "one binds in two" in_box one env LD_PRELOAD="$HIJACK" \
		GRAFT_CONV_PAIRS="0.0.0.0:80=c-two" "$PYTHON" -c "$PY_BIND" 80
	does "two binds in one" in_box two env LD_PRELOAD="$HIJACK" \
		GRAFT_CONV_PAIRS="0.0.0.0:80=c-one" "$PYTHON" -c "$PY_BIND" 80
	ip netns del one
	ip netns del two
	"$GRAFT" del c-one 2>/dev/null
	"$GRAFT" del c-two 2>/dev/null
	does "the first namespace is gone" within 15 veth_is_gone vone
	does "the second namespace is gone" within 15 veth_is_gone vtwo
	ip link del vone 2>/dev/null
	ip link del vtwo 2>/dev/null
	return 0
}

# Binds to 0.0.0.0 and a port, and listens: a program of one line.
PY_BIND='import socket, sys
s = socket.socket()
s.bind(("0.0.0.0", int(sys.argv[1])))
s.listen()'

case_second_graftd()
{
	local output start=$SECONDS
	# shellcheck disable=SC2153
	output=$(limited "$GRAFTD" --foreground --config "$T/graftd.conf" 2>&1)
	case $? in
	0 | 124 | 137) wrong "a second graftd goes on or says 0: $output" ;;
	esac
	has "it says why" "$BROKER|$STATE" "$output"
	[ $((SECONDS - start)) -lt 10 ] || wrong "after $((SECONDS - start)) s"
	does "the first one answers" "$GRAFT" show d4
	has "and is asked by programs" '' "$(one grafted one_rule good)"
}

case_default_source()
{
	"$GRAFT" add default-source ipv4 10.77.0.1:dynamic owner any ||
		wrong "cannot add default-source"
	one bare default_source bad
	one grafted default_source good
	"$GRAFT" del default-source
}

case_broker_missing()
{
	local GRAFTED=("${GRAFTED[@]}" GRAFT_SOCKET=/run/nobody.sock)
	one grafted no_broker good
	one grafted no_rule good
	one grafted before_bind good
	one grafted no_rule_connect good
}

case_graft_disabled()
{
	local saved=("${GRAFTED[@]}")
	local GRAFTED=("${saved[@]}" GRAFT=disable)
	one grafted disabled good
	GRAFTED=("${saved[@]}" GRAFT=disabled)
	one grafted disabled good
	GRAFTED=("${saved[@]}" GRAFT=disable GRAFT_SOCKET=/run/nobody.sock)
	one grafted disabled good
}

# By the old notations only.
without_policy()
{
	GRAFTED=("${BARE[@]}" LD_PRELOAD="$HIJACK" "$@")
}

case_rules_long()
{
	local GRAFTED pairs i
	pairs=$(for i in {1..4200}; do printf '192.0.2.%d:%d=no-such ' $((i % 250)) "$i"; done)
	[ ${#pairs} -gt 99000 ] || wrong "only ${#pairs} bytes"
	without_policy GRAFT_CONV_PAIRS="$pairs 0.0.0.0:7000=d4"
	one grafted one_rule good
	without_policy GRAFT_INGRESS_CONVERT="$pairs 0.0.0.0:7000=d4"
	one grafted one_rule good
	without_policy GRAFT_CONV_PAIRS="$(printf 'x%.0s' {1..100000}) 0.0.0.0:7000=d4"
	one grafted one_rule good
}

case_rules_malformed()
{
	local GRAFTED bad output n
	for bad in nonsense '0.0.0.0=d4' ':80=d4' '0.0.0.0:99999=d4' '0.0.0.0:80=' '=' \
		'999.0.0.1:80=d4' '0.0.0.0:80=no such' '0.0.0.0:-1=d4'; do
		without_policy GRAFT_CONV_PAIRS="0.0.0.0:7000=d4" GRAFT_INGRESS_CONVERT="$bad"
		output=$(case_grafted one_rule 2>&1) || wrong "'$bad' ends the program: $output"
		n=$(grep -c 'libgraft-hijack.so' <<<"$output")
		[ "$n" -ge 1 ] || wrong "'$bad' is not complained about"
		[ "$n" -le 2 ] || wrong "'$bad' takes $n lines"
		without_policy GRAFT_CONV_PAIRS="$bad 0.0.0.0:7000=d4"
		one grafted one_rule good
	done
	without_policy GRAFT_CONV_PAIRS="0.0.0.0:7000=d4" \
		GRAFT_EGRESS_CONVERT="10.0.0.0/8=out4 10.0.0.0/8=out4 10.0.0.0/33=out4"
	one grafted one_rule good
	without_policy GRAFT_CONV_PAIRS="0.0.0.0:7000=d4 0.0.0.0:7000=peer4"
	one grafted one_rule good
	printf 'bind tcp 0.0.0.0:7000 = d4\nthis is no rule\n' >"$T/bad.policy"
	without_policy GRAFT_POLICY="$T/bad.policy" GRAFT_CONV_PAIRS="0.0.0.0:7000=d4"
	one grafted one_rule good
	without_policy GRAFT_POLICY=/no/such/file GRAFT_CONV_PAIRS="0.0.0.0:7000=d4"
	one grafted one_rule good
}

case_look_up_names()
{
	local i
	for i in {1..10000}; do
		printf 'graft-many%d ipv4 127.0.0.1:9950 owner any\n' "$i"
	done >"$T/many"
	does "10,000 endpoints" "$GRAFT" add --batch "$T/many"
	one grafted look_up_names good
	sed 's/ .*//' "$T/many" | xargs "$GRAFT" del || wrong "cannot delete them"
	is "they are gone" 0 "$("$GRAFT" show | grep -c graft-many)"
}

case_loopback_guard()
{
	local GRAFTED=("${GRAFTED[@]}" GRAFT_POLICY="$T/guard")
	printf '%s = host\n' 'connect any 127.0.0.1:9401' 'connect any 0.0.0.0/0' \
		'connect any [::]/0' >"$T/guard"
	one bare loopback_guard bad
	one grafted loopback_guard good
}

# --- authority -----------------------------------------------------------------------

as_user() # UID COMMAND...
{
	local uid=$1
	shift
	setpriv "--reuid=$uid" "--regid=$uid" --clear-groups -- "$@"
}

# may WHAT COMMAND...; may_not WHAT COMMAND...
may()
{
	does "may: $1" "${@:2}"
}

may_not()
{
	local output
	if output=$("${@:2}" 2>&1); then
		wrong "may: $1 ($output)"
	elif [ -z "$output" ]; then
		wrong "$1: refused without a word"
	fi
}

binds_by() # UID NAME [BOX]: a program of the user binds by a pair that names NAME
{
	local command=(setpriv "--reuid=$1" "--regid=$1" --clear-groups --
		env LD_PRELOAD="$HIJACK" GRAFT_CONV_PAIRS="0.0.0.0:80=$2"
		"$PYTHON" -c "$PY_BIND" 80)
	if [ -n "${3-}" ]; then in_box "$3" "${command[@]}"; else "${command[@]}"; fi
}

case_authority()
{
	may "root adds for any address" "$GRAFT" add a-root ipv4 0.0.0.0:9920
	may "root adds a privileged port" "$GRAFT" add a-low ipv4 127.0.0.1:920 owner uid=1001
	may "root adds for another user" "$GRAFT" add a-u ipv4 127.0.0.1:9921 owner uid=1001
	may "root adds for other namespaces" \
		"$GRAFT" add a-box ipv4 127.0.0.1:9922 owner any
	may "a user adds in his own name" as_user 1001 "$GRAFT" add a-own ipv4 127.0.0.1:9923
	may "a user adds a dynamic one" \
		as_user 1001 "$GRAFT" add a-dyn ipv4 127.0.0.1:dynamic
	may_not "a user adds a privileged port" \
		as_user 1001 "$GRAFT" add a-bad1 ipv4 127.0.0.1:921
	may_not "a user adds in another namespace" \
		as_user 1001 "$GRAFT" add a-bad2 ipv4 127.0.0.1:9924 netns box
	may_not "a user takes a name that is there" \
		as_user 1001 "$GRAFT" add a-root ipv4 127.0.0.1:9925
	may_not "a user deletes root's" as_user 1001 "$GRAFT" del a-root
	may_not "a user deletes another user's" as_user 1002 "$GRAFT" del a-own
	may_not "a container's user adds" in_box box setpriv --reuid=1001 --regid=1001 \
		--clear-groups -- "$GRAFT" add a-bad3 ipv4 127.0.0.1:9926
	may "a container's root adds for itself" \
		in_box box "$GRAFT" add a-in ipv4 127.0.0.1:9927
	may "a user namespace's root adds for its own namespace" as_user 1001 \
		unshare -Urn "$GRAFT" add a-ns ipv4 127.0.0.1:9928
	may_not "a user namespace's root adds for the host" as_user 1001 \
		unshare -Urn "$GRAFT" add a-bad4 ipv4 127.0.0.1:9929 netns 1
	may "everybody lists" as_user 1002 "$GRAFT" show
	may "root binds by root's" binds_by 0 a-root
	may "the owner binds by a privileged one" binds_by 1001 a-low
	may_not "another user binds by it" binds_by 1002 a-low
	may "the user binds by his own" binds_by 1001 a-own
	may_not "another user binds by it" binds_by 1002 a-own
	may "a container binds by one for any" binds_by 1001 a-box box
	may_not "a container binds by one of the host" binds_by 1001 a-root box
	may_not "a container's user who is not the owner" binds_by 1002 a-u box
	may "the user deletes his own" as_user 1001 "$GRAFT" del a-own a-dyn
	may "root deletes the rest" "$GRAFT" del a-root a-low a-u a-box
	may "the container's root deletes its own" in_box box "$GRAFT" del a-in
}
