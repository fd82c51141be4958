#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A hundred containers at once, each with an endpoint of graftd's: all serve, none notices
# when another stops, starts or loses its supervisor, and nothing is left of any.
#
# Environment: HUNDRED, how many.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
BACKEND=${BACKEND-runc}
HUNDRED=${HUNDRED-100}
AT_ONCE=4
# kB of memory that a supervisor, and its helper, have to themselves, on average, once they
# have rested; and that are resident of any of them.
PSS_MAX=450
PSS_HELPER_MAX=350
RSS_MAX=1024
# Meson's, to find what is used before it is set: it touches tables that nobody has used.
unset MALLOC_PERTURB_
enter_host "$@"
need_containers

start_graftd

port_of() { echo $((8000 + ${1#c})); }
all() { seq -f 'c%g' "$HUNDRED"; }
for id in $(all); do
	echo "add ep-$id type ipv4 addr $HOST4 port $(port_of "$id")"
done >"$T/endpoints"
add_endpoints()
{
	local words
	while read -ra words; do
		"$GRAFT" "${words[@]}" || return 1
	done <"$T/endpoints"
}
check "graftd has an endpoint for each" add_endpoints

# The first bundle is made, the others are like it, with the same root.
bundle c1 --annotation 'graft.rule.1=bind tcp 0.0.0.0:80 = ep-c1' \
	--annotation "graft.rule.2=connect tcp $HOST4:9000 = host" --seccomp "$PROFILE" \
	-- /inside mirror 80
host_server told 9000
sed -i "s,\"rootfs\",\"$T/c1/rootfs\"," "$T/c1/config.json"
for id in $(all); do
	mkdir -p "$T/$id"
	[ "$id" = c1 ] || sed "s/ep-c1/ep-$id/; s,$MARK-c1,$MARK-$id," "$T/c1/config.json" \
		>"$T/$id/config.json"
	cp -p "$T/$id/config.json" "$T/$id/was.json"
	CONTAINERS+=("$id")
done

# each COMMAND...: with every id, some at a time. Return: whether all succeeded.
each()
{
	local id status=0 pids=()
	for id in $(all); do
		"$@" "$id" &
		pids+=($!)
		if [ ${#pids[@]} = "$AT_ONCE" ]; then
			wait "${pids[0]}" || status=1
			pids=("${pids[@]:1}")
		fi
	done
	for id in "${pids[@]}"; do
		wait "$id" || status=1
	done
	return "$status"
}
listens() { within 30 log_has "$1" listening; }
count_fds() { find "/proc/${PID_OF[graftd]}/fd" -mindepth 1 | wc -l; }
fds_are() { [ "$(count_fds)" = "$1" ]; }

"$GRAFT" show >/dev/null
fds=$(count_fds)
check "$HUNDRED containers are created and started" each up
check "and listen" each listens
check "a supervisor for each" within 30 are_supervisors "$HUNDRED"
equal "a helper for each" "$HUNDRED" "$(helpers | wc -l)"
contains "graft ps knows all" "^$HUNDRED\$" "$("$GRAFT" ps | grep -cE ' c[0-9]+ ')"
each is_unchanged
equal "their config.json are what they were" 0 $?

coproc TALKERS { exec "$PYTHON" "$SOURCE_DIR/tests/runtime/talkers.py"; }
order() # WORD... -> ANSWER
{
	echo "$*" >&"${TALKERS[1]}"
	read -r -t 60 -u "${TALKERS[0]}" ANSWER || ANSWER="no answer"
}
n_added=0
for id in $(all); do
	order add "$HOST4" "$(port_of "$id")"
	[ "$ANSWER" = added ] && n_added=$((n_added + 1))
done
equal "each is reached at its endpoint" "$HUNDRED" "$n_added"
order talk
equal "each answers" "$HUNDRED of $HUNDRED" "$ANSWER"

# --- memory ---

mean_of() # FIELD PID...
{
	local field=$1 files
	shift
	files=("${@/#//proc/}")
	awk -v "field=$field:" '$1 == field { n += $2 } END { print int(n / ARGC1) }' \
		"ARGC1=$#" "${files[@]/%//smaps_rollup}"
}
# The most of any.
rss_of() # PID...
{
	local files=("${@/#//proc/}")
	awk '$1 == "Rss:" && $2 > most { most = $2 } END { print int(most) }' \
		"${files[@]/%//smaps_rollup}"
}
rests() # PID...
{
	local rss
	rss=$(rss_of "$@")
	[ "$rss" -gt 0 ] && [ "$rss" -le "$RSS_MAX" ]
}
one=c$((HUNDRED / 2))
equal "a thousand connections are made from inside of one" "1000 of 1000" \
	"$(runtime exec "$one" /inside many "$HOST4" 9000 1000 | tail -n 1)"
stop told
supervisor=$("$GRAFT" ps | awk -v "name=$one" '$2 == name { print $1 }')
comment "its supervisor: Rss $(rss_of "$supervisor") kB"
for name in supervisors helpers; do
	mapfile -t pids < <("$name")
	check "$name: at most $RSS_MAX kB are resident of any" within 30 rests "${pids[@]}"
	pss=$(mean_of Pss "${pids[@]}")
	comment "$name: Pss $pss kB, Rss $(mean_of Rss "${pids[@]}") kB," \
		"private $(mean_of Private_Dirty "${pids[@]}") kB on average," \
		"Rss at most $(rss_of "${pids[@]}") kB"
	max=$PSS_MAX
	[ "$name" = supervisors ] || max=$PSS_HELPER_MAX
	check "$name: at most $max kB each" test "$pss" -gt 0 -a "$pss" -le "$max"
done
comment "the one that connected a thousand times: Rss $(rss_of "$supervisor") kB"

# --- one stops, one starts, one loses its supervisor ---

# What the kernel has for their sake: cgroups, by inode, and programs.
pens_of_all()
{
	local pid
	for pid in $(supervisors); do
		sed -n 's,^0::,/sys/fs/cgroup,p' "/proc/$pid/cgroup"
	done
}
pens_of_all >"$T/pens"
while read -r pen; do
	stat -c '%n %i' "$pen"
	[ -z "$(command -v bpftool)" ] || bpftool cgroup show "$pen" |
		awk '$1 ~ /^[0-9]+$/ { print $1 }' >>"$T/programs"
done <"$T/pens" >"$T/pens.inodes"
equal "a cgroup for each" "$HUNDRED" "$(grep -c graft-run- "$T/pens.inodes")"

order drop "$(port_of "$one")"
check "one is deleted" down "$one"
order talk
equal "the others answer on the connections they have" \
	"$((HUNDRED - 1)) of $((HUNDRED - 1))" "$ANSWER"
check "its supervisor ends" within 30 are_supervisors "$((HUNDRED - 1))"
check "it is started again" up "$one"
check "and listens" listens "$one"
order add "$HOST4" "$(port_of "$one")"
equal "it is reached" added "$ANSWER"
order talk
equal "all answer" "$HUNDRED of $HUNDRED" "$ANSWER"
kill -KILL "$(supervisors | head -n1)"
check "a supervisor is killed" within 30 are_supervisors "$((HUNDRED - 1))"
order talk
equal "all answer on the connections they have" "$HUNDRED of $HUNDRED" "$ANSWER"

# --- nothing is left ---

orders=${TALKERS[1]}
exec {orders}>&-
check "all are deleted" each down
check "no process, no socket" within 30 nothing_left
is_quiet() { [ -z "$(ss -Hltn "src $HOST4")" ]; }
check "no listener" within 30 is_quiet
check "graftd has as many descriptors as before" within 30 fds_are "$fds"
no_cgroup()
{
	local pen inode
	while read -r pen inode; do
		[ "$(stat -c %i "$pen" 2>/dev/null)" != "$inode" ] || return 1
	done <"$T/pens.inodes"
	[ -z "$(find /sys/fs/cgroup -maxdepth 2 -path "*/$MARK*")" ]
}
check "no cgroup" within 30 no_cgroup
if command -v bpftool >/dev/null; then
	check "there were programs" test -s "$T/programs"
	no_program()
	{
		bpftool prog list | sed -n 's/^\([0-9]*\):.*/\1/p' | sort >"$T/loaded"
		[ -z "$(sort "$T/programs" | comm -12 - "$T/loaded")" ]
	}
	check "no program of BPF" within 30 no_program
else
	skip_point "no program of BPF" "bpftool is not installed"
fi
finish
