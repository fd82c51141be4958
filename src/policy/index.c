/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the first rule that matches, without looking at the others.
 *
 * Theory of operation. One index per operation. A rule is a rectangle: a prefix of
 * addresses by an interval of ports; the question is for the least rule number among
 * the rectangles over one point.
 *
 * Addresses. Prefixes either nest or are apart, so they form a tree of nodes. IPv4
 * prefixes stand in it as IPv4-mapped ones, below a node that inherits nothing from
 * the IPv6 prefixes around it. Cut at every prefix's ends, the address line falls into
 * at most 2n + 1 segments, and each belongs to exactly one node: its innermost prefix.
 * A binary search over the segments finds it.
 *
 * Ports. Each node has, by protocol and group, a port tree (ports.h) of the rules on
 * its own prefix and on all those around it. It starts as its parent's tree and copies
 * only what it changes: a rule costs the memory of its own paths however many prefixes
 * lie within its own, and no question has to climb the tree of prefixes.
 *
 * Groups. Whether a rule is passed over follows from the socket and the rule's group
 * (enum rule_group). One tree has the rules of all groups but GROUP_BOUND, and its
 * answer nearly always serves; if not, each group has a tree of its own, and those that
 * cannot serve are not asked. The loopback guard lies in the tree of prefixes: the nodes
 * 127.0.0.0/8 and ::1 inherit GROUP_STAY alone, and remember whom they did not inherit
 * from.
 *
 * Bound. Rules on `bound` endpoints are asked for one after the other, because only the
 * caller knows the answer. Each node lists its own by (protocol, block of ports,
 * number); the next one after a given number takes 17 binary searches in each node with
 * such rules around the address. What that costs grows with the number of such rules in
 * front of the deciding one that match address and port, and with no others.
 *
 * Bounds, n rules: a question takes log2(2n + 1) steps and 17 for each tree asked.
 * Memory for a rule: twice 20 bytes x at most 60 blocks (for one port: as many as there
 * are branches on its way, at most 17), three times that if it is an `any` rule among
 * rules for one protocol; about 150 bytes per distinct prefix.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
		return (struct index_key){ 0, FIRST4 | (uint64_t)b[0] << 24 |
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

static void put_group(struct port_blocks *blocks, struct roots *roots, unsigned int group,
		      const struct rule *rule)
{
	uint32_t *tree[N_PROTOS] = { &roots->of[0][group], &roots->of[1][group],
				     &roots->of[2][group] };
	bool same = *tree[0] == *tree[1] && *tree[1] == *tree[2];

	if (same && rule->proto == POLICY_ANY) {
		ports_put(blocks, tree[0], rule->port_low, rule->port_high, rule->index);
		*tree[1] = *tree[2] = *tree[0];
		return;
	}
	for (int i = 0; i < N_PROTOS; i++) {
		if (!(rule->proto & 1u << i))
			continue;
		/* Whatever one protocol's tree has in common with another's stays. */
		if (*tree[i] == *tree[(i + 1) % 3] || *tree[i] == *tree[(i + 2) % 3])
			ports_share(blocks);
		ports_put(blocks, tree[i], rule->port_low, rule->port_high, rule->index);
	}
}

static void put_rule(struct port_blocks *blocks, struct roots *roots,
		     const struct rule *rule)
{
	enum rule_group group = rule_group(rule);

	put_group(blocks, roots, group, rule);
	if (group != GROUP_BOUND)
		put_group(blocks, roots, GROUP_ALL, rule);
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

static int put_bound(struct policy_index *index, const struct rule *rule)
{
	uint32_t parts[PORTS_PARTS_MAX];
	unsigned int n = ports_split(rule->port_low, rule->port_high, parts);
	int r = 0;

	for (unsigned int p = 0; p < N_PROTOS; p++)
		for (unsigned int i = 0; r == 0 && rule->proto & 1u << p && i < n; i++)
			r = add_bound(index, bound_entry(p, parts[i], rule->index));
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

	memset(&index->roots[id], 0, sizeof(index->roots[id]));
	node->outside = POLICY_NONE;
	node->bound = node->bound_up = POLICY_NONE;
	if (!from || prefix->border)
		return;
	if (prefix->guard) {
		for (int p = 0; p < N_PROTOS; p++)
			index->roots[id].of[p][GROUP_ALL] =
				index->roots[id].of[p][GROUP_STAY] =
					index->roots[parent].of[p][GROUP_STAY];
		node->outside = parent;
		return;
	}
	index->roots[id] = index->roots[parent];
	node->outside = from->outside;
	node->bound = node->bound_up = from->bound;
}

static int fill_node(struct build *build, uint32_t id, const struct prefix *prefix)
{
	struct policy_index *index = build->index;
	struct node *node = &index->nodes[id];
	int r = 0;

	ports_share(&index->blocks);
	node->bound_from = (uint32_t)index->n_bound;
	for (uint32_t i = 0; r == 0 && i < prefix->n; i++) {
		const struct rule *rule =
			&build->policy->rules[build->refs[prefix->from + i]].rule;

		put_rule(&index->blocks, &index->roots[id], rule);
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

	if (n == 0 || index->starts[n - 1] != start->high ||
	    index->starts_low[n - 1] != start->low)
		index->n_segments = ++n;
	index->starts[n - 1] = start->high;
	index->starts_low[n - 1] = start->low;
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

static void build_samples(struct policy_index *index)
{
	for (uint32_t i = 0; i < index->n_segments4; i += SAMPLE4)
		index->samples4[i / SAMPLE4] = index->segments4[i].start;
	for (uint32_t i = 0; i < index->n_segments; i += SAMPLE6)
		index->samples6[i / SAMPLE6] =
			(struct index_key){ index->starts[i], index->starts_low[i] };
}

/* The segments of ::ffff:0:0/96, where a node always starts, by their last 32 bits. */
static void build_segments4(struct policy_index *index)
{
	uint32_t i = 0;

	while (index->starts[i] != 0 || index->starts_low[i] != FIRST4)
		i++;
	for (; i < index->n_segments && index->starts[i] == 0 &&
	       index->starts_low[i] >> 32 == FIRST4 >> 32;
	     i++)
		index->segments4[index->n_segments4++] =
			(struct segment4){ (uint32_t)index->starts_low[i],
					   index->places[i] };
}

static int build_index(struct build *build)
{
	struct policy_index *index = build->index;
	size_t n_segments;
	int r = build_prefixes(build);

	if (r < 0)
		return r;
	n_segments = 2 * (size_t)build->n_prefixes;
	index->n_nodes = build->n_prefixes;
	index->roots = aligned_alloc(sizeof(struct roots) / N_PROTOS,
				     build->n_prefixes * sizeof(struct roots));
	index->nodes = calloc(build->n_prefixes, sizeof(struct node));
	index->starts = calloc(n_segments, sizeof(uint64_t));
	index->starts_low = calloc(n_segments, sizeof(uint64_t));
	index->segments4 = aligned_alloc(SAMPLE4 * sizeof(struct segment4),
					 (n_segments + SAMPLE4) / SAMPLE4 * SAMPLE4 *
						 sizeof(struct segment4));
	index->samples4 = calloc(n_segments / SAMPLE4 + 1, sizeof(uint32_t));
	index->samples6 = calloc(n_segments / SAMPLE6 + 1, sizeof(struct index_key));
	index->places = calloc(n_segments, sizeof(uint32_t));
	if (!index->roots || !index->nodes || !index->starts || !index->starts_low ||
	    !index->segments4 || !index->samples4 || !index->samples6 || !index->places)
		return -ENOMEM;
	r = build_nodes(build);
	if (r == 0)
		build_segments4(index);
	if (r == 0)
		build_samples(index);
	return r;
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
	ports_deinit(&index->blocks);
	free(index->roots);
	free(index->nodes);
	free(index->starts);
	free(index->starts_low);
	free(index->segments4);
	free(index->samples4);
	free(index->samples6);
	free(index->places);
	free(index->bound);
	free(index);
	return NULL;
}

/* The last of @n ascending starts that is not above what is wanted; the first is taken
 * not to be. */
#define SEARCH(n, is_above)                                       \
	__extension__({                                           \
		uint32_t at_ = 0, n_ = (n);                       \
		while (n_ > 1) {                                  \
			uint32_t half_ = n_ / 2, i = at_ + half_; \
			at_ = (is_above) ? at_ : i;               \
			n_ -= half_;                              \
			policy_n_probes++;                        \
		}                                                 \
		at_;                                              \
	})

static uint32_t n_samples(uint32_t n, uint32_t every)
{
	return (n + every - 1) / every;
}

static uint32_t n_sampled(uint32_t n, uint32_t from, uint32_t every)
{
	return n - from < every ? n - from : every;
}

static uint32_t search4(const struct policy_index *index, uint32_t wanted)
{
	uint32_t n = index->n_segments4;
	uint32_t from =
		SAMPLE4 * SEARCH(n_samples(n, SAMPLE4), index->samples4[i] > wanted);
	const struct segment4 *few = index->segments4 + from;

	return few[SEARCH(n_sampled(n, from, SAMPLE4), few[i].start > wanted)].place;
}

static uint32_t search6(const struct policy_index *index, const struct index_key *key)
{
	uint32_t n = index->n_segments;
	uint32_t from = SAMPLE6 * SEARCH(n_samples(n, SAMPLE6),
					 compare_keys(&index->samples6[i], key) > 0);
	const uint64_t *high = index->starts + from, *low = index->starts_low + from;

	return index->places[from + SEARCH(n_sampled(n, from, SAMPLE6),
					   high[i] > key->high || (high[i] == key->high &&
								   low[i] > key->low))];
}

uint32_t index_locate(const struct policy_index *index, const struct index_key *key)
{
	if (key->high == 0 && key->low >> 32 == FIRST4 >> 32)
		return search4(index, (uint32_t)key->low);
	return search6(index, key);
}

static unsigned int proto_number(unsigned int proto)
{
	return proto == POLICY_TCP ? 0 : proto == POLICY_UDP ? 1 : 2;
}

uint32_t index_first(const struct policy_index *index, uint32_t place, unsigned int proto,
		     unsigned int groups, uint16_t port, uint32_t best)
{
	const uint32_t *roots = index->roots[place].of[proto_number(proto)];

	for (unsigned int g = 0; g < GROUP_N; g++)
		if (groups & 1u << g && roots[g] != PORTS_NONE)
			best = ports_least(&index->blocks, roots[g], port, best);
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
