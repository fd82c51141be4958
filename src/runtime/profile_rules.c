/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A profile's rules for one call, as runtimes and libseccomp read them; see profile.c.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/profile.h"
#include "runtime/profile_rules.h"

static const char *const op_names[] = {
	[CELL_EQ] = "SCMP_CMP_EQ",
	[CELL_NE] = "SCMP_CMP_NE",
	[CELL_LT] = "SCMP_CMP_LT",
	[CELL_LE] = "SCMP_CMP_LE",
	[CELL_GT] = "SCMP_CMP_GT",
	[CELL_GE] = "SCMP_CMP_GE",
	[CELL_MASKED] = "SCMP_CMP_MASKED_EQ",
};
_Static_assert(ARRAY_SIZE(op_names) == CELL_N_OPS, "an operator has no name");

int profile_refuse(struct work *work, const char *format, const char *what)
{
	/* The format is one of this file's. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(work->why, PROFILE_WHY_SIZE, format, what);
#pragma GCC diagnostic pop
	return -EINVAL;
}

const char *profile_text(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_object_get(object, key);

	return json_object_is_type(value, json_type_string)
		       ? json_object_get_string(value)
		       : "";
}

int profile_errno(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_object_get(object, key);

	return value ? json_object_get_int(value) : EPERM;
}

bool profile_lets(const char *action)
{
	return !strcmp(action, ALLOW) || !strcmp(action, LOG);
}

const char *profile_op_name(enum cell_op op)
{
	return op_names[op];
}

static int read_condition(struct work *work, struct json_object *from,
			  struct cell_condition *ret)
{
	const char *op = profile_text(from, "op");

	ret->index =
		(unsigned int)json_object_get_int(json_object_object_get(from, "index"));
	ret->value = json_object_get_uint64(json_object_object_get(from, "value"));
	ret->value_two = json_object_get_uint64(json_object_object_get(from, "valueTwo"));
	if (ret->index >= CELL_CONDITIONS_MAX)
		return profile_refuse(work,
				      "a condition is on an argument that no call has",
				      "");
	for (ret->op = 0; ret->op < CELL_N_OPS; ret->op++)
		if (!strcmp(op_names[ret->op], op))
			return 0;
	return profile_refuse(work, "the operator '%s' is not known", op);
}

static int add_rule(struct work *work, struct said *said, const struct rule *rule)
{
	if (said->n == RULES_MAX)
		return profile_refuse(work, "there are too many rules for one call", "");
	said->rules[said->n++] = *rule;
	return 0;
}

/* Several conditions on one argument: each is a rule. */
static int add_alternatives(struct work *work, struct said *said, const struct rule *rule)
{
	struct rule one = *rule;
	int r = 0;

	one.n = 1;
	for (unsigned int i = 0; r == 0 && i < rule->n; i++) {
		one.conditions[0] = rule->conditions[i];
		r = add_rule(work, said, &one);
	}
	return r;
}

static int read_rule(struct work *work, struct said *said, struct json_object *entry,
		     const char *action)
{
	struct json_object *args = json_object_object_get(entry, "args");
	size_t n = json_object_is_type(args, json_type_array)
			   ? json_object_array_length(args)
			   : 0;
	struct rule rule = { .action = action,
			     .error = profile_errno(entry, "errnoRet"),
			     .lets = profile_lets(action) };
	unsigned int seen = 0;
	bool repeats = false;

	if (n > CELL_CONDITIONS_MAX)
		return profile_refuse(
			work, "a rule has more conditions than calls have arguments", "");
	for (rule.n = 0; rule.n < n; rule.n++) {
		struct cell_condition *c = &rule.conditions[rule.n];
		int r = read_condition(work, json_object_array_get_idx(args, rule.n), c);

		if (r < 0)
			return r;
		repeats |= (seen & 1u << c->index) != 0;
		seen |= 1u << c->index;
	}
	return repeats ? add_alternatives(work, said, &rule)
		       : add_rule(work, said, &rule);
}

static bool names_call(struct json_object *entry, const char *call)
{
	struct json_object *names = json_object_object_get(entry, "names");
	size_t n = json_object_is_type(names, json_type_array)
			   ? json_object_array_length(names)
			   : 0;

	for (size_t i = 0; i < n; i++) {
		const char *name =
			json_object_get_string(json_object_array_get_idx(names, i));

		if (name && !strcmp(name, call))
			return true;
	}
	return false;
}

static bool is_fallback(const struct work *work, struct json_object *entry,
			const char *action)
{
	return !strcmp(action, work->fallback) &&
	       (strcmp(action, ERRNO) != 0 ||
		profile_errno(entry, "errnoRet") == work->fallback_errno);
}

int profile_read_call(struct work *work, const char *call, struct said *ret)
{
	size_t n = json_object_array_length(work->from);
	int r = 0;

	ret->n = 0;
	ret->always = NULL;
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct json_object *entry = json_object_array_get_idx(work->from, i);
		const char *action = profile_text(entry, "action");

		if (!names_call(entry, call) || is_fallback(work, entry, action))
			continue;
		if (!strcmp(action, TRACE))
			return profile_refuse(work, "it leaves %s() to a tracer", call);
		r = read_rule(work, ret, entry, action);
	}
	for (size_t i = 0; i < ret->n && !ret->always; i++)
		if (!ret->rules[i].n)
			ret->always = &ret->rules[i];
	return r;
}
