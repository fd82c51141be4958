/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line per event on a descriptor of our own, never on the program's stderr after it
 * was closed. Levels: error = somebody must act, warning = we carry on (and say so),
 * info = life-cycle and verdicts (`--verbose`), debug = for us (`-vv`).
 *
 * Lines a peer can cause go through log_limited(): at most LOG_BURST lines a second per
 * call site, then one line with the number dropped.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

#define LOG_BURST 20

struct log_limit {
	long second;
	unsigned int n_lines;
	unsigned int n_dropped;
};

/* Lines go to @fd (kept open by the caller), at most as verbose as @level, each behind
 * "@prefix: ". */
void log_init(int fd, enum log_level level, const char *prefix);
bool log_wants(enum log_level level);
void log_line(enum log_level level, const char *format, ...) _printf_(2, 3);
bool log_limit_pass(struct log_limit *limit, enum log_level level);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#define log_limited(level, ...)                         \
	do {                                            \
		static struct log_limit limit_;         \
		if (log_limit_pass(&limit_, (level)))   \
			log_line((level), __VA_ARGS__); \
	} while (0)
