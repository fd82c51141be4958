#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# curl, grafted, to an HTTP server of the host: by address, by name through the
# resolver of the host's resolv.conf, over IPv6, with an upload; and as a server-side
# check, a grafted HTTP server reached by curl of the host is test_nginx.sh.
#
#	curl (grafted) --> http_server.py 10.77.0.1:8000, [fd77::1]:8000
#	      '--------> dns_server.py 10.77.0.1:53
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need curl ip "$PYTHON"

EGRESS=(-e 10.77.0.0/24=host -e fd77::/64=host)

curl_to()
{
	try "${EGRESS[@]}" -- curl -sS --max-time 20 "$@" 2>"$T/curl.err"
}

test_curl()
{
	local sum
	equal "$WHO: by IPv4 address" "hello" "$(curl_to "http://$HOST4:8000/")"
	equal "$WHO: by IPv6 address" "hello six" "$(curl_to "http://[$HOST6]:8000/")"
	equal "$WHO: by name" "hello" "$(curl_to -4 http://web.test:8000/)"
	equal "$WHO: by name, IPv6" "hello six" "$(curl_to -6 http://web.test:8000/)"
	equal "$WHO: by name, either family" "hello" \
		"$(curl_to http://web.test:8000/ | cut -d ' ' -f 1)"
	sum=$(sha256sum <"$T/upload" | cut -d ' ' -f 1)
	equal "$WHO: uploads 5 MB" "$sum" \
		"$(curl_to -T "$T/upload" "http://$HOST4:8000/put")"
	equal "$WHO: uploads 5 MB over IPv6" "$sum" \
		"$(curl_to -T "$T/upload" "http://[$HOST6]:8000/put")"
	equal "$WHO: twenty transfers in parallel" 20 \
		"$(curl_to --parallel "http://$HOST4:8000/?[1-20]" | grep -c hello)"
	try "${EGRESS[@]}" -- curl -s --max-time 20 "http://$HOST4:8001/" >/dev/null
	equal "$WHO: connection refused is curl's status 7" 7 $?
	try "${EGRESS[@]}" -- curl -s --max-time 20 http://nothing.test/ >/dev/null
	equal "$WHO: an unknown name is curl's status 6" 6 $?
}

echo "nameserver $HOST4
options timeout:2 attempts:2" | replace_file /etc/resolv.conf
echo "hosts: files dns" | replace_file /etc/nsswitch.conf
head -c 5000000 /dev/urandom >"$T/upload"
spawn dns "$PYTHON" "$T/bin/dns_server.py" "$HOST4"
spawn four "$PYTHON" "$T/bin/http_server.py" "$HOST4" 8000 hello
spawn six "$PYTHON" "$T/bin/http_server.py" "$HOST6" 8000 "hello six"
wait_for_listener dns 53 && wait_for_port four "$HOST4" 8000 &&
	wait_for_port six "$HOST6" 8000 || finish
for WHO in $USERS; do
	test_curl
done
finish
