/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that open AF_GRAFT sockets, where the kernel has none.
 */
#pragma once

#include <linux/graft.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/address.h"

struct route;

/* Somebody opened one in this process. */
extern atomic_bool graft_exists;

/* The calls. Return: as they do, with errno. */
int graft_socket(int type, int protocol);
int graft_bind(int fd, const union address *asked, socklen_t len);
int graft_connect(int fd, const union address *asked, socklen_t len);
int graft_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int graft_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
/* Finds where a datagram for @asked goes: route->address. */
int graft_prepare_send(int fd, const union address *asked, socklen_t len,
		       struct route *route);

/* Is @fd one that is not bound yet, and @asked for it to decide? */
bool graft_concerns(int fd, const union address *asked);
bool graft_is_option(int fd, int level);
void graft_forget(int fd);

static inline bool graft_option_concerns(int fd, int level)
{
	return (level == IPPROTO_GRAFT ||
		atomic_load_explicit(&graft_exists, memory_order_relaxed)) &&
	       graft_is_option(fd, level);
}

static inline void graft_closes(int fd)
{
	if (__builtin_expect(atomic_load_explicit(&graft_exists, memory_order_relaxed),
			     0))
		graft_forget(fd);
}
