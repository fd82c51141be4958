/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the first rule that matches, without looking at the others.
 *
 * Theory of operation. One index per operation. A rule is a rectangle: a prefix of
 * addresses by an interval of ports; the question is for the least rule number among the
 * rectangles over one point.
 *
 *  addresses	Prefixes either nest or are apart, so they form a tree. IPv4 prefixes
 *stand in it as IPv4-mapped ones, below a node that inherits nothing from the IPv6
 *		prefixes around it. Cut at every prefix's ends, the address line falls into
 *at most 2n + 1 segments, and each belongs to exactly one node: its innermost prefix. A
 *binary search over the segments finds it.
 *
 *  ports	Each node has, by protocol and group, a binary tree over 0-65535 in which
 *a rule stands at the topmost blocks that make up its interval (at most 30). The answer
 *is the least number met between the root and the port's leaf: 17 steps, fewer where a
 *subtree is empty or has nothing below what is known.
 *
 *		A node's tree holds the rules of all prefixes around it too. It starts as
 *its parent's tree and copies only the path it changes, so a rule costs the memory of its
 *own paths (17 blocks of 16 bytes for one port) however many prefixes lie within its own,
 *and no question has to climb the tree of prefixes. A rule behind one that covers it
 *costs nothing.
 *
 *  groups	Whether a rule is passed over follows from the socket and the rule's group
 *		(enum rule_group), so each group has trees of its own and those that
 *cannot serve are not asked. The loopback guard lies in the tree of prefixes: the nodes
 *		127.0.0.0/8 and ::1 inherit GROUP_STAY alone and remember whom they did
 *not inherit from.
 *
 *  bound	Rules on `bound` endpoints are asked for one after the other, because only
 *the caller knows the answer. Each node lists its own by (protocol, block, number); the
 *next one after a given number takes 17 binary searches in each node with such rules
 *around the address. What that costs grows with the number of such rules in front of the
 *deciding one that match address and port, and with no others.
 *
 * Bounds, n rules: log2(2n + 1) + groups x 17 steps for a question. Memory: 16 bytes x
 * at most 64 blocks for a rule (17 for one port), three times that if it is an `any` rule
 * among rules for one protocol; 88 bytes per distinct prefix.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

#define PORT_BITS  16
#define N_PROTOS   3
#define BLOCK_NONE 0 /* also the sentinel that stands for "nothing below" */

struct block {
	uint32_t child[2];
	uint32_t here;  /* least rule that covers the whole block */
	uint32_t below; /* least rule in this block and under it */
};

struct blocks {
	struct block *array;
	uint32_t n, room;
	uint32_t shared; /* blocks below this number belong to other trees too */
	bool failed;
};

struct node {
	uint32_t roots[N_PROTOS][GROUP_N];
	uint32_t outside; /* the node the loopback guard cut this one from, or NONE */
	uint32_t bound;   /* nearest node, this one or around it, with bound rules */
	uint32_t bound_up;
	uint32_t bound_from, bound_n; /* own entries in index->bound */
};

struct policy_index {
	struct blocks blocks;
	struct node *nodes;
	uint32_t n_nodes;
	struct index_key *starts; /* of segments, ascending */
	uint32_t *places;         /* segment -> node */
	uint32_t n_segments;
	uint64_t *bound; /* per node: protocol, block, rule; ascending */
	size_t n_bound, bound_room;
};

/* A prefix with the rules written on it: refs[from .. from + n) of the build. */
struct prefix {
	struct index_key key;
	unsigned int len;
	uint32_t from, n;
	bool guard;  /* loopback */
	bool border; /* inherits nothing */
};

_Thread_local uint64_t policy_n_probes;

static uint64_t load_be64(const uint8_t *bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | bytes[i];
	return value;
}

struct index_key index_key(int family, const struct in6_addr *address)
{
	const uint8_t *b = address->s6_addr;

	if (family == AF_INET)
		return (struct index_key){ 0, 0xffff00000000u | (uint64_t)b[0] << 24 |
						      (uint64_t)b[1] << 16 |
						      (uint64_t)b[2] << 8 | b[3] };
	return (struct index_key){ load_be64(b), load_be64(b + 8) };
}

static int compare_keys(const struct index_key *a, const struct index_key *b)
{
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	return (a->low > b->low) - (a->low < b->low);
}

/* The last address of a prefix. */
static struct index_key last_key(const struct index_key *key, unsigned int len)
{
	uint64_t high = len >= 64 ? 0 : UINT64_MAX >> len;
	uint64_t low = len <= 64 ? UINT64_MAX : len == 128 ? 0 : UINT64_MAX >> (len - 64);

