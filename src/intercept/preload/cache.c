/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where connects to an endpoint go, as granted before: as long as nothing changed in the
 * registry, the answer would be the same.
 *
 * A few entries in fixed memory, each behind a sequence number that is odd while somebody
 * writes: a reader that meets one goes without, a writer too.
 */
#include <stdatomic.h>
#include <string.h>

#include "intercept/preload/broker.h"

#define ENTRIES 16

struct value {
	struct wire_ask ask; /* address and flags not set */
	struct wire_grant said;
	uint64_t netns;
};

static struct entry {
	atomic_uint sequence;
	struct value value;
} entries[ENTRIES];

static atomic_uint next;

static bool is_same(const struct wire_ask *a, const struct wire_ask *b)
{
	return a->op == b->op && a->family == b->family && a->type == b->type &&
	       a->protocol == b->protocol && !strcmp(a->name, b->name);
}

/* Return: whether @ret is what the entry held at one moment. */
static bool read_entry(struct entry *entry, struct value *ret)
{
	unsigned int before =
		atomic_load_explicit(&entry->sequence, memory_order_acquire);

	if (before == 0 || before & 1)
		return false;
	memcpy(ret, &entry->value, sizeof(*ret));
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&entry->sequence, memory_order_relaxed) == before;
}

static struct entry *find(const struct wire_ask *ask, struct value *ret)
{
	for (int i = 0; i < ENTRIES; i++)
		if (read_entry(&entries[i], ret) && is_same(&ret->ask, ask))
			return &entries[i];
	return NULL;
}

bool cache_find(const struct wire_ask *ask, struct wire_grant *ret, uint64_t *ret_netns)
{
	uint64_t generation = page_generation();
	struct value value;

	if (!generation || !find(ask, &value) || value.said.generation != generation ||
	    !channel_is_alive())
		return false;
	*ret = value.said;
	*ret_netns = value.netns;
	return true;
}

void cache_keep(const struct wire_ask *ask, const struct grant *grant)
{
	struct value value;
	struct entry *entry;
	unsigned int before;

	if (!grant->said.generation || grant->path >= 0)
		return;
	page_want();
	entry = find(ask, &value);
	if (!entry)
		entry = &entries[atomic_fetch_add(&next, 1) % ENTRIES];
	before = atomic_load(&entry->sequence);
	if (before & 1 ||
	    !atomic_compare_exchange_strong(&entry->sequence, &before, before + 1))
		return;
	entry->value.ask = *ask;
	entry->value.said = grant->said;
	entry->value.netns = grant->netns;
	atomic_store_explicit(&entry->sequence, before + 2, memory_order_release);
}
