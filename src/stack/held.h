/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets of `hold` endpoints that a run keeps open, so that a server may be started anew
 * without losing a connection: whoever binds next gets the same socket, with its backlog.
 * Any thread may call any function.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct held;

/* For endpoints 0 to @n - 1. */
struct held *held_new(size_t n);
struct held *held_free(struct held *held);

/* Keeps a copy of @fd for @endpoint, instead of what was kept. Return: 0 or -errno. */
int held_keep(struct held *held, uint32_t endpoint, int fd);
/*
 * Takes what is kept for @endpoint, to stand for @like, whose options it takes on.
 * Return: a copy, close-on-exec and the caller's; HELD_E_NONE when there is none of that
 * kind; -EADDRINUSE when another process has it open still, and not @shares; -errno.
 */
#define HELD_E_NONE (-1000)
int held_take(struct held *held, uint32_t endpoint, int like, bool shares);
