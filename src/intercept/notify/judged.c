/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the kernel judges: the workers are in a cgroup whose BPF programs meet every name
 * that a socket of theirs is given, whoever has the socket and whoever makes the call
 * (docs/cgroup.md). Such a socket is right from birth: nothing is guessed, nothing moves,
 * and bind and connect are the program's own. What is left for the supervisor:
 *
 *	socket()	makes it: TCP and UDP ones; all others are the program's own
 *	listen()	BPF has no hook for it. A socket without a port is bound first,
 *			as the policy would have a bind to any; one that is on the own
 *			loopback, and bound to all addresses, is kept to lo from here on
 *	sendmsg()	datagrams, for the source routes in control messages
 *	sendto()	where a rule for any protocol leads out: pings, which the kernel
 *			judges when they connect and not when they are sent
 *
 * Keeping a socket to lo is for good: letting go of it takes CAP_NET_RAW over the host's
 * namespace. Datagram sockets are kept by a BPF program instead, until they go out.
 *
 * Limits: UDP-Lite, whose connect() the kernel does not judge, SCTP and raw sockets stay
 * in the program's namespace, and pings until they are sent; AF_GRAFT is refused.
 * A socket that somebody outside hands in is judged as where it was made has it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/notify/engine.h"
#include "intercept/notify/kernel.h"
#include "stack/stack.h"

#define LOOPBACK_IFINDEX 1

/* Return: the protocol to make it with, or -1: not one that is judged. */
static int judged_protocol(int type, int protocol)
{
	switch (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) {
	case SOCK_STREAM:
		if (protocol == IPPROTO_MPTCP)
			return IPPROTO_TCP;
		return protocol == 0 || protocol == IPPROTO_TCP ? protocol : -1;
	case SOCK_DGRAM:
		return protocol == 0 || protocol == IPPROTO_UDP ? protocol : -1;
	default:
		return -1;
	}
}

struct answer judged_socket(struct call *call)
{
	int family = (int)call->args[0], type = (int)call->args[1];
	int protocol = judged_protocol(type, (int)call->args[2]);
	_cleanup_fd_ int fd = -1;

	if (protocol < 0)
		return answer_continue();
	if (atomic_load_explicit(&call->notify->nested, memory_order_relaxed) &&
	    target_is_nested(call))
		return answer_continue();
	fd = stack_socket(call->notify->config.host, family, type, protocol);
	if (fd < 0)
		return answer_result(fd);
	atomic_fetch_add_explicit(&call->notify->n_grafts, 1, memory_order_relaxed);
	return call_give(call, fd, type);
}

static int keep_to(int fd, int interface)
{
	return setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &interface,
			  sizeof(interface)) < 0
		       ? -errno
		       : 0;
}

static bool is_kept(int fd)
{
	int interface = 0;
	socklen_t size = sizeof(interface);

	return getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &interface, &size) == 0 &&
	       interface == LOOPBACK_IFINDEX;
}

/* Binds a socket that has no port. The kernel judges that; it does not know a socket that
 * was handed in, so it is asked here too where @address leads. */
static int bind_as(struct call *call, const struct subject *subject,
		   const union address *address, bool *ret_is_own)
{
	struct policy_verdict verdict;
	int late = 0, off = 0, r;
	socklen_t size = sizeof(late);

	judge(call, subject, POLICY_BIND, address, &verdict);
	*ret_is_own = verdict.target == POLICY_OWN;
	getsockopt(subject->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, &size);
	setsockopt(subject->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &off, sizeof(off));
	r = bind(subject->fd, &address->any,
		 subject->domain == AF_INET ? sizeof(address->v4) : sizeof(address->v6));
	r = r < 0 ? -errno : 0;
	setsockopt(subject->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, size);
	return r;
}

/*
 * Sees to it that listen() picks no port: it would be one of the host's. Only bind()
 * tells whether there is one, by EINVAL: getsockname() goes on showing the port of a
 * connect that failed. Where that cannot be bound, another port or address can.
 */
static int bind_at_last(struct call *call, const struct subject *subject,
			bool *ret_is_own)
{
	union address local;
	socklen_t size;
	int r = -EADDRNOTAVAIL;

	if (subject_local(subject, &local, &size) != 0)
		r = bind_as(call, subject, &local, ret_is_own);
	if (r < 0 && r != -EINVAL && !address_is_wildcard(&local)) {
		address_set_port(&local, 0);
		r = bind_as(call, subject, &local, ret_is_own);
	}
	if (r < 0 && r != -EINVAL) {
		memset(&local, 0, sizeof(local));
		local.any.sa_family = (sa_family_t)subject->domain;
		r = bind_as(call, subject, &local, ret_is_own);
	}
	if (r < 0)
		*ret_is_own = false;
	return r == -EINVAL ? 0 : r;
}

int judged_listen(struct call *call, const struct subject *subject)
{
	const struct notify_config *config = &call->notify->config;
	struct tcp_info info;
	socklen_t size = sizeof(info);
	bool is_own = false;
	int r;

	if (subject->place != PLACE_HOST || subject->proto != POLICY_TCP)
		return 0;
	if (getsockopt(subject->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
	    info.tcpi_state != TCP_CLOSE)
		return 0;
	r = bind_at_last(call, subject, &is_own);
	if (r < 0)
		return r;
	if (!is_own && !config->ops->is_own(config->context, subject->fd))
		return 0;
	return is_kept(subject->fd) ? 0 : keep_to(subject->fd, LOOPBACK_IFINDEX);
}

int judged_send(struct call *call, struct subject *subject, struct route *route)
{
	bool is_ping =
		subject->protocol == IPPROTO_ICMP || subject->protocol == IPPROTO_ICMPV6;

	/* What the kernel does not judge when it connects has to stay where it is. */
	if (subject->place == PLACE_HOST ? subject->proto == POLICY_OTHER : is_ping)
		return prepare(call, subject, route);
	route->address = route->asked;
	route->size = route->asked_size;
	return 0;
}
