/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct policy_reach;

#define PLAN_TRAPS_MAX 16

/* The calls that a run with this policy would trap, by name; @is_judged: where the kernel
 * judges. Return: how many; 0 when nothing needs supervision. */
size_t plan_traps(const struct policy_reach *reach, bool is_judged,
		  const char *ret_names[PLAN_TRAPS_MAX]);
