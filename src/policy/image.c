/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/image.h"
#include "policy/index.h"

_Static_assert((int)IMAGE_STAY == GROUP_STAY && (int)IMAGE_HOST == GROUP_HOST &&
		       (int)IMAGE_IPV4 == GROUP_IPV4 && (int)IMAGE_IPV6 == GROUP_IPV6 &&
		       (int)IMAGE_UNIX == GROUP_UNIX && (int)IMAGE_BOUND == GROUP_BOUND &&
		       (int)IMAGE_ALL == GROUP_ALL,
	       "a group of the image is not that of the index");
_Static_assert(IMAGE_PROTOS == N_PROTOS, "protocols");
_Static_assert(sizeof(struct path_key) == IMAGE_PATH * sizeof(struct image_cell),
	       "paths");
_Static_assert(sizeof(struct roots) == IMAGE_ROOTS * sizeof(struct image_cell), "roots");

/* First cells of the sections of one operation. */
struct sections {
	size_t segments4, segments6, places6, roots, nodes, bound, blocks, end;
};

static size_t halves(size_t n)
{
	return (n + 1) / 2;
}

static struct sections lay_out(const struct policy_index *index, size_t from)
{
	struct sections at = { .segments4 = from };

	at.segments6 = at.segments4 + halves(index->n_segments4);
	at.places6 = at.segments6 + index->n_segments;
	at.roots = at.places6 + (index->n_segments + 3) / 4;
	at.nodes = at.roots + IMAGE_ROOTS * (size_t)index->n_nodes;
	at.bound = at.nodes + index->n_nodes;
	at.blocks = at.bound + halves(index->n_bound);
	at.end = at.blocks + index->blocks.n;
	return at;
}

static void put_segments4(const struct policy_index *index, struct image_cell *cells)
{
	for (uint32_t i = 0; i < 2 * halves(index->n_segments4); i++) {
		uint32_t from = i < index->n_segments4 ? i : i - 1;
		const struct segment4 *segment = &index->segments4[from];

		cells[i / 2].word[i % 2 * 2] = segment->start;
		cells[i / 2].word[i % 2 * 2 + 1] = segment->place;
	}
}

static void put_segments6(const struct policy_index *index, struct image_cell *cells,
			  struct image_cell *places)
{
	for (uint32_t i = 0; i < index->n_segments; i++) {
		cells[i] = (struct image_cell){ {
			(uint32_t)(index->starts[i] >> 32),
			(uint32_t)index->starts[i],
			(uint32_t)(index->starts_low[i] >> 32),
			(uint32_t)index->starts_low[i],
		} };
		places[i / 4].word[i % 4] = index->places[i];
	}
}

static void put_bound(const struct policy_index *index, struct image_cell *cells)
{
	for (size_t i = 0; i < index->n_bound; i++) {
		cells[i / 2].word[i % 2 * 2] = (uint32_t)(index->bound[i] >> 32);
		cells[i / 2].word[i % 2 * 2 + 1] = (uint32_t)index->bound[i];
	}
}

static void put_blocks(const struct port_blocks *blocks, struct image_cell *cells)
{
	for (uint32_t i = 1; i < blocks->n; i++) {
		const struct port_block *block = &blocks->array[i];
		uint32_t depth = 31u - (uint32_t)__builtin_clz(block->heap);

		cells[i] = (struct image_cell){ { depth << IMAGE_DEPTH | block->heap,
						  block->child[0], block->child[1],
						  block->here } };
	}
}

static void put_index(const struct policy_index *index, const struct sections *at,
		      struct image_cell *cells, struct image_cell *head)
{
	head[0] = (struct image_cell){ { (uint32_t)at->segments4,
					 (uint32_t)halves(index->n_segments4),
					 (uint32_t)at->segments6, index->n_segments } };
	head[1] = (struct image_cell){ { (uint32_t)at->roots, (uint32_t)at->nodes,
					 index->n_bound ? (uint32_t)at->bound : 0,
					 (uint32_t)at->blocks } };
	put_segments4(index, cells + at->segments4);
	put_segments6(index, cells + at->segments6, cells + at->places6);
	memcpy(cells + at->roots, index->roots, index->n_nodes * sizeof(struct roots));
	for (uint32_t i = 0; i < index->n_nodes; i++)
		cells[at->nodes + i] = (struct image_cell){ {
			index->nodes[i].bound,
			index->nodes[i].bound_up,
			index->nodes[i].bound_from,
			index->nodes[i].bound_n,
		} };
	put_bound(index, cells + at->bound);
	put_blocks(&index->blocks, cells + at->blocks);
}

/* Cells for the paths that rules lead to. */
static size_t n_led(const struct policy *policy)
{
	size_t n = 0;

	for (size_t i = 0; i < policy->n_rules; i++)
		n += policy->rules[i].rule.family == AF_UNIX &&
		     policy->outcomes[i].endpoint;
	return IMAGE_PATH * n;
}

