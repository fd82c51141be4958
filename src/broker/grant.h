/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making the socket that somebody was found to be allowed: in which stack, with what
 * address. Knows nothing of who asks. Used by graftd for its registry and by the broker
 * of a run for the endpoints of its policy.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "policy/policy.h"
#include "wire/wire.h"

struct rights;
struct stack;

/* Whose a socket becomes. */
struct grant_owner {
	uid_t uid;
	gid_t gid;
	mode_t umask;
};

struct grant_request {
	const struct wire_ask *ask;
	/* NULL: WIRE_NAME_HOST. */
	const struct endpoint *endpoint;
	struct stack *stack; /* where the socket is made */
	int socket;          /* the one to replace, or -1 */
	bool shares;         /* SO_REUSEPORT, whatever the asker's socket says */
	/* A dynamic endpoint. CONNECT: the port bound, 0: none. BIND: the port that
	 * others of a shared one have, 0: any. */
	uint16_t port;
	/* The asker could do in that stack all that we can: raw sockets, and the options
	 * that take a capability (SO_MARK, IP_TRANSPARENT ...). */
	bool is_trusted;
	/* A UNIX path: with whose rights it is looked up, made and taken away; NULL: with
	 * ours. */
	const struct rights *rights;
	/* Whom the kernel is to count the socket for (not a shared one: SO_REUSEPORT
	 * wants one owner), and whose its inode at a path becomes, with mode 0777 &
	 * ~umask. Where we may not say so it stays ours. NULL: ours. */
	const struct grant_owner *owner;
};

/*
 * Makes the socket. A bind carries the options of request->socket over first, and binds;
 * for AF_UNIX a path left behind by a server that is gone gives way. CONNECT makes an
 * unconnected socket and says where to connect it; FROM binds it to its source, whose
 * port the kernel picks at connect() where the endpoint is dynamic.
 *
 * ask->family is AF_INET, AF_INET6, or one of AF_UNSPEC, AF_UNIX and AF_GRAFT for the
 * endpoint's own. @ret_path, or NULL: for CONNECT to a UNIX path, an O_PATH descriptor of
 * the socket's inode, the caller's, by which a client in another mount namespace reaches
 * it as /proc/self/fd/N; else -1.
 *
 * Return: the descriptor, close-on-exec and the caller's, with @ret->flags, family,
 * address and cookie set; or the -errno that the program's own call would have had:
 * -EADDRINUSE, -EADDRNOTAVAIL, -EACCES; -EPROTOTYPE or -EAFNOSUPPORT when the endpoint
 * cannot serve such a socket; -EPERM for a raw socket; -ECONNREFUSED when nobody is bound
 * to a dynamic one, or nothing is at the path.
 */
int grant_make(const struct grant_request *request, struct wire_grant *ret,
	       int *ret_path);

/*
 * For a bind: @socket, bound some time ago and kept, once more. The options of
 * request->socket go over to it, and a datagram socket is disconnected. Return: another
 * descriptor of it, close-on-exec and the caller's, with @ret as grant_make() sets it; or
 * -errno, -ESTALE when it is not what grant_make() would make now (another type, address
 * or stack) or no longer good (connected, shut down, its path gone): close it first, then
 * make another.
 */
int grant_again(const struct grant_request *request, int socket, struct wire_grant *ret);

/* Binds @fd to a source address, its port to be picked at connect() if there is none.
 * Return: 0 or -errno. */
int grant_bind_source(int fd, const struct wire_address *source);
