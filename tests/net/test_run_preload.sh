#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What `graft run --engine preload` does around the program: the environment, programs it
# cannot reach, the broker's end.
. "$(dirname "$0")/../lib.sh"
need_engine
ENGINE=preload
enter_host "$@"


refused() # NAME PATTERN [OPTION...] -- PROGRAM...: status 125 and one line
{
	local name=$1 pattern=$2 output status
	shift 2
	output=$(try "$@" 2>&1)
	status=$?
	equal "$WHO: $name: status and lines" "125 1" "$status $(wc -l <<<"$output")"
	contains "$WHO: $name: the line" "$pattern" "$output"
}

environment()
{
	local rule=(-p 8080:80)
	contains "$WHO: the library comes first, what was there stays" \
		"^$T/bin/libgraft-hijack.so:libc.so.6\$" \
		"$(LD_PRELOAD=libc.so.6 try "${rule[@]}" -- printenv LD_PRELOAD)"
	contains "$WHO: the broker's name" '^@graft/run/[0-9]+$' \
		"$(try "${rule[@]}" -- printenv GRAFT_RUN)"
	# shellcheck disable=SC2016 # the inner shell's own variables
	equal "$WHO: without a rule there is nothing to load" "" \
		"$(try -- sh -c 'echo "$LD_PRELOAD$GRAFT_RUN"')"
	equal "$WHO: a run of the other engine inside is not of this one" "" \
		"$(try "${rule[@]}" -- "$GRAFT" run --engine notify -- printenv GRAFT_RUN)"
	equal "$WHO: nor of another engine's" "" \
		"$(GRAFT_ENGINE=af_graft try "${rule[@]}" -- printenv GRAFT_ENGINE)"
}

# What there is of the engine af_graft where the kernel module is not.
without_module()
{
	local wanted='modprobe af_graft'
	[ ! -d /sys/module/af_graft ] || return 0
	[ "$WHO" = root ] && [ "$GRAFT_TEST_CAPABLE" = root ] || wanted='needs root'
	ENGINE=af_graft refused "af_graft without what it needs" "$wanted" -p 8080:80 -- true
	equal "$WHO: GRAFT_ENGINE without the module: rules fail, the rest is native" \
		"GRAFT_ENGINE=af_graft: the kernel has no AF_GRAFT; modprobe af_graft 100 100 0" \
		"$(GRAFT_ENGINE=af_graft LD_PRELOAD=$T/bin/libgraft-hijack.so \
			GRAFT_CONV_PAIRS=0.0.0.0:80=web "$PYTHON" -c '
import socket
for call, port in (("connect_ex", 80), ("bind", 80), ("bind", 0)):
    try:
        print(getattr(socket.socket(), call)(("0.0.0.0", port)) or 0)
    except OSError as error:
        print(error.errno)' 2>&1 | sed 's/^libgraft-hijack.so: //' | tr '\n' ' ' |
			sed 's/ $//')"
}

unreachable()
{
	local rule=(-p 8080:80) dir=$T/unreachable.$WHO
	own_dir "$dir"
	mkdir -p "$dir/alone" "$dir/with blanks"
	cp "$T/bin/graft" "$dir/alone/"
	cp "$T/bin/graft" "$T/bin/libgraft-hijack.so" "$dir/with blanks/"
	printf '#!/sbin/ldconfig -p\n' >"$dir/script"
	chmod -R a+rx "$dir"
	refused "a static program" "static program; use --engine notify" \
		"${rule[@]}" -- /sbin/ldconfig -p
	refused "a static program found by its name" "'ldconfig'.*static program" \
		"${rule[@]}" -- ldconfig -p
	refused "a script of a static interpreter" 'static program' "${rule[@]}" -- \
		"$dir/script"
	try -- /sbin/ldconfig -p >/dev/null 2>&1
	equal "$WHO: what cannot be found is exec's to say" 127 \
		"$(try "${rule[@]}" -- "$dir/none" >/dev/null 2>&1; echo $?)"
	equal "$WHO: nor what cannot be executed" 126 \
		"$(try "${rule[@]}" -- "$dir" >/dev/null 2>&1; echo $?)"
	GRAFT=$dir/alone/graft refused "no library" 'cannot find libgraft-hijack.so' \
		"${rule[@]}" -- true
	GRAFT="$dir/with blanks/graft" refused "a library LD_PRELOAD cannot name" \
		'LD_PRELOAD' "${rule[@]}" -- true
}

# Whoever the program becomes and wherever its root is, it reaches the broker.
elsewhere()
{
	[ "$WHO" = root ] && [ "$GRAFT_TEST_CAPABLE" = root ] || return 0
	cat >"$T/bin/elsewhere.py" <<'END'
import os, socket
listener = socket.socket()  # the library is loaded by now
os.mkdir("/run/test/root")
os.chroot("/run/test/root")
os.setgid(65534)
os.setuid(65534)
listener.bind(("0.0.0.0", 80))
listener.listen()
print("up", flush=True)
peer, _ = listener.accept()
peer.sendall(b"hello")
END
	start elsewhere -p 8080:80 -- "$PYTHON" "$T/bin/elsewhere.py"
	await elsewhere grep -q up "$T/elsewhere.log" || return
	equal "$WHO: another user in another root" hello \
		"$(exec 9<>/dev/tcp/127.0.0.1/8080 && cat <&9)"
	status_of elsewhere
	equal "$WHO: it ends" 0 "$STATUS"
}

all()
{
	environment
	unreachable
	without_module
	elsewhere
}

each_user all
finish
