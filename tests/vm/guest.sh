#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The checks, run by systemd as a service of the machine that root.sh made. Nothing else
# runs there, so it is all the script's: the network, /run, the users root and alice.
#
#	host				graftd.socket, graftd.service, peer
#	+-- box				a network namespace made after graftd was started
#
# Environment: PREFIX, where graft is installed. Output is TAP; the journal has what is said
# on stderr.
. "${0%/*}/lib_guest.sh"

activation()
{
	check "activation: systemctl start graftd.socket" systemctl start graftd.socket
	equal "activation: it listens, and nobody runs" "active inactive srw-rw-rw- root" \
		"$(systemctl is-active graftd.socket) $(systemctl is-active graftd) $(stat -c \
			'%A %U' /run/graft/graftd.sock)"
	equal "activation: the first client, an ordinary user, is answered" "0 " \
		"$(run_at host alice graft show; echo $?) "
	equal "activation: systemctl is-active" active "$(systemctl is-active graftd)"
	equal "activation: readiness and state came by sd_notify" "notify main 0 endpoints" \
		"$(property Type) $(property NotifyAccess) $(property StatusText)"
	check "activation: its control group holds graftd alone" [ "$(graftd_pid)" = \
		"$(cat /sys/fs/cgroup/system.slice/graftd.service/cgroup.procs)" ]
	equal "activation: enabled, both are for the next boot" "enabled enabled" \
		"$(systemctl -q enable graftd && systemctl is-enabled graftd.service \
			graftd.socket | xargs)"
	systemctl -q disable graftd
}

sandbox()
{
	local pid mask name path modes=
	pid=$(graftd_pid)
	# shellcheck disable=SC2046 # names
	mask=$(capability_mask $(property CapabilityBoundingSet))
	comment "capabilities: $mask"
	for name in CapBnd CapPrm CapEff; do
		equal "sandbox: $name is what the unit says" "$mask" "$(of "$pid" "$name")"
	done
	equal "sandbox: nothing to inherit" "0000000000000000 0000000000000000" \
		"$(of "$pid" CapInh) $(of "$pid" CapAmb)"
	equal "sandbox: NoNewPrivs, and Seccomp filters" "1 2" \
		"$(of "$pid" NoNewPrivs) $(of "$pid" Seccomp)"
	for path in / /run /tmp /var /home /root /srv /proc/sys /sys/fs/cgroup; do
		modes+="$path:$(mode "$path") "
	done
	equal "sandbox: read-only, but where sockets are" \
		"/:ro /run:rw /tmp:rw /var:rw /home:rw /root:rw /srv:rw /proc/sys:ro \
/sys/fs/cgroup:ro " "$modes"
	for path in /etc /usr /opt; do
		contains "sandbox: nothing can be made in $path" 'Read-only' \
			"$(nsenter --mount --target "$pid" touch "$path/file" 2>&1)"
	done
	equal "sandbox: network, processes and users are the host's" "mnt uts" \
		"$(namespaces_of_its_own "$pid" | xargs)"
	equal "sandbox: descriptors, and what the kernel kills last" "524288 -500" \
		"$(awk '/open files/ { print $4 }' "/proc/$pid/limits") $(cat \
			"/proc/$pid/oom_score_adj")"
	equal "systemd-analyze verify has nothing to say" "" \
		"$(systemd-analyze --man=no verify graftd.service graftd.socket 2>&1)"
	comment "systemd-analyze security:$(systemd-analyze security graftd --no-pager |
		sed -n 's/.*Overall exposure level for graftd.service: \([0-9.]*\).*/ \1/p')"
}

# Whether a port is somebody's the kernel is asked, which takes a module.
dynamic() # WHEN
{
	local port
	graft add dyn ipv4 127.0.0.1:dynamic owner any
	serve dyn box alice 0.0.0.0:8000=dyn 0.0.0.0:8000 || return
	port=$(graft show dyn | sed -n 's/.* bound \([0-9]*\) $/\1/p')
	equal "dynamic: the port is shown, and the name leads there ($1)" "dyn dyn" \
		"$(plain host "127.0.0.1:$port") $(ask box alice 192.0.2.1:80=dyn 192.0.2.1:80)"
	stop_all
	forget
}

dynamics()
{
	no_modules dynamic "a kernel that cannot be asked"
	equal "dynamic: that kernel had no module" "" "$(loaded)"
	dynamic "one that can"
	equal "dynamic: the sandbox does not keep the kernel from loading it" \
		"inet_diag tcp_diag" "$(loaded)"
}

