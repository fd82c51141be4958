/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each datagram that names an address.
 *
 * A socket mostly sends where it has sent before. What that came to is kept in struct
 * last, by the socket's cookie, if no more is to be known than the policy's edition and
 * what was asked: neither who is bound somewhere, nor where an endpoint of the registry
 * is. It is for the thread that wrote it, and no lock is needed: whoever writes has put
 * BUSY in the place of the cookie before, which only one can, and who has read finds
 * another cookie or thread if there was a writer meanwhile, as it was not itself. It is
 * not asked while somebody watches.
 */
#pragma once

#include "intercept/cgroup/connect.bpf.h"

#define BUSY 1ull /* no socket's cookie: the kernel gives larger ones */

/* What was loaded before it stays before it. The programs are built for one machine. */
#ifdef __TARGET_ARCH_x86
#	define LOADED() IN_ORDER()
#else
#	define LOADED()                                 \
		do {                                     \
			__u64 word_ = 0;                 \
			__sync_fetch_and_add(&word_, 1); \
		} while (0)
#endif

static __always_inline struct last *last_at(__u64 cookie)
{
	__u32 at = cookie & (CGROUP_LAST - 1);

	return bpf_map_lookup_elem(&graft_last, &at);
}

static __always_inline int last_is(const struct last *last, __u64 cookie)
{
	return *(volatile const __u64 *)&last->cookie == cookie &&
	       *(volatile const __u32 *)&last->thread ==
		       (__u32)bpf_get_current_pid_tgid();
}

/* The socket's place is free again. */
static __always_inline void last_forget(__u64 cookie)
{
	struct last *last = last_at(cookie);

	if (last)
		__sync_val_compare_and_swap(&last->cookie, cookie, 0);
}

/* What was asked for to send to @is last. Return: whether it was. */
static __always_inline int last_asked(__u64 cookie, const struct spot *is,
				      struct spot *ret)
{
	struct last *last = last_at(cookie);
	int is_it;

	if (!last || !last_is(last, cookie))
		return 0;
	LOADED();
	is_it = last->given.family == is->family && spot_is(&last->given, is);
	*ret = last->asked;
	LOADED();
	return is_it && last_is(last, cookie);
}

/* May the same be done the next time, whatever happens meanwhile? */
static __always_inline int lasts(const struct call *call)
{
	__u32 target = target_of(call);

	if (call->flags & (IMAGE_LOOPBACK | IMAGE_ISOLATED | IMAGE_ASKS))
		return 0;
	if (target == TARGET_ENDPOINT)
		return IMAGE_KIND(call->what) <= KIND_IPV6 && call->more & 0xffff;
	return target != TARGET_DENY && target != TARGET_FROM;
}

/* A socket that is found dead meanwhile is forgotten by one of two: who marks it does so
 * after that, as we look after this. */
static __always_inline void last_keep(struct bpf_sock_addr *ctx, const struct call *call,
				      const struct spot *given)
{
	__u64 cookie = bpf_get_socket_cookie(ctx), known;
	struct last *last = last_at(cookie);
	struct notes *notes;

	if (!last || !lasts(call))
		return;
	known = last->cookie;
	if (known == BUSY ||
	    __sync_val_compare_and_swap(&last->cookie, known, BUSY) != known)
		return;
	last->thread = bpf_get_current_pid_tgid();
	last->edition = call->edition;
	last->outcome = call->outcome;
	last->what = call->what;
	last->asked = call->asked;
	last->given = *given;
	__sync_lock_test_and_set(&last->cookie, cookie);
	notes = notes_of(ctx, 0);
	if (notes && notes->dead)
		last_forget(cookie);
}

/* Return: whether the datagram goes where the thread's last one by this socket went, and
 * is counted; @given is where. */
