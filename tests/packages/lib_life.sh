# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What is alive while packages come and go, on top of lib.sh, and what is tried with them.
NEW=$(dpkg-deb -f /shared/built/graft_*.deb Version)
KERNEL_VERSION=$(basename /lib/modules/*)
RUN_PORT=18090
HELD_PORT=18091
DENIED_PORT=18092
CONTAINER_PORT=18095 # as the bundle says
CGROUP=/sys/fs/cgroup/judged
DOCKER='{ "dns": ["10.0.0.1"],
	"runtimes": { "kata": {"path": "/opt/kata"} } }'
NOBODY=(setpriv --reuid=65534 --regid=65534 --clear-groups
	env HOME=/run/test/nobody XDG_RUNTIME_DIR=/run/test/nobody)

part() # FUNCTION
{
	local start=${EPOCHREALTIME/[.,]/}
	"$@"
	comment "$1: $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) ms"
}

graftd_pid()
{
	systemctl show -P MainPID graftd.service
}

get() # PORT
{
	timeout 10 busybox wget -q -O - "http://127.0.0.1:$1/"
}

answers_with() # PORT TEXT
{
	[ "$(get "$1")" = "$2" ]
}

# A server of the endpoint web, by the library.
serve_held()
{
	spawn held env LD_PRELOAD=libgraft-hijack.so GRAFT_CONV_PAIRS="0.0.0.0:80=web" \
		busybox httpd -f -p 0.0.0.0:80 -h "$T/held"
	await held answers_with "$HELD_PORT" held
}

waits_in_backlog()
{
	[ "$(ss -Htln "sport = :$HELD_PORT" | awk '{ print $2 }')" -ge 1 ]
}

container_answers()
{
	[ "$(timeout 10 cat </dev/tcp/127.0.0.1/$CONTAINER_PORT)" = "hello from 80" ]
}

begin_container()
{
	graft-runtime create --bundle /shared/bundle packaged </dev/null >"$T/container.log" 2>&1 &&
		graft-runtime start packaged >>"$T/container.log" 2>&1 &&
		within "$LIMIT" container_answers || {
		cat "$T/container.log"
		return 1
	}
}

# A run of an ordinary user's, a container, an endpoint that keeps its socket, with a client who
# waits in it, a policy on a cgroup, and files of the administrator's.
begin_life()
{
	mkdir -p "$T/run" "$T/held" "$T/nobody" "$CGROUP"
	chown 65534:65534 "$T/nobody"
	echo run >"$T/run/index.html"
	echo held >"$T/held/index.html"
	spawn run "${NOBODY[@]}" graft run -p "127.0.0.1:$RUN_PORT:80" -- \
		busybox httpd -f -p 80 -h "$T/run"
	await run answers_with "$RUN_PORT" run
	check "before: an endpoint" graft add web ipv4 "127.0.0.1:$HELD_PORT" hold owner any
	serve_held
	stop held
	spawn early busybox wget -q -O - "http://127.0.0.1:$HELD_PORT/"
	check "before: a client waits in its socket" within "$LIMIT" waits_in_backlog
	check "before: a policy of a cgroup" graft attach \
		--rule "connect tcp 127.0.0.1:$DENIED_PORT = deny" "$CGROUP"
	check "before: a container" begin_container
	echo '# mine' >>/etc/graft/runtime.conf
	echo "bind tcp 0.0.0.0:80 = host" >/etc/graft/containers/shop
	printf '%s\n' "$DOCKER" >/etc/docker/daemon.json
	check "before: graft install docker" graft install docker
}

# Until it is enough; says what went wrong. Who is in the middle of a conversation when the old
# graftd ends is told so, and may ask again.
keeps_asking()
{
	local output
	until [ -e "$T/enough" ]; do
		output=$(timeout "$LIMIT" graft show 2>&1)
		grep -qE '^web |ended the conversation$' <<<"$output" || echo "got: $output"
	done
}

still_serves() # WHEN
{
	equal "$1: the run serves, by the program it was started as" "run deleted" \
		"$(get "$RUN_PORT") $(readlink "/proc/${PID_OF[run]}/exe" | grep -o deleted)"
	check "$1: the container serves" container_answers
	equal "$1: by the supervisor it has had" "deleted" \
		"$(readlink "/proc/$(pgrep -x graft-container)/exe" | grep -o deleted)"
}

judged() # PORT: what connect() to it fails with in the cgroup
{
	sh -c 'echo $$ >"$0/cgroup.procs"; exec busybox nc -w 5 127.0.0.1 "$1"' "$CGROUP" "$1" \
		</dev/null 2>&1 | sed 's/.*: //'
}

goes_on()
{
	still_serves upgrade
	serve_held
	status_of early
	equal "upgrade: who waited in a held socket is served" "0 held" "$STATUS $(cat "$T/early.log")"
	stop held
	equal "upgrade: the policy of a cgroup holds" \
		"Permission denied, Connection refused" \
		"$(judged "$DENIED_PORT"), $(judged 18093)"
	check "upgrade: and the new program knows it" graft stat "$CGROUP"
	equal "upgrade: a container's exec, by the new runtime and the old supervisor" \
		"bind: EADDRINUSE" "$(graft-runtime exec packaged /inside bind 80 2>&1)"
	registration upgrade
	check "upgrade: dpkg --verify names but what the administrator changed" \
		[ "$(dpkg --verify "${OURS[@]}")" = "??5?????? c /etc/graft/runtime.conf" ]
	check "upgrade: the policy is taken away by it" graft detach "$CGROUP"
}

stop_life()
{
	check "purge: the container is deleted by the new runtime" graft-runtime delete -f packaged
	stop_all
	rmdir "$CGROUP"
}

sessions()
{
	check "graft doctor, as root" graft doctor
	check "a session of an ordinary user's: doctor, servers, clients" \
		bash -e /shared/sessions/session 18094
	check "a program of libgraft-dev's: built, and run" bash /shared/sessions/library
	equal "systemd-analyze verify has nothing to say" "" \
		"$(systemd-analyze verify graftd.service graftd.socket 2>&1)"
	equal "dkms: a module for the kernel whose headers are there" \
		"af_graft/${NEW%-*}, $KERNEL_VERSION, x86_64: installed $KERNEL_VERSION" \
		"$(dkms status af_graft) $(modinfo -F vermagic -k "$KERNEL_VERSION" af_graft |
			cut -d ' ' -f 1)"
}

contents()
{
	local page triplet
	triplet=$(gcc -print-multiarch)
	while IFS= read -r page; do
		contains "man -w: $page" "^/usr/share/man/man${page##*.}/$page.gz\$" \
			"$(man -w "${page##*.}" "${page%.*}" 2>&1)"
	done </shared/pages
	equal "libraries are where only those of $triplet are" \
		"libgraft-hijack.so libgraft.so libgraft.so.0 libgraft.so.0.1.0 pkgconfig/libgraft.pc" \
		"$(dpkg -L graft libgraft0 libgraft-dev | sed -n "s,^/usr/lib/$triplet/,,p" |
			grep libgraft | LC_ALL=C sort | xargs)"
	equal "no library is elsewhere" "" "$(dpkg -L "${OURS[@]}" | grep -E '\.so(\.|$)' |
		grep -v "^/usr/lib/$triplet/")"
	contains "ip graft" '^Usage' "$(PATH=/usr/libexec/graft:$PATH ip graft help 2>&1)"
	equal "programs find all their libraries" "" \
		"$(ldd /usr/bin/graft /usr/bin/graft-runtime /usr/sbin/graftd | grep 'not found')"
}
