# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the tests of whole container engines share, on top of lib_container.sh: an image,
# a wrapper, a containerd.

# An image of `inside` alone: as a directory, and as a file to import, by NAME.
make_image() # NAME
{
	mkdir -p "$T/image"/{tmp,proc,dev,sys,etc}
	cp "$INSIDE" "$T/image/inside"
	chmod 755 "$T/image" "$T/image/inside"
	"$PYTHON" "$SOURCE_DIR/tests/runtime/image.py" "$T/image.tar" "$1" "$T/image" ||
		die "no image"
}

# Engines that do not pass on their environment find our settings by this runtime.
wrap_runtime()
{
	cat >"$T/bin/graft-runtime" <<END
#!/bin/sh
export GRAFT_RUNTIME_CONFIG=$GRAFT_RUNTIME_CONFIG GRAFT_RUNTIME_BACKEND=$BACKEND
export GRAFT_RUNTIME_STATE=$GRAFT_RUNTIME_STATE
exec $RUNTIME "\$@"
END
	chmod 755 "$T/bin/graft-runtime"
}

quiet() # no container's supervisor is there, nor its socket
{
	[ -z "$(supervisors)$(helpers)" ] && [ -z "$(find "$STATE" -type s 2>/dev/null)" ]
}

# A test that fails leaves containers behind, whose cgroups are in the real hierarchy by
# names that the engine chose.
leave_containerd()
{
	local status=$? bundle group
	for bundle in "$T"/containerd/state/io.containerd.runtime.v2.task/*/*; do
		group=/sys/fs/cgroup/${bundle##*/}
		[ ! -e "$group/cgroup.kill" ] || {
			echo 1 >"$group/cgroup.kill"
			within 5 rmdir "$group"
		}
	done
	within 5 quiet
	(exit "$status")
	leave_containers
}

# A containerd whose data and sockets are the test's; $T/containerd.toml is its own.
configure_containerd()
{
	export CONTAINERD_ADDRESS=$T/containerd/sock CONTAINERD_SNAPSHOTTER=native
	mkdir -p "$T/containerd"
	trap leave_containerd EXIT
	cat >"$T/containerd.toml" <<END
# What a test needs.
version = 2
root = "$T/containerd/root"
state = "$T/containerd/state"
disabled_plugins = [ # what takes a disk of its own
	"io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
	"io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs",
]

[grpc]
	address = "$CONTAINERD_ADDRESS"
[plugins."io.containerd.internal.v1.opt"]
	path = "$T/containerd/opt"
END
}

start_containerd()
{
	spawn containerd containerd --config "$T/containerd.toml"
	await containerd ctr version
}

kill_containerd() # as the kernel would for want of memory
{
	kill -KILL "${PID_OF[containerd]}"
	{ wait "${PID_OF[containerd]}"; } 2>/dev/null
	unset "PID_OF[containerd]"
}

shims() # ID, or "": who looks after containers for it
{
	pgrep -f "^/usr/bin/containerd-shim-runc-v2 .*${1:+ -id $1 }.*$CONTAINERD_ADDRESS"
}
