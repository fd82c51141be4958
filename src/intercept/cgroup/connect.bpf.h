/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connect().
 */
#pragma once

#include "intercept/cgroup/loopback.bpf.h"
#include "intercept/cgroup/trace.bpf.h"

static __always_inline int bind_first(struct bpf_sock_addr *ctx, const struct spot *from,
				      int is_v6)
{
	if (is_v6) {
		struct {
			__u16 family, port;
			__u32 flow, address[4], scope;
		} in6 = { AF_INET6,
			  from->port,
			  0,
			  { from->address[0], from->address[1], from->address[2],
			    from->address[3] },
			  0 };

		return bpf_bind(ctx, (void *)&in6, sizeof(in6));
	}
	struct {
		__u16 family, port;
		__u32 address, zero[2];
	} in = { AF_INET, from->port, from->address[0], { 0, 0 } };

	return bpf_bind(ctx, (void *)&in, sizeof(in));
}

/* The call may fail yet: whom the socket is connected to is kept. */
static __always_inline struct view *note_peer(struct bpf_sock_addr *ctx,
					      const struct spot *asked,
					      const struct spot *given, int is_v6)
{
	struct view *view = view_of(ctx, 1);
	struct peer *peer;

	if (!view)
		return NULL;
	peer = &view->peers[0];
	if (peer->is.family && !spot_is(&peer->is, given) &&
	    is_peer_now(ctx, &peer->is, is_v6))
		peer = &view->peers[1];
	else if (spot_is(&view->peers[1].is, given))
		view->peers[1].is.family = 0;
	peer->asked = *asked;
	peer->is = *given;
	view->flags |= VIEW_PEER;
	return view;
}

/* @asked stands for itself from now on. */
static __always_inline void forget_peer(struct bpf_sock_addr *ctx,
					const struct spot *asked)
{
	struct view *view = view_of(ctx, 0);

	if (!view || !(view->flags & VIEW_PEER))
		return;
	for (int i = 0; i < 2; i++)
		if (spot_is(&view->peers[i].is, asked))
			view->peers[i].is.family = 0;
}

static __always_inline int find_target(const struct call *call, struct bpf_sock_addr *ctx,
				       struct spot *given)
{
	return target_of(call) == TARGET_ENDPOINT ? find_endpoint(ctx, call, given)
						  : find_own(ctx, call, given);
}

/* Where a connect is refused by the kernel itself, and at the time it would be: nobody
 * can be bound to port 0. Return: 0, or the error to fail with. */
static __always_inline int lead_to_nobody(const struct call *call, struct spot *given)
{
	int is_mapped = call->judged.is_v6 && judge_is_mapped(&call->judged);

	/* Its datagrams go through the hook for IPv4, which may not give them port 0. */
	if (is_mapped && call->judged.proto == 1)
		return ECONNREFUSED;
	given->port = 0;
	given->family = AF_INET;
	given->address[0] = bpf_htonl(0x7f000001);
	given->address[1] = given->address[2] = given->address[3] = 0;
	if (is_mapped) {
		spot_map(given);
	} else if (call->judged.is_v6) {
		given->family = AF_INET6;
		spot_to_loopback(given, 1);
	}
	return 0;
}

/* Whom it talks to there is to be shown by what they asked for. */
static __always_inline void note_own(struct view *view, const struct call *call)
{
	if (target_of(call) != TARGET_OWN)
		return;
	if (!view->slot)
		view->slot = CGROUP_SLOT(call->image);
	if (!(view->flags & VIEW_BOUND))
		keep_in(view, call);
}

/* To an endpoint, or to the policy's own loopback. Return: 0 with @given, or the error to
 * fail with. */
static __always_inline int connect_elsewhere(struct bpf_sock_addr *ctx, struct call *call,
					     struct spot *given)
{
	int error = find_target(call, ctx, given), is_v6 = call->judged.is_v6;
	struct view *view;

	if (error == ECONNREFUSED)
		error = lead_to_nobody(call, given);
	spot_unwild(&call->asked, is_v6);
	if (!error)
		error = note_made(ctx, call, given);
	if (error)
		return error;
	call->is_led = 1;
	if (call->is_brief && target_of(call) == TARGET_ENDPOINT)
		return 0;
	view = note_peer(ctx, &call->asked, given, is_v6);
	if (!view)
		return ENOBUFS;
	note_own(view, call);
	let_out(ctx, call, given);
	return 0;
}

static __always_inline int connect_from(struct bpf_sock_addr *ctx, struct call *call,
					struct spot *given)
{
	int error = find_endpoint(ctx, call, given);

	if (!error && ctx->sk && !ctx->sk->src_port)
		error = -bind_first(ctx, given, call->judged.is_v6);
	if (!error)
		error = note_made(ctx, call, &call->asked);
	if (error)
		return error;
	forget_peer(ctx, &call->asked);
	let_out(ctx, call, &call->asked);
	return 0;
}

/* It goes where it says. */
static __always_inline int connect_there(struct bpf_sock_addr *ctx, struct call *call)
{
	forget_peer(ctx, &call->asked);
	return note_made(ctx, call, &call->asked);
}

/* Return: 0, or the error to fail with; in @given what came of it. */
__noinline int settle_connect(struct bpf_sock_addr *ctx, struct call *call,
			      struct spot *given)
{
	int error;

	if (!call || !given)
		return EPERM;
	switch (target_of(call)) {
	case TARGET_DENY:
		return call->more >> 16;
	case TARGET_FROM:
		return connect_from(ctx, call, given);
	case TARGET_ENDPOINT:
		return connect_elsewhere(ctx, call, given);
	default:
		if (is_own(call))
			return connect_elsewhere(ctx, call, given);
		if (leads_nowhere(call))
			return ENETUNREACH;
		error = connect_there(ctx, call);
		if (!error)
			let_out(ctx, call, &call->asked);
		return error;
	}
}

/* Return: as the programs. */
static __always_inline int judge_connect(struct bpf_sock_addr *ctx, int is_v6)
{
	struct call call = {};
	struct spot given;
	int error;

	if (!take_up(&call, ctx, JUDGE_CONNECT, is_v6, &error))
		return error;
	given = call.asked;
	error = goes_there(&call) ? connect_there(ctx, &call)
				  : settle_connect(ctx, &call, &given);
	if (!error && call.is_led)
		spot_set(ctx, &given, is_v6);
	return end(&call, &given, error);
}

SEC("cgroup/connect4") int graft_connect4(struct bpf_sock_addr *ctx)
{
	return judge_connect(ctx, 0);
}

SEC("cgroup/connect6") int graft_connect6(struct bpf_sock_addr *ctx)
{
	return judge_connect(ctx, 1);
}
