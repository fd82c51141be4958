/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The smallest of servers and clients, for a machine that has no others:
 *
 *	peer serve ADDRESS TEXT [N]	binds, listens, says "up", answers each
 *					connection, or N, with TEXT
 *	peer ask ADDRESS		connects and prints what comes
 *
 * ADDRESS: 127.0.0.1:80, [::1]:80, or a path. A failure is told by the error's name.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static int fail(void)
{
	puts(strerrorname_np(errno));
	return 1;
}

static socklen_t parse(const char *text, union address *ret)
{
	char host[64] = "";
	unsigned int port = 0;

	*ret = (union address){ 0 };
	if (text[0] == '/') {
		ret->un.sun_family = AF_UNIX;
		snprintf(ret->un.sun_path, sizeof(ret->un.sun_path), "%s", text);
		return sizeof(ret->un);
	}
	if (sscanf(text, "[%63[0-9a-f:]]:%u", host, &port) == 2) {
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = htons((unsigned short)port);
		return inet_pton(AF_INET6, host, &ret->in6.sin6_addr) == 1
			       ? sizeof(ret->in6)
			       : 0;
	}
	if (sscanf(text, "%63[0-9.]:%u", host, &port) != 2)
		return 0;
	ret->in.sin_family = AF_INET;
	ret->in.sin_port = htons((unsigned short)port);
	return inet_pton(AF_INET, host, &ret->in.sin_addr) == 1 ? sizeof(ret->in) : 0;
}

static int serve(int fd, const union address *address, socklen_t len, char **argv)
{
	int n = argv[1] ? atoi(argv[1]) : -1, on = 1;

	/* What was served before is no reason to wait. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &address->any, len) < 0 || listen(fd, 16) < 0)
		return fail();
	puts("up");
	fflush(stdout);
	for (; n; n--) {
		int connection = accept(fd, NULL, NULL);

		if (connection < 0)
			return fail();
		if (write(connection, argv[0], strlen(argv[0])) < 0)
			return fail();
		close(connection);
	}
	return 0;
}

static int ask(int fd, const union address *address, socklen_t len)
{
	char data[256];
	ssize_t n;

	if (connect(fd, &address->any, len) < 0)
		return fail();
	while ((n = read(fd, data, sizeof(data))) > 0)
		fwrite(data, 1, (size_t)n, stdout);
	return n < 0 ? fail() : 0;
}

int main(int argc, char **argv)
{
	union address address;
	socklen_t len = argc < 3 ? 0 : parse(argv[2], &address);
	int fd;

	if (!len)
		return 2;
	fd = socket(address.any.sa_family, SOCK_STREAM, 0);
	if (fd < 0)
		return fail();
	if (argc > 3 && !strcmp(argv[1], "serve"))
		return serve(fd, &address, len, argv + 3);
	return ask(fd, &address, len);
}
