/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * AF_GRAFT: sockets whose addresses are names of endpoints (linux/graft.h). Where the
 * kernel module is used (module.h) they are the kernel's, and the rest of this is not.
 *
 * Such a socket begins as a native one of the program's own stack, so that whatever is
 * done to it before it has an address is done as Linux does it. bind() and connect() by
 * name put the socket of an endpoint in its place. See graft_name.h.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "intercept/preload/calls.h"
#include "intercept/preload/claim.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/graft_name.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/memory.h"
#include "intercept/preload/module.h"
#include "intercept/preload/state.h"
#include "intercept/preload/view.h"

#define TYPE_FLAGS (SOCK_CLOEXEC | SOCK_NONBLOCK)

atomic_bool graft_exists;

bool graft_concerns(int fd, const union address *asked)
{
	struct member member;

	return (asked->any.sa_family == AF_GRAFT || graft_is_on()) &&
	       member_find(fd, &member);
}

/* --- socket --- */

/* Only AF_UNIX has sequenced packets, unless there is SCTP. */
static int make_placeholder(int type, int protocol)
{
	int fd = socket(AF_INET, type, protocol);

	if (fd < 0 && (type & ~TYPE_FLAGS) == SOCK_SEQPACKET && protocol == 0)
		fd = socket(AF_UNIX, type, 0);
	return fd;
}

int graft_socket(int type, int protocol)
{
	const struct member member = { 0 };
	int saved = errno, fd;
	struct known known;

	if (state_has_module())
		return socket(module_family(), type, protocol);
	switch (type & ~TYPE_FLAGS) {
	case SOCK_STREAM:
	case SOCK_DGRAM:
	case SOCK_SEQPACKET:
		break;
	default:
		errno = ESOCKTNOSUPPORT;
		return -1;
	}
	fd = make_placeholder(type, protocol);
	if (fd < 0)
		return fd;
	known = (struct known){
		.netns = kernel_cookie(fd, SO_NETNS_COOKIE),
		.domain = kernel_option(fd, SO_DOMAIN, AF_INET),
		.type = type & ~TYPE_FLAGS,
		.protocol = kernel_option(fd, SO_PROTOCOL, protocol),
		.marks = KNOWN_GRAFT,
	};
	known_add(fd, &known);
	atomic_store(&graft_exists, true);
	member_put(fd, &member);
	errno = saved;
	return fd;
}

/* --- bind --- */

static enum policy_proto proto_of_type(int type)
{
	return type == SOCK_STREAM  ? POLICY_TCP
	       : type == SOCK_DGRAM ? POLICY_UDP
				    : POLICY_OTHER;
}

/* An AF_UNIX one stands for an inet one, whose name nobody asks for. */
static int open_subject(int fd, struct subject *ret)
{
	int r = subject_open(fd, ret);

	if (r == 0 && ret->domain == AF_UNIX) {
		ret->is_unix = true;
		ret->domain = AF_INET;
		ret->proto = proto_of_type(ret->type);
		ret->place = subject_place(ret->netns);
	}
	return r;
}

static int try_bind(struct subject *subject, struct route *route)
{
	char name[MEMBER_NAME_SIZE];
	struct member member;
	int r = open_subject(subject->number, subject);

	if (r < 0)
		return r;
	if (!member_find(subject->number, &member))
		return -EAFNOSUPPORT;
	if (route->asked.any.sa_family != AF_GRAFT)
		return -EAFNOSUPPORT;
	if (route->asked_size < sizeof(struct sockaddr_gr))
		return -EINVAL;
	if (member.flags & MEMBER_BOUND)
		return -EINVAL;
	r = graft_take_name(route, name);
	return r < 0 ? r : graft_bind_name(subject, route, &member, name);
}

int graft_bind(int fd, struct route *route)
{
	struct subject subject = { .number = fd };
	int saved = errno, r;
	struct claim claim;

	claim_take(&claim, fd);
	r = try_bind(&subject, route);
	claim_release(&claim);
	errno = saved;
	route->is_judged = false;
	return (int)conclude(&subject, route, r);
}

/* --- destinations --- */

int graft_prepare_send(int fd, struct subject *subject, struct route *route)
{
	int r = open_subject(fd, subject);

	return r < 0 ? r : graft_find_destination(subject, route);
}

int graft_connect(int fd, struct route *route)
{
	int saved = errno, r;
	struct subject subject;

	r = graft_prepare_send(fd, &subject, route);
	if (r == 0) {
		errno = saved;
		if (connect(fd, &route->address.any, route->size) < 0)
			r = -errno;
	}
	errno = saved;
	if (route->asked.any.sa_family == AF_GRAFT)
		route->is_judged = false;
	return (int)conclude(&subject, route, r);
}

/* --- what it looks like --- */

static int give(const struct member *member, struct sockaddr *address, socklen_t *len)
{
	struct sockaddr_gr name = { .sgr_family = AF_GRAFT };
	int r;

	memcpy(name.sgr_epname, member->name, sizeof(name.sgr_epname));
	r = memory_give_address(&name, sizeof(name), address, len);
	if (r == 0)
		return 0;
	errno = -r;
	return -1;
}

bool graft_getsockname(int fd, struct sockaddr *address, socklen_t *len, int *ret)
{
	struct member member;

	if (!member_find(fd, &member))
		return false;
	if (member.flags & MEMBER_TRANSPARENT || !address)
		*ret = getsockname(fd, address, len);
	else
		*ret = give(&member, address, len);
	return true;
}

bool graft_getpeername(int fd, struct sockaddr *address, socklen_t *len, int *ret)
{
	struct member member;

	if (!member_find(fd, &member) ||
	    !(member.flags & (MEMBER_BOUND | MEMBER_CONNECTED)))
		return false;
	*ret = getpeername(fd, address, len);
	return true;
}
