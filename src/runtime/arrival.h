/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a runtime sends to listenerPath: the ContainerProcessState of the runtime
 * specification, as JSON, and with it the seccomp listener.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ARRIVAL_MAX     (1u << 20)
#define ARRIVAL_FDS_MAX 8

struct arrival {
	char *text;
	size_t size;
	int fds[ARRIVAL_FDS_MAX];
	size_t n_fds;
};

/* What was said. */
struct arrived {
	pid_t pid; /* who has the filter; 0: crun does not say it of what it executes */
	int listener;
};

void arrival_init(struct arrival *arrival);
void arrival_deinit(struct arrival *arrival);
/* Reads what has come over @via, which does not block. Return: 1: that was all, 0: more
 * is to come, -errno. */
int arrival_read(struct arrival *arrival, int via);
/* Return: 0, ret->listener is the caller's; -EPROTO: it is not what it should be, or not
 * for @metadata. */
int arrival_parse(struct arrival *arrival, const char *metadata, struct arrived *ret);
