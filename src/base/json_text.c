/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json_text.h"

#define BLANKS " \t\r\n"

/* The text is JSON, so strings end and brackets match. */
static const char *skip_blanks(const char *at)
{
	return at + strspn(at, BLANKS);
}

static const char *skip_string(const char *at)
{
	for (at++; *at && *at != '"'; at++)
		if (*at == '\\' && at[1])
			at++;
	return *at ? at + 1 : at;
}

static const char *skip_value(const char *at)
{
	int depth = 0;

	if (*at == '"')
		return skip_string(at);
	if (*at != '{' && *at != '[')
		return at + strcspn(at, ",]}" BLANKS);
	while (*at) {
		if (*at == '"') {
			at = skip_string(at);
			continue;
		}
		if (*at == '{' || *at == '[')
			depth++;
		else if ((*at == '}' || *at == ']') && --depth == 0)
			return at + 1;
		at++;
	}
	return at;
}

struct member {
	const char *start; /* of its name; NULL: there is none */
	const char *value, *end;
	bool is_only;
};

/* Member @key of the object at @at; of several the last, as parsers do. */
static struct member find_member(const char *at, const char *key)
{
	struct member found = { .start = NULL };
	size_t size = strlen(key), n = 0;

	at = skip_blanks(at + 1);
	while (*at == '"') {
		const char *name = at, *name_end = skip_string(at), *value;

		value = skip_blanks(name_end);
		if (*value != ':')
			break;
		value = skip_blanks(value + 1);
		at = skip_value(value);
		n++;
		if ((size_t)(name_end - name) == size + 2 && !memcmp(name + 1, key, size))
			found = (struct member){ name, value, at, false };
		at = skip_blanks(at);
		if (*at == ',')
			at = skip_blanks(at + 1);
	}
	found.is_only = n == 1;
	return found;
}

static int splice(const char *text, const char *start, const char *end,
		  const char *between, char **ret)
{
	int n = asprintf(ret, "%.*s%s%s", (int)(start - text), text, between, end);

	return n < 0 ? -ENOMEM : 0;
}

/* "a":{"b":VALUE} */
static char *nest(const char *const *keys, size_t n, const char *value)
{
	char *text = strdup(value), *outer;

	for (size_t i = n; text && i-- > 0;) {
		int r = asprintf(&outer, i ? "{\"%s\": %s}" : "\"%s\": %s", keys[i],
				 text);

		free(text);
		text = r < 0 ? NULL : outer;
	}
	return text;
}

/* After the bracket at @object, before what is there. */
static int put_in(const char *text, const char *object, const char *member, char **ret)
{
	_cleanup_free_ char *with = NULL;
	const char *first = skip_blanks(object + 1);
	int n;

	/* As the next one stands. */
	n = asprintf(&with, "%.*s%s%s", *first == '}' ? 0 : (int)(first - object - 1),
		     object + 1, member, *first == '}' ? "" : ",");
	return n < 0 ? -ENOMEM : splice(text, object + 1, object + 1, with, ret);
}

int json_text_set(const char *text, const char *const *keys, size_t n, const char *value,
		  char **ret)
{
	const char *object = skip_blanks(text);

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *with = NULL;
		struct member member;

		if (*object != '{')
			return -EINVAL;
		member = find_member(object, keys[i]);
		if (member.start && i == n - 1)
			return splice(text, member.value, member.end, value, ret);
		if (member.start) {
			object = member.value;
			continue;
		}
		with = nest(keys + i, n - i, value);
		return with ? put_in(text, object, with, ret) : -ENOMEM;
	}
	return -EINVAL;
}

/* With the blanks before it, and one comma. */
static int take_out(const char *text, const struct member *member, char **ret)
{
	const char *start = member->start, *end = skip_blanks(member->end);

	while (start > text && strchr(BLANKS, start[-1]))
		start--;
	if (*end == ',')
		return splice(text, start, end + 1, "", ret);
	if (start > text && start[-1] == ',')
		start--;
	return splice(text, start, member->end, "", ret);
}

int json_text_remove(const char *text, const char *const *keys, size_t n, char **ret)
{
	struct member member, outermost = { .start = NULL };
	const char *object = skip_blanks(text);

	for (size_t i = 0; i < n; i++) {
		if (*object != '{')
			return -EINVAL;
		member = find_member(object, keys[i]);
		if (!member.start)
			return -ENOENT;
		/* The longest end of the way on which there is nothing else. */
		if (!outermost.start || !member.is_only)
			outermost = member;
		object = member.value;
	}
	return outermost.start ? take_out(text, &outermost, ret) : -ENOENT;
}
