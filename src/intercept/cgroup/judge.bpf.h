/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy_resolve() on an image of the policy (policy/image.h): the rule a call comes to.
 *
 * For BPF programs, whose verifier follows every path: loops have constant bounds, cells
 * come from judge_cell(), which may return NULL, and a damaged image leads to a wrong
 * answer at worst. Its larger functions are global, which the verifier checks once each
 * instead of wherever they are called; such take numbers and no map, hence JUDGE_IMAGE
 * and JUDGE_CELLS. The same lines are compiled for unit tests, which hold them against
 * policy_resolve() itself.
 *
 * Who includes this says what an image is to them, JUDGE_IMAGE, a number there, and
 * defines
 *
 *	judge_open(JUDGE_IMAGE)			its JUDGE_CELLS, or NULL
 *	judge_cell(JUDGE_CELLS, number)		a cell, or NULL
 *	judge_is_bound(JUDGE_IMAGE, endpoint)	is anybody bound there now?
 *	JUDGE_CALL				how its global functions are declared
 *	JUDGE_LOOP(n, function, context)	bpf_loop(): function(i, context)
 *						until it returns 1, or n times
 */
#ifndef CGROUP_JUDGE_H
#define CGROUP_JUDGE_H

#include "policy/image.h"

/* A call. Addresses are four words, the uppermost first, IPv4 ones mapped. */
struct judge_call {
	image_u32 address[4];
	image_u16 port;
	image_u8 op;     /* enum policy_op */
	image_u8 proto;  /* 0 tcp, 1 udp, 2 other */
	image_u8 is_v6;  /* the socket is of AF_INET6 */
	image_u8 v6only; /* and that */
};

#define JUDGE_BIND     0
#define JUDGE_CONNECT  1
#define JUDGE_OTHER    2  /* proto */
#define JUDGE_SEARCH   22 /* halvings of two million segments and some */
#define JUDGE_BOUND_UP 130
#define JUDGE_ASKS     65536

/* Where the call falls. */
struct judge_point {
	image_u32 places[2];
	image_u32 n_places;
	image_u32 port;
	image_u32 proto;
	image_u32 serving; /* mask of groups */
	image_u32 roots, nodes, bound, blocks;
};

static __always_inline int judge_is_mapped(const struct judge_call *call)
{
	return call->address[0] == 0 && call->address[1] == 0 &&
	       call->address[2] == 0xffff;
}

static __always_inline int judge_is_zero(const struct judge_call *call)
{
	return call->address[0] == 0 && call->address[1] == 0 && call->address[2] == 0 &&
	       call->address[3] == 0;
}

/* connect to the wildcard address means loopback. */
static __always_inline void judge_loopback(struct judge_call *call)
{
	if (call->op != JUDGE_CONNECT)
		return;
	if (judge_is_zero(call))
		call->address[3] = 1;
	else if (judge_is_mapped(call) && call->address[3] == 0)
		call->address[3] = 0x7f000001;
}

/* The node of an IPv4 address: of the @n pairs of segments from @at. */
JUDGE_CALL image_u32 judge_search4(JUDGE_IMAGE image, image_u32 at, image_u32 n,
				   image_u32 wanted)
{
	JUDGE_CELLS cells = judge_open(image);
	const struct image_cell *cell;

	if (!cells)
		return IMAGE_NONE;
	for (int i = 0; i < JUDGE_SEARCH && n > 1; i++) {
		image_u32 half = n / 2;

		cell = judge_cell(cells, at + half);
		if (!cell)
			return IMAGE_NONE;
		if (cell->word[0] <= wanted)
			at += half;
		n -= half;
	}
	cell = judge_cell(cells, at);
	if (!cell)
		return IMAGE_NONE;
	return cell->word[2] <= wanted ? cell->word[3] : cell->word[1];
}

static __always_inline int judge_is_above(const struct image_cell *cell,
					  const struct judge_call *call)
{
	for (int i = 0; i < 3; i++)
		if (cell->word[i] != call->address[i])
			return cell->word[i] > call->address[i];
	return cell->word[3] > call->address[3];
}

/* The node of any other: of the @n_all segments from @first. */
JUDGE_CALL image_u32 judge_search6(JUDGE_IMAGE image, image_u32 first, image_u32 n_all,
				   const struct judge_call *call)
{
	JUDGE_CELLS cells = judge_open(image);
	image_u32 at = first, n = n_all;
	const struct image_cell *cell;

	if (!cells || !call)
		return IMAGE_NONE;
	for (int i = 0; i < JUDGE_SEARCH + 1 && n > 1; i++) {
		image_u32 half = n / 2;

		cell = judge_cell(cells, at + half);
		if (!cell)
			return IMAGE_NONE;
		if (!judge_is_above(cell, call))
			at += half;
		n -= half;
	}
	at -= first;
	cell = judge_cell(cells, first + n_all + at / 4);
	return cell ? cell->word[at & 3] : IMAGE_NONE;
}

