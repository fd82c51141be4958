#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A container that serves a `hold` endpoint is replaced 50 times while it is asked:
#
#	wrk (host) --> $HOST4:8080 = web, hold <-- nginx (container): ended, deleted, created
#
# RESTARTS in the environment: another number of restarts.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
RESTARTS=${RESTARTS-50}
BACKEND=${BACKEND-runc}
enter_host "$@"
need_containers
need nginx wrk curl ss
LIMIT=30

mkdir -p "$T/nginx"
start_graftd
hello_config >"$T/nginx/nginx.conf"
bundle web --env GRAFT_CONV_PAIRS=0.0.0.0:80=web --cap CAP_SETUID --cap CAP_SETGID \
	--bind /usr:ro --bind /lib:ro --bind /lib64:ro --bind /etc:ro --bind "$T/nginx" -- \
	/usr/sbin/nginx -e stderr -c "$T/nginx/nginx.conf"

# Are the workers there? They are the container's children of its first process.
serves()
{
	[ "$(pgrep -c -P "$(first_of web)")" -ge 2 ]
}

has_ended()
{
	[ "$(runtime state web | sed -n 's/.*"status": "\(.*\)".*/\1/p')" = stopped ]
}

# Ends it as it is meant to end: what was accepted is answered.
replace()
{
	runtime kill web QUIT && within "$LIMIT" has_ended && runtime delete web &&
		up web && within "$LIMIT" serves
}

replace_all() # NUMBER
{
	local i
	for ((i = 0; i < $1; i++)); do
		replace >"$T/replace.log" 2>&1 || {
			comment "round $i: $(<"$T/replace.log") $(<"$T/web.log")"
			return 1
		}
	done
}

established() { [ -n "$(ss -Htn "sport = :8080")" ]; }

under_load() # RESTARTS
{
	check "it is started" up web
	check "it serves" within "$LIMIT" curl -s --max-time 5 "http://$HOST4:8080/"
	spawn wrk wrk -t 1 -c 8 -d 600 --timeout 20s -H 'Connection: close' \
		"http://$HOST4:8080/"
	await wrk established
	check "it is replaced $1 times under load" replace_all "$1"
	kill -INT "${PID_OF[wrk]}"
	status_of wrk
	comment "$(<"$T/wrk.log")"
	runtime kill web KILL
	check "it is deleted" within "$LIMIT" down web
}

check "graft add" "$GRAFT" add web ipv4 "$HOST4:8080" hold
under_load "$RESTARTS"
requests=$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' "$T/wrk.log")
check "requests were served" [ "${requests:-0}" -gt "$RESTARTS" ]
equal "no request failed" "" "$(grep -E 'Socket errors|Non-2xx' "$T/wrk.log")"
check "nothing is left" within "$LIMIT" nothing_left web
check "graft del" "$GRAFT" del web

# Without hold some are refused, or this would not notice.
check "graft add, without hold" "$GRAFT" add web ipv4 "$HOST4:8080"
under_load 5
contains "without hold requests fail" 'Socket errors' "$(<"$T/wrk.log")"
finish
