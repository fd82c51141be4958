/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls that show a program an address. Where nothing is to be shown otherwise, they
 * are the real calls on the program's own memory, and nothing else.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "intercept/preload/calls.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/known.h"
#include "intercept/preload/memory.h"
#include "intercept/preload/module.h"
#include "intercept/preload/view.h"

int hijack_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
	int r;

	if (graft_is_on() && graft_getsockname(fd, address, len, &r))
		return r;
	r = view_is_on(VIEW_NAMES) ? view_getsockname(fd, address, len)
				   : getsockname(fd, address, len);
	if (r == 0)
		module_show(address, len);
	return r;
}

int hijack_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
	int r;

	if (graft_is_on() && graft_getpeername(fd, address, len, &r))
		return r;
	return view_is_on(VIEW_NAMES) ? view_getpeername(fd, address, len)
				      : getpeername(fd, address, len);
}

/* What there was at the number of a new descriptor is gone, however it went. */
static int new_number(int fd)
{
	known_forget(fd);
	graft_accepted(fd);
	return fd;
}

int hijack_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	union address peer = { 0 };
	socklen_t peer_len = sizeof(peer);
	int r;

	if (!address || !view_is_on(VIEW_UNIX) || !view_is_unix_server(fd))
		return new_number(accept4(fd, address, len, flags));
	r = new_number(accept4(fd, &peer.any, &peer_len, flags));
	return r < 0 ? r : view_give_accepted(r, &peer, peer_len, address, len);
}

int hijack_accept(int fd, struct sockaddr *address, socklen_t *len)
{
	if (!address || !view_is_on(VIEW_UNIX))
		return new_number(accept(fd, address, len));
	return hijack_accept4(fd, address, len, 0);
}

ssize_t hijack_recvfrom(int fd, void *data, size_t size, int flags,
			struct sockaddr *address, socklen_t *len)
{
	union address source = { 0 };
	socklen_t source_len = sizeof(source);
	ssize_t n;

	if (!address || !view_is_on(VIEW_SOURCES))
		return recvfrom(fd, data, size, flags, address, len);
	n = recvfrom(fd, data, size, flags, &source.any, &source_len);
	return n < 0 ? n : view_give_source(fd, n, &source, source_len, address, len);
}

ssize_t hijack___recvfrom_chk(int fd, void *data, size_t size, size_t room, int flags,
			      struct sockaddr *address, socklen_t *len)
{
	/* It ends the program. */
	if (size > room)
		return real.__recvfrom_chk(fd, data, size, room, flags, address, len);
	return hijack_recvfrom(fd, data, size, flags, address, len);
}

/* What the kernel writes of a message header, and the address. */
static int give_message(struct msghdr *to, const struct msghdr *from, void *name,
			const union address *source, socklen_t room)
{
	socklen_t n = from->msg_namelen < room ? from->msg_namelen : room;
	struct iovec local[] = {
		{ (void *)&from->msg_namelen, sizeof(from->msg_namelen) },
		{ (void *)&from->msg_controllen, sizeof(from->msg_controllen) },
		{ (void *)&from->msg_flags, sizeof(from->msg_flags) },
		{ (void *)source, n },
	};
	struct iovec remote[] = {
		{ &to->msg_namelen, sizeof(to->msg_namelen) },
		{ &to->msg_controllen, sizeof(to->msg_controllen) },
		{ &to->msg_flags, sizeof(to->msg_flags) },
		{ name, n },
	};

	return memory_write_all(remote, local, ARRAY_SIZE(local));
}

