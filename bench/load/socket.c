// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What both ends do with sockets. A congestion control the kernel does not let an
 * ordinary user choose is no error: the route may choose it, and the results say what was
 * used.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "load.h"

static int path_parse(const char *path, struct options *options)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&options->address;
	size_t len = strlen(path);

	if (len >= sizeof(un->sun_path))
		return -ENAMETOOLONG;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, len + 1);
	options->address_size = sizeof(*un);
	return 0;
}

int address_parse(const char *address, const char *port, struct options *options)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&options->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&options->address;
	unsigned long number;
	char *end;

	if (address[0] == '/')
		return path_parse(address, options);
	number = strtoul(port, &end, 10);
	if (end == port || *end || number > 65535)
		return -EINVAL;
	if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)number);
		options->address_size = sizeof(*in);
	} else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)number);
		options->address_size = sizeof(*in6);
	} else {
		return -EINVAL;
	}
	return 0;
}

static int wait_for(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	while (poll(&poll_fd, 1, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

ssize_t socket_some(int fd, void *buffer, size_t size)
{
	for (;;) {
		ssize_t n = recv(fd, buffer, size, 0);
		int r;

		if (n >= 0)
			return n;
		if (errno != EAGAIN)
			return -errno;
		r = wait_for(fd, POLLIN);
		if (r < 0)
			return r;
	}
}

int socket_all(int fd, void *buffer, size_t size, bool sending)
{
	size_t done = 0;

	while (done < size) {
		char *at = (char *)buffer + done;
		ssize_t n = sending ? send(fd, at, size - done, MSG_NOSIGNAL)
				    : recv(fd, at, size - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			int r = wait_for(fd, sending ? POLLOUT : POLLIN);

			if (r < 0)
				return r;
			continue;
		}
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ECONNRESET;
		done += (size_t)n;
	}
	return 0;
}

void socket_get_cc(int fd, char *ret_name, size_t size)
{
	socklen_t got = (socklen_t)(size - 1);

	memset(ret_name, 0, size);
	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, ret_name, &got) < 0)
		ret_name[0] = '\0';
}

int socket_set_cc(int fd, const char *name)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) <
	    0)
		return -errno;
	return 0;
}

int socket_listen(const struct options *options)
{
	int fd, r;

	fd = socket(options->address.ss_family,
		    SOCK_STREAM | SOCK_CLOEXEC | (options->polls ? SOCK_NONBLOCK : 0), 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	socket_set_cc(fd, options->congestion_control);
	if (bind(fd, (const struct sockaddr *)&options->address, options->address_size) <
		    0 ||
	    listen(fd, 1024) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* Return: 0 or -errno. */
static int finish_connect(int fd)
{
	int error = 0, r = wait_for(fd, POLLOUT);

	if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error,
				 &(socklen_t){ sizeof(error) }) < 0)
		r = -errno;
	return r < 0 ? r : -error;
}

int socket_connect(const struct options *options, bool set_cc)
{
	int fd, r = 0;

	fd = socket(options->address.ss_family,
		    SOCK_STREAM | SOCK_CLOEXEC | (options->polls ? SOCK_NONBLOCK : 0), 0);
	if (fd < 0)
		return -errno;
	if (set_cc)
		socket_set_cc(fd, options->congestion_control);
	if (connect(fd, (const struct sockaddr *)&options->address,
		    options->address_size) < 0)
		r = errno == EINPROGRESS ? finish_connect(fd) : -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}
