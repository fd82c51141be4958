/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks, and the two sides of a case: calls through libc and calls straight to the
 * kernel. See defects.h.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

#include "defects.h"
#include "main.h"

bool is_native;
int n_failed;

static int home = -1; /* the program's own namespace, while in another */

static void say(const char *file, int line, const char *format, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	printf("%s:%d: %s\n", strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line,
	       text);
	fflush(stdout);
}

bool check_at(const char *file, int line, bool good, const char *format, ...)
{
	va_list args;

	if (good)
		return true;
	__atomic_add_fetch(&n_failed, 1, __ATOMIC_RELAXED);
	va_start(args, format);
	say(file, line, format, args);
	va_end(args);
	return false;
}

long minus_errno(long result)
{
	return result < 0 ? -errno : result;
}

static const char *result_text(long result)
{
	static char texts[4][32];
	static int n;
	char *text = texts[n++ % 4];

	if (result < 0)
		snprintf(text, 32, "%s", strerrorname_np((int)-result) ?: "?");
	else
		snprintf(text, 32, "%ld", result);
	return text;
}

long want_at(const char *file, int line, const char *call, long wanted, long result)
{
	result = minus_errno(result);
	check_at(file, line, result == wanted, "%s gave %s, wanted %s", call,
		 result_text(result), result_text(wanted));
	return result;
}

void same_at(const char *file, int line, const char *call, long got, long kernel)
{
	check_at(file, line, got == kernel, "%s gave %s, the kernel's own gives %s", call,
		 result_text(got), result_text(kernel));
}

void give_up(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("cannot go on", 0, format, args);
	va_end(args);
	exit(1);
}

void not_here(const char *why)
{
	printf("not here: %s\n", why);
	fflush(stdout);
	exit(n_failed ? 1 : 77);
}

double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct spot spot_make(const char *address, int port)
{
	struct spot spot = { 0 };

	if (strchr(address, ':')) {
		spot.v6.sin6_family = AF_INET6;
		inet_pton(AF_INET6, address, &spot.v6.sin6_addr);
		spot.len = sizeof(spot.v6);
	} else {
		spot.v4.sin_family = AF_INET;
		inet_pton(AF_INET, address, &spot.v4.sin_addr);
		spot.len = sizeof(spot.v4);
	}
	spot_set_port(&spot, port);
	return spot;
}

struct spot spot_unix(const char *path)
{
	struct spot spot = { 0 };
	struct sockaddr_un *name = (struct sockaddr_un *)&spot.storage;

	name->sun_family = AF_UNIX;
	strncpy(name->sun_path, path, sizeof(name->sun_path) - 1);
	spot.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (path[0] == '@')
		name->sun_path[0] = 0;
	else
		spot.len++;
	return spot;
}

void spot_set_port(struct spot *spot, int port)
{
	/* At the same place in both. */
	spot->v4.sin_port = htons((uint16_t)port);
}

int spot_port(const struct spot *spot)
{
	return ntohs(spot->v4.sin_port);
}

static int port_of(int family, int type)
{
	return 7000 + (type == SOCK_DGRAM) + (family == AF_INET6) * 6;
}

struct spot ask_bind(int family, int type)
{
	return spot_make(family == AF_INET ? "0.0.0.0" : "::", port_of(family, type));
}

struct spot at_bind(int family, int type)
{
	return spot_make(family == AF_INET ? "127.0.0.1" : "::1",
			 port_of(family, type) + (is_native ? 0 : 10000));
}

struct spot ask_connect(int family)
{
	return spot_make(family == AF_INET ? "192.0.2.1" : "2001:db8::1", 9000);
}

struct spot at_connect(int family)
{
	return spot_make(family == AF_INET ? "0.0.0.0" : "::", 9000);
}

bool spot_equal(const struct spot *a, const struct spot *b)
{
	if (a->any.sa_family != b->any.sa_family || spot_port(a) != spot_port(b))
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return !memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16);
}

const char *spot_text(const struct spot *spot)
{
	static char texts[8][112];
	static int n;
	char *text = texts[n++ % 8], address[64] = "?";

	if (spot->any.sa_family == AF_INET)
		inet_ntop(AF_INET, &spot->v4.sin_addr, address, sizeof(address));
	else if (spot->any.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &spot->v6.sin6_addr, address, sizeof(address));
	snprintf(text, sizeof(texts[0]), "family %d %s port %d", spot->any.sa_family,
		 address, spot_port(spot));
	return text;
}

struct spot name_of(int fd)
{
	struct spot spot = { .len = sizeof(spot.storage) };

	if (getsockname(fd, &spot.any, &spot.len) < 0)
		CHECK(false, "getsockname: %m");
	return spot;
}

struct spot peer_of(int fd)
{
	struct spot spot = { .len = sizeof(spot.storage) };

	if (getpeername(fd, &spot.any, &spot.len) < 0)
		CHECK(false, "getpeername: %m");
	return spot;
}

