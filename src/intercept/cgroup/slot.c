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
	uint32_t zero = 0;
	int map = programs->maps[MAP_CONTROL];

	if (bpf_map_lookup_elem(map, &zero, &control) < 0)
		return -errno;
	*ret = control.next++;
	return bpf_map_update_elem(map, &zero, &control, BPF_ANY) < 0 ? -errno : 0;
}

static void set_spot(struct spot *spot, const struct endpoint *endpoint)
{
	spot->port = htons(endpoint->port);
	if (endpoint->kind == ENDPOINT_IPV4) {
		spot->family = AF_INET;
		memcpy(spot->address, &endpoint->v4, sizeof(endpoint->v4));
	} else if (endpoint->kind == ENDPOINT_IPV6) {
		spot->family = AF_INET6;
		memcpy(spot->address, &endpoint->v6, sizeof(endpoint->v6));
	}
}

/* Its binders are of interest: its port is not known before, or whether it is there. */
static bool is_kept(const struct endpoint *endpoint)
{
	return endpoint->kind == ENDPOINT_NAMED || endpoint->port == 0 ||
	       endpoint->options & ENDPOINT_BOUND;
}

static int number_endpoint(const struct cgroup_programs *programs, uint32_t slot,
			   const struct endpoint *endpoint, uint32_t *ret)
{
	struct endpoint_key key = { .slot = endpoint->kind == ENDPOINT_NAMED ? 0 : slot };
	struct endpoint_value value = { 0 };
	int r;

	strncpy(key.name, endpoint->name, sizeof(key.name) - 1);
	if (bpf_map_lookup_elem(programs->maps[MAP_NAMES], &key, ret) == 0)
		return 0;
	r = next_number(programs, ret);
	if (r < 0)
		return r;
	set_spot(&value.at, endpoint);
	if (is_kept(endpoint) && bpf_map_update_elem(programs->maps[MAP_ENDPOINTS], ret,
						     &value, BPF_NOEXIST) < 0)
		return -errno;
	return bpf_map_update_elem(programs->maps[MAP_NAMES], &key, ret, BPF_NOEXIST) < 0
		       ? -errno
		       : 0;
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

/* The rules as text, behind the cells; no program reads it. */
static int add_text(const struct policy *policy, struct image_cell **cells, size_t *n)
{
	const size_t line = 512;
	size_t n_rules = policy_n_rules(policy), size = 0, more;
	_cleanup_free_ char *text = malloc(n_rules * (line + 1) + 1);
	struct image_cell *larger;

	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < n_rules; i++) {
		size += policy_print_rule(policy_rule(policy, i), text + size, line);
		text[size++] = '\n';
	}
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

static int make_map(const struct image_cell *cells, size_t n)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
	LIBBPF_OPTS(bpf_map_batch_opts, batch);
	_cleanup_free_ uint32_t *keys = malloc(n * sizeof(*keys));
	uint32_t count = (uint32_t)n;
	int fd, r;

	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		keys[i] = (uint32_t)i;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "graft_image", sizeof(uint32_t),
			    sizeof(*cells), count, &options);
	if (fd < 0)
		return -errno;
	if (bpf_map_update_batch(fd, keys, cells, &count, &batch) == 0)
		return fd;
	r = -errno;
	fd_close(fd);
	return r;
}

int slot_fill(struct cgroup_programs *programs, uint32_t image,
	      const struct policy *policy, unsigned int flags)
{
	_cleanup_free_ struct image_cell *cells = NULL;
	_cleanup_fd_ int map = -1;
	size_t n;
	int r = image_new(policy, &cells, &n);

	if (r < 0)
		return r;
	if (flags & CGROUP_AUDIT)
		cells[1].word[0] |= IMAGE_AUDIT;
	r = add_text(policy, &cells, &n);
	if (r == 0)
		r = number_endpoints(programs, CGROUP_SLOT(image), policy, cells);
	if (r < 0)
		return r;
	map = make_map(cells, n);
	if (map < 0)
		return map;
	return bpf_map_update_elem(programs->maps[MAP_IMAGES], &image, &map, BPF_ANY) < 0
		       ? -errno
		       : 0;
}

/* One endpoint of @slot's after the other, from the start again each time: what was found
 * is gone by then. */
static void forget_endpoints(struct cgroup_programs *programs, uint32_t slot)
{
	int names = programs->maps[MAP_NAMES];
	struct endpoint_key key, next;
	void *at = NULL;
	uint32_t number;

	while (bpf_map_get_next_key(names, at, &next) == 0) {
		if (next.slot == slot &&
		    bpf_map_lookup_elem(names, &next, &number) == 0) {
			bpf_map_delete_elem(programs->maps[MAP_ENDPOINTS], &number);
			bpf_map_delete_elem(names, &next);
			continue;
		}
		key = next;
		at = &key;
	}
}

void slot_empty(struct cgroup_programs *programs, uint32_t slot)
{
	for (uint32_t image = 2 * slot; image < 2 * slot + 2; image++)
		bpf_map_delete_elem(programs->maps[MAP_IMAGES], &image);
	forget_endpoints(programs, slot);
}

/* The slots of cgroups that are there. */
static int mark_used(const struct cgroup_programs *programs, bool *used)
{
	int map = programs->maps[MAP_JUDGED];
	uint64_t cgroup, next, image;
	void *at = NULL;

	while (bpf_map_get_next_key(map, at, &next) == 0) {
		if (bpf_map_lookup_elem(map, &next, &image) == 0 &&
		    CGROUP_SLOT(image) < CGROUP_SLOTS)
			used[CGROUP_SLOT(image)] = true;
		cgroup = next;
		at = &cgroup;
	}
	return errno == ENOENT ? 0 : -errno;
}

int slot_find(struct cgroup_programs *programs)
{
	_cleanup_free_ bool *used = calloc(CGROUP_SLOTS, sizeof(*used));
	int r = used ? mark_used(programs, used) : -ENOMEM;

	if (r < 0)
		return r;
	for (uint32_t slot = 1; slot < CGROUP_SLOTS; slot++) {
		if (used[slot])
			continue;
		slot_empty(programs, slot);
		return (int)slot;
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
	_cleanup_fd_ int map = slot_open(programs, image);
	struct image_cell cell;
	uint32_t one = 1;

	if (map < 0)
		return map;
	if (bpf_map_lookup_elem(map, &one, &cell) < 0)
		return -errno;
	*ret = cell.word[0];
	return 0;
}
