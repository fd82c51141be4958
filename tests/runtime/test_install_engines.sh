#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# graft install, uninstall, status of containerd and podman, on files of all kinds: what
# comes is what the engine wants, and goes without a trace.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
enter_host "$@"
mkdir -p "$T/etc"
cp /bin/true "$T/bin/graft-runtime"
FILE=$T/etc/config.toml

toml() # EXPRESSION: of the file, as a parser reads it
{
	"$PYTHON" -c 'import sys, tomllib
c = tomllib.load(open(sys.argv[1], "rb")); print(eval(sys.argv[2]))' "$FILE" "$1"
}

cri='c["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]'
wanted="{'runtime_type': 'io.containerd.runc.v2', 'pod_annotations': ['graft.*'],\
 'container_annotations': ['graft.*'], 'options': {'BinaryName': '$T/bin/graft-runtime'}}"

# round NAME: $T/was, or its absence, with the runtime in it and out again
round()
{
	rm -f "$FILE"
	[ ! -e "$T/was" ] || cp "$T/was" "$FILE"
	check "$1: install" "$GRAFT" install -c "$FILE" containerd
	equal "$1: the runtime is there" "$wanted" \
		"$(toml "${cri}['graft']" | sed "s/'SystemdCgroup': False, //")"
	check "$1: status" "$GRAFT" status -c "$FILE" containerd
	cp "$FILE" "$T/with"
	check "$1: again" "$GRAFT" install -c "$FILE" k8s
	check "$1: changes nothing" cmp "$FILE" "$T/with"
	check "$1: another path" "$GRAFT" install -c "$FILE" -r /bin/false containerd
	equal "$1: is taken" /bin/false "$(toml "${cri}['graft']['options']['BinaryName']")"
	equal "$1: in one line" 1 "$(diff "$FILE" "$T/with" | grep -c '^<')"
	check "$1: uninstall" "$GRAFT" uninstall -c "$FILE" k8s
	if [ -e "$T/was" ]; then
		check "$1: byte for byte what it was" cmp "$FILE" "$T/was"
	else
		check "$1: no file" test ! -e "$FILE"
	fi
	"$GRAFT" status -c "$FILE" containerd >"$T/out"
	equal "$1: status: not registered" 1 $?
}
rm -f "$T/was"
round "no file"
printf '# nothing yet\n' >"$T/was"
round "a comment"
printf '# nothing yet' >"$T/was"
round "a comment without an end"
printf 'version = 2' >"$T/was"
round "no line's end"
[ ! -e /etc/containerd/config.toml ] || {
	cp /etc/containerd/config.toml "$T/was"
	round "Debian's"
}
if command -v containerd >/dev/null && containerd config default >"$T/was"; then
	round "containerd's own"
fi
cat >"$T/was" <<'END'
# mine
version = 2
imports = [
  "/etc/x.toml", # ] [x]
]
[plugins."io.containerd.grpc.v1.cri"]
	sandbox_image = '''
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.graft]
'''
[plugins.'io.containerd.grpc.v1.cri'.containerd] # one
	default_runtime_name   =  "runc"
	[plugins."io.containerd.grpc.v1.cri".containerd.runtimes . kata]
		runtime_type = "io.containerd.kata.v2"


# the end
END
round "odd, but right"

# A node whose cgroups are systemd's: what runc is told.
cat >"$T/was" <<'END'
version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    SystemdCgroup = true
END
cp "$T/was" "$FILE"
check "systemd: install" "$GRAFT" install -c "$FILE" containerd
equal "systemd: as runc has it" True "$(toml "${cri}['graft']['options']['SystemdCgroup']")"
# Somebody puts more behind it, and links the file.
printf '# after\n[metrics]\n  address = ""\n' >>"$FILE"
printf '# after\n[metrics]\n  address = ""\n' >>"$T/was"
chmod 640 "$FILE"
mv "$FILE" "$T/etc/real.toml"
ln -s real.toml "$FILE"
check "in the middle: uninstall" "$GRAFT" uninstall -c "$FILE" containerd
check "in the middle: byte for byte" cmp "$FILE" "$T/was"
check "the link stays" test -L "$FILE"
equal "so does the mode" 640 "$(stat -c %a "$T/etc/real.toml")"
check "uninstall: again" "$GRAFT" uninstall -c "$FILE" containerd
check "changes nothing" cmp "$FILE" "$T/was"
rm -f "$FILE" "$T/etc/real.toml"

