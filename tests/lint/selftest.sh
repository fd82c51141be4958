#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A lint that cannot fail is worth nothing. Breaks each rule in a temporary copy of the
# tree and wants the lint to end 1 and to name the culprit.
# shellcheck disable=SC2016 # scripts that are planted, not run
set -eu
. "$(dirname "$0")/lib.sh"

# Where scripts of the kernel are kept: no copy of the tree takes them out again.
export GRAFT_CACHE="${GRAFT_CACHE:-$build/cache}"
private=$(mktemp -d)
trap 'rm -rf "$private"' EXIT
tree=$private/tree
failed=0
n_proved=0

# Puts a fresh copy of the tree, without the bulk that no breach needs, and a build
# directory with nothing in it, in place.
fresh()
{
	rm -rf "$tree"
	mkdir -p "$tree/build-none"
	files '' | grep -vE '^tests/[a-km-z]|^bench/' | tar -cf - -T - | tar -xf - -C "$tree"
}

# proves LINT CULPRIT: the lint ends 1 in the copy and names CULPRIT (an ERE).
proves()
{
	local status=0

	GRAFT_BUILD=$tree/build-none GRAFT=$private/graft TIDY_SECONDS=120 \
		"$tree/tests/lint/$1.sh" >"$private/out" 2>&1 || status=$?
	if [ "$status" -eq 77 ]; then
		echo "$1: $(cat "$private/out")"
	elif [ "$status" -eq 1 ] && grep -qE -e "$2" "$private/out"; then
		n_proved=$((n_proved + 1))
	else
		echo "$1: should have found '$2', but ended $status with:"
		sed 's/^/    /' "$private/out" | head -n 20
		failed=1
	fi
	fresh
}

# plant FILE: writes stdin there, all of it read first: it may come from that very file.
plant()
{
	mkdir -p "$tree/$(dirname "$1")"
	cat >"$private/planted"
	cat "$private/planted" >"$tree/$1"
}

# A program that has what the tree's pages say, or with MORE an option more.
fake_graft()
{
	cat >"$private/graft" <<'END'
#!/bin/sh
case $1 in
help | --help) printf 'Commands:\n  check     check policy files\n  help      help\n\nEnd.\n' ;;
check)
	shift
	[ "$1" = --help ] || ! grep -qs planted "$@" || exit 2
	printf 'Usage: graft check [--print] FILE...\n\n  --print   print\nMORE'
	;;
esac
END
	sed -i "s/MORE/${1:-}/" "$private/graft"
	chmod +x "$private/graft"
}

spdx='/* SPDX-License-Identifier: LGPL-2.1-or-later */'
fake_graft
fresh

# layers
printf '%s\n#include "intercept/x.h"\n' "$spdx" | plant src/stack/planted.c
proves layers 'stack/planted.c: stack/ may not include "intercept/x.h"'
printf '%s\n#include "stack/kernel/x.h"\n' "$spdx" | plant src/intercept/planted.c
proves layers 'intercept/planted.c: intercept/ may not include "stack/kernel/x.h"'
printf '%s\n#include "policy/policy.h"\n' "$spdx" | plant src/base/planted.c
proves layers 'base/planted.c: base/ may not'
printf '%s\n#include "intercept/preload/x.h"\n' "$spdx" | plant src/intercept/notify/planted.c
proves layers 'planted.c: intercept/notify may not'
printf '%s\n#include "run/x.h"\n' "$spdx" | plant src/lib/planted.c
proves layers 'lib/planted.c: lib/ may not'
printf '%s\n#include "options.h"\n' "$spdx" | plant src/run/planted.c
proves layers 'run/planted.c: includes "options.h"'
printf '%s\n' "$spdx" | plant src/newhop/planted.c
proves layers 'src/newhop is not in the table'

# pure
printf '%s\nint f(void)\n{\n\t/* */ return read(0, 0, 0);\n}\n' "$spdx" |
	plant src/policy/planted.c
proves pure 'policy/planted.c:4:'
printf '%s\n#include <fcntl.h>\n' "$spdx" | plant src/wire/planted.h
proves pure 'wire/planted.h:2:'
printf '%s\nvoid f(void)\n{\n\tfputs("x", stderr);\n}\n' "$spdx" | plant src/wire/planted.c
proves pure 'wire/planted.c:4:'

# headers
printf '%s\n#pragma once\nint planted(size_t size);\n' "$spdx" | plant src/base/planted.h
proves headers 'src/base/planted.h: does not compile alone'
printf '%s\nint planted(sa_family_t family);\n' "$spdx" | plant include/graft/planted.h
proves headers 'include/graft/planted.h: does not compile alone'

# format
printf '%s\nint f( int a ){ return a; }\n' "$spdx" | plant src/base/planted.c
proves format 'src/base/planted.c:2'
printf '%s\n/*\n * one\n *two\n */\n' "$spdx" | plant src/base/planted.h
proves format 'src/base/planted.h:4: a blank is missing'
printf '%s\n/* %090d */\n' "$spdx" 0 | plant src/base/planted.h
proves format 'src/base/planted.h:2: a comment beyond'

# checkpatch
rm -r "$tree/kmod"
printf '%s\nint planted;\nvoid f(void)\n{\n\tif(planted) f();\n}\n' \
	'// SPDX-License-Identifier: GPL-2.0-only' | plant kmod/planted.c
proves checkpatch 'kmod/planted.c:5: ERROR:SPACING'

