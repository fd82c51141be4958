/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of the registry, with all that belongs to one: rights, quota, journal,
 * generation page, events.
 */
#pragma once

#include <stddef.h>

#include "broker/identity.h"
#include "broker/registry.h"
#include "policy/policy.h"

struct graftd;
struct user;

/* What was wrong, in one sentence. */
struct change_error {
	char text[256];
};

/* Return: 0; -EINVAL, -EPERM, -EACCES, -EEXIST, -EDQUOT, -ENOSPC ... and why. */
int change_add(struct graftd *graftd, const struct identity *who, const char *text,
	       struct change_error *error);
/* Return: 0; -ENOENT, -EPERM. */
int change_del(struct graftd *graftd, const struct identity *who, const char *name,
	       struct change_error *error);
/* The endpoints of the configuration file become those of @policy. Return: 0, or -errno
 * when not all could be. */
int change_file(struct graftd *graftd, const struct policy *policy);
/* Takes @entry out; @who NULL: graftd itself. */
void change_drop(struct graftd *graftd, struct entry *entry, const struct identity *who);
/* What is bound to @entry now, from entry->use, goes to the journal. */
int change_bound(struct graftd *graftd, const struct entry *entry);

/* Writes what this turn changed; compacts when it is time. Return: 0, or -errno: what was
 * said to have happened may be lost. */
int change_commit(struct graftd *graftd);
/* Writes the journal anew. Return: 0 or -errno. */
int change_compact(struct graftd *graftd);

/* Who an entry is to belong to. */
struct change_owner {
	uint64_t netns;
	uid_t uid;
	gid_t gid;
	unsigned int flags; /* enum entry_flag */
};

/* No more than counting it and putting it into its table, for a journal that is being
 * read; @force: whatever the quota. Return: 0 or -errno. */
int change_insert(struct graftd *graftd, const struct change_owner *owner,
		  const char *line, size_t size, bool force, struct entry **ret);
/* The way back, with what is bound. */
void change_take_out(struct graftd *graftd, struct entry *entry);
