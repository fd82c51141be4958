/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sendto, sendmsg, sendmmsg: the sends that can name an address. Each address is judged
 * by itself; the data goes to the kernel as it came.
 *
 * A stream has no use for an address, but with MSG_FASTOPEN, which connects.
 */
#include <errno.h>
#include <string.h>

#include "intercept/preload/calls.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/module.h"
#include "intercept/preload/state.h"
#include "intercept/preload/view.h"

#define BATCH_MAX 1024 /* messages of one sendmmsg; the kernel's own limit */

#ifndef IPV6_2292RTHDR
#	define IPV6_2292RTHDR 5
#endif

/* Leads nowhere in any program: the kernel's to refuse. */
static bool is_wild(const void *pointer)
{
	return (uintptr_t)pointer < 4096;
}

/* Can an address make a difference? */
static bool concerns(const struct sockaddr *address, socklen_t len, int flags)
{
	const unsigned int datagrams = POLICY_UDP | POLICY_OTHER;

	if (!address || len < sizeof(sa_family_t) ||
	    len > sizeof(struct sockaddr_storage))
		return false;
	if (flags & MSG_FASTOPEN || view_is_on(VIEW_UNIX) || graft_is_on() ||
	    len == sizeof(struct sockaddr_gr))
		return true;
	return (state.reach.bind_leaves | state.reach.connect_leaves |
		state.reach.denies) &
	       datagrams;
}

/* One send: who, and how, once the address is known. */
struct sending {
	int fd, flags;
	const struct msghdr *head; /* NULL: data and size */
	const void *data;
	size_t size;
};

static ssize_t send_to(const struct sending *sending, const void *address, socklen_t len)
{
	struct msghdr head;

	if (!sending->head)
		return sendto(sending->fd, sending->data, sending->size, sending->flags,
			      address, len);
	head = *sending->head;
	head.msg_name = (void *)address;
	head.msg_namelen = len;
	return sendmsg(sending->fd, &head, sending->flags);
}

/* Source routes would take a packet by way of an address nobody judged. */
static bool has_source_route(const struct msghdr *head)
{
	const char *at = head && !is_wild(head->msg_control) ? head->msg_control : NULL;
	size_t left = head ? head->msg_controllen : 0;

	while (at && left >= sizeof(struct cmsghdr)) {
		struct cmsghdr c;
		size_t step;

		memcpy(&c, at, sizeof(c));
		if (c.cmsg_level == IPPROTO_IP && c.cmsg_type == IP_RETOPTS)
			return true;
		if (c.cmsg_level == IPPROTO_IPV6 &&
		    (c.cmsg_type == IPV6_RTHDR || c.cmsg_type == IPV6_2292RTHDR))
			return true;
		step = CMSG_ALIGN(c.cmsg_len);
		if (c.cmsg_len < sizeof(c) || step > left)
			return false;
		at += step;
		left -= step;
	}
	return false;
}

/* A client of an AF_UNIX server of ours is answered under the address made up for it. */
static bool answers_unix(const struct subject *subject, struct route *route)
{
	socklen_t len;

	if (!subject->is_unix ||
	    !view_find_source(subject->number, &route->asked, &route->address.un, &len))
		return false;
	route->size = len;
	return true;
}

static ssize_t deliver(struct subject *subject, struct route *route,
		       const struct sending *sending)
{
	ssize_t result;
	int r = 0;

	/* The kernel takes AF_UNSPEC for AF_INET here, on AF_INET sockets. */
	if (subject->domain == AF_INET && route->asked.any.sa_family == AF_UNSPEC &&
	    !(sending->flags & MSG_FASTOPEN))
		route->asked.any.sa_family = AF_INET;
	if (!answers_unix(subject, route))
		r = prepare(subject, route);
	if (r == 0 && route->is_judged && has_source_route(sending->head))
		r = -EPERM;
	if (*route->via)
		route->size = module_address(route->via, &route->address);
	else if (r == 0 && route->is_judged)
		view_note_peer(subject->number, &route->address, &route->asked);
	result = r < 0 ? r : send_to(sending, &route->address, route->size);
	if (r == 0 && result < 0)
		result = -errno;
	return conclude(subject, route, result);
}