static __always_inline int is_as_last(struct bpf_sock_addr *ctx, const struct spot *asked,
				      struct spot *given)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct image_cell *more, *outcome, *hits;
	struct last *last = last_at(cookie);
	void *cells;
	int is_it;

	if (!last || !last_is(last, cookie))
		return 0;
	cells = judge_open(image_now());
	more = cells ? judge_cell(cells, 1) : NULL;
	if (!more)
		return 0;
	LOADED();
	outcome = judge_cell(cells, last->outcome);
	hits = judge_cell(cells, last->outcome + 2);
	/* The rule may have been revoked. */
	is_it = last->edition == more->word[1] && outcome && hits &&
		outcome->word[0] == last->what && last->asked.family == asked->family &&
		spot_is(&last->asked, asked);
	*given = last->given;
	LOADED();
	if (!is_it || !hits || !last_is(last, cookie) || is_traced())
		return 0;
	__sync_fetch_and_add((__u64 *)hits, 1);
	return 1;
}

static __always_inline void note_sent(struct bpf_sock_addr *ctx, const struct call *call,
				      const struct spot *given)
{
	const struct spot *asked = &call->asked;
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
	if (!view)
		return;
	view->flags |= VIEW_SENT;
	note_own(view, call);
}

/* What a socket of AF_INET6 sends that is connected to a mapped address comes here with
 * the address it is connected to, which nobody has asked for. */
static __always_inline int is_to_mapped_peer(struct bpf_sock_addr *ctx,
					     const struct call *call)
{
	return ctx->family == AF_INET6 && !call->judged.is_v6 &&
	       is_peer_now(ctx, &call->asked, 0);
}

/* As settle_connect(). */
__noinline int settle_send(struct bpf_sock_addr *ctx, struct call *call,
			   struct spot *given)
{
	int error = 0;

	if (!call || !given)
		return EPERM;
	switch (target_of(call)) {
	case TARGET_DENY:
		return call->more >> 16;
	case TARGET_FROM:
		error = find_endpoint(ctx, call, given);
		if (!error)
			let_out(ctx, call, &call->asked);
		return error;
	case TARGET_ENDPOINT:
		break;
	default:
		if (is_own(call) && !is_to_mapped_peer(ctx, call))
			break;
		if (leads_nowhere(call))
			return ENETUNREACH;
		let_out(ctx, call, &call->asked);
		return 0;
	}
	error = find_target(call, ctx, given);
	/* The kernel sends no datagram there that was for an IPv6 address. */
	if (!error && call->judged.is_v6 && given->address[2] == bpf_htonl(0xffff) &&
	    !given->address[0] && !given->address[1])
		error = EAFNOSUPPORT;
	if (error)
		return error;
	note_sent(ctx, call, given);
	let_out(ctx, call, given);
	call->is_led = 1;
	return 0;
}

static __always_inline void send_from(struct bpf_sock_addr *ctx, const struct spot *from,
				      int is_v6)
{
	if (is_v6) {
		ctx->msg_src_ip6[0] = from->address[0];
		ctx->msg_src_ip6[1] = from->address[1];
		ctx->msg_src_ip6[2] = from->address[2];
		ctx->msg_src_ip6[3] = from->address[3];
	} else {
		ctx->msg_src_ip4 = from->address[0];
	}
}

static __always_inline int judge_send(struct bpf_sock_addr *ctx, int is_v6)
{
	struct spot given = {};
	struct call call = {};
	int error;

	spot_of(&call.asked, ctx, is_v6);
	if (is_as_last(ctx, &call.asked, &given)) {
		spot_set(ctx, &given, is_v6);
		return 1;
	}
	if (!take_up(&call, ctx, JUDGE_CONNECT, is_v6, &error))
		return error;
	call.op = TRACED_SEND;
	given = call.asked;
	error = goes_there(&call) ? 0 : settle_send(ctx, &call, &given);
	if (!error && call.is_led)
		spot_set(ctx, &given, is_v6);
	else if (!error && target_of(&call) == TARGET_FROM)
		send_from(ctx, &given, is_v6);
	if (!error)
		last_keep(ctx, &call, &given);
	return end(&call, &given, error);
}

SEC("cgroup/sendmsg4") int graft_sendmsg4(struct bpf_sock_addr *ctx)
{
	return judge_send(ctx, 0);
}

SEC("cgroup/sendmsg6") int graft_sendmsg6(struct bpf_sock_addr *ctx)
{
	return judge_send(ctx, 1);
}
