#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A container without a policy: the backend is executed in our place, with our arguments,
# descriptors and environment, and the bundle is not touched.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need_containers

# A backend that says what it was given.
cat >"$T/bin/recorder" <<'END'
#!/bin/bash
ls -l /proc/$$/fd/[0127] >"$RECORD.fds"
{
	printf '%s|' "$@"
	echo
	echo "pid $$"
	pwd
	echo "$SOME_VARIABLE"
} >"$RECORD"
exit 23
END
chmod 755 "$T/bin/recorder"
export RECORD=$T/record

record() # ARGUMENT...: as the recorder got it
{
	: >"$T/in"
	(cd "$T/plain" && GRAFT_RUNTIME_BACKEND=$T/bin/recorder SOME_VARIABLE=some \
		exec "$RUNTIME" "$@" <"$T/in" >"$T/out" 2>"$T/err" 7<"$T/plain/was.json") &
	STARTED=$!
	{ wait "$STARTED"; } 2>/dev/null
	STATUS=$?
}

bundle plain --annotation some.other=thing --env A=B -- /inside exit 5
for words in '--root=/x --log /y --log-format json create --bundle . --pid-file p plain' \
	'run plain' '--debug start plain' 'state plain' 'exec -t plain sh -c x' 'ps plain' \
	'events --stats plain' 'kill plain 9' 'delete --force plain' 'list -q' 'features' \
	'update --memory 1 plain' 'checkpoint --image-path i plain' 'spec' 'no-such-command'; do
	read -ra arguments <<<"$words"
	record "${arguments[@]}"
	wanted="$(printf '%s|' "${arguments[@]}")
pid $STARTED
$T/plain
some"
	equal "as it was called: $words" "$wanted" "$(cat "$RECORD")"
	equal "its status" 23 "$STATUS"
	equal "its descriptors" "$T/in $T/out $T/err $T/plain/was.json" \
		"$(sed 's/.* -> //' "$RECORD.fds" | tr '\n' ' ' | sed 's/ $//')"
done
record create --bundle "$T/plain" 'an id with blanks'
contains "words stay words" '^create\|--bundle\|.*\|an id with blanks\|$' "$(head -n1 "$RECORD")"
check "the bundle is untouched" is_unchanged plain
equal "no file came" "config.json rootfs was.json" "$(cd "$T/plain" && echo *)"
check "no state" test ! -e "$STATE"

# A policy that leads nowhere traps nothing, and so is none.
bundle own --annotation 'graft.rule.1=connect any 127.0.0.0/8 = own' -- /inside exit 5
check "the real backend runs it" bash -c "'$RUNTIME' --root '$T/root' run -b '$T/plain' plain; [ \$? = 5 ]"
check "so it does under a policy of nothing but the own stack" \
	bash -c "'$RUNTIME' --root '$T/root' run -b '$T/own' own; [ \$? = 5 ]"
check "no supervisor came" nothing_left
check "no state" test ! -e "$STATE"

contains "--version: ours and the backend's" 'graft-runtime [0-9]' "$(runtime --version)"
contains "--version: ours and the backend's" "^$BACKEND version" "$(runtime --version)"
contains "--help" 'Usage: graft-runtime' "$("$RUNTIME" --help)"
GRAFT_RUNTIME_BACKEND=/no/such/backend "$RUNTIME" state x >"$T/out" 2>&1
equal "no backend" 1 $?
contains "is said" 'is no runtime' "$(cat "$T/out")"
GRAFT_RUNTIME_BACKEND=$RUNTIME timeout 10 "$RUNTIME" state x >"$T/out" 2>&1
equal "it does not wrap itself" 1 $?
contains "and says so" 'is no runtime' "$(cat "$T/out")"
finish
