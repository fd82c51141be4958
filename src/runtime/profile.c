/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * For each call that cell.c knows, the profile's rules are read as runtimes and
 * libseccomp read them:
 *
 *  - a rule with the action that is the default anyway is no rule;
 *  - an unconditional rule beats all others for that call, the first such rule counts;
 *  - several conditions on one argument are alternatives, on different ones all must
 *    hold.
 *
 * Then
 *
 *	unconditional, denies		stays
 *	unconditional, lets		is replaced by the call's cells
 *	conditional, lets		is replaced by what each cell shares with it
 *	conditional, denies		stays; neither the cells nor what the profile
 *					allows may overlap with it: Podman's allows
 *					socket() where either of two arguments is another
 *					than what it denies together
 *	no rule, the default lets	gets the cells that do not pass
 *	no rule, the default denies	nothing
 *
 * Where a condition and a cell have no common condition that can be written, the whole of
 * what the profile allows is told of, which is slower and never less safe: the profile's
 * condition stays on the rule.
 *
 * What cannot be told from what it denies is refused: a profile with a listener of its
 * own, one that leaves calls to a tracer, and conditional denials that overlap.
 */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "runtime/cell.h"
#include "runtime/profile.h"
#include "runtime/profile_rules.h"

#define WAITING "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"

/* --- writing --- */

static int put(struct json_object *object, const char *key, struct json_object *value)
{
	if (value && json_object_object_add(object, key, value) == 0)
		return 0;
	json_object_put(value);
	return -ENOMEM;
}

static int append(struct json_object *array, struct json_object *value)
{
	if (value && json_object_array_add(array, value) == 0)
		return 0;
	json_object_put(value);
	return -ENOMEM;
}

static int write_condition(struct json_object *args, const struct cell_condition *c)
{
	struct json_object *arg = json_object_new_object();
	int r = append(args, arg);

	if (r == 0)
		r = put(arg, "index", json_object_new_int((int)c->index));
	if (r == 0)
		r = put(arg, "value", json_object_new_uint64(c->value));
	if (r == 0 && c->op == CELL_MASKED)
		r = put(arg, "valueTwo", json_object_new_uint64(c->value_two));
	return r < 0 ? r : put(arg, "op", json_object_new_string(profile_op_name(c->op)));
}

/* @error is for ERRNO. */
static int write_rule(struct work *work, const char *call, const char *action, int error,
		      const struct cell_condition *conditions, unsigned int n)
{
	struct json_object *entry = json_object_new_object();
	struct json_object *names, *args = NULL;
	int r = append(work->to, entry);

	if (r < 0)
		return r;
	names = json_object_new_array();
	r = put(entry, "names", names);
	if (r == 0)
		r = append(names, json_object_new_string(call));
	if (r == 0)
		r = put(entry, "action", json_object_new_string(action));
	if (r == 0 && !strcmp(action, ERRNO))
		r = put(entry, "errnoRet", json_object_new_int(error));
	if (r == 0 && n) {
		args = json_object_new_array();
		r = put(entry, "args", args);
	}
	for (unsigned int i = 0; r == 0 && i < n; i++)
		r = write_condition(args, &conditions[i]);
	return r;
}

static const char *cell_action(const struct cell *cell, const char *passing)
{
	switch (cell->kind) {
	case CELL_PASSES:
	case CELL_APART:
		return passing;
	case CELL_JUDGED:
		return NOTIFY;
	case CELL_ABSENT:
		return ERRNO;
	}
	return NOTIFY;
}

