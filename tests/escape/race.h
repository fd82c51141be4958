/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One thread calls, another changes what is called upon:
 *
 *	race_start(); while (race_goes_on()) call; race_end();
 *
 * and the flipping thread loops until race_is_over().
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

enum { RACE_SECONDS = 30 }; /* then the race ends, and says how many tries it made */

struct race {
	pthread_t thread;
	bool has_thread; /* else something else does the changing: flip was NULL */
	unsigned long n_done;
};

void race_start(struct race *race, void *(*flip)(void *), void *context);
bool race_goes_on(struct race *race);
/* However many tries it has made. */
bool race_has_time(void);
bool race_is_over(void);
void race_end(struct race *race);
