/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a grafted socket looks like to its program: the addresses it asked for.
 *
 * The wrappers of the calls say what became of a bind or a connect (view_note_*), and
 * let the calls that show an address pass through here (view_getsockname ...). Nothing
 * is known of descriptor numbers: notes go by the addresses that the kernel tells.
 *
 * A wrapper looks at view_is_on() first. Without a note and without a rule that could
 * make one, nothing is on, and the wrapper makes the real call and no other.
 *
 * Everything here may be called from signal handlers, threads, and between fork or vfork
 * and exec: there are no locks, and memory comes from mmap().
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/address.h"

struct policy;

enum view_use {
	VIEW_NAMES = 1 << 0,   /* getsockname, getpeername */
	VIEW_SOURCES = 1 << 1, /* recvfrom, recvmsg, recvmmsg with room for an address */
	VIEW_UNIX = 1 << 2,    /* accept with an address, options, sendto on AF_UNIX */
};

extern _Atomic unsigned int view_uses;

/* Who is asked about a local address that nothing else is known of, or NULL. Return:
 * whether @ret is what was asked for. */
typedef bool view_ask(int fd, const union address *local, union address *ret);
extern view_ask *view_ask_bind;

static inline bool view_is_on(unsigned int uses)
{
	return (atomic_load_explicit(&view_uses, memory_order_relaxed) & uses) != 0;
}

/* Once, when @policy is sealed; it is read until the process ends. */
void view_start(const struct policy *policy);

/*
 * After a successful bind of @fd, whatever it became, AF_UNIX included: the program asked
 * for @asked (AF_INET, AF_INET6 or AF_GRAFT). @asked is NULL for a bind that no rule
 * changed: notes that said otherwise of this address end.
 */
void view_note_bind(int fd, const union address *asked);
/*
 * Before connect() of @fd to @actual, or sending to it, in place of @asked; the same
 * address twice (or @asked NULL) when no rule changed it. AF_UNIX sockets are named by
 * unix_name_bind() instead.
 */
void view_note_peer(int fd, const union address *actual, const union address *asked);

/*
 * The calls themselves, with the kernel's own treatment of short buffers, NULL and bad
 * pointers. Return: as the calls do, with errno.
 */
int view_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int view_getpeername(int fd, struct sockaddr *address, socklen_t *len);

/*
 * accept() and accept4() with an address on an AF_UNIX listener of ours: the wrapper
 * accepts into @peer, @peer_len of its own and lets this give the program what it is to
 * see. Return: @fd; or -1 with errno, @fd closed, as the kernel does for a bad pointer.
 */
bool view_is_unix_server(int listener);
int view_give_accepted(int fd, union address *peer, socklen_t peer_len,
		       struct sockaddr *address, socklen_t *len);

/*
 * The source of a datagram received on @fd, @len bytes of @source: replaced by what the
 * program sent or connected to. Return: the new length.
 */
socklen_t view_source(int fd, union address *source, socklen_t len);
/* recvfrom() with an address: @n is what recvfrom() into @source returned. Return: @n, or
 * -1 with errno. */
ssize_t view_give_source(int fd, ssize_t n, union address *source, socklen_t source_len,
			 struct sockaddr *address, socklen_t *len);

/*
 * sendto() and connect() on an AF_UNIX datagram socket of ours, to an address that
 * view_source() made up for somebody. Return: whether @ret is where it goes.
 */
bool view_find_source(int fd, const union address *shown, struct sockaddr_un *ret,
		      socklen_t *ret_len);

/* The inet address that AF_UNIX socket @fd of ours is bound to as its program sees it.
 * Return: false when it is none of ours (or not AF_UNIX at all). */
bool view_unix_local(int fd, union address *ret);
