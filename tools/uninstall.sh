#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Takes away what `make install` put below DESTDIR: uninstall.sh BUILD PREFIX
#
# What that is, an installation into an empty directory tells: so nothing need have been
# written down when it was installed. A link that leads elsewhere by now stays, as do
# directories that others use, and what graftd and its administrator made: /run/graft,
# /etc/graft.
set -eu
build=$1 prefix=${2%/} to=${DESTDIR-}

would=$(mktemp -d) list=$(mktemp)
trap 'rm -rf "$would" "$list"' EXIT
trap 'exit 1' INT TERM HUP
DESTDIR=$would meson install -C "$build" --no-rebuild --quiet >/dev/null

n=0
find "$would" ! -type d | sort >"$list"
while IFS= read -r file; do
	there=$to${file#"$would"}
	[ -e "$there" ] || [ -L "$there" ] || continue
	if [ "$(readlink "$file")" != "$(readlink "$there")" ]; then
		echo "$there leads elsewhere and stays"
		continue
	fi
	rm "$there"
	n=$((n + 1))
done <"$list"

# From the innermost out. Those that a system has anyway stay, empty or not.
find "$would$prefix" -depth -mindepth 1 -type d | while IFS= read -r directory; do
	case ${directory#"$would$prefix/"} in
	bin | sbin | lib | include | share | share/man | etc) continue ;;
	esac
	rmdir "$to${directory#"$would"}" 2>/dev/null || true
done
echo "$n files removed from ${to}$prefix"
