/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy file format: words, lines, and the whole text; then the checks that need
 * the whole policy, in policy_seal.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

/* Looking for a similar name reads every name; after so many errors it stops. */
#define SUGGESTIONS_MAX 20

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

int scan_word(struct scanner *scanner, struct word *ret_word, struct policy_error *error)
{
	const char *p = scanner->next;
	struct word word;

	while (p < scanner->end && is_blank(*p))
		p++;
	word = (struct word){ p, 0, (unsigned int)(p - scanner->line) + 1 };
	if (p < scanner->end && *p == '#')
		p = scanner->end;
	else if (p < scanner->end && *p == '=' && scanner->split_equals)
		word.len = 1;
	else
		while (p + word.len < scanner->end && !is_blank(p[word.len]) &&
		       p[word.len] != '#' &&
		       (p[word.len] != '=' || !scanner->split_equals))
			word.len++;
	for (size_t i = 0; i < word.len; i++) {
		struct policy_origin here;

		if ((unsigned char)p[i] > ' ' && p[i] != 0x7f)
			continue;
		here = origin_at(&scanner->at, &word);
		here.column += here.line ? (unsigned int)i : 0;
		return policy_fail(error, &here, "a control character (0x%02x)",
				   (unsigned char)p[i]);
	}
	scanner->next = p + word.len;
	*ret_word = word;
	return word.len > 0;
}

static int parse_line(struct policy *policy, struct scanner *scanner,
		      struct policy_error *error)
{
	struct policy_origin here;
	struct word word;
	int r = scan_word(scanner, &word, error);

	if (r <= 0)
		return r;
	scanner->at.column = word.column;
	if (word_is(&word, "endpoint"))
		return parse_endpoint_line(policy, scanner, error);
	if (word_is(&word, "bind"))
		return parse_rule_line(policy, scanner, POLICY_BIND, error);
	if (word_is(&word, "connect"))
		return parse_rule_line(policy, scanner, POLICY_CONNECT, error);
	here = origin_at(&scanner->at, &word);
	return policy_fail(error, &here,
			   "'%.*s' begins no line; expected endpoint, bind or connect",
			   WORD(&word));
}

int parse_one_line(struct policy *policy, const struct policy_origin *at,
		   const char *line, size_t len, struct policy_error *error)
{
	struct scanner scanner = { *at, line, line, line + len, false };

	return parse_line(policy, &scanner, error);
}

struct reporter {
	policy_on_error *on_error;
	void *context;
	int n_errors;
};

/* Keeps going after -EINVAL when there is somebody to tell. */
static int report(struct reporter *reporter, int r, const struct policy_error *error)
{
	if (r != -EINVAL || !reporter)
		return r;
	reporter->n_errors++;
	reporter->on_error(reporter->context, error);
	return 0;
}

static int parse_text(struct policy *policy, const char *source, const char *text,
		      size_t size, struct reporter *reporter, struct policy_error *error)
{
	struct scanner scanner = { .at = { .line = 1 } };
	const char *end = text + size;
	int r = 0;

	scanner.at.source = policy_keep_source(policy, source);
	if (!scanner.at.source)
		return -ENOMEM;
	while (r == 0 && text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));

		scanner.line = scanner.next = text;
		scanner.end = newline ? newline : end;
		scanner.split_equals = false;
		r = report(reporter, parse_line(policy, &scanner, error), error);
		text = scanner.end + 1;
		scanner.at.line++;
	}
	return r;
}

int policy_add_text(struct policy *policy, const char *source, const char *text,
		    size_t size, struct policy_error *error)
{
	struct policy_mark mark = policy_mark(policy);
	int r = parse_text(policy, source, text, size, NULL, error);

	if (r < 0)
		policy_rollback(policy, &mark);
	if (r == -ENOMEM)
		policy_fail(error, NULL, "out of memory");
	return r;
}

int policy_check_text(struct policy *policy, const char *source, const char *text,
		      size_t size, policy_on_error *on_error, void *context)
{
	struct reporter reporter = { on_error, context, 0 };
	struct policy_error error = { "" };
	int r = parse_text(policy, source, text, size, &reporter, &error);

	return r < 0 ? r : reporter.n_errors;
}