/* What @rule and @cell have in common. */
static enum cell_meet common(const struct rule *rule, const struct cell *cell,
			     struct cell *ret)
{
	*ret = *cell;
	for (unsigned int i = 0; i < rule->n; i++) {
		const struct cell_condition *c = &rule->conditions[i];
		enum cell_meet meet = CELL_MEETS;
		unsigned int j = 0;

		while (j < ret->n && ret->conditions[j].index != c->index)
			j++;
		if (j < ret->n)
			meet = cell_meet(&ret->conditions[j], c, &ret->conditions[j]);
		else
			ret->conditions[ret->n++] = *c;
		/* Stands apart to be left out: nothing else that is known is in it. */
		if (meet == CELL_UNKNOWN && cell->kind == CELL_APART && c->op == CELL_NE)
			return CELL_NEVER;
		if (meet != CELL_MEETS)
			return meet;
	}
	return CELL_MEETS;
}

static bool is_expressible(const struct rule *rule, const struct cells *cells)
{
	struct cell both;

	for (size_t i = 0; i < cells->n; i++)
		if (common(rule, &cells->at[i], &both) == CELL_UNKNOWN)
			return false;
	return true;
}

/* A rule that lets, as rules that exclude one another. */
static int write_let(struct work *work, const char *call, const struct rule *rule,
		     const struct cells *cells)
{
	struct cell both;
	int r = 0;

	if (!is_expressible(rule, cells))
		return write_rule(work, call, NOTIFY, 0, rule->conditions, rule->n);
	for (size_t i = 0; r == 0 && i < cells->n; i++)
		if (common(rule, &cells->at[i], &both) == CELL_MEETS)
			r = write_rule(work, call, cell_action(&both, rule->action),
				       ENOSYS, both.conditions, both.n);
	return r;
}

/* Where the default lets, and a passing cell needs no rule. */
static int write_default(struct work *work, const char *call, const struct said *said,
			 const struct cells *cells)
{
	struct cell both;
	int r = 0;

	for (size_t i = 0; r == 0 && i < cells->n; i++) {
		const struct cell *cell = &cells->at[i];

		if (cell->kind == CELL_PASSES || cell->kind == CELL_APART)
			continue;
		for (size_t j = 0; j < said->n; j++)
			if (!said->rules[j].lets &&
			    common(&said->rules[j], cell, &both) != CELL_NEVER)
				return profile_refuse(
					work,
					"what it denies of %s() overlaps with what "
					"is to be judged",
					call);
		r = write_rule(work, call, cell_action(cell, work->fallback), ENOSYS,
			       cell->conditions, cell->n);
	}
	return r;
}

/* No registers meet both. */
static bool are_apart(const struct rule *a, const struct rule *b)
{
	struct cell_condition both;

	for (unsigned int i = 0; i < a->n; i++)
		for (unsigned int j = 0; j < b->n; j++)
			if (a->conditions[i].index == b->conditions[j].index &&
			    cell_meet(&a->conditions[i], &b->conditions[j], &both) ==
				    CELL_NEVER)
				return true;
	return false;
}

/* What is denied is denied whichever rule libseccomp prefers. */
static int check_denials(struct work *work, const char *call, const struct said *said)
{
	for (size_t i = 0; i < said->n; i++)
		for (size_t j = 0; said->rules[i].lets && j < said->n; j++)
			if (!said->rules[j].lets &&
			    !are_apart(&said->rules[i], &said->rules[j]))
				return profile_refuse(
					work,
					"it both allows and denies %s(), by arguments "
					"that overlap",
					call);
	return 0;
}

/* A copy, without the names of calls whose rules were written anew. */
static int copy_entry(struct work *work, struct json_object *entry,
		      const bool *is_rewritten)
{
	struct json_object *names = json_object_object_get(entry, "names");
	struct json_object *copy = NULL, *kept;
	bool lets = profile_lets(profile_text(entry, "action"));
	size_t n = json_object_is_type(names, json_type_array)
			   ? json_object_array_length(names)
			   : 0;

	if (json_object_deep_copy(entry, &copy, NULL) < 0)
		return -ENOMEM;
	if (!lets || !n)
		return append(work->to, copy);
	kept = json_object_new_array();
	for (size_t i = 0; i < n; i++) {
		struct json_object *name = json_object_array_get_idx(names, i);
		const char *text = json_object_get_string(name);
		bool drops = false;

		for (size_t j = 0; text && cells_call(j); j++)
			drops |= is_rewritten[j] && !strcmp(cells_call(j), text);
		if (!drops && append(kept, json_object_get(name)) < 0) {
			json_object_put(kept);
			json_object_put(copy);
			return -ENOMEM;
		}
	}
	if (put(copy, "names", kept) < 0 || !json_object_array_length(kept)) {
		json_object_put(copy);
		return 0;
	}
	return append(work->to, copy);
}