int xsocket(int family, int type)
{
	int fd = socket(family, type, 0);

	if (fd < 0)
		give_up("socket(%d, %d): %m", family, type);
	return fd;
}

void xbind(int fd, const struct spot *spot)
{
	if (bind(fd, &spot->any, spot->len) < 0)
		give_up("bind to %s: %m", spot_text(spot));
}

void xlisten(int fd)
{
	if (listen(fd, 100) < 0)
		give_up("listen: %m");
}

void xconnect(int fd, const struct spot *spot)
{
	if (connect(fd, &spot->any, spot->len) < 0)
		give_up("connect to %s: %m", spot_text(spot));
}

void set_int(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)) < 0)
		CHECK(false, "setsockopt %d %d: %m", level, option);
}

int get_int(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) < 0 ? -errno : value;
}

uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (KERNEL(SYS_getsockopt, fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0)
		CHECK(false, "SO_NETNS_COOKIE: %m");
	return cookie;
}

void enter_netns(const char *variable)
{
	const char *path = getenv(variable);
	int fd;

	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (!path)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		give_up("cannot enter %s=%s: %m", variable, path);
	raw_close(fd);
}

void leave_netns(void)
{
	if (setns(home, CLONE_NEWNET) < 0)
		give_up("cannot come back: %m");
	raw_close(home);
}

int host_socket(int family, int type)
{
	int fd;

	enter_netns("DEFECTS_HOST");
	fd = raw_socket(family, type | SOCK_CLOEXEC, 0);
	leave_netns();
	if (fd < 0)
		give_up("no socket of the host: %m");
	return fd;
}

uint64_t host_cookie(void)
{
	int fd = host_socket(AF_INET, SOCK_STREAM);
	uint64_t cookie = cookie_of(fd);

	raw_close(fd);
	return cookie;
}

bool is_host(int fd)
{
	return cookie_of(fd) == host_cookie();
}

static void set_time_limit(int fd)
{
	struct timeval limit = { .tv_sec = 5 };

	KERNEL(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	KERNEL(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

int host_listen(const struct spot *at, int type)
{
	int fd = host_socket(at->any.sa_family, type), on = 1;

	if (at->any.sa_family != AF_UNIX)
		KERNEL(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (at->any.sa_family == AF_INET6)
		KERNEL(SYS_setsockopt, fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	set_time_limit(fd);
	if (raw_bind(fd, &at->any, at->len) < 0)
		give_up("the host's bind to %s: %m", spot_text(at));
	if (type != SOCK_DGRAM && KERNEL(SYS_listen, fd, 100) < 0)
		give_up("the host's listen: %m");
	return fd;
}

int host_connect(const struct spot *at, int type)
{
	int fd = host_socket(at->any.sa_family, type);

	set_time_limit(fd);
	if (raw_connect(fd, &at->any, at->len) < 0)
		give_up("the host's connect to %s: %m", spot_text(at));
	return fd;
}

int host_accept(int listener)
{
	int fd = (int)KERNEL(SYS_accept4, listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		give_up("nobody came to the host's listener: %m");
	set_time_limit(fd);
	return fd;
}

bool host_is_free(const struct spot *at, int type)
{
	int fd = host_socket(at->any.sa_family, type);
	bool is_free = raw_bind(fd, &at->any, at->len) == 0;

	raw_close(fd);
	return is_free;
}

bool readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 5000) == 1;
}

void exchange(int a, int b)
{
	char byte = 'x';

	if (!CHECK(send(a, &byte, 1, MSG_NOSIGNAL) == 1, "send: %m") ||
	    !CHECK(readable(b), "nothing arrives") ||
	    !CHECK(recv(b, &byte, 1, 0) == 1 && byte == 'x', "recv: %m"))
		return;
	byte = 'y';
	if (CHECK(send(b, &byte, 1, MSG_NOSIGNAL) == 1, "send back: %m") &&
	    CHECK(readable(a), "nothing comes back"))
		CHECK(recv(a, &byte, 1, 0) == 1 && byte == 'y', "recv back: %m");
}

void pair_accepted(int family, int ends[2])
{
	struct spot ask = ask_bind(family, SOCK_STREAM);
	struct spot at = at_bind(family, SOCK_STREAM);
	int listener = xsocket(family, SOCK_STREAM);

	set_int(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	xbind(listener, &ask);
	xlisten(listener);
	ends[1] = host_connect(&at, SOCK_STREAM);
	ends[0] = accept(listener, NULL, NULL);
	if (ends[0] < 0)
		give_up("accept: %m");
	close(listener);
}

void pair_connected(int family, int ends[2])
{
	struct spot ask = ask_connect(family), at = at_connect(family);
	int listener = host_listen(&at, SOCK_STREAM);

	ends[0] = xsocket(family, SOCK_STREAM);
	xconnect(ends[0], &ask);
	ends[1] = host_accept(listener);
	raw_close(listener);
}

int n_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}
