/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Says what a case saw. Lines on the pipe: 'S' key=value is part of the result, 'F' a
 * sentence about a value that is not what the standard fixes.
 */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "case.h"

static void write_line(const struct ctx *t, const char *line)
{
	size_t size = strlen(line);

	if (write(t->out, line, size) != (ssize_t)size)
		_exit(3);
}

static void record(const struct ctx *t, const char *key, const char *value)
{
	char line[4096];
	size_t n;

	n = snprintf(line, sizeof(line) - 1, "S%s=%s", key, value);
	if (n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	for (size_t i = 0; i < n; i++)
		if (line[i] == '\n' || line[i] == '\t')
			line[i] = '?';
	line[n] = '\n';
	line[n + 1] = '\0';
	write_line(t, line);
}

static void hold(struct ctx *t, const char *key, const char *expected, const char *value)
{
	char line[4096];

	record(t, key, value);
	if (strcmp(expected, value) == 0)
		return;
	snprintf(line, sizeof(line), "F%s is %.1900s, must be %.1900s\n", key, value,
		 expected);
	write_line(t, line);
}

void see(struct ctx *t, const char *key, const char *format, ...)
{
	char value[3900];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	record(t, key, value);
}

void want(struct ctx *t, const char *key, const char *expected, const char *format, ...)
{
	char value[3900];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	hold(t, key, expected, value);
}

void see_int(struct ctx *t, const char *key, long value)
{
	see(t, key, "%ld", value);
}

void want_int(struct ctx *t, const char *key, long expected, long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", expected);
	want(t, key, text, "%ld", value);
}

const char *rc_text(long result, int error, char *text)
{
	const char *name;

	if (result >= 0) {
		snprintf(text, 32, "%ld", result);
		return text;
	}
	name = strerrorname_np(error);
	if (name)
		snprintf(text, 32, "%s", name);
	else
		snprintf(text, 32, "E%d", error);
	return text;
}

void see_rc(struct ctx *t, const char *key, long result)
{
	char text[32];

	see(t, key, "%s", rc_text(result, errno, text));
}

void want_rc(struct ctx *t, const char *key, long expected, long result)
{
	char expected_text[32], text[32];

	rc_text(result, errno, text);
	want(t, key, rc_text(expected, (int)-expected, expected_text), "%s", text);
}

static const struct {
	unsigned int bit;
	const char *name;
} event_names[] = {
	{ EPOLLIN, "IN" },         { EPOLLPRI, "PRI" },       { EPOLLOUT, "OUT" },
	{ EPOLLERR, "ERR" },       { EPOLLHUP, "HUP" },       { EPOLLRDHUP, "RDHUP" },
	{ EPOLLRDNORM, "RDNORM" }, { EPOLLRDBAND, "RDBAND" }, { EPOLLWRNORM, "WRNORM" },
	{ EPOLLWRBAND, "WRBAND" }, { POLLNVAL, "NVAL" },
};

static void event_text(unsigned int events, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(event_names); i++)
		if (events & event_names[i].bit)
			n += snprintf(text + n, size - n, "%s%s", n ? "|" : "",
				      event_names[i].name);
	if (n == 0)
		snprintf(text, size, "none");
}

void see_events(struct ctx *t, const char *key, unsigned int events)
{
	char text[128];

	event_text(events, text, sizeof(text));
	record(t, key, text);
}

void want_events(struct ctx *t, const char *key, unsigned int expected,
		 unsigned int events)
{
	char expected_text[128], text[128];

	event_text(expected, expected_text, sizeof(expected_text));
	event_text(events, text, sizeof(text));
	hold(t, key, expected_text, text);
}

void see_address(struct ctx *t, const char *key, const struct address *address)
{
	char text[128];

	address_name(t, address, text, sizeof(text));
	record(t, key, text);
}

void want_address(struct ctx *t, const char *key, const char *expected,
		  const struct address *address)
{
	char text[128];

	address_name(t, address, text, sizeof(text));
	hold(t, key, expected, text);
}

typedef int name_call(int fd, struct sockaddr *address, socklen_t *len);

static void name_text(const struct ctx *t, name_call *call, int fd, char *text,
		      size_t size)
{
	struct address address = { .len = sizeof(address.storage) };

	if (call(fd, &address.sa, &address.len) < 0)
		rc_text(-1, errno, text);
	else
		address_name(t, &address, text, size);
}

void see_name(struct ctx *t, const char *key, int fd)
{
	char text[128];

	name_text(t, getsockname, fd, text, sizeof(text));
	record(t, key, text);
}

void want_name(struct ctx *t, const char *key, const char *expected, int fd)
{
	char text[128];

	name_text(t, getsockname, fd, text, sizeof(text));
	hold(t, key, expected, text);
}

void see_peer(struct ctx *t, const char *key, int fd)
{
	char text[128];

	name_text(t, getpeername, fd, text, sizeof(text));
	record(t, key, text);
}

void want_peer(struct ctx *t, const char *key, const char *expected, int fd)
{
	char text[128];

	name_text(t, getpeername, fd, text, sizeof(text));
	hold(t, key, expected, text);
}

void want_error(struct ctx *t, const char *key, int expected, int fd)
{
	char expected_text[32], text[32];
	int error = get_int(fd, SOL_SOCKET, SO_ERROR);

	rc_text(expected ? -1 : 0, expected, expected_text);
	hold(t, key, expected_text, rc_text(error ? -1 : 0, error, text));
}

void see_map(struct ctx *t, const char *key, const int *results, size_t n_results)
{
	char text[3900], one[32];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0, end; i < n_results && n < sizeof(text); i = end) {
		for (end = i + 1; end < n_results && results[end] == results[i]; end++)
			;
		rc_text(results[i], -results[i], one);
		if (end - i == 1)
			n += snprintf(text + n, sizeof(text) - n, "%s%zu:%s",
				      n ? "," : "", i, one);
		else
			n += snprintf(text + n, sizeof(text) - n, "%s%zu-%zu:%s",
				      n ? "," : "", i, end - 1, one);
	}
	record(t, key, text);
}

void give_up(struct ctx *t, const char *what)
{
	char key[64], text[32];

	rc_text(-1, errno, text);
	snprintf(key, sizeof(key), "GAVE-UP-%s", what);
	want(t, key, "0", "%s", text);
	_exit(0);
}

void not_here(struct ctx *t, const char *what)
{
	see(t, "NOT-HERE", "%s", what);
	_exit(0);
}
