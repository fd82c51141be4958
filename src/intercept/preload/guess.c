/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guessing at socket() where a socket will end.
 *
 * A wrong guess costs a move, so it pays to learn: each verdict on a connect trains a
 * small counter of its thread, by family and protocol, and one of the process that
 * threads start from. At first the policy's own default stands: where an arbitrary
 * outside address would go. Which stack outside it is, the host's or an endpoint's, is
 * where the last connect went.
 *
 * With the kernel module nothing is learned: a socket that is where it began costs no
 * swap. Only where nothing but the host is left does it begin there.
 *
 * Goals are kept in a table that only grows, so that a pointer to one is good for ever.
 */
#include <stdatomic.h>
#include <string.h>

#include "intercept/preload/hijack.h"
#include "intercept/preload/state.h"

#define LIMIT 2 /* verdicts in a row that it takes to turn a firm guess */
#define ROWS  4 /* {v4, v6} x {tcp, udp} */
#define GOALS 16

enum { FREE, BUSY, READY };

static struct slot {
	atomic_int state;
	struct goal goal;
} goals[GOALS];

struct row {
	_Atomic(const struct goal *) goal;
	atomic_int count; /* above 0: outside; 0: nothing learned yet */
	bool is_all;      /* by default binds lead to the host, too */
};

static struct row process[ROWS];
static _Thread_local int counts[ROWS];

static size_t row_of(int family, enum policy_proto proto)
{
	return (family == AF_INET6 ? 2U : 0U) + (proto == POLICY_UDP ? 1U : 0U);
}

static const struct goal *keep(const struct goal *goal)
{
	for (size_t i = 0; i < GOALS; i++) {
		struct slot *slot = &goals[i];
		int is = atomic_load_explicit(&slot->state, memory_order_acquire);

		if (is == FREE &&
		    atomic_compare_exchange_strong(&slot->state, &is, BUSY)) {
			slot->goal = *goal;
			atomic_store_explicit(&slot->state, READY, memory_order_release);
			return &slot->goal;
		}
		if (is == READY && slot->goal.op == goal->op &&
		    !strcmp(slot->goal.name, goal->name))
			return &slot->goal;
	}
	return NULL;
}

/* Where the policy sends an address that no rule singles out. */
static const struct goal *default_goal(enum policy_op op, int family,
				       enum policy_proto proto)
{
	struct subject subject = { .number = -1, .domain = family, .proto = proto };
	struct route route;

	route_init(&route, op);
	if (family == AF_INET) {
		route.asked.v4 = (struct sockaddr_in){ .sin_family = AF_INET,
						       .sin_port = htons(443) };
		inet_pton(AF_INET, "93.40.77.130", &route.asked.v4.sin_addr);
	} else {
		route.asked.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
							.sin6_port = htons(443) };
		inet_pton(AF_INET6, "2a01:7c40:200::1f", &route.asked.v6.sin6_addr);
	}
	judge(&subject, &route);
	return route.goal.name ? keep(&route.goal) : NULL;
}

static void init_row(int family, enum policy_proto proto, unsigned int hosts)
{
	struct row *row = &process[row_of(family, proto)];
	const struct goal *goal =
		hosts & proto ? default_goal(POLICY_CONNECT, family, proto) : NULL;

	atomic_store(&row->goal, goal);
	atomic_store(&row->count, goal ? 1 : -1);
	row->is_all = goal && !goal->endpoint && default_goal(POLICY_BIND, family, proto);
}

void guess_init(void)
{
	init_row(AF_INET, POLICY_TCP, state.reach.default_host_v4);
	init_row(AF_INET, POLICY_UDP, state.reach.default_host_v4);
	init_row(AF_INET6, POLICY_TCP, state.reach.default_host_v6);
	init_row(AF_INET6, POLICY_UDP, state.reach.default_host_v6);
}

static int counted(int value, bool outside)
{
	value += outside ? 1 : -1;
	if (value > LIMIT)
		value = LIMIT;
	if (value < -LIMIT)
		value = -LIMIT;
	/* Zero would be no guess at all. */
	if (value == 0)
		value = outside ? 1 : -1;
	return value;
}

const struct goal *guess_goal(int family, enum policy_proto proto)
{
	size_t at = row_of(family, proto);
	int count = counts[at];

	/* With the module, one that waits to be named goes anywhere; once it is at the
	 * host it goes nowhere else. */
	if (state_has_module() && !process[at].is_all)
		return NULL;
	if (count == 0)
		count = atomic_load_explicit(&process[at].count, memory_order_relaxed);
	return count > 0 ? atomic_load_explicit(&process[at].goal, memory_order_acquire)
			 : NULL;
}

void guess_learn(const struct subject *subject, const struct goal *goal)
{
	size_t at = row_of(subject->domain, subject->proto);
	struct row *row = &process[at];
	int count = atomic_load_explicit(&row->count, memory_order_relaxed);

	if (state_has_module())
		return;
	if (counts[at] == 0)
		counts[at] = count;
	counts[at] = counted(counts[at], goal != NULL);
	atomic_store_explicit(&row->count, counted(count, goal != NULL),
			      memory_order_relaxed);
	if (goal)
		goal = keep(goal);
	if (goal)
		atomic_store_explicit(&row->goal, goal, memory_order_release);
}
