/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Endpoints that the policy names and the registry knows.
 *
 * The registry is asked at each call, and answers with a socket: for bind one that is
 * bound, for the rest one of the right stack and where to connect it. Two things are kept
 * of an answer:
 *
 *  - its namespace, by cookie: sockets there are grafts, judged like all others;
 *  - where a connect goes, as long as the registry says that nothing changed: a socket
 *    that is in the right namespace already is then connected without asking.
 */
#include <errno.h>
#include <linux/graft.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "intercept/notify/engine.h"
#include "stack/stack.h"
#include "wire/wire.h"

#define NETNS_MAX 1024
#define KEEP_NS   1000000000ull /* a registry that went away tells nobody */

/* What the registry said last of one endpoint, as a destination or as a source. */
struct target {
	uint64_t generation, since_ns; /* 0: nothing is known */
	uint64_t netns;
	int protocol, domain;
	struct wire_address address;
};

enum target_use {
	TARGET_TO,
	TARGET_FROM,
	N_TARGET_USES,
};

struct named {
	pthread_mutex_t lock;
	size_t n_netns;
	uint64_t netns[NETNS_MAX];
	struct target targets[][N_TARGET_USES]; /* by endpoint index */
};

struct named *named_new(const struct policy *policy)
{
	size_t n = policy_n_endpoints(policy);
	struct named *named = calloc(1, sizeof(*named) + n * sizeof(named->targets[0]));

	if (named)
		pthread_mutex_init(&named->lock, NULL);
	return named;
}

struct named *named_free(struct named *named)
{
	if (named)
		pthread_mutex_destroy(&named->lock);
	free(named);
	return NULL;
}

static bool has_netns(const struct named *named, uint64_t netns)
{
	for (size_t i = 0; i < named->n_netns; i++)
		if (named->netns[i] == netns)
			return true;
	return false;
}

bool named_has_netns(struct notify *notify, uint64_t netns)
{
	struct named *named = notify->named;
	bool has;

	pthread_mutex_lock(&named->lock);
	has = has_netns(named, netns);
	pthread_mutex_unlock(&named->lock);
	return has;
}

/* Return: 0, or -ENFILE: what is not known for a graft must not become one. */
static int note_netns(struct named *named, uint64_t netns)
{
	int r = 0;

	pthread_mutex_lock(&named->lock);
	if (!has_netns(named, netns)) {
		if (named->n_netns < NETNS_MAX)
			named->netns[named->n_netns++] = netns;
		else
			r = -ENFILE;
	}
	pthread_mutex_unlock(&named->lock);
	return r;
}

static uint64_t generation_now(const struct notify *notify)
{
	const struct notify_config *config = &notify->config;

	return config->ops->generation ? config->ops->generation(config->context) : 0;
}

static enum target_use use_of(const struct route *route)
{
	return route->verdict.target == POLICY_FROM ? TARGET_FROM : TARGET_TO;
}

/* With its source bound, as far as it takes one. */
static bool is_ready(const struct subject *subject, const struct route *route)
{
	union address local;
	socklen_t size;

	return use_of(route) == TARGET_TO || subject_local(subject, &local, &size) != 0;
}

static void take_address(const struct wire_address *address, struct route *route)
{
	if (use_of(route) == TARGET_FROM)
		return;
	memcpy(&route->address, &address->address, sizeof(route->address));
	route->size = address->len;
}

/*
 * Does the socket do as it is, for what is known of the endpoint? Without a generation a
 * datagram socket that was put in place once stays there, else it would be another one
 * with each datagram.
 */
static bool take_known(struct notify *notify, const struct subject *subject,
		       struct route *route)
{
	struct named *named = notify->named;
	uint64_t now = generation_now(notify);
	struct target target;
	bool is_fresh;

	pthread_mutex_lock(&named->lock);
	target = named->targets[route->verdict.endpoint->index][use_of(route)];
	pthread_mutex_unlock(&named->lock);
	is_fresh = now ? target.generation == now &&
				   event_now_ns() - target.since_ns < KEEP_NS
		       : subject->proto == POLICY_UDP;
	if (!target.since_ns || !is_fresh || target.netns != subject->netns ||
	    target.protocol != subject->protocol || target.domain != subject->domain ||
	    !is_ready(subject, route))
		return false;
	take_address(&target.address, route);
	return true;
}

static void keep(struct notify *notify, const struct subject *subject,
		 const struct route *route, const struct wire_grant *grant,
		 uint64_t netns)
{
	struct named *named = notify->named;

	if (grant->family != (uint32_t)subject->domain)
		return;
	pthread_mutex_lock(&named->lock);
	named->targets[route->verdict.endpoint->index][use_of(route)] = (struct target){
		grant->generation, event_now_ns(),  netns,
		subject->protocol, subject->domain, grant->address,
	};
	pthread_mutex_unlock(&named->lock);
}

static int fill_ask(const struct subject *subject, const struct route *route,
		    struct wire_ask *ret)
{
	socklen_t size = sizeof(int);
	int type;

