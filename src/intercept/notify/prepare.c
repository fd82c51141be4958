/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What bind, connect and sends with a name share: from the address a program named to
 * the socket and address the kernel is given.
 *
 *	place of the socket	verdict's stack		what happens
 *	the same		the same		nothing moves
 *	own / host		another			subject_move, if it still can
 *	other (nested netns)	-			no policy: done as asked
 *
 * An address is judged when the kernel would use it. All others (too short, of a family
 * the socket does not speak, AF_UNSPEC in connect) are handed on unjudged, for the
 * kernel refuses them or dissolves the association, and its errno is the right one.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "intercept/notify/engine.h"
#include "stack/stack.h"

#define SIZE_V6_SHORTEST 24  /* RFC 2133's sockaddr_in6, which the kernel accepts */
#define ERESTARTSYS      512 /* kernel-internal: restart, or EINTR, as the handler says */

static bool is_usable(const struct subject *subject, const struct route *route)
{
	switch (route->asked.any.sa_family) {
	case AF_INET:
		return route->asked_size >= sizeof(struct sockaddr_in);
	case AF_INET6:
		return subject->domain == AF_INET6 &&
		       route->asked_size >= SIZE_V6_SHORTEST;
	default:
		return false;
	}
}

/* The TCP state in which a socket can change places. */
static int can_move_tcp(const struct subject *subject, enum policy_op op)
{
	union address local;
	struct tcp_info info;
	socklen_t size = sizeof(info);

	if (getsockopt(subject->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return -errno;
	if (op == POLICY_BIND)
		return info.tcpi_state != TCP_CLOSE ||
				       subject_local(subject, &local, &size)
			       ? -EINVAL
			       : 0;
	if (info.tcpi_state == TCP_SYN_SENT)
		return -EALREADY;
	return info.tcpi_state == TCP_CLOSE ? 0 : -EISCONN;
}

int prepare_can_move(struct call *call, const struct subject *subject, enum policy_op op)
{
	union address local;
	socklen_t size;

	if (subject->proto == POLICY_TCP)
		return can_move_tcp(subject, op);
	if (op == POLICY_BIND)
		return subject_local(subject, &local, &size) ? -EINVAL : 0;
	/* Others count on finding it where the rule put it. */
	if (bound_has(call->notify->bound, subject_cookie(subject)))
		return -ENETUNREACH;
	return 0;
}

/* The port by which the datagram server @subject is reached. */
static uint16_t served_port(struct call *call, const struct subject *subject,
			    const union address *peer)
{
	const struct notify_config *config = &call->notify->config;
	union address local = *peer;
	socklen_t size;
	uint32_t index;

	if (config->ops->reach) {
		index = bound_endpoint(call->notify->bound, subject_cookie(subject));
		if (index != BOUND_NO_ENDPOINT &&
		    config->ops->reach(config->context,
				       policy_endpoint(config->policy, index),
				       &local) == 0)
			return address_port(&local);
	}
	return subject_local(subject, &local, &size);
}

/*
 * A datagram server that a rule put on the host answers whoever wrote to it, and no rule
 * names its clients. The kernel does not say who wrote. Outside of loopback that is let
 * be: it may send anywhere that no rule denies it. On the host's loopback a client must
 * have connected its socket to ours, which the kernel does say; others take a rule.
 */
static bool is_answer(struct call *call, const struct subject *subject,
		      const struct route *route)
{
	union address there = route->asked;
	uint16_t port;

	if (route->op != POLICY_CONNECT || subject->proto != POLICY_UDP ||
	    subject->place != PLACE_HOST || route->verdict.target != POLICY_OWN ||
	    route->verdict.reason == POLICY_R_RULE ||
	    !bound_has(call->notify->bound, subject_cookie(subject)))
		return false;
	address_unmap(&there);
	if (!address_is_loopback(&there))
		return true;
	port = served_port(call, subject, &there);
	return port && diag_is_client(call->notify->config.host, &there, port);
}

/*
 * TCP bind to a wildcard address and port 0 with no rule for it says nothing about the
 * stack: clients do it before they connect. The socket stays where it is, for connect or
 * listen to decide.
 */
static bool is_undecided(const struct subject *subject, const struct route *route)
{
	return route->op == POLICY_BIND && subject->proto == POLICY_TCP &&
	       route->verdict.target == POLICY_OWN && !route->verdict.rule &&
	       address_port(&route->asked) == 0 && address_is_wildcard(&route->asked);
}

/* A `hold` endpoint that a server was bound to before. Return: HELD_E_NONE: go on. */
static int take_held(struct call *call, struct subject *subject, struct route *route)
{
	const struct endpoint *endpoint = route->verdict.endpoint;
	_cleanup_fd_ int fd = -1;
	int r;

	if (route->op != POLICY_BIND || route->verdict.target != POLICY_ENDPOINT ||
	    !(endpoint->options & ENDPOINT_HOLD))
		return HELD_E_NONE;
	r = prepare_can_move(call, subject, route->op);
	if (r == 0)
		r = fd = held_take(call->notify->held, endpoint->index, subject->fd,
				   endpoint->options & ENDPOINT_SHARE);
	if (r >= 0)
		r = subject_replace(call, subject, fd);
	if (r < 0)
		return r;
	fd_steal(&fd);
	route->is_bound = true;
	return 0;
}

/* An address that no machine has is bound like any. */
static int bind_hidden(const struct subject *subject, const struct route *route)
{
	int on = 1;

	if (setsockopt(subject->fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) < 0 ||
	    bind(subject->fd, &route->address.any, route->size) < 0)
		return -errno;
	/* Connections are of the port that somebody else holds, who must be able to bind
	 * it anew while some last. */
	if (subject->proto == POLICY_TCP &&
	    setsockopt(subject->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	return 0;
}

int prepare_bind(struct call *call, const struct subject *subject,
		 const struct route *route)
{
	const struct endpoint *endpoint =
		route->verdict.target == POLICY_ENDPOINT ? route->verdict.endpoint : NULL;
	unsigned int options = endpoint ? endpoint->options : 0;
	int on = 1;

	if (route->is_bound)
		return 0;
	if (route->is_held)
		return bind_hidden(subject, route);
	if (options & ENDPOINT_SHARE && endpoint->kind != ENDPOINT_UNIX &&
	    setsockopt(subject->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(subject->fd, &route->address.any, route->size) < 0)
		return -errno;
	if (options & ENDPOINT_HOLD)
		return held_keep(call->notify->held, endpoint->index, subject->fd);
	return 0;
}

static int bind_source(const struct subject *subject, const struct route *route)
{
	union address local;
	socklen_t size;

	if (subject_local(subject, &local, &size) != 0)
		return 0;
	if (bind(subject->fd, (const struct sockaddr *)&route->verdict.address,
		 route->verdict.address_len) < 0)
		return -errno;
	return 0;
}

/* Sockets that share a port are bound one after the other, before any listens. */
static bool shares_port(const struct subject *subject)
{
	int on = 0;
	socklen_t size = sizeof(on);

	return getsockopt(subject->fd, SOL_SOCKET, SO_REUSEPORT, &on, &size) == 0 && on;
}

/* Does a bind at a dynamic endpoint take the port that it got before? */
static bool takes_same_port(struct call *call, const struct subject *subject,
			    const struct route *route)
{
	const struct endpoint *endpoint = route->verdict.endpoint;
	struct notify *notify = call->notify;

	if (route->is_held && shares_port(subject))
		return true;
	return (route->is_held || endpoint->options & ENDPOINT_SHARE) &&
	       bound_is_live(notify->bound, subject_endpoint_stack(notify, endpoint),
			     endpoint);
}

/* Of a dynamic endpoint: connect goes to where it is bound, a bind to the same port where
 * others share it. */
static int take_port(struct call *call, const struct subject *subject,
		     struct route *route)
{
	uint16_t port = bound_port(call->notify->bound, route->verdict.endpoint);

	if (route->op == POLICY_CONNECT && !port)
		return -ECONNREFUSED;
	if (route->op == POLICY_CONNECT || takes_same_port(call, subject, route))
		address_set_port(&route->address, port);
	return 0;
}

static int take_address(struct call *call, const struct subject *subject,
			struct route *route)
{
	const struct notify_config *config = &call->notify->config;
	const struct policy_verdict *verdict = &route->verdict;
	int r = 0;

	if (verdict->target == POLICY_FROM)
		return bind_source(subject, route);
	if (verdict->target != POLICY_ENDPOINT)
		return 0;
	route->address.storage = verdict->address;
	route->size = verdict->address_len;
	if (verdict->endpoint->dynamic)
		r = take_port(call, subject, route);
	if (r < 0 || route->op != POLICY_CONNECT || !config->ops->reach)
		return r;
	r = config->ops->reach(config->context, verdict->endpoint, &route->address);
	return r == -ENOENT ? 0 : r;
}

/* Is the endpoint to bind at reached by an address that somebody holds for us? */
static void ask_held(struct call *call, struct route *route)
{
	const struct notify_config *config = &call->notify->config;
	struct policy_verdict *verdict = &route->verdict;
	enum notify_hold hold;

	if (route->op != POLICY_BIND || verdict->target != POLICY_ENDPOINT ||
	    !config->ops->held)
		return;
	call_enter_blocking(call);
	hold = config->ops->held(config->context, verdict->endpoint);
	call_leave_blocking(call);
	route->is_held = hold == NOTIFY_HOLD_YES;
	if (hold != NOTIFY_HOLD_NOBODY)
		return;
	*verdict = (struct policy_verdict){
		.target = POLICY_OWN,
		.reason = POLICY_R_DEFAULT,
		.address = route->asked.storage,
		.address_len = route->asked_size,
	};
}

static int place(struct call *call, struct subject *subject, struct route *route)
{
	struct stack *stack = subject_stack(call->notify, &route->verdict);
	bool to_unix = route->verdict.target == POLICY_ENDPOINT &&
		       route->verdict.endpoint->kind == ENDPOINT_UNIX;
	int r;

	if (route->op == POLICY_CONNECT && route->verdict.target != POLICY_DENY)
		guess_learn(call, subject, stack == call->notify->config.host);
	if (is_undecided(subject, route))
		return 0;
	if (subject_is_in(subject, stack) && !to_unix)
		return 0;
	if (is_answer(call, subject, route))
		return 0;
	r = prepare_can_move(call, subject, route->op);
	if (r < 0)
		return r;
	return subject_move(call, subject, stack, to_unix);
}

int prepare(struct call *call, struct subject *subject, struct route *route)
{
	int r;

	route->address = route->asked;
	route->size = route->asked_size;
	r = family_prepare(call, subject, route);
	if (r != FAMILY_E_OTHER)
		return r;
	if (!is_usable(subject, route) || subject->place == PLACE_OTHER)
		return 0;
	judge(call, subject, route->op, &route->asked, &route->verdict);
	route->is_judged = true;
	if (route->verdict.target == POLICY_DENY)
		return -route->verdict.deny_errno;
	if (is_named(&route->verdict))
		return named_place(call, subject, route);
	ask_held(call, route);
	r = take_held(call, subject, route);
	if (r != HELD_E_NONE)
		return r;
	r = place(call, subject, route);
	if (r == 0)
		r = take_address(call, subject, route);
	return r;
}

struct answer conclude(struct call *call, const struct subject *subject,
		       const struct route *route, int64_t result)
{
	subject_move_finish(call, subject);
	if (route->is_named)
		family_report(call, subject, route, result);
	if (route->is_judged)
		judge_report(call, subject, route->op, &route->asked, &route->verdict,
			     result);
	return answer_result(result);
}

int64_t run_blocking(struct call *call, int fd, int timeout_option,
		     int64_t (*again)(void *context), void *context)
{
	struct timeval timeout = { 0 };
	socklen_t size = sizeof(timeout);
	int64_t result;

	call_enter_blocking(call);
	for (;;) {
		enum target_signal pending;

		result = again(context);
		if (result != -EINTR)
			break;
		if (!call_is_live(call))
			break;
		pending = target_pending_signal(call->pid);
		if (pending == TARGET_SIGNAL_NONE)
			continue;
		/* As the kernel does: a call with a time limit is not restarted. And a
		 * restart is safe to ask for only when the signal cannot go elsewhere. */
		getsockopt(fd, SOL_SOCKET, timeout_option, &timeout, &size);
		if (pending == TARGET_SIGNAL_OWN && !timeout.tv_sec && !timeout.tv_usec)
			result = -ERESTARTSYS;
		break;
	}
	call_leave_blocking(call);
	return result;
}
