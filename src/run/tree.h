/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Kills every descendant of the calling process and reaps its own children, again and
 * again until none is left. */
void tree_kill(void);
