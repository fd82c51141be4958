/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses, the report on stdout, and the few steps that most attempts share. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "escape.h"

struct target target_make(int family, const char *address, int port)
{
	struct target target = { .len = sizeof(struct sockaddr_in) };

	target.any.sa_family = family;
	target.v4.sin_port = htons(port); /* sin6_port is in the same place */
	if (family == AF_INET6) {
		target.len = sizeof(struct sockaddr_in6);
		inet_pton(AF_INET6, address, &target.v6.sin6_addr);
	} else {
		inet_pton(AF_INET, address, &target.v4.sin_addr);
	}
	return target;
}

static struct target pick(const struct way *way, const char *v4, const char *v6, int port)
{
	return target_make(way->family, way->family == AF_INET ? v4 : v6, port);
}

struct target target_canary(const struct way *way)
{
	return pick(way, "127.0.0.1", "::1", PORT_CANARY);
}

struct target target_denied(const struct way *way)
{
	return pick(way, "10.77.0.66", "fd77::66", PORT_CANARY);
}

struct target target_allowed(const struct way *way)
{
	return pick(way, "10.77.0.1", "fd77::1", PORT_ALLOWED);
}

struct target target_closed(const struct way *way)
{
	return pick(way, "10.77.0.1", "fd77::1", PORT_CLOSED);
}

struct target target_local(const struct way *way, int port)
{
	return pick(way, "0.0.0.0", "::", port);
}

long seen(const char *call, long result)
{
	int saved = errno;

	if (result < 0)
		printf("%s -> %s\n", call, strerrorname_np(errno) ?: "unknown errno");
	else
		printf("%s -> %ld\n", call, result);
	errno = saved;
	return result;
}

static void say(const char *prefix, const char *format, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	printf("%s%s\n", prefix, text);
}

void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("", format, args);
	va_end(args);
}

void breach(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("BREACH: ", format, args);
	va_end(args);
}

void unsupported(const char *why)
{
	printf("unsupported: %s\n", why);
	exit(77);
}

int fresh(const struct way *way)
{
	int fd = socket(way->family, way->type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		seen("socket", fd);
	return fd;
}

int seen_connect(int fd, const struct target *target)
{
	return seen("connect", connect(fd, &target->any, target->len));
}

int seen_disconnect(int fd)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	return seen("connect(AF_UNSPEC)", connect(fd, &none, sizeof(none)));
}

void poke(int fd)
{
	seen("send", send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
}

void reach(int fd, const struct target *target)
{
	if (!seen_connect(fd, target))
		poke(fd);
}

int host_socket(const struct way *way)
{
	struct target closed = target_closed(way);
	int fd = fresh(way);

	/* A refused connect leaves the socket in the stack that was asked. */
	seen_connect(fd, &closed);
	if (!way_is_stream(way))
		seen_disconnect(fd);
	return fd;
}

static bool is_answered(int fd, int ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char answer[8] = "";

	return send(fd, "?", 1, MSG_NOSIGNAL) == 1 && poll(&wait, 1, ms) == 1 &&
	       recv(fd, answer, sizeof(answer), MSG_DONTWAIT) >= 2 &&
	       memcmp(answer, "ok", 2) == 0;
}

/* Who was sent many datagrams has no room for another before it has read them. */
int check_allowed(const struct way *way)
{
	struct target allowed = target_allowed(way);
	int fd = fresh(way), tries = way->type == SOCK_DGRAM ? 100 : 1;
	bool is = false;

	if (connect(fd, &allowed.any, allowed.len) == 0)
		while (!is && tries--)
			is = is_answered(fd, way->type == SOCK_DGRAM ? 200 : 20000);
	if (!is)
		printf("allowed: no answer (%s)\n", strerrorname_np(errno));
	close(fd);
	return is ? 0 : -1;
}

void check_listeners(void)
{
	check_port(0);
}

void check_port(int port)
{
	char byte;

	printf("check-listeners %d\n", port);
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) != 1)
		note("the runner did not answer");
}

void reap(int pid)
{
	int status = 0;

	if (pid < 0) {
		seen("fork", pid);
		return;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		note("child ended by signal %d", WTERMSIG(status));
}
