/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/toml_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	const char *text, *end, *next;
};

/* Items follow one another, and each has lines of its own. */
static int see(void *context, const struct toml_item *item)
{
	struct seen *seen = context;

	if (item->start < seen->next || item->end < item->start ||
	    item->next < item->end || item->next > seen->end ||
	    item->table_size > strlen(item->path) || !*item->path)
		abort();
	if (item->kind == TOML_VALUE &&
	    (item->value <= item->start || item->value >= item->end))
		abort();
	if (item->start > seen->text && item->start[-1] != '\n')
		abort();
	seen->next = item->next;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct seen seen;
	size_t line = 0;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	seen = (struct seen){ text, text + strlen(text), text };
	if (toml_text_walk(text, see, &seen, &line) < 0 && !line)
		abort();
	free(text);
	return 0;
}
