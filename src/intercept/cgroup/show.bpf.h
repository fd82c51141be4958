/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the program sees: getpeername(), getsockname(), the source of a datagram.
 */
#pragma once

#include "intercept/cgroup/loopback.bpf.h"
#include "intercept/cgroup/made.bpf.h"
#include "intercept/cgroup/send.bpf.h"

/* What was asked for to be connected to @is, or NULL. */
static __always_inline const struct spot *peer_asked(const struct view *view,
						     const struct spot *is)
{
	if (!(view->flags & VIEW_PEER))
		return NULL;
	for (int i = 0; i < 2; i++)
		if (view->peers[i].is.family && spot_is(is, &view->peers[i].is))
			return &view->peers[i].asked;
	return NULL;
}

/* The same of a stream, where that is noted in short. */
static __always_inline const struct spot *brief_asked(struct bpf_sock_addr *ctx,
						      const struct spot *is)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	const struct brief *brief = brief_at(cookie);

	return brief && brief->cookie == cookie && brief->edition &&
			       spot_is(is, &brief->is)
		       ? &brief->asked
		       : NULL;
}

static __always_inline int show_peer(struct bpf_sock_addr *ctx, int is_v6)
{
	struct view *view = view_of(ctx, 0);
	const struct spot *asked;
	struct spot is = {};

	spot_of(&is, ctx, is_v6);
	asked = brief_asked(ctx, &is);
	if (!asked && view)
		asked = peer_asked(view, &is);
	if (asked) {
		spot_set(ctx, asked, is_v6);
	} else if (view && view->slot) {
		show_own_port(view->slot, proto_of(ctx->type, ctx->protocol), &is);
		ctx->user_port = is.port;
	}
	return 1;
}

SEC("cgroup/getpeername4") int graft_getpeername4(struct bpf_sock_addr *ctx)
{
	return show_peer(ctx, 0);
}

SEC("cgroup/getpeername6") int graft_getpeername6(struct bpf_sock_addr *ctx)
{
	return show_peer(ctx, 1);
}

/* One that was accepted has its listener's port, and keeps the address it was reached at
 * where the listener asked for all of them. */
static __always_inline int show_own(struct bpf_sock_addr *ctx, int is_v6)
{
	struct view *view = view_of(ctx, 0);
	struct spot is = {};
	int is_it;

	if (!view || !(view->flags & VIEW_BOUND))
		return 1;
	spot_of(&is, ctx, is_v6);
	if (is.port != view->bound_is.port)
		return 1;
	is_it = view->cookie == bpf_get_socket_cookie(ctx) &&
		spot_is(&is, &view->bound_is);
	/* Asked for any port: the one it got is its own to know. */
	if (view->bound_asked.port)
		is.port = view->bound_asked.port;
	if (is_it || !spot_is_zero(&view->bound_asked))
		for (int i = 0; i < 4; i++)
			is.address[i] = view->bound_asked.address[i];
	spot_set(ctx, &is, is_v6);
	return 1;
}

SEC("cgroup/getsockname4") int graft_getsockname4(struct bpf_sock_addr *ctx)
{
	return show_own(ctx, 0);
}

SEC("cgroup/getsockname6") int graft_getsockname6(struct bpf_sock_addr *ctx)
{
	return show_own(ctx, 1);
}

/* It may be answered, though no socket of this policy's own loopback. */
static __always_inline void note_stranger(struct bpf_sock_addr *ctx,
					  const struct spot *source)
{
	__u32 image;

	if (!spot_is_loopback(source))
		return;
	image = image_now();
	if (image && image_flags(image) & IMAGE_LOOPBACK)
		note_heard(ctx, source);
}

static __always_inline int show_source(struct bpf_sock_addr *ctx, int is_v6)
{
	struct view *view = view_of(ctx, 0);
	const struct spot *asked;
	struct spot shown = {};
	struct sent_key key = {};

	spot_of(&key.to, ctx, is_v6);
	if (!view || !view->slot)
		note_stranger(ctx, &key.to);
	if (!view || !(view->slot || view->flags & (VIEW_PEER | VIEW_SENT)))
		return 1;
	asked = peer_asked(view, &key.to);
	if (asked) {
		spot_set(ctx, asked, is_v6);
		return 1;
	}
	key.cookie = bpf_get_socket_cookie(ctx);
	if (view->flags & VIEW_SENT && last_asked(key.cookie, &key.to, &shown)) {
		spot_set(ctx, &shown, is_v6);
		return 1;
	}
	shown = key.to;
	if (!is_v6)
		spot_map(&key.to);
	asked = view->flags & VIEW_SENT ? bpf_map_lookup_elem(&graft_sent, &key) : NULL;
	if (!asked) {
		if (view->slot) {
			show_own_port(view->slot, 1, &shown);
			ctx->user_port = shown.port;
		}
		return 1;
	}
	shown = *asked;
	if (!is_v6)
		shown.address[0] = shown.address[3];
	spot_set(ctx, &shown, is_v6);
	return 1;
}

SEC("cgroup/recvmsg4") int graft_recvmsg4(struct bpf_sock_addr *ctx)
{
	return show_source(ctx, 0);
}

SEC("cgroup/recvmsg6") int graft_recvmsg6(struct bpf_sock_addr *ctx)
{
	return show_source(ctx, 1);
}
