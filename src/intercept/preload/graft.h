/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that open AF_GRAFT sockets, where the kernel has none. graft_member.h says
 * how such a socket is known.
 */
#pragma once

#include <linux/graft.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/address.h"

struct member;
struct route;
struct subject;

/* There are some in this process. Addresses of the family, and options of its level, are
 * looked at without. */
extern atomic_bool graft_exists;

static inline bool graft_is_on(void)
{
	return __builtin_expect(atomic_load_explicit(&graft_exists, memory_order_relaxed),
				0);
}

/* --- graft.c --- */

/* Is @fd one, and hence the call that names @asked? */
bool graft_concerns(int fd, const union address *asked);
/* The calls. Return: as they do, with errno. */
int graft_socket(int type, int protocol);
int graft_bind(int fd, struct route *route);
int graft_connect(int fd, struct route *route);
/* Finds where a datagram goes: route->address. Return: 0 or -errno; to be concluded. */
int graft_prepare_send(int fd, struct subject *subject, struct route *route);
/* getsockname(), getpeername(): Return: whether *@ret is the answer. */
bool graft_getsockname(int fd, struct sockaddr *address, socklen_t *len, int *ret);
bool graft_getpeername(int fd, struct sockaddr *address, socklen_t *len, int *ret);

/* --- graft_option.c --- */

bool graft_takes_set(int fd, int level, int name);
bool graft_takes_get(int fd, int level, int name);
int graft_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int graft_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
/* Each once; what came of it is kept in @member. */
void graft_run_delayed(int fd, struct member *member);

/* --- graft_member.c --- */

/* The socket at @fd, now with cookie @now, took the place of @old. */
void member_follow(int fd, uint64_t old, uint64_t now);
void member_forget(int fd);
/* Takes an inherited mark from an accepted socket. */
void member_clean(int fd);

/* --- what others call, which costs one branch where there are none --- */

static inline bool graft_set_concerns(int fd, int level, int name)
{
	return (level == IPPROTO_GRAFT || graft_is_on()) &&
	       graft_takes_set(fd, level, name);
}

static inline bool graft_get_concerns(int fd, int level, int name)
{
	return (level == IPPROTO_GRAFT || graft_is_on()) &&
	       graft_takes_get(fd, level, name);
}

/* @fd, now with cookie @now, took the place of the socket with cookie @old. */
static inline void graft_follows(int fd, uint64_t old, uint64_t now)
{
	if (graft_is_on())
		member_follow(fd, old, now);
}

static inline void graft_closes(int fd)
{
	if (graft_is_on())
		member_forget(fd);
}

static inline void graft_accepted(int fd)
{
	if (graft_is_on() && fd >= 0)
		member_clean(fd);
}
