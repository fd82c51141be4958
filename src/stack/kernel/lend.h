/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A socket made by another process, which lives in another network namespace. One request
 * and one answer at a time, over a SOCK_SEQPACKET socket:
 *
 *	asker  -> lender	{ family, type, protocol }
 *	lender -> asker		{ 0 } + one descriptor, or { -errno }
 */
#pragma once

struct lend_request {
	int family, type, protocol;
};

/* Return: the socket, the caller's, or -errno (-ENETDOWN: the lender is gone). */
int lend_ask(int via, const struct lend_request *request);
/* Takes one request, and waits if @via does. Return: 1, 0 at the end, or -errno. */
int lend_take(int via, struct lend_request *ret);
/* Answers with a socket of the calling thread's namespace; @error below 0: with that.
 * Does not wait. Return: 0 or -errno. */
int lend_give(int via, const struct lend_request *request, int error);