internet()
{
	graft add web ipv4 127.0.0.1:80 owner any
	graft add web6 ipv6 '[::1]:81' owner any
	graft add there ipv4 127.0.0.1:9000 netns box owner any
	serve web box alice 0.0.0.0:8000=web 0.0.0.0:8000 &&
		equal "ipv4: a user of a namespace serves the host's port 80" "web web" \
			"$(plain host 127.0.0.1:80) $(ask box alice 192.0.2.1:80=web 192.0.2.1:80)"
	serve web6 box alice '[::]:8000=web6' '[::]:8000' &&
		equal "ipv6: and its port 81" web6 "$(plain host '[::1]:81')"
	serve there host alice 0.0.0.0:8000=there 0.0.0.0:8000 &&
		equal "netns: into a namespace by its name, not the host's port" \
			"there ECONNREFUSED" "$(plain box 127.0.0.1:9000) $(plain host 127.0.0.1:9000)"
	equal "netns: and to it" there "$(ask host alice 192.0.2.1:80=there 192.0.2.1:80)"
	stop_all
	forget
}

# by ENGINE...: `graft run` with the endpoint of graftd
runs()
{
	local engine
	graft add web ipv4 127.0.0.1:80 owner any
	for engine in preload notify; do
		spawn "run-$engine" graft run --engine "$engine" -i 0.0.0.0:8000=web -- \
			"$PEER" serve 0.0.0.0:8000 "$engine"
		await "run-$engine" grep -qx up "$T/run-$engine.log" &&
			equal "graft run --engine $engine: an endpoint of graftd" "$engine" \
				"$(plain host 127.0.0.1:80)"
		stop "run-$engine"
	done
	forget
}

unix_path() # NAME USER PATH WANTED: the endpoint is the user's, too
{
	local name=$1 user=$2 path=$3
	run_at host "$user" graft add "$name" type unix path "$path"
	serve "$name" host "$user" "0.0.0.0:80=$name" 0.0.0.0:80 || return
	equal "unix: $user at $path: library, plain, inode" "$name $name $4" \
		"$(ask host "$user" "192.0.2.1:80=$name" 192.0.2.1:80) $(run_at host "$user" \
			"$PEER" ask "$path") $(stat -c '%U %a' "$path")"
}

unix_paths()
{
	unix_path run root /run/app.sock 'root 755'
	unix_path tmp alice /tmp/app.sock 'alice 755'
	unix_path home alice "$ALICE/app.sock" 'alice 755'
	unix_path var root /var/tmp/app.sock 'root 755'
	# As when a user logs in: a file system that was mounted while graftd ran.
	mkdir -p /run/user/1000
	mount -t tmpfs -o mode=700,uid=1000,gid=1000 user /run/user/1000
	unix_path login alice /run/user/1000/app.sock 'alice 755'
	graft add others type unix path "$ALICE/others.sock"
	serve others host root 0.0.0.0:80=others 0.0.0.0:80 &&
		equal "unix: root in a user's home" others "$(plain host "$ALICE/others.sock")"
	stop_all
	forget
	umount /run/user/1000
	elsewhere
}

# What the unit says of other directories.
elsewhere()
{
	graft add opt type unix path /opt/app.sock
	equal "unix: not where the sandbox is read-only" EROFS \
		"$(run_at host root env LD_PRELOAD="$HIJACK" GRAFT_CONV_PAIRS=0.0.0.0:80=opt \
			"$PEER" serve 0.0.0.0:80 opt)"
	drop_in Service ReadWritePaths=/opt
	systemctl restart graftd
	serve opt host root 0.0.0.0:80=opt 0.0.0.0:80 &&
		equal "unix: but with a drop-in that names it" opt "$(plain host /opt/app.sock)"
	stop_all
	forget
	no_drop_in
	systemctl restart graftd
}

# --- reload, kill, restart, stop --------------------------------------------------------

reloads()
{
	local output
	echo 'endpoint file ipv4 127.0.0.1:8080' >"$CONF"
	check "reload: systemctl reload" systemctl reload graftd
	equal "reload: what the file says now is there when it returns" "file, 1 endpoints" \
		"$(graft show | cut -d' ' -f1), $(property StatusText)"
	printf '%s\n' 'endpoint other ipv4 127.0.0.1:8081' 'quota nosuch 3' >"$CONF"
	output=$(systemctl reload graftd 2>&1)
	equal "reload: a broken file is refused: status" 1 $?
	comment "$output"
	contains "reload: and the journal says where" "graftd.conf:2:.*'nosuch'" \
		"$(journalctl -u graftd -o cat --no-pager -n 20)"
	equal "reload: all as before" "file active" \
		"$(graft show | cut -d' ' -f1) $(systemctl is-active graftd)"
	rm "$CONF"
	check "reload: no file" systemctl reload graftd
	equal "reload: what it said is gone" "" "$(graft show)"
}

