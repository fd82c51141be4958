#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# nginx, grafted, as a web server and as a reverse proxy with upstream keep-alive:
#
#	curl (host) --> nginx (grafted, "port 80") --+--> nginx (host, 10.77.0.1:9000)
#	                                             +--> python3 (own side, 127.0.0.1:9100)
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
root_needs_root
need nginx curl ip

config() # DIRECTORY SERVERS: an nginx.conf that writes nowhere else
{
	cat <<END
daemon off;
worker_processes 2;
pid $1/nginx.pid;
error_log stderr info;
events { worker_connections 256; }
http {
	log_format connections '\$connection \$connection_requests \$status';
	access_log $1/access.log connections;
	client_body_temp_path $1/body;
	proxy_temp_path $1/proxy;
	fastcgi_temp_path $1/fastcgi;
	uwsgi_temp_path $1/uwsgi;
	scgi_temp_path $1/scgi;
	$2
}
END
	[ "$WHO" = user ] || echo "user nobody nogroup;"
}

start_backend()
{
	local WHO=${USERS%% *}
	own_dir "$T/backend"
	config "$T/backend" "server {
		listen $HOST4:9000;
		root $T/www;
		location /upstream { return 200 'from the host\n'; }
	}" >"$T/backend.conf"
	identity "$WHO"
	spawn backend "${IDENTITY[@]}" nginx -e stderr -c "$T/backend.conf"
	wait_for_port backend "$HOST4" 9000
}

as_server()
{
	local dir=$T/server.$WHO port
	port=$(inside 8080 80)
	own_dir "$dir"
	config "$dir" "server {
		listen $port;
		listen [::]:$port ipv6only=on;
		root $T/www;
		location / { client_max_body_size 9m; }
	}" >"$T/server.conf"
	start server -p "8080:80" -- nginx -e stderr -c "$T/server.conf"
	wait_for_port server "$HOST4" 8080 || return
	check "server, $WHO: a file over IPv4" \
		host cmp "$T/www/big" <(curl -sS "http://$HOST4:8080/big")
	check "server, $WHO: a file over IPv6" \
		host cmp "$T/www/big" <(curl -sS "http://[$HOST6]:8080/big")
	equal "server, $WHO: fifty requests on one connection" "50 x 200" \
		"$(host curl -sS -o "$T/null#1" -w '%{http_code}\n' \
			"http://127.0.0.1:8080/index.html?[1-50]" | sort | uniq -c |
			awk '{ print $1 " x " $2 }')"
	equal "server, $WHO: parallel requests" 40 "$(seq 40 |
		timeout "$LIMIT" xargs -P 8 -I{} curl -sS \
			"http://$HOST4:8080/index.html?{}" | grep -c 'a page')"
	check "server, $WHO: ends on SIGTERM" stop server
	check "server, $WHO: nobody listens afterwards" not_listening 8080
}

not_listening()
{
	! is_listening tcp "$1"
}

# The backend's log from here on.
skip_log()
{
	SKIP=$(wc -l <"$T/backend/access.log")
}

# Requests and the connections they used, as the backend saw them.
upstream_use()
{
	awk -v skip="$SKIP" 'NR > skip { used[$1] = 1 } END { for (c in used) n++; print NR - skip, n + 0 }' \
		"$T/backend/access.log"
}

as_proxy()
{
	local dir=$T/proxy.$WHO requests connections
	own_dir "$dir"
	config "$dir" "
	upstream host_side { server $HOST4:9000; keepalive 4; }
	upstream own_side { server 127.0.0.1:9100; keepalive 4; }
	proxy_http_version 1.1;
	proxy_set_header Connection '';
	server {
		listen $(inside 8080 80);
		location / { proxy_pass http://host_side; }
		location /own/ { proxy_pass http://own_side/; }
	}" >"$T/proxy.conf"
	# Both programs share one grafted run: the backend of the own side first.
	start proxy -p 8080:80 -e 10.77.0.0/24=host -- bash -c "
		$PYTHON $T/bin/http_server.py 127.0.0.1 9100 'from the own side' &
		exec nginx -e stderr -c $T/proxy.conf"
	wait_for_port proxy "$HOST4" 8080 || return
	skip_log
	equal "proxy, $WHO: sixty requests to the host-side upstream" 60 \
		"$(host curl -sS "http://$HOST4:8080/upstream?[1-60]" |
			grep -c 'from the host')"
	read -r requests connections <<<"$(upstream_use)"
	check "proxy, $WHO: they shared few upstream connections ($connections)" \
		[ "$requests" = 60 -a "$connections" -gt 0 -a "$connections" -le 8 ]
	check "proxy, $WHO: a large file through it" \
		host cmp "$T/www/big" <(curl -sS "http://$HOST4:8080/big")
	check "proxy, $WHO: the own-side upstream comes up" within "$LIMIT" \
		own_side_answers
	equal "proxy, $WHO: thirty requests to the own-side upstream" 30 \
		"$(host curl -sS "http://$HOST4:8080/own/?[1-30]" |
			grep -c 'from the own side')"
	equal "proxy, $WHO: both upstreams at once" "20 20" "$(both_upstreams)"
	# Neither of these two has an own side.
	if [ "$ENGINE" != native ] && [ "$ENGINE" != cgroup ]; then
		check "proxy, $WHO: the own-side upstream is not on the host" \
			not_listening 9100
	fi
}

own_side_answers()
{
	[ "$(curl -s -o /dev/null -w '%{http_code}' "http://$HOST4:8080/own/")" = 200 ]
}

both_upstreams()
{
	local out=$T/both
	seq 20 | timeout "$LIMIT" xargs -P 4 -I{} curl -sS "http://$HOST4:8080/upstream?{}" \
		"http://$HOST4:8080/own/?{}" >"$out"
	echo "$(grep -c 'from the host' "$out") $(grep -c 'from the own side' "$out")"
}

test_nginx()
{
	mkdir -p "$T/www"
	echo "a page" >"$T/www/index.html"
	head -c 3000000 /dev/urandom >"$T/www/big"
	as_server
	start_backend || return
	as_proxy
}

each_user test_nginx
finish
