/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding sockets of revoked rules with the iterators of revoke.bpf.h, and destroying
 * them.
 *
 * One round reads every iterator once. A socket is destroyed by its addresses and its
 * cookie, from within its network namespace. Where the kernel does not find it by its
 * addresses, as one of several that share a port, it is tried again each round.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/cgroup/internal.h"
#include "stack/diag.h"
#include "stack/stack.h"

#define SOCKETS_MAX (4 * 1024 * 1024)

static int compare(const void *a, const void *b)
{
	const struct cgroup_socket *left = a, *right = b;

	return left->cookie < right->cookie ? -1 : left->cookie > right->cookie;
}

static struct sockaddr_in6 address_of(const struct spot *spot)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = spot->port };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = spot->port };

	if (spot->family == AF_INET6) {
		memcpy(&in6.sin6_addr, spot->address, sizeof(in6.sin6_addr));
		return in6;
	}
	memcpy(&in.sin_addr, spot->address, sizeof(in.sin_addr));
	memset(&in6, 0, sizeof(in6));
	memcpy(&in6, &in, sizeof(in));
	return in6;
}

static bool is_datagram(const struct made_socket *made)
{
	return made->protocol == IPPROTO_UDP || made->protocol == IPPROTO_UDPLITE;
}

static void update(struct cgroup_socket *socket, const struct made_socket *made)
{
	if (made->state != TCP_CLOSE || !socket->state) {
		socket->local = address_of(&made->local);
		socket->peer = address_of(&made->peer);
		socket->state = made->state;
	}
	socket->is_idle = made->state == TCP_CLOSE && !is_datagram(made);
}

struct cgroup_socket *found_add(struct found *found, uint64_t cookie,
				const struct traced_path *asked)
{
	struct cgroup_socket **larger, *socket;

	socket = calloc(1, sizeof(*socket) + (asked ? sizeof(*asked) : 0));
	if (!socket)
		return NULL;
	if (asked)
		socket->asked = memcpy(socket + 1, asked, sizeof(*asked));
	larger = found->n == SOCKETS_MAX
			 ? NULL
			 : reallocarray(found->sockets, found->n + 1, sizeof(void *));
	if (larger)
		found->sockets = larger;
	socket->cookie = cookie;
	socket->round = found->round;
	if (!larger || !tsearch(socket, &found->tree, compare)) {
		free(socket);
		return NULL;
	}
	found->sockets[found->n++] = socket;
	found->is_changed = true;
	return socket;
}

struct cgroup_socket *found_known(const struct found *found, uint64_t cookie)
{
	const struct cgroup_socket key = { .cookie = cookie };
	struct cgroup_socket **known = tfind(&key, &found->tree, compare);

	return known ? *known : NULL;
}

void found_see(struct found *found, struct cgroup_socket *socket, bool is_alive)
{
	if (is_alive && socket->round != found->round &&
	    socket->fate == CGROUP_DESTROYED) {
		socket->fate = CGROUP_LIVES;
		found->is_changed = true;
	}
	socket->round = found->round;
}

static int add(struct found *found, const struct made_socket *made)
{
	struct cgroup_socket *socket = found_add(found, made->cookie, NULL);

	if (!socket)
		return -ENOMEM;
	socket->rule = made->rule + 1;
	socket->netns = made->netns;
	socket->device = made->device;
	socket->protocol = made->protocol;
	socket->is_bound = made->is_bound;
	update(socket, made);
	return 0;
}

/*
 * One that was dead before this began was dealt with then, unless it lives again: it
 * listens anew, or accept() made it of one that was dead already.
 */
static int take(struct found *found, const void *record)
{
	const struct made_socket *made = record;
	struct cgroup_socket *known;

	found->n_seen++;
	if (made->found == MADE_PENDING) {
		found->n_pending++;
		return 0;
	}
	known = found_known(found, made->cookie);
	if (!known)
		return made->found == MADE_DEAD && made->state == TCP_CLOSE
			       ? 0
			       : add(found, made);
	found_see(found, known, made->state != TCP_CLOSE);
	update(known, made);
	return 0;
}

