# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# bash completion for graft. Commands and options come from the program's own --help, so
# they cannot grow old; only what an option's value may be is written here.

_graft_commands()
{
	"$1" help 2>/dev/null | awk '/^Commands:/ { on = 1; next } on && !NF { exit }
		on { print $1 }'
}

_graft_options()
{
	{
		"$1" "$2" --help 2>/dev/null | sed -n 's/^ *\(-.*\)/\1/p' |
			sed 's/   *.*//' | grep -oE '(^|[ ,|])--[a-z][a-z0-9-]*' | tr -d ' ,|'
		echo --help
	} | sort -u
}

# The options that take a value, to tell a value from the program.
_graft_takes_value()
{
	case $1 in
	-p | --publish | -i | --ingress | -e | --egress | --policy | --rule | --name | \
		--engine | --dns | --batch | --socket | --cgroup | --pid | -n | --count | \
		-c | --config | -r | --runtime) return 0 ;;
	esac
	return 1
}

# Sets `first` to the place of the first word that is neither an option nor its value.
_graft_find_operand()
{
	first=2
	while [ "$first" -lt "$COMP_CWORD" ]; do
		case ${COMP_WORDS[first]} in
		--)
			first=$((first + 1))
			return
			;;
		-*) _graft_takes_value "${COMP_WORDS[first]}" && first=$((first + 1)) ;;
		*) return ;;
		esac
		first=$((first + 1))
	done
}

_graft_reply()
{
	mapfile -t COMPREPLY < <(compgen "$@")
}

# What may come after the word before, in `graft add`.
_graft_endpoint_words()
{
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	type) echo ipv4 ipv6 unix any ;;
	port) echo dynamic ;;
	netns) ip netns list 2>/dev/null | awk '{ print $1 }' ;;
	addr | path) ;;
	owner | binder | connector) echo any uid= gid= netns= cgroup= ;;
	*)
		if [ "$((COMP_CWORD - first))" -eq 1 ]; then
			echo type ipv4 ipv6 unix any
		else
			echo addr port path netns hold share owner binder connector
		fi
		;;
	esac
}

_graft_operand()
{
	local place=$((COMP_CWORD - first))

	case $1 in
	run | lend)
		if [ "$place" -le 0 ]; then
			_graft_reply -A command -- "$current"
		else
			compopt -o filenames 2>/dev/null || :
			_graft_reply -f -- "$current"
		fi
		;;
	explain)
		case $place in
		0) _graft_reply -W 'bind connect' -- "$current" ;;
		1)
			case ${COMP_WORDS[COMP_CWORD - 1]} in
			connect) _graft_reply -W 'tcp udp unix' -- "$current" ;;
			*) _graft_reply -W 'tcp udp' -- "$current" ;;
			esac
			;;
		esac
		;;
	check | attach | detach | stat | revoke)
		compopt -o filenames 2>/dev/null || :
		_graft_reply -f -- "$current"
		;;
	install | uninstall | status)
		[ "$place" -gt 0 ] || _graft_reply -W 'docker containerd k8s nerdctl podman' -- "$current"
		;;
	ps)
		_graft_reply -W "$("${COMP_WORDS[0]}" ps 2>/dev/null |
			awk 'NR > 1 { print $1 }')" -- "$current"
		;;
	del | show | monitor)
		_graft_reply -W "$("${COMP_WORDS[0]}" show 2>/dev/null |
			awk '{ print $1 }')" -- "$current"
		;;
	add)
		[ "$place" -le 0 ] || _graft_reply -W "$(_graft_endpoint_words)" -- "$current"
		;;
	esac
}

_graft()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} first

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		_graft_reply -W "$(_graft_commands "${COMP_WORDS[0]}")" -- "$current"
		return
	fi
	_graft_find_operand
	if [ "$first" -ge "$COMP_CWORD" ]; then
		case $previous in
		--policy | --batch | --socket | --config | --runtime)
			compopt -o filenames 2>/dev/null || :
			_graft_reply -f -- "$current"
			return
			;;
		--cgroup)
			compopt -o filenames 2>/dev/null || :
			_graft_reply -d -- "$current"
			return
			;;
		--engine)
			_graft_reply -W 'auto notify preload af_graft cgroup' -- "$current"
			return
			;;
		--dns)
			_graft_reply -W 'auto none' -- "$current"
			return
			;;
		esac
		_graft_takes_value "$previous" && return
		if [[ $current == -* && $previous != -- ]]; then
			_graft_reply -W "$(_graft_options "${COMP_WORDS[0]}" "$command")" \
				-- "$current"
			return
		fi
	fi
	_graft_operand "$command"
}

complete -F _graft graft
