/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cgroup of a run's own, below the caller's: graft-run-PID, or graft-run-PID-N where
 * that is taken. It goes with the run; one that was left behind goes with the next.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct scope {
	int cgroup; /* its directory, locked while the run lasts */
	int parent;
	char name[32];
};

/* Return: 0, or -errno after one line. */
int scope_new(struct scope *ret, pid_t run);
/* Once nobody is left in it. */
void scope_remove(struct scope *scope);
/* The calling process moves there. Return: 0 or -errno. */
int scope_join(int cgroup);
/* Where the hierarchy of cgroup v2 is mounted. Return: 0, -ENODEV: nowhere. */
int scope_mount(char *path, size_t size);
/* The path of the cgroup that has this id, as in /proc/PID/cgroup. Return: 0; -ESTALE: it
 * is gone; another -errno. */
int scope_path(uint64_t id, char *path, size_t size);
