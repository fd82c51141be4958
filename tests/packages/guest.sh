#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The life of the packages in a system of their own, whose PID 1 is systemd (container.sh):
#
#	the former version	installed, with sockets, a run, a policy of a cgroup's, Docker
#	this version		upgraded to: all of these go on
#	removed			what `graft install` did is undone, configuration is kept
#	installed, purged	nothing is left
#
# /shared has both versions and the sessions that autopkgtest runs, too.
. "${0%/*}/../lib.sh"
. "${0%/*}/lib_files.sh"
. "${0%/*}/lib_life.sh"
T=/run/test
mkdir -p "$T" /etc/docker
listing_number=0

take_listing() # -> LISTING
{
	listing_number=$((listing_number + 1))
	LISTING=$T/listing.$listing_number
	listing >"$LISTING"
}

first_install()
{
	# As a kernel that is installed has done.
	depmod "$KERNEL_VERSION" 2>/dev/null
	take_listing
	EMPTY=$LISTING
	# Nothing to build a module for yet: the upgrade does that, once.
	mount -t tmpfs none /lib/modules
	check "install: the former version" dpkg_do -i /shared/old/*.deb
	umount /lib/modules
	equal "install: all are configured" "$NEW~old ii" "$(versions)"
	take_listing
	equal "install: each file that came is of a package" "" "$(strangers "$EMPTY" "$LISTING")"
	check "install: dpkg --verify has nothing to say" is_whole
	equal "install: units are there for the next boot, and now" \
		"enabled enabled active active" \
		"$(systemctl is-enabled graftd.service graftd.socket | xargs) $(systemctl \
			is-active graftd.service graftd.socket | xargs)"
}

upgrade()
{
	local pid inode
	pid=$(graftd_pid)
	inode=$(stat -c %i /run/graft/graftd.sock)
	spawn asking keeps_asking
	check "upgrade: to this version" dpkg_do -i /shared/built/{graft_,libgraft}*.deb
	: >"$T/enough"
	status_of asking
	check "upgrade: the module" dpkg_do -i /shared/built/graft-dkms_*.deb
	equal "upgrade: who asked meanwhile found graftd" "0 " "$STATUS $(cat "$T/asking.log")"
	equal "upgrade: all are configured" "$NEW ii" "$(versions)"
	equal "upgrade: graftd is another one, of the new program" "other /usr/sbin/graftd active" \
		"$([ "$(graftd_pid)" = "$pid" ] || echo other) $(readlink \
			"/proc/$(graftd_pid)/exe") $(systemctl is-active graftd)"
	equal "upgrade: its socket is the one it was" "$inode" \
		"$(stat -c %i /run/graft/graftd.sock)"
	check "upgrade: a file that the new version has not is gone" \
		test ! -e /usr/share/doc/graft/old
	equal "upgrade: configuration: the administrator's stays, other comes" "1 0" \
		"$(grep -c mine /etc/graft/runtime.conf) $(grep -c Older /etc/graft/graftd.conf)"
}

# The runtime's path is the same, so nobody is told anything.
registration() # WHEN
{
	equal "$1: Docker knows the runtime" /usr/bin/graft-runtime "$(sed -n \
		's/.*"graft": *{"path": *"\([^"]*\)"}.*/\1/p' /etc/docker/daemon.json)"
}

refuses_removal()
{
	local output
	sed -i 's/^{/{"default-runtime": "graft",/' /etc/docker/daemon.json
	output=$(dpkg_do -r graft 2>&1)
	equal "remove: refused while graft is Docker's default" 1 $?
	contains "remove: which is said" 'graft is the default-runtime; change that first' "$output"
	equal "remove: all is as before" "installed active" \
		"$(dpkg-query -W -f '${db:Status-Status}' graft) $(systemctl is-active graftd)"
	registration "remove: refused"
	equal "remove: refused: a policy judges still" "Permission denied" "$(judged "$DENIED_PORT")"
	sed -i 's/"default-runtime": "graft",//' /etc/docker/daemon.json
}

remove()
{
	check "remove: a policy of a cgroup, before" graft attach \
		--rule "connect tcp 127.0.0.1:$DENIED_PORT = deny" "$CGROUP"
	refuses_removal
	check "remove" dpkg_do -r "${OURS[@]}"
	equal "remove: Docker's configuration is what it was" "$DOCKER" \
		"$(cat /etc/docker/daemon.json)"
	equal "remove: nothing is active" "inactive inactive" \
		"$(systemctl is-active graftd.service graftd.socket | xargs)"
	equal "remove: no process but the run" "" "$(pidof graftd)"
	equal "remove: configuration stays, and the administrator's line in it" \
		"containers containers/shop graftd.conf runtime.conf 1" \
		"$(cd /etc/graft && find . -mindepth 1 -printf '%P\n' | sort | xargs) $(grep \
			-c mine /etc/graft/runtime.conf)"
	equal "remove: no policy of a cgroup's survives, and no pinned program" \
		"Connection refused, " \
		"$(judged "$DENIED_PORT"), $(find /sys/fs/bpf/graft -mindepth 1 2>/dev/null)"
	equal "remove: no module" "" "$(find /lib/modules -name 'af_graft*'; dkms status af_graft)"
	still_serves remove
}

install_again()
{
	check "install again" dpkg_do -i /shared/built/{graft_,libgraft}*.deb
	equal "install again: configuration is as it was left" 1 "$(grep -c mine /etc/graft/runtime.conf)"
	equal "install again: so are graftd's endpoints" "active web" \
		"$(systemctl is-active graftd) $(graft show | cut -d ' ' -f 1 | xargs)"
}

purge()
{
	rm /etc/docker/daemon.json
	graft install docker >"$T/out" || not_ok "graft install docker" "$(cat "$T/out")"
	registration "purge: without a daemon.json before"
	stop_life
	check "purge" dpkg_do -P "${OURS[@]}"
	take_listing
	equal "purge: the system is what it was before the first installation" "" \
		"$(differences "$EMPTY" "$LISTING")"
	equal "purge: no state" "" "$(ls -d /run/graft /sys/fs/bpf/graft 2>/dev/null)"
	equal "purge: systemd knows no unit, dpkg no package" " " "$(systemctl list-unit-files \
		--no-legend 'graft*') $(versions)"
	equal "purge: no unit failed" "" "$(systemctl --failed --no-legend)"
}

comment "$(systemctl --version | head -n 1), Linux $(uname -r), dpkg $(dpkg-query -W -f \
	'${Version}' dpkg)"
part first_install
part begin_life
part upgrade
part goes_on
part sessions
part contents
part remove
part install_again
part purge
[ "$FAILED" = 0 ] || comment "$(journalctl -b --no-pager | tail -n 40)"
finish
