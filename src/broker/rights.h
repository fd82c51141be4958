/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Acting with the rights of somebody else for the length of one call. For a process with
 * one thread; without CAP_SETUID and CAP_SETGID it can only act as itself.
 */
#pragma once

#include <linux/capability.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct rights {
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;
};

#define RIGHTS_CAPABILITY_WORDS 2

struct rights_kept {
	struct __user_cap_data_struct capabilities[RIGHTS_CAPABILITY_WORDS];
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	int n_groups; /* -1: identity unchanged */
};

/*
 * Puts every effective capability aside and, unless @rights is NULL, takes the identity
 * it names for file access. Return: 0, and rights_resume() must follow; or -errno with
 * nothing changed.
 */
int rights_assume(const struct rights *rights, struct rights_kept *ret);
/* Ends the process if it cannot be what it was: it must not go on as somebody else. */
void rights_resume(struct rights_kept *kept);

/* The user and group for file access alone, which files and sockets we make belong to.
 * Return: whether they are these now. */
bool rights_set_file_identity(uid_t uid, gid_t gid);
