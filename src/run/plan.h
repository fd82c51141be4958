/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

struct policy_reach;

#define PLAN_TRAPS_MAX 16

/* The calls that a run with this policy would trap, by name. Return: how many; 0 when
 * nothing needs supervision. */
size_t plan_traps(const struct policy_reach *reach,
		  const char *ret_names[PLAN_TRAPS_MAX]);
