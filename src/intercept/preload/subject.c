/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket a call names, and the namespaces sockets are in.
 *
 * Where a socket lives is asked of the kernel (SO_NETNS_COOKIE), or known because this
 * process made it and its cookie says that it is still the same.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/module.h"
#include "intercept/preload/state.h"
#include "intercept/preload/view.h"
#include "stack/stack.h"

#define LEARNED_MAX 16

static _Atomic uint64_t own, host;
static _Atomic uint64_t learned[LEARNED_MAX];
static atomic_bool has_entered;

static uint64_t netns_here(void)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? 0 : kernel_cookie(fd, SO_NETNS_COOKIE);
}

uint64_t place_own(void)
{
	uint64_t cookie = atomic_load_explicit(&own, memory_order_relaxed);

	if (!cookie) {
		cookie = netns_here();
		atomic_store(&own, cookie);
	}
	return cookie;
}

uint64_t place_host(void)
{
	return atomic_load_explicit(&host, memory_order_relaxed);
}

void place_learn(const char *name, uint64_t netns)
{
	if (!strcmp(name, WIRE_NAME_HOST))
		atomic_store(&host, netns);
	for (int i = 0; i < LEARNED_MAX; i++) {
		uint64_t old = atomic_load_explicit(&learned[i], memory_order_relaxed);

		if (old == netns ||
		    (!old && atomic_compare_exchange_strong(&learned[i], &old, netns)))
			return;
	}
}

void place_enter(void)
{
	place_own();
	atomic_store(&has_entered, true);
}

bool place_is_nested(void)
{
	return atomic_load_explicit(&has_entered, memory_order_relaxed) &&
	       netns_here() != place_own();
}

static bool is_learned(uint64_t netns)
{
	for (int i = 0; i < LEARNED_MAX; i++)
		if (atomic_load_explicit(&learned[i], memory_order_relaxed) == netns)
			return true;
	return false;
}

/* As long as the process stayed where it was, whatever is elsewhere was granted, to it or
 * to who left it the socket. */
enum place subject_place(uint64_t netns)
{
	if (netns == place_own())
		return PLACE_OWN;
	if (!atomic_load_explicit(&has_entered, memory_order_relaxed))
		return PLACE_HOST;
	return is_learned(netns) ? PLACE_HOST : PLACE_OTHER;
}

static enum policy_proto proto_of(int type, int protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_MPTCP:
		return POLICY_TCP;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return POLICY_UDP;
	case 0: /* AF_UNIX */
		return type == SOCK_STREAM  ? POLICY_TCP
		       : type == SOCK_DGRAM ? POLICY_UDP
					    : POLICY_OTHER;
	default:
		return POLICY_OTHER;
	}
}

static void fill_known(struct subject *subject)
{
	subject->is_known = true;
	subject->domain = subject->known.domain;
	subject->type = subject->known.type;
	subject->protocol = subject->known.protocol;
	subject->netns = subject->known.netns;
}

static void fill_asked(struct subject *subject)
{
	int number = subject->number;

	subject->domain = kernel_option(number, SO_DOMAIN, AF_UNSPEC);
	if (!subject_is_inet(subject) && subject->domain != AF_UNIX)
		return;
	subject->type = kernel_option(number, SO_TYPE, 0);
	subject->protocol = kernel_option(number, SO_PROTOCOL, 0);
	subject->netns = kernel_cookie(number, SO_NETNS_COOKIE);
}

/* An AF_UNIX socket is ours if it says so, by its name or in the notes. */
static void see_through(struct subject *subject)
{
	union address local;

	if (!view_unix_local(subject->number, &local))
		return;
	subject->is_unix = true;
	subject->domain = local.any.sa_family;
	subject->protocol = 0;
}

int subject_open(int number, struct subject *ret)
{
	socklen_t size = sizeof(ret->cookie);

	memset(ret, 0, offsetof(struct subject, known));
	ret->number = number;
	if (getsockopt(number, SOL_SOCKET, SO_COOKIE, &ret->cookie, &size) < 0)
		return -errno;
	if (known_find(number, ret->cookie, &ret->known))
		fill_known(ret);
	else
		fill_asked(ret);
	if (ret->domain == AF_UNIX)
		see_through(ret);
	if (!subject_is_inet(ret))
		return 0;
	ret->proto = proto_of(ret->type, ret->protocol);
	ret->place = subject_place(ret->netns);
	return 0;
}

bool subject_is_v6only(const struct subject *subject)
{
	int on = 0;
	socklen_t size = sizeof(on);

	return subject->domain == AF_INET6 && !subject->is_unix &&
	       getsockopt(subject->number, IPPROTO_IPV6, IPV6_V6ONLY, &on, &size) == 0 &&
	       on;
}

uint16_t subject_local(const struct subject *subject, union address *ret,
		       socklen_t *ret_size)
{
	memset(ret, 0, sizeof(*ret));
	if (subject->is_unix) {
		if (!view_unix_local(subject->number, ret))
			return 0;
		*ret_size =
			ret->any.sa_family == AF_INET ? sizeof(ret->v4) : sizeof(ret->v6);
		return address_port(ret);
	}
	*ret_size = sizeof(ret->storage);
	if (getsockname(subject->number, &ret->any, ret_size) < 0 ||
	    !address_is_inet(ret))
		return 0;
	return address_port(ret);
}

/* The state of a stream, AF_UNIX or TCP, in terms of TCP's. */
static int stream_state(const struct subject *subject)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);
	union address peer;

	if (!subject->is_unix)
		return getsockopt(subject->number, IPPROTO_TCP, TCP_INFO, &info, &size) <
				       0
			       ? -errno
			       : info.tcpi_state;
	if (kernel_option(subject->number, SO_ACCEPTCONN, 0))
		return TCP_LISTEN;
	size = sizeof(peer);
	return getpeername(subject->number, &peer.any, &size) == 0 ? TCP_ESTABLISHED
								   : TCP_CLOSE;
}

bool subject_is_listening(const struct subject *subject)
{
	return stream_state(subject) == TCP_LISTEN;
}

bool subject_is_kernels(const struct subject *subject)
{
	return state_has_module() && !subject->is_known &&
	       module_is_programs(subject->number);
}

static int can_move_stream(const struct subject *subject, enum policy_op op)
{
	int tcp_state = stream_state(subject);
	union address local;
	socklen_t size;

	if (tcp_state < 0)
		return tcp_state;
	if (op == POLICY_BIND)
		return tcp_state != TCP_CLOSE || subject_local(subject, &local, &size)
			       ? -EINVAL
			       : 0;
	if (tcp_state == TCP_SYN_SENT)
		return -EALREADY;
	return tcp_state == TCP_CLOSE ? 0 : -EISCONN;
}

bool subject_is_in_host(const struct subject *subject)
{
	uint64_t netns = place_host();

	if (subject->is_unix)
		return false;
	return netns ? subject->netns == netns : subject->place == PLACE_HOST;
}

int subject_can_move(const struct subject *subject, enum policy_op op)
{
	union address local;
	socklen_t size;

	if (subject->proto == POLICY_TCP)
		return can_move_stream(subject, op);
	if (op == POLICY_BIND)
		return subject_local(subject, &local, &size) ? -EINVAL : 0;
	/* Others count on finding it where the rule put it. */
	return bound_has(subject) ? -ENETUNREACH : 0;
}