/* The same for an AF_GRAFT socket. */
static ssize_t deliver_named(struct route *route, const struct sending *sending)
{
	struct subject subject = { .number = sending->fd };
	int r = graft_prepare_send(sending->fd, &subject, route);
	ssize_t result;

	if (r == 0 && route->is_judged && has_source_route(sending->head))
		r = -EPERM;
	result = r < 0 ? r : send_to(sending, &route->address, route->size);
	if (r == 0 && result < 0)
		result = -errno;
	if (route->asked.any.sa_family == AF_GRAFT)
		route->is_judged = false;
	return conclude(&subject, route, result);
}

/* Sends to @address, of which concerns() is true. */
static ssize_t send_judged(const struct sending *sending, const struct sockaddr *address,
			   socklen_t len)
{
	int saved = errno;
	struct subject subject;
	struct route route;
	ssize_t result;

	route_init(&route, POLICY_CONNECT);
	if (!route_take(&route, sending->fd, address, len))
		return send_to(sending, address, len);
	if (graft_concerns(sending->fd, &route.asked))
		return deliver_named(&route, sending);
	if (subject_open(sending->fd, &subject) < 0 || !subject_is_inet(&subject) ||
	    subject_is_kernels(&subject) ||
	    (subject.proto == POLICY_TCP && !(sending->flags & MSG_FASTOPEN)))
		return send_to(sending, &route.asked, route.asked_size);
	result = deliver(&subject, &route, sending);
	if (result >= 0)
		errno = saved;
	return result;
}

ssize_t hijack_sendto(int fd, const void *data, size_t size, int flags,
		      const struct sockaddr *address, socklen_t len)
{
	struct sending sending = { fd, flags, NULL, data, size };

	if (!concerns(address, len, flags))
		return sendto(fd, data, size, flags, address, len);
	return send_judged(&sending, address, len);
}

/* A socket that is given away may come back under another number. */
static void mark_passed(const struct msghdr *message)
{
	const struct cmsghdr *head = message->msg_control;
	size_t n;

	if (is_wild(head) || message->msg_controllen < sizeof(*head) ||
	    head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
	    head->cmsg_len < CMSG_LEN(0) || head->cmsg_len > message->msg_controllen)
		return;
	n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, (const char *)head + CMSG_LEN(0) + i * sizeof(int),
		       sizeof(fd));
		known_mark(fd, KNOWN_COPIED);
	}
}

ssize_t hijack_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct sending sending = { fd, flags, message, NULL, 0 };

	if (is_wild(message))
		return sendmsg(fd, message, flags);
	mark_passed(message);
	if (!concerns(message->msg_name, message->msg_namelen, flags))
		return sendmsg(fd, message, flags);
	return send_judged(&sending, message->msg_name, message->msg_namelen);
}

static bool batch_concerns(const struct mmsghdr *messages, unsigned int n, int flags)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct msghdr *head = &messages[i].msg_hdr;

		if (concerns(head->msg_name, head->msg_namelen, flags))
			return true;
	}
	return false;
}

int hijack_sendmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags)
{
	unsigned int done;

	if (n > BATCH_MAX)
		n = BATCH_MAX;
	if (is_wild(messages) || !batch_concerns(messages, n, flags))
		return sendmmsg(fd, messages, n, flags);
	for (done = 0; done < n; done++) {
		ssize_t size = hijack_sendmsg(fd, &messages[done].msg_hdr, flags);

		if (size < 0)
			return done ? (int)done : -1;
		messages[done].msg_len = (unsigned int)size;
	}
	return (int)done;
}
