/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guessing at socket() which stack a socket will end in.
 *
 * A wrong guess costs a move (subject_move), so it pays to learn: each verdict on a
 * connect trains a small counter of its thread, family and protocol, and one of the
 * whole run that threads start from. At first the policy's own default stands: where an
 * arbitrary outside address would go.
 *
 * Slots are shared by threads whose ids collide, and read without a lock: the worst that
 * comes of it is a wrong guess.
 */
#include <netinet/in.h>

#include "intercept/notify/engine.h"

#define GUESS_LIMIT 2 /* verdicts in a row that it takes to turn a firm guess */

static size_t row_of(int family, enum policy_proto proto)
{
	return (family == AF_INET6 ? 2U : 0U) + (proto == POLICY_UDP ? 1U : 0U);
}

void guess_init(struct notify *notify)
{
	const struct policy_reach *reach = &notify->reach;

	for (size_t row = 0; row < GUESS_ROWS; row++) {
		unsigned int hosts =
			row & 2 ? reach->default_host_v6 : reach->default_host_v4;
		bool host = hosts & (row & 1 ? POLICY_UDP : POLICY_TCP);

		atomic_store(&notify->guess_run[row], host ? 1 : -1);
	}
}

static struct guess *guess_of(struct notify *notify, pid_t thread)
{
	struct guess *guess = &notify->guesses[thread % GUESS_SLOTS];

	if (atomic_load_explicit(&guess->thread, memory_order_relaxed) == thread)
		return guess;
	for (size_t row = 0; row < GUESS_ROWS; row++)
		atomic_store_explicit(&guess->count[row],
				      atomic_load(&notify->guess_run[row]),
				      memory_order_relaxed);
	atomic_store_explicit(&guess->thread, thread, memory_order_relaxed);
	return guess;
}

static void count(atomic_int *counter, bool host)
{
	int value = atomic_load_explicit(counter, memory_order_relaxed);

	value += host ? 1 : -1;
	if (value > GUESS_LIMIT)
		value = GUESS_LIMIT;
	if (value < -GUESS_LIMIT)
		value = -GUESS_LIMIT;
	/* Zero would be no guess at all. */
	if (value == 0)
		value = host ? 1 : -1;
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

bool guess_is_host(const struct call *call, int family, enum policy_proto proto)
{
	struct guess *guess = guess_of(call->notify, call->pid);

	return atomic_load_explicit(&guess->count[row_of(family, proto)],
				    memory_order_relaxed) > 0;
}

void guess_learn(const struct call *call, const struct subject *subject, bool host)
{
	size_t row = row_of(subject->domain, subject->proto);

	count(&guess_of(call->notify, call->pid)->count[row], host);
	count(&call->notify->guess_run[row], host);
}
