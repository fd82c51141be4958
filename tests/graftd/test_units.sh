#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The units of systemd: what it says of them, and that they agree with the source.
. "$(dirname "$0")/../lib.sh"
SERVICE=${SERVICE-$SOURCE_DIR/build/packaging/systemd/graftd.service}
SOCKET=$SOURCE_DIR/packaging/systemd/graftd.socket
GRAFTD=${GRAFTD-$SOURCE_DIR/build/src/broker/graftd}
GRAFT=${GRAFT-$SOURCE_DIR/build/src/ctl/graft}

# The programs are where the build has them.
verify()
{
	local directory status
	directory=$(mktemp -d) || return 1
	sed "s,^ExecStart=.*,ExecStart=$GRAFTD,;s,^ExecReload=[^ ]*,ExecReload=$GRAFT," \
		"$SERVICE" >"$directory/graftd.service"
	sed "/^Documentation=/d" -i "$directory/graftd.service"
	sed "/^Documentation=/d" "$SOCKET" >"$directory/graftd.socket"
	SYSTEMD_UNIT_PATH=$directory: systemd-analyze verify --recursive-errors=no \
		"$directory/graftd.service" "$directory/graftd.socket"
	status=$?
	rm -r "$directory"
	return "$status"
}

unit_value() # NAME
{
	sed -n "s/^$1=//p" "$SERVICE" | tr ' ' '\n' | sort
}

source_capabilities()
{
	sed -n '/^static const unsigned int needed/,/^};/s/.*\(CAP_[A-Z_]*\),.*/\1/p' \
		"$SOURCE_DIR/src/broker/privileges.c" | sort
}

store_max()
{
	sed -n 's/^#define STORE_MAX *//p' "$SOURCE_DIR/src/broker/store.h"
}

if command -v systemd-analyze >/dev/null; then
	check "systemd has nothing to say against the units" verify
else
	skip_point "systemd has nothing to say against the units" "no systemd-analyze here"
fi
[ -n "$(source_capabilities)" ] || die "no capabilities found in the source"
equal "the capabilities of the unit are those of the source" "$(source_capabilities)" \
	"$(unit_value CapabilityBoundingSet)"
equal "the store holds as many" "$(store_max)" "$(unit_value FileDescriptorStoreMax)"
equal "the socket is where clients look" \
	"$(sed -n 's/^#define BROKER_SOCKET *"\(.*\)"/\1/p' "$SOURCE_DIR/src/broker/client.h")" \
	"$(sed -n 's/^ListenSequentialPacket=//p' "$SOCKET")"
finish