# What containerd takes for granted where there is no runtime has to be said beside one.
printf 'version = 2\n' >"$FILE"
check "no runtimes: install" "$GRAFT" install -c "$FILE" containerd
equal "no runtimes: runc stays one" "{'runtime_type': 'io.containerd.runc.v2'}" \
	"$(toml "${cri}['runc']")"
cat >"$T/kata" <<'END'
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]
  runtime_type = "io.containerd.kata.v2"
END
cat "$T/kata" >>"$FILE"
check "no runtimes: uninstall beside another that came" "$GRAFT" uninstall -c "$FILE" containerd
equal "runc stays for its sake" "['runc', 'kata']" "$(toml "list(${cri})")"

# containerd 2, from its documentation.
printf 'version = 3\n' >"$FILE"
check "version 3: install" "$GRAFT" install -c "$FILE" containerd
equal "version 3: the plugin's other name" "$T/bin/graft-runtime" \
	"$(toml 'c["plugins"]["io.containerd.cri.v1.runtime"]["containerd"]["runtimes"]["graft"]["options"]["BinaryName"]')"
check "version 3: uninstall" "$GRAFT" uninstall -c "$FILE" containerd
equal "version 3: what it was" 'version = 3' "$(cat "$FILE")"

refused() # NAME SENTENCE TEXT COMMAND...
{
	local name=$1 sentence=$2 text=$3 output
	shift 3
	printf '%s' "$text" >"$FILE"
	output=$("$GRAFT" "$@" -c "$FILE" containerd 2>&1)
	equal "refused: $name" 1 $?
	contains "$name: says so" "$sentence" "$output"
	equal "$name: in one line" 1 "$(wc -l <<<"$output")"
	equal "$name: is left alone" "$text" "$(cat "$FILE")"
}
runtimes='plugins."io.containerd.grpc.v1.cri".containerd.runtimes'
refused "no TOML" 'config.toml:2: not understood' $'version = 2\nwhat is this' install
refused "a string without an end" ':2: not understood' $'version = 2\nx = "' install
refused "version 1" 'version = 2' 'disabled_plugins = ["cri"]' install
refused "no CRI" 'disabled_plugins' \
	$'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]' install
refused "an inline table" 'config.toml:3: .*tables of their own' \
	"version = 2
