/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * AF_GRAFT: sockets whose addresses are names of endpoints (linux/graft.h).
 *
 * Such a socket begins as a native one of the program's own stack, so that whatever is
 * done to it before it has an address is done as Linux does it. bind() and connect() by
 * name put the socket of an endpoint in its place.
 *
 *	socket		named			what happens
 *	unbound		bind: an endpoint	what is delayed runs; swap; bound
 *	unbound		any destination		first bound to GRAFT_DEFAULT_SOURCE, if
 *						there is one, and then:
 *	unbound		an endpoint		swap to its namespace and family
 *	unbound		an address		judged like an AF_INET socket's
 *	bound		an endpoint		to its address, in the namespace we are
 *						in, or ENETUNREACH
 *	bound		an address		the kernel's call, from there
 *
 * Names are those of the policy first, then of the registry. What a program may name is
 * not judged by rules, which speak of addresses: endpoints that a policy defines are
 * there to be used, and the registry knows who may use its own.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "intercept/preload/calls.h"
#include "intercept/preload/claim.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/graft_member.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/memory.h"
#include "intercept/preload/state.h"
#include "intercept/preload/view.h"

#define TYPE_FLAGS (SOCK_CLOEXEC | SOCK_NONBLOCK)

#define INHERITED_GAP 8 /* free numbers after which no more are expected */

enum kernel_has {
	KERNEL_UNASKED,
	KERNEL_WITHOUT,
	KERNEL_WITH,
};

atomic_bool graft_exists;

static atomic_int kernel_has;

void graft_start(void)
{
	struct member member;
	int saved = errno, gap = 0;

	for (int fd = 0; gap < INHERITED_GAP; fd++) {
		gap = kernel_option(fd, SO_TYPE, -1) < 0 && errno == EBADF ? gap + 1 : 0;
		if (!gap && errno != ENOTSOCK)
			member_find(fd, &member);
		errno = 0;
	}
	errno = saved;
}

bool graft_concerns(int fd, const union address *asked)
{
	struct member member;

	return (asked->any.sa_family == AF_GRAFT || graft_is_on()) &&
	       member_find(fd, &member);
}

/* --- socket --- */

/* Is it the module's, and not IPX? */
static bool is_of_kernel(int fd)
{
	int on;
	socklen_t size = sizeof(on);

	return getsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, &on, &size) == 0;
}

/* Return: a socket of the kernel's own family, or -1: it has none. */
static int try_kernel(int type, int protocol)
{
	int fd;

	if (atomic_load(&kernel_has) == KERNEL_WITHOUT)
		return -1;
	fd = socket(AF_GRAFT, type, protocol);
	if (fd >= 0 && (atomic_load(&kernel_has) == KERNEL_WITH || is_of_kernel(fd))) {
		atomic_store(&kernel_has, KERNEL_WITH);
		return fd;
	}
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || errno == EAFNOSUPPORT)
		atomic_store(&kernel_has, KERNEL_WITHOUT);
	return -1;
}

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
	int saved = errno, fd = try_kernel(type, protocol);
	struct known known;

	if (fd >= 0 || atomic_load(&kernel_has) == KERNEL_WITH)
		return fd;
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

/* --- names --- */

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

/* "host" is no endpoint. */
static int take_name(const struct route *route, char name[MEMBER_NAME_SIZE])
{
	const struct sockaddr_gr *address = (const struct sockaddr_gr *)&route->asked;

	if (route->asked_size < sizeof(*address))
		return -EINVAL;
	memcpy(name, address->sgr_epname, AF_GRAFT_EPNAME_MAX);
	name[AF_GRAFT_EPNAME_MAX] = '\0';
	if (!*name)
		return -EINVAL;
	return strcmp(name, WIRE_NAME_HOST) ? 0 : -ENOENT;
}

/* Return: of which family the endpoint is, AF_UNSPEC: only the registry knows. */
static int family_of(const char *name)
{
	const struct endpoint *endpoint = policy_find_endpoint(state.policy, name);

	if (!endpoint || endpoint->kind == ENDPOINT_NAMED)
		return AF_UNSPEC;
	return endpoint->kind == ENDPOINT_IPV4   ? AF_INET
	       : endpoint->kind == ENDPOINT_IPV6 ? AF_INET6
						 : AF_UNIX;
}

/* Asks the registry, where it makes a difference to options: of no use with an error. */
static int ask_family(const struct subject *subject, const char *name)
{
	struct wire_ask ask = {
		.op = WIRE_OP_CONNECT,
		.family = AF_GRAFT,
		.type = (uint32_t)subject->type,
		.protocol = (uint32_t)subject->protocol,
	};
	struct grant grant;
	int family = AF_UNSPEC;

	wire_set_text(ask.name, sizeof(ask.name), name);
	if (channel_ask(&ask, -1, &grant) == 0) {
		family = (int)grant.said.family;
		grant_release(&grant);
	}
	return family;
}

/* What stands in for the socket is of the endpoint's family. */
static int take_family(struct subject *subject, struct route *route, int family)
{
	int new;

	if ((family != AF_INET && family != AF_INET6) || family == subject->domain ||
	    subject->is_unix || subject->place != PLACE_OWN)
		return 0;
	new = socket(family, subject->type | SOCK_CLOEXEC, subject->protocol);
	if (new < 0)
		return -errno;
	return swap(subject, new, place_own(), SWAP_OPTIONS, &route->moving);
}

