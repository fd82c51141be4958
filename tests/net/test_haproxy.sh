#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# haproxy, grafted, balancing over two HTTP servers of the host:
#
#	curl (host) --> haproxy (grafted, "port 80") --+--> http_server.py 10.77.0.1:9001
#	                                               +--> http_server.py [fd77::1]:9002
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need haproxy curl ip "$PYTHON"

config() # PORT
{
	cat <<END
global
	maxconn 200
	log stderr format raw local0 info
defaults
	mode http
	timeout connect 5s
	timeout client 10s
	timeout server 10s
	timeout check 2s
frontend web
	bind 0.0.0.0:$1
	bind [::]:$1 v6only
	default_backend both
frontend raw
	mode tcp
	bind 0.0.0.0:$(($1 + 1))
	default_backend one
backend both
	balance roundrobin
	server a $HOST4:9001 check inter 200ms
	server b [$HOST6]:9002 check inter 200ms
backend one
	mode tcp
	server a $HOST4:9001
END
}

answers() # URL [OPTION...]: how many of twenty came from a and from b
{
	host curl -sS "$@" >"$T/answers" 2>&1
	echo "$(grep -c '^a$' "$T/answers") $(grep -c '^b$' "$T/answers")"
}

test_haproxy()
{
	config "$(inside 8080 80)" >"$T/haproxy.cfg"
	start proxy -p 8080-8081:80-81 -e 10.77.0.0/24=host -e fd77::/64=host -- \
		haproxy -db -f "$T/haproxy.cfg"
	wait_for_port proxy "$HOST4" 8080 || return
	equal "$WHO: forty requests are balanced evenly" "20 20" \
		"$(answers "http://$HOST4:8080/?[1-40]")"
	equal "$WHO: over IPv6, a connection each" "20 20" \
		"$(answers -H 'Connection: close' "http://[$HOST6]:8080/?[1-40]")"
	equal "$WHO: as plain TCP" "20 0" "$(answers "http://$HOST4:8081/?[1-20]")"
	equal "$WHO: an upload through it" "$(sha256sum <"$T/upload" | cut -d ' ' -f 1)" \
		"$(host curl -sS -T "$T/upload" "http://$HOST4:8080/")"
	stop b
	check "$WHO: the check notices that a backend went away" within 10 \
		grep -q 'Server both/b is DOWN' "$T/proxy.log"
	equal "$WHO: the other one takes all" "20 0" \
		"$(answers "http://$HOST4:8080/?[1-20]")"
	spawn b "$PYTHON" "$T/bin/http_server.py" "$HOST6" 9002 b
	check "$WHO: the check notices that it is back" within 10 \
		grep -q 'Server both/b is UP' "$T/proxy.log"
	equal "$WHO: both serve again" "10 10" "$(answers "http://$HOST4:8080/?[1-20]")"
	check "$WHO: ends on SIGTERM" stop proxy
}

head -c 4000000 /dev/urandom >"$T/upload"
spawn a "$PYTHON" "$T/bin/http_server.py" "$HOST4" 9001 a
spawn b "$PYTHON" "$T/bin/http_server.py" "$HOST6" 9002 b
wait_for_port a "$HOST4" 9001 && wait_for_port b "$HOST6" 9002 || finish
for WHO in $USERS; do
	test_haproxy
done
finish
