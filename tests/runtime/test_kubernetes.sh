#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# packaging/kubernetes without a cluster: the manifests by rules that are written down in
# kubernetes.py, and deploy.sh on a node that is a directory, with kubectl and nsenter that
# say what they were asked. What a kubelet then asks of containerd: test_cri.sh.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
enter_host "$@"
"$PYTHON" -c 'import yaml, tomllib' 2>/dev/null || skip "no yaml or tomllib for Python"
FILES=$SOURCE_DIR/packaging/kubernetes
CONFIG=$T/host/etc/containerd/config.toml
mkdir -p "$T/host/etc/containerd" "$T/image/bin"
cp "$GRAFT" "$T/image/bin/graft"
printf '#!/bin/sh\n' >"$T/image/bin/graft-runtime"
chmod 755 "$T/image/bin/graft-runtime"

# --- the node ---
for name in kubectl nsenter; do
	printf '#!/bin/sh\necho "%s $*" >>%s\n[ ! -e %s ] || exit 1\n' "$name" "$T/asked" \
		"$T/fails" >"$T/bin/$name"
	chmod 755 "$T/bin/$name"
done
# The runtime's path is /opt/graft/bin in the image and on the node.
[ ! -e /opt/graft ] || skip "there is an /opt/graft here"
mkdir -p "$T/opt/graft"
mount -t tmpfs graft-test /opt && mkdir -p /opt/graft && cp -r "$T/image/bin" /opt/graft/
export HOST=$T/host NODE_NAME=node7 DONE=$T/done
deploy()
{
	: >"$T/asked"
	PATH=$T/bin:$PATH timeout "$LIMIT" "$FILES/deploy.sh" "$@"
}
restarts() { grep -c 'systemctl restart containerd$' "$T/asked"; }

printf 'version = 2\n# of the node\n' >"$CONFIG"
cp "$CONFIG" "$T/was"
check "install" deploy install
check "the runtime is on the node" cmp "$T/host/opt/graft/bin/graft-runtime" \
	/opt/graft/bin/graft-runtime
contains "it is registered" 'BinaryName = "/opt/graft/bin/graft-runtime"' "$(cat "$CONFIG")"
equal "containerd is restarted, in the node" 1 "$(restarts)"
contains "by the node's systemd" '^nsenter --target 1 --mount' "$(cat "$T/asked")"
contains "the node is labelled" '^kubectl label --overwrite node node7 graft-runtime=true$' \
	"$(cat "$T/asked")"
cp "$CONFIG" "$T/with"
check "install: again" deploy install
equal "containerd is left alone" 0 "$(restarts)"
check "so is its configuration" cmp "$CONFIG" "$T/with"
echo '# newer' >>/opt/graft/bin/graft-runtime
check "install: a newer runtime" deploy install
contains "it is copied" newer "$(cat "$T/host/opt/graft/bin/graft-runtime")"
equal "containerd is left alone" 0 "$(restarts)"

# The restart fails, or the pod is ended before it: the next one does it.
check "uninstall" deploy uninstall
touch "$T/fails"
deploy install >"$T/out" 2>&1
check "a restart that fails: install fails" test $? != 0
contains "it was registered" graft-runtime "$(cat "$CONFIG")"
rm "$T/fails"
check "install: again" deploy install
equal "containerd is restarted" 1 "$(restarts)"
echo 'nonsense' >"$CONFIG"
deploy install >"$T/out" 2>&1
check "a configuration that is not understood: install fails" test $? != 0
contains "and says why" 'config.toml:1: not understood' "$(cat "$T/out")"
equal "the node is not labelled" 0 "$(grep -c kubectl "$T/asked")"
equal "containerd is left alone" 0 "$(restarts)"
cp "$T/with" "$CONFIG"

# As the DaemonSet has it run.
for word in run remove; do
	: >"$T/asked"
	PATH=$T/bin:$PATH spawn deploy "$FILES/deploy.sh" "$word"
	check "$word: it becomes ready" within 10 test -e "$DONE"
	kill -TERM "${PID_OF[deploy]}"
	status_of deploy
	equal "$word: SIGTERM ends it" 0 "$STATUS"
	rm -f "$DONE"
done
check "remove: the configuration is what it was" cmp "$CONFIG" "$T/was"
check "remove: no runtime" test ! -e "$T/host/opt/graft/bin/graft-runtime"
contains "remove: no label" '^kubectl label --overwrite node node7 graft-runtime-$' \
	"$(cat "$T/asked")"
equal "nothing is left" "" "$(find "$T/host/opt" -type f)"
check "misuse" bash -c "'$FILES/deploy.sh' what 2>/dev/null; [ \$? = 2 ]"

# --- the manifests ---
rules()
{
	"$PYTHON" "$SOURCE_DIR/tests/runtime/kubernetes.py" "$@" "$T/with" \
		"$SOURCE_DIR/src/runtime/find.c"
}
check "the manifests keep the rules" rules "$FILES"
rules --rules "$FILES" >"$T/policy"
check "the pod's rules are a policy" "$GRAFT" check "$T/policy"
contains "its port is published" ':8080' "$("$GRAFT" explain --policy "$T/policy" \
	-p "$(rules --publish "$FILES")" bind tcp 0.0.0.0:80)"
contains "its database is the node's" '127.0.0.1:5432' \
	"$("$GRAFT" explain --policy "$T/policy" connect tcp 127.0.0.1:5432)"
# The rules notice.
breaks() # NAME FILE SED
{
	rm -rf "$T/broken"
	cp -r "$FILES" "$T/broken"
	sed -i "$3" "$T/broken/$2"
	check "noticed: $1" bash -c "! '$PYTHON' '$SOURCE_DIR/tests/runtime/kubernetes.py' \
		'$T/broken' '$T/with' '$SOURCE_DIR/src/runtime/find.c'"
}
breaks "another handler" runtimeclass.yaml 's/^handler: graft/handler: other/'
breaks "another label" runtimeclass.yaml 's/graft-runtime:/other:/'
breaks "labels that do not match" daemonset.yaml '/matchLabels/{n;s/graft/other/}'
breaks "an annotation that nobody reads" pod.yaml 's/graft.publish/graft.publis/'
breaks "a class that is not there" pod.yaml 's/runtimeClassName: graft/runtimeClassName: x/'
breaks "a field that is none" daemonset.yaml 's/serviceAccountName/serviceAccountNam/'
breaks "a volume that is not mounted" daemonset.yaml 's/- name: prefix$/- name: other/;T;:a;n;ba'
finish
