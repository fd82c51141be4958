/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy applied to a socket, and the books kept about it.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "intercept/notify/engine.h"

static void fill_query(const struct subject *subject, enum policy_op op,
		       const union address *address, struct policy_query *query)
{
	*query = (struct policy_query){
		.op = op,
		.proto = subject->proto,
		.family = subject->domain,
		.v6only = subject_is_v6only(subject),
		.address = address->storage,
	};
}

static bool is_bound(void *context, const struct endpoint *endpoint)
{
	struct notify *notify = context;

	return bound_is_live(notify->bound, subject_endpoint_stack(notify, endpoint),
			     endpoint);
}

void judge(struct call *call, const struct subject *subject, enum policy_op op,
	   const union address *address, struct policy_verdict *ret)
{
	struct policy_query query;

	fill_query(subject, op, address, &query);
	policy_resolve(call->notify->config.policy, &query, is_bound, call->notify, ret);
}

static void read_comm(pid_t pid, char *comm, size_t size)
{
	_cleanup_fd_ int fd = -1;
	char path[40];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : fd_read_all(fd, comm, size - 1);
	if (n < 0)
		n = 0;
	comm[n] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
}

static void print_address(const union address *address, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	if (address->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
		snprintf(text, size, "[%s]:%u", host, ntohs(address->v6.sin6_port));
	} else {
		inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
		snprintf(text, size, "%s:%u", host, ntohs(address->v4.sin_port));
	}
}

static void say(const struct call *call, const struct subject *subject, enum policy_op op,
		const union address *asked, const struct policy_verdict *verdict,
		int64_t result)
{
	const char *proto = subject->proto == POLICY_TCP   ? "tcp"
			    : subject->proto == POLICY_UDP ? "udp"
							   : "other";
	char comm[32], address[64], why[256];
	struct policy_query query;

	fill_query(subject, op, asked, &query);
	read_comm(call->pid, comm, sizeof(comm));
	print_address(asked, address, sizeof(address));
	policy_explain(&query, verdict, why, sizeof(why));
	log_limited(LOG_LEVEL_INFO, "%s[%d] %s %s %s: %s: %s", comm, call->pid,
		    op == POLICY_BIND ? "bind" : "connect", proto, address, why,
		    result < 0 ? strerror((int)-result) : "ok");
}

void judge_note_bound(struct notify *notify, const struct subject *subject,
		      const struct endpoint *endpoint)
{
	struct bound_socket socket = {
		.cookie = subject_cookie(subject),
		.endpoint = endpoint ? endpoint->index : BOUND_NO_ENDPOINT,
		.protocol = subject->protocol,
	};
	socklen_t size;

	subject_local(subject, &socket.address, &size);
	bound_note(notify->bound, &socket);
}

void judge_report(struct call *call, const struct subject *subject, enum policy_op op,
		  const union address *asked, const struct policy_verdict *verdict,
		  int64_t result)
{
	const struct notify_config *config = &call->notify->config;

	if (log_wants(LOG_LEVEL_INFO))
		say(call, subject, op, asked, verdict, result);
	if (verdict->target == POLICY_DENY) {
		atomic_fetch_add_explicit(&call->notify->n_refused, 1,
					  memory_order_relaxed);
		return;
	}
	if (verdict->target == POLICY_OWN || (result < 0 && result != -EINPROGRESS))
		return;
	atomic_fetch_add_explicit(&call->notify->n_grafts, 1, memory_order_relaxed);
	if (op == POLICY_BIND)
		judge_note_bound(call->notify, subject, verdict->endpoint);
	if (config->ops && config->ops->grafted)
		config->ops->grafted(config->context, subject_cookie(subject),
				     verdict->rule);
}
