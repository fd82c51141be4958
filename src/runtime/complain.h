/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes wrong, told to whoever called the runtime: on stderr, and in the file of its
 * --log, where engines look for a reason to show.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"

/* @path may be NULL: no such file. */
void complain_to(const char *path, bool is_json);
void complain(const char *format, ...) _printf_(1, 2);
