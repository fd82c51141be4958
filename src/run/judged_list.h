/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cgroups that the kernel judges by this build's programs, for root.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "intercept/cgroup/cgroup.h"

struct judged_cgroup {
	char *path; /* as in /proc/PID/cgroup */
	struct cgroup_counters counters;
	struct cgroup_revoked sockets; /* that are there by a rule, as they are */
};

struct judged_list {
	struct judged_cgroup *items; /* by path */
	size_t n;
};

/*
 * Nothing is loaded for it. @has_sockets: with them, which takes a look at every socket
 * of the system for each.
 *
 * Return: 0, judged_list_release() then; there is none for others than root. Or -errno.
 */
int judged_list_new(struct judged_list *ret, bool has_sockets);
void judged_list_release(struct judged_list *list);

/* How many calls were judged since its policy is what it is. */
uint64_t judged_calls(const struct judged_cgroup *judged);
/* The rule of that number, from 1, as text; "" if there is none. */
void judged_rule(const struct judged_cgroup *judged, size_t number, char *text,
		 size_t size);
