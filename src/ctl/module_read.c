/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/graft.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/module_attr.h"
#include "ctl/table.h"
#include "policy/policy.h"
#include "wire/wire.h"

#define PID_DIGITS   9
#define PRINTED_WORD "endpoint "

/* The attributes up to @max that are as long as their kind says, by type. */
struct attributes {
	const struct nlattr *by_type[GRAFT_A_MAX + 1];
	const enum mnl_attr_data_type *kinds;
	uint16_t max;
};

static const enum mnl_attr_data_type endpoint_kinds[GRAFT_A_MAX + 1] = {
	[GRAFT_A_NAME] = MNL_TYPE_NUL_STRING, [GRAFT_A_FAMILY] = MNL_TYPE_U16,
	[GRAFT_A_ADDRESS] = MNL_TYPE_BINARY,  [GRAFT_A_PORT] = MNL_TYPE_U16,
	[GRAFT_A_SCOPE] = MNL_TYPE_U32,       [GRAFT_A_PATH] = MNL_TYPE_BINARY,
	[GRAFT_A_NETNS] = MNL_TYPE_NESTED,    [GRAFT_A_FLAGS] = MNL_TYPE_U32,
	[GRAFT_A_ACCESS] = MNL_TYPE_NESTED,   [GRAFT_A_BOUND] = MNL_TYPE_U16,
	[GRAFT_A_SOCKETS] = MNL_TYPE_U32,     [GRAFT_A_BINDS] = MNL_TYPE_U64,
	[GRAFT_A_CONNECTS] = MNL_TYPE_U64,    [GRAFT_A_DENIALS] = MNL_TYPE_U64,
	[GRAFT_A_UID] = MNL_TYPE_U32,         [GRAFT_A_PID] = MNL_TYPE_U32,
};

static const enum mnl_attr_data_type netns_kinds[GRAFT_NETNS_A_MAX + 1] = {
	[GRAFT_NETNS_A_PID] = MNL_TYPE_U32,
	[GRAFT_NETNS_A_LABEL] = MNL_TYPE_NUL_STRING,
};

static const enum mnl_attr_data_type rule_kinds[GRAFT_RULE_A_MAX + 1] = {
	[GRAFT_RULE_A_USES] = MNL_TYPE_U32,
	[GRAFT_RULE_A_UID] = MNL_TYPE_U32,
	[GRAFT_RULE_A_GID] = MNL_TYPE_U32,
};

static int take(const struct nlattr *attr, void *context)
{
	struct attributes *attributes = context;
	uint16_t type = mnl_attr_get_type(attr);

	if (type > attributes->max || attributes->kinds[type] == MNL_TYPE_UNSPEC)
		return MNL_CB_OK;
	if (mnl_attr_validate(attr, attributes->kinds[type]) < 0)
		return MNL_CB_ERROR;
	attributes->by_type[type] = attr;
	return MNL_CB_OK;
}

static uint32_t get_u32(const struct attributes *from, uint16_t type)
{
	return from->by_type[type] ? mnl_attr_get_u32(from->by_type[type]) : 0;
}

static uint64_t get_u64(const struct attributes *from, uint16_t type)
{
	return from->by_type[type] ? mnl_attr_get_u64(from->by_type[type]) : 0;
}

static uint16_t get_port(const struct attributes *from, uint16_t type)
{
	return from->by_type[type] ? ntohs(mnl_attr_get_u16(from->by_type[type])) : 0;
}

/* Names and labels of version 0 may hold anything. Return: NULL without memory. */
static char *clean_copy(const char *text, size_t len)
{
	char *copy = strndup(text, len);

	if (copy)
		text_clean(copy);
	return copy;
}

static int read_inet(const struct attributes *from, struct endpoint *ret)
{
	const struct nlattr *attr = from->by_type[GRAFT_A_ADDRESS];
	bool is_ipv4 = ret->kind == ENDPOINT_IPV4;
	size_t size = is_ipv4 ? sizeof(ret->v4) : sizeof(ret->v6);

	if (attr && mnl_attr_get_payload_len(attr) != size)
		return -EBADMSG;
	if (attr)
		memcpy(is_ipv4 ? (void *)&ret->v4 : &ret->v6, mnl_attr_get_payload(attr),
		       size);
	ret->zone = get_u32(from, GRAFT_A_SCOPE);
	ret->port = get_port(from, GRAFT_A_PORT);
	ret->dynamic = ret->port == 0;
	return 0;
}

