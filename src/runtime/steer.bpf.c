/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See steer.h.
 */
#include "runtime/steer.h"

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/in.h>

#define AF_INET  2
#define AF_INET6 10
#define NULL     ((void *)0)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_MAX);
	__type(key, struct steer_key);
	__type(value, __u32);
} steer_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, STEER_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} steer_sockets SEC(".maps");

/* UDP ports, and those that are shown in their place. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STEER_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} steer_names SEC(".maps");

/* The supervisor's cgroup: it sees what is. */
const volatile __u64 steer_cgroup;

/* Return: is there a socket? */
static int assign(struct bpf_sk_lookup *ctx, const struct steer_key *key)
{
	__u32 *slot = bpf_map_lookup_elem(&steer_slots, key);
	struct bpf_sock *sk = slot ? bpf_map_lookup_elem(&steer_sockets, slot) : NULL;

	if (!sk)
		return 0;
	/* It refuses what does not fit: IPv6 to an IPv4 socket. */
	bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	return 1;
}

SEC("sk_lookup") int steer_lookup(struct bpf_sk_lookup *ctx)
{
	struct steer_key key = {};

	if (ctx->protocol != IPPROTO_TCP)
		return SK_PASS;
	key.family = ctx->family;
	key.port = bpf_htons((__u16)ctx->local_port);
	if (ctx->family == AF_INET) {
		key.address[0] = ctx->local_ip4;
	} else {
		key.address[0] = ctx->local_ip6[0];
		key.address[1] = ctx->local_ip6[1];
		key.address[2] = ctx->local_ip6[2];
		key.address[3] = ctx->local_ip6[3];
	}
	if (assign(ctx, &key))
		return SK_PASS;
	key.address[0] = key.address[1] = key.address[2] = key.address[3] = 0;
	assign(ctx, &key);
	return SK_PASS;
}

/* Sockets of UDP are where they seem to be, but for the port. */
static int show_port(struct bpf_sock_addr *ctx)
{
	__u32 key = bpf_ntohs((__u16)ctx->user_port);
	__u32 *port = bpf_map_lookup_elem(&steer_names, &key);

	if (port && bpf_get_current_cgroup_id() != steer_cgroup)
		ctx->user_port = bpf_htons((__u16)*port);
	return 1;
}

SEC("cgroup/getsockname4") int steer_name4(struct bpf_sock_addr *ctx)
{
	__u32 address = bpf_ntohl(ctx->user_ip4);

	if (ctx->protocol == IPPROTO_UDP)
		return show_port(ctx);
	if ((address & 0xffff0000) != HIDDEN4 ||
	    bpf_get_current_cgroup_id() == steer_cgroup)
		return 1;
	ctx->user_ip4 = 0;
	ctx->user_port = bpf_htons((__u16)address);
	return 1;
}

SEC("cgroup/getsockname6") int steer_name6(struct bpf_sock_addr *ctx)
{
	__u32 last = bpf_ntohl(ctx->user_ip6[3]);
	/* A word at a time: the verifier takes no other stores. */
	volatile __u32 *words;

	if (ctx->protocol == IPPROTO_UDP)
		return show_port(ctx);
	if (ctx->user_ip6[1] || bpf_get_current_cgroup_id() == steer_cgroup)
		return 1;
	if (ctx->user_ip6[0] == bpf_htonl(HIDDEN6_FIRST)) {
		if (ctx->user_ip6[2] != bpf_htonl(HIDDEN6_THIRD) || last > 0xffff)
			return 1;
	} else if (ctx->user_ip6[0] || ctx->user_ip6[2] != bpf_htonl(0xffff) ||
		   (last & 0xffff0000) != HIDDEN4) {
		return 1;
	}
	words = (volatile __u32 *)ctx->user_ip6;
	words[0] = 0;
	words[2] = 0;
	words[3] = 0;
	ctx->user_port = bpf_htons((__u16)last);
	return 1;
}

/* Some of what the kernel offers is for programs under the GPL alone, and ours may be
 * used under it: LGPL 2.1, section 3. */
char LICENSE[] SEC("license") = "GPL";
