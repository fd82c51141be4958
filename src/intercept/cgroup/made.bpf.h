/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * By which rules a socket is what it is, noted with the socket when they let it.
 *
 * What was asked is not in the kernel afterwards, nor who asked: an accepted connection
 * looks like one that was made, a port that was picked like one that was bound. So each
 * call that a rule lets through leaves a struct made; one that no rule decides leaves
 * none. A socket that accept() made has its listener's, of which those for bind are its
 * own too.
 *
 * Memory for a socket costs more than all else a call does. So most calls, the connect()
 * of a stream, are noted in an array that is there, at the place the socket's cookie has
 * in it: struct brief, which also says what the program sees. It is the socket's until
 * it is closed. Where another has that place, or the socket is the kernel's own and
 * nobody says when it is closed, the note stands with the socket, as for all other
 * calls. A socket that is closed before all it has is sent goes on sending, and gets its
 * own then.
 */
#pragma once

#include "intercept/cgroup/call.bpf.h"

static __always_inline int made_is_of(const struct made *made, const struct made *key)
{
	return made->edition && made->slot == key->slot && made->op == key->op;
}

/* A datagram socket stays connected to @now if its next connect fails. */
static __always_inline int made_is_in_force(const struct made *made,
					    const struct spot *now)
{
	return made->op == JUDGE_CONNECT && now->port && spot_is(&made->is, now);
}

/* One that @made may be put in the place of. */
static __always_inline __u32 made_place(const struct notes *notes,
					const struct made *made, const struct spot *now)
{
	__u32 place = CGROUP_MADE - 1;
	int is_own = 0;

#pragma unroll
	for (int i = CGROUP_MADE - 1; i >= 0; i--) {
		const struct made *at = &notes->made[i];

		if (made_is_of(at, made) && !made_is_in_force(at, now)) {
			place = i;
			is_own = 1;
		} else if (!at->edition && !is_own) {
			place = i;
		}
	}
	return place;
}

__noinline int made_note(struct notes *notes, const struct made *made,
			 const struct spot *now)
{
	__u32 place;

	if (!notes || !made || !now)
		return 0;
	place = made_place(notes, made, now);
	asm volatile("" : "+r"(place));
	notes->made[place & (CGROUP_MADE - 1)] = *made;
	return 0;
}

/* What was asked before by @key's operation, of @key's policy, did not come about. */
__noinline int made_drop(struct notes *notes, const struct made *key,
			 const struct spot *now)
{
	if (!notes || !key || !now)
		return 0;
#pragma unroll
	for (int i = 0; i < CGROUP_MADE; i++) {
		struct made *at = &notes->made[i];

		if (made_is_of(at, key) && !made_is_in_force(at, now))
			at->edition = 0;
	}
	return 0;
}

/* --- the brief ones --- */

#define IN_ORDER() asm volatile("" : : : "memory")

static __always_inline struct brief *brief_at(__u64 cookie)
{
	__u32 at = cookie & (CGROUP_BRIEF - 1);

	return bpf_map_lookup_elem(&graft_brief, &at);
}

static __always_inline void brief_free(struct brief *brief)
{
	brief->edition = 0;
	IN_ORDER();
	__sync_lock_test_and_set(&brief->cookie, 0);
}

/* Is the socket a stream, and told of when it is closed? */
static __always_inline int is_own_stream(struct bpf_sock_addr *ctx)
{
	struct tcp_sock *sk = ctx->sk ? bpf_skc_to_tcp_sock(ctx->sk) : NULL;

	return sk && !BPF_CORE_READ_BITFIELD(&sk->inet_conn.icsk_inet.sk, sk_kern_sock);
}

