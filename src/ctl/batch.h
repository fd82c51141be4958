/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

struct talk;

/*
 * Adds the endpoints of the file @path ("-": the standard input), one a line. Without
 * @force the first line that fails is the last one that was looked at. Return: an exit
 * status.
 */
int batch_add(struct talk *talk, const char *path, bool force);
