#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A thousand policies at once: each cgroup has its own, one that is replaced is seen whole, and
# what they took is free when they are gone. How long things take is told, and decides nothing.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] || skip "needs root"
# shellcheck source=tests/lib_cgroup.sh
. "$LIB_DIR/lib_cgroup.sh"
need bpftool
MANY=${MESON_BUILD_ROOT-$SOURCE_DIR/build}/tests/cgroup/many
N=1000

# whose.py TOP FIRST LAST: which of these cgroups are not judged by their own policy alone.
cat >"$T/bin/whose.py" <<'EOP'
import os, socket, sys
top, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in range(first, last + 1):
    with open(f"{top}/c{number}/cgroup.procs", "w") as procs:
        procs.write(str(os.getpid()))
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.connect(("127.0.0.1", 9))
    source = made.getsockname()[0]
    made.close()
    if source != f"127.1.{number // 250}.{1 + number % 250}":
        print(number, source)
EOP
# What a connect comes to, again and again until it is ended; then how often what.
cat >"$T/bin/load.py" <<'EOP'
import collections, errno, signal, socket, sys
met = collections.Counter()
def end(*_):
    print(" ".join(sorted(met)), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.connect(("10.50.0.1", 53))
        met["connected"] += 1
    except OSError as error:
        met[errno.errorcode[error.errno]] += 1
    made.close()
EOP
# pair.py RULES PLACE ERRNO: of so many rules the one in that place decides; the outcome of any
# other is another error, and so is that of none.
cat >"$T/bin/pair.py" <<'EOP'
import sys
n, place = int(sys.argv[1]), int(sys.argv[2])
for i in range(n):
    print("connect udp 10.50.0.0/16 = deny:" + sys.argv[3] if i == place
          else f"connect udp 10.{60 + i % 100}.{i // 100}.0/24:{1 + i % 1000} = deny:ETIMEDOUT")
EOP

# connects CGROUP: what becomes of a connect there.
connects()
{
	in_cgroup "$1" "$PYTHON" -c 'import errno, socket
try:
    socket.socket().connect(("10.1.1.1", 80))
except OSError as error:
    print(errno.errorcode[error.errno])'
}

# The maps of images that are there: those of these numbers.
left()
{
	bpftool -j map show | "$PYTHON" -c 'import json, sys
there = {one["id"] for one in json.load(sys.stdin)}
print(len(there & {int(line) for line in open(sys.argv[1])}))' "$1"
}

# The kernel lets go of a cgroup some time after it was removed, and of its policy does who
# attaches one then.
none_left()
{
	"$GRAFT" attach --rule 'connect tcp 10.0.0.0/8 = deny' "$TOP/last" &&
		"$GRAFT" detach "$TOP/last" && [ "$(left "$1")" = 0 ]
}

mkdir "$TOP/first"
check "one more, before" "$GRAFT" attach --rule 'connect tcp 10.0.0.0/8 = deny' "$TOP/first"
names=$("$MANY" names)
comment "$("$MANY" attach "$TOP" 1 "$N" 100)"
equal "as many images, two each" $((2 * (N + 1))) "$("$MANY" images | sort -u | wc -l)"
equal "and endpoints" $((names + N)) "$("$MANY" names)"
"$MANY" images | sort -u | grep -vxF "$("$MANY" images | head -n 2)" >"$T/images"
equal "each is judged by its own" "" "$("$PYTHON" "$T/bin/whose.py" "$TOP" 1 "$N")"

# Some by the command, which replaces the policy of one and no other.
for n in 7 500 "$N"; do
	check "replace that of $n" "$GRAFT" attach --rule "endpoint source ipv4 127.2.0.1:dynamic" \
		--rule "connect udp 127.0.0.1 = from source" "$TOP/c$n"
done
equal "those are judged by another, and no other is" "7 127.2.0.1
500 127.2.0.1
$N 127.2.0.1" "$("$PYTHON" "$T/bin/whose.py" "$TOP" 1 "$N")"

# --- replacing ----------------------------------------------------------------------------

"$PYTHON" "$T/bin/pair.py" 100 60 ENETDOWN >"$T/a"
"$PYTHON" "$T/bin/pair.py" 90 3 EHOSTDOWN >"$T/b"
comment "100 rules: $("$MANY" rest "$TOP/c5" 100 "$T/b" "$T/a")"
comment "100 rules, one right after another: $("$MANY" replace "$TOP/c5" 100 "$T/b" "$T/a")"
spawn load in_cgroup "$TOP/c5" "$PYTHON" "$T/bin/load.py"
check "a load begins" within "$LIMIT" grep -q ready "$T/load.log"
comment "100 rules, under load: $("$MANY" rest "$TOP/c5" 100 "$T/b" "$T/a")"
comment "100 rules, under load, one right after another: $("$MANY" replace "$TOP/c5" 1000 "$T/b" "$T/a")"
comment "100 rules, after one that was killed: $("$MANY" killed "$TOP/c5" 100 "$T/b" "$T/a")"
stop load
equal "both were seen, and nothing between them" "EHOSTDOWN ENETDOWN" \
	"$(tail -n 1 "$T/load.log")"
"$PYTHON" "$T/bin/pair.py" 10000 6000 ENETDOWN >"$T/a"
"$PYTHON" "$T/bin/pair.py" 9000 300 EHOSTDOWN >"$T/b"
check "attach it" "$GRAFT" attach --policy "$T/a" "$TOP/c6"
spawn load in_cgroup "$TOP/c6" "$PYTHON" "$T/bin/load.py"
check "a load begins elsewhere" within "$LIMIT" grep -q ready "$T/load.log"
comment "10,000 rules: $("$MANY" replace "$TOP/c6" 20 "$T/b" "$T/a")"
stop load
equal "of these both were seen, too, and nothing between" "EHOSTDOWN ENETDOWN" \
	"$(tail -n 1 "$T/load.log")"

# --- the end ------------------------------------------------------------------------------

"$MANY" images | sort -u >>"$T/images"
first=$("$MANY" images | head -n 2)
grep -vxF "$first" "$T/images" | sort -u >"$T/gone"
for n in $(seq "$N"); do rmdir "$TOP/c$n" || break; done
check "they are gone" test ! -e "$TOP/c$N"
mkdir "$TOP/last"
check "no image of theirs is left" within "$LIMIT" none_left "$T/gone"
equal "no endpoint of theirs is left" "$names" "$("$MANY" names)"
equal "the first one's images are its own still" "$first" "$("$MANY" images | head -n 2)"

# --- as many as there can be ----------------------------------------------------------------

FEW=${MESON_BUILD_ROOT-$SOURCE_DIR/build}/tests/cgroup/graft-few
few() # NAME
{
	mkdir -p "$TOP/$1" &&
		"$FEW" attach --rule 'connect tcp 10.0.0.0/8 = deny:ENETDOWN' "$TOP/$1"
}
fill()
{
	local n
	for n in $(seq 63); do few "f$n" || return 1; done
}
check "as many as there can be" fill
fails "one more" 1 "^graft attach: no more cgroups can have a policy: detach one, or remove one$" \
	few f64
equal "it is not judged" ENETUNREACH "$(connects "$TOP/f64")"
equal "the others are" ENETDOWN "$(connects "$TOP/f63")"
check "one of them can be replaced still" few f63
check "one goes" "$FEW" detach "$TOP/f5"
check "another one comes" few f64
equal "it is judged" ENETDOWN "$(connects "$TOP/f64")"
rmdir "$TOP/f7"
check "a place is free when one was removed" within "$LIMIT" few f65

# --- builds ---------------------------------------------------------------------------------

builds()
{
	set -- /sys/fs/bpf/graft/*/
	echo $#
}
open_again()
{
	mkdir -p "$TOP/own" && "$GRAFT" attach --rule 'connect tcp 10.0.0.0/8 = deny' "$TOP/own"
}
detach_few()
{
	local cgroup
	rmdir "$TOP/f5"
	for cgroup in "$TOP"/f[0-9]*/; do "$FEW" detach "$cgroup" || return 1; done
}
check "a build beside another that judges" open_again
equal "both have their programs" 2 "$(builds)"
equal "the other one judges still" ENETDOWN "$(connects "$TOP/f63")"
check "it is detached everywhere" detach_few
equal "and stays until somebody looks" 2 "$(builds)"
check "somebody does" open_again
equal "and it has gone" 1 "$(builds)"
check "it comes back as it is used" few f66
equal "it judges" ENETDOWN "$(connects "$TOP/f66")"
finish
