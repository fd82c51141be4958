/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rtnetlink, by hand: three messages of one attribute.
 *
 *	RTM_GETNSID	by descriptor or number: is there one?
 *	RTM_NEWNSID	give it one
 *	RTM_DELNSID	from the kernel (RTNLGRP_NSID): the namespace is gone
 */
#include <errno.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/event.h"
#include "base/fd.h"
#include "broker/nsid.h"

#ifndef SOL_NETLINK
#	define SOL_NETLINK 270
#endif

#define ANSWER_SIZE 4096
#define ANY_NUMBER  (-1) /* to be picked by the kernel; or: there is none */

struct nsid {
	struct event_source source;
	struct event_loop *loop;
	const struct nsid_ops *ops;
	void *context;
	int events; /* subscribed */
	int asks;
};

struct attribute {
	struct nlattr head;
	int32_t value;
};

struct ask {
	struct nlmsghdr head;
	struct rtgenmsg family;
	char padding[NLMSG_ALIGN(sizeof(struct rtgenmsg)) - sizeof(struct rtgenmsg)];
	struct attribute attributes[2];
};

static struct attribute attribute(uint16_t type, int value)
{
	return (struct attribute){
		.head = { .nla_len = sizeof(struct attribute), .nla_type = type },
		.value = value,
	};
}

/* Return: the number in @message, ANY_NUMBER for none, or the error it tells. */
static int read_number(const struct nlmsghdr *message)
{
	const struct nlmsgerr *error = NLMSG_DATA(message);
	size_t at = NLMSG_SPACE(sizeof(struct rtgenmsg));

	if (message->nlmsg_type == NLMSG_ERROR)
		return error->error ? error->error : 0;
	while (at + sizeof(struct attribute) <= message->nlmsg_len) {
		struct attribute found;

		memcpy(&found, (const char *)message + at, sizeof(found));
		if (found.head.nla_len < sizeof(found.head))
			break;
		if (found.head.nla_type == NETNSA_NSID &&
		    found.head.nla_len == sizeof(found))
			return found.value;
		at += NLA_ALIGN(found.head.nla_len);
	}
	return ANY_NUMBER;
}

/* Return: as read_number(), or -errno below ANY_NUMBER: -EPERM is -1, and told apart by
 * the caller's knowing what it asked. */
static int ask(struct nsid *nsid, uint16_t type, uint16_t flags,
	       const struct attribute *attributes, size_t n, int *ret)
{
	struct ask message = {
		.head = { .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags },
		.family = { .rtgen_family = AF_UNSPEC },
	};
	_Alignas(struct nlmsghdr) char answer[ANSWER_SIZE];
	const struct nlmsghdr *head = (const void *)answer;
	ssize_t size;

	memcpy(message.attributes, attributes, n * sizeof(*attributes));
	message.head.nlmsg_len =
		(uint32_t)(offsetof(struct ask, attributes) + n * sizeof(*attributes));
	if (send(nsid->asks, &message, message.head.nlmsg_len, 0) < 0)
		return -errno;
	size = recv(nsid->asks, answer, sizeof(answer), 0);
	if (size < 0)
		return -errno;
	if (!NLMSG_OK(head, (size_t)size))
		return -EPROTO;
	*ret = read_number(head);
	return head->nlmsg_type == NLMSG_ERROR && *ret < 0 ? *ret : 0;
}

static int find(struct nsid *nsid, uint16_t by, int value, int *ret)
{
	const struct attribute what = attribute(by, value);

	return ask(nsid, RTM_GETNSID, 0, &what, 1, ret);
}

int nsid_of(struct nsid *nsid, int netns)
{
	const struct attribute what[] = { attribute(NETNSA_FD, netns),
					  attribute(NETNSA_NSID, ANY_NUMBER) };
	int number, r = find(nsid, NETNSA_FD, netns, &number);

	if (r < 0 || number >= 0)
		return r < 0 ? r : number;
	r = ask(nsid, RTM_NEWNSID, NLM_F_ACK, what, 2, &number);
	if (r < 0 && r != -EEXIST)
		return r;
	r = find(nsid, NETNSA_FD, netns, &number);
	if (r < 0)
		return r;
	return number >= 0 ? number : -ENOENT;
}

int nsid_is_there(struct nsid *nsid, int number)
{
	int found, r = find(nsid, NETNSA_NSID, number, &found);

	/* Kernels differ in how they say no. */
	if (r == -ENOENT || r == -EINVAL)
		return 0;
	return r < 0 ? r : 1;
}

static void hear(struct nsid *nsid, const char *data, size_t size)
{
	const struct nlmsghdr *head = (const void *)data;

	for (; NLMSG_OK(head, size); head = NLMSG_NEXT(head, size)) {
		int number =
			head->nlmsg_type == RTM_DELNSID ? read_number(head) : ANY_NUMBER;

		if (number >= 0)
			nsid->ops->gone(nsid->context, number);
	}
}

static void events_ready(struct event_source *source, uint32_t events)
{
	struct nsid *nsid = container_of(source, struct nsid, source);
	_Alignas(struct nlmsghdr) char data[ANSWER_SIZE];
	ssize_t n = recv(nsid->events, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0)
		hear(nsid, data, (size_t)n);
	else if (n < 0 && errno == ENOBUFS)
		nsid->ops->missed(nsid->context);
}

int nsid_new(struct nsid **ret, struct event_loop *loop, const struct nsid_ops *ops,
	     void *context)
{
	/* A socket without a number of its own hears nothing. */
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	const int type = SOCK_RAW | SOCK_CLOEXEC, group = RTNLGRP_NSID;
	struct nsid *nsid = calloc(1, sizeof(*nsid));
	int r;

	if (!nsid)
		return -ENOMEM;
	nsid->source.ready = events_ready;
	nsid->loop = loop;
	nsid->ops = ops;
	nsid->context = context;
	nsid->asks = socket(AF_NETLINK, type, NETLINK_ROUTE);
	nsid->events = socket(AF_NETLINK, type, NETLINK_ROUTE);
	if (nsid->asks < 0 || nsid->events < 0 ||
	    bind(nsid->events, (const struct sockaddr *)&any, sizeof(any)) < 0 ||
	    setsockopt(nsid->events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
		       sizeof(group)) < 0)
		r = -errno;
	else
		r = event_loop_add(loop, nsid->events, EPOLLIN, &nsid->source);
	if (r < 0) {
		nsid_free(nsid);
		return r;
	}
	*ret = nsid;
	return 0;
}

struct nsid *nsid_free(struct nsid *nsid)
{
	if (!nsid)
		return NULL;
	if (nsid->events >= 0)
		event_loop_del(nsid->loop, nsid->events, &nsid->source);
	fd_close(nsid->events);
	fd_close(nsid->asks);
	free(nsid);
	return NULL;
}
