/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What `graft run --engine af_graft` needs: the kernel module, and in the program's
 * namespace the names of policy/module_name.h.
 */
#pragma once

#include <sys/types.h>

struct policy;
struct run_info;
struct run_module;
struct stacks;

/* Whether the engine can work here. Return: 0, or -errno after one line. */
int run_module_check(const struct policy *policy);

/*
 * Finds the stacks of a run, and adds what @policy needs to the table of the namespace
 * that @program is in. While the caller still has its capabilities. Return: 0 with what
 * run_module_count() takes; or -errno after one line.
 */
int run_module_new(struct run_module **ret, struct stacks *ret_stacks,
		   const struct policy *policy, pid_t program);

/* What the module counted. */
void run_module_count(struct run_module *module, struct run_info *ret);
