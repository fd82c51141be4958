#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a published port of rootless Docker's costs: a client on the host, and the server on the
# host, in a container with a policy, or in one without, behind RootlessKit and docker-proxy.
#
#	bench/container_rootless.sh [ROUNDS [FILE]]	within the tree
#
# Prints a table; with FILE puts it between the markers container-rootless of that. Root, for an
# ordinary user of its own.
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib_container.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib_docker.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib_rootless.sh"
# shellcheck source=bench/docker_table.sh
. "$(dirname "${BASH_SOURCE[0]}")/docker_table.sh"
BACKEND=${BACKEND-runc}
ROUNDS=${1-12}
DOCUMENT=${2:+$SOURCE_DIR/$2} # a path within the tree
enter_host "$@"
need taskset
CORE=(taskset -c 0)
# Ports of load, less one; RootlessKit's way is known by its own.
NATIVE=8000 AGAIN=8010 GRAFTED=8030 KITS=8040

ways() # WAY... -> $T/ways
{
	local way
	for way; do
		case $way in
		native) asks "" "$HOST4" "$NATIVE" ;;
		again) asks "" "$HOST4" "$AGAIN" ;;
		grafted) asks "" "$HOST4" "$GRAFTED" ;;
		kits) asks "" "$HOST4" "$KITS" ;;
		esac
	done >"$T/ways"
}

serve() # PORT OPTION...: in a container
{
	"$DOCKER" run -d -v /usr:/usr:ro -p "$HOST4:$(($1 + 1)):80" "${@:2}" bench \
		/load serve 0.0.0.0 80 --poll >/dev/null || die "no container"
}

mkdir -p "$T/image"/{proc,dev,sys,tmp,etc}
mkdir -p "$T/shared"
cp "$LOAD" "$T/shared/load"
cp "$LOAD" "$T/image/load"
chmod 755 "$T/image/load"
ln -s usr/{bin,sbin,lib,lib64} "$T/image/"
prepare_rootless_docker
start_rootless_docker "${CORE[@]}" "$GRAFT" lend || finish
import_image bench "$T/image"
"$SOURCE_DIR/bench/congestion.sh" cubic || die "no cubic"
# In sessions of their own, as containers are; see container_turns.sh.
spawn native setsid "${CORE[@]}" "$LOAD" serve "$HOST4" "$((NATIVE + 1))" --poll
spawn again setsid "${CORE[@]}" "$LOAD" serve "$HOST4" "$((AGAIN + 1))" --poll
serve "$GRAFTED" --runtime=graft --label "graft.rule=connect any $HOST4 = host"
serve "$KITS"
for port in $NATIVE $AGAIN $GRAFTED $KITS; do
	within 20 can_connect "$HOST4" "$((port + 1))" || die "nobody serves at $port + 1"
done
KINDS="whole rr"
WAYS=(native again grafted kits)
table container-rootless "on the host, again" "grafted, -p" "RootlessKit, -p"
mapfile -t containers < <("$DOCKER" ps -aq)
"$DOCKER" rm -f "${containers[@]}" >/dev/null
stop_all
