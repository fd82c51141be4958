/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an image of musl's has: an HTTP server with a thread for each connection, and a
 * client that asks the resolver. Any libc will do.
 *
 *	web serve NAME PORT	answers each request with NAME and who asked
 *	web get HOST PORT	prints the body
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char *name;

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* Until @end is there, or the peer has closed. Return: whether there was something. */
static int hear(int fd, char *text, size_t size, const char *end)
{
	size_t n = 0;
	ssize_t more;

	while (n < size - 1 && (more = read(fd, text + n, size - 1 - n)) > 0) {
		n += (size_t)more;
		text[n] = '\0';
		if (end && strstr(text, end))
			break;
	}
	text[n] = '\0';
	return n > 0;
}

static void *answer(void *argument)
{
	int fd = (int)(intptr_t)argument;
	struct sockaddr_in6 peer = { 0 };
	socklen_t size = sizeof(peer);
	char text[4096], host[INET6_ADDRSTRLEN] = "";

	getpeername(fd, (struct sockaddr *)&peer, &size);
	inet_ntop(AF_INET6, &peer.sin6_addr, host, sizeof(host));
	if (hear(fd, text, sizeof(text), "\r\n\r\n"))
		dprintf(fd, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n%s: %s\n",
			name, host);
	close(fd);
	return NULL;
}

static int serve(const char *port)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6,
					.sin6_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET6, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fail("bind");
	if (listen(fd, 64) < 0)
		return fail("listen");
	puts("listening");
	fflush(stdout);
	for (;;) {
		int client = accept(fd, NULL, NULL);
		pthread_t thread;

		if (client < 0)
			return fail("accept");
		if (pthread_create(&thread, NULL, answer, (void *)(intptr_t)client) == 0)
			pthread_detach(thread);
		else
			close(client);
	}
}

static int get(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all;
	struct timeval limit = { 20, 0 };
	int r = getaddrinfo(host, port, &hints, &all), fd = -1;
	char text[4096], *body;

	if (r != 0) {
		fprintf(stderr, "%s: %s\n", host, gai_strerror(r));
		return 1;
	}
	for (struct addrinfo *at = all; at && fd < 0; at = at->ai_next) {
		fd = socket(at->ai_family, SOCK_STREAM, 0);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		if (connect(fd, at->ai_addr, at->ai_addrlen) < 0) {
			perror("connect");
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(all);
	if (fd < 0)
		return 1;
	dprintf(fd, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host);
	hear(fd, text, sizeof(text), NULL);
	close(fd);
	body = strstr(text, "\r\n\r\n");
	fputs(body ? body + 4 : "no answer\n", stdout);
	return body ? 0 : 1;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && !strcmp(argv[1], "serve")) {
		name = argv[2];
		return serve(argv[3]);
	}
	if (argc == 4 && !strcmp(argv[1], "get"))
		return get(argv[2], argv[3]);
	return 2;
}
