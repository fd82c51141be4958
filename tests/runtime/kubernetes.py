#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for the manifests of packaging/kubernetes, by hand, as there is no cluster.

kubernetes.py DIRECTORY CONTAINERD-CONFIG FIND.C
Prints what is wrong; prints the pod's rules and ports for the caller to try with --rules
and --publish in front.
"""
import fnmatch
import pathlib
import re
import sys
import tomllib

import yaml

mode = sys.argv.pop(1) if sys.argv[1].startswith("--") else ""
directory, config, source = map(pathlib.Path, sys.argv[1:])
wrong = []


def check(is_right, what):
    if not is_right:
        wrong.append(what)


API = {  # kind: apiVersion, fields besides metadata that are required, others
    "RuntimeClass": ("node.k8s.io/v1", {"handler"}, {"overhead", "scheduling"}),
    "DaemonSet": ("apps/v1", {"spec"}, set()),
    "ServiceAccount": ("v1", set(), set()),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", {"rules"}, set()),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io/v1", {"roleRef", "subjects"}, set()),
    "Pod": ("v1", {"spec"}, set()),
}
FIELDS = {
    "daemonset": {"selector", "template", "updateStrategy"},
    "pod": {"containers", "volumes", "serviceAccountName", "hostPID", "nodeSelector",
            "runtimeClassName"},
    "container": {"name", "image", "imagePullPolicy", "command", "args", "env", "ports",
                  "readinessProbe", "securityContext", "volumeMounts"},
}
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
QUALIFIED = re.compile(r"([a-z0-9.-]+/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$")
found = {}


def known(where, value, fields):
    for field in set(value) - fields:
        check(False, f"{where}: no field {field}")


def check_pod(where, spec):
    known(where, spec, FIELDS["pod"])
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    used = set()
    check(spec.get("containers"), f"{where}: no containers")
    for container in spec["containers"]:
        known(where, container, FIELDS["container"])
        check({"name", "image"} <= set(container), f"{where}: a container without an image")
        check(NAME.match(container["name"]), f"{where}: {container['name']} is no name")
        for mount in container.get("volumeMounts", []):
            check(set(mount) <= {"name", "mountPath", "readOnly"}, f"{where}: {mount}")
            used.add(mount["name"])
        for variable in container.get("env", []):
            check(("value" in variable) != ("valueFrom" in variable), f"{where}: {variable}")
    check(volumes == used, f"{where}: volumes {volumes} and mounts {used}")
    for volume in spec.get("volumes", []):
        kind = volume.get("hostPath", {}).get("type")
        check(kind in ("Directory", "DirectoryOrCreate"), f"{where}: {volume}")


for path in sorted(directory.glob("*.yaml")):
    for document in yaml.safe_load_all(path.read_text()):
        kind = document["kind"]
        where = f"{path.name}: {kind}"
        check(kind in API, f"{where}: unknown")
        version, required, more = API[kind]
        check(document["apiVersion"] == version, f"{where}: {document['apiVersion']}")
        have = set(document) - {"apiVersion", "kind", "metadata"}
        check(required <= have <= required | more, f"{where}: fields {have}")
        check(NAME.match(document["metadata"]["name"]), f"{where}: its name")
        for key, value in document["metadata"].get("annotations", {}).items():
            check(QUALIFIED.match(key) and isinstance(value, str), f"{where}: {key}")
        check(kind not in found, f"{where}: twice")
        found[kind] = document
check(set(found) == set(API), f"kinds: {sorted(found)}")

daemonset = found["DaemonSet"]
spec = daemonset["spec"]
known("DaemonSet", spec, FIELDS["daemonset"])
labels = spec["template"]["metadata"]["labels"]
check(spec["selector"]["matchLabels"].items() <= labels.items(), "selector and labels")
check_pod("DaemonSet", spec["template"]["spec"])
account = found["ServiceAccount"]["metadata"]
check(spec["template"]["spec"].get("serviceAccountName") == account["name"], "service account")
check(account["namespace"] == daemonset["metadata"]["namespace"], "its namespace")
binding = found["ClusterRoleBinding"]
check(binding["roleRef"]["name"] == found["ClusterRole"]["metadata"]["name"], "roleRef")
check(binding["subjects"][0]["name"] == account["name"], "subjects")
check(binding["subjects"][0]["namespace"] == account["namespace"], "subjects' namespace")
# kubectl label: get, then patch.
check({"get", "patch"} <= set(found["ClusterRole"]["rules"][0]["verbs"]), "verbs")
container = spec["template"]["spec"]["containers"][0]
script = (directory / "deploy.sh").read_text()
dockerfile = (directory / "Dockerfile").read_text()
check(container["command"] == ["/opt/graft/deploy.sh"], "the command")
check("packaging/kubernetes/deploy.sh /opt/graft/\n" in dockerfile, "the script in the image")
check(f"\n{container['args'][0]})" in script, "the command's word")
check(container["readinessProbe"]["exec"]["command"][2] == "/tmp/done" and
      "DONE-/tmp/done" in script, "readiness")
check("NODE_NAME" in [v["name"] for v in container["env"]], "NODE_NAME")
mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
check(mounts == {"/host/opt/graft", "/host/etc/containerd"}, f"mounts {mounts}")

runtime_class = found["RuntimeClass"]
selector = runtime_class["scheduling"]["nodeSelector"]
check(selector == {"graft-runtime": "true"} and "\nLABEL=graft-runtime\n" in script, "label")
runtimes = tomllib.loads(config.read_text())["plugins"]["io.containerd.grpc.v1.cri"]
runtimes = runtimes["containerd"]["runtimes"]
check(runtime_class["handler"] in runtimes, f"handler {runtime_class['handler']}")

pod = found["Pod"]
check_pod("Pod", pod["spec"])
check(pod["spec"]["runtimeClassName"] == runtime_class["metadata"]["name"], "the pod's class")
read = dict(re.findall(r'^#define (RULE_PREFIX|POLICY_KEY|PUBLISH_PREFIX) +"(.*)"$',
                       source.read_text(), re.M))
check(len(read) == 3, "what graft-runtime reads")
annotations = pod["metadata"]["annotations"]
for key in annotations:
    check(any(key.startswith(prefix) for prefix in read.values()), f"annotation {key}")
    for pattern in runtimes["graft"]["pod_annotations"]:
        check(fnmatch.fnmatchcase(key, pattern), f"{key} does not come through {pattern}")

if mode:
    prefix = read["RULE_PREFIX" if mode == "--rules" else "PUBLISH_PREFIX"]
    print(*(v for k, v in annotations.items() if k.startswith(prefix)), sep="\n")
else:
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(bool(wrong))
