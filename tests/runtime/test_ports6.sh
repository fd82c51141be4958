#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# docker network create --ipv6: published ports on [::], and containers that reach each other by
# IPv6, with a dockerd that translates IPv6 (ip6tables, experimental in Docker 20.10).
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
# shellcheck source=tests/lib_docker.sh
. "$LIB_DIR/lib_docker.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need_docker
HERE6=fd99::1
THERE6=fd99::2
ip -6 addr add "$HERE6/64" dev out0 nodad
ip -n outside -6 addr add "$THERE6/64" dev eth0 nodad
sysctl -qw net.ipv6.conf.all.forwarding=1
start_dockerd --experimental --ip6tables --ipv6 --fixed-cidr-v6 fd01::/64 ||
	skip "no dockerd that translates IPv6 here"
make_image
echo "connect any [$HERE6]:9000 = host" >"$T/policies/web"
host_server told 9000 "$HERE6"
count_bridged
"$DOCKER" network create --ipv6 --subnet fd00:77::/64 market >/dev/null || die "no network"
"$DOCKER" network create --ipv6 --subnet fd00:78::/64 square >/dev/null || die "no network"

# What a client outside gets, of both families.
both_outside() # PORT
{
	echo "$(get_outside "$HERE" "$1"), $(get_outside "$HERE6" "$1")"
}

# --- streams ------------------------------------------------------------------------------

check "docker run -p 8080:80, a server for both families" run_web --net market -p 8080:80 \
	--name shop graft-test /inside tell shop 80 v6
check "it listens" within 20 log_says shop listening
contains "docker port" '^80/tcp -> (::|\[::\]):8080$' "$("$DOCKER" port shop)"
before=$(bridged)
equal "from outside, with the client's address" "shop: $THERE6 at $HERE6 8080" \
	"$(get_outside "$HERE6" 8080)"
equal "by IPv4, too" "shop: ::ffff:$THERE at ::ffff:$HERE 8080" "$(get_outside "$HERE" 8080)"
equal "by loopback" "shop: ::1 at ::1 8080" "$(get ::1 8080)"
equal "by the host's address" "shop: $HERE6 at $HERE6 8080" "$(get "$HERE6" 8080)"
equal "no packet crossed a bridge" "$before" "$(bridged)"
equal "from inside, by its own loopback, which is the host's of IPv4 for such a server" \
	"shop: ::ffff:127.0.0.1 at ::ffff:127.0.0.1 8080" "$("$DOCKER" exec shop /inside get ::1 80)"
equal "the policy's own rule" "the host says hello" "$("$DOCKER" exec shop /inside get "$HERE6" 9000)"

there=$(address6_of shop market)
# The bridge's address is tentative at first (Docker 26).
by_address() { get "$there" 80 | grep -qE '^shop: [0-9a-f:]+ at fd00:77::1 '; }
check "the host, by the container's address" within 10 by_address
check "another container" "$DOCKER" run -d --net market --name peer graft-test /inside wait
peer=$(address6_of peer market)
from_peer() { "$DOCKER" exec peer /inside get "$1" "$2" | cut -d' ' -f1-2; }
equal "by the container's address, with its own" "shop: $peer" "$(from_peer "$there" 80)"
equal "by the host's" "shop: $peer at $HERE6 8080" "$("$DOCKER" exec peer /inside get "$HERE6" 8080)"
by_name() { "$DOCKER" exec peer /busybox nslookup shop 127.0.0.11 2>&1 | grep -q "$there"; }
check "its name, from 127.0.0.11" by_name
hidden=$(nft list ruleset | sed -n "s/.*dnat ip6 to \[fd00:77::1\]:\([0-9]*\).*/\1/p" | head -n 1)
contains "the port it has really" '^[0-9]+$' "$hidden"
equal "is not for outside" "" "$(get_outside fd00:77::1 "$hidden" | grep shop)"
check "docker network connect" "$DOCKER" network connect square shop
check "docker network connect" "$DOCKER" network connect square peer
check "a network that came later" within 10 answers "shop: $(address6_of peer square)" \
	from_peer "$(address6_of shop square)" 80
check "docker restart" "$DOCKER" restart -t 0 shop
check "it is reached again" within 20 answers "shop: $THERE6 at $HERE6 8080" \
	get_outside "$HERE6" 8080
kill -KILL "$(supervisors)"
check "its supervisor is killed: no rule is left" within 10 no_tables
check "docker rm -f" "$DOCKER" rm -f shop
check "nothing is left" within 10 quiet

check "docker run -p [ADDRESS]:PORT:PORT" run_web --net market -p '[::1]:8081:80' \
	-p "[$HERE6]:8082:80" --name shop graft-test /inside tell shop 80 v6
check "it listens" within 20 log_says shop listening
equal "loopback alone" "shop: ::1 at ::1 8081" "$(get ::1 8081)"
equal "is not for outside" "" "$(get_outside "$HERE6" 8081 | grep shop)"
equal "one address" "shop: $THERE6 at $HERE6 8082" "$(get_outside "$HERE6" 8082)"
equal "and no other" "" "$(get ::1 8082 2>&1 | grep shop)"
check "docker rm -f" "$DOCKER" rm -f shop

# A server for IPv4 alone: nobody reaches it by IPv6, as without us, where docker-proxy and the
# translation of such a network lead IPv6 to the container's IPv6 address.
for runtime in runc graft; do
	"$DOCKER" run -d --runtime="$runtime" --label graft.policy=web --net market \
		-p 8080:80 --name shop graft-test /inside tell shop 80 v4 >/dev/null
	within 20 log_says shop listening
	equal "a server for IPv4 alone, by $runtime: who reaches it" "shop: $THERE, refused" \
		"$(both_outside 8080 | sed 's/ at [^,]*//; s/nc: .*refused/refused/')"
	check "docker rm -f" "$DOCKER" rm -f shop
done

# --- datagrams ----------------------------------------------------------------------------

check "docker run -p .../udp" run_web --net market -p 5300:53/udp -p '[::1]:5301:54/udp' \
	--name names graft-test /inside echo-udp names 53 v6
check "it listens" within 20 log_says names listening
before=$(bridged)
equal "from outside, with the client's address" "names: $THERE6" "$(ask_outside "$HERE6" 5300)"
equal "by IPv4, too" "names: ::ffff:$THERE" "$(ask_outside "$HERE" 5300)"
equal "by loopback" "names: ::1" "$("$INSIDE" ask-udp ::1 5300)"
equal "by the host's address" "names: $HERE6" "$("$INSIDE" ask-udp "$HERE6" 5300)"
equal "no packet crossed a bridge" "$before" "$(bridged)"
equal "from inside, by its own loopback" "names: ::1" "$("$DOCKER" exec names /inside ask-udp ::1 53)"
there=$(address6_of names market)
equal "another container, by the container's address" "names: $peer" \
	"$("$DOCKER" exec peer /inside ask-udp "$there" 53)"
equal "and by the host's" "names: $peer" "$("$DOCKER" exec peer /inside ask-udp "$HERE6" 5300)"
check "docker exec: a second server" "$DOCKER" exec -d names /inside echo-udp local 54 v6
check "loopback alone" within 10 answers "local: ::1" "$INSIDE" ask-udp ::1 5301
check "docker rm -f" "$DOCKER" rm -f names peer
check "nothing is left" within 10 quiet
check "no container is left" test -z "$("$DOCKER" ps -aq)"
finish
