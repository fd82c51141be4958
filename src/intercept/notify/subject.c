/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket a call names.
 *
 * Where a socket lives is read from the socket (SO_NETNS_COOKIE), never remembered: a
 * descriptor that was duplicated, inherited, kept over exec or received from another
 * process is as well known as one we just made.
 */
#include <errno.h>

#include "base/fd.h"
#include "intercept/notify/engine.h"
#include "intercept/notify/kernel.h"
#include "stack/stack.h"

static int get_int(int fd, int level, int option, int *ret)
{
	socklen_t size = sizeof(*ret);

	return getsockopt(fd, level, option, ret, &size) < 0 ? -errno : 0;
}

static enum policy_proto proto_of(int protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_MPTCP:
		return POLICY_TCP;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return POLICY_UDP;
	default:
		return POLICY_OTHER;
	}
}

enum place subject_place(struct notify *notify, uint64_t netns)
{
	const struct notify_config *config = &notify->config;

	if (netns == config->own->cookie)
		return PLACE_OWN;
	if (netns == config->host->cookie)
		return PLACE_HOST;
	for (size_t i = 0; i < config->n_others; i++)
		if (config->others[i]->cookie == netns)
			return PLACE_HOST;
	return named_has_netns(notify, netns) ? PLACE_HOST : PLACE_OTHER;
}

int subject_open(const struct call *call, uint64_t number, struct subject *ret)
{
	struct subject subject = { .number = (int)(uint32_t)number, .fd = -1 };
	_cleanup_fd_ int fd = -1;
	int r;

	if (subject.number < 0)
		return -EBADF;
	fd = target_get_fd(call, subject.number);
	if (fd < 0)
		return fd;
	r = get_int(fd, SOL_SOCKET, SO_DOMAIN, &subject.domain);
	if (r < 0)
		return r;
	if (subject.domain == AF_INET || subject.domain == AF_INET6) {
		r = get_int(fd, SOL_SOCKET, SO_PROTOCOL, &subject.protocol);
		if (r == 0)
			r = stack_cookie_of(fd, &subject.netns);
		if (r < 0)
			return r;
		subject.proto = proto_of(subject.protocol);
		subject.place = subject_place(call->notify, subject.netns);
	}
	subject.fd = fd_steal(&fd);
	*ret = subject;
	return 0;
}

static struct known *known_of(const struct call *call, uint64_t cookie)
{
	return &call->worker->known[cookie % KNOWN_SIZE];
}

void subject_remember(const struct call *call, int fd, int domain, uint64_t netns)
{
	struct subject subject = { .fd = fd };
	uint64_t cookie = subject_cookie(&subject);

	if (cookie)
		*known_of(call, cookie) = (struct known){ cookie, netns, domain };
}

int subject_open_known(const struct call *call, uint64_t number, struct subject *ret)
{
	struct subject subject = { .number = (int)(uint32_t)number, .fd = -1 };
	const struct known *known;

	if (subject.number < 0)
		return -EBADF;
	subject.fd = target_get_fd(call, subject.number);
	if (subject.fd < 0)
		return subject.fd;
	subject.cookie = subject_cookie(&subject);
	known = known_of(call, subject.cookie);
	if (!subject.cookie || known->cookie != subject.cookie) {
		fd_close(subject.fd);
		return subject_open(call, number, ret);
	}
	subject.domain = known->domain;
	subject.protocol = IPPROTO_TCP;
	subject.proto = POLICY_TCP;
	subject.netns = known->netns;
	subject.place = subject_place(call->notify, subject.netns);
	*ret = subject;
	return 0;
}

/*
 * A path means the same in every stack, an abstract name does not: a UNIX socket of the
 * host's stack that is left unconnected, or can be connected again, would lead to all
 * abstract sockets of the host.
 */
static bool is_unix_path(const struct policy_verdict *verdict)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&verdict->address;

	return un->sun_family == AF_UNIX && un->sun_path[0] != '\0';
}

struct stack *subject_endpoint_stack(const struct notify *notify,
				     const struct endpoint *endpoint)
{
	const struct notify_config *config = &notify->config;

	if (config->endpoint_stacks && config->endpoint_stacks[endpoint->index])
		return config->endpoint_stacks[endpoint->index];
	return config->host;
}

struct stack *subject_stack(const struct notify *notify,
			    const struct policy_verdict *verdict)
{
	const struct notify_config *config = &notify->config;

	switch (verdict->target) {
	case POLICY_OWN:
	case POLICY_DENY:
		return config->own;
	case POLICY_HOST:
		return config->host;
	case POLICY_ENDPOINT:
	case POLICY_FROM:
		if (is_unix_path(verdict))
			return config->own;
		return subject_endpoint_stack(notify, verdict->endpoint);
	}
	return config->own;
}

bool subject_is_in(const struct subject *subject, const struct stack *stack)
{
	return subject->netns == stack->cookie;
}

bool subject_is_v6only(const struct subject *subject)
{
	int on = 0;

	return subject->domain == AF_INET6 &&
	       get_int(subject->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on) == 0 && on;
}

uint64_t subject_cookie(const struct subject *subject)
{
	uint64_t cookie = subject->cookie;
	socklen_t size = sizeof(cookie);

	if (cookie)
		return cookie;
	if (getsockopt(subject->fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0)
		return 0;
	return cookie;
}

uint16_t subject_local(const struct subject *subject, union address *ret_address,
		       socklen_t *ret_size)
{
	*ret_size = sizeof(ret_address->storage);
	if (getsockname(subject->fd, &ret_address->any, ret_size) < 0)
		return 0;
	if (ret_address->any.sa_family == AF_INET)
		return ntohs(ret_address->v4.sin_port);
	if (ret_address->any.sa_family == AF_INET6)
		return ntohs(ret_address->v6.sin6_port);
	return 0;
}
