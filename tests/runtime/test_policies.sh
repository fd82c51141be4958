#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Where a container's policy comes from, and what is refused, with the reason where engines
# look for it.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need_containers

echo "endpoint web ipv4 $HOST4:8080
bind tcp 0.0.0.0:80 = web" >"$T/policies/web"
echo "endpoint web ipv4 $HOST4:8081" >"$T/policies/names-only"

serves() # NAME PORT ID OPTION...
{
	local name=$1 port=$2 id=$3
	shift 3
	bundle "$id" "$@" -- /inside serve 80
	check "$name: it starts" up "$id" || return
	within 30 log_has "$id" listening
	equal "$name: it is reached" "hello from 80" "$(get "$HOST4" "$port")"
	down "$id"
	check "$name: nothing is left" within 30 nothing_left "$id"
}

stays() # NAME PORT ID OPTION...: has no policy
{
	local name=$1 port=$2 id=$3
	shift 3
	bundle "$id" --cap CAP_NET_BIND_SERVICE "$@" -- /inside serve 80
	check "$name: it starts" up "$id" || return
	check "$name: it listens" within 30 log_has "$id" listening
	check "$name: it is not reached" bash -c "! exec 3<>/dev/tcp/$HOST4/$port"
	check "$name: it has no supervisor" nothing_left
	down "$id"
}

serves "annotation graft.policy" 8080 one --annotation graft.policy=web
serves "a file of its id" 8080 web
serves "a file of nerdctl's name" 8080 two --annotation nerdctl/name=web
serves "a file of the CRI's name" 8080 three --annotation io.kubernetes.cri.container-name=web
serves "graft.publish" 8082 four --annotation "graft.publish=$HOST4:8082:80"
serves "several" 8083 five --annotation "graft.publish.1=$HOST4:8084:81/tcp, $HOST4:8083:80"
serves "the environment, by names of a file" 8081 names-only \
	--env 'GRAFT_CONV_PAIRS=0.0.0.0:80=web'
serves "rules are judged before files" 8085 six --annotation graft.policy=web \
	--annotation "graft.rule.1=endpoint first ipv4 $HOST4:8085" \
	--annotation 'graft.rule.2=bind tcp 0.0.0.0:80 = first'
serves "rules in the order of their numbers" 8086 seven \
	--annotation 'graft.rule.10=bind tcp 0.0.0.0:80 = deny' \
	--annotation 'graft.rule.9=bind tcp 0.0.0.0:80 = nine' \
	--annotation "graft.rule.2=endpoint nine ipv4 $HOST4:8086"
stays "a name with a slash is no file" 8080 eight --annotation nerdctl/name=../policies/web
echo "environment no" >>"$T/runtime.conf"
stays "the environment, not heard" 80 nine --env 'GRAFT_CONV_PAIRS=0.0.0.0:80=host'
sed -i 's/^environment.*/environment yes/' "$T/runtime.conf"
serves "the environment, all of it" 80 ten --env 'GRAFT_CONV_PAIRS=0.0.0.0:80=host'
sed -i '/^environment/d' "$T/runtime.conf"

# refused NAME SENTENCE ID OPTION...
refused()
{
	local name=$1 sentence=$2 id=$3 output
	shift 3
	bundle "$id" "$@" -- /inside exit 0
	rm -f "$T/log.json"
	output=$(runtime --log "$T/log.json" --log-format json create --bundle "$T/$id" "$id" \
		2>&1 </dev/null)
	equal "refused: $name" 1 $?
	contains "$name: says so" "$sentence" "$output"
	contains "$name: in the log, too" "\"level\":\"error\",\"msg\":\".*$sentence" \
		"$(cat "$T/log.json")"
	check "$name: nothing is left" within 30 nothing_left "$id"
	check "$name: config.json is what it was" is_unchanged "$id"
}
rule=(--annotation 'graft.rule=connect tcp 10.0.0.0/8 = host')
refused "a policy that is not there" "there is no policy 'none'" r1 \
	--annotation graft.policy=none
refused "a policy elsewhere" "there is no policy '../policies/web'" r2 \
	--annotation graft.policy=../policies/web
refused "an environment that leads to the host" 'may name endpoints, and not host' r0 \
	--env 'GRAFT_CONV_PAIRS=0.0.0.0:80=host'
refused "a rule that is none" "the container's policy" r3 --annotation 'graft.rule=bind what'
refused "a rule on UNIX paths" 'UNIX paths are judged by the cgroup engine alone' r9 \
	--annotation 'graft.rule=connect unix * = deny'
refused "CAP_NET_ADMIN" 'must not have CAP_NET_ADMIN' r4 "${rule[@]}" --cap CAP_NET_ADMIN
refused "CAP_SYS_ADMIN" 'must not have CAP_SYS_ADMIN' r5 "${rule[@]}" --cap CAP_SYS_ADMIN
echo '{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/other"}' >"$T/listener.json"
refused "a profile with a listener" 'it has a listener of its own: /run/other' r6 \
	"${rule[@]}" --seccomp "$T/listener.json"
echo '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["connect"],
	"action":"SCMP_ACT_TRACE"}]}' >"$T/trace.json"
refused "a profile with a tracer" 'it leaves connect\(\) to a tracer' r7 \
	"${rule[@]}" --seccomp "$T/trace.json"
echo 'no-setting at all' >"$T/runtime.conf.bad"
GRAFT_RUNTIME_CONFIG=$T/runtime.conf.bad \
	refused "a configuration that is wrong" 'runtime.conf.bad:1' r8 "${rule[@]}"
echo '{"not": json' >"$T/r8/config.json"
output=$(runtime create --bundle "$T/r8" r8 2>&1)
equal "refused: config.json that is none" 1 $?
contains "and says so" 'cannot read config.json' "$output"
bundle r9 "${rule[@]}" -- /inside exit 0
output=$(runtime restore --image-path "$T/image" --bundle "$T/r9" r9 2>&1)
equal "refused: restore" 1 $?
contains "restore: says so" 'cannot be restored' "$output"
check "nothing is left" nothing_left r9

# What is executed into a container with a policy, and into one without.
bundle with "${rule[@]}" --seccomp "$PROFILE" --cap CAP_NET_RAW -- /inside wait
bundle without --seccomp "$PROFILE" -- /inside wait
check "a container with a policy" up with
check "and one without" up without
sed 's/CAP_NET_RAW/CAP_NET_ADMIN/' "$T/with/config.json" | "$PYTHON" -c '
import json, sys
process = json.load(sys.stdin)["process"]
process["args"] = ["/inside", "exit", "0"]
json.dump(process, sys.stdout)' >"$T/admin.json"
for words in '--cap CAP_NET_ADMIN' '--cap=cap_sys_admin' '-c NET_ADMIN' "--process $T/admin.json" \
	"-p $T/admin.json"; do
	read -ra options <<<"$words"
	output=$(runtime exec "${options[@]}" with /inside exit 0 2>&1)
	equal "refused: exec ${words/$T/}" 1 $?
	contains "and says so" 'container with has a policy, and what is executed' "$output"
done
sed 's/CAP_NET_ADMIN/CAP_CHOWN/g' "$T/admin.json" >"$T/chown.json"
check "exec with another capability" runtime exec --process "$T/chown.json" with
check "exec of words that look so" runtime exec with /inside echo --cap CAP_NET_ADMIN \
	</dev/null
check "exec into one without a policy" runtime exec --process "$T/admin.json" without
check "delete" down with
check "delete" down without
check "nothing is left" within 30 nothing_left with without
finish
