/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy file format: words, lines, and the whole text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

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
	int r = scan_word(scanner, &word, error), setting;

	if (r <= 0)
		return r;
	scanner->at.column = word.column;
	if (word_is(&word, "endpoint"))
		return parse_endpoint_line(policy, scanner, error);
	if (word_is(&word, "bind"))
		return parse_rule_line(policy, scanner, POLICY_BIND, error);
	if (word_is(&word, "connect"))
		return parse_rule_line(policy, scanner, POLICY_CONNECT, error);
	setting = find_setting(&word);
	if (setting >= 0)
		return parse_setting_line(policy, scanner, (enum policy_setting)setting,
					  error);
	here = origin_at(&scanner->at, &word);
	return policy_fail(error, &here,
			   "'%.*s' begins no line; expected endpoint, bind, connect or a "
			   "setting",
			   WORD(&word));
}

int parse_one_line(struct policy *policy, const struct policy_origin *at,
		   const char *line, size_t len, struct policy_error *error)
{
	struct scanner scanner = {
		.at = *at, .line = line, .next = line, .end = line + len
	};

	return parse_line(policy, &scanner, error);
}

int report(struct reporter *reporter, int r, const struct policy_error *error)
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
	struct reporter reporter = { on_error, context, 0, false };
	struct policy_error error = { "" };
	int r = parse_text(policy, source, text, size, &reporter, &error);

	return r < 0 ? r : reporter.n_errors;
}
