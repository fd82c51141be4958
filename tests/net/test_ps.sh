#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# graft ps, and graft ps --sockets, on a live run that holds three sockets of the host:
#
#	client 10.77.0.1:C --> 10.77.0.1:8080   listener, accepted  -+
#	                       10.77.0.1:8000 <-- connected         -+- peer.py --name shop
#
# Who may see it, and that nothing is listed once its front or supervisor is gone.
. "$(dirname "$0")/../lib.sh"
need_engine # it is about graft's own processes
enter_host "$@"
need ip pgrep "$PYTHON"

cat >"$T/bin/peer.py" <<'END'
import signal, socket, sys
listener = socket.create_server(("0.0.0.0", 80))
out = socket.create_connection((sys.argv[1], 8000), 10)
inner, client = listener.accept()
print("ready", out.getsockname()[1], client[1], flush=True)
signal.pause()
END

# What the JSON of standard input must say; one line for each thing that is not so.
# The engine that `graft ps` shows.
export SHOWN=${ENGINE/auto/notify}
cat >"$T/bin/look.py" <<'END'
import json, os, sys
what, front, uid, out, client = sys.argv[1], *map(int, sys.argv[2:])
answer = json.load(sys.stdin)

def wrong(name, got, wanted):
    if got != wanted:
        print(f"{name}: {got!r}, wanted {wanted!r}")

def look_at_run(run):
    wrong("pid", run["pid"], front)
    wrong("uid", run["uid"], uid)
    wrong("name", run["name"], "shop")
    wrong("engine", run["engine"], os.environ["SHOWN"])
    wrong("policy", run["policy"], "-p 8080:80 -e 10.77.0.0/24=host")
    wrong("command", run["command"].endswith("python3"), True)
    wrong("age", 0 < run["age_ns"] < 10**12, True)
    wrong("n_grafts", run["n_grafts"], 2)  # the third was accepted, not grafted
    wrong("processes", len({front, run["supervisor"], run["program"]}), 3)

def sockets(run, grafts):
    host, pub = "10.77.0.1", "bind tcp 0.0.0.0:80 = pub-tcp-8080-4"
    wanted = {
        "listen": ("0.0.0.0", 8080, None, None, pub, True),
        "accepted": (host, 8080, host, client, pub, False),
        "connected": (host, out, host, 8000,
                      "connect any 10.77.0.0/24 = host", True),
    }
    got = {}
    for graft in grafts:
        local, peer = graft["local"], graft["peer"] or {"address": None, "port": None}
        kind = ("listen" if graft["state"] == "listen" else
                "accepted" if local["port"] == 8080 else "connected")
        wrong(kind + " age", graft["age_ns"] is None or graft["age_ns"] > 0, True)
        wrong(kind + " pid", graft["pid"], run["program"])
        wrong(kind + " program", graft["program"].startswith("python3"), True)
        wrong(kind + " socket", graft["socket"], "tcp")
        got[kind] = (local["address"], local["port"], peer["address"], peer["port"],
                     graft["rule"], graft["age_ns"] is not None)
    wrong("number of sockets", len(grafts), len(wanted))
    wrong("sockets", got, wanted)

wrong("number of runs", len(answer), 1)
for item in answer:
    look_at_run(item if what == "ps" else item["run"])
    if what == "ps":
        wrong("n_live", item["n_live"], 3)
    else:
        sockets(item["run"], item["grafts"])
END

ask() # root|user|other COMMAND [ARG...]
{
	identity "$1"
	[ "$1" != other ] || IDENTITY=(setpriv --reuid=65533 --regid=65533 --clear-groups)
	shift
	host "${IDENTITY[@]}" "$GRAFT" "$@"
}

look() # ps|sockets ASKER [RUN]
{
	local what=$1 uid=0 command=(ps)
	[ "$WHO" = root ] || uid=65534
	[ "$what" = ps ] || command=(ps --sockets)
	shift
	equal "$WHO's run: $what --json ${2-} for $1" "" "$(ask "$1" "${command[@]}" --json "${@:2}" |
		"$PYTHON" "$T/bin/look.py" "$what" "$FRONT" "$uid" "$OUT" "$CLIENT" 2>&1)"
}

# A run as $WHO and a client connected to it.
begin()
{
	start shop --name shop -p 8080:80 -e 10.77.0.0/24=host -- \
		"$PYTHON" "$T/bin/peer.py" "$HOST4"
	wait_for_listener shop 8080 || return
	exec 8<>"/dev/tcp/$HOST4/8080"
	await shop grep -q ready "$T/shop.log" || return
	FRONT=${PID_OF[shop]}
	read -r _ OUT CLIENT < <(grep ready "$T/shop.log")
}

end()
{
	exec 8<&-
	stop shop
}

