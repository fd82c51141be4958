/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a policy: storage, names, taking back a failed addition, and sealing.
 *
 * Endpoints and rules lie in two arrays that move as they grow; nothing points into them
 * before policy_seal, nothing moves after it. A policy owns every string in them, and the
 * source names that origins point to.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

struct policy *policy_new(void)
{
	return calloc(1, sizeof(struct policy));
}

static void slot_deinit(struct rule_slot *slot)
{
	free(slot->rule.endpoint_name);
	free(slot->rule.path);
}

struct policy *policy_free(struct policy *policy)
{
	if (!policy)
		return NULL;
	policy_rollback(policy, &(struct policy_mark){ 0 });
	for (size_t i = 0; i < policy->n_sources; i++)
		free(policy->sources[i]);
	for (size_t i = 0; i < ARRAY_SIZE(policy->index); i++)
		index_free(policy->index[i]);
	path_index_free(policy->paths);
	chains_deinit(&policy->names);
	chains_deinit(&policy->egress);
	free(policy->egress_rules);
	free(policy->outcomes);
	free(policy->sources);
	free(policy->endpoints);
	free(policy->rules);
	free(policy);
	return NULL;
}

void policy_freep(struct policy **policy)
{
	policy_free(*policy);
}

void policy_allow_named(struct policy *policy)
{
	policy->allows_named = true;
}

void policy_allow_paths(struct policy *policy)
{
	policy->allows_paths = true;
}

struct policy_mark policy_mark(const struct policy *policy)
{
	struct policy_mark mark = { policy->n_endpoints, policy->n_rules,
				    policy->egress.n };

	memcpy(mark.settings, policy->settings, sizeof(mark.settings));
	return mark;
}

void policy_rollback(struct policy *policy, const struct policy_mark *mark)
{
	while (policy->n_endpoints > mark->n_endpoints)
		endpoint_release(&policy->endpoints[--policy->n_endpoints]);
	while (policy->n_rules > mark->n_rules)
		slot_deinit(&policy->rules[--policy->n_rules]);
	chains_cut(&policy->names, (uint32_t)mark->n_endpoints);
	chains_cut(&policy->egress, mark->n_egress);
	memcpy(policy->settings, mark->settings, sizeof(mark->settings));
}

/* The table of egress prefixes holds places of rules, and has done its work. */
void policy_drop_rules(struct policy *policy)
{
	size_t n = 0;

	chains_cut(&policy->egress, 0);
	for (size_t i = 0; i < policy->n_rules; i++) {
		if (policy->rules[i].dropped)
			slot_deinit(&policy->rules[i]);
		else
			policy->rules[n++] = policy->rules[i];
	}
	policy->n_rules = n;
}

int policy_room(void **array, size_t *room, size_t n, size_t item)
{
	size_t more = *room ? *room * 2 : 16;
	void *moved;

	if (n < *room)
		return 0;
	moved = reallocarray(*array, more, item);
	if (!moved)
		return -ENOMEM;
	*array = moved;
	*room = more;
	return 0;
}

const char *policy_keep_source(struct policy *policy, const char *source)
{
	char *copy;

	if (policy_room((void **)&policy->sources, &policy->sources_room,
			policy->n_sources, sizeof(char *)) < 0)
		return NULL;
	copy = strdup(source);
	if (copy)
		policy->sources[policy->n_sources++] = copy;
	return copy;
}

