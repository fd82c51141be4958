/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Before <linux/in.h>, which leaves out what this has. */
#include <netinet/in.h>

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/conntrack.h"

#define FORGET_MAX 4096 /* entries at a time */
#define TUPLE_SIZE 128

/* An entry, by what it was before any translation. */
struct entry {
	uint8_t family;
	uint16_t size;
	char tuple[TUPLE_SIZE]; /* the attributes in CTA_TUPLE_ORIG */
	bool has_zone;
	uint16_t zone;
};

struct search {
	const uint16_t *ports;
	size_t n_ports;
	struct entry *found;
	size_t n;
};

static bool is_wanted(const struct search *search, const struct nlattr *tuple)
{
	const struct nlattr *part, *field;
	uint8_t protocol = 0;
	uint16_t port = 0;

	mnl_attr_for_each_nested(part, tuple) {
		if (mnl_attr_get_type(part) != CTA_TUPLE_PROTO)
			continue;
		mnl_attr_for_each_nested(field, part) {
			if (mnl_attr_get_type(field) == CTA_PROTO_NUM)
				protocol = mnl_attr_get_u8(field);
			if (mnl_attr_get_type(field) == CTA_PROTO_DST_PORT)
				port = ntohs(mnl_attr_get_u16(field));
		}
	}
	for (size_t i = 0; protocol == IPPROTO_UDP && i < search->n_ports; i++)
		if (search->ports[i] == port)
			return true;
	return false;
}

static int take(const struct nlmsghdr *message, void *context)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	struct search *search = context;
	struct entry *entry = &search->found[search->n];
	const struct nlattr *attr, *tuple = NULL;

	if (search->n == FORGET_MAX)
		return MNL_CB_OK;
	*entry = (struct entry){ .family = header->nfgen_family };
	mnl_attr_for_each(attr, message, sizeof(*header))
	{
		if (mnl_attr_get_type(attr) == CTA_TUPLE_ORIG)
			tuple = attr;
		if (mnl_attr_get_type(attr) == CTA_ZONE) {
			entry->has_zone = true;
			entry->zone = mnl_attr_get_u16(attr);
		}
	}
	if (!tuple || mnl_attr_get_payload_len(tuple) > TUPLE_SIZE ||
	    !is_wanted(search, tuple))
		return MNL_CB_OK;
	entry->size = mnl_attr_get_payload_len(tuple);
	memcpy(entry->tuple, mnl_attr_get_payload(tuple), entry->size);
	search->n++;
	return MNL_CB_OK;
}

static struct nlmsghdr *begin(void *buffer, uint16_t command, uint16_t flags,
			      uint8_t family)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *header;

	message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | command);
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	return message;
}

static int find(struct mnl_socket *socket, struct search *search)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *message =
		begin(buffer, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC);
	ssize_t n;
	int r;

	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		if (n < 0)
			return -errno;
		r = mnl_cb_run(buffer, (size_t)n, 0, 0, take, search);
	} while (r > 0);
	return r < 0 ? -errno : 0;
}

/* One that has gone by itself is no error. */
static int delete (struct mnl_socket *socket, const struct entry *entry)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *message =
		begin(buffer, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, entry->family);
	ssize_t n;

	mnl_attr_put(message, CTA_TUPLE_ORIG | NLA_F_NESTED, entry->size, entry->tuple);
	if (entry->has_zone)
		mnl_attr_put_u16(message, CTA_ZONE, entry->zone);
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (n < 0)
		return -errno;
	return mnl_cb_run(buffer, (size_t)n, 0, 0, NULL, NULL) < 0 && errno != ENOENT
		       ? -errno
		       : 0;
}

int conntrack_forget(const uint16_t *ports, size_t n)
{
	_cleanup_free_ struct entry *found = calloc(FORGET_MAX + 1, sizeof(*found));
	struct search search = { ports, n, found, 0 };
	struct mnl_socket *socket;
	int r = 0;

	if (!found)
		return -ENOMEM;
	socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		r = -errno;
	if (r == 0)
		r = find(socket, &search);
	for (size_t i = 0; r == 0 && i < search.n; i++)
		r = delete (socket, &found[i]);
	mnl_socket_close(socket);
	return r;
}
