/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Output for people: aligned columns; and texts from elsewhere made harmless.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "intercept/cgroup/traced.h"

#define TABLE_COLUMNS_MAX 12
/* Such a path is never longer than the bytes traced of it. */
#define PATH_TEXT_MAX (sizeof(struct traced_path) + 1)

struct table {
	size_t n_columns;
	size_t n_cells; /* rows one after the other, the header first */
	char **cells;
	int error; /* -errno of a cell that could not be added */
};

/* @header: @n_columns texts, copied. */
void table_init(struct table *table, const char *const *header, size_t n_columns);
void table_release(struct table *table);
/* The next cell, cleaned; "" and NULL become "-". */
void table_add(struct table *table, const char *text);
void table_add_number(struct table *table, uint64_t number);
/* "12s", "3m05s", "2h05m", "4d03h"; 0 is "-". */
void table_add_age(struct table *table, uint64_t age_ns);
/* Return: 0 or -errno. */
int table_print(const struct table *table, FILE *to);

/* Replaces, in place, what is not UTF-8 or could steer a terminal by '?'. Return: the
 * number of characters. */
size_t text_clean(char *text);
/* A path of a UNIX socket, cleaned: "/run/x", "@x" or "-". */
void text_path(const struct traced_path *path, char text[PATH_TEXT_MAX]);
