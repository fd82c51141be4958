#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# docker run -p: published ports at the host's speed, with a dockerd of the test's own that
# has its bridge, its packet filter and its docker-proxy in "the host"; lib_docker.sh.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
# shellcheck source=tests/lib_docker.sh
. "$LIB_DIR/lib_docker.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need_docker

# --- the host, its dockerd, a client outside --------------------------------------------

start_dockerd --ip6tables=false || skip "no dockerd with a bridge and iptables here"
make_image
import_image graft-labelled "$T/image" -c 'LABEL graft.policy=web' \
	-c "LABEL graft.rule=\"connect any $HERE:9000 = host\""
echo "connect any $HERE:9000 = host" >"$T/policies/web"
host_server told 9000 "$HERE"

count_bridged

# --- helpers ------------------------------------------------------------------------------

can_bind() # PORT: nobody has it
{
	"$PYTHON" -c 'import socket, sys
socket.create_server(("0.0.0.0", int(sys.argv[1])))' "$1" 2>/dev/null
}

# --- one published port -------------------------------------------------------------------

check "docker run -p 8080:80" run_web -p 8080:80 --name shop graft-test /inside tell shop 80 v4
check "it listens" within 20 log_says shop listening
contains "and sees what it bound" '^listening at 0.0.0.0 80$' "$("$DOCKER" logs shop)"
before=$(bridged)
equal "from outside, with the client's address" "shop: $THERE at $HERE 8080" \
	"$(get_outside "$HERE" 8080)"
equal "by loopback" "shop: 127.0.0.1 at 127.0.0.1 8080" "$(get 127.0.0.1 8080)"
equal "by the host's address" "shop: $HERE at $HERE 8080" "$(get "$HERE" 8080)"
equal "no packet crossed a bridge" "$before" "$(bridged)"
equal "from inside, by its own loopback" "shop: 127.0.0.1 at 127.0.0.1 8080" \
	"$("$DOCKER" exec shop /inside get 127.0.0.1 80)"
equal "the policy's own rule" "the host says hello" \
	"$("$DOCKER" exec shop /inside get "$HERE" 9000)"
equal "graft ps: name" shop "$("$GRAFT" ps | awk '$2 == "shop" { print $2 }')"
contains "graft ps --json: image" '"image": *"graft-test"' "$("$GRAFT" ps --json)"
contains "docker port" '0.0.0.0:8080' "$("$DOCKER" port shop)"
output=$(run_web -p 8080:80 --name second graft-test /inside tell second 80 v4 2>&1)
contains "a second one: Docker's own error" 'port is already allocated' "$output"
"$DOCKER" rm -f second >/dev/null 2>&1
equal "which changes nothing for the first" "shop: $THERE at $HERE 8080" \
	"$(get_outside "$HERE" 8080)"

# --- others of its networks ---------------------------------------------------------------

there=$(address_of shop)
contains "the host, by the container's address" '^shop: [0-9.]+ at 172.17.0.1 ' \
	"$(get "$there" 80)"
check "another container" "$DOCKER" run -d --name peer graft-test /inside wait
equal "by the container's address, with its own" "shop: $(address_of peer)" \
	"$("$DOCKER" exec peer /inside get "$there" 80 | cut -d' ' -f1-2)"
equal "by the host's" "shop: $(address_of peer) at $HERE 8080" \
	"$("$DOCKER" exec peer /inside get "$HERE" 8080)"
check "docker network create" "$DOCKER" network create market
check "docker network connect" "$DOCKER" network connect market shop
check "docker network connect" "$DOCKER" network connect market peer
there=$(address_of shop market)
by_name() { "$DOCKER" exec peer /busybox nslookup shop 127.0.0.11 2>&1 | grep -q "$there"; }
check "its name, from 127.0.0.11" by_name
its_peer() { "$DOCKER" exec shop /busybox nslookup peer 127.0.0.11 2>&1 | grep -q "$(address_of peer market)"; }
check "and what it is told itself" within 10 its_peer
by_network() { "$DOCKER" exec peer /inside get "$there" 80 | cut -d' ' -f1-2; }
check "a network that came later" within 10 answers "shop: $(address_of peer market)" by_network

# --- life ---------------------------------------------------------------------------------

