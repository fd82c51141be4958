/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bind(), the port it got, and the tables of who is bound.
 */
#pragma once

#include "intercept/cgroup/loopback.bpf.h"
#include "intercept/cgroup/made.bpf.h"
#include "intercept/cgroup/trace.bpf.h"

/* The kernel refuses to bind it again, and what its program sees stays as it is. */
static __always_inline int is_bound(struct bpf_sock_addr *ctx)
{
	return ctx->sk && ctx->sk->src_port;
}

static __always_inline int bind_endpoint(struct bpf_sock_addr *ctx, struct call *call,
					 struct spot *given)
{
	int error = find_endpoint(ctx, call, given);

	if (!error && !is_bound(ctx)) {
		error = note_made(ctx, call, given);
		if (!error && !note_bind(ctx, &call->asked, given, call->endpoint))
			error = ENOBUFS;
	}
	if (error)
		return error;
	let_out(ctx, call, given);
	call->is_led = 1;
	call->may_be_low = 1;
	return 0;
}

/* It is bound where it says. */
static __always_inline int bind_there(struct bpf_sock_addr *ctx, struct call *call)
{
	struct view *view;
	int error;

	if (is_bound(ctx))
		return 0;
	view = view_of(ctx, 0);
	if (view)
		view->cookie = 0;
	error = note_made(ctx, call, &call->asked);
	if (!error)
		let_out(ctx, call, &call->asked);
	return error;
}

/* Return: 0, or the error to fail with; in @given what came of it. */
__noinline int settle_bind(struct bpf_sock_addr *ctx, struct call *call,
			   struct spot *given)
{
	int error;

	if (!call || !given)
		return EPERM;
	switch (target_of(call)) {
	case TARGET_DENY:
		return call->more >> 16;
	case TARGET_ENDPOINT:
		return bind_endpoint(ctx, call, given);
	default:
		if (is_own(call) && !is_bound(ctx)) {
			error = bind_own(ctx, call, given);
			if (!error)
				error = note_made(ctx, call, given);
			call->is_led = 1;
			return error;
		}
		if (leads_nowhere(call) && !is_bound(ctx))
			return EADDRNOTAVAIL;
		if (call->flags & IMAGE_ISOLATED)
			call->may_be_low = 1;
		return bind_there(ctx, call);
	}
}

/* Return: 1 the call goes on, 3 and may take a privileged port, 0 it is refused. */
static __always_inline int judge_bind(struct bpf_sock_addr *ctx, int is_v6)
{
	struct call call = {};
	struct spot given;
	int error;

	if (!take_up(&call, ctx, JUDGE_BIND, is_v6, &error))
		return error;
	given = call.asked;
	error = settle_bind(ctx, &call, &given);
	if (!error && call.is_led)
		spot_set(ctx, &given, is_v6);
	if (!end(&call, &given, error))
		return 0;
	return call.may_be_low ? 3 : 1;
}

SEC("cgroup/bind4") int graft_bind4(struct bpf_sock_addr *ctx)
{
	return judge_bind(ctx, 0);
}

SEC("cgroup/bind6") int graft_bind6(struct bpf_sock_addr *ctx)
{
	return judge_bind(ctx, 1);
}

/* Return: whether a rule let it that has been revoked meanwhile. */
static __always_inline int note_made_bound(struct notes *notes)
{
	void *cells = judge_open(image_now());
	const struct image_cell *more = cells ? judge_cell(cells, 1) : NULL;
	int is_revoked = 0;

#pragma unroll
	for (int i = 0; i < CGROUP_MADE; i++) {
		struct made *made = &notes->made[i];
		const struct image_cell *outcome;

		if (made->op != JUDGE_BIND || !made->edition)
			continue;
		made->is_true = 1;
		if (!more || !(more->word[0] & IMAGE_REVOKES) ||
		    more->word[1] != made->edition)
			continue;
		outcome = judge_outcome(cells, made->rule);
		is_revoked |= outcome && outcome->word[0] & IMAGE_REVOKED;
	}
	return is_revoked;
}

/*
 * The bind has succeeded: the port it really got, and the endpoint's table. The cookie
 * says that it was replaced; a bind that failed left it behind, and the next one changed
 * it.
 */
static __always_inline int note_bound(struct bpf_sock *ctx, struct spot *at)
{
	struct notes *notes = bpf_sk_storage_get(&graft_made, ctx, 0, 0);
	struct view *view = bpf_sk_storage_get(&graft_views, ctx, 0, 0);
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct binder binder = {};
	int is_kept = 0, error;

	if (notes && note_made_bound(notes)) {
		fail_with(EACCES);
		return 0;
	}
	if (!view || view->cookie != cookie)
		return 1;
	view->bound_is.port = at->port;
	view->flags |= VIEW_BOUND;
	binder.cookie = cookie;
	binder.netns = bpf_get_netns_cookie(ctx);
	binder.socket = (__u64)raw_of(ctx);
	binder.at = *at;
	binder.proto = proto_of(ctx->type, ctx->protocol);
	binder.life = life_of(view->endpoint);
	if (view->slot)
		error = add_own(view, binder.proto, at);
	else
		error = add_binder(view->endpoint, &binder, &is_kept) ? EPERM : 0;
	if (error == EPERM)
		trace_refused(TRACED_BIND, binder.proto, TRACED_FULL, 0,
			      &view->bound_asked);
	if (error) {
		fail_with(error);
		return 0;
	}
	if (is_kept)
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
	if (!at.address[0] && !at.address[1] && at.address[2] == bpf_htonl(0xffff)) {
		at.family = AF_INET;
		at.address[0] = at.address[3];
		at.address[2] = at.address[3] = 0;
	}
	return YES_OR_NO(note_bound(ctx, &at));
}

SEC("cgroup/sock_release") int graft_release(struct bpf_sock *ctx)
{
	struct view *view = bpf_sk_storage_get(&graft_views, ctx, 0, 0);
	__u64 cookie;

	brief_end(ctx);
	if (!view || !(view->flags & (VIEW_FILLS | VIEW_OWN)))
		return 1;
	cookie = bpf_get_socket_cookie(ctx);
	if (view->cookie != cookie)
		return 1;
	if (view->flags & VIEW_OWN)
		drop_own(view, proto_of(ctx->type, ctx->protocol));
	else
		drop_binder(view->endpoint, cookie);
	return 1;
}