/* The least rule on the port in @tree, if less than @best; else @best. */
JUDGE_CALL image_u32 judge_ports(JUDGE_IMAGE image, image_u32 blocks, image_u32 tree,
				 image_u32 port, image_u32 best)
{
	image_u32 leaf = (1u << IMAGE_PORT_BITS) + port;
	JUDGE_CELLS cells = judge_open(image);

	for (int i = 0; cells && i <= IMAGE_PORT_BITS && tree; i++) {
		const struct image_cell *cell = judge_cell(cells, blocks + tree);
		image_u32 depth, left;

		if (!cell)
			break;
		depth = cell->word[0] >> IMAGE_DEPTH;
		left = (IMAGE_PORT_BITS - depth) & 31;
		if (leaf >> left != (cell->word[0] & ((1u << IMAGE_DEPTH) - 1)))
			break;
		if (cell->word[3] < best)
			best = cell->word[3];
		if (!left)
			break;
		tree = leaf >> (left - 1) & 1 ? cell->word[2] : cell->word[1];
	}
	return best;
}

static __always_inline image_u32 judge_group(JUDGE_IMAGE image, JUDGE_CELLS cells,
					     const struct judge_point *point,
					     image_u32 place, image_u32 group,
					     image_u32 best)
{
	image_u32 at = point->roots + place * IMAGE_ROOTS + point->proto * 2 + group / 4;
	const struct image_cell *cell = judge_cell(cells, at);

	if (!cell || !cell->word[group & 3])
		return best;
	return judge_ports(image, point->blocks, cell->word[group & 3], point->port,
			   best);
}

/* The least rule of @group over the point. */
JUDGE_CALL image_u32 judge_first(JUDGE_IMAGE image, const struct judge_point *point,
				 image_u32 group)
{
	JUDGE_CELLS cells = judge_open(image);
	image_u32 best = IMAGE_NONE;

	if (!cells || !point)
		return IMAGE_NONE;
	best = judge_group(image, cells, point, point->places[0], group, best);
	if (point->n_places > 1)
		best = judge_group(image, cells, point, point->places[1], group, best);
	return best;
}

/* The first cell of @rule's outcome. */
static __always_inline const struct image_cell *judge_outcome(JUDGE_CELLS cells,
							      image_u32 rule)
{
	const struct image_cell *head = judge_cell(cells, 0);

	return head ? judge_cell(cells, head->word[3] + IMAGE_OUTCOME * rule) : NULL;
}

static __always_inline int judge_serves(const struct judge_point *point,
					const struct image_cell *outcome)
{
	return outcome && point->serving & 1u << (IMAGE_GROUP(outcome->word[0]) & 7);
}

/* As first_serving() of policy/resolve.c. */
static __always_inline image_u32 judge_serving(JUDGE_IMAGE image, JUDGE_CELLS cells,
					       const struct judge_point *point)
{
	image_u32 rule, best = IMAGE_NONE;

	rule = judge_first(image, point, IMAGE_ALL);
	if (rule == IMAGE_NONE || judge_serves(point, judge_outcome(cells, rule)))
		return rule;
	for (image_u32 group = IMAGE_STAY; group <= IMAGE_UNIX; group++) {
		if (!(point->serving & 1u << group))
			continue;
		rule = judge_first(image, point, group);
		if (rule < best)
			best = rule;
	}
	return best;
}

/* --- rules on `bound` endpoints ---------------------------------------------------- */

struct judge_asking {
	const struct judge_point *point;
	JUDGE_IMAGE image;
	image_u32 rule;  /* decides, as far as is known */
	image_u32 after; /* where to go on */
	image_u32 best;
	image_u32 node;
	/* A search for the first of a node's entries from {upper, lower} on. */
	image_u32 upper, lower;
	image_u32 from, n;
};

static long judge_entry(image_u32 i, void *context)
{
	struct judge_asking *asking = context;
	image_u32 half = asking->n / 2, entry = asking->from + half, upper, lower;
	JUDGE_CELLS cells = judge_open(asking->image);
	const struct image_cell *cell;

	(void)i;
	cell = cells ? judge_cell(cells, asking->point->bound + entry / 2) : NULL;
	if (!cell || !asking->n)
		return 1;
	upper = cell->word[(entry & 1) * 2];
	lower = cell->word[(entry & 1) * 2 + 1];
	if (upper < asking->upper || (upper == asking->upper && lower < asking->lower)) {
		asking->from = entry + 1;
		asking->n -= half + 1;
	} else {
		asking->n = half;
	}
	return 0;
}

/* A block of ports around the port, the smallest first. */
static long judge_bound_block(image_u32 i, void *context)
{
	struct judge_asking *asking = context;
	const struct judge_point *point = asking->point;
	image_u32 block = (1u << IMAGE_PORT_BITS) + point->port, end;
	JUDGE_CELLS cells = judge_open(asking->image);
	const struct image_cell *cell;

	cell = cells ? judge_cell(cells, point->nodes + asking->node) : NULL;
	if (!cell)
		return 1;
	asking->from = cell->word[2];
	asking->n = cell->word[3];
	end = asking->from + asking->n;
	asking->upper = point->proto << (IMAGE_PORT_BITS + 1) | block >> (i & 31);
	asking->lower = asking->after + 1;
	JUDGE_LOOP(JUDGE_SEARCH, judge_entry, asking);
	if (asking->from >= end)
		return 0;
	cell = judge_cell(cells, point->bound + asking->from / 2);
	if (!cell)
		return 1;
	if (cell->word[(asking->from & 1) * 2] == asking->upper &&
	    cell->word[(asking->from & 1) * 2 + 1] < asking->best)
		asking->best = cell->word[(asking->from & 1) * 2 + 1];
	return 0;
}

