/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * socket, bind, connect, listen: answered on behalf of the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/graft.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "intercept/notify/engine.h"
#include "intercept/notify/kernel.h"
#include "stack/stack.h"

/* Types and protocols that no host socket is made for fall to the kernel. */
static bool is_guessed_host(const struct call *call, int family, int type, int protocol)
{
	switch (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) {
	case SOCK_STREAM:
		return (protocol == 0 || protocol == IPPROTO_TCP) &&
		       guess_is_host(call, family, POLICY_TCP);
	case SOCK_DGRAM:
		return (protocol == 0 || protocol == IPPROTO_UDP) &&
		       guess_is_host(call, family, POLICY_UDP);
	default:
		return false;
	}
}

/*
 * A call on a socket of another family goes on in the program: its path and credentials
 * are the program's own. Not with an inet address, though: those families refuse it, but
 * an inet socket that took the number meanwhile would not.
 */
static struct answer pass_on(const struct call *call)
{
	union address address;
	socklen_t size;
	int r = target_read_address(call, call->args[1], call->args[2], &address, &size);

	if (r < 0)
		return answer_result(r);
	return address_is_inet(&address) ? answer_result(-EINVAL) : answer_continue();
}

/*
 * Installs @fd as the result of socket(). Not with SECCOMP_ADDFD_FLAG_SEND: when that
 * ioctl is interrupted (the supervisor is stopped, frozen, or the machine suspended)
 * before the program took the descriptor, the kernel has already let the call return 0.
 */
struct answer call_give(struct call *call, int fd, int type)
{
	struct seccomp_notif_addfd give = {
		.id = call->id,
		.srcfd = (uint32_t)fd,
		.newfd_flags = type & SOCK_CLOEXEC ? O_CLOEXEC : 0,
	};
	int number = ioctl(call_listener(call), SECCOMP_IOCTL_NOTIF_ADDFD, &give);

	return answer_result(number < 0 ? -errno : number);
}

struct answer call_socket(struct call *call, struct subject *subject)
{
	int family = (int)call->args[0], type = (int)call->args[1];
	int protocol = (int)call->args[2];
	_cleanup_fd_ int fd = -1;

	if (family == AF_GRAFT)
		return family_socket(call);
	if (call->notify->config.is_judged)
		return judged_socket(call);
	if (!is_guessed_host(call, family, type, protocol))
		return answer_continue();
	if (atomic_load_explicit(&call->notify->nested, memory_order_relaxed) &&
	    target_is_nested(call))
		return answer_continue();
	fd = stack_socket(call->notify->config.host, family, type, protocol);
	if (fd < 0)
		return answer_result(fd);
	if ((type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_STREAM)
		subject_remember(call, fd, family, call->notify->config.host->cookie);
	return call_give(call, fd, type);
}

/* Reads the address a call names. Return: 0 or -errno. */
static int take_route(const struct call *call, struct route *route)
{
	return target_read_address(call, call->args[1], call->args[2], &route->asked,
				   &route->asked_size);
}

/* Tells of a socket that serves an endpoint which is reached by another address. */
static int tell_serves(const struct call *call, const struct subject *subject)
{
	struct notify *notify = call->notify;
	const struct notify_config *config = &notify->config;
	uint32_t index;

	if (!config->ops->serves || subject->place != PLACE_HOST)
		return 0;
	index = bound_endpoint(notify->bound, subject_cookie(subject));
	if (index == BOUND_NO_ENDPOINT)
		return 0;
	return config->ops->serves(config->context,
				   policy_endpoint(config->policy, index), subject->fd);
}

struct answer call_bind(struct call *call, struct subject *subject)
{
	struct route route = { .op = POLICY_BIND };
	struct answer answer;
	int64_t result;
	int r;

	if (!subject_is_inet(subject))
		return pass_on(call);
	r = take_route(call, &route);
	if (r < 0)
		return answer_result(r);
	/* The kernel takes AF_UNSPEC with 0.0.0.0 for AF_INET here. */
	if (subject->domain == AF_INET && route.asked.any.sa_family == AF_UNSPEC &&
	    route.asked.v4.sin_addr.s_addr == htonl(INADDR_ANY))
		route.asked.any.sa_family = AF_INET;
	result = prepare(call, subject, &route);
	if (result == 0)
		result = prepare_bind(call, subject, &route);
	answer = conclude(call, subject, &route, result);
	if (result == 0 && route.is_held && subject->proto == POLICY_UDP)
		answer = answer_result(tell_serves(call, subject));
	return answer;
}

struct connecting {
	int fd;
	const struct route *route;
};

static int64_t connect_again(void *context)
{
	const struct connecting *c = context;

	return connect(c->fd, &c->route->address.any, c->route->size) < 0 ? -errno : 0;
}

static int64_t do_connect(struct call *call, const struct subject *subject,
			  struct route *route)
{
	struct connecting c = { subject->fd, route };