static int tell(int r)
{
	return r == -EAFNOSUPPORT || r == -EPROTONOSUPPORT || r == -ESOCKTNOSUPPORT
		       ? -EPROTOTYPE
		       : r;
}

/* Takes the socket to where @name is. */
static int go(struct subject *subject, struct route *route, const char *name, int family)
{
	int r = take_family(subject, route, family);

	if (r < 0)
		return r;
	route->is_any_family = true;
	judge_name(subject, route, name);
	return tell(prepare_goal(subject, route));
}

/* --- bind --- */

static void set_bound(const struct subject *subject, const char *name)
{
	struct member member;

	bound_note(subject->cookie);
	if (!member_find(subject->number, &member))
		return;
	member.flags |= MEMBER_BOUND;
	memcpy(member.name, name, sizeof(member.name));
	member_put(subject->number, &member);
}

static int bind_name(struct subject *subject, struct route *route, struct member *member,
		     const char name[MEMBER_NAME_SIZE])
{
	int family = family_of(name), r;

	r = subject_can_move(subject, POLICY_BIND);
	if (r < 0)
		return r;
	if (family == AF_UNSPEC && member->flags & MEMBER_HAS_V6)
		family = ask_family(subject, name);
	r = take_family(subject, route, family);
	if (r < 0)
		return tell(r);
	graft_run_delayed(subject->number, member);
	r = go(subject, route, name, family);
	if (r == 0)
		set_bound(subject, name);
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
	r = take_name(route, name);
	return r < 0 ? r : bind_name(subject, route, &member, name);
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

/* Return: 0: it is bound now, or there is none. */
static int bind_source(struct subject *subject, struct route *route,
		       struct member *member)
{
	const char name[MEMBER_NAME_SIZE] = GRAFT_DEFAULT_SOURCE;
	struct route bound;
	union address local;
	struct claim claim;
	socklen_t size;
	int r;

	if (member->flags & (MEMBER_BOUND | MEMBER_CONNECTED | MEMBER_NO_SOURCE) ||
	    (!subject->is_unix && subject_local(subject, &local, &size) != 0))
		return 0;
	route_init(&bound, POLICY_BIND);
	claim_take(&claim, subject->number);
	r = bind_name(subject, &bound, member, name);
	claim_release(&claim);
	route->moving = bound.moving;
	if (!member_find(subject->number, member))
		return -EBADF;
	if (r != -ENOENT && r != -ENETDOWN)
		return r;
	member->flags |= MEMBER_NO_SOURCE;
	member_put(subject->number, member);
	return 0;
}

/* To an endpoint, from the socket as it is. */
static int find_name(struct subject *subject, struct route *route, const char *name)
{
	uint64_t netns;
	int r;

	route->is_any_family = subject->is_unix;
	judge_name(subject, route, name);
	r = goal_find(subject, route, &netns);
	if (r < 0)
		return tell(r);
	if (route->address.any.sa_family == AF_UNIX && route->address.un.sun_path[0])
		return 0;
	return netns == subject->netns ? 0 : -ENETUNREACH;
}

static int prepare_name(struct subject *subject, struct route *route,
			struct member *member)
{
	char name[MEMBER_NAME_SIZE];
	int r = take_name(route, name);

	if (r < 0)
		return r;
	if (member->flags & MEMBER_BOUND)
		return find_name(subject, route, name);
	/* What is delayed is for bind(), and this takes its place. */
	graft_run_delayed(subject->number, member);
	r = go(subject, route, name, family_of(name));
	if (r == 0 && member_find(subject->number, member)) {
		member->flags |= MEMBER_CONNECTED;
		member_put(subject->number, member);
	}
	return r;
}

/* Anything: a stream that has its peer, or is on its way, is the kernel's to tell of. */
static void set_nowhere(const struct subject *subject, struct route *route)
{
	memset(&route->address, 0, sizeof(route->address));
	route->address.any.sa_family =
		(sa_family_t)(subject->is_unix ? AF_UNIX : subject->domain);
	route->size = subject->is_unix ? sizeof(struct sockaddr_un)
				       : sizeof(struct sockaddr_in6);
}

static int prepare_destination(struct subject *subject, struct route *route)
{
	bool is_name = route->asked.any.sa_family == AF_GRAFT;
	struct member member;
	int r;

	route->address = route->asked;
	route->size = route->asked_size;
	if (!member_find(subject->number, &member))
		return -EAFNOSUPPORT;
	if (is_name && route->size < sizeof(struct sockaddr_gr))
		return -EINVAL;
	if (!is_name && !address_is_inet(&route->asked))
		return 0;
	if (subject->type != SOCK_DGRAM &&
	    subject_can_move(subject, POLICY_CONNECT) < 0) {
		if (is_name)
			set_nowhere(subject, route);
		return 0;
	}
	r = bind_source(subject, route, &member);
	if (r < 0)
		return r;
	if (is_name)
		return prepare_name(subject, route, &member);
	if (member.flags & MEMBER_BOUND)
		return 0;
	r = prepare(subject, route);
	if (r == 0 && route->is_judged && !subject->is_unix)
		view_note_peer(subject->number, &route->address, &route->asked);
	return r;
}

int graft_prepare_send(int fd, struct subject *subject, struct route *route)
{
	int r = open_subject(fd, subject);

	return r < 0 ? r : prepare_destination(subject, route);
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
