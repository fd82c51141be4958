/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything a client can make grow is counted for its user (the uid graftd sees, so that
 * a user's containers count with him). A limit lowered by a reload takes nothing away
 * that is there already.
 *
 * The administrator has no limit but what is good for all (REGISTRY_MAX, descriptors),
 * unless the configuration gives his uid one. Root in a container is not him, nor root in
 * another container, although their uid may be the same: each is counted by its network
 * namespace, and without CAP_SYS_ADMIN it gets no second one. Other users are not told
 * apart by namespace: in user namespaces of theirs they could have any number.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/quota.h"

#define QUOTA_BUCKETS 256

struct limited {
	uid_t uid;
	bool is_set[QUOTA_N];
	struct quota_limits limits;
};

struct quota {
	struct quota_limits defaults;
	struct limited *limited; /* users with limits of their own */
	size_t n_limited;
	struct user *users[QUOTA_BUCKETS];
};

static const struct {
	const char *name;
	uint32_t max; /* without configuration, but for the administrator */
} kinds[QUOTA_N] = {
	[QUOTA_ENDPOINTS] = { "endpoints", 1000 },
	[QUOTA_CONNECTIONS] = { "connections", 1024 },
	[QUOTA_HELD] = { "held", 64 },
	[QUOTA_SUPPLIES] = { "supplies", 1024 },
	[QUOTA_WATCHERS] = { "watchers", 16 },
};

int quota_kind_from_name(const char *name, size_t size)
{
	for (int i = 0; i < QUOTA_N; i++)
		if (strlen(kinds[i].name) == size &&
		    memcmp(kinds[i].name, name, size) == 0)
			return i;
	return -1;
}

const char *quota_kind_name(enum quota_kind kind)
{
	return kinds[kind].name;
}

void quota_reset(struct quota *quota)
{
	for (int i = 0; i < QUOTA_N; i++)
		quota->defaults.max[i] = kinds[i].max;
	free(quota->limited);
	quota->limited = NULL;
	quota->n_limited = 0;
}

struct quota *quota_new(void)
{
	struct quota *quota = calloc(1, sizeof(*quota));

	if (quota)
		quota_reset(quota);
	return quota;
}

struct quota *quota_free(struct quota *quota)
{
	if (!quota)
		return NULL;
	free(quota->limited);
	free(quota);
	return NULL;
}

void quota_set_default(struct quota *quota, enum quota_kind kind, uint32_t max)
{
	quota->defaults.max[kind] = max;
}

static struct limited *find_limited(const struct quota *quota, uid_t uid)
{
	for (size_t i = 0; i < quota->n_limited; i++)
		if (quota->limited[i].uid == uid)
			return &quota->limited[i];
	return NULL;
}

int quota_set(struct quota *quota, uid_t uid, enum quota_kind kind, uint32_t max)
{
	struct limited *limited = find_limited(quota, uid);

	if (!limited) {
		limited = reallocarray(quota->limited, quota->n_limited + 1,
				       sizeof(*limited));
		if (!limited)
			return -ENOMEM;
		quota->limited = limited;
		limited += quota->n_limited++;
		*limited = (struct limited){ .uid = uid };
	}
	limited->is_set[kind] = true;
	limited->limits.max[kind] = max;
	return 0;
}

uint32_t quota_max(const struct quota *quota, const struct user *user,
		   enum quota_kind kind)
{
	const struct limited *limited = find_limited(quota, user->who.uid);

	if (limited && limited->is_set[kind])
		return limited->limits.max[kind];
	return user->who.is_admin ? QUOTA_UNLIMITED : quota->defaults.max[kind];
}

static struct user **bucket_of(struct quota *quota, const struct quota_who *who)
{
	return &quota->users[(who->uid + who->netns) % QUOTA_BUCKETS];
}

static bool is_same(const struct quota_who *a, const struct quota_who *b)
{
	return a->uid == b->uid && a->is_admin == b->is_admin && a->netns == b->netns;
}

struct user *quota_ref(struct quota *quota, const struct quota_who *who)
{
	struct user **bucket = bucket_of(quota, who);
	struct user *user = *bucket;

	while (user && !is_same(&user->who, who))
		user = user->next;
	if (!user) {
		user = calloc(1, sizeof(*user));
		if (!user)
			return NULL;
		user->who = *who;
		user->next = *bucket;
		*bucket = user;
	}
	user->n_references++;
	return user;
}

void quota_unref(struct quota *quota, struct user *user)
{
	struct user **at = bucket_of(quota, &user->who);

	if (--user->n_references)
		return;
	while (*at != user)
		at = &(*at)->next;
	*at = user->next;
	free(user);
}

int quota_take(struct quota *quota, struct user *user, enum quota_kind kind, bool force)
{
	if (!force && user->n[kind] >= quota_max(quota, user, kind))
		return -EDQUOT;
	user->n[kind]++;
	user->n_references++;
	return 0;
}

void quota_give(struct quota *quota, struct user *user, enum quota_kind kind)
{
	user->n[kind]--;
	quota_unref(quota, user);
}

void quota_totals(const struct quota *quota, uint64_t ret[QUOTA_N])
{
	memset(ret, 0, QUOTA_N * sizeof(*ret));
	for (size_t bucket = 0; bucket < QUOTA_BUCKETS; bucket++)
		for (const struct user *u = quota->users[bucket]; u; u = u->next)
			for (int i = 0; i < QUOTA_N; i++)
				ret[i] += u->n[i];
}