/* Descriptors may have come along; the kernel wrote @message just now. */
static ssize_t received(ssize_t n, const struct msghdr *message)
{
	const struct cmsghdr *head = message->msg_control;

	if (n < 0 || message->msg_controllen < CMSG_LEN(sizeof(int)) ||
	    head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
		return n;
	for (size_t at = CMSG_LEN(0); at + sizeof(int) <= head->cmsg_len;
	     at += sizeof(int)) {
		int fd;

		memcpy(&fd, (const char *)head + at, sizeof(fd));
		known_forget(fd);
	}
	return n;
}

ssize_t hijack_recvmsg(int fd, struct msghdr *message, int flags)
{
	union address source = { 0 };
	struct msghdr copy;
	socklen_t room;
	void *name;
	ssize_t n;

	if (!view_is_on(VIEW_SOURCES) || memory_read(&copy, message, sizeof(copy)) < 0 ||
	    !copy.msg_name || (int)copy.msg_namelen < 0)
		return received(recvmsg(fd, message, flags), message);
	name = copy.msg_name;
	room = copy.msg_namelen;
	copy.msg_name = &source;
	copy.msg_namelen = sizeof(source);
	n = received(recvmsg(fd, &copy, flags), &copy);
	if (n < 0)
		return n;
	copy.msg_namelen = view_source(fd, &source, copy.msg_namelen);
	if (give_message(message, &copy, name, &source, room) == 0)
		return n;
	errno = EFAULT;
	return -1;
}

#define MESSAGES_MAX 1024 /* the kernel's own limit */

/* How much room for an address each message had. Return: false for a bad pointer. */
static bool read_rooms(const struct mmsghdr *messages, unsigned int n, socklen_t *ret)
{
	struct mmsghdr some[16];

	for (unsigned int i = 0; i < n; i++) {
		unsigned int left = n - i < ARRAY_SIZE(some) ? n - i : ARRAY_SIZE(some);

		if (i % ARRAY_SIZE(some) == 0 &&
		    memory_read(some, &messages[i], left * sizeof(some[0])) < 0)
			return false;
		ret[i] = some[i % ARRAY_SIZE(some)].msg_hdr.msg_namelen;
	}
	return true;
}

/* The kernel wrote to the message just now: no pointer in it is bad. */
static void show_source(int fd, struct msghdr *message, socklen_t room)
{
	socklen_t len = message->msg_namelen;
	union address source = { 0 };

	/* What was cut cannot be known again. */
	if (!message->msg_name || len < sizeof(sa_family_t) || len > room ||
	    len > sizeof(source))
		return;
	memcpy(&source, message->msg_name, len);
	message->msg_namelen = view_source(fd, &source, len);
	memcpy(message->msg_name, &source,
	       message->msg_namelen < room ? message->msg_namelen : room);
}

static int receive_inet(int fd, struct mmsghdr *messages, unsigned int n, int flags,
			struct timespec *timeout)
{
	socklen_t rooms[MESSAGES_MAX];
	int r;

	if (n > MESSAGES_MAX)
		n = MESSAGES_MAX;
	if (!read_rooms(messages, n, rooms))
		return recvmmsg(fd, messages, n, flags, timeout);
	r = recvmmsg(fd, messages, n, flags, timeout);
	for (int i = 0; i < r; i++)
		show_source(fd, &messages[i].msg_hdr, rooms[i]);
	return r;
}

/* Names of AF_UNIX senders are longer than what programs have room for, so each message
 * goes by itself. A time limit is looked at after each, as the kernel does. */
static int receive_unix(int fd, struct mmsghdr *messages, unsigned int n, int flags,
			const struct timespec *timeout)
{
	struct timespec limit = { 0 }, start = { 0 }, now;
	unsigned int i = 0;

	if (timeout && memory_read(&limit, timeout, sizeof(limit)) < 0) {
		errno = EFAULT;
		return -1;
	}
	clock_gettime(CLOCK_MONOTONIC, &start);
	while (i < n && i < MESSAGES_MAX) {
		ssize_t size =
			hijack_recvmsg(fd, &messages[i].msg_hdr, flags & ~MSG_WAITFORONE);
		unsigned int len = (unsigned int)size;

		if (size < 0 || memory_write(&messages[i].msg_len, &len, sizeof(len)) < 0)
			break;
		i++;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (timeout && (now.tv_sec - start.tv_sec) * 1000000000ll + now.tv_nsec -
					       start.tv_nsec >=
				       limit.tv_sec * 1000000000ll + limit.tv_nsec)
			break;
	}
	return i > 0 || n == 0 ? (int)i : -1;
}

int hijack_recvmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags,
		    struct timespec *timeout)
{
	if (!view_is_on(VIEW_SOURCES))
		return recvmmsg(fd, messages, n, flags, timeout);
	if (kernel_option(fd, SO_DOMAIN, AF_INET) == AF_UNIX)
		return receive_unix(fd, messages, n, flags, timeout);
	return receive_inet(fd, messages, n, flags, timeout);
}