	return (struct index_key){ key->high | high, key->low | low };
}

static uint32_t block_new(struct blocks *blocks, const struct block *copy)
{
	if (blocks->n == blocks->room) {
		uint32_t room = blocks->room ? blocks->room * 2 : 64;
		struct block *moved = NULL;

		if (room > blocks->room)
			moved = reallocarray(blocks->array, room, sizeof(*moved));
		if (!moved) {
			blocks->failed = true;
			return BLOCK_NONE;
		}
		blocks->array = moved;
		blocks->room = room;
	}
	blocks->array[blocks->n] = *copy;
	return blocks->n++;
}

/*
 * Puts @rule on ports @low-@high of the tree @id, a block of @width ports that starts at
 * 0. Return: the tree's new root.
 */
static uint32_t block_put(struct blocks *blocks, uint32_t id, uint32_t width,
			  uint32_t low, uint32_t high, uint32_t rule)
{
	struct block block = blocks->array[id];
	uint32_t half = width / 2;

	if (block.here <= rule || blocks->failed)
		return id;
	if (id < blocks->shared || id == BLOCK_NONE) {
		id = block_new(blocks, &block);
		if (id == BLOCK_NONE)
			return id;
	}
	if (rule < block.below)
		block.below = rule;
	if (low == 0 && high == width - 1) {
		block.here = rule;
		for (int i = 0; i < 2; i++)
			if (blocks->array[block.child[i]].below > rule)
				block.child[i] = BLOCK_NONE;
	} else {
		if (low < half)
			block.child[0] = block_put(blocks, block.child[0], half, low,
						   high < half ? high : half - 1, rule);
		if (high >= half)
			block.child[1] =
				block_put(blocks, block.child[1], half,
					  low < half ? 0 : low - half, high - half, rule);
	}
	blocks->array[id] = block;
	return id;
}

static inline uint32_t block_least(const struct block *array, uint32_t id, uint16_t port,
				   uint32_t best)
{
	unsigned int bit = 1u << (PORT_BITS - 1), n = 0;

	for (;;) {
		const struct block *block = &array[id];

		n++;
		if (block->below >= best)
			break;
		if (block->here < best)
			best = block->here;
		if (!bit)
			break;
		id = block->child[(port & bit) != 0];
		bit >>= 1;
	}
	policy_n_probes += n;
	return best;
}

enum rule_group rule_group(const struct rule *rule)
{
	const struct endpoint *endpoint = rule->endpoint;

	if (!rule_leaves(rule))
		return GROUP_STAY;
	if (rule->target == POLICY_HOST)
		return GROUP_HOST;
	if (rule->op == POLICY_CONNECT && (endpoint->options & ENDPOINT_BOUND))
		return GROUP_BOUND;
	return endpoint_group(rule);
}

enum rule_group endpoint_group(const struct rule *rule)
{
	switch (rule->endpoint->kind) {
	case ENDPOINT_IPV4:
		return GROUP_IPV4;
	case ENDPOINT_IPV6:
		if (rule->op == POLICY_CONNECT && rule->target == POLICY_ENDPOINT &&
		    endpoint_is_wildcard(rule->endpoint))
			return GROUP_HOST;
		return GROUP_IPV6;
	case ENDPOINT_UNIX:
		break;
	}
	return GROUP_UNIX;
}

static void put_rule(struct blocks *blocks, struct node *node, const struct rule *rule)
{
	enum rule_group group = rule_group(rule);
	uint32_t *tcp = &node->roots[0][group], *udp = &node->roots[1][group],
		 *other = &node->roots[2][group];
	uint32_t *roots[N_PROTOS] = { tcp, udp, other };
	bool same = *tcp == *udp && *udp == *other;

	if (same && rule->proto == POLICY_ANY) {
		*tcp = block_put(blocks, *tcp, 1 << PORT_BITS, rule->port_low,
				 rule->port_high, rule->index);
		*udp = *other = *tcp;
		return;
	}
	for (int i = 0; i < N_PROTOS; i++) {
		if (!(rule->proto & 1u << i))
			continue;
		/* Whatever one protocol's tree has in common with another's stays. */
		if (*roots[i] == *roots[(i + 1) % 3] || *roots[i] == *roots[(i + 2) % 3])
			blocks->shared = blocks->n;
		*roots[i] = block_put(blocks, *roots[i], 1 << PORT_BITS, rule->port_low,
				      rule->port_high, rule->index);
	}
}