static int read_path(const struct attributes *from, struct endpoint *ret)
{
	const struct nlattr *attr = from->by_type[GRAFT_A_PATH];
	char bytes[109] = { 0 };
	size_t len;

	if (!attr)
		return -EBADMSG;
	len = mnl_attr_get_payload_len(attr);
	if (!len || len >= sizeof(bytes))
		return -EBADMSG;
	memcpy(bytes, mnl_attr_get_payload(attr), len);
	if (!bytes[0])
		bytes[0] = '@';
	ret->path = clean_copy(bytes, len);
	return ret->path ? 0 : -ENOMEM;
}

static int read_place(const struct attributes *from, struct endpoint *ret)
{
	const struct nlattr *family = from->by_type[GRAFT_A_FAMILY];

	if (!family)
		return -EBADMSG;
	switch (mnl_attr_get_u16(family)) {
	case AF_UNSPEC:
		ret->kind = ENDPOINT_ANY;
		return 0;
	case AF_INET:
		ret->kind = ENDPOINT_IPV4;
		return read_inet(from, ret);
	case AF_INET6:
		ret->kind = ENDPOINT_IPV6;
		return read_inet(from, ret);
	case AF_UNIX:
		ret->kind = ENDPOINT_UNIX;
		return read_path(from, ret);
	default:
		return -EBADMSG;
	}
}

static int read_label(const char *label, struct netns_ref *ret)
{
	if (!*label)
		return 0;
	if (strlen(label) <= PID_DIGITS && !label[strspn(label, "0123456789")]) {
		ret->kind = NETNS_PID;
		ret->pid = (int)strtol(label, NULL, 10);
		return 0;
	}
	ret->text = clean_copy(label, strlen(label));
	if (!ret->text)
		return -ENOMEM;
	ret->kind = strchr(label, '/') ? NETNS_PATH : NETNS_NAME;
	return 0;
}

static int read_netns(const struct attributes *from, struct netns_ref *ret)
{
	struct attributes netns = { .kinds = netns_kinds, .max = GRAFT_NETNS_A_MAX };
	const struct nlattr *attr = from->by_type[GRAFT_A_NETNS];

	if (!attr)
		return 0;
	if (mnl_attr_parse_nested(attr, take, &netns) < 0)
		return -EBADMSG;
	if (netns.by_type[GRAFT_NETNS_A_LABEL])
		return read_label(mnl_attr_get_str(netns.by_type[GRAFT_NETNS_A_LABEL]),
				  ret);
	ret->pid = (int)get_u32(&netns, GRAFT_NETNS_A_PID);
	if (ret->pid > 0)
		ret->kind = NETNS_PID;
	return 0;
}

static int read_rule(const struct nlattr *attr, struct access *ret)
{
	struct attributes rule = { .kinds = rule_kinds, .max = GRAFT_RULE_A_MAX };

	if (mnl_attr_parse_nested(attr, take, &rule) < 0)
		return -EBADMSG;
	ret->uses = get_u32(&rule, GRAFT_RULE_A_USES) & GRAFT_USE_ALL;
	ret->has_uid = rule.by_type[GRAFT_RULE_A_UID];
	ret->has_gid = rule.by_type[GRAFT_RULE_A_GID];
	ret->uid = get_u32(&rule, GRAFT_RULE_A_UID);
	ret->gid = get_u32(&rule, GRAFT_RULE_A_GID);
	return ret->uses ? 0 : -EBADMSG;
}

static int read_access(const struct attributes *from, struct endpoint *ret)
{
	const struct nlattr *access = from->by_type[GRAFT_A_ACCESS], *attr;
	int r;

	if (!access)
		return 0;
	ret->access = calloc(ACCESS_MAX, sizeof(*ret->access));
	if (!ret->access)
		return -ENOMEM;
	mnl_attr_for_each_nested(attr, access) {
		if (ret->n_access == ACCESS_MAX)
			return -EBADMSG;
		r = read_rule(attr, &ret->access[ret->n_access]);
		if (r < 0)
			return r;
		ret->n_access++;
	}
	return 0;
}

