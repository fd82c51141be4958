#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Endpoints of a run's own policy with the options hold and share.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need_engine
SERVER=$T/bin/hold_server.py

RULES=(--rule 'endpoint web ipv4 127.0.0.1:8080 hold' --rule 'bind tcp 0.0.0.0:80 = web'
	--rule 'endpoint both ipv4 127.0.0.1:8081 share' --rule 'bind tcp 0.0.0.0:81 = both')

hold()
{
	# Eight servers, one after the other, of five connections each. Who comes while
	# there is none waits in the backlog.
	start servers "${RULES[@]}" -- sh -c "for i in 1 2 3 4 5 6 7 8; do
		$PYTHON $SERVER 80 5 || exit 1; done"
	wait_for_listener servers 8080 || return
	equal "$WHO: a restarted server loses no connection" "8 servers" \
		"$(host "$PYTHON" "$SERVER" client 127.0.0.1:8080 40 2>&1)"
	status_of servers
	equal "$WHO: each server could bind" 0 "$STATUS"

	start servers "${RULES[@]}" -- sh -c "$PYTHON $SERVER 80 1 & first=\$!
		until grep -q ':1F90 .* 0A ' /proc/$$/net/tcp; do sleep 0.02; done
		$PYTHON $SERVER 80 1; echo second: \$?; wait \$first"
	wait_for_listener servers 8080 || return
	within "$LIMIT" grep -q second: "$T/servers.log"
	contains "$WHO: while it is there a second one is refused" 'Address already in use' \
		"$(cat "$T/servers.log")"
	host "$PYTHON" "$SERVER" client 127.0.0.1:8080 1 >/dev/null
	status_of servers
}

share()
{
	start servers "${RULES[@]}" -- sh -c "$PYTHON $SERVER 81 1000 &
		$PYTHON $SERVER 81 1000 & wait"
	within "$LIMIT" two_listen
	check "$WHO: two servers share a port" two_listen
	contains "$WHO: both are asked" '^2 servers' \
		"$(host "$PYTHON" "$SERVER" client 127.0.0.1:8081 100 2>&1)"
}

two_listen()
{
	[ "$(ss -Hltn 'sport = :8081' | wc -l)" = 2 ]
}

each_user hold
each_user share
finish
