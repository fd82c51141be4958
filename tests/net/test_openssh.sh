#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# openssh in both directions: sshd with its own keys and configuration, a command and its
# status, a file both ways with its checksum, a forwarded port. The accounts the host's
# passwd and shadow describe are replaced, for the test alone, by ones that may log in.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
root_needs_root
SSHD=/usr/sbin/sshd
need ssh scp ssh-keygen ip "$PYTHON"
[ -x "$SSHD" ] || skip "sshd is not installed"

accounts()
{
	replace_file /etc/passwd <<END
root:x:0:0:root:$T/homes/root:/bin/bash
sshd:x:102:65534::/run/sshd:/usr/sbin/nologin
guest:x:65534:65534:guest:$T/homes/user:/bin/bash
END
	[ "$GRAFT_TEST_CAPABLE" = root ] || return
	replace_file /etc/shadow 600 <<END
root:*:19000:0:99999:7:::
sshd:*:19000:0:99999:7:::
guest:*:19000:0:99999:7:::
END
}

# keys_for USER: a host key and a login key in a directory of $WHO's own.
make_keys()
{
	KEYS=$T/ssh.$1
	own_dir "$KEYS"
	ssh-keygen -q -t ed25519 -N '' -f "$KEYS/host" &&
		ssh-keygen -q -t ed25519 -N '' -f "$KEYS/login" || die "ssh-keygen"
	cp "$KEYS/login.pub" "$KEYS/authorized_keys"
	cat >"$KEYS/client" <<END
Host *
	IdentityFile $KEYS/login
	IdentitiesOnly yes
	StrictHostKeyChecking no
	UserKnownHostsFile /dev/null
	LogLevel ERROR
	BatchMode yes
	ConnectTimeout 10
END
	if [ "$WHO" = user ] && [ "$GRAFT_TEST_CAPABLE" = root ]; then
		chown -R 65534:65534 "$KEYS"
	fi
}

sshd_config() # PORT
{
	cat <<END
Port $1
ListenAddress 0.0.0.0
ListenAddress [::]:$1
HostKey $KEYS/host
AuthorizedKeysFile $KEYS/authorized_keys
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
Subsystem sftp internal-sftp
AllowTcpForwarding yes
END
}

# session NAME PORT LOGIN PREFIX...: what a client does, run by PREFIX.
session()
{
	local name=$1 port=$2 login=$3 ssh sum
	shift 3
	ssh=("$@" ssh -F "$KEYS/client" -p "$port")
	equal "$name: a command" "$login" "$("${ssh[@]}" "$login@$HOST4" 'id -un' 2>&1)"
	equal "$name: over IPv6" "$login" "$("${ssh[@]}" "$login@$HOST6" 'id -un' 2>&1)"
	"${ssh[@]}" "$login@$HOST4" 'exit 23' >/dev/null 2>&1
	equal "$name: the command's status" 23 $?
	sum=$(sha256sum <"$T/file" | cut -d ' ' -f 1)
	equal "$name: 4 MB through a command" "$sum" \
		"$("${ssh[@]}" "$login@$HOST4" sha256sum <"$T/file" 2>&1 | cut -d ' ' -f 1)"
	own_dir "$T/copy"
	rm -f "$T"/copy/*
	chmod 777 "$T/copy"
	check "$name: scp there" "$@" scp -q -F "$KEYS/client" -P "$port" "$T/file" \
		"$login@$HOST4:$T/copy/there"
	check "$name: scp back" "$@" scp -q -F "$KEYS/client" -P "$port" \
		"$login@$HOST4:$T/copy/there" "$T/copy/back"
	equal "$name: what came back" "$sum" \
		"$(sha256sum <"$T/copy/back" 2>&1 | cut -d ' ' -f 1)"
}

# The grafted sshd opens the connection of a direct forwarding.
forwarding()
{
	equal "serving, $WHO: a forwarded connection" "from the host" \
		"$(host ssh -F "$KEYS/client" -p 2200 -W "$HOST4:8000" "$LOGIN@$HOST4" \
			<"$T/request" 2>&1 | tail -n 1)"
}

test_openssh()
{
	LOGIN=root
	[ "$WHO" = root ] || LOGIN=guest
	make_keys "$WHO"
	sshd_config "$(inside 2200 22)" >"$T/sshd.conf"
	chmod 644 "$T/sshd.conf"
	start server -p 2200:22 -e 10.77.0.0/24=host -- "$SSHD" -D -e -f "$T/sshd.conf"
	if wait_for_port server "$HOST4" 2200; then
		session "serving, $WHO" 2200 "$LOGIN" host
		forwarding
	fi
	check "serving, $WHO: ends on SIGTERM" stop server

	sshd_config 2300 >"$T/host_sshd.conf"
	identity "$WHO"
	spawn host_server "${IDENTITY[@]}" "$SSHD" -D -e -f "$T/host_sshd.conf"
	wait_for_port host_server "$HOST4" 2300 || return
	session "connecting, $WHO" 2300 "$LOGIN" try -e 10.77.0.0/24=host \
		-e fd77::/64=host --
	stop host_server
}

accounts
mkdir -p /run/sshd
chmod 755 /run/sshd
head -c 4000000 /dev/urandom >"$T/file"
printf 'GET / HTTP/1.0\r\n\r\n' >"$T/request"
spawn web "$PYTHON" "$T/bin/http_server.py" "$HOST4" 8000 "from the host"
wait_for_port web "$HOST4" 8000 || finish
for WHO in $USERS; do
	test_openssh
done
finish
