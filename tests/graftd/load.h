/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the processes of one load share, in a file that all of them map: each worker has
 * a row of its own.
 */
#pragma once

#include <stdint.h>

#define LOAD_WORKERS 64
#define LOAD_ERRNOS  136

struct load_row {
	uint64_t n_calls;     /* grafted binds and connects that went well */
	uint64_t n_exchanges; /* over established connections */
	uint64_t n_lost;      /* established connections that broke */
	uint64_t n_refused;   /* a held port that did not answer */
	uint64_t longest_us;  /* one call */
	uint64_t errnos[LOAD_ERRNOS];
};

struct load {
	int stop;
	struct load_row rows[LOAD_WORKERS];
};

struct load *load_map(const char *path);
