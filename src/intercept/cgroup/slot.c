/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policies in the kernel: an image each, in a slot.
 *
 * An image names an endpoint by its number, which the endpoint keeps while its policy is
 * replaced by one that has the same name: who is bound there stays bound.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/cgroup/internal.h"
#include "policy/policy.h"

static int next_number(const struct cgroup_programs *programs, uint32_t *ret)
{
	struct control control;
	int r = control_read(programs, &control);

	if (r < 0)
		return r;
	*ret = control.next++;
	return control_write(programs, &control);
}

/* Its binders are of interest: its port is not known before, or whether it is there. */
static bool is_kept(const struct endpoint *endpoint)
{
	if (endpoint->kind == ENDPOINT_UNIX)
		return false;
	return endpoint->kind == ENDPOINT_NAMED || endpoint->port == 0 ||
	       endpoint->options & ENDPOINT_BOUND;
}

static int number_endpoint(const struct cgroup_programs *programs, uint32_t slot,
			   const struct endpoint *endpoint, uint32_t *ret)
{
	struct endpoint_key key = { .slot = endpoint->kind == ENDPOINT_NAMED ? 0 : slot };
	struct endpoint_value value = { 0 };
	bool is_known;
	int r;

	strncpy(key.name, endpoint->name, sizeof(key.name) - 1);
	is_known = bpf_map_lookup_elem(programs->maps[MAP_NAMES], &key, ret) == 0;
	r = is_known ? 0 : next_number(programs, ret);
	if (r < 0)
		return r;
	if (is_kept(endpoint) &&
	    bpf_map_update_elem(programs->maps[MAP_ENDPOINTS], ret, &value, BPF_NOEXIST) <
		    0 &&
	    errno != EEXIST)
		return -errno;
	if (!is_known &&
	    bpf_map_update_elem(programs->maps[MAP_NAMES], &key, ret, BPF_NOEXIST) < 0)
		return -errno;
	return 0;
}

int cgroup_name_endpoints(struct cgroup_programs *programs, const struct policy *policy)
{
	int r = programs_lock(programs);
	uint32_t number;

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < policy_n_endpoints(policy); i++)
		if (policy_endpoint(policy, i)->kind == ENDPOINT_NAMED)
			r = number_endpoint(programs, 0, policy_endpoint(policy, i),
					    &number);
	programs_unlock(programs);
	return r;
}

static int number_endpoints(const struct cgroup_programs *programs, uint32_t slot,
			    const struct policy *policy, struct image_cell *cells)
{
	size_t n = policy_n_endpoints(policy);
	_cleanup_free_ uint32_t *numbers = calloc(n + 1, sizeof(*numbers));
	int r = numbers ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = number_endpoint(programs, slot, policy_endpoint(policy, i),
				    &numbers[i]);
	for (size_t i = 0; r == 0 && i < policy_n_rules(policy); i++) {
		struct image_cell *outcome = image_outcome(cells, i);

		if (outcome->word[2] != IMAGE_NONE)
			outcome->word[2] = numbers[outcome->word[2]];
	}
	return r;
}

/* The rules as text, behind the cells, for people; an outcome says where its rule's is,
 * in bytes from the first cell, and the next outcome where that ends. */
static int add_text(const struct policy *policy, struct image_cell **cells, size_t *n)
{
	const size_t line = 512;
	size_t n_rules = policy_n_rules(policy), size = 0, more;
	_cleanup_free_ char *text = malloc(n_rules * (line + 1) + 1);
	struct image_cell *larger;

	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < n_rules; i++) {
		image_outcome(*cells, i)->word[3] =
			(uint32_t)(*n * sizeof(**cells) + size);
		size += policy_print_rule(policy_rule(policy, i), text + size, line);
		text[size++] = '\n';
	}
	image_outcome(*cells, n_rules)->word[3] = (uint32_t)(*n * sizeof(**cells) + size);
	more = (size + sizeof(**cells) - 1) / sizeof(**cells);
	larger = reallocarray(*cells, *n + more, sizeof(**cells));
	if (!larger)
		return -ENOMEM;
	memset(larger + *n, 0, more * sizeof(*larger));
	memcpy(larger + *n, text, size);
	larger[1].word[2] = (uint32_t)*n;
	larger[1].word[3] = (uint32_t)(more * sizeof(*larger));
	*cells = larger;
	*n += more;
	return 0;
}

