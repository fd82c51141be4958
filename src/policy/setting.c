/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings: lines of two words, each for all of the policy wherever it stands. A row of
 * the table is a setting; its first value is what it is when nothing says otherwise.
 */
#include <string.h>

#include "policy/internal.h"

#define VALUES_MAX 4

static const struct {
	const char *name;
	const char *values[VALUES_MAX];
} rows[POLICY_N_SETTINGS] = {
	[POLICY_SHORTCUT] = { "shortcut", { "off", "on" } },
	[POLICY_LOOPBACK] = { "loopback", { "host", "own" } },
};

int find_setting(const struct word *word)
{
	for (int i = 0; i < POLICY_N_SETTINGS; i++)
		if (word_is(word, rows[i].name))
			return i;
	return -1;
}

static int fail_value(enum policy_setting setting, const struct policy_origin *at,
		      const struct word *word, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	char text[80];
	struct out out = { text, sizeof(text), 0, 0 };

	for (size_t i = 0; i < VALUES_MAX && rows[setting].values[i]; i++)
		out_printf(&out, "%s%s", i ? " or " : "", rows[setting].values[i]);
	if (!word->len)
		return policy_fail(error, &here, "%s needs a value; expected %s",
				   rows[setting].name, text);
	return policy_fail(error, &here, "'%.*s' is no value of %s; expected %s",
			   WORD(word), rows[setting].name, text);
}

static int parse_value(enum policy_setting setting, const struct policy_origin *at,
		       const struct word *word, unsigned int *ret,
		       struct policy_error *error)
{
	for (unsigned int i = 0; i < VALUES_MAX && rows[setting].values[i]; i++)
		if (word_is(word, rows[setting].values[i])) {
			*ret = i;
			return 0;
		}
	return fail_value(setting, at, word, error);
}

int parse_setting_line(struct policy *policy, struct scanner *scanner,
		       enum policy_setting setting, struct policy_error *error)
{
	struct given_setting given = { .origin = scanner->at };
	struct policy_origin here;
	struct word word;
	int r = scan_word(scanner, &word, error);

	if (r >= 0)
		r = parse_value(setting, &scanner->at, &word, &given.value, error);
	if (r == 0)
		r = scan_word(scanner, &word, error);
	if (r < 0)
		return r;
	here = origin_at(&scanner->at, &word);
	if (r > 0)
		return policy_fail(error, &here, "'%.*s' after the value", WORD(&word));
	return policy_take_setting(policy, setting, &given, error);
}

int policy_take_setting(struct policy *policy, enum policy_setting setting,
			const struct given_setting *given, struct policy_error *error)
{
	struct given_setting *first = &policy->settings[setting];
	char where[160];

	if (policy->sealed)
		return fail_sealed(error);
	if (!first->origin.source) {
		*first = *given;
		return 0;
	}
	if (first->value == given->value)
		return 0;
	policy_print_origin(&first->origin, where, sizeof(where));
	return policy_fail(error, &given->origin, "%s is %s already, by %s",
			   rows[setting].name, rows[setting].values[first->value], where);
}

unsigned int policy_setting(const struct policy *policy, enum policy_setting setting,
			    const struct policy_origin **ret_origin)
{
	const struct given_setting *given = &policy->settings[setting];

	if (ret_origin)
		*ret_origin = given->origin.source ? &given->origin : NULL;
	return given->value;
}

const char *policy_setting_name(enum policy_setting setting)
{
	return rows[setting].name;
}

const char *policy_setting_word(enum policy_setting setting, unsigned int value)
{
	return value < VALUES_MAX ? rows[setting].values[value] : NULL;
}