static int parse(const struct nlmsghdr *message, struct attributes *ret)
{
	*ret = (struct attributes){ .kinds = endpoint_kinds, .max = GRAFT_A_MAX };
	if (mnl_attr_parse(message, GENL_HDRLEN, take, ret) < 0 ||
	    !ret->by_type[GRAFT_A_NAME])
		return -EBADMSG;
	return 0;
}

static int read_endpoint(const struct attributes *from, struct endpoint *ret)
{
	__attribute__((cleanup(endpoint_release))) struct endpoint endpoint = { 0 };
	const char *name = mnl_attr_get_str(from->by_type[GRAFT_A_NAME]);
	int r;

	endpoint.name = clean_copy(name, strlen(name));
	if (!endpoint.name)
		return -ENOMEM;
	r = read_place(from, &endpoint);
	if (r == 0)
		r = read_netns(from, &endpoint.netns);
	if (r == 0)
		r = read_access(from, &endpoint);
	if (r < 0)
		return r;
	if (get_u32(from, GRAFT_A_FLAGS) & GRAFT_F_SHARE)
		endpoint.options |= ENDPOINT_SHARE;
	*ret = endpoint;
	endpoint = (struct endpoint){ 0 };
	return 0;
}

int module_read(const struct nlmsghdr *message, struct wire_endpoint *ret_told,
		struct endpoint *ret)
{
	struct attributes from;
	int r = parse(message, &from);

	if (r == 0)
		r = read_endpoint(&from, ret);
	if (r < 0)
		return r;
	*ret_told = (struct wire_endpoint){
		.uid = get_u32(&from, GRAFT_A_UID),
		.port = get_port(&from, GRAFT_A_BOUND),
		.n_binds = get_u64(&from, GRAFT_A_BINDS),
		.n_connects = get_u64(&from, GRAFT_A_CONNECTS),
		.n_denied = get_u64(&from, GRAFT_A_DENIALS),
	};
	wire_set_text(ret_told->state, sizeof(ret_told->state),
		      get_u32(&from, GRAFT_A_SOCKETS) ? "bound" : "idle");
	return 0;
}

/* Its line, as graftd tells of one that was added. */
static int set_line(const struct attributes *from, struct wire_event *event)
{
	char line[sizeof(event->text) + sizeof(PRINTED_WORD)];
	struct endpoint endpoint;
	int r = read_endpoint(from, &endpoint);

	if (r < 0)
		return r;
	policy_print_endpoint(&endpoint, line, sizeof(line));
	wire_set_text(event->text, sizeof(event->text), line + strlen(PRINTED_WORD));
	endpoint_release(&endpoint);
	return 0;
}

int module_read_event(const struct nlmsghdr *message, struct wire_event *ret)
{
	static const char *const kinds[GRAFT_CMD_MAX + 1] = {
		[GRAFT_CMD_ENDPOINT_NEW] = "add",
		[GRAFT_CMD_ENDPOINT_DEL] = "del",
		[GRAFT_CMD_ENDPOINT_BIND] = "bind",
		[GRAFT_CMD_ENDPOINT_RELEASE] = "release",
		[GRAFT_CMD_ENDPOINT_CONNECT] = "connect",
		[GRAFT_CMD_ENDPOINT_DENY] = "deny",
	};
	const struct genlmsghdr *header = mnl_nlmsg_get_payload(message);
	struct wire_event event = { .pid = 0 };
	struct attributes from;
	int r;

	if (mnl_nlmsg_get_payload_len(message) < GENL_HDRLEN)
		return -EBADMSG;
	if (header->cmd > GRAFT_CMD_MAX || !kinds[header->cmd])
		return 0;
	r = parse(message, &from);
	if (r == 0 && header->cmd == GRAFT_CMD_ENDPOINT_NEW)
		r = set_line(&from, &event);
	if (r < 0)
		return r;
	wire_set_text(event.kind, sizeof(event.kind), kinds[header->cmd]);
	wire_set_text(event.name, sizeof(event.name),
		      mnl_attr_get_str(from.by_type[GRAFT_A_NAME]));
	event.uid = get_u32(&from, GRAFT_A_UID);
	event.pid = get_u32(&from, GRAFT_A_PID);
	*ret = event;
	return 1;
}
