# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Tables of what Docker's ways cost, a second of each in turn, all of it on core 0: what the
# scripts that make them share, on top of tests/lib_docker.sh.
#
#	ROUNDS, DOCUMENT	how often; where a table goes, or ""
#	ways WAY...		the script's: a line of $T/ways for each, by asks
#	WAYS			of a table; the first is what the others are compared with
LOAD=${LOAD-$SOURCE_DIR/build/bench/load}

asks() # PREFIX ADDRESS PORT
{
	case $KIND in
	keep) echo "$1 taskset -c 0 wrk -t1 -c32 -d1s http://$2:$3/" ;;
	close) echo "$1 taskset -c 0 wrk -t1 -c32 -d1s -H 'Connection: close' http://$2:$3/" ;;
	*) echo "$1 taskset -c 0 $T/shared/load $KIND $2 $(($3 + 1)) 0.4 --poll" ;;
	esac
}

row() # KIND FIGURE=TITLE...; WAYS
{
	KIND=$1
	ways "${WAYS[@]}"
	"$PYTHON" "$SOURCE_DIR/bench/alternate.py" "$ROUNDS" "$T/ways" "${@:2}" ||
		die "a client failed"
}

head_of() # TITLE...
{
	local title titles="" lines="|---"
	for title; do
		titles+=" $title |"
		lines+="|---"
	done
	cat <<END
$(date +%F), Linux $(uname -r), $(nproc) CPUs, Docker $("$DOCKER" version -f '{{.Server.Version}}'), cubic; quartiles in brackets.

| by that on the host |$titles
$lines|
END
}

rows()
{
	local kind
	for kind in ${KINDS-whole rr keep close}; do
		case $kind in
		whole) row whole per_second="1 MiB in writes of 128 KiB, answered" ;;
		rr) row rr per_second="64 bytes there and back" p50_us="its time, p50" ;;
		keep) row keep per_second="nginx and wrk, keep-alive" ;;
		close) row close per_second="nginx and wrk, \`Connection: close\`" ;;
		esac
	done
}

table() # NAME TITLE...; WAYS
{
	[ "${ONLY-${1#container-}}" = "${1#container-}" ] || return 0
	{ head_of "${@:2}"; rows; } >"$T/$1"
	cat "$T/$1"
	[ -z "$DOCUMENT" ] ||
		"$PYTHON" "$SOURCE_DIR/bench/document.py" "$DOCUMENT" "$1" <"$T/$1"
}
