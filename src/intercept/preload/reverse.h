/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy read backwards: from the address of an endpoint to the address that a
 * program asked for, where only one can have been. For sockets that nothing is noted of,
 * because they came over exec or from another process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "policy/policy.h"

/* Once. Return: whether there is anything to find. */
bool reverse_start(const struct policy *policy);

/*
 * Is there exactly one rule that takes a socket of @family to @actual (AF_INET, AF_INET6
 * or AF_UNIX; a bound or accepted socket's own address, or a peer's), and is it of one
 * address and port? Rules of the socket's own family go before IPv4 ones for AF_INET6.
 * AF_UNIX: @family 0, any. Return: then what was asked is in @ret.
 */
bool reverse_find(enum policy_op op, unsigned int proto, int family,
		  const union address *actual, union address *ret);

/* Its parts. Is the rule of one address and port; what a socket of @family asked for that
 * came under it; are two addresses the same but for port and family. */
bool reverse_is_single(const struct rule *rule);
void reverse_set_asked(const struct rule *rule, int family, union address *ret);
bool reverse_is_same(const union address *a, const union address *b);
