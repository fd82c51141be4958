#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Images without glibc, in docker run --runtime=graft: a static Go program, alone in its image,
# which makes its system calls itself; and programs of musl's with its libc alone. Each serves at
# a published port, and connects out by a rule.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
# shellcheck source=tests/lib_docker.sh
. "$LIB_DIR/lib_docker.sh"
need go musl-gcc readelf
[ -n "${GO_PEER-}" ] || build_go_peer peer-image
BACKEND=${BACKEND-runc}
enter_host "$@"
need_docker
# As main.go says: what sixteen clients post, with and without keep-alive.
POSTS="posts 149
posts 149"

start_dockerd --ip6tables=false || skip "no dockerd with a bridge and iptables here"
printf 'connect any %s:9000 = host\n' "$HERE" >"$T/policies/web"
"$DOCKER" network create market >/dev/null || die "no network"
count_bridged

is_listed() # NAME: by graft ps, with the socket it serves by
{
	"$GRAFT" ps | grep -qE "^ *[0-9]+ +$1 " && "$GRAFT" ps --sockets "$1" | grep -qi listen
}

# --- Go -----------------------------------------------------------------------------------

mkdir -p "$T/go"
cp "$GO_PEER" "$T/go/peer"
contains "Go: the program is static" 'not a dynamic executable' "$(ldd "$T/go/peer" 2>&1)"
import_image go "$T/go"
spawn told "$GO_PEER" server "$HERE:9000"
await told grep -q ready "$T/told.log" || finish
check "Go: docker run -p 8080:80" run_web --net market -p 8080:80 --name shop go \
	/peer server :80
check "Go: it listens" within 20 log_says shop ready
before=$(bridged)
equal "Go: it serves outside" "$POSTS" \
	"$(timeout 60 ip netns exec outside "$GO_PEER" client "http://$HERE:8080/" 2>&1)"
equal "Go: past the bridge" "$before" "$(bridged)"
check "Go: graft ps" is_listed shop
equal "Go: it connects by its rule" "$POSTS" \
	"$("$DOCKER" exec shop /peer client "http://$HERE:9000/" 2>&1)"
equal "Go: past the bridge" "$before" "$(bridged)"
contains "Go: nowhere else" 'refused|unreachable' \
	"$("$DOCKER" exec shop /peer client "http://127.0.0.1:9000/" 2>&1)"
check "Go: docker rm -f" "$DOCKER" rm -f shop
check "Go: nothing is left" within 10 quiet
stop told

# --- musl ---------------------------------------------------------------------------------

mkdir -p "$T/musl/lib"
musl-gcc -O2 -o "$T/musl/web" "$SOURCE_DIR/tests/runtime/web.c" || die "musl-gcc failed"
# What it asks for, which is the libc, too, is all that is in the image with it.
LOADER=$(readelf -p .interp "$T/musl/web" | grep -o '/lib/ld-musl-.*')
contains "musl: the program is musl's" '^/lib/ld-musl-' "$LOADER"
cp -L "$LOADER" "$T/musl/lib/"
import_image musl "$T/musl"
check "musl: docker run -p 8080:80" run_web --net market -p 8080:80 --name shop musl \
	/web serve shop 80
check "musl: it listens" within 20 log_says shop listening
spawn told "$T/musl/web" serve told 9000
wait_for_listener told 9000
before=$(bridged)
equal "musl: it serves outside" "shop: ::ffff:$THERE" \
	"$(ip netns exec outside busybox wget -q -O - "http://$HERE:8080/" 2>&1)"
equal "musl: it connects by its rule" "told: ::ffff:$HERE" \
	"$("$DOCKER" exec shop /web get "$HERE" 9000 2>&1)"
equal "musl: past the bridge, both" "$before" "$(bridged)"
check "musl: graft ps" is_listed shop
contains "musl: nowhere else" 'refused|unreachable' \
	"$("$DOCKER" exec shop /web get 127.0.0.1 9000 2>&1)"
check "musl: another container" run_web --net market --name peer musl /web serve peer 80
equal "musl: by name, of Docker's resolver" "shop: ::ffff:$(address_of peer market)" \
	"$("$DOCKER" exec peer /web get shop 80 2>&1)"
check "musl: docker rm -f" "$DOCKER" rm -f shop peer
check "musl: nothing is left" within 10 quiet
finish