/* Edits needed to turn @a into @b, at most @max + 1. */
static unsigned int distance(const char *a, const char *b, unsigned int max)
{
	unsigned int row[POLICY_NAME_MAX + 2];
	size_t n_a = strlen(a), n_b = strlen(b);

	if (n_a > n_b + max || n_b > n_a + max)
		return max + 1;
	for (size_t j = 0; j <= n_b; j++)
		row[j] = (unsigned int)j;
	for (size_t i = 1; i <= n_a; i++) {
		unsigned int diagonal = row[0];

		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= n_b; j++) {
			unsigned int best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n_b];
}

static const char *similar_name(const struct policy *policy, const char *name)
{
	unsigned int best = strlen(name) < 3 ? 1 : 2;
	const char *found = NULL;

	/* Swapped letters count as two edits. */
	for (size_t i = 0; i < policy->n_endpoints && best; i++) {
		unsigned int d = distance(policy->endpoints[i].name, name, best);

		if (d < best || (d == best && !found)) {
			best = d;
			found = policy->endpoints[i].name;
		}
	}
	return found;
}

static int resolve_name(const struct policy *policy, struct rule_slot *slot, bool suggest,
			struct policy_error *error)
{
	struct rule *rule = &slot->rule;
	struct policy_origin here = rule->origin;
	const char *similar;

	if (!rule->endpoint_name)
		return 0;
	rule->endpoint = policy_find_endpoint(policy, rule->endpoint_name);
	if (rule->endpoint)
		return check_rule(slot, error);
	if (!error)
		return -EINVAL;
	if (here.line)
		here.column = slot->target_column;
	similar = suggest ? similar_name(policy, rule->endpoint_name) : NULL;
	if (similar)
		return policy_fail(error, &here,
				   "endpoint '%s' is not defined; did you mean '%s'?",
				   rule->endpoint_name, similar);
	return policy_fail(error, &here, "endpoint '%s' is not defined",
			   rule->endpoint_name);
}

/* Egress rules last; among them the longest prefix first, then tcp or udp before any,
 * then as given. */
static int compare_slots(const void *one, const void *two)
{
	const struct rule_slot *a = one, *b = two;
	bool a_any = a->rule.proto == POLICY_ANY, b_any = b->rule.proto == POLICY_ANY;

	if (a->egress != b->egress)
		return a->egress ? 1 : -1;
	if (a->egress && a->rule.prefix != b->rule.prefix)
		return a->rule.prefix > b->rule.prefix ? -1 : 1;
	if (a->egress && a_any != b_any)
		return a_any ? 1 : -1;
	return a->rule.index < b->rule.index ? -1 : 1;
}

static int seal(struct policy *policy, struct reporter *reporter,
		struct policy_error *error)
{
	struct policy_index *bind = NULL, *connect = NULL;
	int r;

	if (policy->sealed)
		return policy_fail(error, NULL, "the policy is sealed already");
	for (size_t i = 0; i < policy->n_rules; i++) {
		bool suggest = !reporter || reporter->n_errors < SUGGESTIONS_MAX;

		r = resolve_name(policy, &policy->rules[i], suggest, error);
		r = report(reporter, r, error);
		if (r < 0)
			return r;
	}
	if (reporter && reporter->n_errors)
		return 0;
	/* Rules move here and nothing can be added any more, so the table of egress
	 * prefixes, which holds their places, has done its work. */
	if (policy->egress.n)
		qsort(policy->rules, policy->n_rules, sizeof(*policy->rules),
		      compare_slots);
	for (size_t i = 0; i < policy->n_rules; i++)
		policy->rules[i].rule.index = (uint32_t)i;
	policy->outcomes = outcomes_new(policy);
	if (!policy->outcomes)
		return -ENOMEM;
	r = index_new(policy, POLICY_BIND, &bind);
	if (r == 0)
		r = index_new(policy, POLICY_CONNECT, &connect);
	if (r < 0) {
		index_free(bind);
		free(policy->outcomes);
		policy->outcomes = NULL;
		return r;
	}
	policy->index[POLICY_BIND] = bind;
	policy->index[POLICY_CONNECT] = connect;
	policy->sealed = true;
	return 0;
}

int policy_seal(struct policy *policy, struct policy_error *error)
{
	int r = seal(policy, NULL, error);

	if (r == -ENOMEM)
		policy_fail(error, NULL, "out of memory");
	return r;
}

int policy_check_seal(struct policy *policy, policy_on_error *on_error, void *context)
{
	struct reporter reporter = { on_error, context, 0 };
	struct policy_error error = { "" };
	int r = seal(policy, &reporter, &error);

	return r < 0 ? r : reporter.n_errors;
}