static void put_paths(const struct path_index *index, size_t at, struct image_cell *cells)
{
	size_t rules = at + IMAGE_PATH * (size_t)index->n;

	cells[IMAGE_PATHS] =
		(struct image_cell){ { (uint32_t)at, index->n, (uint32_t)rules } };
	memcpy(&cells[at], index->starts, index->n * sizeof(*index->starts));
	memcpy(&cells[rules], index->rules, index->n * sizeof(*index->rules));
}

/* @at: where the path it leads to goes, which comes after that. */
static void put_led(const struct outcome *outcome, struct image_cell *cells, size_t *at,
		    struct image_cell *ret)
{
	struct policy_verdict verdict;
	struct path_key key;

	policy_endpoint_verdict(outcome->endpoint, POLICY_CONNECT, AF_UNIX, &verdict);
	key = path_key(&verdict.address, verdict.address_len);
	memcpy(&cells[*at], &key, sizeof(key));
	ret->word[0] = (uint32_t)*at;
	*at += IMAGE_PATH;
}

static void put_outcome(const struct outcome *outcome, const struct rule *rule,
			struct image_cell *cells)
{
	uint32_t group = outcome->endpoint ? endpoint_group(rule) : outcome->group;

	cells[0].word[0] = (uint32_t)outcome->target | (uint32_t)outcome->kind << 8 |
			   group << 16 | (outcome->wildcard ? IMAGE_WILDCARD : 0);
	cells[0].word[1] = outcome->port | (uint32_t)outcome->deny_errno << 16;
	cells[0].word[2] = outcome->endpoint ? outcome->endpoint->index : IMAGE_NONE;
	if (rule->family == AF_UNIX)
		cells[0].word[0] |= IMAGE_IS_UNIX;
	if (!outcome->endpoint)
		return;
	if (outcome->kind == ENDPOINT_IPV4)
		memcpy(&cells[1], &outcome->v4, sizeof(outcome->v4));
	else if (outcome->kind == ENDPOINT_IPV6)
		memcpy(&cells[1], &outcome->v6, sizeof(outcome->v6));
}

static uint32_t flags_of(const struct policy *policy)
{
	uint32_t flags = policy->paths->n_rules ? IMAGE_UNIXES : 0;

	/* Denials of paths are about no other sockets. */
	for (size_t i = 0; i < policy->n_rules; i++)
		if (policy->outcomes[i].target == POLICY_DENY &&
		    policy->rules[i].rule.family != AF_UNIX)
			flags |= IMAGE_DENIES;
	if (policy->index[POLICY_CONNECT]->n_bound)
		flags |= IMAGE_ASKS;
	if (policy_setting(policy, POLICY_SHORTCUT, NULL) == POLICY_ON)
		flags |= IMAGE_SHORTCUT;
	if (policy_setting(policy, POLICY_LOOPBACK, NULL) == POLICY_LOOPBACK_OWN)
		flags |= IMAGE_LOOPBACK;
	return flags;
}

struct image_cell *image_outcome(struct image_cell *cells, size_t rule)
{
	return cells + cells[0].word[3] + IMAGE_OUTCOME * rule;
}

int image_new(const struct policy *policy, struct image_cell **ret_cells, size_t *ret_n)
{
	struct sections at[2];
	struct image_cell *cells;
	size_t n = IMAGE_HEAD, outcomes, paths, led;

	for (int op = 0; op < 2; op++) {
		at[op] = lay_out(policy->index[op], n);
		n = at[op].end;
	}
	paths = n;
	led = paths + IMAGE_PATH * (size_t)policy->paths->n + (policy->paths->n + 3) / 4;
	n = led + n_led(policy);
	outcomes = n;
	n += IMAGE_OUTCOME * (policy->n_rules + 1);
	if (n >= INT32_MAX)
		return -E2BIG;
	cells = calloc(n, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	cells[0] =
		(struct image_cell){ { IMAGE_VERSION, (uint32_t)n,
				       (uint32_t)policy->n_rules, (uint32_t)outcomes } };
	for (int op = 0; op < 2; op++)
		put_index(policy->index[op], &at[op], cells, &cells[IMAGE_OP(op)]);
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct rule *rule = &policy->rules[i].rule;
		const struct outcome *outcome = &policy->outcomes[i];

		put_outcome(outcome, rule, image_outcome(cells, i));
		if (rule->family == AF_UNIX && outcome->endpoint)
			put_led(outcome, cells, &led, &image_outcome(cells, i)[1]);
	}
	put_paths(policy->paths, paths, cells);
	cells[1].word[0] = flags_of(policy);
	image_outcome(cells, policy->n_rules)->word[2] = IMAGE_NONE;
	*ret_cells = cells;
	*ret_n = n;
	return 0;
}