# bpf
printf '%s\nstruct s { int a[4]; };\nint take(struct s *);\nint f(void)\n{\n%s\n%s\n}\n' "$spdx" \
	'	struct s planted = { { 0, 0, 0, 9 } };' '	return take(&planted);' |
	plant src/base/planted.bpf.c
proves bpf 'planted.bpf.c: f.planted: copied'

# coccinelle
rm -r "$tree/kmod"
printf '%s\nvoid f(char *p)\n{\n\tkfree(p);\n\t*p = 0;\n}\n' \
	'// SPDX-License-Identifier: GPL-2.0-only' | plant kmod/planted.c
proves coccinelle 'kmod/planted.c:5:.* preceded by free'

# tidy
printf '%s\nint planted(int a)\n{\n\treturn a == a;\n}\n' "$spdx" | plant src/base/planted.c
printf '[\n{\n"directory": "%s",\n"command": "cc -c ../src/base/planted.c",\n%s\n}\n]\n' \
	"$tree/build-none" '"file": "../src/base/planted.c"' |
	plant build-none/compile_commands.json
proves tidy 'src/base/planted.c:4'

# shell
printf '#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0-or-later\nrm $1/*\n' |
	plant tools/planted
proves shell 'tools/planted:3'

# calls
plant src/intercept/preload/calls.def <<'END'
CALL(planted, int, (void), (), "nothing")
END
proves calls 'docs/preload.md: not what calls.def says'

# man
sed '/^\.Sh NAME/d' "$tree/man/graft.1" | plant man/graft.1
proves man 'man/graft.1:.*NAME'
sed 's/graft/planted/' "$tree/man/graft.7" | plant man/planted.7
proves man 'man/meson.build does not install it'
printf '.Xr graft-planted 9 .\n' >>"$tree/man/graft.7"
sed -i 's/graft-planted 9/graft-planted 8/' "$tree/man/graft.7"
proves man 'refers to graft-planted.8'

# options
fake_graft '  --planted  more\\n'
proves options 'man/graft.1: check lacks --planted'
fake_graft '  --planted  more\\n'
proves options 'completions/graft.fish: check lacks --planted'
fake_graft '  --planted  more\\n'
proves options 'completions/_graft: check lacks --planted'
fake_graft
sed -i 's/^\.It Fl -print.*/&\n.It Fl -planted/' "$tree/man/graft.1"
proves options 'graft check --help: lacks --planted'
printf '#!/bin/sh\necho "  --planted  more"\n' | plant build-none/src/broker/graftd
chmod +x "$tree/build-none/src/broker/graftd"
proves options 'man/graftd.8: lacks --planted'

# examples
echo 'bind planted' >>"$tree/examples/p.conf"
proves examples 'examples/p.conf: graft check'
printf '```\nconnect tcp planted = host\n```\n' | plant docs/planted.md
proves examples 'docs/planted.md:1: graft check'

# completion
sed -i 's/auto notify/auto notified/' "$tree/completions/graft.bash"
proves completion 'lacks notify'

# spell
printf 'recieve\n' | plant docs/planted.md
proves spell 'docs/planted.md:1'

# licence
printf 'int planted;\n' | plant src/base/planted.c
proves licence 'src/base/planted.c: no SPDX'
printf '%s\n' "$spdx" | plant tests/unit/planted.c
proves licence 'tests/unit/planted.c: no SPDX line for GPL'
rm "$tree/LICENSES/GPL-2.0-or-later.txt"
proves licence 'GPL-2.0-or-later.txt is missing'

printf 'obj-m := planted.o\n' | plant kmod/Kbuild
proves licence 'kmod/Kbuild: no SPDX line for GPL-2.0-only'

# size
{ echo "$spdx"; seq -f 'extern int planted%.0f;' 600; } | plant src/base/planted.h
proves size 'src/base/planted.h: 601 lines'
{ echo "$spdx"; echo 'void planted(void)'; echo '{'; seq -f '	f(%.0f);' 101; echo '}'; } |
	plant src/base/planted.c
proves size 'planted\(\) has 101 lines'
echo 'src/base/fd.h no reason at all' >>"$tree/tests/lint/size.exceptions"
proves size 'src/base/fd.h needs no exception'

# words
printf 'see %s\n' "/wor""k/notes" | plant docs/planted.md
proves words 'docs/planted.md:1'
printf 'see iss%s #3\n' ue | plant docs/planted.md
proves words 'docs/planted.md:1'

# exports
printf '%s\nGRAFT_0 {\nglobal:\n\tgraft_one;\n\tgraft_two;\nlocal:\n\t*;\n};\n' "$spdx" |
	plant src/lib/libgraft.map
echo 'int graft_one; int graft_three;' |
	cc -shared -fPIC -x c -o "$tree/build-none/libgraft.so.0" -
cp -r "$tree" "$private/exports"
proves exports 'does not list exported graft_three'
rm -rf "$tree" && mv "$private/exports" "$tree"
proves exports 'lists but libgraft.so lacks graft_two'

# links
printf '[gone](gone.md)\n' | plant docs/planted.md
proves links 'docs/planted.md: leads to gone.md'
sed -i '/bench:end/d' "$tree/README.md"
proves links 'README.md: needs one line <!-- bench:end'

# text
printf 'blank \n' | plant docs/planted.md
proves text 'docs/planted.md:1'
printf 'no newline' | plant docs/planted.md
proves text 'docs/planted.md: no newline'

echo "$n_proved breaches found, as they should be"
exit "$failed"
