/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bind(), the port it got, and the tables of who is bound.
 */
#pragma once

#include "intercept/cgroup/trace.bpf.h"

/* Return: 1 the call goes on, 3 and may take a privileged port, 0 it is refused. */
static __always_inline int judge_bind(struct bpf_sock_addr *ctx, int is_v6)
{
	struct call call = {};
	struct spot given = {};
	struct view *view;
	int error;

	if (!take_up(&call, ctx, JUDGE_BIND, is_v6, &error))
		return error;
	switch (IMAGE_TARGET(call.outcome->word[0])) {
	case TARGET_DENY:
		return end(&call, &call.asked, call.outcome->word[1] >> 16, 1);
	case TARGET_ENDPOINT:
		break;
	default:
		view = view_of(ctx, 0);
		if (view)
			view->cookie = 0;
		return end(&call, &call.asked, 0, 1);
	}
	error = find_endpoint(&call, &given);
	view = error ? NULL : view_of(ctx, 1);
	if (!view)
		return end(&call, &given, error ? error : ENOBUFS, 1);
	view->cookie = bpf_get_socket_cookie(ctx);
	view->endpoint = call.outcome->word[2];
	view->bound_asked = call.asked;
	view->bound_is = given;
	spot_set(ctx, &given, is_v6);
	return end(&call, &given, 0, 3);
}

SEC("cgroup/bind4") int graft_bind4(struct bpf_sock_addr *ctx)
{
	return judge_bind(ctx, 0);
}

SEC("cgroup/bind6") int graft_bind6(struct bpf_sock_addr *ctx)
{
	return judge_bind(ctx, 1);
}

/* 0 or 1, as the verifier can see. */
#define YES_OR_NO(value)                      \
	__extension__({                       \
		__u32 is_ = (value);          \
		asm volatile("" : "+r"(is_)); \
		is_ & 1;                      \
	})

/*
 * The bind has succeeded: the port it really got, and the endpoint's table. The cookie
 * says that it was replaced; a bind that failed left it behind, and the next one changed
 * it.
 */
static __always_inline int note_bound(struct bpf_sock *ctx, struct spot *at)
{
	struct view *view = bpf_sk_storage_get(&graft_views, ctx, 0, 0);
	__u64 cookie = bpf_get_socket_cookie(ctx);
	__u32 endpoint, proto, full = 1;
	struct binders *binders;

	if (!view || view->cookie != cookie)
		return 1;
	view->bound_is.port = at->port;
	view->flags |= VIEW_BOUND;
	endpoint = view->endpoint;
	binders = bpf_map_lookup_elem(&graft_endpoints, &endpoint);
	if (!binders)
		return 1; /* not one that is kept */
	proto = proto_of(ctx->type, ctx->protocol);
	bpf_spin_lock(&binders->lock);
	if (binders->n < CGROUP_BINDERS) {
		struct binder *binder = &binders->of[binders->n];

		binder->cookie = cookie;
		binder->at = *at;
		binder->proto = proto;
		binders->n++;
		full = 0;
	}
	bpf_spin_unlock(&binders->lock);
	if (full) {
		trace_refused(TRACED_BIND, proto, TRACED_FULL, 0, &view->bound_asked);
		return 0;
	}
	view->flags |= VIEW_FILLS;
	return 1;
}

SEC("cgroup/post_bind4") int graft_post_bind4(struct bpf_sock *ctx)
{
	struct spot at = {};

	at.family = AF_INET;
	at.address[0] = ctx->src_ip4;
	at.port = bpf_htons(ctx->src_port);
	return YES_OR_NO(note_bound(ctx, &at));
}

SEC("cgroup/post_bind6") int graft_post_bind6(struct bpf_sock *ctx)
{
	struct spot at = {};

	at.family = AF_INET6;
	at.address[0] = ctx->src_ip6[0];
	at.address[1] = ctx->src_ip6[1];
	at.address[2] = ctx->src_ip6[2];
	at.address[3] = ctx->src_ip6[3];
	at.port = bpf_htons(ctx->src_port);
	return YES_OR_NO(note_bound(ctx, &at));
}

SEC("cgroup/sock_release") int graft_release(struct bpf_sock *ctx)
{
	struct view *view = bpf_sk_storage_get(&graft_views, ctx, 0, 0);
	struct binders *binders;
	__u64 cookie;
	__u32 endpoint;

	if (!view || !(view->flags & VIEW_FILLS))
		return 1;
	cookie = bpf_get_socket_cookie(ctx);
	if (view->cookie != cookie)
		return 1;
	endpoint = view->endpoint;
	binders = bpf_map_lookup_elem(&graft_endpoints, &endpoint);
	if (!binders)
		return 1;
	bpf_spin_lock(&binders->lock);
	for (__u32 i = 0; i < CGROUP_BINDERS; i++) {
		if (i >= binders->n)
			break;
		if (binders->of[i].cookie == cookie) {
			__u32 last = --binders->n;

			MASKED(last);
			binders->of[i] = binders->of[last];
			break;
		}
	}
	bpf_spin_unlock(&binders->lock);
	return 1;
}