	if (getsockopt(subject->fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return -errno;
	*ret = (struct wire_ask){
		.op = route->op == POLICY_BIND               ? WIRE_OP_BIND
		      : route->verdict.target == POLICY_FROM ? WIRE_OP_FROM
							     : WIRE_OP_CONNECT,
		.family = (uint32_t)subject->domain,
		.type = (uint32_t)type,
		.protocol = (uint32_t)subject->protocol,
		.flags = subject_is_v6only(subject) ? WIRE_F_V6ONLY : 0,
		/* What the program gave beyond it is not of the address. */
		.address.len = route->asked.any.sa_family == AF_INET
				       ? sizeof(struct sockaddr_in)
				       : sizeof(struct sockaddr_in6),
	};
	if (ret->protocol == IPPROTO_MPTCP)
		ret->protocol = IPPROTO_TCP;
	memcpy(&ret->address.address, &route->asked, ret->address.len);
	wire_set_text(ret->name, sizeof(ret->name), route->verdict.endpoint->name);
	return 0;
}

/* What a program hears that knows addresses and no names. */
static int translate(const struct route *route, int error)
{
	if (error != -ENOENT)
		return error;
	return route->op == POLICY_BIND ? -EADDRNOTAVAIL : -ECONNREFUSED;
}

static int ask_registry(struct call *call, const struct subject *subject,
			const struct wire_ask *ask, struct wire_grant *ret)
{
	const struct notify_config *config = &call->notify->config;
	_cleanup_fd_ int whom = -1;
	int fd;

	if (!config->ops->ask)
		return -ENETDOWN;
	if (ask->op == WIRE_OP_BIND)
		whom = target_open_process(call);
	call_enter_blocking(call);
	fd = config->ops->ask(config->context, ask, subject->fd, whom, ret);
	call_leave_blocking(call);
	if (fd < 0) {
		log_limited(LOG_LEVEL_INFO, "endpoint '%s': graftd: %s", ask->name,
			    strerror(-fd));
		return fd;
	}
	if (!call_is_live(call)) {
		fd_close(fd);
		return -ENOENT;
	}
	return fd;
}

/* Puts @fd, which the registry granted, into the place of the program's socket, unless
 * that is as good. */
static int put(struct call *call, struct subject *subject, const struct route *route,
	       int fd, const struct wire_grant *grant)
{
	struct notify *notify = call->notify;
	bool is_bind = route->op == POLICY_BIND;
	_cleanup_fd_ int new = fd;
	uint64_t netns;
	int r = stack_cookie_of(fd, &netns);

	if (r == 0)
		r = note_netns(notify->named, netns);
	if (r < 0)
		return r;
	if (!is_bind) {
		keep(notify, subject, route, grant, netns);
		guess_learn(call, subject, netns == notify->config.host->cookie);
		if (netns == subject->netns && is_ready(subject, route) &&
		    grant->family == (uint32_t)subject->domain)
			return 0;
		carry_options(subject->fd, fd);
	}
	r = subject_replace(call, subject, fd);
	if (r == 0)
		fd_steal(&new);
	return r;
}

int named_place(struct call *call, struct subject *subject, struct route *route)
{
	struct wire_grant grant;
	struct wire_ask ask;
	int fd, r;

	if (route->op != POLICY_BIND && take_known(call->notify, subject, route))
		return 0;
	r = prepare_can_move(call, subject, route->op);
	if (r == 0)
		r = fill_ask(subject, route, &ask);
	if (r < 0)
		return r;
	fd = ask_registry(call, subject, &ask, &grant);
	if (fd < 0)
		return translate(route, fd);
	r = put(call, subject, route, fd, &grant);
	if (r < 0)
		return r;
	route->is_bound = route->op == POLICY_BIND;
	if (!route->is_bound)
		take_address(&grant.address, route);
	return 0;
}

static int ask_by_name(struct call *call, const struct subject *subject,
		       enum policy_op op, const char *name, struct wire_grant *ret)
{
	struct wire_ask ask = {
		.op = op == POLICY_BIND ? WIRE_OP_BIND : WIRE_OP_CONNECT,
		.family = AF_GRAFT,
		.type = subject->proto == POLICY_UDP ? SOCK_DGRAM : SOCK_STREAM,
	};

	wire_set_text(ask.name, sizeof(ask.name), name);
	return ask_registry(call, subject, &ask, ret);
}

int named_move(struct call *call, struct subject *subject, enum policy_op op,
	       const char *name, struct wire_address *ret_address)
{
	struct wire_grant grant;
	_cleanup_fd_ int fd = ask_by_name(call, subject, op, name, &grant);
	uint64_t netns;
	int r = fd;

	if (r >= 0)
		r = stack_cookie_of(fd, &netns);
	if (r == 0)
		r = note_netns(call->notify->named, netns);
	if (r < 0)
		return r;
	if (op != POLICY_BIND)
		carry_options(subject->fd, fd);
	r = subject_replace(call, subject, fd);
	if (r < 0)
		return r;
	fd_steal(&fd);
	if (grant.family != AF_UNIX)
		subject->domain = (int)grant.family;
	*ret_address = grant.address;
	return 0;
}

int named_find(struct call *call, const struct subject *subject, const char *name,
	       struct wire_address *ret_address, uint64_t *ret_netns)
{
	struct wire_grant grant;
	_cleanup_fd_ int fd = ask_by_name(call, subject, POLICY_CONNECT, name, &grant);
	int r = fd < 0 ? fd : stack_cookie_of(fd, ret_netns);

	if (r == 0)
		*ret_address = grant.address;
	return r;
}
