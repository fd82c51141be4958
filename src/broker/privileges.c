/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The capabilities that stay, each with its reason. An ordinary user's graftd has none,
 * and can do what that user can.
 */
#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "base/cleanup.h"
#include "broker/privileges.h"

static const unsigned int needed[] = {
	/* Ports below 1024, for endpoints that lead there. */
	CAP_NET_BIND_SERVICE,
	/* The namespace a client connected from (SIOCGSKNS); the inode a UNIX socket is
	 * bound to (SIOCUNIXFILE); options the administrator had set (SO_MARK). */
	CAP_NET_ADMIN,
	/* Raw sockets of the administrator. */
	CAP_NET_RAW,
	/* Entering the namespaces that endpoints lead to, for one socket(). */
	CAP_SYS_ADMIN,
	/* User namespace and capabilities of clients, and whether the one that was
	 * granted a held socket still has it: /proc/PID/{ns,fd}. The second is for the
	 * directory of the latter, which is its owner's alone. */
	CAP_SYS_PTRACE,
	CAP_DAC_READ_SEARCH,
	/* Paths of the administrator's endpoints, in directories of those who serve. */
	CAP_DAC_OVERRIDE,
	/* A socket made for a client is the client's, its inode at a path, too. */
	CAP_CHOWN,
	/* Paths of a user's endpoints, by his rights and not ours. */
	CAP_SETUID,
	CAP_SETGID,
};

int privileges_shed(void)
{
	bool has[ARRAY_SIZE(needed)];
	capng_select_t select;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0);
	if (capng_get_caps_process() < 0)
		return -EPERM;
	/* The bounding set is no matter without new privileges; it takes a capability. */
	select = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH
								     : CAPNG_SELECT_CAPS;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		has[i] = capng_have_capability(CAPNG_PERMITTED, needed[i]);
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (has[i])
			capng_update(CAPNG_ADD,
				     CAPNG_EFFECTIVE | CAPNG_PERMITTED |
					     CAPNG_BOUNDING_SET,
				     needed[i]);
	return capng_apply(select) < 0 ? -EPERM : 0;
}
