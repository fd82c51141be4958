/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cases of the table of defects that earlier AF_GRAFT software had. Each case is a
 * function run in a process of its own and holds what a plain socket does against what
 * the program gets:
 *
 *	native	in "the host", nothing preloaded: what is expected is what Linux does
 *	bare	in a container's namespace without the library: must fail if the case
 *		needs a graft, so that the case is known to notice
 *	graft	there, with libgraft-hijack.so and its rules
 *
 * Sockets made by raw_*() or in the host's namespace by host_*() come straight from the
 * kernel: nothing that is preloaded sees them.
 *
 * What a program asks for, and where that is in the host (natively the same):
 *
 *	bind	0.0.0.0:7000	[::]:7006	127.0.0.1:17000		[::1]:17006
 *	connect	192.0.2.1:9000	[2001:db8::1]:9000	127.0.0.1:9000	[::1]:9000
 */
#pragma once

#include "uapi/linux/graft.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BAD_POINTER   ((void *)0x7ff)

#ifndef SO_NETNS_COOKIE
#	define SO_NETNS_COOKIE 71
#endif

struct defect {
	const char *name;
	void (*run)(void);
};

/* One table per file; each ends with a row without a name. */
extern const struct defect defects_address[], defects_place[], defects_fresh[],
	defects_options[], defects_graft[], defects_data[], defects_table[],
	defects_copies[], defects_odd[];

struct spot {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage storage;
	};
	socklen_t len;
};

extern bool is_native; /* no container, no library */

/* A check that fails says so, and the case fails at its end. Returns @good. */
bool check_at(const char *file, int line, bool good, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
#define CHECK(good, ...) check_at(__FILE__, __LINE__, good, __VA_ARGS__)
/* @result of a call that sets errno when it is negative; @wanted: value or -errno. */
#define WANT(wanted, result) want_at(__FILE__, __LINE__, #result, wanted, result)
long want_at(const char *file, int line, const char *call, long wanted, long result);
/* Both results are the same, errno included. The second is the kernel's own. */
#define SAME(result, kernel)                                          \
	do {                                                          \
		long same_a = minus_errno(result);                    \
		long same_b = minus_errno(kernel);                    \
		same_at(__FILE__, __LINE__, #result, same_a, same_b); \
	} while (0)
void same_at(const char *file, int line, const char *call, long got, long kernel);
long minus_errno(long result);
/* What the case cannot do without: ends it. */
void give_up(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void not_here(const char *why) __attribute__((noreturn)); /* skipped */

struct spot spot_make(const char *address, int port);
struct spot spot_unix(const char *path); /* "@NAME" is abstract */
/* Where @family's bind is asked for, and is; of TCP or UDP. */
struct spot ask_bind(int family, int type);
struct spot at_bind(int family, int type);
struct spot ask_connect(int family);
struct spot at_connect(int family); /* the wildcard: natively the address is another */
void spot_set_port(struct spot *spot, int port);
int spot_port(const struct spot *spot);
bool spot_equal(const struct spot *a, const struct spot *b);
const char *spot_text(const struct spot *spot); /* one of a few static texts */
struct spot name_of(int fd);                    /* getsockname(), and its check */
struct spot peer_of(int fd);

/* Through libc, and so through the library. */
int xsocket(int family, int type);
void xbind(int fd, const struct spot *spot);
void xlisten(int fd);
void xconnect(int fd, const struct spot *spot);
void set_int(int fd, int level, int option, int value);
int get_int(int fd, int level, int option); /* or -errno */

/* Straight to the kernel, in the program's own namespace. */
long kernel_call(long number, long a, long b, long c, long d, long e, long f);
#define KERNEL_ARG(n, a, b, c, d, e, f, ...) \
	kernel_call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define KERNEL(...) KERNEL_ARG(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
static inline int raw_socket(int family, int type, int protocol)
{
	return (int)KERNEL(SYS_socket, family, type, protocol);
}
static inline int raw_bind(int fd, const void *address, socklen_t len)
{
	return (int)KERNEL(SYS_bind, fd, address, len);
}
static inline int raw_connect(int fd, const void *address, socklen_t len)
{
	return (int)KERNEL(SYS_connect, fd, address, len);
}
static inline int raw_close(int fd)
{
	return (int)KERNEL(SYS_close, fd);
}
uint64_t cookie_of(int fd);

/* In the host's namespace; host_* end the case when they fail. */
void enter_netns(const char *variable); /* of the environment: a path */
void leave_netns(void);
int host_socket(int family, int type);
int host_listen(const struct spot *at, int type); /* a datagram socket is bound only */
int host_connect(const struct spot *at, int type);
int host_accept(int listener); /* waits a while at most */
bool host_is_free(const struct spot *at, int type);
bool is_host(int fd);
uint64_t host_cookie(void);

/* One byte there, and back. */
void exchange(int a, int b);
bool readable(int fd); /* within a second or two */
/* grafted[0] is the program's, [1] the host's end of one connection that the host's
 * client made (accepted), or the program (connected). */
void pair_accepted(int family, int ends[2]);
void pair_connected(int family, int ends[2]);
int n_fds(void);
double seconds(void);