check "docker restart" "$DOCKER" restart -t 0 shop
check "it is reached again" within 20 answers "shop: $THERE at $HERE 8080" get_outside "$HERE" 8080
check "docker stop" "$DOCKER" stop -t 0 shop
check "nothing is left" within 10 quiet
check "the port is free" within 10 can_bind 8080
check "docker start" "$DOCKER" start shop
check "it is reached again" within 20 answers "shop: $THERE at $HERE 8080" get_outside "$HERE" 8080 || show_log
check "dockerd is killed" kill -KILL "${PID_OF[dockerd]}"
equal "it is reached still" "shop: $THERE at $HERE 8080" "$(get_outside "$HERE" 8080)"
{ wait "${PID_OF[dockerd]}"; } 2>/dev/null
rm -f "$T/dockerd.pid"
check "a new dockerd" start_dockerd --ip6tables=false
check "nothing is left" within 20 quiet
check "docker start" "$DOCKER" start peer
check "docker start" "$DOCKER" start shop
check "it is reached again" within 20 answers "shop: $THERE at $HERE 8080" get_outside "$HERE" 8080
kill -KILL "$(supervisors)"
check "its supervisor is killed: no rule is left" within 10 no_tables
equal "and docker-proxy answers, for nobody" "" "$(get_outside "$HERE" 8080 | grep shop)"
check "docker restart" "$DOCKER" restart -t 0 shop
check "it is reached again" within 20 answers "shop: $THERE at $HERE 8080" get_outside "$HERE" 8080
check "docker rm -f" "$DOCKER" rm -f shop
check "nothing is left" within 10 quiet

# --- other ways to say -p -----------------------------------------------------------------

check "docker run -p 80, -p IP:PORT:PORT" run_web -p 80 -p 127.0.0.1:8081:81 --name shop \
	graft-test /inside tell shop 80 v4
check "it listens" within 20 log_says shop listening
port=$("$DOCKER" port shop 80/tcp | sed -n 's/0.0.0.0://p')
equal "a random port" "shop: $THERE at $HERE $port" "$(get_outside "$HERE" "$port")"
check "docker exec: a second server" "$DOCKER" exec -d shop /inside tell local 81 v4
check "loopback alone" within 10 answers "local: 127.0.0.1 at 127.0.0.1 8081" get 127.0.0.1 8081
equal "is not for outside" "" "$(get_outside "$HERE" 8081 | grep local)"
check "docker rm -f" "$DOCKER" rm -f shop
check "docker run -p, for two ports, a server for both families" run_web -p 8080:80 \
	-p 8082:80 --name shop graft-test /inside tell shop 80 v6
check "it listens" within 20 log_says shop listening
contains "and sees what it bound" '^listening at :: 80$' "$("$DOCKER" logs shop)"
equal "the one" "shop: ::ffff:$THERE at ::ffff:$HERE 8080" "$(get_outside "$HERE" 8080)"
equal "the other" "shop: ::ffff:$THERE at ::ffff:$HERE 8082" "$(get_outside "$HERE" 8082)"
equal "IPv6" "shop: ::1 at ::1 8080" "$(get ::1 8080)"
check "docker network disconnect" "$DOCKER" network disconnect bridge shop
check "the port is Docker's no longer" within 10 can_bind 8080
host_server host 8080 "$HERE"
equal "who takes it has it" "the host says hello" "$(get_outside "$HERE" 8080)"
check "docker rm -f" "$DOCKER" rm -f shop
check "--net none, where Docker reserves nothing" run_web --net none -p 8080:80 --name shop \
	graft-test /inside tell shop 80 v4
check "it listens" within 20 log_says shop listening
equal "takes no port of the host's" "the host says hello" "$(get_outside "$HERE" 8080)"
equal "and listens to itself" "shop: 127.0.0.1 at 127.0.0.1 80" \
	"$("$DOCKER" exec shop /inside get 127.0.0.1 80)"
check "docker rm -f" "$DOCKER" rm -f shop
stop host
check "nobody is bound: docker-proxy's to answer" run_web -p 8080:80 --name shop graft-test \
	/inside wait
contains "as today" refused "$(get_outside "$HERE" 8080)"
check "docker rm -f" "$DOCKER" rm -f shop

check "docker run: two sockets share the port" run_web -p 8080:80 --name shop graft-test \
	/inside share 80
check "they listen" within 20 log_says shop listening
both() # each gets some
{
	[ "$(for _ in {1..40}; do get 127.0.0.1 8080; done | sort -u | wc -l)" = 2 ]
}
check "and both are reached" both
check "docker rm -f" "$DOCKER" rm -f shop

# --- datagrams ----------------------------------------------------------------------------

check "docker run -p .../udp" run_web -p 5300:53/udp -p 127.0.0.1:5301:54/udp --name names \
	graft-test /inside echo-udp names 53 v4
check "it listens" within 20 log_says names listening
contains "and sees what it bound" '^listening at 0.0.0.0 53$' "$("$DOCKER" logs names)"
before=$(bridged)
equal "from outside, with the client's address" "names: $THERE" "$(ask_outside "$HERE" 5300)"
equal "by loopback" "names: 127.0.0.1" "$("$INSIDE" ask-udp 127.0.0.1 5300)"
equal "by the host's address" "names: $HERE" "$("$INSIDE" ask-udp "$HERE" 5300)"
equal "no packet crossed a bridge" "$before" "$(bridged)"
equal "from inside, by its own loopback" "names: 127.0.0.1" \
	"$("$DOCKER" exec names /inside ask-udp 127.0.0.1 53)"
