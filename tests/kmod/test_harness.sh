#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Does test_kernel.sh see what it is there for? It is given modules that are wrong in one
# way each, with the oldest kernel, and has to fail for that reason.
#
# Environment: as for test_kernel.sh.
. "$(dirname "$0")/../lib.sh"
BUILD=${BUILD-$SOURCE_DIR/build}
. "${0%/*}/../lib_machine.sh"
. "${0%/*}/lib_build.sh"

# plant TEXT: a source more for the module
plant()
{
	rm -rf "$DIR/source"
	copy_module "$DIR/source"
	printf '%s\n' '// SPDX-License-Identifier: GPL-2.0-only' '#include <linux/module.h>' \
		'#include <linux/uaccess.h>' 'void graft_planted(void *p);' "$1" \
		>"$DIR/source/planted.c"
	echo 'af_graft-y += planted.o' >>"$DIR/source/Kbuild"
	sed -i 's/^static int __init graft_init(void)/void graft_planted(void *p);\n&/
		s/^\(.*pr_info("address family.*\)/\tgraft_planted(NULL);\n\1/' \
		"$DIR/source/main.c"
}

# notices NAME POINT WORD: that point, and no other before it, fails, and says the word
notices()
{
	SOURCE=$DIR/source PACKAGED=$PACKAGED ONLY="${4-none}" \
		"$LIB_DIR/kmod/test_kernel.sh" 6.1 >"$DIR/log" 2>&1
	equal "$1: its status" 1 $?
	contains "$1: the point that fails" "$2" "$(grep -E '^(not ok|Bail)' "$DIR/log" | head -n 1)"
	contains "$1: and says what" "$3" "$(cat "$DIR/log")"
}

need_machine
need make modinfo
DIR=$(mktemp -d) || die "no directory"
trap 'rm -rf "$DIR"' EXIT
trap 'exit 1' INT TERM HUP
kernel_named 6.1
plant 'void graft_planted(void *p) { int planted; }'
notices "a warning" "without a warning" "unused variable .planted"
if command -v sparse >/dev/null; then
	plant 'void graft_planted(void *p) { int __user *u = p; if (u) pr_info("%d", *u); }'
	notices "sparse" "without a warning" "dereference of noderef"
fi
plant 'void graft_planted(void *p) { planted(); }'
notices "an error" "it builds" "implicit declaration of function .planted"
plant 'void graft_planted(void *p) { WARN(1, "planted"); }'
notices "a complaint" "loading: the kernel does not complain" "WARNING: .*graft_planted" loading
plant 'void graft_planted(void *p) { *(volatile int *)p = 0; }'
notices "a crash" "Bail out!" "BUG: kernel NULL pointer dereference" loading
finish
