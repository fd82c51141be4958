/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel says no where it would have said no to the program: what we do for somebody
 * we do not trust is done without our capabilities, but for bind(), whose ports and
 * addresses whoever calls us has judged.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "base/address.h"
#include "base/fd.h"
#include "base/log.h"
#include "broker/path.h"
#include "broker/plan.h"
#include "broker/rights.h"
#include "stack/carry.h"
#include "stack/stack.h"

static int set_option(int fd, int level, int option)
{
	const int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* And not an abstract name? */
static bool is_path(const struct plan *plan)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&plan->address.address;

	return plan->family == AF_UNIX && un->sun_path[0] != '\0';
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
	if (is_path(plan))
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
	if (ret_path && request->ask->op == WIRE_OP_CONNECT && is_path(&plan)) {
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

static bool is_alike(int a, int b, int option)
{
	uint64_t of_a = 0, of_b = 0;
	socklen_t size_a = sizeof(of_a), size_b = sizeof(of_b);

	return getsockopt(a, SOL_SOCKET, option, &of_a, &size_a) == 0 &&
	       getsockopt(b, SOL_SOCKET, option, &of_b, &size_b) == 0 && of_a == of_b;
}

static bool has_option(int fd, int level, int option)
{
	int on = 0;
	socklen_t size = sizeof(on);

	return getsockopt(fd, level, option, &on, &size) == 0 && on;
}

/* Is @socket what a new one would be, but for its address? */
static bool is_of_kind(const struct grant_request *request, const struct plan *plan,
		       int socket)
{
	_cleanup_fd_ int new =
		stack_socket(request->stack, plan->family, plan->type, plan->protocol);

	if (new < 0 || !is_alike(new, socket, SO_DOMAIN) ||
	    !is_alike(new, socket, SO_TYPE) || !is_alike(new, socket, SO_PROTOCOL))
		return false;
	if (plan->family == AF_INET6 &&
	    has_option(socket, IPPROTO_IPV6, IPV6_V6ONLY) != plan_is_v6only(request))
		return false;
	return is_path(plan) || is_alike(new, socket, SO_NETNS_COOKIE);
}

/* A stream socket that is bound and no more says HUP; RDHUP comes with it once it was
 * connected or, of AF_UNIX, shut down. An internet listener that was shut down is bound
 * and no more. */
static bool is_good(int socket)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct pollfd poll_fd = { .fd = socket, .events = POLLRDHUP };
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	int type = 0;
	socklen_t type_size = sizeof(type);

	if (getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &type_size) < 0 ||
	    poll(&poll_fd, 1, 0) < 0 || poll_fd.revents & POLLRDHUP)
		return false;
	if (type == SOCK_STREAM || type == SOCK_SEQPACKET)
		return has_option(socket, SOL_SOCKET, SO_ACCEPTCONN) ||
		       poll_fd.revents & POLLHUP;
	return getpeername(socket, (struct sockaddr *)&peer, &size) < 0 ||
	       connect(socket, &none, sizeof(none)) == 0;
}

static bool is_at(const struct plan *plan, int socket)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&plan->address.address;
	union address want = { .storage = plan->address.address }, local;
	socklen_t size = sizeof(local);

	if (getsockname(socket, &local.any, &size) < 0 ||
	    local.any.sa_family != want.any.sa_family)
		return false;
	if (plan->family == AF_UNIX)
		return size == plan->address.len && !memcmp(&local, &want, size) &&
		       (!is_path(plan) || path_leads_to(un->sun_path, socket));
	if (!address_port(&local) ||
	    (address_port(&want) && address_port(&want) != address_port(&local)))
		return false;
	return want.any.sa_family == AF_INET
		       ? want.v4.sin_addr.s_addr == local.v4.sin_addr.s_addr
		       : IN6_ARE_ADDR_EQUAL(&want.v6.sin6_addr, &local.v6.sin6_addr);
}

int grant_again(const struct grant_request *request, int socket, struct wire_grant *ret)
{
	_cleanup_fd_ int fd = -1;
	struct plan plan;
	int r = plan_make(request, &plan);

	if (r < 0)
		return r;
	if (!is_of_kind(request, &plan, socket) || !is_good(socket) ||
	    !is_at(&plan, socket))
		return -ESTALE;
	fd = fcntl(socket, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = carry(request, fd);
	if (r == 0)
		r = describe(request, &plan, fd, ret);
	return r < 0 ? r : fd_steal(&fd);
}
