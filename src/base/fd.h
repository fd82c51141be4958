/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File descriptors. Every descriptor is close-on-exec from birth; -1 is "none".
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Closes @fd if it is one, keeping errno. Return: always -1, to assign back. */
static inline int fd_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return -1;
}

static inline void fd_closep(int *fd)
{
	*fd = fd_close(*fd);
}

static inline int fd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#define _cleanup_fd_ _cleanup_(fd_closep)

/*
 * Sends @size bytes and up to 8 descriptors @fds in one message over the UNIX socket
 * @via. The descriptors stay the caller's. Return: 0 or -errno.
 */
int fd_send(int via, const void *data, size_t size, const int *fds, size_t n_fds);

/* The same, without waiting: -EAGAIN when there is no room. */
int fd_send_now(int via, const void *data, size_t size, const int *fds, size_t n_fds);

/*
 * Receives one message of at most @size bytes and at most @max_fds descriptors, all
 * close-on-exec and the caller's afterwards; surplus descriptors are closed.
 * Return: bytes received, 0 at the end of the stream, or -errno (-EMSGSIZE when the
 * message was cut).
 */
ssize_t fd_receive(int via, void *data, size_t size, int *ret_fds, size_t max_fds,
		   size_t *ret_n_fds);
/* The same, and which process sent it, as far as the kernel tells (SO_PASSCRED on @via);
 * else 0. */
ssize_t fd_receive_from(int via, void *data, size_t size, int *ret_fds, size_t max_fds,
			size_t *ret_n_fds, pid_t *ret_sender);

/* Reads or writes all of @size bytes. Return: bytes moved (short only at end of file)
 * or -errno. */
ssize_t fd_read_all(int fd, void *data, size_t size);
ssize_t fd_write_all(int fd, const void *data, size_t size);
