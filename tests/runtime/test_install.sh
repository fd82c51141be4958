#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# graft install, uninstall, status, on files of all kinds: nothing but the one member of
# the file changes.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
enter_host "$@"
FILE=$T/etc/daemon.json
mkdir -p "$T/etc"
cp /bin/true "$T/bin/graft-runtime"

json() # FILE EXPRESSION
{
	"$PYTHON" -c 'import json, sys; c = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
		"$1" "$2"
}

"$GRAFT" status -c "$FILE" >"$T/out"
equal "status: no file" 1 $?
check "install: no file yet" "$GRAFT" install -c "$FILE" docker
equal "the runtime beside graft is registered" "$T/bin/graft-runtime" \
	"$(json "$FILE" 'c["runtimes"]["graft"]["path"]')"
check "status: registered" "$GRAFT" status -c "$FILE"
check "uninstall" "$GRAFT" uninstall -c "$FILE" docker
equal "nothing is in it" "{}" "$(json "$FILE" c)"

text='{
	"dns" : ["10.0.0.1"],   "default-ulimits": {},
	"runtimes": { "kata": {"path": "/opt/kata", "runtimeArgs": ["}\\\\"]} },
	"big": 18446744073709551615, "escaped": "\\u00e9\\/"
}'
printf '%s\n' "$text" >"$T/etc/real.json"
chmod 640 "$T/etc/real.json"
cp "$T/etc/real.json" "$T/was.json"
ln -sf real.json "$FILE"
check "install: among others, by a link" "$GRAFT" install -c "$FILE" docker
check "the link stays" test -L "$FILE"
equal "the others stay" "/opt/kata" "$(json "$FILE" 'c["runtimes"]["kata"]["path"]')"
equal "so does the mode" 640 "$(stat -c %a "$T/etc/real.json")"
cp "$T/etc/real.json" "$T/with.json"
check "install: again" "$GRAFT" install -c "$FILE" docker
check "changes nothing" cmp "$T/with.json" "$T/etc/real.json"
check "install: another path" "$GRAFT" install -c "$FILE" -r /bin/false docker
equal "is taken" "/bin/false" "$(json "$FILE" 'c["runtimes"]["graft"]["path"]')"
check "uninstall" "$GRAFT" uninstall -c "$FILE" docker
check "the file is what it was, byte for byte" cmp "$T/was.json" "$T/etc/real.json"
check "uninstall: again" "$GRAFT" uninstall -c "$FILE" docker
check "changes nothing" cmp "$T/was.json" "$T/etc/real.json"

refused() # NAME TEXT SENTENCE COMMAND...
{
	local name=$1 text=$2 sentence=$3 output
	shift 3
	rm -f "$FILE"
	printf '%s' "$text" >"$FILE"
	output=$("$GRAFT" "$@" -c "$FILE" docker 2>&1)
	equal "refused: $name" 1 $?
	contains "$name: says so" "$sentence" "$output"
	equal "$name: is left alone" "$text" "$(cat "$FILE")"
}
refused "not JSON" '{"a": }' 'not a JSON object' install
refused "no object" '[]' 'not a JSON object' install
refused "runtimes that are none" '{"runtimes": []}' '"runtimes" is no object' install
refused "a runtime that is not there" '{}' 'no absolute path of a program' \
	install -r /no/such/runtime
refused "the default" '{"default-runtime":"graft","runtimes":{"graft":{"path":"/x"}}}' \
	'default-runtime' uninstall
"$GRAFT" status -c "$FILE" >"$T/out"
equal "status: what is registered is not there" 1 $?
contains "says so" 'cannot be executed' "$(cat "$T/out")"
equal "nothing else came" "daemon.json real.json" "$(cd "$T/etc" && echo *)"
"$GRAFT" install lxc >"$T/out" 2>&1
equal "another engine: misuse" 2 $?
finish
