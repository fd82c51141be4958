#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# examples/docker, word by word, with a dockerd of the test's own and its bridge. There is no
# registry: the image they begin with is made here, of Debian's packages, and has what they
# install already.
#
# Environment: BUILD; GRAFT_CACHE, where that Debian is kept.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
# shellcheck source=tests/lib_docker.sh
. "$LIB_DIR/lib_docker.sh"
BACKEND=${BACKEND-runc}
EXAMPLES=$SOURCE_DIR/examples/docker
PACKAGES=(curl iperf3 iproute2 iputils-ping nginx-light postgresql python3-psycopg2 python3-redis
	redis-server)
DEBIAN=${GRAFT_CACHE:-${BUILD-$SOURCE_DIR/build}/cache}/example-debian
# Before the test is in a network without a mirror.
if [ -z "${EXAMPLE_DEBIAN-}" ]; then
	complaint=$("$SOURCE_DIR/tools/debian_root.sh" bookworm "$DEBIAN" "${PACKAGES[@]}" 2>&1) ||
		{ echo "1..0 # SKIP no Debian: $complaint"; exit 77; }
	export EXAMPLE_DEBIAN=$DEBIAN/root
fi
enter_host "$@"
need iptables nft docker-proxy docker-compose iperf3 curl
need_dockerd

mkdir -p "$T/empty"
run_dockerd --ip6tables=false --add-runtime "graft=$RUNTIME" ||
	skip "no dockerd with a bridge and iptables here"
start_graftd
tar -C "$EXAMPLE_DEBIAN" --exclude='./dev/*' -c . |
	"$DOCKER" import - debian:12-slim >/dev/null || die "no image"

# Without a mirror, apt finds what is there.
build() # NAME DIRECTORY
{
	check "$1: docker build" "$DOCKER" build --network none -t "$1" "$EXAMPLES/$2"
}

stop_container() # NAME
{
	check "$1: docker rm -f" "$DOCKER" rm -f "$1"
	check "$1: its supervisor has gone" within "$LIMIT" no_supervisor
}

answers() # URL
{
	[ "$(curl -s --max-time 5 "$1")" = "$ANSWER" ]
}

build af-graft graft
check "graft add ep-lo" "$GRAFT" add ep-lo type ipv4 addr 127.0.0.1 port 5201
check "docker run ... af-graft iperf3 -s" "$DOCKER" run -d --name tools --runtime=graft \
	-e GRAFT_CONV_PAIRS="0.0.0.0:5201=ep-lo" af-graft iperf3 -s
check "iperf3 -c 127.0.0.1" within "$LIMIT" iperf3 -c 127.0.0.1 -n 20M
contains "graft ps names it" "tools" "$("$GRAFT" ps)"
equal "it has no capability for that" "" \
	"$("$DOCKER" inspect -f '{{range .HostConfig.CapAdd}}{{.}}{{end}}' tools)"
stop_container tools

build af-graft-nginx nginx
check "graft add nx4" "$GRAFT" add nx4 type ipv4 addr 0.0.0.0 port 8080
check "docker run ... af-graft-nginx" "$DOCKER" run -d --name web --runtime=graft \
	-e GRAFT_CONV_PAIRS="0.0.0.0:80=nx4" \
	-v "$EXAMPLES/nginx/default:/etc/nginx/sites-enabled/default:ro" af-graft-nginx
ANSWER="grafted: you are 127.0.0.1, I am port 8080"
check "curl http://127.0.0.1:8080/" within "$LIMIT" answers http://127.0.0.1:8080/
ANSWER="grafted: you are $HOST4, I am port 8080"
check "and by another address of the host's" answers "http://$HOST4:8080/"
stop_container web

echo 'connect any 127.0.0.0/8 = own' >"$T/policies/web"
check "docker run -p 8081:80 --label graft.policy=web" "$DOCKER" run -d --name shop \
	--runtime=graft -p 8081:80 --label graft.policy=web \
	-v "$EXAMPLES/nginx/default:/etc/nginx/sites-enabled/default:ro" af-graft-nginx
ANSWER="grafted: you are 127.0.0.1, I am port 8081"
check "curl http://127.0.0.1:8081/" within "$LIMIT" answers http://127.0.0.1:8081/
stop_container shop

# Four services; what they say to each other does not go by their network.
build af-graft-shop shop
compose() { docker-compose --no-ansi -p shop -f "$EXAMPLES/shop/compose.yaml" "$@"; }
check "docker-compose up" compose up -d
count_bridged
visits() { curl -s --max-time 5 http://127.0.0.1:8082/ | grep -qx "visit $1, $1 in the database"; }
check "the first visit" within "$LIMIT" visits 1
check "the second" visits 2
equal "no packet of theirs met a bridge" 0 "$(bridged)"
equal "each is grafted" 4 "$("$GRAFT" ps | grep -c notify)"
check "docker-compose down" compose down
check "shop: no supervisor is left" within "$LIMIT" no_supervisor
finish
