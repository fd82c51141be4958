/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket half of libgraft: a socket born in another network namespace.
 *
 * A socket belongs for life to the namespace its creating thread was in, and setns()
 * moves one thread only. So a thread of ours enters the namespace, makes the socket and
 * ends; bind and connect work on it from anywhere. It runs with all signals blocked: the
 * program's handlers never run on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <graft/graft.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "base/fd.h"
#include "lib/internal.h"

#define THREAD_STACK (64u << 10)

struct birth {
	int netns; /* descriptor of the namespace, or -1: the caller's */
	int family, type, protocol;
	int result; /* the socket or -errno */
};

static int make_socket(const struct birth *birth)
{
	int fd = socket(birth->family, birth->type | SOCK_CLOEXEC, birth->protocol);

	return fd < 0 ? -errno : fd;
}

static void *birth_thread(void *context)
{
	struct birth *birth = context;

	birth->result =
		setns(birth->netns, CLONE_NEWNET) < 0 ? -errno : make_socket(birth);
	return NULL;
}

static int start_thread(pthread_t *thread, struct birth *birth)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int r = pthread_attr_init(&attributes);

	if (r)
		return -r;
	/* A stack too small for the system is refused; then the default one does. */
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(thread, &attributes, birth_thread, birth);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -r;
}

static int open_netns(const struct netns_ref *netns)
{
	char path[64 + POLICY_NAME_MAX];
	const char *name = path;
	int fd;

	switch (netns->kind) {
	case NETNS_DEFAULT:
		return -EINVAL;
	case NETNS_PID:
		snprintf(path, sizeof(path), "/proc/%d/ns/net", netns->pid);
		break;
	case NETNS_NAME:
		snprintf(path, sizeof(path), "/run/netns/%s", netns->text);
		break;
	case NETNS_PATH:
		name = netns->text;
		break;
	}
	fd = open(name, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int socket_in(const struct endpoint *endpoint, int family, int type, int protocol)
{
	struct birth birth = { -1, family, type, protocol, -1 };
	pthread_t thread;
	int r;

	if (!endpoint || endpoint->netns.kind == NETNS_DEFAULT)
		return make_socket(&birth);
	birth.netns = open_netns(&endpoint->netns);
	if (birth.netns < 0)
		return birth.netns;
	r = start_thread(&thread, &birth);
	if (r == 0) {
		pthread_join(thread, NULL);
		r = birth.result;
	}
	fd_close(birth.netns);
	return r;
}

static int set_option(int fd, int level, int option)
{
	const int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int bind_to(int fd, int type, const struct sockaddr_storage *address,
		   socklen_t len)
{
	int r = 0;

	if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM &&
	    address->ss_family != AF_UNIX)
		r = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
	if (r == 0 && bind(fd, (const struct sockaddr *)address, len) < 0)
		r = -errno;
	return r;
}

static int connect_to(int fd, int type, const struct sockaddr_storage *address,
		      socklen_t len)
{
	if (connect(fd, (const struct sockaddr *)address, len) == 0)
		return 0;
	return errno == EINPROGRESS && type & SOCK_NONBLOCK ? 0 : -errno;
}

static int take_source(int fd, const struct policy_verdict *verdict)
{
	int r = 0;

	/* The port is then picked at connect, by the whole four-tuple. */
	if (verdict->endpoint->dynamic)
		r = set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	if (r == 0 && bind(fd, (const struct sockaddr *)&verdict->address,
			   verdict->address_len) < 0)
		r = -errno;
	return r;
}

static socklen_t address_size(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET ? sizeof(struct sockaddr_in)
					     : sizeof(struct sockaddr_in6);
}

/* Binds or connects @fd as @verdict says. */
static int place(int fd, int type, const struct policy_query *query,
		 const struct policy_verdict *verdict)
{
	int r = 0;

	if (query->v6only && verdict->address.ss_family == AF_INET6)
		r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (r < 0)
		return r;
	if (query->op == POLICY_BIND)
		return bind_to(fd, type, &verdict->address, verdict->address_len);
	if (verdict->target != POLICY_FROM)
		return connect_to(fd, type, &verdict->address, verdict->address_len);
	r = take_source(fd, verdict);
	if (r < 0)
		return r;
	return connect_to(fd, type, &query->address, address_size(&query->address));
}

static int make_and_place(const struct policy_query *query,
			  const struct policy_verdict *verdict, int type, int protocol)
{
	_cleanup_fd_ int fd = -1;
	bool is_unix = verdict->address.ss_family == AF_UNIX;
	int r;

	if (verdict->target == POLICY_DENY)
		return -verdict->deny_errno;
	if (verdict->target == POLICY_ENDPOINT && query->op == POLICY_CONNECT &&
	    !is_unix && verdict->endpoint->dynamic)
		return -EADDRNOTAVAIL;
	fd = socket_in(verdict->endpoint, is_unix ? AF_UNIX : query->family, type,
		       is_unix ? 0 : protocol);
	if (fd < 0)
		return fd;
	r = place(fd, type, query, verdict);
	return r < 0 ? r : fd_steal(&fd);
}

int graft_socket(const struct graft_policy *policy, const struct graft_call *call)
{
	struct policy_verdict verdict;
	struct policy_query query;
	int r = lib_judge(policy, call, &query, &verdict);

	return r < 0 ? r : make_and_place(&query, &verdict, call->type, call->protocol);
}

int graft_endpoint_socket(const struct graft_policy *policy, const char *name,
			  enum graft_op op, int type, int protocol)
{
	const struct endpoint *endpoint = policy_find_endpoint(policy->policy, name);
	struct policy_verdict verdict;
	struct policy_query query = {
		.op = op == GRAFT_BIND ? POLICY_BIND : POLICY_CONNECT,
	};

	if (!policy->sealed)
		return -EINVAL;
	if (!endpoint)
		return -ENOENT;
	query.family = endpoint->kind == ENDPOINT_IPV4 ? AF_INET : AF_INET6;
	policy_endpoint_verdict(endpoint, query.op, query.family, &verdict);
	return make_and_place(&query, &verdict, type, protocol);
}
