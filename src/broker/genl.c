/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "broker/genl.h"
#include "wire/wire.h"

#ifndef SO_NETNS_COOKIE
#	define SO_NETNS_COOKIE 71
#endif

#define EVENTS_ROOM (4 << 20) /* bytes of events that wait for us */
#define NEWS_GROUP  "notify"

/* --- asking ------------------------------------------------------------------------- */

static struct nlmsghdr *begin(struct genl *genl, void *buffer, uint16_t family,
			      uint16_t flags, uint8_t command)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *header;

	message->nlmsg_type = family;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	message->nlmsg_seq = ++genl->seq;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->cmd = command;
	header->version = 1;
	return message;
}

struct nlmsghdr *genl_begin(struct genl *genl, void *buffer, uint16_t flags,
			    uint8_t command)
{
	return begin(genl, buffer, genl->family, flags, command);
}

static int take_text(const struct nlattr *attr, void *context)
{
	const char **text = context;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		*text = mnl_attr_get_str(attr);
	return MNL_CB_OK;
}

/* Of NLMSG_ERROR, and of NLMSG_DONE, which has the number alone. Return: 0, or 1. */
static int read_error(const struct nlmsghdr *message, struct wire_error *ret)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);
	size_t size = mnl_nlmsg_get_payload_len(message);
	unsigned int offset = sizeof(*error);
	const char *text = "";

	if (size < sizeof(error->error) || error->error >= 0)
		return 0;
	if (message->nlmsg_type == NLMSG_DONE)
		offset = sizeof(error->error);
	else if (size >= sizeof(*error) && !(message->nlmsg_flags & NLM_F_CAPPED))
		offset += error->msg.nlmsg_len - sizeof(error->msg);
	if (message->nlmsg_flags & NLM_F_ACK_TLVS && offset <= size)
		mnl_attr_parse(message, offset, take_text, &text);
	ret->number = (uint32_t)-error->error;
	wire_set_text(ret->text, sizeof(ret->text), text);
	return 1;
}

/* One piece of an answer. Return: as genl_ask(), or -EAGAIN: there is more. */
static int take_piece(const struct nlmsghdr *at, int left, uint32_t seq, genl_take *take,
		      void *context, struct wire_error *ret_error)
{
	for (; mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left)) {
		int r = 0;

		if (at->nlmsg_seq != seq)
			continue;
		if (at->nlmsg_type == NLMSG_ERROR || at->nlmsg_type == NLMSG_DONE)
			return read_error(at, ret_error);
		if (take)
			r = take(at, context);
		if (r != 0)
			return r;
	}
	return -EAGAIN;
}

