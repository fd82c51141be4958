/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The headers and the key/value pairs of a TOML text, with their places, so that one of
 * them can be changed where it stands. What is odd or wrong ends the walk; that every
 * rule of TOML is kept is not checked, which is the affair of whom the text is for.
 */
#pragma once

#include <stddef.h>

enum toml_kind {
	TOML_TABLE, /* [a.b] */
	TOML_ARRAY, /* [[a.b]] */
	TOML_VALUE, /* a.b = value */
};

#define TOML_PATH_MAX 1024
/* Between the keys of a path, where no key can have it. */
#define TOML_THEN "\037"

struct toml_item {
	enum toml_kind kind;
	const char *path;  /* from the root: that of its table included */
	size_t table_size; /* bytes of the path that its table's header says */
	size_t line;       /* from 1 */
	const char *start; /* of that line */
	const char *value; /* TOML_VALUE */
	const char *end;   /* of the value, or of the header */
	const char *next;  /* the line after */
};

/* 0 to go on; anything else ends the walk. @item is valid during the call. */
typedef int toml_visit(void *context, const struct toml_item *item);

/* Return: 0; what @visit returned; -EINVAL: line *ret_line is not understood. */
int toml_text_walk(const char *text, toml_visit *visit, void *context, size_t *ret_line);
