/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cases on the kernel module's sockets, by the linker's --wrap.
 *
 * With GRAFTED in the environment each AF_INET and AF_INET6 socket that a case makes is
 * one of AF_GRAFT that behaves so. If it names an endpoint without an address, the socket
 * is put there before anything gives it an address. A socket that the module has none of,
 * such as a raw one, is the kernel's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "uapi/linux/graft.h"

#define FAMILY_FILE "/sys/module/af_graft/parameters/family"

#define WRAP(name, ...)                 \
	int __real_##name(__VA_ARGS__); \
	int __wrap_##name(__VA_ARGS__)
#define WRAP_SIZE(name, ...)                \
	ssize_t __real_##name(__VA_ARGS__); \
	ssize_t __wrap_##name(__VA_ARGS__)

WRAP(socket, int family, int type, int protocol);
WRAP(bind, int fd, const struct sockaddr *address, socklen_t len);
WRAP(connect, int fd, const struct sockaddr *address, socklen_t len);
WRAP(listen, int fd, int backlog);
WRAP_SIZE(send, int fd, const void *data, size_t size, int flags);
WRAP_SIZE(write, int fd, const void *data, size_t size);
WRAP_SIZE(sendto, int fd, const void *data, size_t size, int flags,
	  const struct sockaddr *address, socklen_t len);
WRAP_SIZE(sendmsg, int fd, const struct msghdr *message, int flags);
WRAP(sendmmsg, int fd, struct mmsghdr *messages, unsigned int n, int flags);

static int family_number(void)
{
	char text[16] = "";
	int fd = open(FAMILY_FILE, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return text[0] ? (int)strtol(text, NULL, 10) : AF_GRAFT;
}

static int make(int family, int type, int protocol)
{
	const int on = 1;
	int fd = __real_socket(family_number(), type, protocol);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_FAMILY, &family, sizeof(family)) ==
		    0 &&
	    setsockopt(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, &on, sizeof(on)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One that is somewhere, or not of the family, says EINVAL or EAFNOSUPPORT. */
static void put(int fd)
{
	const char *name = getenv("GRAFTED");
	struct sockaddr_gr address = { 0 };
	int saved = errno;

	if (!name || !*name)
		return;
	address.sgr_family = (sa_family_t)family_number();
	memcpy(address.sgr_epname, name, strnlen(name, sizeof(address.sgr_epname)));
	__real_bind(fd, (const struct sockaddr *)&address, sizeof(address));
	errno = saved;
}

int __wrap_socket(int family, int type, int protocol)
{
	int saved = errno, fd = -1;

	if (getenv("GRAFTED") && (family == AF_INET || family == AF_INET6))
		fd = make(family, type, protocol);
	if (fd >= 0)
		return fd;
	errno = saved;
	return __real_socket(family, type, protocol);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len)
{
	put(fd);
	return __real_bind(fd, address, len);
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
	put(fd);
	return __real_connect(fd, address, len);
}

int __wrap_listen(int fd, int backlog)
{
	put(fd);
	return __real_listen(fd, backlog);
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
	put(fd);
	return __real_send(fd, data, size, flags);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	put(fd);
	return __real_write(fd, data, size);
}

ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags,
		      const struct sockaddr *address, socklen_t len)
{
	put(fd);
	return __real_sendto(fd, data, size, flags, address, len);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	put(fd);
	return __real_sendmsg(fd, message, flags);
}

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags)
{
	put(fd);
	return __real_sendmmsg(fd, messages, n, flags);
}
