/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets of families that are not AF_INET and AF_INET6, towards the host: abstract UNIX
 * names, which belong to a network namespace, and VM sockets, which belong to none.
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <sys/un.h>

#include "escape.h"

static void reach_name(int fd, int type)
{
	static const char stream[] = "graft-escape-stream",
			  datagram[] = "graft-escape-datagram";
	const char *name = type == SOCK_STREAM ? stream : datagram;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);

	memcpy(address.sun_path + 1, name, strlen(name));
	if (type == SOCK_DGRAM)
		seen("sendto", sendto(fd, "x", 1, 0, (struct sockaddr *)&address, size));
	if (!seen("connect", connect(fd, (struct sockaddr *)&address, size)))
		poke(fd);
}

static void abstract(const struct way *way)
{
	int fds[2];

	(void)way;
	reach_name(socket(AF_UNIX, SOCK_STREAM, 0), SOCK_STREAM);
	reach_name(socket(AF_UNIX, SOCK_DGRAM, 0), SOCK_DGRAM);
	if (!socketpair(AF_UNIX, SOCK_DGRAM, 0, fds))
		reach_name(fds[0], SOCK_DGRAM);
}

/* A socket that a rule made a UNIX socket, and that did not connect. */
static void endpoint(const struct way *way)
{
	static const int ports[] = { PORT_UNIX_PATH, PORT_UNIX_NAME };

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		struct target target = target_allowed(way);
		int fd = fresh(way);

		target.v4.sin_port = htons(ports[i]);
		if (is_grafted)
			seen_connect(fd, &target);
		else
			fd = socket(AF_UNIX, way->type, 0);
		reach_name(fd, way->type);
		seen_disconnect(fd);
		reach_name(fd, way->type);
	}
}

static void vsock(const struct way *way)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK,
				       .svm_port = PORT_CANARY,
				       .svm_cid = VMADDR_CID_LOCAL };
	int fd = seen("socket(AF_VSOCK)", socket(AF_VSOCK, SOCK_STREAM, 0));

	(void)way;
	if (fd >= 0)
		breach("a socket outside every network namespace");
	else if (!is_grafted)
		unsupported("no AF_VSOCK in this kernel");
	if (!seen("connect", connect(fd, (struct sockaddr *)&address, sizeof(address))))
		poke(fd);
}

const struct attempt attempts_unix[] = {
	{ "unix-abstract", WAY_NONE, 0, abstract, "abstract UNIX sockets of the host" },
	{ "unix-endpoint", WAY_ALL, NEEDS_UNIX, endpoint,
	  "the same, from a socket that a rule made a UNIX socket" },
	{ "vsock", WAY_NONE, IS_KNOWN_OPEN, vsock, "AF_VSOCK, which no namespace holds" },
	{}
};
