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
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/graft.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/genl.h"
#include "broker/module_write.h"
#include "policy/module_name.h"
#include "policy/policy.h"
#include "run/control.h"
#include "run/module.h"
#include "run/stacks.h"
#include "stack/stack.h"
#include "wire/wire.h"

#define REQUEST_SIZE 4096
#define HOST_LABEL   "host"

struct run_module {
	struct genl genl; /* in the program's namespace */
};

static void module_free(struct run_module *module)
{
	if (module)
		genl_close(&module->genl);
	free(module);
}

static void module_freep(struct run_module **module)
{
	module_free(*module);
}

/* @fd: as genl_open() takes it. Return: 0 or -errno: -ENOENT: there is no module. */
static int open_module(struct run_module **ret, int fd)
{
	_cleanup_(module_freep) struct run_module *module = calloc(1, sizeof(*module));
	int r;

	if (!module) {
		fd_close(fd);
		return -ENOMEM;
	}
	r = genl_open(&module->genl, fd, AF_GRAFT_GENL_NAME, GRAFT_MCGRP_ENDPOINTS);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = steal_pointer(module);
	return 0;
}

/* --- before the run --- */

static bool has(struct run_module *module, const char *name)
{
	_Alignas(NLMSG_ALIGNTO) char buffer[REQUEST_SIZE];
	struct wire_error error = { 0 };
	struct nlmsghdr *request =
		genl_begin(&module->genl, buffer, NLM_F_ACK, GRAFT_CMD_ENDPOINT_GET);

	mnl_attr_put_strz(request, GRAFT_A_NAME, name);
	return genl_ask(&module->genl, request, NULL, NULL, &error) == 0;
}

/* Names that only the module's registry can know. */
static void warn_of_missing(struct run_module *module, const struct policy *policy)
{
	for (size_t i = 0; i < policy_n_rules(policy); i++) {
		const struct endpoint *endpoint = policy_rule(policy, i)->endpoint;

		if (!endpoint || endpoint->kind != ENDPOINT_NAMED ||
		    has(module, endpoint->name))
			continue;
		log_warning("endpoint '%s' is neither of the policy nor in the module's "
			    "registry (graft show): calls for it fail",
			    endpoint->name);
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

int run_module_check(const struct policy *policy)
{
	_cleanup_(module_freep) struct run_module *module = NULL;
	int r;

	capng_get_caps_process();
	if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) ||
	    !capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN)) {
		log_error("the af_graft engine needs root (CAP_NET_ADMIN, "
			  "CAP_SYS_ADMIN); use --engine notify");
		return -EPERM;
	}
	r = open_module(&module, -1);
	if (r == -ENOENT)
		log_error("the af_graft engine needs the kernel module, which is not "
			  "loaded: modprobe af_graft");
	else if (r < 0)
		log_error("the af_graft engine cannot ask the kernel module: %s",
			  strerror(-r));
	if (r < 0)
		return r;
	warn_of_missing(module, policy);
	warn_of_hold(policy);
	return 0;
}

/* --- the program's names --- */

/* Return: 0, or -errno after one line. */
static int add(struct run_module *module, const struct endpoint *endpoint, int netns)
{
	_Alignas(NLMSG_ALIGNTO) char buffer[REQUEST_SIZE];
	struct wire_error error = { 0 };
	struct nlmsghdr *request =
		genl_begin(&module->genl, buffer, NLM_F_ACK, GRAFT_CMD_ENDPOINT_NEW);
	int r = module_write(request, sizeof(buffer), endpoint, netns);

	if (r == 0)
		r = genl_ask(&module->genl, request, NULL, NULL, &error);
	if (r > 0)
		r = -(int)error.number;
	if (r < 0)
		log_error("cannot add endpoint '%s' to the kernel module: %s%s%s",
			  endpoint->name, strerror(-r), error.text[0] ? ": " : "",
			  error.text);
	return r;
}

/* The name of a namespace, for whom it is open anyway. */
static int add_namespace(struct run_module *module, const char *name, const char *label,
			 int netns)
{
	struct endpoint endpoint = {
		.name = (char *)name,
		.kind = ENDPOINT_ANY,
		.netns = { .kind = NETNS_PATH, .text = (char *)label },
	};

	return add(module, &endpoint, netns);
}