int policy_fail(struct policy_error *error, const struct policy_origin *at,
		const char *format, ...)
{
	struct out out;
	char sentence[sizeof(error->text)];
	va_list args;

	if (!error)
		return -EINVAL;
	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	out = (struct out){ error->text, sizeof(error->text), 0, 0 };
	if (at && at->line)
		out_printf(&out, "%.120s:%u:%u: ", at->source, at->line, at->column);
	else if (at && at->source)
		out_printf(&out, "%.120s: ", at->source);
	out_printf(&out, "%s", sentence);
	for (char *c = error->text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return -EINVAL;
}

struct policy_origin origin_at(const struct policy_origin *at, const struct word *word)
{
	struct policy_origin here = *at;

	if (at->line)
		here.column = word->column;
	return here;
}

int fail_sealed(struct policy_error *error)
{
	return policy_fail(error, NULL, "the policy is sealed and takes nothing more");
}

int policy_take_endpoint(struct policy *policy, struct endpoint *endpoint,
			 struct policy_error *error)
{
	const struct endpoint *first = policy_find_endpoint(policy, endpoint->name);
	char where[160];
	int r;

	if (policy->sealed)
		return fail_sealed(error);
	if (first) {
		policy_print_origin(&first->origin, where, sizeof(where));
		return policy_fail(error, &endpoint->origin,
				   "endpoint '%s' is already defined at %s", first->name,
				   where);
	}
	if (policy->n_endpoints >= POLICY_ENDPOINTS_MAX) {
		policy_fail(error, &endpoint->origin, "more than %d endpoints",
			    POLICY_ENDPOINTS_MAX);
		return -E2BIG;
	}
	r = policy_room((void **)&policy->endpoints, &policy->endpoints_room,
			policy->n_endpoints, sizeof(*endpoint));
	if (r == 0)
		r = chains_add(&policy->names,
			       hash_bytes(endpoint->name, strlen(endpoint->name), 0));
	if (r < 0)
		return r;
	endpoint->index = (uint32_t)policy->n_endpoints;
	policy->endpoints[policy->n_endpoints++] = *endpoint;
	return 0;
}

static uint32_t egress_hash(const struct rule *rule)
{
	uint32_t seed = rule->proto << 16 | (rule->family == AF_INET) << 8 | rule->prefix;

	return hash_bytes(&rule->address, sizeof(rule->address), seed);
}

static const struct rule *find_egress(const struct policy *policy,
				      const struct rule *rule)
{
	uint32_t id = chains_first(&policy->egress, egress_hash(rule));

	for (; id != POLICY_NONE; id = chains_next(&policy->egress, id)) {
		const struct rule *other = &policy->rules[policy->egress_rules[id]].rule;

		if (other->proto == rule->proto && other->family == rule->family &&
		    other->prefix == rule->prefix &&
		    !memcmp(&other->address, &rule->address, sizeof(rule->address)))
			return other;
	}
	return NULL;
}

static int take_egress(struct policy *policy, const struct rule *rule,
		       struct policy_error *error)
{
	const struct rule *first = find_egress(policy, rule);
	char where[160];
	int r;

	if (first) {
		policy_print_origin(&first->origin, where, sizeof(where));
		return policy_fail(error, &rule->origin,
				   "the same prefix and protocol are already in %s",
				   where);
	}
	r = policy_room((void **)&policy->egress_rules, &policy->egress_room,
			policy->egress.n, sizeof(uint32_t));
	if (r < 0)
		return r;
	policy->egress_rules[policy->egress.n] = (uint32_t)policy->n_rules;
	return chains_add(&policy->egress, egress_hash(rule));
}

int policy_take_rule(struct policy *policy, struct rule_slot *slot,
		     struct policy_error *error)
{
	int r;

	if (policy->sealed)
		return fail_sealed(error);
	if (policy->n_rules >= POLICY_RULES_MAX) {
		policy_fail(error, &slot->rule.origin, "more than %d rules",
			    POLICY_RULES_MAX);
		return -E2BIG;
	}
	r = policy_room((void **)&policy->rules, &policy->rules_room, policy->n_rules,
			sizeof(*slot));
	if (r == 0 && slot->rank == RANK_EGRESS)
		r = take_egress(policy, &slot->rule, error);
	if (r < 0)
		return r;
	policy->has_ranks |= slot->rank != RANK_GIVEN;
	slot->rule.index = (uint32_t)policy->n_rules;
	policy->rules[policy->n_rules++] = *slot;
	return 0;
}

size_t policy_n_rules(const struct policy *policy)
{
	return policy->n_rules;
}

size_t policy_n_endpoints(const struct policy *policy)
{
	return policy->n_endpoints;
}

const struct rule *policy_rule(const struct policy *policy, size_t index)
{
	return index < policy->n_rules ? &policy->rules[index].rule : NULL;
}

const struct endpoint *policy_endpoint(const struct policy *policy, size_t index)
{
	return index < policy->n_endpoints ? &policy->endpoints[index] : NULL;
}

const struct endpoint *policy_find_endpoint(const struct policy *policy, const char *name)
{
	uint32_t id = chains_first(&policy->names, hash_bytes(name, strlen(name), 0));

	for (; id != POLICY_NONE; id = chains_next(&policy->names, id))
		if (!strcmp(policy->endpoints[id].name, name))
			return &policy->endpoints[id];
	return NULL;
}
