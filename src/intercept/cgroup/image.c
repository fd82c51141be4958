/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image of a policy in the kernel: a map of its cells, one of two of a slot.
 *
 * Whoever replaces a policy writes the image that is not judged by and has one store
 * switch (attach.c). It is written over where nobody can be judged by what it was
 * (retired.c) and there is room; else another map takes its place, for which the kernel
 * waits until no program has the old one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/cgroup/internal.h"
#include "policy/policy.h"

int image_open(const struct cgroup_programs *programs, uint32_t image)
{
	uint32_t id;
	int fd;

	if (bpf_map_lookup_elem(programs->maps[MAP_IMAGES], &image, &id) < 0)
		return -errno;
	fd = bpf_map_get_fd_by_id(id);
	return fd < 0 ? -errno : fd;
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

int image_nothing(void)
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
	_cleanup_fd_ int map = image_open(programs, image);
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

int image_put(const struct cgroup_programs *programs, uint32_t image,
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

int image_read(const struct cgroup_programs *programs, uint32_t image,
	       struct image_cell **ret_cells, size_t *ret_n)
{
	LIBBPF_OPTS(bpf_map_batch_opts, batch);
	struct bpf_map_info info = { 0 };
	_cleanup_free_ struct image_cell *cells = NULL;
	_cleanup_free_ uint32_t *keys = NULL;
	_cleanup_fd_ int map = image_open(programs, image);
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
	_cleanup_fd_ int map = image_open(programs, image);

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
	int r = control_next(programs, image_edition(cells));

	++*image_edition(cells); /* 0 is none */
	*image_first(cells) = *image_edition(cells);
	if (r == 0 && read_first(programs, image ^ 1, &first) == 0)
		*image_first(cells) = first;
	return r;
}

int image_fill(struct cgroup_programs *programs, uint32_t image,
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
		r = endpoints_number(programs, CGROUP_SLOT(image), policy, cells);
	if (r == 0)
		r = set_edition(programs, image, cells);
	if (r < 0)
		return r;
	return is_first ? put_first(programs, image, cells, n)
			: image_put(programs, image, cells, n);
}

int image_flags(const struct cgroup_programs *programs, uint32_t image, uint32_t *ret)
{
	struct image_cell cell;
	int r = read_cell(programs, image, 1, &cell);

	if (r == 0)
		*ret = cell.word[0];
	return r;
}
