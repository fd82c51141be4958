/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel says no where it would have said no to the program: what we do for somebody
 * we do not trust is done without our capabilities, but for bind(), whose ports and
 * addresses whoever calls us has judged.
 */
#include <errno.h>
#include <linux/graft.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "base/address.h"
#include "base/fd.h"
#include "base/log.h"
#include "broker/grant.h"
#include "broker/path.h"
#include "broker/rights.h"
#include "stack/carry.h"
#include "stack/stack.h"

#ifndef IPPROTO_MPTCP
#	define IPPROTO_MPTCP 262
#endif

#define TYPE_MASK 0xf /* of socket()'s type, without its flags */

/* What the socket is to be. */
struct plan {
	int family, type, protocol;
	struct wire_address address; /* to bind, or to connect to */
};

static int set_option(int fd, int level, int option)
{
	const int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

static bool is_v6only(const struct grant_request *request)
{
	int on = 0;
	socklen_t size = sizeof(on);

	if (request->ask->flags & WIRE_F_V6ONLY)
		return true;
	return request->socket >= 0 &&
	       getsockopt(request->socket, IPPROTO_IPV6, IPV6_V6ONLY, &on, &size) == 0 &&
	       on;
}

/* Of the internet families, as far as a UNIX socket can stand for it. */
static int plan_unix(const struct grant_request *request, struct plan *plan)
{
	int protocol = (int)request->ask->protocol;

	if (request->ask->op == WIRE_OP_FROM)
		return -EAFNOSUPPORT;
	plan->family = AF_UNIX;
	plan->protocol = 0;
	switch (plan->type) {
	case SOCK_STREAM:
		return protocol == 0 || protocol == IPPROTO_TCP ||
				       protocol == IPPROTO_MPTCP
			       ? 0
			       : -EPROTOTYPE;
	case SOCK_DGRAM:
		return protocol == 0 || protocol == IPPROTO_UDP ||
				       protocol == IPPROTO_UDPLITE
			       ? 0
			       : -EPROTOTYPE;
	case SOCK_SEQPACKET:
		return protocol == 0 ? 0 : -EPROTOTYPE;
	default:
		return -EPROTOTYPE;
	}
}

static bool is_own_family(uint32_t family)
{
	return family == AF_UNSPEC || family == AF_UNIX || family == AF_GRAFT;
}

/* As the policy passes rules over: an ipv6 endpoint serves AF_INET only where a
 * dual-stack server may listen, an ipv4 one every socket that is not IPv6 alone. */
static int plan_inet(const struct grant_request *request, struct plan *plan)
{
	const struct endpoint *endpoint = request->endpoint;
	uint32_t family = request->ask->family;
	bool is_v4 = endpoint->kind == ENDPOINT_IPV4;

	if (family == AF_UNIX)
		return -EAFNOSUPPORT;
	if (is_own_family(family))
		family = is_v4 ? AF_INET : AF_INET6;
	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	if (is_v4 && family == AF_INET6 && is_v6only(request))
		return -EAFNOSUPPORT;
	if (!is_v4 && family == AF_INET &&
	    (request->ask->op != WIRE_OP_CONNECT ||
	     !IN6_IS_ADDR_UNSPECIFIED(&endpoint->v6)))
		return -EAFNOSUPPORT;
	plan->family = (int)family;
	return 0;
}

static uint16_t port_of(const struct grant_request *request)
{
	const struct endpoint *endpoint = request->endpoint;

	if (!endpoint->dynamic)
		return endpoint->port;
	return request->ask->op == WIRE_OP_FROM ? 0 : request->port;
}

static int plan_endpoint(const struct grant_request *request, struct plan *plan)
{
	const struct endpoint *endpoint = request->endpoint;
	bool is_connect = request->ask->op == WIRE_OP_CONNECT;
	struct policy_verdict verdict;
	union address address;
	int r = -EINVAL;

	switch (endpoint->kind) {
	case ENDPOINT_IPV4:
	case ENDPOINT_IPV6:
		r = plan_inet(request, plan);
		break;
	case ENDPOINT_UNIX:
		r = plan_unix(request, plan);
		break;
	case ENDPOINT_NAMED: /* for the caller to find */
		break;
	}
	if (r < 0)
		return r;
	policy_endpoint_verdict(endpoint, is_connect ? POLICY_CONNECT : POLICY_BIND,
				plan->family, &verdict);
	address.storage = verdict.address;
	if (plan->family != AF_UNIX) {
		address_set_port(&address, port_of(request));
		if (is_connect && !address_port(&address))
			return -ECONNREFUSED;
	}
	plan->address.address = address.storage;
	plan->address.len = verdict.address_len;
	return 0;
}

static int plan_host(const struct grant_request *request, struct plan *plan)
{
	const struct wire_ask *ask = request->ask;

	if (ask->family != AF_INET && ask->family != AF_INET6)
		return -EAFNOSUPPORT;
	if (ask->op == WIRE_OP_FROM || !ask->address.len)
		return -EINVAL;
	plan->family = (int)ask->family;
	plan->address = ask->address;
	return 0;
}

static int plan_make(const struct grant_request *request, struct plan *ret)
{
	*ret = (struct plan){
		.type = (int)request->ask->type & TYPE_MASK,
		.protocol = (int)request->ask->protocol,
	};
	if (!request->is_trusted && (ret->type == SOCK_RAW || ret->type == SOCK_PACKET))
		return -EPERM;
	switch ((enum wire_op)request->ask->op) {
	case WIRE_OP_BIND:
	case WIRE_OP_CONNECT:
	case WIRE_OP_FROM:
		return request->endpoint ? plan_endpoint(request, ret)
					 : plan_host(request, ret);
	}
	return -EINVAL;
}

static int carry(const struct grant_request *request, int fd)
{
	struct rights_kept kept;
	int r = 0;

	if (request->socket < 0)
		return 0;
	if (!request->is_trusted)
		r = rights_assume(NULL, &kept);
	if (r < 0)
		return r;
	carry_options(request->socket, fd);
	carry_flags(request->socket, fd);
	if (!request->is_trusted)
		rights_resume(&kept);
	return 0;
}

/* The mode of the inode is the umask's; the directory's own group may be, too. */
static int bind_path(const struct grant_request *request, int fd, const struct plan *plan)
{
	const struct grant_owner *owner = request->owner;
	struct rights_kept kept;
	mode_t before = 0;
	int r = 0;

	if (request->rights)
		r = rights_assume(request->rights, &kept);
	if (r < 0)
		return r;
	if (owner)
		before = umask(owner->umask);
	r = path_bind(fd, (const struct sockaddr_un *)&plan->address.address,
		      plan->address.len);
	if (owner)
		umask(before);
	if (request->rights)
		rights_resume(&kept);
	if (r == 0 && owner && path_give(fd, owner->uid, owner->gid) < 0)
		log_debug("the socket's inode stays ours: %m");
	return r;
}

static int bind_socket(const struct grant_request *request, int fd,
		       const struct plan *plan)
{
	const struct sockaddr *address = (const struct sockaddr *)&plan->address.address;
	int r = 0;

	if (plan->family == AF_INET6 && request->ask->flags & WIRE_F_V6ONLY)
		r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (r == 0 && request->shares && plan->family != AF_UNIX)
		r = set_option(fd, SOL_SOCKET, SO_REUSEPORT);
	if (r < 0)
		return r;
	if (plan->family == AF_UNIX &&
	    ((const struct sockaddr_un *)address)->sun_path[0] != '\0')
		return bind_path(request, fd, plan);
	return bind(fd, address, plan->address.len) < 0 ? -errno : 0;
}

int grant_bind_source(int fd, const struct wire_address *source)
{
	union address address = { .storage = source->address };
	int r = 0;

	if (!address_port(&address))
		r = set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	else /* the program, who does not know of the port, could not have said so */
		r = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
	if (r == 0 && bind(fd, &address.any, source->len) < 0)
		r = -errno;
	return r;
}

static int place_socket(const struct grant_request *request, int fd,
			const struct plan *plan)
{
	int r = carry(request, fd);

	if (r < 0)
		return r;
	switch ((enum wire_op)request->ask->op) {
	case WIRE_OP_BIND:
		return bind_socket(request, fd, plan);
	case WIRE_OP_FROM:
		return grant_bind_source(fd, &plan->address);
	case WIRE_OP_CONNECT:
		return 0;
	}
	return -EINVAL;
}

static int open_path(const struct grant_request *request, const struct plan *plan)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&plan->address.address;
	struct rights_kept kept;
	int fd, r = 0;

	if (request->rights)
		r = rights_assume(request->rights, &kept);
	if (r < 0)
		return r;
	fd = path_open(un->sun_path);
	if (request->rights)
		rights_resume(&kept);
	/* ENOENT would say that there is no such endpoint. */
	return fd == -ENOENT || fd == -ENOTDIR ? -ECONNREFUSED : fd;
}

