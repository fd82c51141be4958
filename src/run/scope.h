/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cgroup of a run's own, below the caller's: graft-run-PID, or graft-run-PID-N where
 * that is taken. It goes with the run; one that was left behind goes with the next.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct scope {
	int cgroup;  /* its directory, locked while the run lasts */
	int sockets; /* of scope_add_sockets(), or -1 */
	int parent;
	char name[32];
};

/* Return: 0, or -errno after one line. */
int scope_new(struct scope *ret, pid_t run);
/*
 * A cgroup below it for threads, not processes: those of a process in @scope may be in it
 * one by one. Return: 0 or -errno (-EOPNOTSUPP: the caller's cgroup is one itself).
 */
int scope_add_sockets(struct scope *scope);
/* The calling thread moves there; its process is in @scope. Return: 0 or -errno. */
int scope_join_sockets(const struct scope *scope);
/* Removes those that were left behind below the caller's cgroup. */
void scope_sweep(void);
/* Once nobody is left in it, but for the calling process, which goes to the parent. */
void scope_remove(struct scope *scope);
/* The calling process moves there. Return: 0 or -errno. */
int scope_join(int cgroup);
/* Whether the directory @cgroup, of that @name, is the cgroup of a run that goes on. */
bool scope_is_live(int cgroup, const char *name);
/* Where the hierarchy of cgroup v2 is mounted. Return: 0, -ENODEV: nowhere. */
int scope_mount(char *path, size_t size);
/* The path of the cgroup that has this id, as in /proc/PID/cgroup. Return: 0; -ESTALE: it
 * is gone; another -errno. */
int scope_path(uint64_t id, char *path, size_t size);
