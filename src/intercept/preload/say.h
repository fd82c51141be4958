/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words on the program's stderr: with GRAFT_VERBOSE, and about rules that do not parse.
 */
#pragma once

#include "base/cleanup.h"

/* Remembers what stderr is now: words go there and nowhere else. */
void say_init(void);
/* "libgraft-hijack.so: ...", one line, errno kept. */
void say(const char *format, ...) _printf_(1, 2);
