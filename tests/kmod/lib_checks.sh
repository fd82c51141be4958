# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the checks of checks.sh are made of, on top of lib.sh: check, equal, contains, spawn,
# within and the others. A file checks_NAME.sh defines functions, and checks.sh says in which
# order they are run; of each the kernel must have nothing to complain.
#
# Environment: PREFIX, where graft is installed.
. "${BASH_SOURCE[0]%/*}/../lib.sh"
T=/run/test
PATH=$PREFIX/bin:$PREFIX/sbin:/checks:$PATH
HERE=/checks/tests/kmod
MODULE=$(echo /lib/modules/*/extra/af_graft.ko)
PARAMETERS=/sys/module/af_graft/parameters
FAMILY=4
mkdir -p $T

# --- what the kernel says ----------------------------------------------------------------

# From here on; also on the console, where it helps to find one's way.
mark() # NAME
{
	MARK="checks: $1"
	echo "$MARK" >/dev/kmsg
}

since_mark()
{
	dmesg | awk -v mark="$MARK" '
		substr($0, length($0) - length(mark) + 1) == mark { text = ""; next }
		{ text = text $0 "\n" }
		END { printf "%s", text }'
}

complaints()
{
	since_mark | grep -n -A 40 -E -f "$HERE/complaints" | head -n 60
}

# part FUNCTION: a group of checks, after which the kernel has nothing to complain of
part()
{
	local start=${EPOCHREALTIME/[.,]/}
	mark "$1"
	"$1"
	stop_all
	equal "$1: the kernel does not complain" "" "$(complaints)"
	comment "$1: $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) ms"
}

# --- the module --------------------------------------------------------------------------

is_loaded()
{
	[ -d /sys/module/af_graft ]
}

load() # [PARAMETER=VALUE...]
{
	insmod "$MODULE" "$@"
}

# What a namespace's end leaves to do comes after it.
unload()
{
	within "$LIMIT" rmmod af_graft
}

# no_modules COMMAND...: while the kernel loads none
no_modules()
{
	local modprobe status
	modprobe=$(</proc/sys/kernel/modprobe)
	echo >/proc/sys/kernel/modprobe
	"$@"
	status=$?
	echo "$modprobe" >/proc/sys/kernel/modprobe
	return "$status"
}

field() # NAME: as modinfo has it
{
	modinfo -F "$1" "$MODULE"
}

# --- results of programs -----------------------------------------------------------------

# take_points NAME FILE: a point for each of a program's, and one for its end
take_points()
{
	local line said=
	while IFS= read -r line; do
		case $line in
		'not ok '*) not_ok "$1: ${line#* - }" "$said" ;;
		'ok '*' # SKIP'*)
			line=${line% # SKIP*}
			skip_point "$1: ${line#* - }" "${said#'# skipped: '}"
			;;
		'ok '*) ok "$1: ${line#* - }" ;;
		'#'*)
			said+=${said:+$'\n'}$line
			continue
			;;
		1..[1-9]*)
			ok "$1: it comes to its end"
			return
			;;
		esac
		said=
	done <"$2"
	not_ok "$1: it comes to its end" "$(tail -n 20 "$2")"
}

# --- programs ----------------------------------------------------------------------------

has() # PROGRAM
{
	command -v "$1" >/dev/null
}

# By its path: busybox has its own of this name, and prefers it.
as_user() # COMMAND...
{
	/usr/bin/setpriv --reuid=1000 --regid=1000 --clear-groups -- "$@"
}
