/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules on the paths of UNIX sockets.
 *
 * Theory of operation. A rule names one path, or all those that begin with something. In
 * the order of struct path_key, byte by byte and then by length, which tells "\0a" from
 * "\0a\0", what either matches is a stretch without gaps, and two such stretches nest or
 * are apart. So they are done with as prefixes of addresses are (index.c): cut at every
 * beginning and end, the line of all paths falls into at most 2n + 1 segments, and in
 * each the first rule of those that are around it is known beforehand. A question is one
 * binary search.
 *
 * A path that begins with a byte of zero is a name of the abstract namespace, in which
 * further zeroes count; any other ends at the first one. Rules have '@' for the former.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "policy/internal.h"

#define PATH_SIZE  (sizeof(((struct sockaddr_un *)NULL)->sun_path))
#define NESTED_MAX (PATH_SIZE + 2)

_Static_assert(PATH_SIZE == 4 * (PATH_WORDS - 1), "a path");

int parse_path(const struct word *word, const struct policy_origin *at, struct rule *rule,
	       struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	size_t len = word->len;
	const char *star = memchr(word->text, '*', len);

	if (!len || word_is(word, "="))
		return policy_fail(error, &here,
				   "the path is missing; expected /PATH, @NAME or the "
				   "beginning of one and '*'");
	if (star && star != word->text + len - 1)
		return policy_fail(error, &here,
				   "'%.*s': '*' stands at the end of a path alone",
				   WORD(word));
	rule->is_beginning = star;
	len -= rule->is_beginning;
	if (len >= PATH_SIZE)
		return policy_fail(error, &here,
				   "the path is longer than the %zu bytes a UNIX socket "
				   "takes",
				   PATH_SIZE - 1);
	if ((len && word->text[0] != '/' && word->text[0] != '@') ||
	    (len < 2 && !rule->is_beginning))
		return policy_fail(error, &here,
				   "'%.*s' is not an absolute path (nor an abstract "
				   "@NAME)",
				   WORD(word));
	rule->path = strndup(word->text, len);
	return rule->path ? 0 : -ENOMEM;
}

static struct path_key key_of(const char *bytes, size_t size)
{
	struct path_key key = { { 0 } };

	for (size_t i = 0; i < size; i++)
		key.word[i / 4] |= (uint32_t)(unsigned char)bytes[i] << (24 - i % 4 * 8);
	key.word[PATH_WORDS - 1] = (uint32_t)size;
	return key;
}

struct path_key path_key(const struct sockaddr_storage *address, socklen_t len)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)address;
	size_t before = offsetof(struct sockaddr_un, sun_path);
	size_t size = len > before ? len - before : 0;

	if (size > PATH_SIZE)
		size = PATH_SIZE;
	if (size && un->sun_path[0])
		size = strnlen(un->sun_path, size);
	return key_of(un->sun_path, size);
}

static struct path_key rule_start(const struct rule *rule)
{
	char bytes[PATH_SIZE];
	size_t size = strlen(rule->path);

	memcpy(bytes, rule->path, size);
	if (size && bytes[0] == '@')
		bytes[0] = '\0';
	return key_of(bytes, size);
}

/* What follows all that @rule matches. Return: false: nothing does. */
static bool rule_end(const struct rule *rule, struct path_key *ret)
{
	struct path_key start = rule_start(rule);
	uint32_t size = start.word[PATH_WORDS - 1];

	if (!rule->is_beginning) {
		start.word[PATH_WORDS - 1]++;
		*ret = start;
		return true;
	}
	start.word[PATH_WORDS - 1] = 0;
	while (size--) {
		uint32_t shift = 24 - size % 4 * 8, *word = &start.word[size / 4];

		if ((*word >> shift & 0xff) != 0xff) {
			*word += 1u << shift;
			*ret = start;
			return true;
		}
		*word &= ~(0xffu << shift);
	}
	return false;
}

static int compare_keys(const struct path_key *a, const struct path_key *b)
{
	for (int i = 0; i < PATH_WORDS; i++)
		if (a->word[i] != b->word[i])
			return a->word[i] < b->word[i] ? -1 : 1;
	return 0;
}

