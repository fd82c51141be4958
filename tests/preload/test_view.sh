#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a program under `graft run --engine preload` sees of its own sockets and of its
# peers, on endpoints of each kind: by itself, in children, after exec, and of sockets that
# were sent to it.
ENGINE=preload
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need ip "$PYTHON"

# sees NAME CASE [ARG...]: the lines on standard input, with the policy of $T/policy.conf.
sees()
{
	local name=$1 wanted
	shift
	wanted=$(cat)
	equal "$name, $WHO" "$wanted" \
		"$(try --policy "$T/policy.conf" -- "$PYTHON" "$T/bin/view.py" "$@" 2>&1)"
}

inet()
{
	cat >"$T/policy.conf" <<-END
		endpoint web ipv4 127.0.0.1:8080
		endpoint web6 ipv6 [::1]:8080
		endpoint dns ipv4 127.0.0.1:5353
		endpoint dns2 ipv4 127.0.0.1:5354
		bind tcp [::]:80 = web6
		bind tcp 0.0.0.0:80 = web
		bind udp 0.0.0.0:53 = dns
		bind udp 0.0.0.0:54 = dns2
		connect tcp 10.1.1.1:80 = web
		connect tcp [fd00::1]:80 = web6
		connect udp 10.1.1.1:53 = dns
		connect udp 10.1.1.1:54 = dns2
	END
	sees "ipv4" stream AF_INET 0.0.0.0 10.1.1.1 <<-END
		bound 0.0.0.0 80
		listening 0.0.0.0 80
		peer 10.1.1.1 80
		accepted 127.0.0.1 PORT
		serving 127.0.0.1 80 127.0.0.1 PORT
		echo 1
	END
	sees "ipv6" stream AF_INET6 :: fd00::1 <<-END
		bound :: 80
		listening :: 80
		peer fd00::1 80
		accepted ::1 PORT
		serving ::1 80 ::1 PORT
		echo 1
	END
	sees "after exec" inherited <<-END
		bound 0.0.0.0 80
		listening 0.0.0.0 80
		peer 10.1.1.1 80
		listening 0.0.0.0 80
		peer 10.1.1.1 80
		serving 127.0.0.1 80
		family 2 2 2
	END
	sees "a child" forked <<-END
		bound 0.0.0.0 80
		listening 0.0.0.0 80
		peer 10.1.1.1 80
		child 10.1.1.1 80 0.0.0.0 80
	END
	sees "received" passed <<-END
		bound 0.0.0.0 80
		listening 0.0.0.0 80
		received 0.0.0.0 80
	END
	sees "two servers" two_servers <<-END
		answer 10.1.1.1 53
		answer 10.1.1.1 54
		answer 10.1.1.1 53
		answer 10.1.1.1 54
	END
	sees "datagrams" datagrams <<-END
		bound 0.0.0.0 53
		from 127.0.0.1 PORT
		answer 10.1.1.1 53
		the same sender
		answer 10.1.1.1 53
		peer 10.1.1.1 53
		answer 10.1.1.1 53
	END
}

on_unix()
{
	local dir=$T/unix.$WHO
	own_dir "$dir"
	cat >"$T/policy.conf" <<-END
		endpoint web unix $dir/web.sock
		endpoint dns unix $dir/dns.sock
		endpoint dns2 unix $dir/dns2.sock
		bind tcp 0.0.0.0:80 = web
		bind tcp [::]:80 = web
		bind udp 0.0.0.0:53 = dns
		bind udp 0.0.0.0:54 = dns2
		connect tcp 10.1.1.1:80 = web
		connect tcp [fd00::1]:80 = web
		connect udp 10.1.1.1:53 = dns
		connect udp 10.1.1.1:54 = dns2
	END
	sees "unix" stream AF_INET 0.0.0.0 10.1.1.1 <<-END
		bound 0.0.0.0 80
		listening 0.0.0.0 80
		peer 10.1.1.1 80
		accepted 127.0.0.1 PORT
		serving 127.0.0.1 80 127.0.0.1 PORT
		echo 1
	END
	sees "unix, AF_INET6" stream AF_INET6 :: fd00::1 <<-END
		bound :: 80
		listening :: 80
		peer fd00::1 80
		accepted ::1 PORT
		serving ::1 80 ::1 PORT
		echo 1
	END
	sees "unix, after exec" inherited <<-END
		bound 0.0.0.0 80
		listening 0.0.0.0 80
		peer 10.1.1.1 80
		listening 0.0.0.0 80
		peer 10.1.1.1 80
		serving 127.0.0.1 80
		family 2 2 2
	END
	sees "unix, a child" forked <<-END
		bound 0.0.0.0 80
		listening 0.0.0.0 80
		peer 10.1.1.1 80
		child 10.1.1.1 80 0.0.0.0 80
	END
	sees "unix, received" passed <<-END
		bound 0.0.0.0 80
		listening 0.0.0.0 80
		received 0.0.0.0 80
	END
	sees "unix, two servers" two_servers <<-END
		answer 10.1.1.1 53
		answer 10.1.1.1 54
		answer 10.1.1.1 53
		answer 10.1.1.1 54
	END
	sees "unix, datagrams" datagrams <<-END
		bound 0.0.0.0 53
		from 127.0.0.1 PORT
		answer 10.1.1.1 53
		the same sender
		answer 10.1.1.1 53
		peer 10.1.1.1 53
		answer 10.1.1.1 53
	END
	sees "unix, options" options <<-END
		bound 0.0.0.0 80
		listening 0.0.0.0 80
		nodelay True
		options 44 1 16 10 2 6 1
		options 44 1 16 1 2 6 1
		options 44 1 16 1 2 6 1
		peer is True True
	END
	sees "its own UNIX sockets" own_unix "$dir" <<-END
		own True True True '' ''
		error 95
	END
}

names()
{
	local dir=$T/names.$WHO
	mkdir -p "$dir"
	echo "endpoint web ipv4 127.0.0.1:8080" >"$T/policy.conf"
	# A name is a rule of its own; the engine wants one in the file.
	echo "connect tcp 10.1.1.1:80 = web" >>"$T/policy.conf"
	sees "an endpoint as host name" resolved graft-web <<-END
		resolved 2 True
		the same
		answer 1
	END
	contains "no endpoint as host name, $WHO" "gaierror" \
		"$(try --dns none --policy "$T/policy.conf" -- "$PYTHON" \
			"$T/bin/view.py" resolved graft-none 2>&1)"
}

cp "$LIB_DIR/preload/view.py" "$T/bin/"
for WHO in $USERS; do
	inet
	on_unix
done
spawn server "$PYTHON" "$T/bin/http_server.py" 127.0.0.1 8080 named nagle
wait_for_listener server 8080
for WHO in $USERS; do
	names
done
finish
