/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's calls, past the wrappers of libgraft-hijack.so, for calls that do not
 * block: they are no cancellation points. Return: as the calls do, with errno.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE /* 5.14 */
#	define SO_NETNS_COOKIE 71
#endif

static inline int kernel_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
	return (int)syscall(SYS_getsockname, fd, address, len);
}

static inline int kernel_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
	return (int)syscall(SYS_getpeername, fd, address, len);
}

static inline int kernel_getsockopt(int fd, int level, int name, void *value,
				    socklen_t *size)
{
	return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}

static inline int kernel_bind(int fd, const struct sockaddr *address, socklen_t len)
{
	return (int)syscall(SYS_bind, fd, address, len);
}

static inline int kernel_close(int fd)
{
	return (int)syscall(SYS_close, fd);
}

/* One descriptor, without waiting. */
static inline int kernel_poll(struct pollfd *pollfd)
{
	const struct timespec now = { 0 };

	return (int)syscall(SYS_ppoll, pollfd, 1, &now, NULL, 0);
}

/* Return: the option, or @otherwise. */
static inline int kernel_option(int fd, int name, int otherwise)
{
	int value;
	socklen_t size = sizeof(value);

	return kernel_getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value
									   : otherwise;
}

/* SO_COOKIE or SO_NETNS_COOKIE. Return: 0 when it cannot be read. */
static inline uint64_t kernel_cookie(int fd, int name)
{
	uint64_t value;
	socklen_t size = sizeof(value);

	return kernel_getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : 0;
}
