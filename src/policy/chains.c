/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hash table of consecutive ids. Within a chain the greatest id comes first, so that
 * the latest ones can be cut off again without searching.
 */
#include <errno.h>
#include <stdlib.h>

#include "policy/internal.h"

#define CHAINS_MIN 16

uint32_t hash_bytes(const void *data, size_t size, uint32_t seed)
{
	const unsigned char *bytes = data;
	uint64_t h = 0x9e3779b97f4a7c15u ^ seed;

	for (size_t i = 0; i < size; i++) {
		h ^= bytes[i];
		h *= 0x100000001b3u;
		h ^= h >> 29;
	}
	return (uint32_t)(h ^ h >> 32);
}

static int chains_grow(struct chains *chains)
{
	uint32_t n_heads = chains->n_heads ? chains->n_heads * 2 : CHAINS_MIN;
	uint32_t *heads = malloc(n_heads * sizeof(*heads));
	uint32_t *next, *hashes;

	if (!heads)
		return -ENOMEM;
	next = reallocarray(chains->next, n_heads, sizeof(*next));
	if (next)
		chains->next = next;
	hashes = reallocarray(chains->hashes, n_heads, sizeof(*hashes));
	if (hashes)
		chains->hashes = hashes;
	if (!next || !hashes) {
		free(heads);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n_heads; i++)
		heads[i] = POLICY_NONE;
	for (uint32_t id = 0; id < chains->n; id++) {
		uint32_t *head = &heads[chains->hashes[id] & (n_heads - 1)];

		chains->next[id] = *head;
		*head = id;
	}
	free(chains->heads);
	chains->heads = heads;
	chains->n_heads = n_heads;
	chains->room = n_heads;
	return 0;
}

int chains_add(struct chains *chains, uint32_t hash)
{
	uint32_t *head;
	int r;

	if (chains->n == chains->room) {
		r = chains_grow(chains);
		if (r < 0)
			return r;
	}
	head = &chains->heads[hash & (chains->n_heads - 1)];
	chains->hashes[chains->n] = hash;
	chains->next[chains->n] = *head;
	*head = chains->n++;
	return 0;
}

void chains_cut(struct chains *chains, uint32_t n)
{
	while (chains->n > n) {
		uint32_t id = --chains->n;

		chains->heads[chains->hashes[id] & (chains->n_heads - 1)] =
			chains->next[id];
	}
}

void chains_deinit(struct chains *chains)
{
	free(chains->heads);
	free(chains->next);
	free(chains->hashes);
}

static uint32_t same_hash(const struct chains *chains, uint32_t id, uint32_t hash)
{
	while (id != POLICY_NONE && chains->hashes[id] != hash)
		id = chains->next[id];
	return id;
}

uint32_t chains_first(const struct chains *chains, uint32_t hash)
{
	if (!chains->n_heads)
		return POLICY_NONE;
	return same_hash(chains, chains->heads[hash & (chains->n_heads - 1)], hash);
}

uint32_t chains_next(const struct chains *chains, uint32_t id)
{
	return same_hash(chains, chains->next[id], chains->hashes[id]);
}
