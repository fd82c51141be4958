#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Names resolve in a grafted program as on the host, wherever the resolver of
# /etc/resolv.conf lives: outside (10.77.0.1, fd77::1) or on the host's loopback
# (127.0.0.53); over UDP, and over TCP when an answer is truncated.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need getent ip "$PYTHON"

cat >"$T/bin/resolve.py" <<'END'
import socket, sys
try:
    found = socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM)
    result = " ".join(sorted(address[4][0] for address in found))
except socket.gaierror as e:
    result = {socket.EAI_NONAME: "EAI_NONAME", socket.EAI_AGAIN: "EAI_AGAIN"}[e.errno]
sys.stdout.write(result + "\n")
END

resolv_conf()
{
	printf 'nameserver %s\noptions timeout:2 attempts:2\n' "$1" >"$T/etc/resolv.conf"
}

resolve()
{
	try "${OPTIONS[@]}" -- "$PYTHON" "$T/bin/resolve.py" "$1" 2>&1
}

# The rules of a run that wants the net, and of one that wants nothing of it.
test_resolver() # ADDRESS
{
	local with
	resolv_conf "$1"
	for with in "an egress rule" "a port only"; do
		OPTIONS=(-e 10.77.0.0/24=host)
		[ "$with" = "an egress rule" ] || OPTIONS=(-p 8080:80)
		equal "$WHO, $1, $with: both families" "10.77.0.1 fd77::1" \
			"$(resolve web.test)"
		equal "$WHO, $1, $with: getent" "10.77.0.1" \
			"$(try "${OPTIONS[@]}" -- getent ahostsv4 v4.test |
				awk '/STREAM/ { print $1 }')"
		equal "$WHO, $1, $with: a name that does not exist" EAI_NONAME \
			"$(resolve nothing.test)"
		: >"$T/dns-$1.log"
		equal "$WHO, $1, $with: a truncated answer comes over TCP" 40 \
			"$(resolve big.test | wc -w)"
		contains "$WHO, $1, $with: the server saw it so" '^tcp big.test' \
			"$(<"$T/dns-$1.log")"
	done
}

# Two lookups at a time share a socket in glibc; ten processes at once share nothing.
test_many()
{
	resolv_conf 127.0.0.53
	equal "$WHO: ten processes resolve at once" "10 10.77.0.1 fd77::1" "$(
		try -p 8080:80 -- bash -c "
			for i in {1..10}; do $PYTHON $T/bin/resolve.py web.test & done
			wait" 2>&1 | sort | uniq -c | sed 's/^ *//')"
}

test_without_dns()
{
	[ "$ENGINE" != native ] || return
	resolv_conf 127.0.0.53
	OPTIONS=(--dns none)
	equal "$WHO: --dns none: no resolver on the own loopback" EAI_AGAIN \
		"$(resolve web.test)"
}

echo "hosts: files dns" | replace_file /etc/nsswitch.conf
echo "127.0.0.1 localhost" | replace_file /etc/hosts
echo | replace_file /etc/resolv.conf
for address in "$HOST4" "$HOST6" 127.0.0.53; do
	spawn "dns-$address" "$PYTHON" "$T/bin/dns_server.py" "$address"
	wait_for_port "dns-$address" "$address" 53 || finish
done
for WHO in $USERS; do
	for address in "$HOST4" "$HOST6" 127.0.0.53; do
		test_resolver "$address"
	done
	test_many
	test_without_dns
done
finish
