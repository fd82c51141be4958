/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers in text that the kernel wrote (/proc). What people write is parsed where it is
 * read, with its place for the message.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Reads a number of @base after optional blanks and moves *@text past it.
 * Return: false, with nothing moved, when there is none or it does not fit.
 */
bool number_take(const char **text, int base, uint64_t *ret);
/* Moves *@text past blanks and the word @word. Return: false when it is not there. */
bool number_skip_word(const char **text, const char *word);
