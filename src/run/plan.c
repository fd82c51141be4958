/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run/plan.h"
#include "base/cleanup.h"
#include "intercept/notify/filter.h"

static const struct {
	unsigned int trap;
	const char *name;
} rows[] = {
	{ TRAP_SOCKET_V4 | TRAP_SOCKET_V6, "socket" },
	{ TRAP_NAMES, "bind" },
	{ TRAP_NAMES, "connect" },
	{ TRAP_NAMES | TRAP_LISTEN, "listen" },
	{ TRAP_DATAGRAMS, "sendto" },
	{ TRAP_DATAGRAMS | TRAP_MESSAGES, "sendmsg" },
	{ TRAP_DATAGRAMS | TRAP_MESSAGES, "sendmmsg" },
	{ TRAP_FAST_OPEN, "sendto(MSG_FASTOPEN)" },
	{ TRAP_FAST_OPEN, "sendmsg(MSG_FASTOPEN)" },
	{ TRAP_FAST_OPEN, "sendmmsg(MSG_FASTOPEN)" },
	{ TRAP_OPTIONS, "setsockopt(IPPROTO_TCP)" },
	{ TRAP_FAMILY, "socket(AF_GRAFT)" },
};
_Static_assert(ARRAY_SIZE(rows) <= PLAN_TRAPS_MAX, "names do not fit");

size_t plan_traps(const struct policy_reach *reach, bool is_judged,
		  const char *ret_names[PLAN_TRAPS_MAX])
{
	unsigned int traps = is_judged ? filter_plan_judged(reach) : filter_plan(reach);
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].trap & traps)
			ret_names[n++] = rows[i].name;
	return n;
}
