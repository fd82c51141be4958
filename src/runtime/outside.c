/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"
#include "policy/policy.h"
#include "run/lender.h"
#include "runtime/complain.h"
#include "runtime/outside.h"
#include "stack/stack.h"

/* The owner of the host's is a user namespace that cannot be had from RootlessKit's. */
bool outside_is_inside(void)
{
	_cleanup_fd_ int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int owner = netns < 0 ? -1 : ioctl(netns, NS_GET_USERNS);

	return getenv(OUTSIDE_KIT) && owner >= 0 && !process_is_real_root();
}

/* Return: 0; -ENOENT: nobody lends; -errno. */
static int borrow(struct stack **ret)
{
	char path[PATH_MAX];
	int r = process_is_real_root() ? -ENOENT : lender_path(path, sizeof(path));

	if (r < 0)
		return r;
	r = stack_lent_new(ret, path);
	return r == -ECONNREFUSED ? -ENOENT : r;
}

bool outside_is_lent(void)
{
	struct stack *lent = NULL;
	bool is_lent = borrow(&lent) == 0;

	stack_free(lent);
	return is_lent;
}

static bool is_on_host(const struct rule *rule)
{
	if (rule->target == POLICY_HOST)
		return true;
	return rule->target == POLICY_ENDPOINT && rule->endpoint &&
	       rule->endpoint->kind != ENDPOINT_NAMED &&
	       rule->endpoint->netns.kind == NETNS_DEFAULT;
}

static bool reaches_host(const struct policy *policy)
{
	for (size_t i = 0; i < policy_n_rules(policy); i++)
		if (is_on_host(policy_rule(policy, i)))
			return true;
	return false;
}

int outside_check(const struct policy *policy)
{
	struct stack *lent = NULL;
	int r;

	if (!outside_is_inside() || !reaches_host(policy))
		return 0;
	r = borrow(&lent);
	stack_free(lent);
	if (r < 0)
		complain("the host's network is outside of RootlessKit's, and nobody lends "
			 "its sockets (%s): start the engine by `graft lend`",
			 strerror(-r));
	return r;
}

int outside_find(struct stack **host)
{
	struct stack *lent;
	int r = borrow(&lent);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (lent->cookie == (*host)->cookie) {
		stack_free(lent);
		return 0;
	}
	stack_free(*host);
	*host = lent;
	return 0;
}

void outside_find_graftd(void)
{
	const char *own = getenv("XDG_RUNTIME_DIR");
	char path[PATH_MAX];

	if (process_is_real_root() || !own ||
	    snprintf(path, sizeof(path), "%s/graft/graftd.sock", own) >= PATH_MAX ||
	    access(path, F_OK) < 0)
		return;
	setenv("GRAFT_SOCKET", path, 0);
}
