#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A hundred thousand endpoints: the time to add them, the memory of graftd and of `graft
# show`, and bind by name with 100,000 and with ten of them.
#
# Memory and counts decide. Times are printed, and fail only far off what is promised.
. "$(dirname "$0")/../lib_graftd.sh"
N=${N-100000}
RATE=20000     # endpoints per second
BYTES=400      # of graftd for each
SHOW_KB=8192   # of `graft show`
BINDS=400

enter_host "$@"
need ip nsenter "$PYTHON"
need_graftd
cp "$BUILT/load" "$T/bin/" && chmod 755 "$T/bin/load"
make_box box

memory_kb() # PID: what it has of its own
{
	awk '/^(RssAnon|RssShmem|VmSwap):/ { kb += $2 } END { print kb }' "/proc/$1/status"
}

# Prints "SECONDS KB" of a command: time and largest memory.
cat >"$T/bin/measure.py" <<'END'
import os, resource, sys, time
start = time.monotonic()
pid = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print("%.3f %d" % (time.monotonic() - start, usage.ru_maxrss), file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
END

measure() # COMMAND...: its output to $T/out, what it took to $T/measured
{
	"$PYTHON" "$T/bin/measure.py" "$@" >"$T/out" 2>"$T/measured" || {
		cat "$T/measured"
		return 1
	}
}

measured() # -> TOOK, KB: of the last measure, which ran in a subshell
{
	read -r TOOK KB <<<"$(tail -n 1 "$T/measured")"
}

bind_us() # the median of bind by name
{
	limited nsenter --net=/run/netns/box env LD_PRELOAD="$HIJACK" \
		GRAFT_CONV_PAIRS="0.0.0.0:8000=target" "$T/bin/load" - 0 binds 8000 "$BINDS"
}

delete_all()
{
	cut -d ' ' -f 1 "$T/batch" | xargs "$GRAFT" del
}

less() # A B
{
	awk -v a="$1" -v b="$2" 'BEGIN { exit !(a < b) }'
}

# So that its name is neither the first nor the last of any order.
{
	for ((i = 0; i < N; i++)); do
		echo "ep-$i ipv4 127.0.$((i / 250 % 250)).$((i % 250)):$((i % 60000 + 1024))"
	done
} >"$T/batch"
start_graftd
check "an endpoint to bind" "$GRAFT" add target ipv4 127.0.0.1:18000 owner any
for i in {1..9}; do
	"$GRAFT" add "few-$i" ipv4 127.0.0.1:dynamic
done
FEW_US=$(bind_us)
check "bind by name, ten endpoints: $FEW_US us" [ "${FEW_US:-0}" -gt 0 ]
BEFORE=$(memory_kb "${PID_OF[graftd]}")

check "$N endpoints are added" measure "$GRAFT" add --batch "$T/batch"
measured
ADDED=$TOOK
AFTER=$(memory_kb "${PID_OF[graftd]}")
comment "$N added in $ADDED s: $(awk -v n="$N" -v s="$ADDED" \
	'BEGIN { printf "%d", n / s }') per second ($RATE expected); graft used $KB KB"
check "at a tenth of the expected rate at least" \
	less "$ADDED" "$(awk -v n="$N" -v rate=$RATE 'BEGIN { print n / rate * 10 }')"
EACH=$(((AFTER - BEFORE) * 1024 / N))
comment "graftd: $BEFORE KB before, $AFTER KB after: $EACH bytes each"
check "at most $BYTES bytes each ($EACH)" [ "$EACH" -le "$BYTES" ]

check "all are shown" measure "$GRAFT" show
measured
comment "graft show: $TOOK s, $KB KB"
equal "one line each" $((N + 10)) "$(wc -l <"$T/out")"
equal "each once" $((N + 10)) "$(cut -d' ' -f1 "$T/out" | sort -u | wc -l)"
check "show keeps none of them ($KB KB)" [ "$KB" -le "$SHOW_KB" ]
check "as JSON" measure "$GRAFT" show --json
measured
comment "graft show --json: $TOOK s, $KB KB"
check "nor then ($KB KB)" [ "$KB" -le "$SHOW_KB" ]
equal "as many there" $((N + 10)) "$("$PYTHON" -c 'import json, sys
text = json.load(sys.stdin)
print(len(text["endpoints"] if isinstance(text, dict) else text))' <"$T/out")"
check "one of them by name" measure "$GRAFT" show ep-54321
equal "is one line" 1 "$(wc -l <"$T/out")"
GREW=$(($(memory_kb "${PID_OF[graftd]}") - AFTER))
check "graftd did not grow by being asked (by $GREW KB)" [ "$GREW" -le 4096 ]

MANY_US=$(bind_us)
comment "bind by name: $FEW_US us with ten, $MANY_US us with $N"
check "bind by name is not slower by three times" less "$MANY_US" $((FEW_US * 3 + 50))

# A restart has them all back.
kill -KILL "${PID_OF[graftd]}"
wait "${PID_OF[graftd]}" 2>/dev/null
START=$EPOCHREALTIME
start_graftd
comment "restart with $N: $(awk -v a="$START" -v b="$EPOCHREALTIME" \
	'BEGIN { printf "%.0f", (b - a) * 1000 }') ms until it answers, of which $(
	sed -n 's/.*restored in //p' "$T/graftd.log" | tail -n 1) to read its journal"
equal "after a kill all are there" $((N + 10)) "$("$GRAFT" show | wc -l)"
check "they are deleted" delete_all
equal "and gone" 10 "$("$GRAFT" show | wc -l)"
finish