static uint64_t bound_entry(unsigned int proto, uint32_t block, uint32_t rule)
{
	return (uint64_t)(proto << (PORT_BITS + 1) | block) << 32 | rule;
}

static int add_bound(struct policy_index *index, uint64_t entry)
{
	int r = policy_room((void **)&index->bound, &index->bound_room, index->n_bound,
			    sizeof(uint64_t));

	if (r == 0)
		index->bound[index->n_bound++] = entry;
	return r;
}

/* Blocks are numbered as in a heap: 1 is all ports, 65536 + port a single one. */
static int put_bound(struct policy_index *index, const struct rule *rule)
{
	uint32_t low = rule->port_low + (1u << PORT_BITS);
	uint32_t high = rule->port_high + (1u << PORT_BITS);
	int r = 0;

	for (; r == 0 && low <= high; low >>= 1, high >>= 1) {
		uint32_t ends[2];
		int n = 0;

		if (low & 1)
			ends[n++] = low++;
		if (!(high & 1) && low <= high)
			ends[n++] = high--;
		for (unsigned int p = 0; r == 0 && p < N_PROTOS; p++)
			for (int i = 0; r == 0 && rule->proto & 1u << p && i < n; i++)
				r = add_bound(index,
					      bound_entry(p, ends[i], rule->index));
	}
	return r;
}

static int compare_entries(const void *one, const void *two)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)two;

	return (a > b) - (a < b);
}

struct build {
	const struct policy *policy;
	struct policy_index *index;
	uint32_t *refs; /* rules, by prefix */
	uint32_t n_refs;
	struct prefix *prefixes;
	uint32_t n_prefixes;
};

static void inherit(struct policy_index *index, uint32_t id, uint32_t parent,
		    const struct prefix *prefix)
{
	struct node *node = &index->nodes[id];
	const struct node *from = parent == POLICY_NONE ? NULL : &index->nodes[parent];

	memset(node, 0, sizeof(*node));
	node->outside = POLICY_NONE;
	node->bound = node->bound_up = POLICY_NONE;
	if (!from || prefix->border)
		return;
	if (prefix->guard) {
		for (int p = 0; p < N_PROTOS; p++)
			node->roots[p][GROUP_STAY] = from->roots[p][GROUP_STAY];
		node->outside = parent;
		return;
	}
	memcpy(node->roots, from->roots, sizeof(node->roots));
	node->outside = from->outside;
	node->bound = node->bound_up = from->bound;
}

static int fill_node(struct build *build, uint32_t id, const struct prefix *prefix)
{
	struct policy_index *index = build->index;
	struct node *node = &index->nodes[id];
	int r = 0;

	index->blocks.shared = index->blocks.n;
	node->bound_from = (uint32_t)index->n_bound;
	for (uint32_t i = 0; r == 0 && i < prefix->n; i++) {
		const struct rule *rule =
			&build->policy->rules[build->refs[prefix->from + i]].rule;

		put_rule(&index->blocks, node, rule);
		if (rule_group(rule) == GROUP_BOUND)
			r = put_bound(index, rule);
	}
	node->bound_n = (uint32_t)(index->n_bound - node->bound_from);
	if (node->bound_n) {
		node->bound = id;
		qsort(index->bound + node->bound_from, node->bound_n, sizeof(uint64_t),
		      compare_entries);
	}
	return index->blocks.failed ? -ENOMEM : r;
}

static void add_segment(struct policy_index *index, const struct index_key *start,
			uint32_t node)
{
	uint32_t n = index->n_segments;

	if (n == 0 || compare_keys(&index->starts[n - 1], start) != 0)
		index->n_segments = ++n;
	index->starts[n - 1] = *start;
	index->places[n - 1] = node;
}

/* Ends the prefix @top: what follows it belongs to @parent. */
static void end_segment(struct policy_index *index, const struct prefix *top,
			uint32_t parent)
{
	struct index_key next = last_key(&top->key, top->len);

	if (next.low == UINT64_MAX && next.high == UINT64_MAX)
		return;
	if (++next.low == 0)
		next.high++;
	add_segment(index, &next, parent);
}

static bool is_inside(const struct prefix *outer, const struct prefix *inner)
{
	struct index_key last = last_key(&outer->key, outer->len);

	return compare_keys(&inner->key, &last) <= 0;
}