# It takes its time to come back, so that there is time to look.
kills()
{
	local pid shown restarts
	drop_in Service RestartSec=4s
	graft add web ipv4 127.0.0.1:8080 hold owner any
	graft add other ipv4 127.0.0.1:8081 owner any
	serve web box root 0.0.0.0:80=web 0.0.0.0:80 1 || return
	serve other box root 0.0.0.0:80=other 0.0.0.0:80 || return
	graft add busy ipv4 127.0.0.1:8082 hold owner any
	serve busy box alice 0.0.0.0:82=busy 0.0.0.0:82 || return
	equal "kill: a held endpoint, and its server" web "$(plain host 127.0.0.1:8080)"
	status_of web
	within "$LIMIT" is_state web held
	shown=$(graft show)
	pid=$(graftd_pid) restarts=$(property NRestarts)
	check "kill: systemctl kill -s KILL" systemctl kill -s KILL graftd
	check "kill: systemd waits to start it again" within "$LIMIT" is_in SubState auto-restart
	equal "kill: graftd is gone, its descriptors are in systemd's store, no holder" \
		"gone 2 " "$(is_gone "$pid" && echo gone) $(property NFileDescriptorStore) $(holders)"
	spawn early "$PEER" ask 127.0.0.1:8080
	check "kill: a connection is taken nevertheless" within "$LIMIT" waits_in_backlog 8080
	equal "kill: a socket that was handed out serves" other "$(plain host 127.0.0.1:8081)"
	spawn show graft show
	# A client waits for five seconds; so long it cannot be dead for sure.
	is_in SubState auto-restart || comment "kill: it is back before a client asks"
	status_of show
	equal "kill: a client that asked meanwhile is answered: all is there" "0 $shown" \
		"$STATUS $(cat "$T/show.log")"
	equal "kill: started again, once, another process" "active $((restarts + 1)) other" \
		"$(systemctl is-active graftd) $(property NRestarts) $([ "$(graftd_pid)" = \
			"$pid" ] || echo other)"
	equal "kill: it has the sockets again, which systemd keeps, too" "held held 2 " \
		"$(state_of web) $(state_of busy) $(property NFileDescriptorStore) $(holders)"
	equal "kill: it knows whose server lives" "busy EADDRINUSE" \
		"$(plain host 127.0.0.1:8082) $(run_at box alice env LD_PRELOAD="$HIJACK" \
			GRAFT_CONV_PAIRS=0.0.0.0:82=busy "$PEER" serve 0.0.0.0:82 second)"
	serve web box root 0.0.0.0:80=web 0.0.0.0:80 || return
	status_of early
	equal "kill: who connected meanwhile is served" "0 web" "$STATUS $(cat "$T/early.log")"
	no_drop_in
	stop_all
	graft del busy
}

# As when systemd itself is upgraded: it takes what it keeps along.
upgrade()
{
	local pid
	spawn early "$PEER" ask 127.0.0.1:8080
	within "$LIMIT" waits_in_backlog 8080
	pid=$(graftd_pid)
	check "upgrade: systemctl daemon-reexec" systemctl daemon-reexec
	equal "upgrade: graftd is the one it was" "active $pid 1" \
		"$(systemctl is-active graftd) $(graftd_pid) $(property NFileDescriptorStore)"
	systemctl kill -s KILL graftd
	check "upgrade: killed, it is started again" within "$LIMIT" is_new "$pid"
	equal "upgrade: with what was kept" "held 1" \
		"$(state_of web) $(property NFileDescriptorStore)"
	serve web box root 0.0.0.0:80=web 0.0.0.0:80 || return
	status_of early
	equal "upgrade: who had connected is served" "0 web" "$STATUS $(cat "$T/early.log")"
	stop_all
}

# One after the other, a client each time.
many_kills()
{
	local i pid lost=0 n=${KILLS-5}
	for ((i = 0; i < n; i++)); do
		pid=$(graftd_pid)
		systemctl kill -s KILL graftd
		timeout "$LIMIT" graft show >"$T/out" 2>&1 || lost=$((lost + 1))
		within "$LIMIT" is_new "$pid" || break
	done
	equal "kill: $n times, a client each" "$n 0" "$i $lost"
	equal "kill: the units are well" "active active" \
		"$(systemctl is-active graftd.service graftd.socket | xargs)"
}

