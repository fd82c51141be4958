/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * An endpoint is kept as the line that defines it, behind some forty bytes of what else
 * there is to know, and parsed when it is asked for: parsing one costs less than a system
 * call, and a hundred thousand of them fit into a few megabytes. What only endpoints in
 * use have (see use.h) is allocated at the first use.
 *
 *	slots[]   entry | entry | free | entry ...     a slot never moves: cursors, `next`
 *	heads[]   hash(namespace, name) -> slot -> slot ...
 *	tables    one for each namespace that has entries
 *
 * Names are chosen by users, so the hash is keyed. There are two heads or more for each
 * entry.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/hash.h"
#include "broker/registry.h"

#define NONE      UINT32_MAX
#define HEADS_MIN 64

/* The lowest bit tells a free slot, which holds the number of the next free one, plus
 * one. */
union slot {
	struct entry *entry;
	uintptr_t free;
};

struct registry {
	union slot *slots;
	uint32_t n_slots, room;
	uint32_t first_free;
	uint32_t n_entries;
	uint32_t *heads;
	uint32_t n_heads; /* a power of two */
	struct hash_key key;
	struct table *tables;
};

static bool is_free(const union slot *slot)
{
	return slot->free & 1;
}

static uint32_t hash_of(const struct registry *registry, uint64_t netns, const char *name,
			size_t size)
{
	return (uint32_t)hash_bytes_keyed(&registry->key, netns, name, size);
}

struct registry *registry_new(void)
{
	struct registry *registry = calloc(1, sizeof(*registry));

	if (!registry)
		return NULL;
	registry->first_free = NONE;
	registry->n_heads = HEADS_MIN;
	registry->heads = malloc(HEADS_MIN * sizeof(*registry->heads));
	if (!registry->heads) {
		free(registry);
		return NULL;
	}
	memset(registry->heads, 0xff, HEADS_MIN * sizeof(*registry->heads));
	hash_key_make(&registry->key);
	return registry;
}

struct registry *registry_free(struct registry *registry)
{
	if (!registry)
		return NULL;
	for (uint32_t i = 0; i < registry->n_slots; i++)
		if (!is_free(&registry->slots[i]))
			registry_del(registry, registry->slots[i].entry);
	free(registry->slots);
	free(registry->heads);
	free(registry);
	return NULL;
}

