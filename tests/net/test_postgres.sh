#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# postgres in both directions: initdb in a private directory, pgbench over TCP, and the
# sum its transactions must leave. As root the server runs as user postgres, so the
# change of user happens within the run.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need ip
PGBIN=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -x "$PGBIN/postgres" ] || skip "postgres is not installed"
export LC_ALL=C PGCONNECT_TIMEOUT=10
LIMIT=60

# The prefix that makes the server's user out of $WHO, and its directory.
prepare_cluster() # NAME PORT
{
	local name=$1 port=$2
	DATA=$T/$name
	own_dir "$DATA"
	BECOME=()
	if [ "$WHO" = root ]; then
		chown postgres:postgres "$DATA"
		BECOME=(setpriv --reuid=postgres --regid=postgres --clear-groups)
		"${BECOME[@]}" "$PGBIN/initdb" -D "$DATA/db" -A trust -U bench -N \
			>"$T/initdb.log" 2>&1
	else
		identity user
		"${IDENTITY[@]}" "$PGBIN/initdb" -D "$DATA/db" -A trust -U bench -N \
			>"$T/initdb.log" 2>&1
	fi || {
		not_ok "initdb, $WHO" "$(tail "$T/initdb.log")"
		return 1
	}
	echo "host all all 0.0.0.0/0 trust" >>"$DATA/db/pg_hba.conf"
	SERVER=("${BECOME[@]}" "$PGBIN/postgres" -D "$DATA/db" -p "$port"
		-c listen_addresses=0.0.0.0 -c unix_socket_directories="$DATA"
		-c fsync=off -c shared_buffers=16MB -c max_connections=20)
}

# bench NAME PORT COMMAND...: the prefix for clients. Every TPC-B transaction adds the
# same delta to an account, a teller and a branch.
bench()
{
	local name=$1 port=$2 sums
	shift 2
	check "$name: pgbench -i" "$@" "$PGBIN/pgbench" -q -i -s 1 -h "$HOST4" \
		-p "$port" -U bench postgres
	check "$name: pgbench, four clients" has_done 400 "$@" "$PGBIN/pgbench" -n -c 4 \
		-j 2 -t 100 -h "$HOST4" -p "$port" -U bench postgres
	check "$name: pgbench, a connection per transaction" has_done 50 "$@" \
		"$PGBIN/pgbench" -n -C -S -c 2 -t 25 -h "$HOST4" -p "$port" -U bench \
		postgres
	sums=$("$@" "$PGBIN/psql" -h "$HOST4" -p "$port" -U bench -At -F ' ' postgres -c "
		select (select count(*) from pgbench_history),
		(select sum(abalance) from pgbench_accounts) =
			(select sum(delta) from pgbench_history),
		(select sum(tbalance) from pgbench_tellers) =
			(select sum(bbalance) from pgbench_branches)" 2>&1)
	equal "$name: the books balance" "400 t t" "$sums"
}

# It listens before it lets clients in.
is_ready() # PROCESS PORT
{
	wait_for_port "$1" "$HOST4" "$2" &&
		await "$1" host "$PGBIN/pg_isready" -q -h "$HOST4" -p "$2" -U bench
}

has_done() # TRANSACTIONS COMMAND...
{
	local wanted=$1 output
	shift
	output=$("$@" 2>&1)
	echo "$output"
	grep -q "actually processed: $wanted/$wanted" <<<"$output"
}

test_postgres()
{
	prepare_cluster "cluster.$WHO" "$(inside 6432 5432)" || return
	start server -p 6432:5432 -- "${SERVER[@]}"
	if is_ready server 6432; then
		bench "serving, $WHO" 6432 host
	fi
	check "serving, $WHO: ends on SIGTERM" stop server
	bench "connecting, $WHO" 6500 try -e 10.77.0.0/24=host --
}

if [ "$GRAFT_TEST_CAPABLE" = root ]; then WHO=root; else WHO=user USERS=user; fi
prepare_cluster host_cluster 6500 || finish
identity "$WHO"
spawn host_server "${IDENTITY[@]}" "${SERVER[@]}"
is_ready host_server 6500 || finish
for WHO in $USERS; do
	test_postgres
done
finish
