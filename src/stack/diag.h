/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who holds an address in a kernel stack, asked of the kernel.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct stack;

/* The socket that listens (or receives, UDP) at @local. Return: 0 or -errno (-ENOENT:
 * nobody; -EOPNOTSUPP: this kernel cannot be asked). */
int diag_holder(struct stack *stack, int protocol, const union address *local,
		uint64_t *ret_cookie);
/* One socket, as the kernel knows it. Ports of 0: none. */
struct diag_socket {
	int protocol;
	union address local, peer; /* of one family */
	uint32_t device;
	uint64_t cookie;
};

/* Destroys it: its owner gets ECONNABORTED. Return: 0 or -errno (-ENOENT: it is not
 * there, or not found by its addresses; -EOPNOTSUPP: this kernel cannot). */
int diag_destroy(struct stack *stack, const struct diag_socket *socket);
/* Is there a UDP socket at @peer that is connected to port @port of ours? */
bool diag_is_client(struct stack *stack, const union address *peer, uint16_t port);
