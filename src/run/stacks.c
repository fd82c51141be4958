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

static int open_netns(const struct netns_ref *ref)
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

/* The stack of @endpoint, shared with an earlier endpoint of the same namespace. */
static int find_stack(const struct policy *policy, struct stack **stacks, size_t index,
		      struct stack **ret)
{
	const struct endpoint *endpoint = policy_endpoint(policy, index);
	_cleanup_fd_ int netns = -1;

	for (size_t i = 0; i < index; i++)
		if (stacks[i] &&
		    is_same(&policy_endpoint(policy, i)->netns, &endpoint->netns)) {
			*ret = stacks[i];
			return 0;
		}
	netns = open_netns(&endpoint->netns);
	if (netns < 0)
		return netns;
	return stack_netns_new(ret, netns);
}

static int make_endpoint_stacks(struct stacks *stacks, const struct policy *policy)
{
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
		r = find_stack(policy, stacks->by_endpoint, i, &stacks->by_endpoint[i]);
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
