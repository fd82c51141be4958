#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Programs that speak TCP, unmodified, on UNIX endpoints that graftd keeps: the server
# binds what it always binds, its clients connect to an address that nobody has, and each
# sees of the other what it would see over TCP.
#
#	client --10.1.1.1:PORT--> libgraft-hijack.so --> PATH <-- libgraft-hijack.so <-- server
. "$(dirname "$0")/../lib_graftd.sh"
enter_host "$@"
need curl ip redis-server redis-cli nginx "$PYTHON"
need_graftd
UNIX=$T/unix
PORT='[1-9][0-9]{3,4}'

add_endpoint() # NAME [OPTION...]
{
	local name=$1
	shift
	rm -f "$UNIX/$name.sock"
	check "graft add $name" "$GRAFT" add "$name" type unix path "$UNIX/$name.sock" "$@"
}

# serve NAME PAIR COMMAND...: in the background, until the path takes connections.
serve()
{
	local name=$1 pair=$2
	shift 2
	preload GRAFT_CONV_PAIRS="$pair=$name" -- "$@"
	spawn "$name" "${CMD[@]}"
	await "$name" "$PYTHON" -c 'if True:
		import socket, sys
		socket.socket(socket.AF_UNIX).connect(sys.argv[1])' "$UNIX/$name.sock"
}

# asks NAME PAIR COMMAND...: a client
asks()
{
	local name=$1 pair=$2
	shift 2
	preload GRAFT_CONV_PAIRS="$pair=$name" -- "$@"
	limited "${CMD[@]}" 2>&1
}

no_tcp() # NAME
{
	equal "$1: nobody listens on TCP" "" "$(ss -Hltn)"
}

test_redis()
{
	local cli=(asks cache 10.1.1.1:6379 redis-cli -h 10.1.1.1)
	local wants=("${cli[@]}") info
	add_endpoint cache
	serve cache 0.0.0.0:6379 redis-server --bind 0.0.0.0 --port 6379 \
		--protected-mode no --save '' --dir "$T" --loglevel warning || return
	equal "redis: PING" PONG "$("${wants[@]}" PING)"
	equal "redis: a thousand SETs" 1000 \
		"$(seq -f 'SET view:%g v' 1000 | "${cli[@]}" | grep -c '^OK$')"
	info=$("${cli[@]}" CLIENT INFO)
	contains "redis: the client's address" " addr=127\.0\.0\.1:$PORT " "$info"
	contains "redis: the server's address" " laddr=127\.0\.0\.1:6379 " "$info"
	equal "redis: a UNIX client" PONG "$(host redis-cli -s "$UNIX/cache.sock" PING)"
	contains "redis: the UNIX client's address" " addr=127\.0\.0\.1:$PORT " \
		"$(host redis-cli -s "$UNIX/cache.sock" CLIENT INFO)"
	contains "redis: redis-benchmark, 50 connections" '"SET"' "$(asks cache \
		10.1.1.1:6379 redis-benchmark -h 10.1.1.1 -n 5000 -c 50 -t set --csv)"
	no_tcp redis
	check "redis: ends on SIGTERM" stop cache
}

test_python()
{
	local client=(asks web 10.1.1.1:80 curl -sS)
	add_endpoint web
	mkdir -p "$T/www"
	echo "over unix" >"$T/www/index.html"
	serve web 0.0.0.0:80 "$PYTHON" -u -m http.server -d "$T/www" 80 || return
	equal "http.server: curl" "over unix" "$("${client[@]}" http://10.1.1.1/)"
	contains "http.server: curl's view" "^10\.1\.1\.1 80 127\.0\.0\.1 $PORT\$" \
		"$("${client[@]}" -o /dev/null http://10.1.1.1/ \
			-w '%{remote_ip} %{remote_port} %{local_ip} %{local_port}')"
	contains "http.server: its own view" '^127\.0\.0\.1 - - .*"GET / ' \
		"$(cat "$T/web.log")"
	contains "http.server: says where it is" 'on 0\.0\.0\.0 port 80 ' \
		"$(cat "$T/web.log")"
	equal "http.server: fifty requests" 50 \
		"$("${client[@]}" 'http://10.1.1.1/?[1-50]' | grep -c 'over unix')"
	equal "http.server: a UNIX client" "over unix" \
		"$(host curl -sS --unix-socket "$UNIX/web.sock" http://web/)"
	equal "http.server: as a host name" "over unix" \
		"$(asks web 10.1.1.1:80 curl -sS http://graft-web/)"
	preload -- curl -sS -w ' %{remote_ip} %{local_ip}' http://graft-web/
	contains "http.server: as a host name, without any rule" \
		'^ 127\.201\.[0-9.]+ 127\.0\.0\.1$' "$(limited "${CMD[@]}" 2>&1)"
	no_tcp http.server
	check "http.server: ends on SIGTERM" stop web
}