static int write_cells(int map, const struct image_cell *cells, size_t n)
{
	LIBBPF_OPTS(bpf_map_batch_opts, batch);
	_cleanup_free_ uint32_t *keys = malloc(n * sizeof(*keys));
	uint32_t count = (uint32_t)n;

	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		keys[i] = (uint32_t)i;
	return bpf_map_update_batch(map, keys, cells, &count, &batch) < 0 ? -errno : 0;
}

/* With room for so many cells, of which @n are written. Return: a descriptor, or -errno.
 */
static int make_map(const struct image_cell *cells, size_t n, size_t room)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
	int r, fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "graft_image", sizeof(uint32_t),
				   sizeof(*cells), (uint32_t)room, &options);

	if (fd < 0)
		return -errno;
	r = n ? write_cells(fd, cells, n) : 0;
	if (r == 0)
		return fd;
	fd_close(fd);
	return r;
}

/* An image of nothing: what would be judged by it is refused. */
static int make_nothing(void)
{
	const struct image_cell cell = { 0 };

	return make_map(&cell, 1, 1);
}

/* For one of @n cells, and for what it may grow to. */
static size_t room_for(size_t n)
{
	return n + n / 4;
}

/* Writes the cells where an image was that no call is judged by, if there is room and not
 * too much. It saves the time the kernel takes to put another map there. */
static int write_over(const struct cgroup_programs *programs, uint32_t image,
		      const struct image_cell *cells, size_t n)
{
	_cleanup_fd_ int map = slot_open(programs, image);
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	if (map < 0)
		return map;
	if (bpf_obj_get_info_by_fd(map, &info, &size) < 0)
		return -errno;
	if (info.max_entries < n || info.max_entries / 2 > n)
		return -E2BIG;
	return write_cells(map, cells, n);
}

int slot_put(const struct cgroup_programs *programs, uint32_t image,
	     const struct image_cell *cells, size_t n)
{
	_cleanup_fd_ int map = -1;
	int r = retired_wait(programs, image);

	if (r < 0)
		return r;
	if (write_over(programs, image, cells, n) == 0)
		return 0;
	map = make_map(cells, n, room_for(n));
	if (map < 0)
		return map;
	return bpf_map_update_elem(programs->maps[MAP_IMAGES], &image, &map, BPF_ANY) < 0
		       ? -errno
		       : 0;
}

/* The same for a slot that has none, and room for another one beside it: the kernel waits
 * once for both, so the first replacement does not. */
static int put_first(const struct cgroup_programs *programs, uint32_t image,
		     const struct image_cell *cells, size_t n)
{
	LIBBPF_OPTS(bpf_map_batch_opts, batch);
	_cleanup_fd_ int map = make_map(cells, n, room_for(n));
	_cleanup_fd_ int spare = make_map(NULL, 0, room_for(n));
	const uint32_t images[] = { image, image ^ 1 };
	const int maps[] = { map, spare };
	uint32_t count = ARRAY_SIZE(maps);

	if (map < 0 || spare < 0)
		return map < 0 ? map : spare;
	return bpf_map_update_batch(programs->maps[MAP_IMAGES], images, maps, &count,
				    &batch) < 0
		       ? -errno
		       : 0;
}

/* How many cells an image has, with its text; behind them may be what it was written
 * over. */
static size_t n_cells(const struct image_cell *cells)
{
	return cells[1].word[2] + cells[1].word[3] / sizeof(*cells);
}

int slot_read(const struct cgroup_programs *programs, uint32_t image,
	      struct image_cell **ret_cells, size_t *ret_n)
{
	LIBBPF_OPTS(bpf_map_batch_opts, batch);
	struct bpf_map_info info = { 0 };
	_cleanup_free_ struct image_cell *cells = NULL;
	_cleanup_free_ uint32_t *keys = NULL;
	_cleanup_fd_ int map = slot_open(programs, image);
	uint32_t size = sizeof(info), next, n;