/* The values that the rules of a call exclude, so that these get cells of their own. */
static size_t excluded(const struct said *said, uint64_t *ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < said->n; i++)
		for (unsigned int j = 0; j < said->rules[i].n && n < max; j++) {
			const struct cell_condition *c = &said->rules[i].conditions[j];

			if (c->index == 0 && (c->op == CELL_NE || c->op == CELL_EQ))
				ret[n++] = c->value;
		}
	return n;
}

/* In front of all; with the profile's own denial, if there is one, as that is enough. */
static int write_whole(struct work *work, const char *call, const struct said *said)
{
	struct json_object *to = work->to;
	bool denies = said->always && !said->always->lets;
	int r;

	work->to = work->first;
	if (denies)
		r = write_rule(work, call, said->always->action, said->always->error,
			       NULL, 0);
	else
		r = write_rule(work, call, NOTIFY, 0, NULL, 0);
	work->to = to;
	return r;
}

/* Writes what @call becomes. *ret_rewritten: its own rules that let are void. */
static int extend_call(struct work *work, size_t index, bool *ret_rewritten)
{
	_cleanup_free_ struct said *said = calloc(1, sizeof(*said));
	const char *call = cells_call(index);
	struct cells cells;
	uint64_t apart[8];
	int r;

	*ret_rewritten = false;
	if (!said)
		return -ENOMEM;
	r = profile_read_call(work, call, said);
	if (r < 0 || !cells_of(index, work->wish->traps, apart,
			       excluded(said, apart, ARRAY_SIZE(apart)), &cells))
		return r;
	if (cells.is_whole) {
		*ret_rewritten = true;
		return write_whole(work, call, said);
	}
	if (said->always && !said->always->lets)
		return 0;
	if (said->always) {
		*ret_rewritten = true;
		return write_let(work, call, said->always, &cells);
	}
	r = check_denials(work, call, said);
	if (r == 0 && work->fallback_lets)
		r = write_default(work, call, said, &cells);
	for (size_t i = 0; r == 0 && i < said->n; i++)
		if (said->rules[i].lets) {
			*ret_rewritten = true;
			r = write_let(work, call, &said->rules[i], &cells);
		}
	return r;
}

static int append_all(struct json_object *to, struct json_object *from)
{
	size_t n = json_object_array_length(from);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = append(to, json_object_get(json_object_array_get_idx(from, i)));
	return r;
}

/* What is ours first, what stays of the profile's, what its rules became. */
static int extend_calls(struct work *work, struct json_object *rules)
{
	struct json_object *ours = json_object_new_array();
	bool is_rewritten[64] = { false };
	size_t n = json_object_array_length(work->from);
	int r = ours ? 0 : -ENOMEM;

	work->first = rules;
	work->to = ours;
	for (size_t i = 0; r == 0 && cells_call(i); i++)
		r = extend_call(work, i, &is_rewritten[i]);
	work->to = rules;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = copy_entry(work, json_object_array_get_idx(work->from, i),
			       is_rewritten);
	if (r == 0)
		r = append_all(rules, ours);
	json_object_put(ours);
	return r;
}

/* --- the profile around the rules --- */