/* Walks the prefixes in order, outer before inner; the stack holds those around. */
static int build_nodes(struct build *build)
{
	struct policy_index *index = build->index;
	const struct prefix *prefixes = build->prefixes;
	uint32_t stack[129 + 1];
	unsigned int depth = 0;
	int r = 0;

	for (uint32_t id = 0; r == 0 && id < build->n_prefixes; id++) {
		uint32_t parent;

		while (depth && !is_inside(&prefixes[stack[depth - 1]], &prefixes[id])) {
			depth--;
			end_segment(index, &prefixes[stack[depth]], stack[depth - 1]);
		}
		parent = depth ? stack[depth - 1] : POLICY_NONE;
		add_segment(index, &prefixes[id].key, id);
		inherit(index, id, parent, &prefixes[id]);
		r = fill_node(build, id, &prefixes[id]);
		stack[depth++] = id;
	}
	while (r == 0 && depth > 1) {
		depth--;
		end_segment(index, &prefixes[stack[depth]], stack[depth - 1]);
	}
	return r;
}

static unsigned int rule_len(const struct rule *rule)
{
	return rule->family == AF_INET ? 96u + rule->prefix : rule->prefix;
}

static int compare_refs(const void *one, const void *two, void *context)
{
	const struct rule_slot *slots = context;
	const struct rule *a = &slots[*(const uint32_t *)one].rule;
	const struct rule *b = &slots[*(const uint32_t *)two].rule;
	struct index_key key_a = index_key(a->family, &a->address);
	struct index_key key_b = index_key(b->family, &b->address);
	int order = compare_keys(&key_a, &key_b);

	if (order)
		return order;
	if (rule_len(a) != rule_len(b))
		return rule_len(a) < rule_len(b) ? -1 : 1;
	return a->index < b->index ? -1 : 1;
}

static int compare_prefixes(const void *one, const void *two)
{
	const struct prefix *a = one, *b = two;
	int order = compare_keys(&a->key, &b->key);

	if (order)
		return order;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	/* The fixed ones, which come without rules, after the one that has them. */
	return (b->n > a->n) - (b->n < a->n);
}

/* There whether rules are written on them or not. */
static const struct prefix fixed_prefixes[] = {
	{ .key = { 0, 0 }, .len = 0 },
	{ .key = { 0, 1 }, .len = 128, .guard = true },
	{ .key = { 0, 0xffff00000000 }, .len = 96, .border = true },
	{ .key = { 0, 0xffff7f000000 }, .len = 104, .guard = true },
};

/* Sorts, and folds a fixed prefix into the same one with rules. */
static void merge_prefixes(struct build *build)
{
	struct prefix *p = build->prefixes;
	uint32_t n = 0;

	qsort(p, build->n_prefixes, sizeof(*p), compare_prefixes);
	for (uint32_t i = 0; i < build->n_prefixes; i++) {
		if (n && p[n - 1].len == p[i].len &&
		    compare_keys(&p[n - 1].key, &p[i].key) == 0) {
			p[n - 1].guard |= p[i].guard;
			p[n - 1].border |= p[i].border;
			continue;
		}
		p[n++] = p[i];
	}
	build->n_prefixes = n;
}

static int build_prefixes(struct build *build)
{
	const struct rule_slot *slots = build->policy->rules;

	build->prefixes =
		calloc(build->n_refs + ARRAY_SIZE(fixed_prefixes), sizeof(struct prefix));
	if (!build->prefixes)
		return -ENOMEM;
	if (build->n_refs)
		qsort_r(build->refs, build->n_refs, sizeof(uint32_t), compare_refs,
			(void *)slots);
	for (uint32_t i = 0; i < build->n_refs; i++) {
		const struct rule *rule = &slots[build->refs[i]].rule;
		struct index_key key = index_key(rule->family, &rule->address);
		struct prefix *last = &build->prefixes[build->n_prefixes - 1];

		if (build->n_prefixes && last->len == rule_len(rule) &&
		    compare_keys(&last->key, &key) == 0)
			last->n++;
		else
			build->prefixes[build->n_prefixes++] =
				(struct prefix){ key, rule_len(rule), i, 1 };
	}
	memcpy(build->prefixes + build->n_prefixes, fixed_prefixes,
	       sizeof(fixed_prefixes));
	build->n_prefixes += (uint32_t)ARRAY_SIZE(fixed_prefixes);
	merge_prefixes(build);
	return 0;
}

