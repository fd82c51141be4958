#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the config.json of a test's bundle, as engines do, and odd where that is allowed.

bundle.py DIR [OPTION...] -- PROGRAM [ARGUMENT...]
"""
import argparse
import json
import os

parser = argparse.ArgumentParser()
parser.add_argument("directory")
parser.add_argument("--annotation", action="append", default=[])
parser.add_argument("--env", action="append", default=[])
parser.add_argument("--cap", action="append", default=[])
parser.add_argument("--no-new-privileges", action="store_true")
parser.add_argument("--readonly", action="store_true")
parser.add_argument("--userns", action="store_true")
parser.add_argument("--seccomp", help="a file with the profile")
parser.add_argument("--cgroup", required=True)
parser.add_argument("--host-network", action="store_true")
parser.add_argument("--user", type=int, default=0)
parser.add_argument("--bind", action="append", default=[], help="PATH[:ro], at the same path inside")
parser.add_argument("--join", help="the process whose ipc, uts, network are to be its own")
parser.add_argument("program", nargs="+")
args = parser.parse_args()


def pairs(words):
    return dict(word.split("=", 1) for word in words)


namespaces = ["pid", "ipc", "uts", "mount"]
if not args.host_network:
    namespaces.append("network")
paths = {"ipc": "ipc", "uts": "uts", "network": "net"} if args.join else {}
linux = {
    "namespaces": [
        {"type": name, "path": f"/proc/{args.join}/ns/{paths[name]}"}
        if name in paths
        else {"type": name}
        for name in namespaces
    ],
    "resources": {"devices": [{"allow": True, "access": "rwm"}]},
    "cgroupsPath": args.cgroup,
    "maskedPaths": ["/proc/kcore"],
    "readonlyPaths": ["/proc/sys"],
}
if args.userns:
    linux["namespaces"].append({"type": "user"})
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    linux["uidMappings"] = linux["gidMappings"] = mapping
if args.seccomp:
    with open(args.seccomp, encoding="utf-8") as file:
        linux["seccomp"] = json.load(file)

config = {
    "ociVersion": "1.0.2",
    "process": {
        "user": {"uid": args.user, "gid": args.user},
        "args": args.program,
        "env": ["PATH=/"] + args.env,
        "cwd": "/",
        "noNewPrivileges": args.no_new_privileges,
        "capabilities": {
            kind: args.cap for kind in ("bounding", "effective", "permitted")
        },
    },
    "root": {"path": "rootfs", "readonly": args.readonly},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
    ],
    "linux": linux,
}
for bind in args.bind:
    path, _, mode = bind.partition(":")
    config["mounts"].append(
        {
            "destination": path,
            "type": "bind",
            "source": path,
            "options": ["rbind", mode or "rw"],
        }
    )
if args.annotation:
    config["annotations"] = pairs(args.annotation)
# Not as anybody's serializer would have it: what is kept is seen to be kept.
text = json.dumps(config, indent=3, separators=(" ,", " :  "))
text = text.replace('"cwd" :  "/"', '"cwd" :  "\\u002f"\t')
with open(os.path.join(args.directory, "config.json"), "w", encoding="utf-8") as file:
    file.write(text + "\n\n")
