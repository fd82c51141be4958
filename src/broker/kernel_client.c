/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/graft.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "broker/kernel_client.h"
#include "policy/policy.h"

#define MESSAGE_SIZE 16384
#define TEXT_SIZE    128

struct kernel_client {
	int fd;
	uint16_t family; /* of the netlink messages */
	uint32_t sequence;
	char text[TEXT_SIZE];
	_Alignas(struct nlmsghdr) char message[MESSAGE_SIZE];
};

/* --- messages --- */

static struct nlmsghdr *begin(struct kernel_client *client, uint16_t type,
			      uint8_t command, uint16_t flags)
{
	struct nlmsghdr *head = mnl_nlmsg_put_header(client->message);
	struct genlmsghdr *genl;

	head->nlmsg_type = type;
	head->nlmsg_flags = NLM_F_REQUEST | flags;
	head->nlmsg_seq = ++client->sequence;
	genl = mnl_nlmsg_put_extra_header(head, sizeof(*genl));
	genl->cmd = command;
	genl->version = AF_GRAFT_GENL_VERSION;
	return head;
}

static int keep_text(const struct nlattr *attribute, void *context)
{
	struct kernel_client *client = context;

	if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
		strncpy(client->text, mnl_attr_get_str(attribute), TEXT_SIZE - 1);
	return MNL_CB_OK;
}

/* Return: what @head, an NLMSG_ERROR, says. */
static int read_error(struct kernel_client *client, const struct nlmsghdr *head)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(head);
	size_t offset = sizeof(*error);

	if (head->nlmsg_len < mnl_nlmsg_size(sizeof(*error)))
		return -EBADMSG;
	if (!(head->nlmsg_flags & NLM_F_CAPPED))
		offset += error->msg.nlmsg_len - sizeof(error->msg);
	if (head->nlmsg_flags & NLM_F_ACK_TLVS &&
	    mnl_nlmsg_size(offset) < head->nlmsg_len)
		mnl_attr_parse(head, (unsigned int)offset, keep_text, client);
	return error->error;
}

typedef void answer_taken(const struct nlmsghdr *head, void *context);

/* Takes answers until the last. Return: 0 or -errno. */
static int receive(struct kernel_client *client, answer_taken *taken, void *context)
{
	for (;;) {
		ssize_t n = recv(client->fd, client->message, MESSAGE_SIZE, 0);
		const struct nlmsghdr *head = (const struct nlmsghdr *)client->message;
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (; mnl_nlmsg_ok(head, left); head = mnl_nlmsg_next(head, &left)) {
			if (head->nlmsg_seq != client->sequence)
				continue;
			if (head->nlmsg_type == NLMSG_DONE)
				return 0;
			if (head->nlmsg_type == NLMSG_ERROR)
				return read_error(client, head);
			if (taken)
				taken(head, context);
		}
	}
}

static int ask(struct kernel_client *client, const struct nlmsghdr *head,
	       answer_taken *taken, void *context)
{
	client->text[0] = '\0';
	if (send(client->fd, head, head->nlmsg_len, 0) < 0)
		return -errno;
	return receive(client, taken, context);
}

/* --- life --- */

static int take_family(const struct nlattr *attribute, void *context)
{
	if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID)
		*(uint16_t *)context = mnl_attr_get_u16(attribute);
	return MNL_CB_OK;
}

static void family_taken(const struct nlmsghdr *head, void *context)
{
	mnl_attr_parse(head, sizeof(struct genlmsghdr), take_family, context);
}

static int find_family(struct kernel_client *client)
{
	struct nlmsghdr *head =
		begin(client, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	int r;

	mnl_attr_put_strz(head, CTRL_ATTR_FAMILY_NAME, AF_GRAFT_GENL_NAME);
	r = ask(client, head, family_taken, &client->family);
	return r == 0 && !client->family ? -ENOENT : r;
}

int kernel_client_new(struct kernel_client **ret, int socket_fd)
{
	_cleanup_(kernel_client_freep) struct kernel_client *client =
		calloc(1, sizeof(*client));
	const int on = 1;
	int r;

	if (!client) {
		fd_close(socket_fd);
		return -ENOMEM;
	}
	client->fd = socket_fd;
	if (socket_fd < 0)
		client->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (client->fd < 0)
		return -errno;
	setsockopt(client->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(client->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	r = find_family(client);
	if (r < 0)
		return r;
	*ret = steal_pointer(client);
	return 0;
}

struct kernel_client *kernel_client_free(struct kernel_client *client)
{
	if (client)
		fd_close(client->fd);
	free(client);
	return NULL;
}

void kernel_client_freep(struct kernel_client **client)
{
	kernel_client_free(*client);
}

const char *kernel_client_text(const struct kernel_client *client)
{
	return client->text;
}

/* --- adding --- */

static uint16_t family_of(const struct endpoint *endpoint)
{
	switch (endpoint->kind) {
	case ENDPOINT_IPV4:
		return AF_INET;
	case ENDPOINT_IPV6:
		return AF_INET6;
	case ENDPOINT_UNIX:
		return AF_UNIX;
	case ENDPOINT_NAMED:
		break;
	}
	return AF_UNSPEC;
}

/* "@NAME" is abstract, and begins with NUL in the kernel. */
static void put_path(struct nlmsghdr *head, const char *text)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)] = "";
	size_t size = strnlen(text, sizeof(path));

	memcpy(path, text, size);
	if (path[0] == '@')
		path[0] = '\0';
	mnl_attr_put(head, GRAFT_A_PATH, size, path);
}

