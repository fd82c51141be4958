/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel has counted, read back from the image it judges by.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/cgroup/internal.h"

static int read_cells(int map, uint32_t from, struct image_cell *cells, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = from + i;

		if (bpf_map_lookup_elem(map, &at, &cells[i]) < 0)
			return -errno;
	}
	return 0;
}

static int read_hits(int map, const struct image_cell *head, struct cgroup_counters *ret)
{
	for (size_t i = 0; i <= ret->n_rules; i++) {
		uint32_t at = head->word[3] + IMAGE_OUTCOME * (uint32_t)i;
		struct image_cell cells[IMAGE_OUTCOME];
		int r = read_cells(map, at, cells, IMAGE_OUTCOME);

		if (r < 0)
			return r;
		ret->is_revoked[i] = cells[0].word[0] & IMAGE_REVOKED;
		memcpy(&ret->hits[i], &cells[2], sizeof(ret->hits[i]));
	}
	return 0;
}

static int read_text(int map, const struct image_cell *more, struct cgroup_counters *ret)
{
	uint32_t size = more->word[3], n = (uint32_t)(size / sizeof(struct image_cell));
	struct image_cell *cells = calloc(n + 1, sizeof(*cells));

	ret->text = (char *)cells;
	return cells ? read_cells(map, more->word[2], cells, n) : -ENOMEM;
}

static int count(const struct cgroup_programs *programs, int cgroup,
		 struct cgroup_counters *ret)
{
	struct cgroup_counters counters = { 0 };
	struct image_cell head[2];
	_cleanup_fd_ int map = -1;
	uint32_t image = 0;
	int r = image_judging(programs, cgroup, &image);

	if (r < 0)
		return r;
	map = image_open(programs, image);
	if (map < 0)
		return map;
	r = read_cells(map, 0, head, 2);
	if (r < 0)
		return r;
	counters.n_rules = head[0].word[2];
	counters.is_audit = head[1].word[0] & IMAGE_AUDIT;
	counters.hits = calloc(counters.n_rules + 1, sizeof(uint64_t));
	counters.is_revoked = calloc(counters.n_rules + 1, sizeof(bool));
	r = counters.hits && counters.is_revoked ? read_hits(map, &head[0], &counters)
						 : -ENOMEM;
	if (r == 0)
		r = read_text(map, &head[1], &counters);
	if (r < 0)
		cgroup_counters_release(&counters);
	else
		*ret = counters;
	return r;
}

int cgroup_count(struct cgroup_programs *programs, int cgroup,
		 struct cgroup_counters *ret)
{
	/* The image may be written over when it was replaced. */
	int r = programs_lock(programs);

	if (r < 0)
		return r;
	r = count(programs, cgroup, ret);
	programs_unlock(programs);
	return r;
}

void cgroup_counters_release(struct cgroup_counters *counters)
{
	free(counters->hits);
	free(counters->is_revoked);
	free(counters->text);
	*counters = (struct cgroup_counters){ 0 };
}
