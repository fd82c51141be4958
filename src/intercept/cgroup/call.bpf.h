/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A call: who judges it, what it comes to, and where an endpoint is.
 */
#pragma once

#include "intercept/cgroup/kernel.bpf.h"

static __always_inline void *judge_open(__u32 image)
{
	return bpf_map_lookup_elem(&graft_images, &image);
}

/* Endpoints stand in the image by their numbers, which no two policies share. */
static __always_inline int judge_is_bound(__u32 image, image_u32 endpoint)
{
	struct binders *binders = bpf_map_lookup_elem(&graft_endpoints, &endpoint);

	return binders && binders->n;
}

#include "intercept/cgroup/judge.bpf.h"

struct call {
	struct judge_call judged;
	struct image_cell *outcome, *address, *hits;
	struct spot asked;
	__u32 image, rule, flags;
};

/* The kernel has no call for it here; it stands near the structure's beginning. */
static __always_inline int is_v6only(struct bpf_sock *socket)
{
	__u64 head[8] = {};
	struct sock *sk = (void *)head;

	bpf_probe_read_kernel(head, sizeof(head), socket);
	return BPF_CORE_READ_BITFIELD(sk, __sk_common.skc_ipv6only);
}

static __always_inline __u8 proto_of(__u32 type, __u32 protocol)
{
	if (type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP))
		return 0;
	return type == SOCK_DGRAM &&
			       (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE)
		       ? 1
		       : JUDGE_OTHER;
}

static __always_inline void spot_of(struct spot *spot, struct bpf_sock_addr *ctx,
				    int is_v6)
{
	spot->port = ctx->user_port;
	if (is_v6) {
		spot->family = AF_INET6;
		spot->address[0] = ctx->user_ip6[0];
		spot->address[1] = ctx->user_ip6[1];
		spot->address[2] = ctx->user_ip6[2];
		spot->address[3] = ctx->user_ip6[3];
	} else {
		spot->family = AF_INET;
		spot->address[0] = ctx->user_ip4;
		spot->address[1] = spot->address[2] = spot->address[3] = 0;
	}
}

static __always_inline int spot_is(const struct spot *a, const struct spot *b)
{
	return a->port == b->port && a->address[0] == b->address[0] &&
	       a->address[1] == b->address[1] && a->address[2] == b->address[2] &&
	       a->address[3] == b->address[3];
}

static __always_inline void spot_set(struct bpf_sock_addr *ctx, const struct spot *spot,
				     int is_v6)
{
	ctx->user_port = spot->port;
	if (is_v6) {
		ctx->user_ip6[0] = spot->address[0];
		ctx->user_ip6[1] = spot->address[1];
		ctx->user_ip6[2] = spot->address[2];
		ctx->user_ip6[3] = spot->address[3];
	} else {
		ctx->user_ip4 = spot->address[0];
	}
}

/* Return: the image to be judged by, or 0. */
static __always_inline __u32 image_now(void)
{
	__u64 *image = bpf_get_local_storage(&graft_judged, 0);

	return image ? (__u32)*image : 0;
}

static __always_inline void describe(struct call *call, struct bpf_sock_addr *ctx, int op,
				     int is_v6)
{
	struct judge_call *judged = &call->judged;

	spot_of(&call->asked, ctx, is_v6);
	judged->op = op;
	judged->proto = proto_of(ctx->type, ctx->protocol);
	judged->is_v6 = is_v6;
	judged->v6only = is_v6 && ctx->sk && is_v6only(ctx->sk);
	judged->port = bpf_ntohs(call->asked.port);
	if (is_v6) {
		for (int i = 0; i < 4; i++)
			judged->address[i] = bpf_ntohl(call->asked.address[i]);
	} else {
		judged->address[2] = 0xffff;
		judged->address[3] = bpf_ntohl(call->asked.address[0]);
	}
}

/* Return: 0, or the error to fail with, where there should be a policy and is none. */
static __always_inline int look_up(struct call *call, struct bpf_sock_addr *ctx, int op,
				   int is_v6)
{
	struct image_cell *head, *more;
	void *cells;
	__u32 at;

	cells = judge_open(call->image);
	if (!cells)
		return EPERM;
	head = judge_cell(cells, 0);
	more = judge_cell(cells, 1);
	if (!head || !more || head->word[0] != IMAGE_VERSION)
		return EPERM;
	call->flags = more->word[0];
	describe(call, ctx, op, is_v6);
	call->rule = judge(call->image, &call->judged);
	at = head->word[3] +
	     IMAGE_OUTCOME * (call->rule == IMAGE_NONE ? head->word[2] : call->rule);
	call->outcome = judge_cell(cells, at);
	call->address = judge_cell(cells, at + 1);
	call->hits = judge_cell(cells, at + 2);
	if (!call->outcome || !call->address || !call->hits)
		return EPERM;
	__sync_fetch_and_add((__u64 *)call->hits, 1);
	return 0;
}

/*
 * A call begins. Return: whether it is to be judged; if not, @ret is what the program
 * returns: there is no policy, or it could not be read.
 */
