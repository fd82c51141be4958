/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "policy/policy.h"
#include "run/stacks.h"
#include "stack/stack.h"

#define NETNS_DIRECTORY "/run/netns" /* where ip-netns(8) keeps names */

int stacks_open_netns(const struct netns_ref *ref)
{
	char path[4096];
	int fd;

	switch (ref->kind) {
	case NETNS_DEFAULT:
		return -EINVAL;
	case NETNS_PID:
		snprintf(path, sizeof(path), "/proc/%d/ns/net", ref->pid);
		break;
	case NETNS_NAME:
		snprintf(path, sizeof(path), NETNS_DIRECTORY "/%s", ref->text);
		break;
	case NETNS_PATH:
		snprintf(path, sizeof(path), "%s", ref->text);
		break;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_same(const struct netns_ref *a, const struct netns_ref *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == NETNS_PID ? a->pid == b->pid : !strcmp(a->text, b->text);
}

/* The stack of @ref, shared by all endpoints in that namespace. @refs are those of
 * stacks->others. */
static int find_stack(struct stacks *stacks, const struct netns_ref *refs[STACKS_MAX],
		      const struct netns_ref *ref, struct stack **ret)
{
	_cleanup_fd_ int netns = -1;
	int r;

	for (size_t i = 0; i < stacks->n_others; i++)
		if (is_same(refs[i], ref)) {
			*ret = stacks->others[i];
			return 0;
		}
	if (stacks->n_others == STACKS_MAX)
		return -E2BIG;
	netns = stacks_open_netns(ref);
	if (netns < 0)
		return netns;
	r = stack_netns_new(ret, netns);
	if (r < 0)
		return r;
	refs[stacks->n_others] = ref;
	stacks->others[stacks->n_others++] = *ret;
	return 0;
}

static int make_endpoint_stacks(struct stacks *stacks, const struct policy *policy)
{
	const struct netns_ref *refs[STACKS_MAX];
	size_t n = policy_n_endpoints(policy);

	for (size_t i = 0; i < n; i++) {
		const struct endpoint *endpoint = policy_endpoint(policy, i);
		int r;

		if (endpoint->netns.kind == NETNS_DEFAULT)
			continue;
		if (!stacks->by_endpoint)
			stacks->by_endpoint = calloc(n, sizeof(struct stack *));
		if (!stacks->by_endpoint)
			return -ENOMEM;
		r = find_stack(stacks, refs, &endpoint->netns, &stacks->by_endpoint[i]);
		if (r < 0) {
			log_error("endpoint '%s': cannot enter its network namespace: %s",
				  endpoint->name, strerror(-r));
			return r;
		}
	}
	return 0;
}

int stacks_new(struct stacks *ret, const struct policy *policy, pid_t program,
	       bool is_supervised)
{
	struct stacks stacks = { 0 };
	char path[40];
	int r;

	r = stack_host_new(&stacks.host);
	if (r == 0 && is_supervised) {
		_cleanup_fd_ int netns = -1;

		snprintf(path, sizeof(path), "/proc/%d/ns/net", program);
		netns = open(path, O_RDONLY | O_CLOEXEC);
		r = netns < 0 ? -errno : stack_netns_new(&stacks.own, netns);
	}
	if (r < 0) {
		log_error("cannot reach the network namespaces: %s", strerror(-r));
		return r;
	}
	r = make_endpoint_stacks(&stacks, policy);
	if (r < 0)
		return r;
	*ret = stacks;
	return 0;
}
