/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/table.h"

#define NS_PER_S 1000000000ull
#define GAP      2

/* Return: the size of the UTF-8 character at @text that may be shown, or 0. */
static size_t character_size(const unsigned char *text)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t value;
	size_t size;

	if (text[0] < 0x80)
		return text[0] >= ' ' && text[0] != 0x7f;
	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	size = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
	value = text[0] & (0xffu >> (size + 1));
	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (text[i] & 0x3f);
	}
	if (value < smallest[size] || value > 0x10ffff || value < 0xa0 ||
	    (value >= 0xd800 && value < 0xe000))
		return 0;
	/* Marks that change the direction of what follows. */
	if ((value >= 0x202a && value <= 0x202e) || (value >= 0x2066 && value <= 0x2069))
		return 0;
	return size;
}

size_t text_clean(char *text)
{
	size_t n = 0;

	for (size_t at = 0; text[at]; n++) {
		size_t size = character_size((const unsigned char *)text + at);

		if (!size)
			text[at] = '?';
		at += size ? size : 1;
	}
	return n;
}

void text_path(const struct traced_path *path, char text[PATH_TEXT_MAX])
{
	uint32_t bytes[ARRAY_SIZE(path->word)];
	size_t len;

	memcpy(bytes, path, sizeof(bytes));
	len = bytes[ARRAY_SIZE(bytes) - 1];
	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++)
		bytes[i] = htonl(bytes[i]);
	if (len > sizeof(bytes) - sizeof(bytes[0]))
		len = sizeof(bytes) - sizeof(bytes[0]);
	for (size_t i = 0; i < len; i++)
		if (!((char *)bytes)[i])
			((char *)bytes)[i] = i ? '?' : '@';
	snprintf(text, PATH_TEXT_MAX, "%.*s", len ? (int)len : 1,
		 len ? (char *)bytes : "-");
	text_clean(text);
}

static size_t count_characters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void table_init(struct table *table, const char *const *header, size_t n_columns)
{
	memset(table, 0, sizeof(*table));
	table->n_columns = n_columns;
	for (size_t i = 0; i < n_columns; i++)
		table_add(table, header[i]);
}

void table_release(struct table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
}

void table_add(struct table *table, const char *text)
{
	char *copy = strdup(text && *text ? text : "-");
	char **bigger =
		copy ? realloc(table->cells, (table->n_cells + 1) * sizeof(*bigger))
		     : NULL;

	if (!bigger) {
		free(copy);
		table->error = -ENOMEM;
		return;
	}
	text_clean(copy);
	table->cells = bigger;
	table->cells[table->n_cells++] = copy;
}

void table_add_number(struct table *table, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	table_add(table, text);
}

void table_add_age(struct table *table, uint64_t age_ns)
{
	static const struct {
		uint64_t seconds;
		const char *unit;
		uint64_t sub_seconds;
		const char *sub_unit;
	} units[] = {
		{ 86400, "d", 3600, "h" },
		{ 3600, "h", 60, "m" },
		{ 60, "m", 1, "s" },
	};
	uint64_t age = age_ns / NS_PER_S;
	char text[64];

	snprintf(text, sizeof(text), "%" PRIu64 "s", age);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (age < units[i].seconds)
			continue;
		snprintf(text, sizeof(text), "%" PRIu64 "%s%02" PRIu64 "%s",
			 age / units[i].seconds, units[i].unit,
			 age % units[i].seconds / units[i].sub_seconds,
			 units[i].sub_unit);
		break;
	}
	table_add(table, age_ns ? text : "-");
}

int table_print(const struct table *table, FILE *to)
{
	size_t widths[TABLE_COLUMNS_MAX] = { 0 };

	if (table->error)
		return table->error;
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t width = count_characters(table->cells[i]);

		if (width > widths[i % table->n_columns])
			widths[i % table->n_columns] = width;
	}
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t column = i % table->n_columns;
		bool last = column == table->n_columns - 1;
		size_t pad = widths[column] - count_characters(table->cells[i]) + GAP;

		fprintf(to, "%s%*s", table->cells[i], last ? 0 : (int)pad,
			last ? "\n" : "");
	}
	return fflush(to) == EOF ? -errno : 0;
}
