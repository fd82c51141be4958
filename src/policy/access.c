/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * WHO may use an endpoint: "any", or conditions that must all hold.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

/* (uid_t)-1 is nobody's. */
#define ID_MAX (UINT32_MAX - 1)

static const struct {
	const char *name;
	unsigned int uses;
} uses_names[] = {
	{ "owner", ACCESS_BIND | ACCESS_CONNECT },
	{ "binder", ACCESS_BIND },
	{ "connector", ACCESS_CONNECT },
};

unsigned int access_uses(const struct word *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(uses_names); i++)
		if (word_is(word, uses_names[i].name))
			return uses_names[i].uses;
	return 0;
}

const char *access_name(unsigned int uses)
{
	for (size_t i = 0; i < ARRAY_SIZE(uses_names); i++)
		if (uses_names[i].uses == uses)
			return uses_names[i].name;
	return "";
}

void access_deinit(struct access *access)
{
	free(access->netns.text);
	free(access->cgroup);
}

static int parse_id(const char *what, const struct word *word, bool *has, uint32_t *ret,
		    const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	uint64_t n;

	if (*has)
		return policy_fail(error, &here, "%s is given twice", what);
	if (!parse_number(word, ID_MAX, &n))
		return policy_fail(error, &here, "%s '%.*s' is not a number", what,
				   WORD(word));
	if (n > ID_MAX)
		return policy_fail(error, &here, "%s %.*s is not in 0-%u", what,
				   WORD(word), ID_MAX);
	*has = true;
	*ret = (uint32_t)n;
	return 0;
}

/* Whether a kernel would show @word as a path: "/", or "/a/b" without empty or dotted
 * parts. */
static bool is_plain_path(const struct word *word)
{
	struct word rest = *word, part;

	if (word->len == 0 || word->text[0] != '/' || word->len > CGROUP_TEXT_MAX)
		return false;
	for (rest = word_from(word, 1, word->len - 1); rest.len;) {
		struct word after = { 0 };

		part = rest;
		if (split_first(&rest, '/', &part, &after) && after.len == 0)
			return false;
		if (part.len == 0 || word_is(&part, ".") || word_is(&part, ".."))
			return false;
		rest = after;
	}
	return true;
}

static int parse_cgroup(struct access *access, const struct word *word,
			const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);

	if (access->cgroup)
		return policy_fail(error, &here, "cgroup is given twice");
	if (!is_plain_path(word))
		return policy_fail(error, &here,
				   "'%.*s' is not a cgroup as /proc/PID/cgroup shows "
				   "it, such as /system.slice/web.service",
				   WORD(word));
	access->cgroup = strndup(word->text, word->len);
	return access->cgroup ? 0 : -ENOMEM;
}

static int parse_condition(struct access *access, const struct word *word,
			   const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	struct word key, value;

	if (split_first(word, '=', &key, &value)) {
		if (word_is(&key, "uid"))
			return parse_id("uid", &value, &access->has_uid, &access->uid, at,
					error);
		if (word_is(&key, "gid"))
			return parse_id("gid", &value, &access->has_gid, &access->gid, at,
					error);
		if (word_is(&key, "netns"))
			return parse_netns(&access->netns, &value, at, error);
		if (word_is(&key, "cgroup"))
			return parse_cgroup(access, &value, at, error);
	}
	return policy_fail(error, &here,
			   "'%.*s' is not a condition; expected uid=N, gid=N, netns=REF "
			   "or cgroup=PATH",
			   WORD(word));
}

static int parse_who(struct access *access, const struct word *word,
		     const struct policy_origin *at, struct policy_error *error)
{
	struct word rest = *word, condition;
	bool more = !word_is(word, "any");
	int r = 0;

	while (r == 0 && more) {
		condition = rest;
		more = split_first(&rest, ',', &condition, &rest);
		r = parse_condition(access, &condition, at, error);
	}
	return r;
}

int parse_access(struct endpoint *endpoint, unsigned int uses, const struct word *word,
		 const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	struct access access = { .uses = uses };
	struct access *moved = endpoint->access;
	int r;

	if (word->len == 0)
		return policy_fail(error, &here,
				   "%s needs to know who: any, or uid=N, gid=N, netns=REF "
				   "or cgroup=PATH, with ',' between them",
				   access_name(uses));
	if (endpoint->n_access >= ACCESS_MAX)
		return policy_fail(error, &here,
				   "more than %d of owner, binder and connector",
				   ACCESS_MAX);
	moved = reallocarray(moved, endpoint->n_access + 1, sizeof(*moved));
	if (!moved)
		return -ENOMEM;
	endpoint->access = moved;
	r = parse_who(&access, word, at, error);
	if (r == 0)
		endpoint->access[endpoint->n_access++] = access;
	else
		access_deinit(&access);
	return r;
}
