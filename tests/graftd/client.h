/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of graftd that says what it likes: messages, bytes, descriptors.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire/wire.h"

#define PATIENCE_MS 10000

double seconds(void);
/* All of these return -errno on failure; what they open is the caller's. */
int client_connect(const char *path);
/* With hello said and heard. */
int client_open(const char *path);
int client_send_bytes(int via, const void *data, size_t size, const int *fds,
		      size_t n_fds);
int client_send(int via, const struct wire_message *message, const int *fds,
		size_t n_fds);
/* One message, and at most one descriptor beside it (-1: none; more are closed). */
int client_receive(int via, struct wire_message *ret, int *ret_fd, int timeout_ms);
/* Return: the socket, or -errno as graftd said it; -EPROTO for nonsense, -ETIMEDOUT. */
int client_ask(int via, enum wire_op op, const char *name, const struct sockaddr *address,
	       socklen_t len, int socket);
/* 0, or -errno as graftd said it. */
int client_add(int via, const char *line);
/* How many endpoints there are, and how many names of @wanted are among them. */
int client_count(int via, bool (*wanted)(const char *line, void *context), void *context,
		 size_t *ret_wanted);