# It fails for as long as its configuration is broken and there is no endpoint, and a
# client waits. That systemd is patient with the socket, too, shows on a slow machine if
# what it stands by itself is lowered.
failures()
{
	local inode
	forget
	systemctl stop graftd
	inode=$(stat -c %i /run/graft/graftd.sock)
	mkdir -p "$SOCKET_DROP_IN"
	printf '%s\n' '[Socket]' TriggerLimitBurst=2 >"$SOCKET_DROP_IN/test.conf"
	systemctl daemon-reload
	echo nonsense >"$CONF"
	spawn waiting graft show
	check "fails: it is started again and again" within "$LIMIT" has_restarted 5
	rm "$CONF"
	check "fails: until it can" within "$LIMIT" is_new 0
	equal "fails: clients' socket is the one it was" "$inode 0" \
		"$(stat -c %i /run/graft/graftd.sock) $(graft show 2>&1; echo $?)"
	equal "fails: and systemd never gave it up" "" \
		"$(journalctl -u graftd.socket -o cat --no-pager | grep -i limit)"
	rm -r "$SOCKET_DROP_IN"
	systemctl daemon-reload
	stop_all
}

# The clients and the sockets wait in the state of before.
restarts()
{
	local pid
	pid=$(graftd_pid)
	spawn early "$PEER" ask 127.0.0.1:8080
	within "$LIMIT" waits_in_backlog 8080
	check "restart: systemctl restart" systemctl restart graftd
	equal "restart: endpoints and the held socket are there" "other web held other" \
		"$(graft show | cut -d' ' -f1 | xargs) $(state_of web) $([ "$(graftd_pid)" = \
			"$pid" ] || echo other)"
	serve web box root 0.0.0.0:80=web 0.0.0.0:80 || return
	status_of early
	equal "restart: who had connected is served" "0 web" "$STATUS $(cat "$T/early.log")"
	stop_all
}

stops()
{
	check "stop: systemctl stop" systemctl stop graftd
	equal "stop: the store is empty, held sockets are gone" "inactive success 0 ECONNREFUSED" \
		"$(systemctl is-active graftd) $(property Result) $(property \
			NFileDescriptorStore) $(plain host 127.0.0.1:8080)"
	equal "stop: the socket unit starts it for the next client, endpoints are there" \
		"other web active" "$(graft show | cut -d' ' -f1 | xargs) $(systemctl is-active graftd)"
	equal "stop: an endpoint's socket is nobody's by then" "idle ECONNREFUSED" \
		"$(state_of web) $(plain host 127.0.0.1:8080)"
	check "stop: systemctl stop graftd.socket" systemctl stop graftd.socket
	equal "stop: that ends both" "inactive inactive" \
		"$(systemctl is-active graftd.service graftd.socket | xargs)"
	equal "stop: nothing is left but the state" "journal lock page" \
		"$(find /run/graft -mindepth 1 | sed 's,.*/,,' | sort | xargs)"
	equal "stop: no process, no mount" "  " "$(pidof graftd) $(holders) $(grep -E \
		'graft' /proc/self/mountinfo)"
	contains "stop: and a client is told what to do" 'systemctl start graftd' \
		"$(graft show 2>&1)"
	check "start: systemctl start graftd.service" systemctl start graftd
	equal "start: the socket unit comes with it, and the endpoints are there" \
		"active active other web" "$(systemctl is-active graftd.service graftd.socket |
			xargs) $(graft show | cut -d' ' -f1 | xargs)"
	equal "start: sockets that were lost are missed once" 1 "$(journalctl -u graftd -o cat \
		--no-pager | grep -c 'held sockets are lost')"
	forget
}

watchdog()
{
	local pid
	drop_in Service WatchdogSec=2s
	systemctl restart graftd
	graft add one ipv4 127.0.0.1:8080
	check "watchdog: the status line follows it" within "$LIMIT" is_in StatusText "1 endpoints"
	graft del one
	pid=$(graftd_pid)
	kill -STOP "$pid"
	check "watchdog: one that hangs is replaced" within "$LIMIT" is_new "$pid"
	equal "watchdog: and that is why" watchdog "$(journalctl -u graftd -o cat --no-pager |
		sed -n "s/.*Failed with result '\(.*\)'.*/\1/p" | tail -n 1)"
	no_drop_in
	systemctl restart graftd
}

part() # FUNCTION
{
	local start=${EPOCHREALTIME/[.,]/}
	"$@"
	comment "$1: $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) ms"
}

comment "$(systemctl --version | head -n 1), Linux $(uname -r), $(nproc) processors"
part activation
make_box box
part sandbox
part dynamics
part internet
part runs
part unix_paths
part reloads
part kills
part many_kills
part upgrade
part restarts
part stops
part watchdog
part failures
[ "$FAILED" = 0 ] || comment "$(journalctl -b --no-pager | tail -n 60)"
finish
