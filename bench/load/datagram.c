// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Datagrams, each with an address: what a resolver's or a game's send costs. Nobody reads
 * them. Where they go is full after the first ones, so that only the sender is measured.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

enum {
	BATCH = 64, /* between two looks at the clock */
};

int datagram_sink(const struct options *options)
{
	int fd = socket(options->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ 1 }, sizeof(int));
	if (bind(fd, (const struct sockaddr *)&options->address, options->address_size) <
	    0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

int datagram_send(int fd, const struct options *options)
{
	char message[RR_SIZE] = "";

	return sendto(fd, message, sizeof(message), 0,
		      (const struct sockaddr *)&options->address,
		      options->address_size) == sizeof(message)
		       ? 0
		       : -errno;
}

static int send_batch(int fd, const struct options *options)
{
	int r = 0;

	for (int i = 0; r == 0 && i < BATCH; i++)
		r = datagram_send(fd, options);
	return r;
}

int client_sendto(const struct options *options)
{
	uint64_t start, now, until, n = 0;
	int fd = socket(options->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? -errno : 0;

	for (int i = 0; i < 100 && r == 0; i++)
		r = send_batch(fd, options);
	start = now = now_ns();
	until = start + (uint64_t)(options->seconds * 1e9);
	while (r == 0 && now < until) {
		r = send_batch(fd, options);
		n += BATCH;
		now = now_ns();
	}
	if (fd >= 0)
		close(fd);
	if (r < 0)
		return client_fail("sendto", r);
	printf("{\"per_second\": %.1f, \"datagrams\": %llu, \"seconds\": %.4f}\n",
	       (double)n / ((double)(now - start) / 1e9), (unsigned long long)n,
	       (double)(now - start) / 1e9);
	return 0;
}