	/* Datagrams have nothing to wait for. */
	if (subject->proto != POLICY_TCP || fcntl(subject->fd, F_GETFL) & O_NONBLOCK)
		return connect_again(&c);
	return run_blocking(call, subject->fd, SO_SNDTIMEO, connect_again, &c);
}

struct answer call_connect(struct call *call, struct subject *subject)
{
	struct route route = { .op = POLICY_CONNECT };
	int64_t result;
	int r;

	if (!subject_is_inet(subject))
		return pass_on(call);
	r = take_route(call, &route);
	if (r < 0)
		return answer_result(r);
	result = prepare(call, subject, &route);
	if (result == 0)
		result = do_connect(call, subject, &route);
	return conclude(call, subject, &route, result);
}

/* The address that listen() on an unbound socket binds. */
static void wildcard(const struct subject *subject, struct route *route)
{
	memset(&route->asked, 0, sizeof(route->asked));
	route->asked.any.sa_family = (sa_family_t)subject->domain;
	route->asked_size = subject->domain == AF_INET ? sizeof(struct sockaddr_in)
						       : sizeof(struct sockaddr_in6);
}

static bool is_listening(const struct subject *subject)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	return getsockopt(subject->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
	       info.tcpi_state == TCP_LISTEN;
}

/*
 * A socket listens where a rule or the program bound it. One that was not bound, or on
 * the host's side only to "any port", is judged as a bind to any port would be.
 */
static int place_listener(struct call *call, struct subject *subject)
{
	struct route route = { .op = POLICY_BIND };
	union address local;
	socklen_t size;
	bool is_bound;
	int r;

	if (subject->place == PLACE_OTHER || subject->proto != POLICY_TCP ||
	    is_listening(subject) ||
	    bound_has(call->notify->bound, subject_cookie(subject)))
		return 0;
	is_bound = subject_local(subject, &local, &size) != 0;
	if (is_bound && subject->place == PLACE_OWN)
		return 0;
	wildcard(subject, &route);
	judge(call, subject, POLICY_BIND, &route.asked, &route.verdict);
	if (route.verdict.target == POLICY_DENY)
		return -route.verdict.deny_errno;
	if (route.verdict.target == POLICY_OWN)
		return subject->place == PLACE_OWN
			       ? 0
			       : subject_move(call, subject, call->notify->config.own,
					      false);
	if (is_bound)
		return 0;
	r = prepare(call, subject, &route);
	if (r == 0)
		r = prepare_bind(call, subject, &route);
	conclude(call, subject, &route, r);
	return r;
}

/*
 * Will the number stand for a socket of another family until the call ends? Nobody can
 * change it while the caller is alone, but a thread that is gone may have changed it
 * since the first look.
 */
static bool stays_foreign(const struct call *call)
{
	struct subject again;

	if (!target_is_alone(call) || subject_open(call, call->args[0], &again) < 0)
		return false;
	fd_close(again.fd);
	return !subject_is_inet(&again);
}

struct answer call_listen(struct call *call, struct subject *subject)
{
	bool inet = subject_is_inet(subject);
	int r;

	if (!inet && stays_foreign(call))
		return answer_continue();
	/* With other threads about, even AF_UNIX listens by our hand (its SO_PEERCRED is
	 * then ours): they could put a grafted socket under the number meanwhile. */
	if (inet && call->notify->config.is_judged)
		r = judged_listen(call, subject);
	else
		r = inet ? place_listener(call, subject) : 0;
	subject_move_finish(call, subject);
	if (r == 0 && listen(subject->fd, (int)call->args[1]) < 0)
		r = -errno;
	if (r == 0 && inet)
		r = tell_serves(call, subject);
	return answer_result(r);
}

struct answer call_setsockopt(struct call *call, struct subject *subject)
{
	if ((int)call->args[1] == IPPROTO_GRAFT)
		return family_setsockopt(call, subject);
	/* A TCP program whose socket became AF_UNIX goes on setting TCP options. */
	return subject->domain == AF_UNIX ? answer_result(0) : answer_continue();
}

struct answer call_namespace(struct call *call, struct subject *subject)
{
	uint64_t flags = call->nr == SYS_setns ? CLONE_NEWNET : call->args[0];

	if (flags & CLONE_NEWNET)
		atomic_store(&call->notify->nested, true);
	if ((flags & (CLONE_FILES | CLONE_THREAD)) == CLONE_FILES)
		atomic_store(&call->notify->shares_tables, true);
	return answer_continue();
}
