/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The index's data, between those who build it (build.c) and those who ask (index.c).
 */
#pragma once

#include "policy/internal.h"
#include "policy/ports.h"

#define N_PROTOS 3
#define FIRST4   0xffff00000000u /* ::ffff:0.0.0.0 */

/* What a question reads of a node: one cache line's half by protocol. */
struct roots {
	uint32_t of[N_PROTOS][8]; /* GROUP_N, rounded up */
};

struct node {
	uint32_t outside; /* the node the loopback guard cut this one from, or NONE */
	uint32_t bound;   /* nearest node, this one or around it, with bound rules */
	uint32_t bound_up;
	uint32_t bound_from, bound_n; /* own entries in index->bound */
};

struct segment4 {
	uint32_t start;
	uint32_t place;
};

/* Every so many segments one start is copied apart, so that the search stays in few
 * cache lines until the last steps. */
#define SAMPLE4 8
#define SAMPLE6 16

struct policy_index {
	struct port_blocks blocks;
	struct roots *roots; /* by node */
	struct node *nodes;
	uint32_t n_nodes;
	uint64_t *starts;     /* of segments, ascending: the upper halves ... */
	uint64_t *starts_low; /* ... and the lower ones, seldom looked at */
	uint32_t *places;     /* ... and the nodes they belong to */
	uint32_t n_segments;
	struct segment4
		*segments4; /* the IPv4 ones, a stretch in the middle, once more */
	uint32_t n_segments4;
	uint32_t *samples4;
	struct index_key *samples6;
	uint64_t *bound; /* per node: protocol, block, rule; ascending */
	size_t n_bound, bound_room;
};

static inline int compare_keys(const struct index_key *a, const struct index_key *b)
{
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	return (a->low > b->low) - (a->low < b->low);
}

/* An entry of policy_index.bound. */
static inline uint64_t bound_entry(unsigned int proto, uint32_t block, uint32_t rule)
{
	return (uint64_t)(proto << (PORT_BITS + 1) | block) << 32 | rule;
}
