/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Endpoints in the kernel.
 *
 * An image names one by its number, which it keeps while its policy is replaced by one
 * that has the same name: who is bound there stays bound.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "intercept/cgroup/internal.h"
#include "policy/policy.h"

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
	r = is_known ? 0 : control_next(programs, ret);
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

int endpoints_number(const struct cgroup_programs *programs, uint32_t slot,
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
