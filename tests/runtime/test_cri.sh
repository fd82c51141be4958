#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Pods, as a kubelet has them made: `graft install k8s` into the configuration of a
# containerd of the test's own, then its CRI plugin is asked for pods with the handler
# graft. Their network is a bridge by the plugins of Debian.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_engine.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need containerd ctr
"$PYTHON" -c 'import grpc' 2>/dev/null || skip "no grpc for Python"
CNI=/usr/lib/cni
[ -x "$CNI/bridge" ] || skip "no CNI plugins at $CNI"
need_containers
LIMIT=60
IMAGE=graft.test/image:1

make_image "$IMAGE"
configure_containerd
mkdir -p "$T/cni" "$T/logs"
# No controllers, and nothing that takes CAP_SYS_RESOURCE.
cat >>"$T/containerd.toml" <<END
[plugins."io.containerd.grpc.v1.cri"]
	sandbox_image = "$IMAGE"
	disable_cgroup = true
	restrict_oom_score_adj = true
	[plugins."io.containerd.grpc.v1.cri".containerd]
		snapshotter = "native"
	[plugins."io.containerd.grpc.v1.cri".cni]
		bin_dir = "$CNI"
		conf_dir = "$T/cni"
END
cat >"$T/cni/10-test.conflist" <<END
{"cniVersion": "0.4.0", "name": "test", "plugins": [{"type": "bridge", "bridge": "pods0",
 "isGateway": true,
 "ipam": {"type": "host-local", "subnet": "10.78.0.0/24", "dataDir": "$T/ipam"}}]}
END
cp "$T/containerd.toml" "$T/was.toml"
check "graft install k8s" "$GRAFT" install -c "$T/containerd.toml" -r "$RUNTIME" k8s
start_containerd || finish
check "the image is imported" ctr -n k8s.io images import --snapshotter native "$T/image.tar"
host_server told 9000
host_server denied 9001

cri() # VERB ARGUMENT...
{
	local verb=$1
	shift
	timeout "$LIMIT" "$SOURCE_DIR/tests/runtime/cri.py" "$CONTAINERD_ADDRESS" "$verb" \
		--logs "$T/logs" --image "$IMAGE" "$@"
}

policy=(
	--annotation "graft.publish=$HOST4:8080:80"
	--annotation "graft.rule.1=connect tcp $HOST4:9000 = host"
	--annotation "graft.rule.2=connect tcp $HOST4:9001 = deny:EACCES"
)
says() { grep -q "$2" "$T/logs/$1.log"; }

is_known() { ctr -n k8s.io images ls | grep "$IMAGE" | grep -q 'io.cri-containerd.image=managed'; }
check "the CRI plugin knows the image" within 20 is_known
POD=$(cri run --handler graft "${policy[@]}" web) || finish
check "a pod with the handler graft" test -n "$POD"
check "its sandbox has no supervisor" quiet
WEB=$(cri create --handler graft "${policy[@]}" "$POD" web -- /inside serve 80)
check "a container in it" test -n "$WEB"
check "it listens" within 20 says web listening
equal "it is reached at the published port" "hello from 80" "$(get "$HOST4" 8080)"
equal "one supervisor" 1 "$(supervisors | wc -l)"
contains "graft ps knows it" "${WEB:0:8}" "$("$GRAFT" ps)"
equal "exec: a host server by rule" "the host says hello" \
	"$(cri exec "$WEB" -- /inside get "$HOST4" 9000)"
equal "exec: a denied address" "connect: EACCES" \
	"$(cri exec "$WEB" -- /inside get "$HOST4" 9001)"
cri exec "$WEB" -- /inside exit 37
equal "exec: the status is passed on" 37 $?
address=$(sed -n 1p "$T"/ipam/test/last_reserved_ip.0)
contains "the pod has an address of its own" '^10\.78\.0\.' "$address"
# A second container of the pod: the same network, a supervisor of its own.
PEER=$(cri create --handler graft "${policy[@]}" "$POD" peer -- /inside serve 81)
check "a second container" within 20 says peer listening
equal "it is reached in the pod's network" "hello from 81" "$(get "$address" 81)"
equal "a supervisor for each" 2 "$(supervisors | wc -l)"
check "StopContainer" cri stop "$PEER"
check "RemoveContainer" cri remove "$PEER"
equal "one supervisor" 1 "$(supervisors | wc -l)"

kill_containerd
equal "containerd killed: it is reached" "hello from 80" "$(get "$HOST4" 8080)"
start_containerd || finish
check "containerd again: exec" within 20 cri exec "$WEB" -- /inside get "$HOST4" 9000
check "StopPodSandbox" cri stop-pod "$POD"
check "nothing is left" within 10 quiet
check "RemovePodSandbox" cri remove-pod "$POD"

# What only a container's own annotation says, by the file it names; the host's network.
echo "connect tcp $HOST4:9000 = host" >"$T/policies/told"
POD=$(cri run --handler graft named)
NAMED=$(cri create --handler graft --container-annotation graft.policy=told "$POD" named -- \
	/inside wait)
equal "a policy by a container's annotation" "the host says hello" \
	"$(cri exec "$NAMED" -- /inside get "$HOST4" 9000)"
cri stop-pod "$POD" && cri remove-pod "$POD"
check "nothing is left" within 10 quiet
POD=$(cri run --handler graft "${policy[@]}" --host-network host)
HOSTED=$(cri create --handler graft "${policy[@]}" --host-network "$POD" hosted -- /inside wait)
equal "a pod in the host's network: a denied address" "connect: EACCES" \
	"$(cri exec "$HOSTED" -- /inside get "$HOST4" 9001)"
cri stop-pod "$POD" && cri remove-pod "$POD"
check "nothing is left" within 10 quiet

# Annotations of a pod of another handler do not come through.
POD=$(cri run "${policy[@]}" plain)
PLAIN=$(cri create "${policy[@]}" "$POD" plain -- /inside serve 80)
check "a pod without the handler" within 20 says plain listening
check "is not published" bash -c "! exec 3<>/dev/tcp/$HOST4/8080"
check "it has no supervisor" quiet
check "its container is removed" cri stop "$PLAIN"
cri stop-pod "$POD" && cri remove-pod "$POD"

# What is refused: the kubelet hears why, and makes it an event of the pod's.
POD=$(cri run --handler graft --annotation 'graft.rule=bind what' wrong)
output=$(cri create --handler graft --annotation 'graft.rule=bind what' "$POD" wrong -- \
	/inside wait 2>&1)
equal "a policy that is none is refused" 1 $?
contains "and the answer says why" "the container's policy: graft.rule" "$output"
cri stop-pod "$POD" && cri remove-pod "$POD"
check "nothing is left" within 10 quiet
equal "no container is left" "" "$(ctr -n k8s.io container ls -q)"
equal "no shim is left" "" "$(shims "")"
check "graft uninstall k8s" "$GRAFT" uninstall -c "$T/containerd.toml" k8s
check "the configuration is what it was" cmp "$T/containerd.toml" "$T/was.toml"
finish
