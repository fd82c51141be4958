/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One thread at a time replaces the socket under a number: of two that bind the same
 * socket at once one must find it bound.
 *
 * This is no lock that anybody depends on. It is held for as long as a question to the
 * broker takes, and who finds it held for longer than is usual, after a fork() perhaps
 * that left the holder behind, goes on without. A signal handler does not wait for the
 * thread that it interrupted.
 */
#pragma once

#include <stdbool.h>

struct claim {
	int number;
	bool is_held;
};

void claim_take(struct claim *claim, int number);
void claim_release(struct claim *claim);
