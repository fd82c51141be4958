# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A dockerd of the test's own, with its bridge, its packet filter and its docker-proxy in "the
# host" of lib.sh, on top of lib_container.sh:
#
#	outside (10.9.9.2) --veth-- the host (10.9.9.1) -- docker0, user networks -- containers
DOCKER=${DOCKER-/usr/bin/docker}
DOCKERD_PREFIX=() # words before dockerd
HERE=10.9.9.1
THERE=10.9.9.2

need_dockerd()
{
	need dockerd containerd
	[ -x "$DOCKER" ] || skip "no docker at $DOCKER"
	need_containers
	LIMIT=60
	export DOCKER_HOST=unix://$T/docker.sock DOCKER_CONFIG=$T/docker
}

# With a bridge, and a client outside.
need_docker()
{
	need iptables nft busybox docker-proxy
	need_dockerd
	mkdir -p /run/netns
	ip netns add outside || skip "no network namespaces by name"
	ip link add out0 type veth peer name eth0 netns outside || skip "no veth"
	ip addr add "$HERE/24" dev out0
	ip link set out0 up
	ip -n outside addr add "$THERE/24" dev eth0
	ip -n outside link set eth0 up
	sysctl -qw net.ipv4.ip_forward=1
	nft list ruleset >/dev/null 2>&1 || skip "no nf_tables in this kernel"
}

# run_dockerd OPTION...: with no more than it needs here
run_dockerd()
{
	spawn dockerd "${DOCKERD_PREFIX[@]}" dockerd --host "$DOCKER_HOST" --data-root "$T/data" \
		--exec-root "$T/exec" --pidfile "$T/dockerd.pid" \
		--default-ulimit nofile=1024:1024 --cgroup-parent "/$MARK" "$@"
	await dockerd "$DOCKER" version
}

# start_dockerd OPTION...
start_dockerd()
{
	run_dockerd --storage-driver=vfs --add-runtime "graft=$RUNTIME" "$@"
}

# import_image NAME DIRECTORY [OPTION...]
import_image()
{
	tar -C "$2" -c . | "$DOCKER" import "${@:3}" - "$1" >/dev/null || die "no image"
}

# graft-test: `inside`, and a busybox.
make_image()
{
	mkdir -p "$T/image/tmp"
	cp "$INSIDE" "$T/image/inside"
	cp "$(command -v busybox)" "$T/image/busybox"
	import_image graft-test "$T/image"
}

graft_run() # OPTION... ARGUMENT...
{
	"$DOCKER" run --runtime=graft "$@"
}

run_web() # OPTION... ARGUMENT...: with the policy
{
	graft_run -d --label graft.policy=web "$@" >/dev/null
}

log_says() # NAME TEXT
{
	"$DOCKER" logs "$1" 2>&1 | grep -q "$2"
}

show_log()
{
	comment "$(tail -n 30 "$T/runtime.log")"
}

get_outside() # ADDRESS PORT
{
	timeout 10 ip netns exec outside busybox nc "$1" "$2" </dev/null 2>&1
}

ask_outside() # ADDRESS PORT: a datagram
{
	timeout 10 ip netns exec outside "$INSIDE" ask-udp "$1" "$2" 2>&1
}

address_of() # CONTAINER [NETWORK]
{
	"$DOCKER" inspect -f "{{(index .NetworkSettings.Networks \"${2-bridge}\").IPAddress}}" "$1"
}

address6_of() # CONTAINER NETWORK
{
	"$DOCKER" inspect -f \
		"{{(index .NetworkSettings.Networks \"$2\").GlobalIPv6Address}}" "$1"
}

tables() # the runtime's, in the packet filter
{
	nft list tables | grep -c ' graft-'
}

no_tables() { [ "$(tables)" = 0 ]; }

quiet() # no container's supervisor is there
{
	[ -z "$(supervisors)$(helpers)" ] && no_tables
}

answers() # WANTED COMMAND...
{
	[ "$("${@:2}")" = "$1" ]
}
