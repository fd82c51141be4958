/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program that names endpoints itself: "bound", "connected", or the errno. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "inside.h"
#include "linux/graft.h"

int name(const char *endpoint, const char *what)
{
	struct sockaddr_gr address = { .sgr_family = AF_GRAFT };
	int fd = socket(AF_GRAFT, SOCK_STREAM, 0);

	if (fd < 0)
		return fail("socket");
	memcpy(address.sgr_epname, endpoint,
	       strnlen(endpoint, sizeof(address.sgr_epname)));
	if (!strcmp(what, "bind")) {
		if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			return fail("bind");
		puts("bound");
		return 0;
	}
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fail("connect");
	puts("connected");
	return 0;
}
