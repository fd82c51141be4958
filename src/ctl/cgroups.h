/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What `graft ps` says of the cgroups that the kernel judges: root's own, those of runs
 * and those that `graft attach` put a policy on.
 */
#pragma once

#include <json-c/json.h>

#include "ctl/runs.h"
#include "run/judged_list.h"
#include "wire/wire.h"

/* The run's own cgroup, or NULL. */
const struct judged_cgroup *cgroups_of_run(const struct judged_list *list,
					   const struct wire_run *run);
/* Is it no run's of @runs, and the one @wanted, unless that is NULL? */
bool cgroups_is_shown(const struct judged_cgroup *cgroup, const struct runs *runs,
		      const char *wanted);
/* "3 rules, 27 calls" */
void cgroups_summary(const struct judged_cgroup *cgroup, char *text, size_t size);
/* As an object like that of a run; the caller's. */
struct json_object *cgroups_object(const struct judged_cgroup *cgroup);
/* A socket of it in the words of a run. */
void cgroups_graft(const struct judged_cgroup *cgroup, const struct cgroup_socket *socket,
		   struct wire_graft *ret);
/* The rule by which the socket with this cookie is there. Return: whether it is known. */
bool cgroups_rule(const struct judged_cgroup *cgroup, uint64_t cookie, char *text,
		  size_t size);
