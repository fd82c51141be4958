/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Many calls, and many connections. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inside.h"

#define CLIENTS_MAX 64

static struct sockaddr_in storm_address;
static atomic_int n_raging;

static void *rage(void *argument)
{
	for (unsigned long n = 0;; n++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		connect(fd, (struct sockaddr *)&storm_address, sizeof(storm_address));
		close(fd);
		if (!n)
			atomic_fetch_add(&n_raging, 1);
	}
	return argument;
}

/* Says "storming" when each thread has made calls that were answered; never ends. */
int storm(const char *host, const char *port, const char *n_threads)
{
	int n = atoi(n_threads);
	pthread_t thread;

	storm_address.sin_family = AF_INET;
	storm_address.sin_port = htons((uint16_t)atoi(port));
	inet_pton(AF_INET, host, &storm_address.sin_addr);
	for (int i = 0; i < n; i++)
		if (pthread_create(&thread, NULL, rage, NULL))
			return fail("pthread_create");
	while (atomic_load(&n_raging) < n)
		usleep(10000);
	puts("storming");
	fflush(stdout);
	for (;;)
		pause();
}

/* @n connections one after the other: "N of N". */
int many(const char *host, const char *port, const char *n)
{
	int wanted = atoi(n), n_done = 0;

	for (int i = 0; i < wanted; i++)
		n_done += get(host, port) == 0;
	printf("%d of %d\n", n_done, wanted);
	return n_done == wanted ? 0 : 1;
}

static void reflect(struct pollfd *client)
{
	char text[4096];
	ssize_t n = read(client->fd, text, sizeof(text));

	if (n > 0 && write(client->fd, text, (size_t)n) == n)
		return;
	close(client->fd);
	client->fd = -1;
}

static void take(int server, struct pollfd *clients)
{
	int fd = accept(server, NULL, NULL);

	for (int i = 0; i < CLIENTS_MAX && fd >= 0; i++)
		if (clients[i].fd < 0) {
			clients[i].fd = fd;
			fd = -1;
		}
	if (fd >= 0)
		close(fd);
}

/* Answers each connection with what it said, for as long as it talks. */
int mirror(const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)atoi(port)) };
	struct pollfd polled[1 + CLIENTS_MAX];
	int server = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(server, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fail("bind");
	if (listen(server, 16) < 0)
		return fail("listen");
	puts("listening");
	fflush(stdout);
	for (int i = 0; i <= CLIENTS_MAX; i++)
		polled[i] = (struct pollfd){ .fd = i ? -1 : server, .events = POLLIN };
	while (poll(polled, 1 + CLIENTS_MAX, -1) >= 0 || errno == EINTR) {
		for (int i = 1; i <= CLIENTS_MAX; i++)
			if (polled[i].fd >= 0 && polled[i].revents)
				reflect(&polled[i]);
		if (polled[0].revents)
			take(server, polled + 1);
	}
	return fail("poll");
}