static int check(struct work *work, struct json_object *profile)
{
	size_t n = json_object_array_length(work->from);

	if (*profile_text(profile, "listenerPath"))
		return profile_refuse(work, "it has a listener of its own: %s",
				      profile_text(profile, "listenerPath"));
	for (size_t i = 0; i < n; i++)
		if (!strcmp(profile_text(json_object_array_get_idx(work->from, i),
					 "action"),
			    NOTIFY))
			return profile_refuse(work, "it has rules with %s of its own",
					      NOTIFY);
	if (!strcmp(work->fallback, NOTIFY) || !strcmp(work->fallback, TRACE))
		return profile_refuse(work, "its default action is %s", work->fallback);
	return *work->fallback ? 0 : profile_refuse(work, "it has no default action", "");
}

/* Without a profile the other ABIs of the machine worked, and go on working. */
static struct json_object *machine_abis(void)
{
	static const struct {
		const char *machine, *abis[3];
	} rows[] = {
		{ "x86_64", { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32" } },
		{ "aarch64", { "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM" } },
	};
	struct json_object *abis = json_object_new_array();
	struct utsname name;

	uname(&name);
	for (size_t i = 0; abis && i < ARRAY_SIZE(rows); i++)
		for (size_t j = 0; j < 3 && !strcmp(rows[i].machine, name.machine); j++)
			if (rows[i].abis[j])
				append(abis, json_object_new_string(rows[i].abis[j]));
	return abis;
}

static int make_profile(struct json_object **ret)
{
	struct json_object *abis = machine_abis();
	int r;

	*ret = json_object_new_object();
	if (!*ret || !abis) {
		json_object_put(abis);
		return -ENOMEM;
	}
	r = put(*ret, "defaultAction", json_object_new_string(ALLOW));
	if (json_object_array_length(abis) == 0) {
		json_object_put(abis);
		return r;
	}
	return put(*ret, "architectures", abis) < 0 ? -ENOMEM : r;
}

static int add_flag(struct json_object *profile)
{
	struct json_object *flags = json_object_object_get(profile, "flags");

	if (!json_object_is_type(flags, json_type_array)) {
		flags = json_object_new_array();
		if (put(profile, "flags", flags) < 0)
			return -ENOMEM;
	}
	return append(flags, json_object_new_string(WAITING));
}

static int extend(struct work *work, struct json_object *profile)
{
	struct json_object *rules = json_object_new_array();
	int r = rules ? 0 : -ENOMEM;

	if (r == 0)
		r = extend_calls(work, rules);
	if (r < 0)
		json_object_put(rules);
	else
		r = put(profile, "syscalls", rules);
	if (r == 0)
		r = put(profile, "listenerPath",
			json_object_new_string(work->wish->listener));
	if (r == 0)
		r = put(profile, "listenerMetadata",
			json_object_new_string(work->wish->metadata));
	return r == 0 && work->wish->waits ? add_flag(profile) : r;
}

int profile_extend(struct json_object *profile, const struct profile_wish *wish,
		   struct json_object **ret, char why[PROFILE_WHY_SIZE])
{
	struct work work = { .wish = wish, .why = why };
	struct json_object *copy = NULL, *none = json_object_new_array();
	int r;

	if (profile)
		r = json_object_deep_copy(profile, &copy, NULL) < 0 ? -ENOMEM : 0;
	else
		r = make_profile(&copy);
	if (r == 0 && none) {
		work.from = json_object_object_get(copy, "syscalls");
		if (!json_object_is_type(work.from, json_type_array))
			work.from = none;
		json_object_get(work.from);
		work.fallback = profile_text(copy, "defaultAction");
		work.fallback_lets = profile_lets(work.fallback);
		work.fallback_errno = profile_errno(copy, "defaultErrnoRet");
		r = check(&work, copy);
		if (r == 0)
			r = extend(&work, copy);
		json_object_put(work.from);
	}
	json_object_put(none);
	if (r < 0) {
		json_object_put(copy);
		return r;
	}
	*ret = copy;
	return 0;
}
