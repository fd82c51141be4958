/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A run whose program stays where its caller is, in a cgroup that the kernel judges.
 */
#pragma once

#include <sys/types.h>

#include "run/scope.h"

struct policy;

/* Return: 0, or -errno after one line: the engine cannot serve @policy, or this user. */
int run_judged_check(const struct policy *policy);
/* A cgroup for @run, judged by @policy. Return: 0, or -errno after one line. */
int run_judged_new(struct scope *ret, pid_t run, const struct policy *policy);
