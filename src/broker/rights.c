/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Identity for file access is fsuid, fsgid and the supplementary groups. The kernel sets
 * capabilities for file access aside by itself when fsuid leaves 0; we set all of them
 * aside, so that nothing the call does is more than that user could do.
 *
 * The way back needs capabilities, so they return first: raising what is permitted is
 * always allowed.
 */
#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/rights.h"

static const struct __user_cap_header_struct header = {
	.version = _LINUX_CAPABILITY_VERSION_3,
};

static int get_capabilities(struct __user_cap_data_struct *ret)
{
	struct __user_cap_header_struct h = header;

	return syscall(SYS_capget, &h, ret) < 0 ? -errno : 0;
}

static int set_capabilities(const struct __user_cap_data_struct *data)
{
	struct __user_cap_header_struct h = header;

	return syscall(SYS_capset, &h, data) < 0 ? -errno : 0;
}

static int clear_effective(const struct __user_cap_data_struct *kept)
{
	struct __user_cap_data_struct data[RIGHTS_CAPABILITY_WORDS];

	memcpy(data, kept, sizeof(data));
	for (size_t i = 0; i < RIGHTS_CAPABILITY_WORDS; i++)
		data[i].effective = 0;
	return set_capabilities(data);
}

/* These two say the old value whether or not they did anything. */
bool rights_set_file_identity(uid_t uid, gid_t gid)
{
	setfsgid(gid);
	setfsuid(uid);
	return setfsuid((uid_t)-1) == (int)uid && setfsgid((gid_t)-1) == (int)gid;
}

/* The caller frees. */
static int get_groups(gid_t **ret, int *ret_n)
{
	int n = getgroups(0, NULL);
	gid_t *groups;

	if (n < 0)
		return -errno;
	groups = calloc((size_t)n + 1, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	n = getgroups(n, groups);
	if (n < 0) {
		free(groups);
		return -errno;
	}
	*ret = groups;
	*ret_n = n;
	return 0;
}

static bool is_self(const struct rights *rights)
{
	return rights->uid == geteuid() && rights->gid == getegid();
}

static int change_identity(const struct rights *rights, struct rights_kept *kept)
{
	int n = 0, r = get_groups(&kept->groups, &n);

	if (r < 0)
		return r;
	kept->uid = (uid_t)setfsuid((uid_t)-1);
	kept->gid = (gid_t)setfsgid((gid_t)-1);
	if (setgroups(rights->n_groups, rights->groups) < 0)
		return -errno;
	kept->n_groups = n;
	return rights_set_file_identity(rights->uid, rights->gid) ? 0 : -EPERM;
}

int rights_assume(const struct rights *rights, struct rights_kept *ret)
{
	struct rights_kept kept = { .n_groups = -1 };
	int r = get_capabilities(kept.capabilities);

	if (r < 0)
		return r;
	if (rights && !is_self(rights))
		r = change_identity(rights, &kept);
	if (r == 0)
		r = clear_effective(kept.capabilities);
	if (r < 0) {
		rights_resume(&kept);
		return r;
	}
	*ret = kept;
	return 0;
}

void rights_resume(struct rights_kept *kept)
{
	bool is_back = set_capabilities(kept->capabilities) == 0;

	if (is_back && kept->n_groups >= 0)
		is_back = setgroups((size_t)kept->n_groups, kept->groups) == 0 &&
			  rights_set_file_identity(kept->uid, kept->gid) &&
			  set_capabilities(kept->capabilities) == 0;
	if (!is_back)
		abort();
	free(kept->groups);
	kept->groups = NULL;
	kept->n_groups = -1;
}
