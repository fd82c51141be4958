/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The short notations ingress (-i) and egress (-e): each becomes rules that the file
 * format could have said as well. Publish (-p) is in publish.c, and what stands in
 * variables in environment.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

struct word word_of(const char *text)
{
	return (struct word){ text, strlen(text), 0 };
}

int no_memory(int r, struct policy_error *error)
{
	if (r == -ENOMEM)
		policy_fail(error, NULL, "out of memory");
	return r;
}

bool split_first(const struct word *word, char c, struct word *before, struct word *after)
{
	const char *at = memchr(word->text, c, word->len);
	struct word whole = *word;
	size_t len;

	if (!at)
		return false;
	len = (size_t)(at - whole.text);
	*before = word_from(&whole, 0, len);
	*after = word_from(&whole, len + 1, whole.len - len - 1);
	return true;
}

bool split_last(const struct word *word, char c, struct word *before, struct word *after)
{
	const char *at = memrchr(word->text, c, word->len);
	struct word whole = *word;
	size_t len;

	if (!at)
		return false;
	len = (size_t)(at - whole.text);
	*before = word_from(&whole, 0, len);
	*after = word_from(&whole, len + 1, whole.len - len - 1);
	return true;
}

int keep_origin(struct policy *policy, const char *flag, const struct word *text,
		struct policy_origin *ret_at)
{
	_cleanup_free_ char *source = NULL;

	if (asprintf(&source, "%s %.*s", flag, (int)text->len, text->text) < 0)
		return -ENOMEM;
	*ret_at = (struct policy_origin){ policy_keep_source(policy, source), 0, 0 };
	return ret_at->source ? 0 : -ENOMEM;
}

int add_slot(struct policy *policy, struct rule_slot *slot, struct policy_error *error)
{
	int r = check_rule(slot, error);

	if (r == 0)
		r = policy_take_rule(policy, slot, error);
	if (r < 0)
		free(slot->rule.endpoint_name);
	return r;
}

/* ADDR:PORT[-PORT], unbracketed IPv6 too: the last ':' splits. */
static int parse_loose_selector(const struct word *word, const struct policy_origin *at,
				struct rule *rule, struct policy_error *error)
{
	struct word address, ports;
	int r;

	if (!split_last(word, ':', &address, &ports))
		return policy_fail(error, at, "'%.*s' has no port; expected ADDR:PORT",
				   WORD(word));
	address = strip_brackets(&address);
	r = parse_address(&address, at, &rule->family, &rule->address, error);
	if (r < 0)
		return r;
	rule->prefix = rule->family == AF_INET ? 32 : 128;
	r = check_prefix(&address, at, rule, error);
	if (r < 0)
		return r;
	return parse_ports(&ports, at, &rule->port_low, &rule->port_high, error);
}

int parse_pair(const struct word *word, const struct policy_origin *at,
	       struct rule_slot *slot, struct policy_error *error)
{
	struct word selector, target;
	int r;

	slot->rule.origin = *at;
	slot->rule.proto = POLICY_ANY;
	if (!split_first(word, '=', &selector, &target))
		return policy_fail(error, at,
				   "'=' is missing; expected ADDR:PORT=TARGET");
	r = parse_loose_selector(&selector, at, &slot->rule, error);
	if (r < 0)
		return r;
	return parse_target(slot, &target, false, at, error);
}

int add_ingress(struct policy *policy, const char *flag, const struct word *word,
		struct policy_error *error)
{
	struct rule_slot slot = { .rule.op = POLICY_BIND };
	struct policy_origin at;
	int r;

	r = keep_origin(policy, flag, word, &at);
	if (r == 0)
		r = parse_pair(word, &at, &slot, error);
	return r == 0 ? add_slot(policy, &slot, error) : r;
}

int policy_add_ingress(struct policy *policy, const char *text,
		       struct policy_error *error)
{
	struct word word = word_of(text);

	return no_memory(add_ingress(policy, "-i", &word, error), error);
}

/* PREFIX[/LEN], unbracketed IPv6 too. */
static int parse_loose_prefix(const struct word *word, const struct policy_origin *at,
			      struct rule *rule, struct policy_error *error)
{
	struct word address = strip_brackets(word), length = { 0 };
	int r;

	split_first(&address, '/', &address, &length);
	address = strip_brackets(&address);
	r = parse_address(&address, at, &rule->family, &rule->address, error);
	if (r < 0)
		return r;
	rule->prefix = rule->family == AF_INET ? 32 : 128;
	rule->port_high = 65535;
	if (length.text)
		r = parse_length(&length, at, rule->family, &rule->prefix, error);
	if (r < 0)
		return r;
	if (is_any_address(rule->family, &rule->address) &&
	    rule->prefix == (rule->family == AF_INET ? 32 : 128))
		return policy_fail(error, at,
				   "a wildcard address needs a length; write "
				   "%s for every destination",
				   rule->family == AF_INET ? "0.0.0.0/0" : "::/0");
	return check_prefix(&address, at, rule, error);
}

static unsigned int take_proto_prefix(struct word *word)
{
	static const struct {
		const char *prefix;
		unsigned int proto;
	} prefixes[] = {
		{ "tcp:", POLICY_TCP },
		{ "udp:", POLICY_UDP },
		{ "any:", POLICY_ANY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (word->len < 4 || memcmp(word->text, prefixes[i].prefix, 4) != 0)
			continue;
		*word = word_from(word, 4, word->len - 4);
		return prefixes[i].proto;
	}
	return POLICY_ANY;
}

static int parse_egress(const struct word *word, const struct policy_origin *at,
			struct rule_slot *slot, struct policy_error *error)
{
	struct word rest = *word, prefix, target;
	int r;

	slot->rule.origin = *at;
	slot->rule.proto = take_proto_prefix(&rest);
	if (!split_first(&rest, '=', &prefix, &target))
		return policy_fail(error, at,
				   "'=' is missing; expected PREFIX/LEN=TARGET");
	r = parse_loose_prefix(&prefix, at, &slot->rule, error);
	if (r == 0)
		r = parse_target(slot, &target, false, at, error);
	if (r == 0 && slot->rule.target == POLICY_ENDPOINT)
		slot->rule.target = POLICY_FROM;
	return r;
}

int add_egress(struct policy *policy, const char *flag, const struct word *word,
	       struct policy_error *error)
{
	struct rule_slot slot = { .rule.op = POLICY_CONNECT, .rank = RANK_EGRESS };
	struct policy_origin at;
	int r;

	r = keep_origin(policy, flag, word, &at);
	if (r == 0)
		r = parse_egress(word, &at, &slot, error);
	return r == 0 ? add_slot(policy, &slot, error) : r;
}

int policy_add_egress(struct policy *policy, const char *text, struct policy_error *error)
{
	struct word word = word_of(text);

	return no_memory(add_egress(policy, "-e", &word, error), error);
}
