#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# No structure of a BPF program is copied from a constant: clang 14 loses stores beside such
# a copy, and nothing says so. It makes one of `struct x y = { .a = 1 }`; `= {}` and stores
# are right.
set -eu
. "$(dirname "$0")/lib.sh"
need clang
need dpkg-architecture
machine=/usr/include/$(dpkg-architecture -qDEB_HOST_MULTIARCH)

check()
{
	files '\.bpf\.c$' | while IFS= read -r file; do
		clang -g -target bpf -mcpu=v3 -O2 -I src -idirafter "$machine" -S -emit-llvm \
			-o - "$file" 2>/dev/null |
			sed -n "s,^@__const\.\([^ ]*\) = .*,$file: \1: copied from a constant,p"
	done
}

finish "$(check)"
