/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/toml_text.h"

#define BLANKS " \t\r"
#define BARE                                                   \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789_-"

struct walk {
	const char *at; /* NULL: not understood */
	char path[TOML_PATH_MAX];
	size_t size, table_size; /* of the path, without and with a key */
};

static const char *skip_comment(const char *at)
{
	at += strspn(at, BLANKS);
	return *at == '#' ? at + strcspn(at, "\n") : at;
}

/* @at is at one of its quotes; three of them may hold lines. Return: NULL: no end. */
static const char *skip_string(const char *at)
{
	const char quote = *at;
	bool is_long = at[1] == quote && at[2] == quote;

	for (at += is_long ? 3 : 1; *at && (is_long || *at != '\n'); at++) {
		if (*at == '\\' && quote == '"' && at[1])
			at++;
		else if (*at == quote && !is_long)
			return at + 1;
		else if (*at == quote && at[1] == quote && at[2] == quote) {
			/* The last three of up to five. */
			while (at[3] == quote)
				at++;
			return at + 3;
		}
	}
	return NULL;
}

static const char *skip_brackets(const char *at)
{
	int depth = 0;

	while (at && *at) {
		if (*at == '"' || *at == '\'') {
			at = skip_string(at);
			continue;
		}
		if (*at == '#') {
			at += strcspn(at, "\n");
			continue;
		}
		if (*at == '[' || *at == '{')
			depth++;
		else if ((*at == ']' || *at == '}') && --depth == 0)
			return at + 1;
		at++;
	}
	return NULL;
}

static const char *skip_value(const char *at)
{
	size_t size;

	if (*at == '"' || *at == '\'')
		return skip_string(at);
	if (*at == '[' || *at == '{')
		return skip_brackets(at);
	size = strcspn(at, "#,]}=\"'\n" BLANKS);
	return size ? at + size : NULL;
}

static bool push(struct walk *walk, const char *key, size_t size)
{
	size_t room = sizeof(walk->path) - 1 - walk->size;

	if (size + 1 > room || memchr(key, *TOML_THEN, size))
		return false;
	if (walk->size)
		walk->path[walk->size++] = *TOML_THEN;
	memcpy(walk->path + walk->size, key, size);
	walk->size += size;
	walk->path[walk->size] = '\0';
	return true;
}

/* One key onto the path. A key with an escape in it might be any. */
static bool take_key(struct walk *walk)
{
	const char *start = walk->at, *end;

	if (*start != '"' && *start != '\'') {
		walk->at += strspn(start, BARE);
		return walk->at > start && push(walk, start, (size_t)(walk->at - start));
	}
	end = start[1] == start[0] ? NULL : skip_string(start);
	if (!end || memchr(start, '\\', (size_t)(end - start)))
		return false;
	walk->at = end;
	return push(walk, start + 1, (size_t)(end - start - 2));
}

static bool take_keys(struct walk *walk)
{
	for (;;) {
		walk->at += strspn(walk->at, BLANKS);
		if (!take_key(walk))
			return false;
		walk->at += strspn(walk->at, BLANKS);
		if (*walk->at != '.')
			return true;
		walk->at++;
	}
}

static bool take_header(struct walk *walk, struct toml_item *item)
{
	size_t n = walk->at[1] == '[' ? 2 : 1;

	item->kind = n == 2 ? TOML_ARRAY : TOML_TABLE;
	walk->at += n;
	walk->size = 0;
	if (!take_keys(walk) || strncmp(walk->at, "]]", n) != 0)
		return false;
	walk->at += n;
	walk->table_size = walk->size;
	return true;
}

static bool take_pair(struct walk *walk, struct toml_item *item)
{
	item->kind = TOML_VALUE;
	walk->size = walk->table_size;
	if (!take_keys(walk) || *walk->at++ != '=')
		return false;
	walk->at += strspn(walk->at, BLANKS);
	item->value = walk->at;
	walk->at = skip_value(walk->at);
	return walk->at != NULL;
}

static bool take_item(struct walk *walk, struct toml_item *item)
{
	bool is_right =
		*walk->at == '[' ? take_header(walk, item) : take_pair(walk, item);

	if (!is_right)
		return false;
	item->path = walk->path;
	item->table_size = walk->table_size;
	item->end = walk->at;
	walk->at = skip_comment(walk->at);
	if (*walk->at && *walk->at != '\n')
		return false;
	item->next = walk->at + (*walk->at == '\n');
	return true;
}

static size_t count_lines(const char *from, const char *to)
{
	size_t n = 0;

	for (; from < to; from++)
		n += *from == '\n';
	return n;
}

int toml_text_walk(const char *text, toml_visit *visit, void *context, size_t *ret_line)
{
	struct walk walk = { .at = text };
	struct toml_item item = { .line = 1, .start = text };

	while (*item.start) {
		int r = 0;

		walk.at = skip_comment(item.start);
		if (!*walk.at)
			break;
		item.value = NULL;
		if (*walk.at == '\n') {
			item.next = walk.at + 1;
		} else if (take_item(&walk, &item)) {
			r = visit(context, &item);
		} else {
			*ret_line = item.line;
			return -EINVAL;
		}
		if (r != 0)
			return r;
		item.line += count_lines(item.start, item.next);
		item.start = item.next;
	}
	return 0;
}
