/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A set-associative table: a cookie names a set of WAYS notes, one cache line of cookies.
 * Sets share LOCKS mutexes, each held for one scan of a set. Cookies count up, per CPU in
 * blocks of 4096, so sockets made one after the other are in the same set, then in the
 * next one, and a run of few sockets has touched little of the table.
 */
#include <pthread.h>
#include <stdlib.h>

#include "run/grafts.h"

#define WAYS  8
#define SETS  (GRAFTS_MAX / WAYS)
#define LOCKS 16

struct set {
	uint64_t cookies[WAYS]; /* 0: free */
	struct graft_note notes[WAYS];
};

struct grafts {
	pthread_mutex_t locks[LOCKS];
	struct set sets[SETS];
};

struct grafts *grafts_new(void)
{
	struct grafts *grafts = calloc(1, sizeof(*grafts));

	if (!grafts)
		return NULL;
	for (unsigned int i = 0; i < LOCKS; i++)
		pthread_mutex_init(&grafts->locks[i], NULL);
	return grafts;
}

struct grafts *grafts_free(struct grafts *grafts)
{
	if (!grafts)
		return NULL;
	for (unsigned int i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&grafts->locks[i]);
	free(grafts);
	return NULL;
}

static unsigned int set_of(uint64_t cookie)
{
	return (unsigned int)(cookie / WAYS % SETS);
}

static int way_of(const struct set *set, uint64_t cookie)
{
	for (int i = 0; i < WAYS; i++)
		if (set->cookies[i] == cookie)
			return i;
	return -1;
}

static int oldest_way(const struct set *set)
{
	int oldest = 0;

	for (int i = 0; i < WAYS; i++) {
		if (!set->cookies[i])
			return i;
		if (set->notes[i].since_ns < set->notes[oldest].since_ns)
			oldest = i;
	}
	return oldest;
}

void grafts_note(struct grafts *grafts, uint64_t cookie, uint32_t rule, uint64_t since_ns)
{
	unsigned int index = set_of(cookie);
	pthread_mutex_t *lock = &grafts->locks[index % LOCKS];
	struct set *set = &grafts->sets[index];
	int way;

	pthread_mutex_lock(lock);
	way = way_of(set, cookie);
	if (way < 0) {
		way = oldest_way(set);
		set->cookies[way] = cookie;
		set->notes[way].since_ns = since_ns;
	}
	set->notes[way].rule = rule;
	pthread_mutex_unlock(lock);
}

bool grafts_find(struct grafts *grafts, uint64_t cookie, struct graft_note *ret)
{
	unsigned int index = set_of(cookie);
	pthread_mutex_t *lock = &grafts->locks[index % LOCKS];
	const struct set *set = &grafts->sets[index];
	int way;

	pthread_mutex_lock(lock);
	way = way_of(set, cookie);
	if (way >= 0)
		*ret = set->notes[way];
	pthread_mutex_unlock(lock);
	return way >= 0;
}
