#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kubelet asks of containerd's CRI plugin (runtime.v1), and nothing more.

cri.py SOCKET run [OPTION...] NAME                 a pod's sandbox; prints its id
cri.py SOCKET create [OPTION...] POD NAME -- PROGRAM...  a container in it, started; its id
cri.py SOCKET exec CONTAINER -- PROGRAM...         its output; ends with its status
cri.py SOCKET stop|remove CONTAINER, stop-pod|remove-pod POD

The options say what the pod is, so they are the same for both: --handler NAME,
--annotation KEY=VALUE, --host-network, --logs DIR; --image and --log are create's alone.
"""
import argparse
import sys

import grpc

parser = argparse.ArgumentParser()
parser.add_argument("socket")
parser.add_argument("verb")
parser.add_argument("--handler", default="")
parser.add_argument("--annotation", action="append", default=[])
parser.add_argument("--container-annotation", action="append", default=[])
parser.add_argument("--host-network", action="store_true")
parser.add_argument("--unconfined", action="store_true")
parser.add_argument("--logs", default="")
parser.add_argument("--image", default="")
parser.add_argument("words", nargs="+")
args = parser.parse_args()


def number(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(*fields):
    """(NUMBER, VALUE): text, bytes of a message, a number, or a list of these."""
    out = b""
    for field, value in fields:
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int):
                out += number(field << 3) + number(one) if one else b""
            else:
                one = one.encode() if isinstance(one, str) else one
                out += number(field << 3 | 2) + number(len(one)) + one
    return out


def fields(data):
    """The fields of an answer: {NUMBER: VALUE}, the last of each."""
    found, at = {}, 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = take()
        if key & 7 == 2:
            size = take()
            found[key >> 3] = data[at : at + size]
            at += size
        else:
            found[key >> 3] = take()
    return found


def pairs(words):
    return [message((1, key), (2, value)) for key, value in (w.split("=", 1) for w in words)]


def sandbox(name):
    seccomp = message((1, 1 if args.unconfined else 0))
    namespaces = message((1, 2 if args.host_network else 0))
    security = message((1, namespaces), (9, seccomp))
    return message(
        (1, message((1, name), (2, "uid-" + name), (3, "default"))),
        (3, args.logs),
        (7, pairs(args.annotation)),
        (8, message((2, security))),
    )


def container(name, program):
    seccomp = message((1, 1 if args.unconfined else 0))
    namespaces = message((1, 2 if args.host_network else 0))
    security = message((3, namespaces), (15, seccomp))
    return message(
        (1, message((1, name))),
        (2, message((1, args.image))),
        (3, program),
        (10, pairs(args.container_annotation)),
        (11, name + ".log"),
        (15, message((2, security))),
    )


channel = grpc.insecure_channel("unix:" + args.socket)


def call(name, request, timeout=60):
    method = channel.unary_unary("/runtime.v1.RuntimeService/" + name)
    try:
        return fields(method(request, timeout=timeout))
    except grpc.RpcError as error:
        sys.exit(f"cri.py: {name}: {error.details()}")


first, *rest = args.words
if args.verb == "run":
    print(call("RunPodSandbox", message((1, sandbox(first)), (2, args.handler)))[1].decode())
elif args.verb == "create":
    name, *program = rest
    # The pod's name is not the kubelet's to repeat here: annotations are what counts.
    request = message((1, first), (2, container(name, program)), (3, sandbox("again")))
    made = call("CreateContainer", request)[1].decode()
    call("StartContainer", message((1, made)))
    print(made)
elif args.verb == "exec":
    answer = call("ExecSync", message((1, first), (2, rest), (3, 30)))
    sys.stdout.buffer.write(answer.get(1, b""))
    sys.stderr.buffer.write(answer.get(2, b""))
    sys.exit(answer.get(3, 0))
else:
    verbs = {
        "stop": "StopContainer",
        "remove": "RemoveContainer",
        "stop-pod": "StopPodSandbox",
        "remove-pod": "RemovePodSandbox",
    }
    call(verbs[args.verb], message((1, first)))