/* By where they start, the outer before the inner, the same as given. */
static int compare_rules(const void *one, const void *two, void *context)
{
	const struct rule_slot *slots = context;
	const struct rule *a = &slots[*(const uint32_t *)one].rule;
	const struct rule *b = &slots[*(const uint32_t *)two].rule;
	struct path_key start_a = rule_start(a), start_b = rule_start(b);
	int order = compare_keys(&start_a, &start_b);

	if (order)
		return order;
	if (a->is_beginning != b->is_beginning)
		return a->is_beginning ? -1 : 1;
	return a->index < b->index ? -1 : 1;
}

static void add_segment(struct path_index *index, const struct path_key *start,
			uint32_t rule)
{
	uint32_t n = index->n;

	if (n == 0 || compare_keys(&index->starts[n - 1], start) != 0)
		index->n = ++n;
	index->starts[n - 1] = *start;
	index->rules[n - 1] = rule;
}

/* What is around the place that has been come to; the outermost first. */
struct around {
	struct path_key end;
	bool has_end;
	uint32_t first; /* rule of it and those around it */
};

static void cut(struct path_index *index, const struct rule_slot *slots,
		const uint32_t *refs, uint32_t n)
{
	struct around stack[NESTED_MAX] = { { .first = POLICY_NONE } };
	unsigned int depth = 1;

	add_segment(index, &(struct path_key){ { 0 } }, POLICY_NONE);
	for (uint32_t i = 0; i < n; i++) {
		const struct rule *rule = &slots[refs[i]].rule, *last;
		struct path_key start = rule_start(rule);
		struct around *top;

		while (stack[depth - 1].has_end &&
		       compare_keys(&stack[depth - 1].end, &start) <= 0) {
			depth--;
			add_segment(index, &stack[depth].end, stack[depth - 1].first);
		}
		last = i ? &slots[refs[i - 1]].rule : NULL;
		top = &stack[depth - 1];
		if (last && last->is_beginning == rule->is_beginning &&
		    !strcmp(last->path, rule->path))
			continue;
		stack[depth].has_end = rule_end(rule, &stack[depth].end);
		stack[depth].first = rule->index < top->first ? rule->index : top->first;
		add_segment(index, &start, stack[depth].first);
		depth++;
	}
	while (depth-- > 1)
		if (stack[depth].has_end)
			add_segment(index, &stack[depth].end, stack[depth - 1].first);
}

struct path_index *path_index_free(struct path_index *index)
{
	if (!index)
		return NULL;
	free(index->starts);
	free(index->rules);
	free(index);
	return NULL;
}

int path_index_new(const struct policy *policy, struct path_index **ret)
{
	_cleanup_free_ uint32_t *refs = calloc(policy->n_rules + 1, sizeof(*refs));
	struct path_index *index = calloc(1, sizeof(*index));
	uint32_t n = 0;

	for (size_t i = 0; refs && i < policy->n_rules; i++)
		if (policy->rules[i].rule.family == AF_UNIX)
			refs[n++] = (uint32_t)i;
	if (index) {
		index->starts = calloc(2 * (size_t)n + 1, sizeof(*index->starts));
		index->rules = calloc(2 * (size_t)n + 1, sizeof(*index->rules));
	}
	if (!refs || !index || !index->starts || !index->rules) {
		path_index_free(index);
		return -ENOMEM;
	}
	index->n_rules = n;
	if (n)
		qsort_r(refs, n, sizeof(*refs), compare_rules, (void *)policy->rules);
	cut(index, policy->rules, refs, n);
	*ret = index;
	return 0;
}

uint32_t path_index_first(const struct path_index *index, const struct path_key *key)
{
	uint32_t at = 0, n = index->n;

	while (n > 1) {
		uint32_t half = n / 2;

		if (compare_keys(&index->starts[at + half], key) <= 0)
			at += half;
		n -= half;
		policy_n_probes++;
	}
	return index->rules[at];
}
