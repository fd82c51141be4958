/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a graftd before us left: its journal, and the sockets it had kept.
 */
#pragma once

#include <stddef.h>

#include "broker/store.h"

struct graftd;

struct restore_socket {
	char name[STORE_NAME_MAX + 1];
	int fd;
};

/* All zero: none. */
struct restore_kept {
	struct restore_socket *sockets;
	size_t n;
};

/* Replays the journal in graftd->state into the registry, and opens it. Return: 0 or
 * -errno. */
int restore_registry(struct graftd *graftd);

/* Notes one that the store gave back; @context: struct restore_kept. */
void restore_found(void *context, const char *name, int fd);
/* Return: the control socket that whoever started us made, the caller's, or -1. */
int restore_given(struct restore_kept *kept);
/* Return: the last graftd's control socket, the caller's, or -1. */
int restore_control(struct restore_kept *kept);
/* The endpoints that held them have them again; what is left over is closed. */
void restore_held(struct graftd *graftd, struct restore_kept *kept);
