/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fence behind the filter.
 *
 * Every bind and connect on an inet socket is done by the supervisor, on its own copy of
 * the address and its own reference to the socket. Calls on other families (AF_UNIX,
 * netlink) must run in the program, for their paths and credentials are its own: the
 * supervisor looks at the socket and lets the call continue. Between the look and the
 * kernel's own lookup another thread may put a grafted TCP socket under the same number.
 *
 * Landlock's network rules (ABI 4, Linux 6.7) close that gap without privilege: the
 * program's tasks may not bind or connect TCP at all, the supervisor's may. A call that
 * lost the race is refused by the kernel with EACCES.
 *
 * Its scopes (ABI 6, Linux 6.12) do the same for abstract UNIX sockets: those made by
 * others cannot be reached, not even by a UNIX socket of the host's namespace, which the
 * program has when an endpoint is abstract or somebody handed it one. Where the kernel
 * judges the sockets (judged.c) the program names addresses itself, and they are all.
 */
#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/notify/fence.h"
#include "intercept/notify/kernel.h"

#define LANDLOCK_ABI_NETWORK 4
#define LANDLOCK_ABI_SCOPES  6

#define TCP_NAMES (LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP)

/* struct landlock_ruleset_attr as of ABI 6; older headers lack the last members. */
struct fence_ruleset {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

int fence_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static int restrict_self(uint64_t access, uint64_t scopes)
{
	const struct fence_ruleset rules = { .handled_access_net = access,
					     .scoped = scopes };
	size_t size = scopes ? sizeof(rules) : offsetof(struct fence_ruleset, scoped);
	_cleanup_fd_ int ruleset = -1;

	ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (ruleset < 0)
		return -errno;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return -errno;
	return 0;
}

int fence_raise(bool may_name)
{
	int abi = fence_abi();

	if (abi < (may_name ? LANDLOCK_ABI_SCOPES : LANDLOCK_ABI_NETWORK))
		return FENCE_E_UNAVAILABLE;
	return restrict_self(may_name ? 0 : TCP_NAMES,
			     abi >= LANDLOCK_ABI_SCOPES
				     ? LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
				     : 0);
}

int fence_raise_tcp(void)
{
	return fence_abi() < LANDLOCK_ABI_NETWORK ? FENCE_E_UNAVAILABLE
						  : restrict_self(TCP_NAMES, 0);
}