static __always_inline int take_up(struct call *call, struct bpf_sock_addr *ctx, int op,
				   int is_v6, int *ret)
{
	int error;

	*ret = 1;
	call->image = image_now();
	if (!call->image)
		return 0;
	error = look_up(call, ctx, op, is_v6);
	if (!error)
		return 1;
	bpf_set_retval(-error);
	*ret = 0;
	return 0;
}

static __always_inline void trace(const struct call *call, const struct spot *given,
				  int error)
{
	__u32 zero = 0;
	struct control *control = bpf_map_lookup_elem(&graft_control, &zero);
	struct traced *traced;

	if (!control || !control->tracing)
		return;
	traced = bpf_ringbuf_reserve(&graft_traced, sizeof(*traced), 0);
	if (!traced)
		return;
	traced->time_ns = bpf_ktime_get_ns();
	traced->cgroup = bpf_get_current_cgroup_id();
	traced->pid = bpf_get_current_pid_tgid() >> 32;
	traced->slot = CGROUP_SLOT(call->image);
	traced->rule = call->rule;
	traced->error = error;
	traced->op = call->judged.op;
	traced->proto = call->judged.proto;
	traced->asked = call->asked;
	traced->given = *given;
	bpf_get_current_comm(traced->command, sizeof(traced->command));
	bpf_ringbuf_submit(traced, 0);
}

/* Return: what a program returns for a call that goes on, or fails with @error. */
static __always_inline int end(const struct call *call, const struct spot *given,
			       int error, int good)
{
	trace(call, given, error);
	if (!error || call->flags & IMAGE_AUDIT)
		return good;
	bpf_set_retval(-error);
	return 0;
}

/* Keeps @at, which is in range, where the verifier sees that it is. */
#define MASKED(at)                           \
	do {                                 \
		asm volatile("" : "+r"(at)); \
		(at) &= CGROUP_BINDERS - 1;  \
	} while (0)

/* One of @endpoint's binders, each as likely as another. Return: whether there is any. */
static __noinline int pick_binder(__u32 endpoint, __u32 proto, struct spot *ret)
{
	struct binders *binders = bpf_map_lookup_elem(&graft_endpoints, &endpoint);
	__u32 first = bpf_get_prandom_u32(), found = 0;

	if (!binders)
		return 0;
	bpf_spin_lock(&binders->lock);
	for (__u32 i = 0; i < CGROUP_BINDERS; i++) {
		__u32 at = first + i;

		if (i >= binders->n)
			break;
		at %= binders->n;
		MASKED(at);
		if (binders->of[at].proto != proto)
			continue;
		*ret = binders->of[at].at;
		found = 1;
		break;
	}
	bpf_spin_unlock(&binders->lock);
	return found;
}

/* ::1 and 127.0.0.1 instead of a wildcard address. */
static __always_inline void spot_to_loopback(struct spot *spot, int is_v6)
{
	if (is_v6) {
		spot->address[0] = spot->address[1] = spot->address[2] = 0;
		spot->address[3] = bpf_htonl(1);
	} else {
		spot->address[0] = bpf_htonl(0x7f000001);
	}
}

static __always_inline void spot_map(struct spot *spot)
{
	spot->address[3] = spot->address[0];
	spot->address[0] = spot->address[1] = 0;
	spot->address[2] = bpf_htonl(0xffff);
	spot->family = AF_INET6;
}

static __always_inline int spot_is_zero(const struct spot *spot)
{
	return !spot->address[0] && !spot->address[1] && !spot->address[2] &&
	       !spot->address[3];
}

/*
 * Where the outcome's endpoint is, for this socket: as set_endpoint() of
 * policy/resolve.c, and for one whose port is dynamic, where somebody is bound.
 *
 * Return: 0, or the error to fail with.
 */
static __always_inline int find_endpoint(const struct call *call, struct spot *given)
{
	const struct image_cell *outcome = call->outcome;
	__u32 kind = IMAGE_KIND(outcome->word[0]);
	int is_connect = call->judged.op == JUDGE_CONNECT;

	given->port = bpf_htons(outcome->word[1] & 0xffff);
	given->family = kind == KIND_IPV6 ? AF_INET6 : AF_INET;
	for (int i = 0; i < 4; i++)
		given->address[i] = call->address->word[i];
	if (is_connect && !given->port &&
	    IMAGE_TARGET(outcome->word[0]) == TARGET_ENDPOINT &&
	    !pick_binder(outcome->word[2], call->judged.proto, given))
		return ECONNREFUSED;
	if (is_connect && spot_is_zero(given) &&
	    IMAGE_TARGET(outcome->word[0]) == TARGET_ENDPOINT)
		spot_to_loopback(given, given->family == AF_INET6);
	if (!call->judged.is_v6 && given->family == AF_INET6) {
		/* A dual-stack server's wildcard. */
		if (given->address[0] | given->address[1] | given->address[2])
			return EAFNOSUPPORT;
		given->family = AF_INET;
		given->address[3] = 0;
		spot_to_loopback(given, 0);
	} else if (call->judged.is_v6 && given->family == AF_INET) {
		spot_map(given);
	}
	return 0;
}

static __always_inline struct view *view_of(struct bpf_sock_addr *ctx, int make)
{
	if (!ctx->sk)
		return NULL;
	return bpf_sk_storage_get(&graft_views, ctx->sk, 0,
				  make ? BPF_SK_STORAGE_GET_F_CREATE : 0);
}
