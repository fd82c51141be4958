/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cookies of the sockets this process had bound by a rule, newest over oldest.
 */
#include <stdatomic.h>

#include "intercept/preload/hijack.h"

#define BOUND_MAX 1024

static _Atomic uint64_t cookies[BOUND_MAX];
static atomic_uint next;

void bound_note(uint64_t cookie)
{
	unsigned int at = atomic_fetch_add(&next, 1) % BOUND_MAX;

	atomic_store_explicit(&cookies[at], cookie, memory_order_relaxed);
}

static bool is_noted(uint64_t cookie)
{
	unsigned int n = atomic_load(&next);

	for (unsigned int i = 0; i < n && i < BOUND_MAX; i++)
		if (atomic_load_explicit(&cookies[i], memory_order_relaxed) == cookie)
			return true;
	return false;
}

bool bound_has(const struct subject *subject)
{
	union address local;
	socklen_t size;

	if (is_noted(subject->cookie))
		return true;
	/* Made here: then it would have been noted here. */
	if (subject->is_known || subject->place != PLACE_HOST)
		return false;
	return subject_local(subject, &local, &size) != 0;
}
