/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program's namespaces: a user namespace in which everybody keeps his id, and a
 * network namespace with loopback alone.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Enters both. Ids mean nothing there until namespaces_map(). Return: 0 or -errno. */
int namespaces_enter(void);
/*
 * Called by the parent: every id of ours maps to itself in the user namespace of @child:
 * all of them when we may (root), else the caller's own two. Return: 0 or -errno.
 */
int namespaces_map(pid_t child, bool *ret_is_whole);
/* What the program's network namespace should look like. */
struct namespaces_wish {
	bool has_v4, has_v6; /* the host has addresses of that family outside loopback */
	char ping[64];       /* groups that may ping, as the sysctl says it */
};

/* Looks at the namespace of the caller. */
void namespaces_look(struct namespaces_wish *ret);
/* Called inside, after the mapping: loopback up, addresses, and what a program without
 * capabilities may do there (@is_whole false: low ports, ping). Return: 0 or -errno. */
int namespaces_furnish(const struct namespaces_wish *wish, bool is_whole);
