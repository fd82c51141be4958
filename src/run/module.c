/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names are added from outside, by a netlink socket made in the program's namespace:
 * the program has no power over the namespaces they lead to. It may delete them, which
 * harms itself. They go with its namespace.
 *
 * Endpoints are for all of the run, and bound with the caller's rights, privileged ports
 * included, as with the other engines. The host's namespace as such (MODULE_HOST) is not:
 * there the program's own rights count, which are none.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/kernel_client.h"
#include "policy/module_name.h"
#include "policy/policy.h"
#include "run/control.h"
#include "run/module.h"
#include "run/stacks.h"
#include "stack/stack.h"

/* --- before the run --- */

static const char *registered_name(const struct endpoint *endpoint)
{
	return endpoint && endpoint->kind == ENDPOINT_NAMED ? endpoint->name : NULL;
}

/* Names that only the module's registry can know. */
static void warn_of_missing(struct kernel_client *client, const struct policy *policy)
{
	for (size_t i = 0; i < policy_n_rules(policy); i++) {
		const char *name = registered_name(policy_rule(policy, i)->endpoint);

		if (!name || kernel_client_has(client, name))
			continue;
		log_warning("endpoint '%s' is neither of the policy nor in the module's "
			    "registry (graft show): calls for it fail",
			    name);
		return;
	}
}

/* What the module does not do for an endpoint. */
static void warn_of_hold(const struct policy *policy)
{
	for (size_t i = 0; i < policy_n_endpoints(policy); i++)
		if (policy_endpoint(policy, i)->options & ENDPOINT_HOLD)
			log_warning("endpoint '%s': the af_graft engine does not hold "
				    "sockets",
				    policy_endpoint(policy, i)->name);
}

int module_check(const struct policy *policy)
{
	_cleanup_(kernel_client_freep) struct kernel_client *client = NULL;
	int r;

	capng_get_caps_process();
	if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) ||
	    !capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN)) {
		log_error("the af_graft engine needs root (CAP_NET_ADMIN, "
			  "CAP_SYS_ADMIN); use --engine notify");
		return -EPERM;
	}
	r = kernel_client_new(&client, -1);
	if (r == -ENOENT)
		log_error("the af_graft engine needs the kernel module, which is not "
			  "loaded: modprobe af_graft");
	else if (r < 0)
		log_error("the af_graft engine cannot ask the kernel module: %s",
			  strerror(-r));
	if (r < 0)
		return r;
	warn_of_missing(client, policy);
	warn_of_hold(policy);
	return 0;
}

/* --- the program's names --- */

static int add(struct kernel_client *client, const struct kernel_addition *addition)
{
	const char *text;
	int r = kernel_client_add(client, addition);

	if (r == 0)
		return 0;
	text = kernel_client_text(client);
	log_error("cannot add endpoint '%s' to the kernel module: %s%s%s", addition->name,
		  strerror(-r), *text ? ": " : "", text);
	return r;
}

static int open_namespace(const struct endpoint *endpoint, int host)
{
	int fd;

	if (endpoint->netns.kind == NETNS_DEFAULT)
		return fcntl(host, F_DUPFD_CLOEXEC, 0);
	fd = stacks_open_netns(&endpoint->netns);
	if (fd < 0)
		log_error("endpoint '%s': cannot enter its network namespace: %s",
			  endpoint->name, strerror(-fd));
	return fd;
}

static const char *label_of(const struct netns_ref *netns)
{
	switch (netns->kind) {
	case NETNS_NAME:
	case NETNS_PATH:
		return strlen(netns->text) < 108 ? netns->text : NULL;
	case NETNS_PID:
	case NETNS_DEFAULT:
		break;
	}
	return NULL;
}

static int add_endpoint(struct kernel_client *client, const struct endpoint *endpoint,
			int host)
{
	_cleanup_fd_ int netns = open_namespace(endpoint, host);
	char name[MODULE_NAME_SIZE], namespace_name[MODULE_NAME_SIZE];
	struct kernel_addition addition = {
		.name = name,
		.endpoint = endpoint,
		.netns = netns,
		.label = label_of(&endpoint->netns),
		.is_for_all = true,
	};
	int r;

	if (netns < 0)
		return netns;
	module_name(endpoint, name);
	r = add(client, &addition);
	if (r < 0 || endpoint->netns.kind == NETNS_DEFAULT)
		return r;
	module_namespace_name(endpoint, namespace_name);
	addition = (struct kernel_addition){ .name = namespace_name,
					     .netns = netns,
					     .label = addition.label };
	return add(client, &addition);
}

static int add_all(struct kernel_client *client, const struct policy *policy)
{
	_cleanup_fd_ int host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct kernel_addition addition = { .name = MODULE_HOST, .netns = host };
	int r = host < 0 ? -errno : add(client, &addition);

	for (size_t i = 0; r == 0 && i < policy_n_endpoints(policy); i++)
		if (policy_endpoint(policy, i)->kind != ENDPOINT_NAMED)
			r = add_endpoint(client, policy_endpoint(policy, i), host);
	return r;
}

static int open_client(struct kernel_client **ret, struct stack *own)
{
	int fd = stack_socket(own, AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);

	return fd < 0 ? fd : kernel_client_new(ret, fd);
}

int module_prepare(struct kernel_client **ret, struct stacks *ret_stacks,
		   const struct policy *policy, pid_t program)
{
	_cleanup_(kernel_client_freep) struct kernel_client *client = NULL;
	_cleanup_fd_ int netns = -1;
	char path[40];
	int r;

	*ret_stacks = (struct stacks){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/ns/net", program);
	netns = open(path, O_RDONLY | O_CLOEXEC);
	r = netns < 0 ? -errno : stack_host_new(&ret_stacks->host);
	if (r == 0)
		r = stack_enter_new(&ret_stacks->own, netns);
	if (r == 0)
		r = open_client(&client, ret_stacks->own);
	if (r < 0) {
		log_error("cannot reach the program's network namespace: %s",
			  strerror(-r));
		return r;
	}
	r = add_all(client, policy);
	if (r == 0)
		*ret = steal_pointer(client);
	return r;
}

void module_count(struct kernel_client *client, struct run_info *ret)
{
	struct kernel_totals totals;

	if (kernel_client_count(client, &totals) < 0)
		return;
	ret->n_grafts = totals.n_binds + totals.n_connects;
	ret->n_refused = totals.n_denials;
}
