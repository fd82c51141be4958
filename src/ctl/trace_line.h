/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A call that the kernel judged, as a line for people or an object for programs.
 */
#pragma once

#include <stdint.h>

struct traced;

/* Both write a line to stdout. Return: 0 or -errno. */
int trace_line_print(const struct traced *traced);
int trace_line_print_json(const struct traced *traced);
/* The same of calls that were lost. */
int trace_line_print_lost(uint64_t n);
int trace_line_print_lost_json(uint64_t n);