there=$(address_of names)
contains "the host, by the container's address" '^names: ' "$("$INSIDE" ask-udp "$there" 53)"
equal "another container, by the container's address" "names: $(address_of peer)" \
	"$("$DOCKER" exec peer /inside ask-udp "$there" 53)"
equal "and by the host's" "names: $(address_of peer)" \
	"$("$DOCKER" exec peer /inside ask-udp "$HERE" 5300)"
check "docker exec: a second server, for both families" "$DOCKER" exec -d names \
	/inside echo-udp local 54 v6
check "loopback alone" within 10 answers "local: ::ffff:127.0.0.1" \
	"$INSIDE" ask-udp 127.0.0.1 5301
hidden=$(ss -Hlun | awk '$4 ~ /^0.0.0.0:[0-9][0-9][0-9][0-9][0-9]$/ { sub(".*:", "", $4); print $4 }')
contains "the port it has really" '^[0-9]+$' "$hidden"
equal "is not for outside" "" "$(ask_outside "$HERE" "$hidden" | grep names)"
check "docker restart" "$DOCKER" restart -t 0 names
check "it is reached again" within 20 answers "names: $THERE" ask_outside "$HERE" 5300
check "docker rm -f" "$DOCKER" rm -f names
check "nothing is left" within 10 quiet

# --- labels -------------------------------------------------------------------------------

check "labels of the image" graft_run -d -p 8080:80 --name shop graft-labelled \
	/inside tell shop 80 v4
check "it listens" within 20 log_says shop listening
equal "make no policy" "" "$(supervisors)"
equal "and give nothing" "connect: ECONNREFUSED" \
	"$("$DOCKER" exec shop /inside get 127.0.0.1 9000)"
equal "it is Docker's alone" "shop: $THERE at $(address_of shop) 80" \
	"$(get_outside "$HERE" 8080)"
check "docker rm -f" "$DOCKER" rm -f shop
id=$("$DOCKER" create --runtime=graft --label graft.policy=web -p 8080:80 --name shop \
	graft-test /inside tell shop 80 v4)
chmod o+w "$T/data/containers/$id"
check "a directory that others may write" "$DOCKER" start shop
check "it listens" within 20 log_says shop listening
equal "is not believed" "" "$(supervisors)"
check "docker rm -f" "$DOCKER" rm -f shop
echo "connect any $HERE:9000 = host" >"$T/policies/mine"
check "labels in the place of the image's" graft_run -d --label graft.policy=mine -p 8080:80 \
	--name shop graft-labelled /inside tell shop 80 v4
check "are heard" within 20 answers "shop: $THERE at $HERE 8080" get_outside "$HERE" 8080
check "docker rm -f" "$DOCKER" rm -f shop
echo "connect any $HERE:9000 = host" >"$T/policies/named"
check "a policy by the container's name" graft_run -d -p 8080:80 --name named graft-test \
	/inside tell named 80 v4
check "is found" within 20 answers "named: $THERE at $HERE 8080" get_outside "$HERE" 8080
check "docker rm -f" "$DOCKER" rm -f named
check "a rule by a label" graft_run -d --label "graft.rule=bind tcp 0.0.0.0:80 = own" \
	-p 8080:80 --name shop graft-test /inside tell shop 80 v4
check "it listens" within 20 log_says shop listening
equal "comes before published ports" "shop: $THERE at $(address_of shop) 80" \
	"$(get_outside "$HERE" 8080)"
check "docker rm -f" "$DOCKER" rm -f shop peer

# --- a shortcut -----------------------------------------------------------------------------

cp "$SOURCE_DIR/tests/runtime/pair.py" "$SOURCE_DIR/tests/cgroup/shortcut.py" "$T/bin/"
printf 'connect any %s = host\nshortcut on\n' "$HERE" >"$T/policies/short"
pair() # RUN-OPTION... -- ARGUMENT...: of pair.py, in a container
{
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	graft_run -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$T/bin:/pair:ro" \
		"${options[@]}" graft-test "$PYTHON" -B /pair/pair.py "${@:2}" 2>&1
}
check "a server whose policy says so" pair -d -p 8080:80 --label graft.policy=short --name shop \
	-- serve 80
check "it listens" within 20 log_says shop serves
wanted="way ['shortcut', 'shortcut']"
if grep -q "'shortcut on' goes without" "$T/runtime.log"; then
	wanted="way ['TCP', 'TCP']"
fi
equal "a client whose policy does, to the published port: past TCP" "$wanted" \
	"$(pair --rm --label graft.policy=short -- ask "$HERE" 8080 way)"
equal "one whose policy does not: by TCP" "way ['TCP', 'TCP']" \
	"$(pair --rm --label graft.policy=mine --label "graft.rule=connect any $HERE = host" \
		-- ask "$HERE" 8080 way)"
check "docker rm -f" "$DOCKER" rm -f shop
check "nothing is left" within 10 quiet
check "no container is left" test -z "$("$DOCKER" ps -aq)"
finish