tables()
{
	local row
	row=$(ask "$WHO" ps | grep "^$FRONT ")
	contains "$WHO: ps: header" '^PID +NAME +USER +ENGINE +AGE +GRAFTS +POLICY +COMMAND$' \
		"$(ask "$WHO" ps)"
	contains "$WHO: ps: the run, with three live grafts" \
		"^$FRONT +shop +[^ ]+ +$SHOWN +[0-9]+s +3 +-p 8080:80 -e 10.77.0.0/24=host " \
		"$row"
	row=$(ask "$WHO" ps --sockets shop)
	contains "$WHO: sockets: the listener" \
		'^shop +[0-9]+ +python3[^ ]* +[0-9]+ +tcp +listen +0\.0\.0\.0:8080 +- +[0-9]+s +bind tcp' \
		"$row"
	contains "$WHO: sockets: the accepted one, whose age nobody knows" \
		"tcp +established +$HOST4:8080 +$HOST4:$CLIENT +- +bind tcp 0.0.0.0:80" "$row"
	contains "$WHO: sockets: the connected one" \
		"tcp +established +$HOST4:$OUT +$HOST4:8000 +[0-9]+s +connect any" "$row"
	equal "$WHO: sockets: as many rows without a name" 4 "$(ask "$WHO" ps --sockets | wc -l)"
}

unknown() # RUN
{
	local status
	ask "$WHO" ps --sockets "$@" >"$T/out" 2>"$T/err"
	status=$?
	equal "$WHO: sockets $*: status, lines on stdout and stderr" "1 0 1" \
		"$status $(wc -l <"$T/out") $(wc -l <"$T/err")"
	contains "$WHO: sockets $*: what is wrong" "no live run '${*: -1}'" "$(<"$T/err")"
}

sees_nothing() # ASKER
{
	[ "$(ask "$1" ps --json | tr -d ' \n')" = '[]' ] &&
		[ "$(ask "$1" ps --sockets --json | tr -d ' \n')" = '[]' ] &&
		[ "$(ask "$1" ps | wc -l)" = 1 ] && [ "$(ask "$1" ps --sockets | wc -l)" = 1 ]
}

others()
{
	if [ "$GRAFT_TEST_CAPABLE" != root ]; then
		skip_point "$WHO: who sees the run" "takes root"
		return
	fi
	look ps root
	look sockets root
	check "$WHO: another ordinary user sees nothing" sees_nothing other
	ask other ps --sockets shop >/dev/null 2>&1
	equal "$WHO: nor by its name" 1 $?
	[ "$WHO" != root ] || check "root's run is not seen by a user" sees_nothing user
}

alive()
{
	begin || return
	tables
	look ps "$WHO"
	look sockets "$WHO"
	look sockets "$WHO" shop
	look sockets "$WHO" "$FRONT"
	unknown nosuch
	unknown 1
	unknown --json nosuch
	others
	end
	check "$WHO: nothing is listed when it ended" sees_nothing "$WHO"
}

# A graft on a UNIX path lives in no stack of the host.
unix_endpoint()
{
	local dir=$T/unix.$WHO row
	own_dir "$dir"
	start web --name web --rule "endpoint web unix $dir/web.sock" \
		--rule 'bind tcp 0.0.0.0:80 = web' -- \
		"$PYTHON" "$T/bin/http_server.py" 0.0.0.0 80 unix
	await web test -S "$dir/web.sock" || return
	within 10 listens_there "$WHO"
	row=$(ask "$WHO" ps --sockets web)
	contains "$WHO: sockets: a listener on a UNIX path" \
		"unix +listen +$dir/web.sock +- +[0-9]+s +bind tcp 0.0.0.0:80 = web" "$row"
	equal "$WHO: sockets: and nothing else" 2 "$(wc -l <<<"$row")"
	stop web
}

listens_there() # ASKER
{
	ask "$1" ps --sockets web | grep -q ' listen '
}

killed_front()
{
	begin || return
	kill -KILL "$FRONT"
	status_of shop
	check "$WHO: nothing is listed when graft run was killed" \
		within 10 sees_nothing "$WHO"
	exec 8<&-
}

# Its program lives on, but nobody is there to ask.
killed_supervisor()
{
	local supervisor
	begin || return
	supervisor=$(pgrep -P "$FRONT" | head -n 1)
	kill -KILL "$supervisor"
	check "$WHO: nothing is listed when the supervisor was killed" \
		within 10 sees_nothing "$WHO"
	equal "$WHO: and graft run is still there" no \
		"$(is_gone "$FRONT" && echo yes || echo no)"
	end
}

check "nothing is listed at first" sees_nothing root
spawn outside "$PYTHON" "$T/bin/http_server.py" "$HOST4" 8000 outside
wait_for_port outside "$HOST4" 8000 || finish
for WHO in $USERS; do
	alive
	unix_endpoint
	killed_front
	killed_supervisor
done
finish
