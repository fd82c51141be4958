# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# An ordinary user with subordinate ids, for engines without root, on top of
# lib_container.sh. He exists in the mount namespace of the test only.
#
#	$T/user/home, run, tmp	his own; run is XDG_RUNTIME_DIR
#	$T/user/runtime.log	what his supervisors say
ID=4242
AS_USER=() # words before a command

make_user()
{
	local file
	mkdir -p "$T/user"/{home,run,tmp}
	chmod 700 "$T/user/run"
	chown -R $ID:$ID "$T/user"
	for file in passwd group subuid subgid; do
		cat "/etc/$file" >"$T/$file" 2>/dev/null || skip "no /etc/$file here"
	done
	echo "grafted:x:$ID:$ID::$T/user/home:/bin/sh" >>"$T/passwd"
	echo "grafted:x:$ID:" >>"$T/group"
	echo "grafted:300000:65536" | tee -a "$T/subuid" >>"$T/subgid"
	for file in passwd group subuid subgid; do
		mount --bind "$T/$file" "/etc/$file" || die "cannot replace /etc/$file"
	done
	STATE=$T/user/run/graft/containers
	chmod 755 "$T" "$T/image" "$T/bin"
	printf 'log %s\nverbose yes\n' "$T/user/runtime.log" >"$T/runtime.conf"
	chmod 644 "$T/runtime.conf"
	AS_USER=(setpriv --reuid "$ID" --regid "$ID" --clear-groups
		env -i -C "$T/user/home" PATH="$PATH" HOME="$T/user/home"
		USER=grafted XDG_RUNTIME_DIR="$T/user/run" TMPDIR="$T/user/tmp")
	# Engines warn where mounts do not come through; there is nobody else in this
	# namespace.
	mount --make-rshared /
}

as_user()
{
	"${AS_USER[@]}" "$@"
}

# --- a rootless dockerd: with lib_docker.sh, and an image in $T/image ---

# Not the registry of that name.
ROOTLESS=${ROOTLESS-/usr/share/docker.""io/contrib/dockerd-rootless.sh}

prepare_rootless_docker()
{
	need rootlesskit rootlesskit-docker-proxy slirp4netns newuidmap setpriv iptables \
		docker-proxy
	need_dockerd
	[ -x "$ROOTLESS" ] || skip "no dockerd-rootless.sh at $ROOTLESS"
	make_user
	cp "$RUNTIME" "$T/bin/graft-runtime"
	cp "$GRAFTD" "$T/bin/graftd"
	chmod 755 "$T/bin"/*
	# RootlessKit's /run has links to what is in the host's, and so to the user's home here.
	# dockerd follows them to a directory that is there when it starts, and runc nowhere.
	as_user mkdir -p "$T/user/home/.local/share/docker"
	# Everybody's on a Debian with udev.
	if ! mknod "$T/tun" c 10 200 2>/dev/null || ! chmod 666 "$T/tun" ||
		! mount --bind "$T/tun" /dev/net/tun; then
		skip "no /dev/net/tun here"
	fi
	as_user rootlesskit true 2>/dev/null || skip "RootlessKit does not work here"
	as_user "$GRAFT" install docker >/dev/null || die "cannot install for the user"
	export DOCKER_HOST=unix://$T/user/run/docker.sock
}

start_rootless_docker() # PREFIX...: words before Docker's script
{
	spawn dockerd "${AS_USER[@]}" GRAFT_RUNTIME_CONFIG="$T/runtime.conf" \
		GRAFT_RUNTIME_BACKEND="$BACKEND" "$@" "$ROOTLESS" --storage-driver=vfs \
		--default-ulimit nofile=1024:1024
	await dockerd "$DOCKER" version
}
