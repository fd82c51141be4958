# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What files packages bring, and what is left of them, on top of lib.sh. A listing is of the
# whole system, type, mode, path and where a link leads, but for what programs that are not
# graft's write at any time.
OURS=(graft graft-dkms libgraft-dev libgraft0)

listing()
{
	find / -xdev \( -path /tmp -o -path /var/tmp -o -path /var/log \
		-o -path /var/cache/man -o -path /var/cache/ldconfig \
		-o -path /var/lib/systemd/timers -o -path /var/lib/dpkg/triggers \) -prune -o \
		-printf '%y %m %p %l\n' | sort
}

# Lines that the second listing has and the first has not.
came() # LISTING LISTING
{
	comm -13 "$1" "$2"
}

differences() # LISTING LISTING
{
	comm -3 "$1" "$2" | sed 's/^\t/now: /; t; s/^/gone: /'
}

# What packages have, as paths are when /lib is in /usr.
owned()
{
	dpkg -L "${OURS[@]}" | sed -n 's,^/lib/,/usr/lib/,; /^\//p' | sort -u
}

# What their scripts make: which units are enabled, and a module with its state.
made_by_scripts()
{
	grep -vE "^/etc/systemd/system/[a-z-]*\.target\.wants(/graftd\.(service|socket))?\$|\
^/var/lib/systemd/deb-systemd-helper-enabled(/|\$)|^/var/lib/dkms/af_graft(/|\$)|\
^/usr/lib/modules/[^/]*/updates(/dkms(/af_graft\.ko)?)?\$|^/var/lib/dpkg/info/"
}

strangers() # LISTING LISTING: files that came and are nobody's
{
	came "$1" "$2" | cut -d ' ' -f 3 | sort >"$T/came"
	owned | comm -23 "$T/came" - | made_by_scripts
}

# dpkg_do ARGUMENT...: as an administrator who is not asked, and keeps what is his.
dpkg_do()
{
	DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold "$@" </dev/null
}

versions()
{
	dpkg-query -W -f '${Version} ${db:Status-Abbrev}\n' "${OURS[@]}" 2>/dev/null |
		sed 's/ *$//' | sort -u
}

# dpkg says nothing of files that are as they were packed.
is_whole()
{
	[ -z "$(dpkg --audit; dpkg --verify "${OURS[@]}")" ]
}
