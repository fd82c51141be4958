/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots: the number of a policy in the kernel, which all that it has there goes by, and
 * which is another policy's when all of that is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/cgroup/internal.h"

static bool has_slot(const struct slots *slots, uint32_t slot)
{
	return slot < CGROUP_SLOTS && slots->used[slot / 64] >> slot % 64 & 1;
}

static void add_slot(struct slots *slots, uint32_t slot)
{
	if (slot < CGROUP_SLOTS)
		slots->used[slot / 64] |= UINT64_C(1) << slot % 64;
}

static int read_slots(const struct cgroup_programs *programs, struct slots *ret)
{
	uint32_t zero = 0;

	return bpf_map_lookup_elem(programs->maps[MAP_SLOTS], &zero, ret) < 0 ? -errno
									      : 0;
}

static int write_slots(const struct cgroup_programs *programs, const struct slots *slots)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(programs->maps[MAP_SLOTS], &zero, slots, BPF_ANY) < 0
		       ? -errno
		       : 0;
}

/* Their endpoints. The one before those that go is kept: what was found is gone. */
static void forget_endpoints(struct cgroup_programs *programs, const struct slots *gone)
{
	int names = programs->maps[MAP_NAMES];
	struct endpoint_key key, next;
	void *at = NULL;
	uint32_t number;

	while (bpf_map_get_next_key(names, at, &next) == 0) {
		if (has_slot(gone, next.slot) &&
		    bpf_map_lookup_elem(names, &next, &number) == 0) {
			bpf_map_delete_elem(programs->maps[MAP_ENDPOINTS], &number);
			bpf_map_delete_elem(names, &next);
			continue;
		}
		key = next;
		at = &key;
	}
}

static void forget_loopback(struct cgroup_programs *programs, const struct slots *gone)
{
	int map = programs->maps[MAP_LOOPBACK];
	struct loopback_key key, next;
	uint32_t none = 0;
	void *at = NULL;

	while (bpf_map_get_next_key(map, at, &next) == 0) {
		if (has_slot(gone, next.slot)) {
			bpf_map_delete_elem(map, &next);
			continue;
		}
		key = next;
		at = &key;
	}
	for (uint32_t slot = 0; slot < CGROUP_SLOTS; slot++)
		if (has_slot(gone, slot))
			bpf_map_update_elem(programs->maps[MAP_LOOPBACK_N], &slot, &none,
					    BPF_ANY);
}

/* What sockets left that were closed when their policy was gone. */
static void forget_brief(struct cgroup_programs *programs, const struct slots *gone)
{
	LIBBPF_OPTS(bpf_map_batch_opts, batch);
	int map = programs->maps[MAP_BRIEF];
	_cleanup_free_ struct brief *all = calloc(CGROUP_BRIEF, sizeof(*all));
	_cleanup_free_ uint32_t *keys = calloc(CGROUP_BRIEF, sizeof(*keys));
	const struct brief none = { 0 };
	uint32_t next, n = CGROUP_BRIEF;

	if (!all || !keys)
		return;
	if (bpf_map_lookup_batch(map, NULL, &next, keys, all, &n, &batch) < 0 &&
	    errno != ENOENT) /* that was all */
		return;
	for (uint32_t i = 0; i < n; i++)
		if (all[i].cookie && has_slot(gone, all[i].slot))
			bpf_map_update_elem(map, &keys[i], &none, BPF_ANY);
}

/*
 * Puts an image of nothing in the place of theirs, one for all: the kernel waits after
 * each removal from such a map, and once after many that are put there at once.
 */
static int forget_images(struct cgroup_programs *programs, const struct slots *gone)
{
	LIBBPF_OPTS(bpf_map_batch_opts, batch);
	_cleanup_free_ uint32_t *images = malloc(2 * CGROUP_SLOTS * sizeof(*images));
	_cleanup_free_ int *maps = malloc(2 * CGROUP_SLOTS * sizeof(*maps));
	_cleanup_fd_ int nothing = image_nothing();
	uint32_t n = 0;

	if (!images || !maps)
		return -ENOMEM;
	if (nothing < 0)
		return nothing;
	for (uint32_t image = 0; image < 2 * CGROUP_SLOTS; image++) {
		if (!has_slot(gone, CGROUP_SLOT(image)))
			continue;
		images[n] = image;
		maps[n++] = nothing;
	}
	return bpf_map_update_batch(programs->maps[MAP_IMAGES], images, maps, &n,
				    &batch) < 0
		       ? -errno
		       : 0;
}

/* Return: 0 or -errno; what could not be freed is tried again with the next. */
static int empty_slots(struct cgroup_programs *programs, const struct slots *gone)
{
	struct slots slots;
	int r = read_slots(programs, &slots);

	if (r == 0)
		r = forget_images(programs, gone);
	if (r < 0)
		return r;
	forget_endpoints(programs, gone);
	forget_loopback(programs, gone);
	forget_brief(programs, gone);
	for (size_t i = 0; i < CGROUP_SLOTS / 64; i++)
		slots.used[i] &= ~gone->used[i];
	return write_slots(programs, &slots);
}

void slot_empty(struct cgroup_programs *programs, uint32_t slot)
{
	struct slots gone = { 0 };

	add_slot(&gone, slot);
	empty_slots(programs, &gone);
}

/* The slots of cgroups that are there. */
static int find_judging(const struct cgroup_programs *programs, struct slots *ret)
{
	int map = programs->maps[MAP_JUDGED];
	struct judged judged;
	uint64_t cgroup, next;
	void *at = NULL;

	memset(ret, 0, sizeof(*ret));
	while (bpf_map_get_next_key(map, at, &next) == 0) {
		if (bpf_map_lookup_elem(map, &next, &judged) == 0)
			add_slot(ret, CGROUP_SLOT((uint32_t)judged.image));
		cgroup = next;
		at = &cgroup;
	}
	return errno == ENOENT ? 0 : -errno;
}

/* Frees what is used by none of @judging. */
static int empty_others(struct cgroup_programs *programs, const struct slots *judging)
{
	struct slots gone;
	uint64_t any = 0;
	int r = read_slots(programs, &gone);

	for (size_t i = 0; r == 0 && i < CGROUP_SLOTS / 64; i++)
		any |= gone.used[i] &= ~judging->used[i];
	return r < 0 || !any ? r : empty_slots(programs, &gone);
}

int slot_find(struct cgroup_programs *programs)
{
	struct slots judging;
	int r = find_judging(programs, &judging);

	if (r == 0)
		r = empty_others(programs, &judging);
	if (r < 0)
		return r;
	for (uint32_t slot = 1; slot < CGROUP_SLOTS; slot++) {
		if (has_slot(&judging, slot))
			continue;
		add_slot(&judging, slot);
		r = write_slots(programs, &judging);
		return r < 0 ? r : (int)slot;
	}
	return -ENOSPC;
}
