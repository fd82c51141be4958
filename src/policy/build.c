/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Builds the index that index.c explains: sorts the prefixes rules are written on, walks
 * them from outer to inner, and cuts the address line into segments on the way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/index.h"

/* A prefix with the rules written on it: refs[from .. from + n) of the build. */
struct prefix {
	struct index_key key;
	unsigned int len;
	uint32_t from, n;
	bool guard;  /* loopback */
	bool border; /* inherits nothing */
};

/* The last address of a prefix. */
static struct index_key last_key(const struct index_key *key, unsigned int len)
{
	uint64_t high = len >= 64 ? 0 : UINT64_MAX >> len;
	uint64_t low = len <= 64 ? UINT64_MAX : len == 128 ? 0 : UINT64_MAX >> (len - 64);

	return (struct index_key){ key->high | high, key->low | low };
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
			if (policy->rules[i].rule.op == op &&
			    policy->rules[i].rule.family != AF_UNIX)
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
