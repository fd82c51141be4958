/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one socket has, given to another that takes its place.
 */
#pragma once

#include <stdbool.h>

/* Every option that can be read and set, as far as @to accepts it. */
void carry_options(int from, int to);
/* Is this an option that it knows: one whose value holds no pointer and no descriptor? */
bool carry_has(int level, int name);
/* One of them. Return: false if it is none of the options that are read and set; only
 * carry_options() knows what to do about it. */
bool carry_one(int level, int name, int from, int to);
/* O_NONBLOCK, O_ASYNC and who is signalled. Not close-on-exec, which is of a number. */
void carry_flags(int from, int to);
/* The same where @to is fresh from socket() and has none of them. */
void carry_flags_to_new(int from, int to);
