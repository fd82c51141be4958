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
#include <stdlib.h>
#include <string.h>

#include "policy/index.h"

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
	case ENDPOINT_NAMED:
		return GROUP_HOST;
	case ENDPOINT_UNIX:
	case ENDPOINT_ANY: /* in no policy */
		break;
	}
	return GROUP_UNIX;
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
