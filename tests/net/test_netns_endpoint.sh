#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# An endpoint in a third network namespace, named by name, process and path:
#
#	"the host"                       blue: lo alone
#	graft run curl 192.0.2.1:80 ----> http_server.py 127.0.0.1:9000
#	graft run http_server.py :80 ---> 127.0.0.1:8080 <---- curl (in blue)
#
# It takes root; an ordinary user is refused.
. "$(dirname "$0")/../lib.sh"
need_engine # plain sockets do not leave their namespace
enter_host "$@"
need curl ip nsenter "$PYTHON"

policy() # REF
{
	echo "endpoint there ipv4 127.0.0.1:9000 netns $1
endpoint into ipv4 127.0.0.1:8080 netns $1
connect tcp 192.0.2.1:80 = there
bind tcp 0.0.0.0:80 = into" >"$T/policy.conf"
}

blue()
{
	nsenter --net=/run/netns/blue "$@"
}

by_reference() # KIND REF
{
	policy "$2"
	equal "connecting into a namespace by $1" "in blue" \
		"$(try --policy "$T/policy.conf" -- curl -sS http://192.0.2.1/ 2>&1)"
	start server --policy "$T/policy.conf" -- \
		"$PYTHON" "$T/bin/http_server.py" 0.0.0.0 80 "from outside"
	if await server blue curl -s http://127.0.0.1:8080/; then
		equal "serving a namespace by $1" "from outside" \
			"$(blue curl -sS http://127.0.0.1:8080/ 2>&1)"
		check "and not the host" not_listening
	fi
	stop server
}

not_listening()
{
	[ -z "$(ss -Hltn)" ]
}

as_user()
{
	policy /run/netns/blue
	try --policy "$T/policy.conf" -- curl -sS --max-time 10 http://192.0.2.1/ \
		>"$T/out" 2>"$T/err"
	check "user: no way into a namespace of root's" [ $? -ne 0 ]
	equal "user: nothing came out of it" "" "$(<"$T/out")"
}

[ "$GRAFT_TEST_CAPABLE" = root ] || skip "needs root"
ip netns add blue && blue ip link set lo up || skip "no named namespaces here"
spawn web nsenter --net=/run/netns/blue \
	"$PYTHON" "$T/bin/http_server.py" 127.0.0.1 9000 "in blue"
await web blue bash -c 'exec 3<>/dev/tcp/127.0.0.1/9000' || finish
WHO=root
by_reference name blue
by_reference path /run/netns/blue
by_reference process "${PID_OF[web]}"
policy nosuchname
try --policy "$T/policy.conf" -- curl -sS --max-time 10 http://192.0.2.1/ >"$T/out" 2>&1
check "a namespace that does not exist is an error" [ $? -ne 0 ]
contains "and is named" "'there'|nosuchname" "$(<"$T/out")"
WHO=user
as_user
finish