static bool wants_path(const struct grant_request *request, const struct plan *plan)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&plan->address.address;

	return request->ask->op == WIRE_OP_CONNECT && plan->family == AF_UNIX &&
	       un->sun_path[0] != '\0';
}

static int describe(const struct grant_request *request, const struct plan *plan, int fd,
		    struct wire_grant *ret)
{
	struct wire_grant grant = {
		.family = (uint32_t)plan->family,
		.address = plan->address,
	};
	socklen_t size = sizeof(grant.cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &grant.cookie, &size) < 0)
		return -errno;
	if (request->ask->op != WIRE_OP_CONNECT) {
		grant.flags = WIRE_F_BOUND;
		grant.address.len = sizeof(grant.address.address);
		if (getsockname(fd, (struct sockaddr *)&grant.address.address,
				&grant.address.len) < 0)
			return -errno;
	}
	*ret = grant;
	return 0;
}

int grant_make(const struct grant_request *request, struct wire_grant *ret, int *ret_path)
{
	_cleanup_fd_ int fd = -1, path = -1;
	struct plan plan;
	int r = plan_make(request, &plan);

	if (r < 0)
		return r;
	if (ret_path && wants_path(request, &plan)) {
		path = open_path(request, &plan);
		if (path < 0)
			return path;
	}
	fd = stack_socket(request->stack, plan.family, plan.type, plan.protocol);
	if (fd < 0)
		return fd_steal(&fd);
	if (request->owner && !request->shares)
		(void)!fchown(fd, request->owner->uid, request->owner->gid);
	r = place_socket(request, fd, &plan);
	if (r == 0)
		r = describe(request, &plan, fd, ret);
	if (r < 0)
		return r;
	if (ret_path)
		*ret_path = fd_steal(&path);
	return fd_steal(&fd);
}
