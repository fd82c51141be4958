/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `shortcut on` where a supervisor judges and makes the sockets: BPF programs on the
 * cgroup it makes them in bring two of them together past TCP, and leave each call as it
 * is (CGROUP_UNJUDGED).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "run/scope.h"

struct policy;

/* Whether @policy wants it. */
bool run_shortcut_is_on(const struct policy *policy);
/* Whether this kernel has what it takes; if not, says so. */
bool run_shortcut_check(void);
/*
 * For the sockets that tasks of @cgroup, which stays the caller's, make from now on;
 * until the cgroup goes. Takes root. Return: 0, or -errno after one line. @ret_served,
 * which may be NULL: a descriptor for run_shortcut_serve(), the caller's.
 */
int run_shortcut_attach(int cgroup, int *ret_served);
/* @socket, which listens, is reached at @port, too. Takes CAP_BPF. Return: 0 or
 * -errno. */
int run_shortcut_serve(int served, int socket, uint16_t port);
/* A cgroup of @run's own with that, for the supervisor to join. Return: 0, or -errno
 * after one line. */
int run_shortcut_new(struct scope *ret, pid_t run);
