/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images as BPF programs have them, and what the judge is to know of that. Who includes
 * this defines judge_open() and judge_is_bound(), then includes judge.bpf.h.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "policy/image.h"

struct image_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct image_cell));
};

#define JUDGE_IMAGE                      __u32
#define JUDGE_CELLS                      void *
#define JUDGE_CALL                       __noinline
#define JUDGE_LOOP(n, function, context) bpf_loop(n, function, context, 0)

static __always_inline struct image_cell *judge_cell(void *cells, image_u32 number)
{
	return bpf_map_lookup_elem(cells, &number);
}
