/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cgroups that the kernel judges: of a run whose program stays where its caller is, and
 * those that are there. All of this needs root, and says in one line what went wrong.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "run/scope.h"

struct cgroup_choice;
struct cgroup_counters;
struct cgroup_programs;
struct cgroup_trace_filter;
struct cgroup_tracer;
struct cgroup_revoked;
struct dns_server;
struct policy;

/* Return: 0, or -errno: the engine cannot serve @policy, or this user. */
int run_judged_check(const struct policy *policy);
/* A cgroup for @run, judged by @policy. Return: 0, or -errno. */
int run_judged_new(struct scope *ret, pid_t run, const struct policy *policy);

/*
 * Whether a supervised run leaves the judging to the kernel; if not, it says why. Then
 * there is a cgroup for @run, and one for the threads that make its sockets, which
 * @policy judges, isolated (CGROUP_ISOLATED). @ret_programs: cgroup_programs_free().
 * Descriptors of the caller that are not close-on-exec count as the program's.
 */
bool run_judged_choose(struct scope *ret, struct cgroup_programs **ret_programs,
		       pid_t run, const struct policy *policy);
/*
 * Opens the sockets of the DNS forwarder, as dns_open(), where the policy's own loopback
 * is; servers elsewhere are left out, for the rules alone lead to them. The calling
 * process is in @scope.
 */
void run_judged_dns(const struct scope *scope, struct dns_server *servers,
		    size_t *n_servers, int (*fds)[2]);

/* @cgroup: a directory, or a path from the top of the hierarchy. @flags: enum
 * cgroup_flag. Return: 0, or -errno. */
int run_judged_attach(const char *cgroup, const struct policy *policy,
		      unsigned int flags);
int run_judged_detach(const char *cgroup);
/* Called with a path as in /proc/PID/cgroup. */
typedef void run_judged_path_fn(const char *path, void *context);
/* Every policy that any build put on a cgroup, but for those of runs that go on, and what
 * is pinned. Calls @path for each cgroup that had one, or has one, if @is_dry. Return: 0,
 * or -errno: some may be left. */
int run_judged_detach_all(bool is_dry, run_judged_path_fn *path, void *context);
/* cgroup_counters_release() on success. */
int run_judged_count(const char *cgroup, struct cgroup_counters *ret);
/* @cgroup, or NULL, stands for that of @filter. cgroup_trace_close() on success. */
int run_judged_trace(const char *cgroup, const struct cgroup_trace_filter *filter,
		     struct cgroup_tracer **ret);
/* cgroup_revoked_release() on success. */
int run_judged_revoke(const char *cgroup, const struct cgroup_choice *choice,
		      struct cgroup_revoked *ret);