/* Return: whether it is noted; if not, nothing is. */
static __always_inline int brief_note(const struct call *call, struct bpf_sock_addr *ctx,
				      const struct spot *is)
{
	__u32 slot = CGROUP_SLOT(call->image);
	__u64 cookie = bpf_get_socket_cookie(ctx), known;
	struct brief *brief = brief_at(cookie);
	int is_it = call->rule != IMAGE_NONE && is_own_stream(ctx);

	if (!brief)
		return 0;
	known = is_it ? __sync_val_compare_and_swap(&brief->cookie, 0, cookie)
		      : brief->cookie;
	if (known && (known != cookie || brief->slot != slot))
		return 0;
	if (!is_it) {
		if (known)
			brief_free(brief);
		return 0;
	}
	brief->edition = 0;
	IN_ORDER();
	brief->slot = slot;
	brief->rule = call->rule;
	brief->v6only = call->judged.v6only;
	brief->asked = call->asked;
	brief->is = *is;
	IN_ORDER();
	brief->edition = call->edition;
	return 1;
}

static __always_inline void brief_keep(struct bpf_sock *ctx, const struct brief *brief)
{
	struct notes *notes =
		bpf_sk_storage_get(&graft_made, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE);
	struct made made = {};
	struct spot none = {};

	if (!notes)
		return;
	notes->maker = brief->cookie;
	made.slot = brief->slot;
	made.edition = brief->edition;
	made.rule = brief->rule;
	made.op = JUDGE_CONNECT;
	made.v6only = brief->v6only;
	made.asked = brief->asked;
	made.is = brief->is;
	made_note(notes, &made, &none);
}

/* The socket is closed. */
static __always_inline void brief_end(struct bpf_sock *ctx)
{
	struct tcp_sock *sk = (void *)ctx;
	struct brief *brief;
	__u64 cookie;

	if (ctx->type != SOCK_STREAM)
		return;
	cookie = bpf_get_socket_cookie(ctx);
	brief = brief_at(cookie);
	if (!brief || brief->cookie != cookie)
		return;
	if (BPF_CORE_READ(sk, write_seq) != BPF_CORE_READ(sk, snd_una))
		brief_keep(ctx, brief);
	brief_free(brief);
}

/* --- a call --- */

/* Whom the socket is connected to; a stream's connect() is not judged while it is. */
static __always_inline void peer_now(struct spot *ret, struct bpf_sock_addr *ctx,
				     int is_v6)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk || !sk->dst_port)
		return;
	ret->port = sk->dst_port;
	if (is_v6) {
		ret->address[0] = SOCK_WORD(sk, dst_ip6[0]);
		ret->address[1] = SOCK_WORD(sk, dst_ip6[1]);
		ret->address[2] = SOCK_WORD(sk, dst_ip6[2]);
		ret->address[3] = SOCK_WORD(sk, dst_ip6[3]);
	} else {
		ret->address[0] = SOCK_WORD(sk, dst_ip4);
	}
}

/* What stands with the socket: that a rule let it, or, if the call is noted elsewhere or
 * no rule decided it, nothing more of what was asked before. */
__noinline int note_with_socket(struct bpf_sock_addr *ctx, const struct call *call,
				const struct spot *is, int is_noted)
{
	struct notes *notes = notes_of(ctx, !is_noted);
	struct made made = {};
	struct spot now = {};

	if (!notes || !call || !is)
		return is_noted ? 0 : ENOBUFS;
	made.slot = CGROUP_SLOT(call->image);
	made.op = call->judged.op;
	peer_now(&now, ctx, call->judged.is_v6);
	if (is_noted)
		return made_drop(notes, &made, &now);
	notes->maker = bpf_get_socket_cookie(ctx);
	made.edition = call->edition;
	made.rule = call->rule;
	made.proto = call->judged.proto;
	made.v6only = call->judged.v6only;
	made.asked = call->asked;
	made.is = *is;
	return made_note(notes, &made, &now);
}

/* The rule lets the call through, to @is; or none has decided it. Return: 0, or the error
 * to fail with: it could not be noted. */
static __always_inline int note_made(struct bpf_sock_addr *ctx, struct call *call,
				     const struct spot *is)
{
	int is_noted;

	if (call->judged.op == JUDGE_CONNECT && !call->judged.proto)
		call->is_brief = brief_note(call, ctx, is);
	is_noted = call->is_brief || call->rule == IMAGE_NONE;
	if (is_noted && !call->has_notes)
		return 0;
	return note_with_socket(ctx, call, is, is_noted);
}
