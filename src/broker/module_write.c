/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/graft.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/module_write.h"
#include "policy/policy.h"
#include "wire/wire.h"

#define LABEL_MAX 107

_Static_assert(ACCESS_BIND == GRAFT_USE_BIND && ACCESS_CONNECT == GRAFT_USE_CONNECT,
	       "a rule's uses are the same bits for both");
_Static_assert(ACCESS_MAX <= GRAFT_RULES_MAX, "every endpoint's rules fit");

_printf_(3, 4) static int refuse(struct wire_error *error, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	error->number = (uint32_t)-r;
	return r;
}

int module_check(const struct endpoint *endpoint, struct wire_error *ret_error)
{
	const struct netns_ref *netns = &endpoint->netns;

	if (strlen(endpoint->name) > AF_GRAFT_EPNAME_MAX)
		return refuse(ret_error, -ENAMETOOLONG,
			      "'%s' has %zu characters; a name in the module af_graft has "
			      "at most %d",
			      endpoint->name, strlen(endpoint->name),
			      AF_GRAFT_EPNAME_MAX);
	if (endpoint->options & ENDPOINT_HOLD)
		return refuse(ret_error, -EOPNOTSUPP,
			      "hold: the module af_graft keeps no sockets; leave the word "
			      "out, or give graftd the endpoint with --socket");
	if (endpoint->options & ENDPOINT_BOUND)
		return refuse(ret_error, -EOPNOTSUPP,
			      "bound: a word for the rules of one run; leave it out");
	for (size_t i = 0; i < endpoint->n_access; i++) {
		const struct access *access = &endpoint->access[i];

		if (access->netns.kind != NETNS_DEFAULT || access->cgroup)
			return refuse(ret_error, -EOPNOTSUPP,
				      "%s=: the module af_graft knows programs by uid= "
				      "and gid= only; use those, or give graftd the "
				      "endpoint with --socket",
				      access->cgroup ? "cgroup" : "netns");
	}
	if (netns->text && strlen(netns->text) > LABEL_MAX)
		return refuse(ret_error, -ENAMETOOLONG,
			      "netns %.40s...: the module af_graft keeps at most %d "
			      "characters of it; `ip netns attach` gives it a short name",
			      netns->text, LABEL_MAX);
	return 0;
}

struct writer {
	struct nlmsghdr *message;
	size_t size;
	bool is_full;
};

static void put(struct writer *to, uint16_t type, const void *data, size_t size)
{
	to->is_full |= !mnl_attr_put_check(to->message, to->size, type, size, data);
}

static void put_u32(struct writer *to, uint16_t type, uint32_t value)
{
	put(to, type, &value, sizeof(value));
}

static struct nlattr *begin(struct writer *to, uint16_t type)
{
	struct nlattr *nest = mnl_attr_nest_start_check(to->message, to->size, type);

	to->is_full |= !nest;
	return nest;
}

static void end(struct writer *to, struct nlattr *nest)
{
	if (nest)
		mnl_attr_nest_end(to->message, nest);
}

static void put_family(struct writer *to, uint16_t family)
{
	put(to, GRAFT_A_FAMILY, &family, sizeof(family));
}

static void put_inet(struct writer *to, uint16_t family, const struct endpoint *endpoint)
{
	uint16_t port = htons(endpoint->port);

	put_family(to, family);
	if (family == AF_INET)
		put(to, GRAFT_A_ADDRESS, &endpoint->v4, sizeof(endpoint->v4));
	else
		put(to, GRAFT_A_ADDRESS, &endpoint->v6, sizeof(endpoint->v6));
	if (endpoint->zone)
		put_u32(to, GRAFT_A_SCOPE, endpoint->zone);
	if (!endpoint->dynamic)
		put(to, GRAFT_A_PORT, &port, sizeof(port));
}

static void put_path(struct writer *to, const char *path)
{
	char bytes[108] = { 0 };
	size_t len = strnlen(path, sizeof(bytes));

	memcpy(bytes, path, len);
	if (bytes[0] == '@')
		bytes[0] = '\0';
	put_family(to, AF_UNIX);
	put(to, GRAFT_A_PATH, bytes, len);
}

static void put_place(struct writer *to, const struct endpoint *endpoint)
{
	switch (endpoint->kind) {
	case ENDPOINT_IPV4:
		put_inet(to, AF_INET, endpoint);
		break;
	case ENDPOINT_IPV6:
		put_inet(to, AF_INET6, endpoint);
		break;
	case ENDPOINT_UNIX:
		put_path(to, endpoint->path);
		break;
	case ENDPOINT_ANY:
	case ENDPOINT_NAMED:
		put_family(to, AF_UNSPEC);
		break;
	}
}

static void put_netns(struct writer *to, const struct netns_ref *netns, int fd)
{
	char label[LABEL_MAX + 1];
	struct nlattr *nest;

	if (netns->kind == NETNS_DEFAULT)
		return;
	nest = begin(to, GRAFT_A_NETNS);
	if (netns->kind == NETNS_PID) {
		put_u32(to, GRAFT_NETNS_A_PID, (uint32_t)netns->pid);
		snprintf(label, sizeof(label), "%d", netns->pid);
	} else {
		put_u32(to, GRAFT_NETNS_A_FD, (uint32_t)fd);
		snprintf(label, sizeof(label), "%s", netns->text);
	}
	put(to, GRAFT_NETNS_A_LABEL, label, strlen(label) + 1);
	end(to, nest);
}

static void put_access(struct writer *to, const struct endpoint *endpoint)
{
	struct nlattr *all, *rule;

	if (!endpoint->n_access)
		return;
	all = begin(to, GRAFT_A_ACCESS);
	for (size_t i = 0; i < endpoint->n_access; i++) {
		const struct access *access = &endpoint->access[i];

		rule = begin(to, GRAFT_A_RULE);
		put_u32(to, GRAFT_RULE_A_USES, access->uses);
		if (access->has_uid)
			put_u32(to, GRAFT_RULE_A_UID, access->uid);
		if (access->has_gid)
			put_u32(to, GRAFT_RULE_A_GID, access->gid);
		end(to, rule);
	}
	end(to, all);
}

int module_write(struct nlmsghdr *message, size_t size, const struct endpoint *endpoint,
		 int netns)
{
	struct writer to = { message, size, false };

	put(&to, GRAFT_A_NAME, endpoint->name, strlen(endpoint->name) + 1);
	put_place(&to, endpoint);
	put_netns(&to, &endpoint->netns, netns);
	if (endpoint->options & ENDPOINT_SHARE)
		put_u32(&to, GRAFT_A_FLAGS, GRAFT_F_SHARE);
	put_access(&to, endpoint);
	return to.is_full ? -EMSGSIZE : 0;
}