nginx_conf()
{
	cat <<END
daemon off;
worker_processes 2;
pid $T/nginx/nginx.pid;
error_log stderr info;
events { worker_connections 256; }
user nobody nogroup;
http {
	access_log off;
	$(nginx_paths)
	server {
		listen 0.0.0.0:8080;
		tcp_nodelay on;
		allow 127.0.0.1;
		deny all;
		location / {
			return 200 "\$remote_addr \$remote_port \$server_addr \$server_port\n";
		}
		location /behind { proxy_pass http://10.1.1.2:6000/; }
	}
}
END
}

test_nginx()
{
	local client=(asks front 10.1.1.1:8080 curl -sS)
	add_endpoint front
	mkdir "$T/nginx" "$T/behind"
	nginx_conf >"$T/nginx.conf"
	# The upstream is an endpoint too, for the workers, who are nobody.
	add_endpoint behind connector uid=65534 owner uid=0
	echo "from behind" >"$T/behind/index.html"
	serve behind 0.0.0.0:6000 bash -c "umask 0
		exec $PYTHON -m http.server -d $T/behind 6000" || return
	serve front "10.1.1.2:6000=behind 0.0.0.0:8080" \
		nginx -c "$T/nginx.conf" || return
	contains "nginx: who talks to whom" "^127\.0\.0\.1 $PORT 127\.0\.0\.1 8080\$" \
		"$("${client[@]}" http://10.1.1.1:8080/)"
	contains "nginx: and with a UNIX client" "^127\.0\.0\.1 $PORT 127\.0\.0\.1 8080\$" \
		"$(host curl -sS --unix-socket "$UNIX/front.sock" http://web/)"
	equal "nginx: fifty connections" 50 "$("${client[@]}" -H 'Connection: close' \
		'http://10.1.1.1:8080/?[1-50]' | grep -c 8080)"
	equal "nginx: a grafted upstream" "from behind" \
		"$("${client[@]}" http://10.1.1.1:8080/behind)"
	check "nginx: reloads" kill -HUP "${PID_OF[front]}"
	equal "nginx: serves on" 50 "$("${client[@]}" -H 'Connection: close' \
		'http://10.1.1.1:8080/?[1-50]' | grep -c 8080)"
	no_tcp nginx
	check "nginx: ends on SIGTERM" stop front
	stop behind
}

test_postgres()
{
	local bin sql="select inet_client_addr(), inet_server_addr(), inet_server_port(),
		inet_client_port() between 1024 and 65535"
	local db=$T/db become=(setpriv --reuid=postgres --regid=postgres --clear-groups)
	bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V |
		tail -n 1)
	if ! [ -x "$bin/postgres" ]; then
		skip_point "postgres" "postgres is not installed"
		return
	fi
	export LC_ALL=C PGCONNECT_TIMEOUT=10
	add_endpoint sql owner "uid=$(id -u postgres)" owner uid=0
	mkdir "$db"
	chown postgres:postgres "$db"
	"${become[@]}" "$bin/initdb" -D "$db/db" -A trust -U bench -N >"$T/initdb.log" 2>&1 ||
		die "initdb: $(tail "$T/initdb.log")"
	# Loopback is trusted, nothing else is.
	printf '%s\n' "host all all 127.0.0.1/32 trust" >"$db/db/pg_hba.conf"
	serve sql 0.0.0.0:5432 "${become[@]}" "$bin/postgres" -D "$db/db" \
		-c listen_addresses=0.0.0.0 -c unix_socket_directories= -c fsync=off \
		-c shared_buffers=16MB || return
	within "$LIMIT" grep -q "ready to accept" "$T/sql.log"
	equal "postgres: who talks to whom" "127.0.0.1 127.0.0.1 5432 t" \
		"$(asks sql 10.1.1.1:5432 "$bin/psql" -h 10.1.1.1 -U bench -At -F ' ' \
			postgres -c "$sql")"
	contains "postgres: pgbench, a connection per transaction" "processed: 50/50" \
		"$(asks sql 10.1.1.1:5432 "$bin/pgbench" -n -i -h 10.1.1.1 -U bench postgres
		asks sql 10.1.1.1:5432 "$bin/pgbench" -n -C -S -c 2 -t 25 -h 10.1.1.1 \
			-U bench postgres)"
	# shellcheck disable=SC1007
	contains "postgres: keep-alive is read back" '^60$' "$(PGOPTIONS= asks sql \
		10.1.1.1:5432 "$bin/psql" -h 10.1.1.1 -U bench -At postgres -c \
		'set tcp_keepalives_idle = 60' -c 'show tcp_keepalives_idle')"
	no_tcp postgres
	check "postgres: ends on SIGTERM" stop sql
}

mkdir "$UNIX"
chmod 777 "$UNIX"
# shellcheck disable=SC2119
start_graftd
test_redis
test_python
test_nginx
test_postgres
finish