static int build_index(struct build *build)
{
	struct policy_index *index = build->index;
	const struct block nothing = { .here = POLICY_NONE, .below = POLICY_NONE };
	int r = build_prefixes(build);

	if (r < 0)
		return r;
	block_new(&index->blocks, &nothing);
	index->n_nodes = build->n_prefixes;
	index->nodes = calloc(build->n_prefixes, sizeof(struct node));
	index->starts = calloc(2 * (size_t)build->n_prefixes, sizeof(struct index_key));
	index->places = calloc(2 * (size_t)build->n_prefixes, sizeof(uint32_t));
	if (!index->nodes || !index->starts || !index->places || index->blocks.failed)
		return -ENOMEM;
	return build_nodes(build);
}

int index_new(const struct policy *policy, enum policy_op op,
	      struct policy_index **ret_index)
{
	struct build build = { .policy = policy };
	int r = -ENOMEM;

	build.index = calloc(1, sizeof(*build.index));
	build.refs = calloc(policy->n_rules + 1, sizeof(uint32_t));
	if (build.index && build.refs) {
		for (size_t i = 0; i < policy->n_rules; i++)
			if (policy->rules[i].rule.op == op)
				build.refs[build.n_refs++] = (uint32_t)i;
		r = build_index(&build);
	}
	free(build.refs);
	free(build.prefixes);
	if (r < 0)
		index_free(build.index);
	else
		*ret_index = build.index;
	return r;
}

struct policy_index *index_free(struct policy_index *index)
{
	if (!index)
		return NULL;
	free(index->blocks.array);
	free(index->nodes);
	free(index->starts);
	free(index->places);
	free(index->bound);
	free(index);
	return NULL;
}

uint32_t index_locate(const struct policy_index *index, const struct index_key *key)
{
	const struct index_key *base = index->starts;
	uint32_t n = index->n_segments, probes = 0;

	/* The last segment that starts at or before @key; the first starts at zero. */
	while (n > 1) {
		uint32_t half = n / 2;

		base = compare_keys(&base[half], key) <= 0 ? base + half : base;
		n -= half;
		probes++;
	}
	policy_n_probes += probes;
	return index->places[base - index->starts];
}

static unsigned int proto_number(unsigned int proto)
{
	return proto == POLICY_TCP ? 0 : proto == POLICY_UDP ? 1 : 2;
}

uint32_t index_first(const struct policy_index *index, uint32_t place, unsigned int proto,
		     unsigned int groups, uint16_t port, uint32_t best)
{
	const uint32_t *roots = index->nodes[place].roots[proto_number(proto)];

	for (unsigned int g = 0; g < GROUP_N; g++)
		if (groups & 1u << g && roots[g] != BLOCK_NONE)
			best = block_least(index->blocks.array, roots[g], port, best);
	return best;
}

uint32_t index_first_guarded(const struct policy_index *index, uint32_t place,
			     unsigned int proto, unsigned int groups, uint16_t port,
			     uint32_t best)
{
	uint32_t outside = index->nodes[place].outside;

	if (outside == POLICY_NONE)
		return best;
	return index_first(index, outside, proto, groups, port, best);
}

/* The first entry of @entries not less than @wanted. */
static const uint64_t *bound_search(const uint64_t *entries, uint32_t n, uint64_t wanted)
{
	while (n) {
		uint32_t half = n / 2;

		policy_n_probes++;
		if (entries[half] < wanted) {
			entries += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return entries;
}

static uint32_t next_bound_here(const struct policy_index *index, const struct node *node,
				unsigned int proto, uint16_t port, uint32_t after)
{
	const uint64_t *entries = index->bound + node->bound_from;
	uint32_t best = POLICY_NONE;

	for (uint32_t block = (1u << PORT_BITS) + port; block; block >>= 1) {
		uint64_t wanted = bound_entry(proto_number(proto), block, after) + 1;
		const uint64_t *found = bound_search(entries, node->bound_n, wanted);

		if (found < entries + node->bound_n && *found >> 32 == wanted >> 32 &&
		    (uint32_t)*found < best)
			best = (uint32_t)*found;
	}
	return best;
}

uint32_t index_next_bound(const struct policy_index *index, uint32_t place,
			  unsigned int proto, uint16_t port, uint32_t after)
{
	uint32_t best = POLICY_NONE;

	for (uint32_t id = index->nodes[place].bound; id != POLICY_NONE;
	     id = index->nodes[id].bound_up) {
		uint32_t next =
			next_bound_here(index, &index->nodes[id], proto, port, after);

		if (next < best)
			best = next;
	}
	return best;
}
