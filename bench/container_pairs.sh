#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What Docker's ways cost beside a grafted container, with a dockerd of its own, whose bridge,
# packet filter and docker-proxy are in "the host" of tests/lib.sh; commands in turn, a second
# each (alternate.py), all of it on one core:
#
#	serving		a client on the host; the server on the host, in a container ...
#	pair		client and server each in a container; the shortcut between them
#
#	bench/container_pairs.sh [ROUNDS [FILE]]	within the tree
#
# Prints two tables; with FILE puts them between the markers container-serving and
# container-pair of that. Root. In the environment, for a part of it: ONLY=serving|pair,
# KINDS="whole rr keep close".
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib_container.sh"
# shellcheck source=tests/lib_docker.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib_docker.sh"
# shellcheck source=bench/docker_table.sh
. "$(dirname "${BASH_SOURCE[0]}")/docker_table.sh"
BACKEND=${BACKEND-runc}
ROUNDS=${1-12}
DOCUMENT=${2:+$SOURCE_DIR/$2} # a path within the tree
enter_host "$@"
need docker-proxy iptables nft taskset wrk nginx
need_dockerd
CORE=(taskset -c 0)
DOCKERD_PREFIX=("${CORE[@]}")
BINDS=(-v /usr:/usr:ro -v "$T/shared:$T/shared:ro" -v "$T/nginx:$T/nginx")

# Ports of nginx, and of load, one more.
NATIVE=8000 AGAIN=8010 NETWORK=8020 GRAFTED=8030 BRIDGED=8040 SHORT=8050

prepare()
{
	mkdir -p "$T/shared" "$T/nginx/www" "$T/image"/{etc,tmp,var/log/nginx,proc,dev,sys}
	cp "$LOAD" "$T/shared/load"
	head -c 611 /dev/zero | tr '\0' x >"$T/nginx/www/index.html"
	echo >>"$T/nginx/www/index.html"
	sysctl -qw net.ipv4.ip_forward=1
	ln -s usr/{bin,sbin,lib,lib64} "$T/image/"
	cp /etc/{passwd,group,nsswitch.conf} "$T/image/etc/"
	start_dockerd --ip6tables=false || finish
	import_image bench "$T/image"
	echo '# Published ports alone.' >"$T/policies/web"
	printf 'connect any 127.0.0.0/8 = host\nconnect any %s = host\n' "$HOST4" \
		>"$T/policies/there"
	{ cat "$T/policies/there"; echo shortcut on; } >"$T/policies/short"
}

# What serves at two ports, at the second of them `load`, whose sockets do not block.
serving() # ADDRESS PORT -> SERVING
{
	cat >"$T/nginx/$2.conf" <<END
daemon off; user root root; worker_processes 1; pid $T/nginx/$2.pid; error_log stderr;
events { worker_connections 512; }
http {
	access_log off; keepalive_requests 1000000000; sendfile on; open_file_cache max=16;
	$(nginx_paths)
	server { listen $1:$2; root $T/nginx/www; }
}
END
	SERVING=("${CORE[@]}" sh -c "$T/shared/load serve $1 $(($2 + 1)) --poll &
		exec nginx -e stderr -c $T/nginx/$2.conf")
}

container() # NAME OPTION... -- PROGRAM...
{
	local name=$1
	shift
	"$DOCKER" run -d --name "$name" --cap-add SYS_NICE "${BINDS[@]}" "$@" >/dev/null ||
		die "no container $name"
}

start_all()
{
	# In sessions of their own, as containers are; see container_turns.sh.
	serving "$HOST4" "$NATIVE"
	spawn native setsid "${SERVING[@]}"
	serving "$HOST4" "$AGAIN"
	spawn again setsid "${SERVING[@]}"
	serving "$HOST4" "$NETWORK"
	container network --network host bench "${SERVING[@]}"
	serving 0.0.0.0 "$GRAFTED"
	container grafted --runtime=graft --label graft.policy=web \
		-p "$GRAFTED:$GRAFTED" -p "$((GRAFTED + 1)):$((GRAFTED + 1))" bench "${SERVING[@]}"
	serving 0.0.0.0 "$BRIDGED"
	container bridged -p "$BRIDGED:$BRIDGED" -p "$((BRIDGED + 1)):$((BRIDGED + 1))" \
		bench "${SERVING[@]}"
	serving 0.0.0.0 "$SHORT"
	container short --runtime=graft --label graft.policy=short \
		-p "$SHORT:$SHORT" -p "$((SHORT + 1)):$((SHORT + 1))" bench "${SERVING[@]}"
	container there --runtime=graft --label graft.policy=there bench sleep infinity
	container client --runtime=graft --label graft.policy=short bench sleep infinity
	container beside bench sleep infinity
	# By route, where a namespace may not choose: now that there is one to the bridge. Two
	# have a stack of their own.
	"$SOURCE_DIR/bench/congestion.sh" cubic || die "no cubic"
	local name
	for name in bridged beside; do
		nsenter --net -t "$("$DOCKER" inspect -f '{{.State.Pid}}' "$name")" \
			"$SOURCE_DIR/bench/congestion.sh" cubic || die "no cubic in $name"
	done
	ADDRESS=$("$DOCKER" inspect -f '{{.NetworkSettings.IPAddress}}' bridged)
	local port
	for port in $NATIVE $AGAIN $NETWORK $GRAFTED $BRIDGED $SHORT; do
		within 20 can_connect "$HOST4" "$port" || die "nobody serves at $port"
		within 20 can_connect "$HOST4" "$((port + 1))" || die "nobody serves at $port + 1"
	done
}

# Where who asks what, a line each: PREFIX COMMAND... with ADDR and PORT to be filled in.
ways() # WAY... -> $T/ways; COMMAND: from "command"
{
	local way words at
	for way; do
		case $way in
		native) words="" at=$HOST4:$NATIVE ;;
		again) words="" at=$HOST4:$AGAIN ;;
		network) words="" at=$HOST4:$NETWORK ;;
		grafted) words="" at=$HOST4:$GRAFTED ;;
		bridged) words="" at=$HOST4:$BRIDGED ;;
		proxied) words="" at=127.0.0.1:$BRIDGED ;;
		pair) words="$DOCKER exec there" at=$HOST4:$GRAFTED ;;
		short) words="$DOCKER exec client" at=$HOST4:$SHORT ;;
		beside) words="$DOCKER exec beside" at=$ADDRESS:$BRIDGED ;;
		esac
		asks "$words" "${at%:*}" "${at#*:}"
	done >"$T/ways"
}

# Their cgroups are the machine's, and go with them.
end_all()
{
	local status=$? names
	mapfile -t names < <("$DOCKER" ps -aq)
	"$DOCKER" rm -f "${names[@]}" >/dev/null 2>&1
	(exit "$status")
	leave_containers
}

prepare
trap end_all EXIT
start_all
WAYS=(native again network grafted bridged proxied)
table container-serving "on the host, again" "host network" "grafted, -p" "bridge, -p" docker-proxy
WAYS=(native pair short beside)
table container-pair "both grafted" "the same, \`shortcut on\`" "both on the bridge"
