/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets that a rule bound to an address outside the program's own stack.
 *
 * Asked three questions: was this socket bound by a rule (then it may listen, and
 * answer datagrams), which port did a `dynamic` endpoint get, and is this run bound to a
 * `bound` endpoint now, so that its own clients may be sent there. Any thread may ask.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct bound;
struct endpoint;
struct stack;

struct bound_socket {
	uint64_t cookie;
	uint32_t endpoint; /* index, or BOUND_NO_ENDPOINT */
	int protocol;
	union address address; /* its local one */
};

#define BOUND_NO_ENDPOINT UINT32_MAX

struct bound *bound_new(void);
struct bound *bound_free(struct bound *bound);

void bound_note(struct bound *bound, const struct bound_socket *socket);
/* Was this very socket bound by a rule? */
bool bound_has(struct bound *bound, uint64_t cookie);
/* To which endpoint? Return: its index, or BOUND_NO_ENDPOINT. */
uint32_t bound_endpoint(struct bound *bound, uint64_t cookie);
/* The port a `dynamic` endpoint got. Return: port in host order, 0 when unknown. */
uint16_t bound_port(struct bound *bound, const struct endpoint *endpoint);
/* Does a socket of ours hold the address of @endpoint, in its @stack, now? */
bool bound_is_live(struct bound *bound, struct stack *stack,
		   const struct endpoint *endpoint);
