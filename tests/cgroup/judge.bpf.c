/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The judge alone, for many calls at a time: what is in calls[], or in paths[], comes out
 * in rules[].
 */
#include "intercept/cgroup/image.bpf.h"

#define N_CALLS     1024
#define N_ENDPOINTS 64

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct image_map);
} images SEC(".maps");

__u8 is_bound[N_ENDPOINTS];

static __always_inline void *judge_open(__u32 image)
{
	return bpf_map_lookup_elem(&images, &image);
}

static __always_inline int judge_is_bound(__u32 image, image_u32 endpoint)
{
	return is_bound[endpoint & (N_ENDPOINTS - 1)];
}

#include "intercept/cgroup/judge.bpf.h"
#include "intercept/cgroup/judge_path.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, N_CALLS);
	__type(key, __u32);
	__type(value, struct judge_call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, N_CALLS);
	__type(key, __u32);
	__type(value, __u32);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, N_CALLS);
	__type(key, __u32);
	__type(value, struct judge_path);
} paths SEC(".maps");

static long judge_one(__u32 i, void *context)
{
	struct judge_call *given = bpf_map_lookup_elem(&calls, &i), call;
	__u32 *rule = bpf_map_lookup_elem(&rules, &i);

	if (!given || !rule)
		return 1;
	call = *given;
	*rule = judge(0, &call);
	return 0;
}

SEC("tc") int judge_all(struct __sk_buff *skb)
{
	bpf_loop(N_CALLS, judge_one, NULL, 0);
	return 0;
}

static long judge_one_path(__u32 i, void *context)
{
	struct judge_path *path = bpf_map_lookup_elem(&paths, &i);
	__u32 *rule = bpf_map_lookup_elem(&rules, &i);

	if (!path || !rule)
		return 1;
	*rule = judge_path(0, path);
	return 0;
}

SEC("tc") int judge_paths(struct __sk_buff *skb)
{
	bpf_loop(N_CALLS, judge_one_path, NULL, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
