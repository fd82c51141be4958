/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connect(), and each datagram that names an address.
 */
#pragma once

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

/* Return: as the programs. */
static __always_inline int judge_connect(struct bpf_sock_addr *ctx, int is_v6)
{
	struct call call = {};
	struct spot given = {};
	struct view *view;
	int error;

	if (!take_up(&call, ctx, JUDGE_CONNECT, is_v6, &error))
		return error;
	view = view_of(ctx, 0);
	if (view)
		view->flags &= ~VIEW_PEER;
	switch (IMAGE_TARGET(call.outcome->word[0])) {
	case TARGET_DENY:
		return end(&call, &call.asked, call.outcome->word[1] >> 16, 1);
	case TARGET_FROM:
		error = find_endpoint(&call, &given);
		if (!error && ctx->sk && !ctx->sk->src_port)
			error = -bind_first(ctx, &given, is_v6);
		return end(&call, &given, error, 1);
	case TARGET_ENDPOINT:
		break;
	default:
		return end(&call, &call.asked, 0, 1);
	}
	error = find_endpoint(&call, &given);
	view = error ? NULL : view_of(ctx, 1);
	if (!view)
		return end(&call, &given, error ? error : ENOBUFS, 1);
	view->peer_asked = call.asked;
	view->peer_is = given;
	view->flags |= VIEW_PEER;
	spot_set(ctx, &given, is_v6);
	return end(&call, &given, 0, 1);
}

SEC("cgroup/connect4") int graft_connect4(struct bpf_sock_addr *ctx)
{
	return judge_connect(ctx, 0);
}

SEC("cgroup/connect6") int graft_connect6(struct bpf_sock_addr *ctx)
{
	return judge_connect(ctx, 1);
}

/* --- datagrams --------------------------------------------------------------------- */

static __always_inline void note_sent(struct bpf_sock_addr *ctx, const struct spot *asked,
				      const struct spot *given)
{
	struct sent_key key = { .cookie = bpf_get_socket_cookie(ctx), .to = *given };
	struct spot mapped = *asked, *known;
	struct view *view;

	if (asked->family == AF_INET) {
		spot_map(&mapped);
		spot_map(&key.to);
	}
	known = bpf_map_lookup_elem(&graft_sent, &key);
	if (known && spot_is(known, &mapped))
		return;
	bpf_map_update_elem(&graft_sent, &key, &mapped, BPF_ANY);
	view = view_of(ctx, 1);
	if (view)
		view->flags |= VIEW_SENT;
}

static __always_inline int judge_send(struct bpf_sock_addr *ctx, int is_v6)
{
	struct call call = {};
	struct spot given = {};
	int error;

	if (!take_up(&call, ctx, JUDGE_CONNECT, is_v6, &error))
		return error;
	call.op = TRACED_SEND;
	switch (IMAGE_TARGET(call.outcome->word[0])) {
	case TARGET_DENY:
		return end(&call, &call.asked, call.outcome->word[1] >> 16, 1);
	case TARGET_FROM:
		error = find_endpoint(&call, &given);
		if (!error && is_v6) {
			ctx->msg_src_ip6[0] = given.address[0];
			ctx->msg_src_ip6[1] = given.address[1];
			ctx->msg_src_ip6[2] = given.address[2];
			ctx->msg_src_ip6[3] = given.address[3];
		} else if (!error) {
			ctx->msg_src_ip4 = given.address[0];
		}
		return end(&call, &given, error, 1);
	case TARGET_ENDPOINT:
		break;
	default:
		return end(&call, &call.asked, 0, 1);
	}
	error = find_endpoint(&call, &given);
	/* The kernel sends no datagram there that was for an IPv6 address. */
	if (!error && is_v6 && given.address[2] == bpf_htonl(0xffff) &&
	    !given.address[0] && !given.address[1])
		error = EAFNOSUPPORT;
	if (error)
		return end(&call, &given, error, 1);
	note_sent(ctx, &call.asked, &given);
	spot_set(ctx, &given, is_v6);
	return end(&call, &given, 0, 1);
}

SEC("cgroup/sendmsg4") int graft_sendmsg4(struct bpf_sock_addr *ctx)
{
	return judge_send(ctx, 0);
}

SEC("cgroup/sendmsg6") int graft_sendmsg6(struct bpf_sock_addr *ctx)
{
	return judge_send(ctx, 1);
}
