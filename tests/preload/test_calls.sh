#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# libgraft-hijack.so against the list of its calls, and against what programs of other
# making can bear: it exports the calls and nothing else, needs plain functions of libc
# and no other library, and is bound when it is loaded. TAP.
#
#	test_calls.sh LIBRARY CALLS_DEF CALLS_SH ALLOCATOR
set -u

library=$1 list=$2 calls=$3 allocator=$4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0 failed=0

point() # NAME STATUS
{
	n=$((n + 1))
	if [ "$2" = 0 ]; then
		echo "ok $n - $1"
	else
		failed=$((failed + 1))
		echo "not ok $n - $1"
		sed 's/^/# /' "$dir/said"
	fi
}

check() # NAME COMMAND...
{
	name=$1
	shift
	"$@" >"$dir/said" 2>&1
	point "$name" $?
}

sh "$calls" names "$list" >"$dir/names"
sh "$calls" left "$list" >"$dir/left"
nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
	sort >"$dir/exported"
nm -D --undefined-only "$library" | awk '{ sub(/@.*/, "", $2); print $2 }' |
	sort >"$dir/needed"

enough()
{
	[ "$(wc -l <"$dir/names")" -ge 35 ] && [ "$(wc -l <"$dir/left")" -ge 40 ]
}
check 'the list is read' enough
check 'every call of the list is exported, and nothing else' \
	diff -u "$dir/names" "$dir/exported"

both()
{
	comm -12 "$dir/names" "$dir/left" | grep . && return 1
	return 0
}
check 'nothing is intercepted and left alone at once' both

# Inside, a call of the list is libc's own: it must not come back to ours.
looped()
{
	comm -12 "$dir/names" "$dir/needed" | grep . && return 1
	return 0
}
check 'the library itself calls none of them' looped

# Names that only one C library has, or only some version of it: fortified and LFS
# variants, the C23 ones, TLS through the loader, cmsg walking out of line.
foreign()
{
	grep -E '_chk$|64$|^__isoc|^__tls|^__cmsg|^sd_|^capng_' "$dir/needed" && return 1
	return 0
}
check 'it needs plain functions of libc' foreign

only_libc()
{
	readelf -d "$library" | grep NEEDED
	[ "$(readelf -d "$library" | grep -c NEEDED)" = 1 ] &&
		readelf -d "$library" | grep NEEDED | grep -q 'libc\.so'
}
check 'it needs no other library' only_libc

bound_now()
{
	readelf -d "$library" | grep -q 'Flags:.*NOW' &&
		readelf -lW "$library" | awk '/GNU_STACK/ { print; exit ($7 ~ /E/) }'
}
check 'it is bound at once, its stack is not executable' bound_now

# shellcheck disable=SC2046 # names of functions have no blanks
check 'every call exists in libc' /usr/bin/python3 -c '
import ctypes, sys
libc = ctypes.CDLL(None)
sys.exit(any([not hasattr(libc, name) and not print(name) for name in sys.argv[1:]]))
' $(cat "$dir/names")

# An allocator that makes such calls while it starts, when nothing can be allocated yet.
cat >"$dir/policy" <<'END'
connect any 127.0.0.0/8 = deny:EADDRNOTAVAIL
END
starts()
{
	out=$(LD_PRELOAD="$library:$allocator" GRAFT_POLICY="$dir/policy" timeout 10 \
		/usr/bin/python3 -c '
import errno, socket
try:
    socket.socket().connect(("127.0.0.1", 9))
except OSError as e:
    print(errno.errorcode[e.errno])
' 2>&1)
	echo "$out"
	[ "$out" = EADDRNOTAVAIL ]
}
check 'an allocator may make calls while it starts' starts

echo "1..$n"
[ "$failed" = 0 ]
