#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Programs written for AF_GRAFT, without the module.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need_engine
FAMILY=$T/bin/graft_family
cp "${GRAFT_FAMILY:-$SOURCE_DIR/build/tests/net/graft_family}" "$FAMILY" ||
	die "no graft_family"

# A namespace with a server.
spawn far unshare --net sh -c "ip link set lo up && exec $PYTHON -c '
import socket
s = socket.socket()
s.bind((\"127.0.0.1\", 7086))
s.listen(8)
print(\"up\", flush=True)
while True:
    s.accept()[0].close()
'"
await far grep -q up "$T/far.log" || die "no server in the other namespace"
FAR=${PID_OF[far]}
unset "PID_OF[far]" # it ends with the test

# One point for each line of the program's.
take_points() # NAME TEXT
{
	local line
	grep -q '^1\.\.[1-9]' <<<"$2" || not_ok "$1: it comes to its end" "$2"
	while read -r line; do
		case $line in
		"ok "*) ok "$1: ${line#* - }" ;;
		"not ok "*) not_ok "$1: ${line#* - }" ;;
		esac
	done <<<"$2"
}

family()
{
	local dir=$T/family.$WHO
	own_dir "$dir"
	local rules=(
		--rule 'endpoint ep-stream ipv4 127.0.0.1:7070'
		--rule 'endpoint ep-six ipv6 [::1]:7071'
		--rule 'endpoint ep-16-characters ipv4 127.0.0.1:7072'
		--rule 'endpoint ep-options ipv4 127.0.0.1:7073'
		--rule 'endpoint ep-server ipv4 127.0.0.1:7074'
		--rule 'endpoint ep-any ipv4 127.0.0.1:dynamic'
		--rule "endpoint ep-path unix $dir/socket"
	)
	take_points "$WHO" "$(try "${rules[@]}" -- "$FAMILY" 2>&1)"
	take_points "$WHO with a source" "$(try "${rules[@]}" \
		--rule 'endpoint default-source ipv4 127.0.0.1:7079' \
		-- "$FAMILY" --source 2>&1)"
	# An ordinary user may not enter somebody else's namespace.
	[ "$WHO" = user ] || take_points "$WHO and far" "$(try "${rules[@]}" \
		--rule "endpoint ep-far ipv4 127.0.0.1:7086 netns $FAR" -- "$FAMILY" --far 2>&1)"
}
each_user family
finish
