# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The endpoints and rules that the cases of defects/ know by number; see defects.h.

write_endpoints() # > the configuration of graftd
{
	cat <<END
stack host owner any
endpoint d4 ipv4 127.0.0.1:17000 owner any
endpoint du4 ipv4 127.0.0.1:17001 owner any
endpoint d6 ipv6 [::1]:17006 owner any
endpoint du6 ipv6 [::1]:17007 owner any
endpoint any6 ipv6 [::]:17008 owner any
endpoint s4 ipv4 127.0.0.1:17010 owner any
endpoint abcdefghijklmno ipv4 127.0.0.1:17015 owner any
endpoint abcdefghijklmnop ipv4 127.0.0.1:17016 owner any
endpoint abcdefghijklmnopq ipv4 127.0.0.1:17017 owner any
endpoint w4 ipv4 127.0.0.1:17030 owner any
endpoint peer4 ipv4 127.0.0.1:9000 owner any
endpoint peer6 ipv6 [::1]:9000 owner any
endpoint closed4 ipv4 127.0.0.1:9009 owner any
endpoint out4 ipv4 10.77.0.1:dynamic owner any
endpoint there ipv4 127.0.0.1:9100 netns third owner any
endpoint there2 ipv4 127.0.0.1:17100 netns third owner any
endpoint hid unix $T/hidden/s.sock owner any
endpoint hid2 unix $T/hidden/b.sock owner any
endpoint abs unix @graft-defect owner any
endpoint bound unix @graft-bound owner any
END
}

write_rules() # > a policy for GRAFT_POLICY
{
	cat <<END
bind tcp 0.0.0.0:7000 = d4
bind udp 0.0.0.0:7001 = du4
bind tcp [::]:7006 = d6
bind udp [::]:7007 = du6
bind tcp [::]:7008 = any6
bind tcp 0.0.0.0:7010 = s4
bind tcp 0.0.0.0:7015 = abcdefghijklmno
bind tcp 0.0.0.0:7016 = abcdefghijklmnop
bind tcp 0.0.0.0:7017 = abcdefghijklmnopq
bind tcp 0.0.0.0:7020 = churn
bind tcp 127.0.0.1:7030 = w4
bind tcp 0.0.0.0:7100 = there2
bind tcp 0.0.0.0:7300 = hid2
bind tcp 0.0.0.0:7301 = bound
connect any 192.0.2.1:9000 = peer4
connect any [2001:db8::1]:9000 = peer6
connect tcp 192.0.2.1:9009 = closed4
connect tcp 192.0.2.2:9020 = churn
connect tcp 192.0.2.2:9100 = there
connect tcp 192.0.2.3:9300 = hid
connect tcp 192.0.2.4:9300 = abs
connect tcp [fe80::/10] = host
END
}

# What a case needs to find the host.
prepare_defects()
{
	local index
	make_box box third
	mkdir -p "$T/hidden"
	ip addr add 192.0.2.1/32 dev "$OUTSIDE"
	ip addr add 192.0.2.2/32 dev "$OUTSIDE"
	ip -6 addr add 2001:db8::1/128 dev "$OUTSIDE" nodad
	ip -6 addr add fe80::77/64 dev "$OUTSIDE" nodad
	index=$(ip -o link show "$OUTSIDE" | cut -d: -f1)
	write_endpoints >"$T/graftd.conf"
	write_rules >"$T/rules"
	cp "$DEFECTS" "$T/bin/defects"
	chmod 755 "$T/bin/defects"
	DEFECTS=$T/bin/defects
	IN_CASE=(env DEFECTS_THIRD=/run/netns/third DEFECTS_HIDDEN="$T/hidden"
		DEFECTS_LINK="fe80::77 $index" DEFECTS_STOP="$T/stop")
	touch "$T/stop"
	GRAFTED=("${IN_CASE[@]}" DEFECTS_HOST="/run/host-net" LD_PRELOAD="$HIJACK"
		GRAFT_POLICY="$T/rules")
	BARE=("${IN_CASE[@]}" DEFECTS_HOST="/run/host-net")
	touch /run/host-net
	mount --bind /proc/self/ns/net /run/host-net || die "cannot keep the host's namespace"
}

# A case three ways. Output: what it said. Status: the case's.
case_native() { limited "${IN_CASE[@]}" "$DEFECTS" "$1"; }
# What waits for somebody who does not come fails too.
case_bare() { in_box box timeout -s KILL 2 "${BARE[@]}" "$DEFECTS" "$1"; }
case_grafted() { in_box box timeout -k 1 125 "${GRAFTED[@]}" "$DEFECTS" "$1"; }
