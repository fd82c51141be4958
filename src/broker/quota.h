/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much of everything one user may have.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum quota_kind {
	QUOTA_ENDPOINTS,
	QUOTA_CONNECTIONS,
	QUOTA_HELD,     /* sockets kept for endpoints with `hold` */
	QUOTA_SUPPLIES, /* channels of sockets made ahead of need */
	QUOTA_WATCHERS,
	QUOTA_N,
};

/* For one user, or for every user without limits of his own. */
struct quota_limits {
	uint32_t max[QUOTA_N];
};

#define QUOTA_UNLIMITED UINT32_MAX

/* Who is counted for: a user, or root of one container. */
struct quota_who {
	uid_t uid;
	bool is_admin;
	uint64_t netns; /* of root that is not the administrator; else 0 */
};

static inline struct quota_who quota_who(uid_t uid, bool is_admin, uint64_t netns)
{
	return (struct quota_who){ uid, is_admin, uid == 0 && !is_admin ? netns : 0 };
}

/* One of them, while there is anything to count. */
struct user {
	struct quota_who who;
	uint32_t n[QUOTA_N];
	unsigned int n_references;
	uint64_t turn;       /* of the server, that @budget is for */
	unsigned int budget; /* messages he may still send in it */
	struct user *next;
};

struct quota;

/* "endpoints", "connections" ... Return: the kind or -1. */
int quota_kind_from_name(const char *name, size_t size);
const char *quota_kind_name(enum quota_kind kind);

struct quota *quota_new(void);
/* Users that somebody still refers to live on. */
struct quota *quota_free(struct quota *quota);

/* Back to what there is without configuration. */
void quota_reset(struct quota *quota);
void quota_set_default(struct quota *quota, enum quota_kind kind, uint32_t max);
/* Return: 0 or -ENOMEM. */
int quota_set(struct quota *quota, uid_t uid, enum quota_kind kind, uint32_t max);

/* Return: the user, with a reference that quota_unref() gives back; NULL: no memory. */
struct user *quota_ref(struct quota *quota, const struct quota_who *who);
void quota_unref(struct quota *quota, struct user *user);

/* Counts one more. Return: 0, or -EDQUOT and nothing is counted. Each one taken holds a
 * reference. @force counts beyond the limit too. */
int quota_take(struct quota *quota, struct user *user, enum quota_kind kind, bool force);
void quota_give(struct quota *quota, struct user *user, enum quota_kind kind);
/* Of all users together. */
void quota_totals(const struct quota *quota, uint64_t ret[QUOTA_N]);
uint32_t quota_max(const struct quota *quota, const struct user *user,
		   enum quota_kind kind);
