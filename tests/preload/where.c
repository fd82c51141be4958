/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * where [PORT]: binds 0.0.0.0:7000 (or PORT), listens, and prints "own", or "grafted"
 * when the socket is in another network namespace than the process. Waits for the end of
 * its input before it ends. Compiled as 32-bit, static and musl program too.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#	define SO_NETNS_COOKIE 71
#endif

static unsigned long long cookie_of(int fd)
{
	unsigned long long cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len);
	return cookie;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1, own;
	char byte;

	address.sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 7000));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror("bind");
		return 1;
	}
	if (listen(fd, 5) < 0) {
		perror("listen");
		return 1;
	}
	/* A UNIX socket is never grafted. */
	own = socket(AF_UNIX, SOCK_STREAM, 0);
	puts(cookie_of(fd) == cookie_of(own) ? "own" : "grafted");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