static ssize_t receive(struct genl *genl)
{
	ssize_t n;

	do
		n = mnl_socket_recvfrom(genl->socket, genl->buffer, sizeof(genl->buffer));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int genl_ask(struct genl *genl, const struct nlmsghdr *request, genl_take *take,
	     void *context, struct wire_error *ret_error)
{
	int r = -EAGAIN;

	if (mnl_socket_sendto(genl->socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (r == -EAGAIN) {
		ssize_t n = receive(genl);

		if (n < 0)
			return (int)n;
		r = take_piece((const void *)genl->buffer, (int)n, request->nlmsg_seq,
			       take, context, ret_error);
	}
	return r;
}

/* --- opening ------------------------------------------------------------------------ */

/* What is known of the family whose message is being read. */
struct search {
	const char *family, *group;
	uint16_t id;
	uint32_t group_id, news_id;
};

struct found {
	const char *name;
	uint32_t id;
	const struct nlattr *groups;
};

static int take_group(const struct nlattr *attr, void *context)
{
	struct found *group = context;

	if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_NAME &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		group->name = mnl_attr_get_str(attr);
	if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_ID &&
	    mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
		group->id = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

static uint32_t find_group(const struct nlattr *groups, const char *name)
{
	const struct nlattr *attr;

	if (!groups)
		return 0;
	mnl_attr_for_each_nested(attr, groups) {
		struct found group = { .name = "" };

		mnl_attr_parse_nested(attr, take_group, &group);
		if (!strcmp(group.name, name))
			return group.id;
	}
	return 0;
}

static int take_family(const struct nlattr *attr, void *context)
{
	struct found *family = context;

	switch (mnl_attr_get_type(attr)) {
	case CTRL_ATTR_FAMILY_NAME:
		if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			family->name = mnl_attr_get_str(attr);
		break;
	case CTRL_ATTR_FAMILY_ID:
		if (mnl_attr_validate(attr, MNL_TYPE_U16) >= 0)
			family->id = mnl_attr_get_u16(attr);
		break;
	case CTRL_ATTR_MCAST_GROUPS:
		family->groups = attr;
		break;
	}
	return MNL_CB_OK;
}

static int look_at_family(const struct nlmsghdr *message, void *context)
{
	struct search *search = context;
	struct found family = { .name = "" };

	mnl_attr_parse(message, GENL_HDRLEN, take_family, &family);
	if (family.id == GENL_ID_CTRL)
		search->news_id = find_group(family.groups, NEWS_GROUP);
	if (!strcmp(family.name, search->family)) {
		search->id = (uint16_t)family.id;
		search->group_id = find_group(family.groups, search->group);
	}
	return 0;
}

static int find_family(struct genl *genl, const char *family, const char *group)
{
	_Alignas(NLMSG_ALIGNTO) char buffer[MNL_NLMSG_HDRLEN + GENL_HDRLEN];
	struct search search = { .family = family, .group = group };
	struct wire_error error = { .number = 0 };
	int r = genl_ask(genl,
			 begin(genl, buffer, GENL_ID_CTRL, NLM_F_DUMP,
			       CTRL_CMD_GETFAMILY),
			 look_at_family, &search, &error);

	if (r != 0)
		return r < 0 ? r : -(int)error.number;
	genl->family = search.id;
	genl->group = search.group_id;
	genl->news_group = search.news_id;
	return search.id != 0;
}

int genl_open(struct genl *genl, int fd, const char *family, const char *group)
{
	int on = 1;

	memset(genl, 0, sizeof(*genl));
	genl->socket = fd < 0 ? mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC)
			      : mnl_socket_fdopen(fd);
	if (!genl->socket) {
		int r = -errno;

		fd_close(fd);
		return r;
	}
	if (mnl_socket_bind(genl->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* Without them an error is a number only, or comes with all we had sent. */
	mnl_socket_setsockopt(genl->socket, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(genl->socket, NETLINK_CAP_ACK, &on, sizeof(on));
	return find_family(genl, family, group);
}

void genl_close(struct genl *genl)
{
	if (genl->socket)
		mnl_socket_close(genl->socket);
	genl->socket = NULL;
}

uint64_t genl_netns(const struct genl *genl)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	getsockopt(mnl_socket_get_fd(genl->socket), SOL_SOCKET, SO_NETNS_COOKIE, &cookie,
		   &size);
	return cookie;
}

/* --- listening ---------------------------------------------------------------------- */

int genl_join(struct genl *genl)
{
	int room = EVENTS_ROOM, fd = mnl_socket_get_fd(genl->socket);

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (mnl_socket_setsockopt(genl->socket, NETLINK_ADD_MEMBERSHIP, &genl->group,
				  sizeof(genl->group)) < 0 ||
	    mnl_socket_setsockopt(genl->socket, NETLINK_ADD_MEMBERSHIP, &genl->news_group,
				  sizeof(genl->news_group)) < 0)
		return -errno;
	return 0;
}

/* Whether @message says that our family is gone. */
static bool is_end(const struct genl *genl, const struct nlmsghdr *message)
{
	const struct genlmsghdr *header = mnl_nlmsg_get_payload(message);
	struct found family = { .name = "" };

	if (message->nlmsg_type != GENL_ID_CTRL ||
	    mnl_nlmsg_get_payload_len(message) < GENL_HDRLEN ||
	    header->cmd != CTRL_CMD_DELFAMILY)
		return false;
	mnl_attr_parse(message, GENL_HDRLEN, take_family, &family);
	return family.id == genl->family;
}

int genl_next(struct genl *genl, const struct nlmsghdr **ret)
{
	for (;;) {
		const struct nlmsghdr *at = (const void *)(genl->buffer + genl->at);
		int left = (int)(genl->end - genl->at);

		if (!mnl_nlmsg_ok(at, left)) {
			ssize_t n = receive(genl);

			if (n < 0)
				return (int)n;
			genl->at = 0;
			genl->end = (size_t)n;
			continue;
		}
		genl->at += NLMSG_ALIGN(at->nlmsg_len);
		if (genl->at > genl->end)
			genl->at = genl->end;
		if (is_end(genl, at))
			return -ECONNRESET;
		if (at->nlmsg_type == genl->family) {
			*ret = at;
			return 0;
		}
	}
}
