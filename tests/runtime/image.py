#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes an image of one layer, as `docker save` does, for engines to import.

image.py FILE NAME DIRECTORY [PROGRAM [ARGUMENT...]]
"""
import hashlib
import io
import json
import sys
import tarfile

file, name, directory, *program = sys.argv[1:]


def plain(entry):
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    return entry


layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as tar:
    tar.add(directory, arcname=".", filter=plain)
digest = hashlib.sha256(layer.getvalue()).hexdigest()
config = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Env": ["PATH=/"], "Cmd": program or ["/inside", "wait"]},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
}
manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
with tarfile.open(file, "w") as tar:
    for member, data in (
        ("layer.tar", layer.getvalue()),
        ("config.json", json.dumps(config).encode()),
        ("manifest.json", json.dumps(manifest).encode()),
    ):
        entry = tarfile.TarInfo(member)
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
