#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A policy with `shortcut on`: what programs see is what they see of TCP, but for what is
# known to be different; who is left alone; what is on the cgroup.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] || skip "needs root"
need bpftool

CASES=$T/bin/shortcut.py
cp "$SOURCE_DIR/tests/cgroup/shortcut.py" "$CASES"
echo 'shortcut on' >"$T/on.conf"
echo 'shortcut off' >"$T/off.conf"
SHORT=("$GRAFT" run --engine cgroup --policy "$T/on.conf" --)

for name in $("$PYTHON" "$CASES" --list); do
	native=$("$PYTHON" "$CASES" "$name" 2>&1) ||
		not_ok "$name: natively" "$native"
	equal "$name" "$native" "$("${SHORT[@]}" "$PYTHON" "$CASES" "$name" 2>&1)"
done

# way NAME WANTED: which way it went, natively by TCP always.
way()
{
	equal "which way: $1" "$2" "$("${SHORT[@]}" "$PYTHON" "$CASES" --way "$1" 2>&1 |
		tr '\n' ' ')"
}

way taken "['shortcut', 'shortcut'] ['shortcut', 'shortcut'] "
way mapped "['shortcut', 'shortcut'] "
way blocking "['TCP', 'TCP'] ['TCP', 'TCP'] "
way mixed "(True, True) "
way accepted "(5, ['shortcut', 'shortcut']) (5, ['shortcut', 'shortcut']) "
way brief "('shortcut', 'TCP') "
way small "('shortcut', 'TCP') ('shortcut', 'shortcut') "
way again "shortcut "
way silent "TCP "
# shellcheck disable=SC2046 # a number
[ $(nproc) = 1 ] || way far "('TCP', 'shortcut') ('shortcut', 'shortcut') "
equal "off unless it is said" "['TCP', 'TCP'] " "$("$GRAFT" run --engine cgroup \
	--rule 'connect any 10.0.0.0/8 = deny' -- "$PYTHON" "$CASES" --way mapped | tr '\n' ' ')"

# What is different, and documented so. The kernel decides; if it does not any more, the
# documentation is to say so.
way urgent "b'u' "
way splice_out "-1 "
way unread "b'' "
way later "EAGAIN "
way little "True "
contains "bytes counted by FIONREAD" "^(all|TCP's|not TCP's)\$" \
	"$("${SHORT[@]}" "$PYTHON" "$CASES" --way counted 2>&1)"

# With one end that is elsewhere nobody is let in.
ends() # of all builds that are at work
{
	local map
	for map in /sys/fs/bpf/graft/*/graft_ends; do
		bpftool map dump pinned "$map"
	done | grep -c '"key"\|key:'
}
cat >"$T/bin/one.py" <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import shortcut
if sys.argv[2] == "serve":
    server = shortcut.listen()
    print(server.getsockname()[1], flush=True)
    while True:
        shortcut.wait(server)
        peer, _ = server.accept()
        peer.setblocking(False)
        for _ in range(2):
            shortcut.send_all(peer, shortcut.receive(peer, 3))
        peer.close()
else:
    client = shortcut.socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", int(sys.argv[3])))
    shortcut.wait(client, shortcut.select.POLLOUT)
    # The first may come before the server's end of the connection is there.
    for _ in range(2):
        sent = shortcut.by_tcp(client)
        shortcut.send_all(client, b"one")
        answer = shortcut.receive(client, 3).decode()
    print(answer, shortcut.by_tcp(client) - sent, flush=True)
END
ONE=("$PYTHON" "$T/bin/one.py" "$T/bin")
before=$(ends)
spawn plain "${ONE[@]}" serve
spawn short "${SHORT[@]}" "${ONE[@]}" serve
check "servers come up" within "$LIMIT" \
	sh -c "grep -q . '$T/plain.log' && grep -q . '$T/short.log'"
equal "a client alone: by TCP" "one 3" \
	"$("${SHORT[@]}" "${ONE[@]}" ask "$(head -n 1 "$T/plain.log")")"
equal "a server alone: by TCP" "one 3" \
	"$("${ONE[@]}" ask "$(head -n 1 "$T/short.log")")"
equal "neither was let in" "$before" "$(ends)"
equal "two policies: past TCP" "one 0" \
	"$("${SHORT[@]}" "${ONE[@]}" ask "$(head -n 1 "$T/short.log")")"
check "both were let in" [ "$(ends)" = $((before + 2)) ]

# A supervised run, whose supervisor makes its sockets: it judges, or the kernel does.
SUPERVISED=("$GRAFT" run --engine notify --rule 'shortcut on'
	--rule 'bind tcp 127.0.0.1 = host' --rule 'connect tcp 127.0.0.1/32 = host')
JUDGED=("${SUPERVISED[@]}" --rule 'loopback own' --rule 'connect any 0.0.0.0/0 = host'
	--rule 'connect any [::]/0 = host')
equal "a supervised run: past TCP" "one 0" \
	"$("${SUPERVISED[@]}" -- "${ONE[@]}" ask "$(head -n 1 "$T/short.log")" 2>&1)"
equal "one that the kernel judges" "one 0" \
	"$("${JUDGED[@]}" -- "${ONE[@]}" ask "$(head -n 1 "$T/short.log")" 2>&1)"
equal "a supervised server too" "['shortcut', 'shortcut'] ['shortcut', 'shortcut'] " \
	"$("${SUPERVISED[@]}" --rule 'bind tcp [::1] = host' --rule 'connect tcp [::1] = host' \
		-- "$PYTHON" "$CASES" --way taken 2>&1 | tr '\n' ' ')"
stop plain short

# On the cgroup there is what the policy wants.
MOUNT=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
APP=$(mktemp -d "$MOUNT/graft-test-XXXXXX") || die "cannot make a cgroup"
trap 'rmdir "$APP"; leave_host' EXIT
programs()
{
	bpftool cgroup show "$APP" | grep -c graft_
}
check "attach without" "$GRAFT" attach --policy "$T/off.conf" "$APP"
without=$(programs)
check "replace by one with it" "$GRAFT" attach --policy "$T/on.conf" "$APP"
equal "two programs more" $((without + 2)) "$(programs)"
check "replace by the same" "$GRAFT" attach --policy "$T/on.conf" "$APP"
equal "not twice" $((without + 2)) "$(programs)"
check "replace by one without" "$GRAFT" attach --policy "$T/off.conf" "$APP"
equal "they are gone" "$without" "$(programs)"
check "and with again" "$GRAFT" attach --policy "$T/on.conf" "$APP"
# shellcheck disable=SC2016 # the inner shell's own
equal "a policy below, with it as well" "['shortcut', 'shortcut']" "$(sh -c \
	'echo $$ >"$0/cgroup.procs" && exec "$@"' "$APP" \
	"${SHORT[@]}" "$PYTHON" "$CASES" --way mapped)"
check "detach" "$GRAFT" detach "$APP"
equal "nothing is left" 0 "$(programs)"
finish
