/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking the kernel about a socket.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#ifndef SO_NETNS_COOKIE /* 5.14 */
#	define SO_NETNS_COOKIE 71
#endif

/* An option of SOL_SOCKET. Return: @otherwise when it cannot be read. */
static inline int kernel_option(int fd, int name, int otherwise)
{
	int value;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : otherwise;
}

/* SO_COOKIE or SO_NETNS_COOKIE. Return: 0 when it cannot be read. */
static inline uint64_t kernel_cookie(int fd, int name)
{
	uint64_t value;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : 0;
}