	if (map < 0)
		return map;
	if (bpf_obj_get_info_by_fd(map, &info, &size) < 0)
		return -errno;
	n = info.max_entries;
	cells = calloc(n, sizeof(*cells));
	keys = calloc(n, sizeof(*keys));
	if (!cells || !keys)
		return -ENOMEM;
	if (bpf_map_lookup_batch(map, NULL, &next, keys, cells, &n, &batch) < 0 &&
	    errno != ENOENT) /* that was all */
		return -errno;
	if (n != info.max_entries || n < IMAGE_HEAD || n_cells(cells) > n ||
	    cells[0].word[1] > n_cells(cells))
		return -EBADMSG;
	*ret_n = n_cells(cells);
	*ret_cells = steal_pointer(cells);
	return 0;
}

/* One cell of the image of that number. Return: 0 or -errno. */
static int read_cell(const struct cgroup_programs *programs, uint32_t image, uint32_t at,
		     struct image_cell *ret)
{
	_cleanup_fd_ int map = slot_open(programs, image);

	if (map < 0)
		return map;
	return bpf_map_lookup_elem(map, &at, ret) < 0 ? -errno : 0;
}

/* image_first() of the image of that number, read alone. Return: 0 or -errno. */
static int read_first(const struct cgroup_programs *programs, uint32_t image,
		      uint32_t *ret)
{
	struct image_cell cell;
	int r = read_cell(programs, image, 0, &cell);

	if (r == 0)
		r = read_cell(programs, image,
			      cell.word[3] + IMAGE_OUTCOME * cell.word[2] + 1, &cell);
	if (r == 0)
		*ret = cell.word[0];
	return r;
}

/* One more of the policy that the slot's other image is of, or the first. */
static int set_edition(const struct cgroup_programs *programs, uint32_t image,
		       struct image_cell *cells)
{
	uint32_t first = 0;
	int r = next_number(programs, image_edition(cells));

	++*image_edition(cells); /* 0 is none */
	*image_first(cells) = *image_edition(cells);
	if (r == 0 && read_first(programs, image ^ 1, &first) == 0)
		*image_first(cells) = first;
	return r;
}

int slot_fill(struct cgroup_programs *programs, uint32_t image,
	      const struct policy *policy, unsigned int flags, bool is_first)
{
	_cleanup_free_ struct image_cell *cells = NULL;
	size_t n;
	int r = image_new(policy, &cells, &n);

	if (r < 0)
		return r;
	if (flags & CGROUP_AUDIT)
		cells[1].word[0] |= IMAGE_AUDIT;
	if (flags & CGROUP_ISOLATED)
		cells[1].word[0] |= IMAGE_ISOLATED;
	if (flags & CGROUP_UNJUDGED)
		cells[1].word[0] |= IMAGE_UNJUDGED;
	r = add_text(policy, &cells, &n);
	if (r == 0)
		r = number_endpoints(programs, CGROUP_SLOT(image), policy, cells);
	if (r == 0)
		r = set_edition(programs, image, cells);
	if (r < 0)
		return r;
	return is_first ? put_first(programs, image, cells, n)
			: slot_put(programs, image, cells, n);
}

/* The kernel returns from a change of a map of maps, whichever, when no program has what
 * was there; membarrier() does so neither on one processor nor with nohz_full. */
int calls_wait(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);
	const uint32_t size = sizeof(uint32_t), zero = 0;
	_cleanup_fd_ int outer = -1,
			 inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "graft_none", size,
						size, 1, NULL);

	if (inner < 0)
		return -errno;
	options.inner_map_fd = (uint32_t)inner;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "graft_nones", size, size, 1,
			       &options);
	if (outer < 0 || bpf_map_update_elem(outer, &zero, &inner, BPF_ANY) < 0)
		return -errno;
	return 0;
}

/* --- slots --- */

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
	_cleanup_fd_ int nothing = make_nothing();
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

int slot_open(const struct cgroup_programs *programs, uint32_t image)
{
	uint32_t id;
	int fd;

	if (bpf_map_lookup_elem(programs->maps[MAP_IMAGES], &image, &id) < 0)
		return -errno;
	fd = bpf_map_get_fd_by_id(id);
	return fd < 0 ? -errno : fd;
}

int slot_flags(const struct cgroup_programs *programs, uint32_t image, uint32_t *ret)
{
	struct image_cell cell;
	int r = read_cell(programs, image, 1, &cell);

	if (r == 0)
		*ret = cell.word[0];
	return r;
}
