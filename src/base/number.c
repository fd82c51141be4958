/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

bool number_take(const char **text, int base, uint64_t *ret)
{
	const char *start = *text + strspn(*text, " \t\n");
	unsigned long long value;
	char *end;

	/* strtoull() would skip more blanks and take a sign. */
	if (!isalnum((unsigned char)*start))
		return false;
	errno = 0;
	value = strtoull(start, &end, base);
	if (end == start || errno)
		return false;
	*text = end;
	*ret = value;
	return true;
}

bool number_skip_word(const char **text, const char *word)
{
	const char *start = *text + strspn(*text, " \t\n");
	size_t size = strlen(word);

	if (strncmp(start, word, size) != 0)
		return false;
	*text = start + size;
	return true;
}
