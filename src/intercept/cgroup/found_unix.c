/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * UNIX sockets that are connected by revoked rules: ending them.
 *
 * The kernel has no call that destroys one. But whoever has a descriptor of it may shut
 * it down, for all who have one, and a stream's other end with it. So a descriptor is
 * copied from whichever process has one, of either end. By its cookie the copy is what
 * was meant, or it is left alone: numbers of descriptors and processes are used again.
 *
 * A datagram socket is shut down too, rather than disconnected by AF_UNSPEC: that would
 * open it to the datagrams of everybody, and leave it those of its peer.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/process.h"
#include "intercept/cgroup/internal.h"

#ifndef SYS_pidfd_getfd
#	define SYS_pidfd_getfd 438
#endif

/* Return: whether the descriptor was the socket it was told to be, which is over now. */
static bool shut(const struct made_unix *made)
{
	_cleanup_fd_ int process = -1, fd = -1;
	socklen_t size = sizeof(made->end);
	uint64_t cookie;

	process = process_open_thread((pid_t)made->thread);
	if (process == -EINVAL)
		process = process_open((pid_t)made->thread);
	fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, made->fd, 0);
	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 &&
	       cookie == made->end && shutdown(fd, SHUT_RDWR) == 0;
}

static struct cgroup_socket *add(struct found *found, const struct made_unix *made)
{
	struct cgroup_socket *socket = found_add(found, made->cookie, &made->asked);

	if (!socket)
		return NULL;
	socket->rule = made->rule + 1;
	socket->netns = made->netns;
	socket->type = made->type;
	socket->state = made->state;
	return socket;
}

/* Those of an earlier revoke that are not connected have nothing that could end. */
static int take(struct found *found, const void *record)
{
	const struct made_unix *made = record;
	struct cgroup_socket *socket;

	if (made->found == MADE_CALLING)
		found->n_calling++;
	else if (made->found == MADE_PENDING && made->type == SOCK_DGRAM)
		found->n_pending++;
	else if (made->found == MADE_PENDING)
		found->n_waiting++;
	if (made->found == MADE_CALLING || made->found == MADE_PENDING)
		return 0;
	socket = found_known(found, made->cookie);
	if (!socket && made->found == MADE_DEAD && made->state == TCP_CLOSE)
		return 0;
	if (!socket)
		socket = add(found, made);
	if (!socket)
		return -ENOMEM;
	found_see(found, socket, true);
	if (made->thread && !found->is_listed && socket->fate == CGROUP_LIVES &&
	    shut(made))
		socket->fate = CGROUP_DESTROYED;
	return 0;
}

int found_unix(const struct cgroup_programs *programs, enum program program,
	       struct found *found)
{
	return found_iterate(programs, program, found, sizeof(struct made_unix), take);
}