static void put_place(struct nlmsghdr *head, const struct endpoint *endpoint)
{
	mnl_attr_put_u16(head, GRAFT_A_FAMILY, family_of(endpoint));
	switch (endpoint->kind) {
	case ENDPOINT_IPV4:
		mnl_attr_put(head, GRAFT_A_ADDRESS, sizeof(endpoint->v4), &endpoint->v4);
		break;
	case ENDPOINT_IPV6:
		mnl_attr_put(head, GRAFT_A_ADDRESS, sizeof(endpoint->v6), &endpoint->v6);
		break;
	case ENDPOINT_UNIX:
		put_path(head, endpoint->path);
		return;
	case ENDPOINT_NAMED:
		return;
	}
	if (!endpoint->dynamic)
		mnl_attr_put_u16(head, GRAFT_A_PORT, htons(endpoint->port));
}

static void put_rule(struct nlmsghdr *head, const struct access *access)
{
	struct nlattr *rule = mnl_attr_nest_start(head, GRAFT_A_RULE);
	uint32_t uses = 0;

	if (!access || access->uses & ACCESS_BIND)
		uses |= GRAFT_USE_BIND;
	if (!access || access->uses & ACCESS_CONNECT)
		uses |= GRAFT_USE_CONNECT;
	mnl_attr_put_u32(head, GRAFT_RULE_A_USES, uses);
	if (access && access->has_uid)
		mnl_attr_put_u32(head, GRAFT_RULE_A_UID, access->uid);
	if (access && access->has_gid)
		mnl_attr_put_u32(head, GRAFT_RULE_A_GID, access->gid);
	mnl_attr_nest_end(head, rule);
}

static int put_access(struct nlmsghdr *head, const struct kernel_addition *addition)
{
	const struct endpoint *endpoint = addition->endpoint;
	size_t n = addition->is_for_all || !endpoint ? 0 : endpoint->n_access;
	struct nlattr *all;

	if (!n && !addition->is_for_all)
		return 0;
	all = mnl_attr_nest_start(head, GRAFT_A_ACCESS);
	if (addition->is_for_all)
		put_rule(head, NULL);
	for (size_t i = 0; i < n; i++) {
		const struct access *access = &endpoint->access[i];

		if (access->netns.kind != NETNS_DEFAULT || access->cgroup)
			return -EOPNOTSUPP;
		put_rule(head, access);
	}
	mnl_attr_nest_end(head, all);
	return 0;
}

static void put_netns(struct nlmsghdr *head, const struct kernel_addition *addition)
{
	struct nlattr *netns;

	if (addition->netns < 0)
		return;
	netns = mnl_attr_nest_start(head, GRAFT_A_NETNS);
	mnl_attr_put_u32(head, GRAFT_NETNS_A_FD, (uint32_t)addition->netns);
	if (addition->label)
		mnl_attr_put_strz(head, GRAFT_NETNS_A_LABEL, addition->label);
	mnl_attr_nest_end(head, netns);
}

int kernel_client_add(struct kernel_client *client,
		      const struct kernel_addition *addition)
{
	struct nlmsghdr *head =
		begin(client, client->family, GRAFT_CMD_ENDPOINT_NEW, NLM_F_ACK);
	const struct endpoint *endpoint = addition->endpoint;
	int r;

	mnl_attr_put_strz(head, GRAFT_A_NAME, addition->name);
	if (endpoint)
		put_place(head, endpoint);
	else
		mnl_attr_put_u16(head, GRAFT_A_FAMILY, AF_UNSPEC);
	put_netns(head, addition);
	if (endpoint && endpoint->options & ENDPOINT_SHARE)
		mnl_attr_put_u32(head, GRAFT_A_FLAGS, GRAFT_F_SHARE);
	r = put_access(head, addition);
	return r < 0 ? r : ask(client, head, NULL, NULL);
}

int kernel_client_del(struct kernel_client *client, const char *name)
{
	struct nlmsghdr *head =
		begin(client, client->family, GRAFT_CMD_ENDPOINT_DEL, NLM_F_ACK);

	mnl_attr_put_strz(head, GRAFT_A_NAME, name);
	return ask(client, head, NULL, NULL);
}

/* --- asking --- */

static int count_attribute(const struct nlattr *attribute, void *context)
{
	struct kernel_totals *totals = context;

	switch (mnl_attr_get_type(attribute)) {
	case GRAFT_A_BINDS:
		totals->n_binds += mnl_attr_get_u64(attribute);
		break;
	case GRAFT_A_CONNECTS:
		totals->n_connects += mnl_attr_get_u64(attribute);
		break;
	case GRAFT_A_DENIALS:
		totals->n_denials += mnl_attr_get_u64(attribute);
		break;
	}
	return MNL_CB_OK;
}

static void count(const struct nlmsghdr *head, void *context)
{
	struct kernel_totals *totals = context;

	totals->n_endpoints++;
	mnl_attr_parse(head, sizeof(struct genlmsghdr), count_attribute, totals);
}

int kernel_client_count(struct kernel_client *client, struct kernel_totals *ret)
{
	struct nlmsghdr *head =
		begin(client, client->family, GRAFT_CMD_ENDPOINT_GET, NLM_F_DUMP);
	struct kernel_totals totals = { 0 };
	int r = ask(client, head, count, &totals);

	if (r == 0)
		*ret = totals;
	return r;
}

bool kernel_client_has(struct kernel_client *client, const char *name)
{
	struct nlmsghdr *head =
		begin(client, client->family, GRAFT_CMD_ENDPOINT_GET, NLM_F_ACK);

	mnl_attr_put_strz(head, GRAFT_A_NAME, name);
	return ask(client, head, NULL, NULL) == 0;
}
