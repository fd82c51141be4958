/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bind, connect, listen: the calls that give a socket its addresses.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "intercept/preload/calls.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/module.h"
#include "intercept/preload/state.h"
#include "intercept/preload/view.h"

#define PORT_RESERVED_FIRST 600
#define PORT_RESERVED_LAST  1023
#define PAGE_LEAST          4096
#define STACK_NEAR          16384

/*
 * A bad pointer is the kernel's to refuse. It reads the value of an option before it
 * finds that there is no such option. Most addresses are on the stack of a caller, where
 * there is nothing to ask about.
 */
static bool is_readable(int fd, const void *from, socklen_t size)
{
	const int no_option = INT_MIN;
	const char *at = from;
	uintptr_t above = (uintptr_t)from - (uintptr_t)__builtin_frame_address(0);

	if (above < STACK_NEAR)
		return true;

	setsockopt(fd, SOL_SOCKET, no_option, at, sizeof(int));
	if (errno == EFAULT)
		return false;
	if (((uintptr_t)at & (PAGE_LEAST - 1)) + size <= PAGE_LEAST || size < sizeof(int))
		return true;
	setsockopt(fd, SOL_SOCKET, no_option, at + size - sizeof(int), sizeof(int));
	return errno != EFAULT;
}

bool route_take(struct route *route, int fd, const struct sockaddr *address,
		socklen_t len)
{
	if (len < sizeof(sa_family_t) || len > sizeof(route->asked.storage) ||
	    !is_readable(fd, address, len))
		return false;
	memset(&route->asked, 0, sizeof(route->asked));
	memcpy(&route->asked, address, len);
	route->asked_size = len;
	module_translate(&route->asked);
	return true;
}

/* Whose call it is. Return: 0: @ret is an inet socket; SUBJECT_E_GRAFT: an AF_GRAFT one;
 * SUBJECT_E_KERNEL: one that the program has of the kernel; or -errno: none of ours. */
#define SUBJECT_E_GRAFT  1
#define SUBJECT_E_KERNEL 2

static int find_subject(int fd, const struct route *route, struct subject *ret)
{
	int r;

	if (graft_concerns(fd, &route->asked))
		return SUBJECT_E_GRAFT;
	r = subject_open(fd, ret);
	if (r == 0 && subject_is_kernels(ret))
		return SUBJECT_E_KERNEL;
	return r < 0 || subject_is_inet(ret) ? r : -EAFNOSUPPORT;
}

int hijack_bind(int fd, const struct sockaddr *address, socklen_t len)
{
	int saved = errno, r;
	struct subject subject;
	struct route route;

	route_init(&route, POLICY_BIND);
	if (!route_take(&route, fd, address, len) ||
	    (r = find_subject(fd, &route, &subject)) < 0) {
		errno = saved;
		return bind(fd, address, len);
	}
	if (r == SUBJECT_E_GRAFT)
		return graft_bind(fd, &route);
	if (r == SUBJECT_E_KERNEL)
		return bind(fd, &route.asked.any, route.asked_size);
	/* The kernel takes AF_UNSPEC with 0.0.0.0 for AF_INET here. */
	if (subject.domain == AF_INET && route.asked.any.sa_family == AF_UNSPEC &&
	    route.asked.v4.sin_addr.s_addr == htonl(INADDR_ANY))
		route.asked.any.sa_family = AF_INET;
	r = prepare(&subject, &route);
	if (r == 0 && !route.is_done && bind(fd, &route.address.any, route.size) < 0)
		r = -errno;
	errno = saved;
	return (int)conclude(&subject, &route, r);
}

/* Says what the connection will look like, before anybody can ask. */
static void note_peer(const struct subject *subject, const struct route *route)
{
	if (route->is_judged && !*route->via)
		view_note_peer(subject->number, &route->address, &route->asked);
}

static int make_connect(const struct subject *subject, const struct route *route)
{
	if (*route->via)
		return goal_connect_via(subject, route);
	return connect(subject->number, &route->address.any, route->size) < 0 ? -errno
									      : 0;
}

int hijack_connect(int fd, const struct sockaddr *address, socklen_t len)
{
	int saved = errno, r;
	struct subject subject;
	struct route route;

	route_init(&route, POLICY_CONNECT);
	if (!route_take(&route, fd, address, len) ||
	    (r = find_subject(fd, &route, &subject)) < 0) {
		errno = saved;
		return connect(fd, address, len);
	}
	if (r == SUBJECT_E_GRAFT)
		return graft_connect(fd, &route);
	if (r == SUBJECT_E_KERNEL)
		return connect(fd, &route.asked.any, route.asked_size);
	r = prepare(&subject, &route);
	if (r == 0) {
		note_peer(&subject, &route);
		errno = saved;
		r = make_connect(&subject, &route);
	}
	errno = saved;
	return (int)conclude(&subject, &route, r);
}

/* The address that listen() on an unbound socket binds. */
static void set_wildcard(const struct subject *subject, struct route *route)
{
	memset(&route->asked, 0, sizeof(route->asked));
	route->asked.any.sa_family = (sa_family_t)subject->domain;
	route->asked_size = subject->domain == AF_INET ? sizeof(struct sockaddr_in)
						       : sizeof(struct sockaddr_in6);
}

/*
 * A socket listens where a rule or the program bound it. One that was not bound, or on
 * the host's side only to "any port", is judged as a bind to any port would be.
 * Return: 0, with @route to be concluded; or -errno.
 */
static int place_listener(struct subject *subject, struct route *route)
{
	union address local;
	socklen_t size;
	bool is_bound;

	if (subject->place == PLACE_OTHER || subject->proto != POLICY_TCP ||
	    subject->is_unix || subject_is_listening(subject) || bound_has(subject))
		return 0;
	is_bound = subject_local(subject, &local, &size) != 0;
	if (is_bound && subject->place == PLACE_OWN)
		return 0;
	set_wildcard(subject, route);
	route->listens = true;
	judge(subject, route);
	if (is_bound && route->goal.name && route->verdict.target != POLICY_DENY)
		return 0;
	return prepare_judged(subject, route);
}

int hijack_listen(int fd, int backlog)
{
	int saved = errno, r;
	struct subject subject;
	struct route route;

	if (subject_open(fd, &subject) < 0 || !subject_is_inet(&subject) ||
	    subject_is_kernels(&subject)) {
		errno = saved;
		return listen(fd, backlog);
	}
	route_init(&route, POLICY_BIND);
	r = place_listener(&subject, &route);
	if (r == 0 && listen(fd, backlog) < 0)
		r = -errno;
	if (!route.is_done)
		route.is_judged = false; /* nothing was bound: nothing to note */
	errno = saved;
	return (int)conclude(&subject, &route, r);
}

/* libc's tries the reserved ports, from one that depends on the process id. */
int hijack_bindresvport(int fd, struct sockaddr_in *address)
{
	const int n = PORT_RESERVED_LAST - PORT_RESERVED_FIRST + 1;
	struct sockaddr_in any = { .sin_family = AF_INET };
	int port = PORT_RESERVED_FIRST + (int)(getpid() % n);

	if (!address)
		address = &any;
	if (address->sin_family != AF_INET) {
		errno = EPFNOSUPPORT;
		return -1;
	}
	for (int i = 0; i < n; i++) {
		address->sin_port = htons((uint16_t)port);
		if (hijack_bind(fd, (struct sockaddr *)address, sizeof(*address)) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -1;
		if (++port > PORT_RESERVED_LAST)
			port = PORT_RESERVED_FIRST;
	}
	return -1;
}
