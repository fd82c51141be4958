/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One member of one object in a JSON text, changed where it stands: every other byte
 * stays as it is. The text has to be JSON; whoever calls has had a parser read it.
 */
#pragma once

#include <stddef.h>

/*
 * The text with member keys[0].keys[1]... set to @value, itself JSON: replaced, or put
 * in as the first of its object. Objects on the way that are not there are made.
 * Return: 0, *ret is the caller's; -EINVAL when something on the way is no object;
 * -ENOMEM.
 */
int json_text_set(const char *text, const char *const *keys, size_t n, const char *value,
		  char **ret);
/*
 * The text without that member, and without an object on the way that has nothing else:
 * what json_text_set() put in is gone without a trace. Return: as above; -ENOENT: there
 * is none.
 */
int json_text_remove(const char *text, const char *const *keys, size_t n, char **ret);
