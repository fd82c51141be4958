/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A ring of io_uring, by raw calls. */
#pragma once

#include <linux/io_uring.h>
#include <stdint.h>

struct ring {
	int fd;
	char *queue;
	struct io_uring_sqe *entries;
	struct io_uring_params params;
};

/* Maps the ring @fd with these @params. Return: 0 or -1. */
int ring_map(struct ring *ring);
/* Has one entry done and waits for it, waking who polls. Return: its result, or -1. */
long ring_do(struct ring *ring, const struct io_uring_sqe *entry);
/* Parameters as text, for an environment. */
void ring_print(const struct io_uring_params *params, const char *variable);
/* Return: 0, or -1 where there is no such variable. */
int ring_parse(struct io_uring_params *params, const char *variable);
