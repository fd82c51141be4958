/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define LOG_LINE_MAX 1024

static int log_fd = STDERR_FILENO;
static enum log_level log_max = LOG_LEVEL_WARNING;
static const char *log_prefix = "graft";

void log_init(int fd, enum log_level level, const char *prefix)
{
	log_fd = fd;
	log_max = level;
	log_prefix = prefix;
}

bool log_wants(enum log_level level)
{
	return level <= log_max;
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	int saved = errno;
	va_list args;
	int head, body;
	size_t size;

	if (!log_wants(level))
		return;
	head = snprintf(line, sizeof(line), "%s: ", log_prefix);
	va_start(args, format);
	body = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, format, args);
	va_end(args);
	size = (size_t)head + (body > 0 ? (size_t)body : 0);
	if (size > sizeof(line) - 2)
		size = sizeof(line) - 2;
	/* What a peer sends may hold anything; a log line stays one line. */
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[size] = '\n';
	if (write(log_fd, line, size + 1) < 0) {
		/* Nowhere left to complain to. */
	}
	errno = saved;
}

bool log_limit_pass(struct log_limit *limit, enum log_level level)
{
	struct timespec now;

	if (!log_wants(level))
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != limit->second) {
		if (limit->n_dropped)
			log_line(level, "(%u similar lines dropped)", limit->n_dropped);
		limit->second = now.tv_sec;
		limit->n_lines = 0;
		limit->n_dropped = 0;
	}
	if (limit->n_lines >= LOG_BURST) {
		limit->n_dropped++;
		return false;
	}
	limit->n_lines++;
	return true;
}
