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

#include "policy/policy.h"
#include "wire/wire.h"

struct stack;

struct grant_request {
	const struct wire_ask *ask;
	/* NULL: WIRE_NAME_HOST. */
	const struct endpoint *endpoint;
	struct stack *stack; /* where the socket is made */
	int socket;          /* the one to replace, or -1 */
	bool shares;         /* SO_REUSEPORT, whatever the asker's socket says */
	uint16_t port;       /* CONNECT to a dynamic endpoint: the port bound; 0: none */
};

/*
 * Makes the socket. A bind carries the options of request->socket over first, and binds;
 * for AF_UNIX a path left behind by a server that is gone gives way. CONNECT makes an
 * unconnected socket and says where to connect it; FROM binds it to its source.
 *
 * Return: the descriptor, close-on-exec and the caller's, with @ret->flags, family,
 * address and cookie set; or the -errno that the program's own call would have had:
 * -EADDRINUSE, -EADDRNOTAVAIL, -EACCES; -EPROTOTYPE or -EAFNOSUPPORT when the endpoint
 * cannot serve such a socket; -ECONNREFUSED when nobody is bound to a dynamic one.
 */
int grant_make(const struct grant_request *request, struct wire_grant *ret);
