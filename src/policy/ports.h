/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Port trees: for each port, the least of the rule numbers put on intervals around it.
 *
 * A tree is a number, PORTS_NONE when empty. Trees of one struct port_blocks may share
 * blocks: after ports_share() what exists is never changed again, only copied, and a tree
 * remembered from before stays as it was.
 *
 * Ports fall into blocks of powers of two, numbered as in a heap: 1 is all ports, 2 and 3
 * its halves, 65536 + N the port N alone. A tree holds a block where a rule covers it
 * whole, or where its halves differ; a way down meets 17 blocks at most, and usually far
 * fewer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PORTS_NONE      0
#define PORT_BITS       16
#define PORTS_PARTS_MAX 30

struct port_block {
	uint32_t heap; /* its number */
	uint32_t child[2];
	uint32_t here;  /* least rule that covers the whole block */
	uint32_t below; /* least rule in it, parts included */
};

struct port_blocks {
	struct port_block *array;
	uint32_t n, room;
	uint32_t shared; /* blocks below this number are never changed */
	bool failed;     /* out of memory; trees are incomplete */
};

void ports_share(struct port_blocks *blocks);
void ports_put(struct port_blocks *blocks, uint32_t *tree, uint16_t low, uint16_t high,
	       uint32_t rule);
void ports_deinit(struct port_blocks *blocks);
/* The blocks that make up @low-@high. Return: how many. */
unsigned int ports_split(uint16_t low, uint16_t high, uint32_t parts[PORTS_PARTS_MAX]);
/* The least rule on @port if less than @best; else @best. */
uint32_t ports_least(const struct port_blocks *blocks, uint32_t tree, uint16_t port,
		     uint32_t best);
