/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "intercept/preload/claim.h"

#define CLAIMS     64
#define WAIT_NS    50000
#define WAIT_TIMES 4000 /* 0.2 seconds and more */

/* Who holds a number, modulo the size of the table: the address of @myself there. */
static _Atomic uintptr_t claims[CLAIMS];
static _Thread_local char myself;

void claim_take(struct claim *claim, int number)
{
	_Atomic uintptr_t *holder = &claims[(unsigned int)number % CLAIMS];
	uintptr_t me = (uintptr_t)&myself, other = 0;
	const struct timespec pause = { .tv_nsec = WAIT_NS };
	int saved = errno;

	claim->number = number;
	claim->is_held = atomic_compare_exchange_strong(holder, &other, me);
	for (int i = 0; !claim->is_held && other != me && i < WAIT_TIMES; i++) {
		nanosleep(&pause, NULL);
		other = 0;
		claim->is_held = atomic_compare_exchange_strong(holder, &other, me);
	}
	if (!claim->is_held && other != me) {
		atomic_store(holder, me);
		claim->is_held = true;
	}
	errno = saved;
}

void claim_release(struct claim *claim)
{
	uintptr_t me = (uintptr_t)&myself;

	if (claim->is_held)
		atomic_compare_exchange_strong(&claims[(unsigned int)claim->number %
						       CLAIMS],
					       &me, 0);
	claim->is_held = false;
}
