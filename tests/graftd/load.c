/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients of graftd, by way of the preload library, that never stop:
 *
 *	load FILE ROW worker BIND-PORT	binds 0.0.0.0:BIND-PORT and connects to
 *					192.0.2.1:9000, all the time, and keeps one
 *					connection for good
 *	load FILE ROW server BIND-PORT	binds it, answers some, closes, binds again
 *	load FILE ROW prober PORT	not grafted: connects to 127.0.0.1:PORT, where the
 *					server is, and wants an answer every time
 *	load - 0 echo PORT		not grafted: answers on 127.0.0.1:PORT, for ever
 *	load - 0 binds PORT N		binds N times, prints microseconds for each
 *
 * A call that fails is counted by its errno; an established connection that breaks is
 * counted as lost. What counts is in FILE, struct load.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define ANSWER_MS      20000
#define CLIENTS_A_TURN 5

static struct load *load;
static struct load_row *row;

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct sockaddr_in at(const char *address, int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, address, &in.sin_addr);
	return in;
}

static bool is_stopped(void)
{
	return __atomic_load_n(&load->stop, __ATOMIC_RELAXED);
}

/* A byte there, and its echo. */
static bool exchange(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char byte = 'x';

	return send(fd, &byte, 1, MSG_NOSIGNAL) == 1 &&
	       poll(&poll_fd, 1, ANSWER_MS) == 1 && recv(fd, &byte, 1, 0) == 1;
}

/* Counts what a call that began at @start did. */
static bool count(int result, uint64_t start)
{
	int error = errno;
	uint64_t us = now_us() - start;

	if (us > row->longest_us)
		row->longest_us = us;
	if (result < 0)
		row->errnos[error < LOAD_ERRNOS ? error : 0]++;
	else
		__atomic_add_fetch(&row->n_calls, 1, __ATOMIC_RELAXED);
	return result >= 0;
}

static int open_stream(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0) {
		perror("socket");
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return fd;
}

static int connect_once(void)
{
	struct sockaddr_in to = at("192.0.2.1", 9000);
	int fd = open_stream();
	uint64_t start = now_us();

	if (count(connect(fd, (struct sockaddr *)&to, sizeof(to)), start))
		return fd;
	close(fd);
	return -1;
}

static int bind_once(int port)
{
	struct sockaddr_in where = at("0.0.0.0", port);
	int fd = open_stream();
	uint64_t start = now_us();

	if (count(bind(fd, (struct sockaddr *)&where, sizeof(where)), start))
		return fd;
	close(fd);
	return -1;
}

static void worker(int port)
{
	int kept = -1;

	while (!is_stopped()) {
		int fd = bind_once(port);

		if (fd >= 0) {
			if (listen(fd, 5) < 0)
				row->errnos[errno]++;
			close(fd);
		}
		fd = connect_once();
		if (fd >= 0) {
			if (!exchange(fd))
				row->n_lost++;
			row->n_exchanges++;
		}
		if (kept < 0) {
			kept = fd;
			continue;
		}
		if (fd >= 0)
			close(fd);
		if (!exchange(kept)) {
			row->n_lost++;
			close(kept);
			kept = -1;
		}
		row->n_exchanges++;
	}
}

static void server(int port)
{
	while (!is_stopped()) {
		int fd = bind_once(port);

		if (fd < 0 || listen(fd, 100) < 0) {
			if (fd >= 0)
				row->errnos[errno]++;
			close(fd);
			poll(NULL, 0, 1);
			continue;
		}
		for (int i = 0; i < CLIENTS_A_TURN && !is_stopped(); i++) {
			struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
			int client;
			char byte;

			if (poll(&poll_fd, 1, 200) != 1)
				continue;
			client = accept(fd, NULL, NULL);
			if (client < 0)
				continue;
			if (recv(client, &byte, 1, 0) == 1)
				send(client, &byte, 1, MSG_NOSIGNAL);
			close(client);
		}
		close(fd);
	}
}

/* Nobody is refused and everybody is answered, whoever has the port just now. */
static void prober(int port)
{
	struct sockaddr_in to = at("127.0.0.1", port);

	while (!is_stopped()) {
		int fd = open_stream();

		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
			row->errnos[errno]++;
			row->n_refused++;
		} else if (!exchange(fd) && !is_stopped()) {
			row->n_lost++;
		} else {
			row->n_exchanges++;
		}
		close(fd);
	}
}

static void echo_all(struct pollfd *fds, nfds_t *n_fds)
{
	char data[512];

	for (nfds_t i = *n_fds; i-- > 1;) {
		ssize_t n;

		if (!fds[i].revents)
			continue;
		n = recv(fds[i].fd, data, sizeof(data), 0);
		if (n > 0 && send(fds[i].fd, data, (size_t)n, MSG_NOSIGNAL) == n)
			continue;
		close(fds[i].fd);
		fds[i] = fds[--*n_fds];
	}
}

static void echo(int port)
{
	static struct pollfd fds[4096];
	struct sockaddr_in where = at("127.0.0.1", port);
	nfds_t n_fds = 1;

	fds[0] = (struct pollfd){ .fd = open_stream(), .events = POLLIN };
	if (bind(fds[0].fd, (struct sockaddr *)&where, sizeof(where)) < 0 ||
	    listen(fds[0].fd, 1000) < 0) {
		perror("echo");
		exit(1);
	}
	while (poll(fds, n_fds, -1) > 0) {
		echo_all(fds, &n_fds);
		if (fds[0].revents && n_fds < 4096) {
			int fd = accept4(fds[0].fd, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0)
				fds[n_fds++] =
					(struct pollfd){ .fd = fd, .events = POLLIN };
		}
	}
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void binds(int port, int n)
{
	uint64_t *times = calloc((size_t)n, sizeof(*times));
	struct sockaddr_in where = at("0.0.0.0", port);

	for (int i = 0; i < n; i++) {
		int fd = open_stream();
		uint64_t start = now_us();

		if (bind(fd, (struct sockaddr *)&where, sizeof(where)) < 0) {
			perror("bind");
			exit(1);
		}
		times[i] = now_us() - start;
		close(fd);
	}
	qsort(times, (size_t)n, sizeof(*times), by_number);
	printf("%llu\n", (unsigned long long)times[n / 2]);
	free(times);
}

int main(int argc, char **argv)
{
	int index = argc > 4 ? atoi(argv[2]) : -1, port = argc > 4 ? atoi(argv[4]) : 0;

	if (index < 0 || index >= LOAD_WORKERS) {
		fprintf(stderr, "usage: load FILE ROW KIND PORT [N]\n");
		return 2;
	}
	load = strcmp(argv[1], "-") ? load_map(argv[1]) : calloc(1, sizeof(*load));
	if (!load) {
		perror(argv[1]);
		return 1;
	}
	row = &load->rows[index];
	if (!strcmp(argv[3], "worker"))
		worker(port);
	else if (!strcmp(argv[3], "server"))
		server(port);
	else if (!strcmp(argv[3], "prober"))
		prober(port);
	else if (!strcmp(argv[3], "echo"))
		echo(port);
	else if (!strcmp(argv[3], "binds") && argc > 5)
		binds(port, atoi(argv[5]));
	else
		return 2;
	return 0;
}
