/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "policy/internal.h"
#include "policy/ports.h"

/* Halvings between all ports and block @heap. */
static unsigned int depth_of(uint32_t heap)
{
	return 31u - (unsigned int)__builtin_clz(heap);
}

/* Room for one more; the array may move. Return: its place, PORTS_NONE without memory. */
static uint32_t block_new(struct port_blocks *blocks, const struct port_block *block)
{
	if (blocks->n == blocks->room) {
		uint32_t room = blocks->room ? blocks->room * 2 : 64;
		struct port_block *moved = NULL;

		if (room > blocks->room)
			moved = reallocarray(blocks->array, room, sizeof(*moved));
		if (!moved) {
			blocks->failed = true;
			return PORTS_NONE;
		}
		if (!blocks->array)
			moved[blocks->n++] = (struct port_block){ 0 }; /* PORTS_NONE */
		blocks->array = moved;
		blocks->room = room;
	}
	blocks->array[blocks->n] = *block;
	return blocks->n++;
}

/* @block in the place of @tree, or in a new one if that may not be changed. */
static uint32_t block_set(struct port_blocks *blocks, uint32_t tree,
			  const struct port_block *block)
{
	if (tree < blocks->shared)
		return block_new(blocks, block);
	blocks->array[tree] = *block;
	return tree;
}

static uint32_t leaf_new(struct port_blocks *blocks, uint32_t heap, uint32_t rule)
{
	const struct port_block leaf = { heap, { PORTS_NONE, PORTS_NONE }, rule, rule };

	return block_new(blocks, &leaf);
}

/* The smallest block around both. */
static uint32_t common_block(uint32_t a, uint32_t b)
{
	unsigned int depth_a = depth_of(a), depth_b = depth_of(b);

	if (depth_a > depth_b)
		a >>= depth_a - depth_b;
	else
		b >>= depth_b - depth_a;
	if (a == b)
		return a;
	return a >> (depth_of(a ^ b) + 1);
}

/* Which half of @outer the smaller block @inner lies in. */
static unsigned int half_of(uint32_t outer, uint32_t inner)
{
	return inner >> (depth_of(inner) - depth_of(outer) - 1) & 1;
}

/* @tree with a rule on a block around it. */
static uint32_t put_around(struct port_blocks *blocks, uint32_t tree, uint32_t heap,
			   uint32_t rule)
{
	struct port_block top = { heap, { PORTS_NONE, PORTS_NONE }, rule, rule };

	if (blocks->array[tree].below < rule) {
		top.child[half_of(heap, blocks->array[tree].heap)] = tree;
		top.below = blocks->array[tree].below;
	}
	return block_new(blocks, &top);
}

/* A block whose halves hold @tree and a new leaf. */
static uint32_t put_beside(struct port_blocks *blocks, uint32_t tree, uint32_t common,
			   uint32_t heap, uint32_t rule)
{
	struct port_block top = { common, { PORTS_NONE, PORTS_NONE }, POLICY_NONE, rule };

	if (blocks->array[tree].below < rule)
		top.below = blocks->array[tree].below;
	top.child[half_of(common, blocks->array[tree].heap)] = tree;
	top.child[half_of(common, heap)] = leaf_new(blocks, heap, rule);
	return block_new(blocks, &top);
}

static uint32_t put_block(struct port_blocks *blocks, uint32_t tree, uint32_t heap,
			  uint32_t rule)
{
	struct port_block block;
	uint32_t common;
	unsigned int half;

	if (blocks->failed)
		return tree;
	if (tree == PORTS_NONE)
		return leaf_new(blocks, heap, rule);
	block = blocks->array[tree];
	common = common_block(block.heap, heap);
	if (common != block.heap)
		return common == heap ? put_around(blocks, tree, heap, rule)
				      : put_beside(blocks, tree, common, heap, rule);
	if (block.here < rule)
		return tree;
	if (heap == block.heap) {
		block.here = rule;
		for (int i = 0; i < 2; i++)
			if (blocks->array[block.child[i]].below > rule)
				block.child[i] = PORTS_NONE;
	} else {
		uint32_t child;

		half = half_of(block.heap, heap);
		child = put_block(blocks, block.child[half], heap, rule);
		if (child == block.child[half] && child < blocks->shared)
			return tree; /* covered further down */
		block.child[half] = child;
	}
	if (rule < block.below)
		block.below = rule;
	return block_set(blocks, tree, &block);
}

unsigned int ports_split(uint16_t from, uint16_t to, uint32_t parts[PORTS_PARTS_MAX])
{
	uint32_t low = (1u << PORT_BITS) + from, high = (1u << PORT_BITS) + to;
	unsigned int n = 0;

	for (; low <= high; low >>= 1, high >>= 1) {
		if (low & 1)
			parts[n++] = low++;
		if (!(high & 1) && low <= high)
			parts[n++] = high--;
	}
	return n;
}

void ports_put(struct port_blocks *blocks, uint32_t *tree, uint16_t low, uint16_t high,
	       uint32_t rule)
{
	uint32_t parts[PORTS_PARTS_MAX];
	unsigned int n = ports_split(low, high, parts);

	for (unsigned int i = 0; i < n; i++)
		*tree = put_block(blocks, *tree, parts[i], rule);
}

void ports_share(struct port_blocks *blocks)
{
	blocks->shared = blocks->n;
}

void ports_deinit(struct port_blocks *blocks)
{
	free(blocks->array);
}

uint32_t ports_least(const struct port_blocks *blocks, uint32_t tree, uint16_t port,
		     uint32_t best)
{
	const uint32_t leaf = (1u << PORT_BITS) + port;

	while (tree != PORTS_NONE) {
		const struct port_block *block = &blocks->array[tree];
		unsigned int depth = depth_of(block->heap);

		policy_n_probes++;
		if (block->below >= best || leaf >> (PORT_BITS - depth) != block->heap)
			break;
		if (block->here < best)
			best = block->here;
		if (depth == PORT_BITS)
			break;
		tree = block->child[leaf >> (PORT_BITS - depth - 1) & 1];
	}
	return best;
}
