/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which cgroups have a policy.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "intercept/cgroup/internal.h"

int cgroup_list(struct cgroup_programs *programs, uint64_t **ret_ids, size_t *ret_n)
{
	_cleanup_free_ uint64_t *ids = calloc(CGROUP_SLOTS, sizeof(*ids));
	uint64_t cgroup, next;
	uint32_t image;
	void *at = NULL;
	size_t n = 0;

	if (!ids)
		return -ENOMEM;
	while (n < CGROUP_SLOTS &&
	       bpf_map_get_next_key(programs->maps[MAP_JUDGED], at, &next) == 0) {
		if (image_of(programs, next, &image) == 0)
			ids[n++] = next;
		cgroup = next;
		at = &cgroup;
	}
	*ret_ids = steal_pointer(ids);
	*ret_n = n;
	return 0;
}
