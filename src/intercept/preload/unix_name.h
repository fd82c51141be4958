/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The name of a socket that became AF_UNIX while its program thinks of AF_INET: abstract,
 * bound before connect(), and all that anybody needs to show it as an inet socket. It
 * survives exec, fork and SCM_RIGHTS with the socket, and tells the serving side who
 * connects; that side must take it for what it is, a peer's claim.
 *
 *	NUL graft/1/ TYPE DOMAIN / PORT / PEER / UNIQUE
 *
 *	TYPE	s (SOCK_STREAM) or d (SOCK_DGRAM)
 *	DOMAIN	4 (AF_INET), 6 (AF_INET6) or m (AF_INET6, IPv4-mapped)
 *	PORT	4 hex digits: its own port; its address is loopback in DOMAIN
 *	PEER	address and port it asked for, 8 or (6) 32 digits, ':', 4 digits; for
 *		6 also ':' and 8 digits of scope; or '-' for none
 *	UNIQUE	16 hex digits: its SO_COOKIE
 *
 * Digits are lower case. One value has one spelling.
 */
#pragma once

#include <stdint.h>

#include "base/address.h"

struct unix_name {
	int type;            /* SOCK_STREAM or SOCK_DGRAM */
	union address local; /* loopback */
	union address peer;  /* of local's family; or AF_UNSPEC: none */
	uint64_t unique;
};

/* Return: the length of @ret, or 0 when @name has no spelling. */
socklen_t unix_name_print(const struct unix_name *name, struct sockaddr_un *ret);
/* Return: 0 or -EBADMSG. @address is not to be trusted. */
int unix_name_parse(const struct sockaddr_un *address, socklen_t len,
		    struct unix_name *ret);

/*
 * Names AF_UNIX socket @fd, unconnected and unbound, which takes the place of a socket of
 * @family. @peer: what the program asked to connect to, or NULL. @port: the one the old
 * socket was bound to, or 0 for one that looks ephemeral. Return: 0 or -errno.
 */
int unix_name_bind(int fd, int family, const union address *peer, uint16_t port);

/* The address a stranger is shown under, one that has no such name: loopback of @family,
 * with a port made of @seed. */
void unix_name_make_up(int family, uint64_t seed, union address *ret);