/* One node with such rules, of those around the address. */
static long judge_bound_node(image_u32 i, void *context)
{
	struct judge_asking *asking = context;
	JUDGE_CELLS cells = judge_open(asking->image);
	const struct image_cell *cell;

	(void)i;
	if (!cells || asking->node == IMAGE_NONE)
		return 1;
	JUDGE_LOOP(IMAGE_PORT_BITS + 1, judge_bound_block, asking);
	cell = judge_cell(cells, asking->point->nodes + asking->node);
	asking->node = cell ? cell->word[1] : IMAGE_NONE;
	return 0;
}

static __always_inline image_u32 judge_next_bound(struct judge_asking *asking)
{
	JUDGE_CELLS cells = judge_open(asking->image);
	const struct image_cell *cell;

	cell = cells ? judge_cell(cells, asking->point->nodes + asking->point->places[0])
		     : NULL;
	asking->best = IMAGE_NONE;
	asking->node = cell ? cell->word[0] : IMAGE_NONE;
	JUDGE_LOOP(JUDGE_BOUND_UP, judge_bound_node, asking);
	return asking->best;
}

static long judge_ask(image_u32 i, void *context)
{
	struct judge_asking *asking = context;
	JUDGE_CELLS cells = judge_open(asking->image);
	const struct image_cell *outcome;
	image_u32 id;

	id = i ? judge_next_bound(asking)
	       : judge_first(asking->image, asking->point, IMAGE_BOUND);
	if (!cells || id >= asking->rule)
		return 1;
	outcome = judge_outcome(cells, id);
	if (!outcome)
		return 1;
	asking->after = id;
	if (!judge_serves(asking->point, outcome) ||
	    !judge_is_bound(asking->image, outcome->word[2]))
		return 0;
	asking->rule = id;
	return 1;
}

/* The first of them before @rule whose endpoint is bound, or @rule. */
static __always_inline image_u32 judge_bound(JUDGE_IMAGE image,
					     const struct judge_point *point,
					     image_u32 rule)
{
	struct judge_asking asking = { .point = point, .image = image, .rule = rule };

	JUDGE_LOOP(JUDGE_ASKS, judge_ask, &asking);
	return asking.rule;
}

/* --- all of it --------------------------------------------------------------------- */

static __always_inline image_u32 judge_groups(const struct judge_call *call)
{
	image_u32 groups = 1u << IMAGE_STAY | 1u << IMAGE_HOST;

	if (!call->is_v6 || !call->v6only)
		groups |= 1u << IMAGE_IPV4;
	if (call->is_v6)
		groups |= 1u << IMAGE_IPV6;
	if (call->proto != JUDGE_OTHER)
		groups |= 1u << IMAGE_UNIX;
	return groups;
}

static __always_inline void judge_places(JUDGE_IMAGE image, const struct image_cell *op,
					 const struct judge_call *call,
					 struct judge_point *point)
{
	point->n_places = 1;
	point->places[1] = IMAGE_NONE;
	if (judge_is_mapped(call)) {
		point->places[0] =
			judge_search4(image, op->word[0], op->word[1], call->address[3]);
		return;
	}
	point->places[0] = judge_search6(image, op->word[2], op->word[3], call);
	if (call->op != JUDGE_BIND || !call->is_v6 || call->v6only ||
	    !judge_is_zero(call))
		return;
	point->places[1] = judge_search4(image, op->word[0], op->word[1], 0);
	point->n_places = 2;
}

/* The rule that decides @call. Return: its number, or IMAGE_NONE. */
JUDGE_CALL image_u32 judge(JUDGE_IMAGE image, struct judge_call *call)
{
	struct judge_point point = {};
	JUDGE_CELLS cells = judge_open(image);
	const struct image_cell *op, *more;
	image_u32 rule;

	if (!cells || !call)
		return IMAGE_NONE;
	op = judge_cell(cells, IMAGE_OP(call->op & 1));
	more = judge_cell(cells, IMAGE_OP(call->op & 1) + 1);
	if (!op || !more)
		return IMAGE_NONE;
	judge_loopback(call);
	point.roots = more->word[0];
	point.nodes = more->word[1];
	point.bound = more->word[2];
	point.blocks = more->word[3];
	point.port = call->port;
	point.proto = call->proto;
	point.serving = judge_groups(call);
	judge_places(image, op, call, &point);
	rule = judge_serving(image, cells, &point);
	return call->op == JUDGE_CONNECT && point.bound ? judge_bound(image, &point, rule)
							: rule;
}

#endif