[plugins.\"io.containerd.grpc.v1.cri\".containerd]
runtimes = {runc = {}}" install
refused "dotted keys" 'config.toml:3: .*tables of their own' \
	"version = 2
[plugins.\"io.containerd.grpc.v1.cri\"]
containerd.runtimes.runc.runtime_type = \"\"" install
refused "somebody else's graft" 'config.toml:2: .*without options.BinaryName' \
	"version = 2
[$runtimes.graft]
runtime_type = \"io.containerd.graft.v1\"" install
refused "one without annotations" 'config.toml:2: .*no pod_annotations' \
	"version = 2
[$runtimes.graft.options]
BinaryName = \"$T/bin/graft-runtime\"" install
refused "in two places" 'config.toml:4: .*in one place' "version = 2
[$runtimes.graft]
[metrics]
[$runtimes.graft.options]" uninstall
refused "the default" 'default_runtime_name' "version = 2
[plugins.\"io.containerd.grpc.v1.cri\".containerd]
default_runtime_name = \"graft\"
[$runtimes.graft]" uninstall
refused "a runtime that is not there" 'no absolute path of a program' 'version = 2' \
	install -r /no/such/runtime
rm -f "$FILE"
output=$("$GRAFT" install -c "$T/none/config.toml" containerd 2>&1)
equal "no directory" 1 $?
contains "no directory: says so" 'No such file or directory' "$output"
equal "nothing else came" "" "$(ls "$T/etc")"

# Podman: a file of its own.
FILE=$T/etc/containers.conf.d/graft.conf
"$GRAFT" status -c "$FILE" podman >"$T/out"
equal "podman: status: no file" 1 $?
check "podman: uninstall: no file" "$GRAFT" uninstall -c "$FILE" podman
check "podman: install, and its directory" "$GRAFT" install -c "$FILE" podman
equal "podman: the runtime is there" "['$T/bin/graft-runtime']" \
	"$(toml 'c["engine"]["runtimes"]["graft"]')"
contains "podman: status" "graft is $T/bin/graft-runtime$" "$("$GRAFT" status -c "$FILE" podman)"
check "podman: another path" "$GRAFT" install -c "$FILE" -r /bin/false podman
equal "podman: is taken" "['/bin/false']" "$(toml 'c["engine"]["runtimes"]["graft"]')"
check "podman: uninstall" "$GRAFT" uninstall -c "$FILE" podman
check "podman: no file" test ! -e "$FILE"
printf '[engine.runtimes]\ngraft = ["/opt/graft"]\n' >"$FILE"
for command in install uninstall; do
	output=$("$GRAFT" "$command" -c "$FILE" podman 2>&1)
	equal "podman: $command: somebody else's file" 1 $?
	contains "podman: $command: says so" 'not written by graft install' "$output"
done
contains "podman: status: cannot be executed" 'is /opt/graft, which cannot be executed' \
	"$("$GRAFT" status -c "$FILE" podman)"

"$GRAFT" status >"$T/out"
equal "status: a line for each engine" "docker containerd podman" \
	"$(cut -d' ' -f1 "$T/out" | paste -sd' ')"
json_status() # EXPRESSION ENGINE...: of what status says
{
	"$GRAFT" status --json "${@:2}" | "$PYTHON" -c 'import json, sys
s = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}
equal "status --json: the same" "docker containerd podman" \
	"$(json_status '" ".join(e["engine"] for e in s)')"

# nerdctl: no file, a path.
path=$T/bin/graft-runtime
equal "nerdctl: install" "nerdctl: nothing to register: nerdctl run --runtime $path" \
	"$("$GRAFT" install nerdctl)"
equal "nerdctl: another path" "nerdctl: nothing to register: nerdctl run --runtime /bin/true" \
	"$("$GRAFT" install -r /bin/true nerdctl)"
check "nerdctl: uninstall" "$GRAFT" uninstall nerdctl
check "nerdctl: status" "$GRAFT" status nerdctl
equal "nerdctl: status --json" "[{'engine': 'nerdctl', 'file': None, 'runtime': '$path', 'works': True}]" \
	"$(json_status s nerdctl)"
"$GRAFT" install -c "$FILE" nerdctl >"$T/out" 2>&1
equal "nerdctl: there is no file" 1 $?
"$GRAFT" install -r /no/such/runtime nerdctl >"$T/out" 2>&1
equal "nerdctl: a runtime that is not there" 1 $?

# An ordinary user's own files.
chmod 755 "$T" "$T/bin" "$T/bin"/*
identity user
own=$T/homes/user/.config
for pair in docker:docker/daemon.json podman:containers/containers.conf.d/graft.conf; do
	engine=${pair%%:*} FILE=$own/${pair#*:}
	check "a user's $engine: install" "${IDENTITY[@]}" "$GRAFT" install "$engine"
	check "a user's $engine: the file is there" test -e "$FILE"
	contains "a user's $engine: status" "^$engine +$FILE +graft is $path$" \
		"$("${IDENTITY[@]}" "$GRAFT" status "$engine")"
	check "a user's $engine: uninstall" "${IDENTITY[@]}" "$GRAFT" uninstall "$engine"
done
check "a user's docker: below XDG_CONFIG_HOME" "${IDENTITY[@]}" \
	XDG_CONFIG_HOME="$T/homes/user/elsewhere" "$GRAFT" install docker
check "it is there" test -e "$T/homes/user/elsewhere/docker/daemon.json"
contains "a user without a file: status is the host's" '^docker +/etc/docker/daemon.json ' \
	"$("${IDENTITY[@]}" XDG_CONFIG_HOME="$T/homes/user/none" "$GRAFT" status docker)"
"$GRAFT" install lxc >"$T/out" 2>&1
equal "another engine: misuse" 2 $?
finish