/* Return: 0, or -errno. A record may come in two pieces. */
static int read_all(struct found *found, int iterator, size_t size, found_merge_fn *merge)
{
	_Alignas(uint64_t) char buffer[32768];
	size_t filled = 0, n;
	int r = 0;

	while (r == 0) {
		ssize_t got = read(iterator, buffer + filled, sizeof(buffer) - filled);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got <= 0)
			return got < 0 ? -errno : 0;
		filled += (size_t)got;
		n = filled / size;
		for (size_t i = 0; r == 0 && i < n; i++)
			r = merge(found, buffer + i * size);
		filled -= n * size;
		memmove(buffer, buffer + n * size, filled);
	}
	return r;
}

int found_iterate(const struct cgroup_programs *programs, enum program program,
		  struct found *found, size_t size, found_merge_fn *merge)
{
	_cleanup_fd_ int link = -1, iterator = -1;

	link = bpf_link_create(programs->programs[program], 0, BPF_TRACE_ITER, NULL);
	if (link < 0)
		return -errno;
	iterator = bpf_iter_create(link);
	return iterator < 0 ? -errno : read_all(found, iterator, size, merge);
}

static int iterate(const struct cgroup_programs *programs, enum program program,
		   struct found *found)
{
	return found_iterate(programs, program, found, sizeof(struct made_socket), take);
}

static void destroy(struct stack *stack, struct cgroup_socket *socket, bool *ret_cannot)
{
	struct diag_socket id = { .protocol = socket->protocol,
				  .device = socket->device,
				  .cookie = socket->cookie };
	int r;

	memcpy(&id.local, &socket->local, sizeof(socket->local));
	memcpy(&id.peer, &socket->peer, sizeof(socket->peer));
	r = diag_destroy(stack, &id);
	if (r == 0)
		socket->fate = CGROUP_DESTROYED;
	else if (r == -EOPNOTSUPP)
		*ret_cannot = true;
}

struct visit {
	struct cgroup_programs *programs;
	struct found *found;
};

static int visit(void *context, uint32_t netns)
{
	const struct visit *this = context;
	struct found *found = this->found;
	struct stack *stack;
	int r;

	r = iterate(this->programs, PROGRAM_MADE_TCP, found);
	if (r == 0)
		r = iterate(this->programs, PROGRAM_MADE_UDP, found);
	if (r == 0 && found->has_unix)
		r = found_unix(this->programs, PROGRAM_MADE_UNIX, found);
	if (r == 0 && !found->is_listed)
		r = stack_host_new(&stack);
	if (r < 0 || found->is_listed)
		return r;
	for (size_t i = 0; i < found->n; i++)
		if (found->sockets[i]->netns == netns && !found->sockets[i]->type &&
		    found->sockets[i]->fate == CGROUP_LIVES &&
		    !found->sockets[i]->is_idle)
			destroy(stack, found->sockets[i], &found->cannot);
	stack_free(stack);
	return 0;
}

int found_round(struct cgroup_programs *programs, struct found *found)
{
	struct visit this = { .programs = programs, .found = found };
	int r;

	found->round++;
	found->n_seen = 0;
	found->n_pending = found->n_waiting = found->n_calling = 0;
	found->is_changed = false;
	r = iterate(programs, PROGRAM_MADE_FILE, found);
	if (r == 0 && found->has_unix)
		r = found_unix(programs, PROGRAM_MADE_UNIX_FILE, found);
	if (r == 0)
		r = netns_walk(visit, &this);
	if (!found->n_calling)
		found->n_waiting = 0;
	return r;
}

static void keep(void *socket)
{
	(void)socket;
}

void found_release(struct found *found)
{
	tdestroy(found->tree, keep);
	for (size_t i = 0; i < found->n; i++)
		free(found->sockets[i]);
	free(found->sockets);
	*found = (struct found){ 0 };
}

static int destroy_try(struct stack *stack, int type, int protocol)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct diag_socket id = { .protocol = protocol, .peer.any.sa_family = AF_INET };
	_cleanup_fd_ int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(id.local.v4), cookie_size = sizeof(id.cookie);

	if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 1) < 0) ||
	    getsockname(fd, &id.local.any, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &id.cookie, &cookie_size) < 0)
		return -errno;
	return diag_destroy(stack, &id);
}

int cgroup_destroy_try(void)
{
	struct stack *stack;
	int r = stack_host_new(&stack);

	if (r < 0)
		return r;
	r = destroy_try(stack, SOCK_STREAM, IPPROTO_TCP);
	if (r == 0)
		r = destroy_try(stack, SOCK_DGRAM, IPPROTO_UDP);
	stack_free(stack);
	return r;
}
