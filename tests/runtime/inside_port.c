/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Servers of published ports, and who asks them. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "inside.h"

static const char *print(const struct sockaddr_storage *address, char text[64])
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	char host[INET6_ADDRSTRLEN];

	if (address->ss_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
	else
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
	snprintf(text, 64, "%s %u", host, ntohs(v4->sin_port));
	return text;
}

/* Return: a socket that serves @port, and has said where. */
static int open_server(int type, const char *port, const char *family)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof(address);
	char text[64];
	int fd, on = 1;

	address.ss_family = strcmp(family, "v6") ? AF_INET : AF_INET6;
	((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)atoi(port));
	fd = socket(address.ss_family, type, 0);
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address,
		 address.ss_family == AF_INET ? sizeof(struct sockaddr_in)
					      : sizeof(struct sockaddr_in6)) < 0) {
		fail("bind");
		return -1;
	}
	if (type == SOCK_STREAM && listen(fd, 16) < 0) {
		fail("listen");
		return -1;
	}
	getsockname(fd, (struct sockaddr *)&address, &size);
	printf("listening at %s\n", print(&address, text));
	fflush(stdout);
	return fd;
}

int share(const char *port)
{
	struct sockaddr_in address = address_of("0.0.0.0", port);
	struct pollfd fds[2];
	int on = 1;

	for (int i = 0; i < 2; i++) {
		fds[i].fd = socket(AF_INET, SOCK_STREAM, 0);
		fds[i].events = POLLIN;
		setsockopt(fds[i].fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
		if (bind(fds[i].fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			return fail("bind");
	}
	for (int i = 0; i < 2; i++)
		if (listen(fds[i].fd, 16) < 0)
			return fail("listen");
	puts("listening");
	fflush(stdout);
	while (poll(fds, 2, -1) > 0)
		for (int i = 0; i < 2; i++)
			if (fds[i].revents) {
				int client = accept(fds[i].fd, NULL, NULL);

				dprintf(client, "socket %d\n", i);
				close(client);
			}
	return fail("poll");
}

int echo_udp(const char *name, const char *port, const char *family)
{
	int fd = open_server(SOCK_DGRAM, port, family);
	struct sockaddr_storage peer = { 0 };
	char text[64], answer[128], byte;

	for (;;) {
		socklen_t size = sizeof(peer);

		if (recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&peer, &size) < 0)
			return fail("recvfrom");
		*strrchr(print(&peer, text), ' ') = '\0';
		snprintf(answer, sizeof(answer), "%s: %s\n", name, text);
		sendto(fd, answer, strlen(answer), 0, (struct sockaddr *)&peer, size);
	}
}

int ask_udp(const char *host, const char *port)
{
	struct sockaddr_storage address;
	socklen_t size = any_address_of(host, port, &address);
	int fd = socket(address.ss_family, SOCK_DGRAM, 0);
	struct timeval limit = { 5, 0 };
	char text[256];
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, size) < 0)
		return fail("connect");
	if (write(fd, "x", 1) != 1)
		return fail("write");
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return fail("read");
	return fwrite(text, 1, (size_t)n, stdout) == (size_t)n ? 0 : 1;
}

int tell(const char *name, const char *port, const char *family)
{
	int fd = open_server(SOCK_STREAM, port, family);
	struct sockaddr_storage address = { 0 }, peer = { 0 };
	char text[64], peer_text[64];

	for (;;) {
		socklen_t size = sizeof(address), peer_size = sizeof(peer);
		int client;

		client = accept(fd, (struct sockaddr *)&peer, &peer_size);
		if (client < 0)
			return fail("accept");
		getsockname(client, (struct sockaddr *)&address, &size);
		*strrchr(print(&peer, peer_text), ' ') = '\0';
		dprintf(client, "%s: %s at %s\n", name, peer_text, print(&address, text));
		close(client);
	}
}