static int grow_slots(struct registry *registry)
{
	uint32_t room = registry->room ? registry->room * 2 : HEADS_MIN;
	union slot *slots;

	if (registry->n_slots < registry->room)
		return 0;
	slots = reallocarray(registry->slots, room, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	registry->slots = slots;
	registry->room = room;
	return 0;
}

static void link_entry(struct registry *registry, struct entry *entry)
{
	uint32_t *head = &registry->heads[entry->hash & (registry->n_heads - 1)];

	entry->next = *head;
	*head = entry->slot;
}

/* Without memory the chains stay long. */
static void grow_heads(struct registry *registry)
{
	uint32_t n = registry->n_heads * 2;
	uint32_t *heads;

	if (registry->n_entries < registry->n_heads / 2)
		return;
	heads = malloc(n * sizeof(*heads));
	if (!heads)
		return;
	memset(heads, 0xff, n * sizeof(*heads));
	free(registry->heads);
	registry->heads = heads;
	registry->n_heads = n;
	for (uint32_t i = 0; i < registry->n_slots; i++)
		if (!is_free(&registry->slots[i]))
			link_entry(registry, registry->slots[i].entry);
}

struct table *registry_tables(const struct registry *registry)
{
	return registry->tables;
}

struct table *registry_table(const struct registry *registry, uint64_t netns)
{
	for (struct table *table = registry->tables; table; table = table->next)
		if (table->netns == netns)
			return table;
	return NULL;
}

static struct table *table_get(struct registry *registry, uint64_t netns)
{
	struct table *table = registry_table(registry, netns);

	if (table)
		return table;
	table = calloc(1, sizeof(*table));
	if (!table)
		return NULL;
	table->netns = netns;
	table->nsid = -1;
	table->next = registry->tables;
	registry->tables = table;
	return table;
}

static void table_settle(struct registry *registry, struct table *table)
{
	if (table->n_entries)
		return;
	for (struct table **at = &registry->tables; *at; at = &(*at)->next) {
		if (*at == table) {
			*at = table->next;
			free(table);
			return;
		}
	}
}

static struct entry *find(const struct registry *registry, uint64_t netns,
			  const char *name, size_t size, uint32_t hash)
{
	uint32_t at = registry->heads[hash & (registry->n_heads - 1)];

	while (at != NONE) {
		struct entry *entry = registry->slots[at].entry;

		if (entry->hash == hash && entry->table->netns == netns &&
		    entry->name_size == size && memcmp(entry->line, name, size) == 0)
			return entry;
		at = entry->next;
	}
	return NULL;
}

struct entry *registry_find(const struct registry *registry, uint64_t netns,
			    const char *name)
{
	size_t size = strlen(name);

	return find(registry, netns, name, size, hash_of(registry, netns, name, size));
}

static void take_slot(struct registry *registry, struct entry *entry)
{
	uint32_t slot = registry->first_free;

	if (slot == NONE)
		slot = registry->n_slots++;
	else
		registry->first_free = (uint32_t)(registry->slots[slot].free >> 1) - 1;
	entry->slot = slot;
	registry->slots[slot].entry = entry;
}

int registry_add(struct registry *registry, uint64_t netns, const char *line, size_t size,
		 struct entry **ret)
{
	size_t name_size = strcspn(line, " ");
	struct entry *entry;
	struct table *table;
	uint32_t hash;

	if (name_size == 0 || name_size > 63 || name_size >= size || size > UINT16_MAX)
		return -EINVAL;
	hash = hash_of(registry, netns, line, name_size);
	if (find(registry, netns, line, name_size, hash))
		return -EEXIST;
	if (registry->n_entries >= REGISTRY_MAX)
		return -E2BIG;
	if (grow_slots(registry) < 0)
		return -ENOMEM;
	entry = malloc(sizeof(*entry) + size + 1);
	if (!entry)
		return -ENOMEM;
	table = table_get(registry, netns);
	if (!table) {
		free(entry);
		return -ENOMEM;
	}
	*entry = (struct entry){ .table = table,
				 .hash = hash,
				 .line_size = (uint16_t)size,
				 .name_size = (uint8_t)name_size };
	memcpy(entry->line, line, size);
	entry->line[size] = '\0';
	grow_heads(registry);
	take_slot(registry, entry);
	link_entry(registry, entry);
	table->n_entries++;
	registry->n_entries++;
	*ret = entry;
	return 0;
}

void registry_del(struct registry *registry, struct entry *entry)
{
	uint32_t *at = &registry->heads[entry->hash & (registry->n_heads - 1)];

	while (*at != entry->slot)
		at = &registry->slots[*at].entry->next;
	*at = entry->next;
	registry->slots[entry->slot].free =
		(uintptr_t)(registry->first_free + 1) << 1 | 1;
	registry->first_free = entry->slot;
	registry->n_entries--;
	entry->table->n_entries--;
	table_settle(registry, entry->table);
	free(entry);
}

size_t registry_n(const struct registry *registry)
{
	return registry->n_entries;
}

struct entry *registry_next(const struct registry *registry, uint32_t *cursor)
{
	while (*cursor < registry->n_slots) {
		const union slot *slot = &registry->slots[(*cursor)++];

		if (!is_free(slot))
			return slot->entry;
	}
	return NULL;
}

void entry_name(const struct entry *entry, char name[64])
{
	memcpy(name, entry->line, entry->name_size);
	name[entry->name_size] = '\0';
}
