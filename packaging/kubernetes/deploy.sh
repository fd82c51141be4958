#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the DaemonSet runs on each node. The image has graft's installation in /opt/graft,
# kubectl and nsenter; the node's /opt/graft and /etc/containerd are below /host.
#
#	deploy.sh run		installs, and waits until it is ended
#	deploy.sh remove	uninstalls, and waits
#	deploy.sh install, uninstall	the same without waiting
#
# A DaemonSet's pods are ended for an update, too, while others go on to use the runtime.
# So ending is not uninstalling: the node keeps what works until `remove` is asked for.
#
# containerd is restarted only when its configuration has changed; its containers go on.
set -eu
HOST=${HOST-/host}
SOURCE=${SOURCE-/opt/graft}
CONFIG=$HOST/etc/containerd/config.toml
GRAFT=$SOURCE/bin/graft
# As the node sees it.
RUNTIME=/opt/graft/bin/graft-runtime
LABEL=graft-runtime
PENDING=$HOST/opt/graft/restart-containerd
DONE=${DONE-/tmp/done}

say()
{
	echo "graft-deploy: $*"
}

# In the node's own namespaces.
node()
{
	nsenter --target 1 --mount --uts --ipc --net -- "$@"
}

label() # KEY=VALUE, or KEY- to remove it
{
	kubectl label --overwrite node "$NODE_NAME" "$1"
}

sum()
{
	cksum "$CONFIG" 2>/dev/null || echo none
}

# A file that is executed cannot be written, but its name can be another's.
copy()
{
	cmp -s "$SOURCE/bin/graft-runtime" "$HOST$RUNTIME" && return
	mkdir -p "$HOST/opt/graft/bin"
	cp "$SOURCE/bin/graft-runtime" "$HOST$RUNTIME.new"
	chmod 755 "$HOST$RUNTIME.new"
	mv "$HOST$RUNTIME.new" "$HOST$RUNTIME"
	say "graft-runtime is new on $NODE_NAME"
}

# Changes the configuration and has containerd read it; also a change whose restart was
# cut short the last time.
register() # COMMAND ARGUMENT...: of graft
{
	before=$(sum)
	pending=no
	[ ! -e "$PENDING" ] || pending=yes
	: >"$PENDING"
	"$GRAFT" "$@"
	if [ "$pending" = yes ] || [ "$before" != "$(sum)" ]; then
		say "restarting containerd on $NODE_NAME"
		node systemctl restart containerd
	fi
	rm -f "$PENDING"
}

# The node and the image have the runtime at the same path.
install_node()
{
	copy
	register install -c "$CONFIG" -r "$RUNTIME" k8s
	label "$LABEL=true"
	say "installed on $NODE_NAME"
}

uninstall_node()
{
	# Nobody new comes; then the runtime goes.
	label "$LABEL-"
	register uninstall -c "$CONFIG" k8s
	rm -f "$HOST$RUNTIME"
	say "uninstalled from $NODE_NAME"
}

# The DaemonSet's readiness probe looks for the file.
wait_for_end()
{
	trap 'exit 0' TERM INT
	: >"$DONE"
	while :; do
		sleep 86400 &
		wait $!
	done
}

rm -f "$DONE"
case ${1-} in
run)
	install_node
	wait_for_end
	;;
remove)
	uninstall_node
	wait_for_end
	;;
install) install_node ;;
uninstall) uninstall_node ;;
*)
	echo "Usage: deploy.sh run | remove | install | uninstall" >&2
	exit 2
	;;
esac
