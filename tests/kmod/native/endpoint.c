/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Endpoints by version 1 of the netlink family, in the network namespace the caller is
 * in.
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <stddef.h>

#include "native.h"

static char buffer[8192];

static struct nlmsghdr *begin(uint16_t type, uint8_t command, uint16_t flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *header;

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	message->nlmsg_seq = 1;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->cmd = command;
	header->version = AF_GRAFT_GENL_VERSION;
	return message;
}

static int take_id(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
		*(uint16_t *)data = mnl_attr_get_u16(attr);
	return MNL_CB_OK;
}

static int take_family(const struct nlmsghdr *message, void *data)
{
	mnl_attr_parse(message, sizeof(struct genlmsghdr), take_id, data);
	return MNL_CB_OK;
}

static int ask(struct mnl_socket *socket, struct nlmsghdr *message, mnl_cb_t take,
	       void *data)
{
	ssize_t n;

	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		if (n < 0)
			return -errno;
		n = mnl_cb_run(buffer, (size_t)n, 1, mnl_socket_get_portid(socket), take,
			       data);
	} while (n > 0);
	return n < 0 ? -errno : 0;
}

static struct mnl_socket *open_family(uint16_t *ret)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	struct nlmsghdr *message;

	need(socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0);
	*ret = 0;
	message = begin(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, AF_GRAFT_GENL_NAME);
	need(ask(socket, message, take_family, ret) == 0 && *ret);
	return socket;
}

static void put_address(struct nlmsghdr *message, const struct endpoint *endpoint)
{
	struct in6_addr address;
	size_t size = endpoint->family == AF_INET ? 4 : 16;

	if (endpoint->family == AF_UNIX) {
		char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
		size_t len = strlen(endpoint->path);

		memcpy(path, endpoint->path, len);
		if (path[0] == '@')
			path[0] = '\0';
		mnl_attr_put(message, GRAFT_A_PATH, len, path);
		return;
	}
	if (endpoint->address) {
		need(inet_pton(endpoint->family, endpoint->address, &address) == 1);
		mnl_attr_put(message, GRAFT_A_ADDRESS, size, &address);
	}
	if (endpoint->port)
		mnl_attr_put_u16(message, GRAFT_A_PORT, htons(endpoint->port));
	if (endpoint->scope)
		mnl_attr_put_u32(message, GRAFT_A_SCOPE, endpoint->scope);
}

static void put_rule(struct nlmsghdr *message, const struct endpoint *endpoint)
{
	struct nlattr *access = mnl_attr_nest_start(message, GRAFT_A_ACCESS);
	struct nlattr *rule = mnl_attr_nest_start(message, GRAFT_A_RULE);

	mnl_attr_put_u32(message, GRAFT_RULE_A_USES,
			 endpoint->uses ? endpoint->uses : GRAFT_USE_ALL);
	if (endpoint->uid >= 0)
		mnl_attr_put_u32(message, GRAFT_RULE_A_UID, (uint32_t)endpoint->uid);
	mnl_attr_nest_end(message, rule);
	mnl_attr_nest_end(message, access);
}

static int add_by(struct mnl_socket *socket, uint16_t family,
		  const struct endpoint *endpoint)
{
	struct nlmsghdr *message = begin(family, GRAFT_CMD_ENDPOINT_NEW, NLM_F_ACK);
	struct nlattr *nest;

	mnl_attr_put_strz(message, GRAFT_A_NAME, endpoint->name);
	mnl_attr_put_u16(message, GRAFT_A_FAMILY, (uint16_t)endpoint->family);
	if (endpoint->family != AF_UNSPEC)
		put_address(message, endpoint);
	if (endpoint->netns >= 0) {
		nest = mnl_attr_nest_start(message, GRAFT_A_NETNS);
		mnl_attr_put_u32(message, GRAFT_NETNS_A_FD, (uint32_t)endpoint->netns);
		mnl_attr_nest_end(message, nest);
	}
	if (endpoint->flags)
		mnl_attr_put_u32(message, GRAFT_A_FLAGS, endpoint->flags);
	if (endpoint->has_rule)
		put_rule(message, endpoint);
	return ask(socket, message, NULL, NULL);
}

int add(const struct endpoint *endpoint)
{
	uint16_t family;
	struct mnl_socket *socket = open_family(&family);
	int r = add_by(socket, family, endpoint);

	mnl_socket_close(socket);
	return r;
}

void add_many(const char *format, int n)
{
	char name[AF_GRAFT_EPNAME_MAX + 1];
	const struct endpoint endpoint = {
		.name = name,
		.family = AF_INET,
		.address = "127.0.0.1",
		.netns = host_netns,
	};
	uint16_t family;
	struct mnl_socket *socket = open_family(&family);

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), format, i);
		need(add_by(socket, family, &endpoint) == 0);
	}
	mnl_socket_close(socket);
}

int del(const char *name)
{
	uint16_t family;
	struct mnl_socket *socket = open_family(&family);
	struct nlmsghdr *message = begin(family, GRAFT_CMD_ENDPOINT_DEL, NLM_F_ACK);
	int r;

	mnl_attr_put_strz(message, GRAFT_A_NAME, name);
	r = ask(socket, message, NULL, NULL);
	mnl_socket_close(socket);
	return r;
}

void add_kind(const char *name, int family, const char *address, uint16_t port, int netns)
{
	const struct endpoint endpoint = {
		.name = name,
		.family = family,
		.address = address,
		.port = port,
		.path = address,
		.netns = netns,
	};
	int r = add(&endpoint);

	errno = -r;
	need(r == 0);
}

void add_host(const char *name, uint16_t port)
{
	add_kind(name, AF_INET, "127.0.0.1", port, host_netns);
}