/* A path is the program's affair, and so are the abstract names of its clients. */
static bool is_path(const struct endpoint *endpoint)
{
	return endpoint->kind == ENDPOINT_UNIX && endpoint->path[0] == '/';
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

static int add_endpoint(struct run_module *module, const struct endpoint *endpoint,
			int host)
{
	_cleanup_fd_ int netns = open_namespace(endpoint, host);
	struct access everybody = { .uses = ACCESS_BIND | ACCESS_CONNECT };
	char name[MODULE_NAME_SIZE], label[MODULE_NAME_SIZE] = HOST_LABEL;
	struct endpoint copy = *endpoint;
	int r;

	if (netns < 0)
		return netns;
	module_name(endpoint, name);
	if (endpoint->netns.kind != NETNS_DEFAULT)
		module_namespace_name(endpoint, label);
	copy.name = name;
	copy.access = &everybody;
	copy.n_access = 1;
	copy.netns = (struct netns_ref){ .kind = NETNS_PATH, .text = label };
	if (is_path(endpoint))
		copy.netns = (struct netns_ref){ .kind = NETNS_DEFAULT };
	r = add(module, &copy, netns);
	if (r < 0 || endpoint->netns.kind == NETNS_DEFAULT || is_path(endpoint))
		return r;
	return add_namespace(module, label, label, netns);
}

static int add_all(struct run_module *module, const struct policy *policy)
{
	_cleanup_fd_ int host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r = host < 0 ? -errno : add_namespace(module, MODULE_HOST, HOST_LABEL, host);

	for (size_t i = 0; r == 0 && i < policy_n_endpoints(policy); i++)
		if (policy_endpoint(policy, i)->kind != ENDPOINT_NAMED)
			r = add_endpoint(module, policy_endpoint(policy, i), host);
	return r;
}

static int open_inside(struct run_module **ret, struct stacks *stacks, pid_t program)
{
	_cleanup_fd_ int netns = -1;
	char path[40];
	int r;

	*stacks = (struct stacks){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/ns/net", program);
	netns = open(path, O_RDONLY | O_CLOEXEC);
	r = netns < 0 ? -errno : stack_host_new(&stacks->host);
	if (r == 0)
		r = stack_enter_new(&stacks->own, netns);
	if (r == 0)
		r = stack_socket(stacks->own, AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	return r < 0 ? r : open_module(ret, r);
}

int run_module_new(struct run_module **ret, struct stacks *ret_stacks,
		   const struct policy *policy, pid_t program)
{
	_cleanup_(module_freep) struct run_module *module = NULL;
	int r = open_inside(&module, ret_stacks, program);

	if (r < 0) {
		log_error("cannot reach the program's network namespace: %s",
			  strerror(-r));
		return r;
	}
	r = add_all(module, policy);
	if (r == 0)
		*ret = steal_pointer(module);
	return r;
}

/* --- counting --- */

static int count_attribute(const struct nlattr *attribute, void *context)
{
	struct run_info *info = context;

	if (mnl_attr_validate(attribute, MNL_TYPE_U64) < 0)
		return MNL_CB_OK;
	switch (mnl_attr_get_type(attribute)) {
	case GRAFT_A_BINDS:
	case GRAFT_A_CONNECTS:
		info->n_grafts += mnl_attr_get_u64(attribute);
		break;
	case GRAFT_A_DENIALS:
		info->n_refused += mnl_attr_get_u64(attribute);
		break;
	}
	return MNL_CB_OK;
}

static int count(const struct nlmsghdr *answer, void *context)
{
	mnl_attr_parse(answer, GENL_HDRLEN, count_attribute, context);
	return 0;
}

void run_module_count(struct run_module *module, struct run_info *ret)
{
	_Alignas(NLMSG_ALIGNTO) char buffer[REQUEST_SIZE];
	struct wire_error error = { 0 };

	genl_ask(&module->genl,
		 genl_begin(&module->genl, buffer, NLM_F_DUMP, GRAFT_CMD_ENDPOINT_GET),
		 count, ret, &error);
}
