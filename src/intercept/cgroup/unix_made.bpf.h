/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * By which rules a UNIX socket is connected, noted with the socket when they let it.
 *
 * Theory of operation. As made.bpf.h, and harder: the kernel asks before it knows whether
 * the socket may connect at all, holds no lock of it while it connects, which may take
 * for ever, and nobody says how that ended. So a note is open at first: its call may be
 * on its way, may have failed, or be what the socket is connected by. The next call that
 * the same policy judges looks whom the socket is connected to by then:
 *
 *	another one than before	it was this note's call, which stands for that peer
 *				from now on; where several notes are open, each of
 *				them does, for whatever peer
 *	the same, or nobody	the same thread calls again, so its call before came
 *				to nothing: the note goes. One of another thread
 *				stays open
 *
 * A stream stays connected, and a call is refused then: it is not noted. So with streams
 * a note is closed by its own thread alone, and what several threads tried at a time
 * counts as made by each. The kernel has the socket locked while the programs run.
 */
#pragma once

#include "intercept/cgroup/trace.bpf.h"

#define CGROUP_UNIX_MADE 4 /* a power of two */
#define EVERY_PEER       (~0ull)

struct unix_sock {
	struct sock sk;
	struct sock *peer;
} __attribute__((preserve_access_index));

/* The policy of @slot, or others around it, made @is of @asked. */
struct unix_led {
	__u32 slot; /* 0: nothing was */
	struct judge_path asked, is;
};

/* A rule that let a connect() through, and what that took. Peers are addresses in the
 * kernel, which are compared and never looked at. */
struct unix_made {
	__u32 slot;
	__u32 edition; /* 0: there is none */
	__u32 rule;
	__u32 thread; /* who called; 0: several, in the same words */
	__u64 before; /* whom it was connected to */
	__u64 peer;   /* whom it came to; 0: it is open */
	__u32 is_any; /* it stands for calls by other rules, too */
	__u32 pad;
	struct judge_path asked;
};

struct unix_socket {
	struct unix_led led;
	__u32 dead; /* as in struct notes */
	struct unix_made made[CGROUP_UNIX_MADE];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct unix_socket);
} graft_unix SEC(".maps");

static __always_inline int path_is(const struct judge_path *a, const struct judge_path *b)
{
	__u32 differs = 0;

	for (int i = 0; i < 4 * IMAGE_PATH; i++)
		differs |= a->word[i] ^ b->word[i];
	return !differs;
}

static __always_inline struct unix_socket *unix_socket_of(struct bpf_sock_addr *ctx,
							  int make)
{
	if (!ctx->sk)
		return NULL;
	return bpf_sk_storage_get(&graft_unix, ctx->sk, 0,
				  make ? BPF_SK_STORAGE_GET_F_CREATE : 0);
}

/* Is it open, and may @peer be what its call came to? */
static __always_inline int unix_made_may_be(const struct unix_made *made, __u64 peer)
{
	return !made->peer && peer && peer != made->before;
}

/* What became of the calls before @next. */
__noinline int unix_made_close(struct unix_socket *socket, const struct unix_made *next)
{
	__u64 now;
	int n = 0;

	if (!socket || !next)
		return 0;
	now = next->before;
	for (int i = 0; i < CGROUP_UNIX_MADE; i++) {
		const struct unix_made *made = &socket->made[i];

		n += made->edition && made->slot == next->slot &&
		     unix_made_may_be(made, now);
	}
	for (int i = 0; i < CGROUP_UNIX_MADE; i++) {
		struct unix_made *made = &socket->made[i];

		if (!made->edition || made->slot != next->slot)
			continue;
		if (unix_made_may_be(made, now))
			made->peer = n == 1 ? now : EVERY_PEER;
		else if (made->peer ? made->peer != now && made->peer != EVERY_PEER
				    : made->thread == next->thread)
			made->edition = 0;
	}
	return 0;
}

/* Where there is no room, one of the same policy's stands for both. Return: 0, or the
 * error to fail with: too many policies are around the socket. */
__noinline int unix_made_note(struct unix_socket *socket, const struct unix_made *next)
{
	__u32 place = CGROUP_UNIX_MADE, own = CGROUP_UNIX_MADE;

	if (!socket || !next)
		return ENOBUFS;
	for (__u32 i = 0; i < CGROUP_UNIX_MADE; i++) {
		struct unix_made *made = &socket->made[i];

		if (!made->edition) {
			place = i;
			continue;
		}
		if (made->slot != next->slot)
			continue;
		own = i;
		if (!made->peer && made->edition == next->edition &&
		    made->rule == next->rule && made->before == next->before &&
		    path_is(&made->asked, &next->asked)) {
			made->thread = 0;
			return 0;
		}
	}
	asm volatile("" : "+r"(place), "+r"(own));
	if (place < CGROUP_UNIX_MADE) {
		socket->made[place & (CGROUP_UNIX_MADE - 1)] = *next;
	} else if (own < CGROUP_UNIX_MADE) {
		struct unix_made *made = &socket->made[own & (CGROUP_UNIX_MADE - 1)];

		made->is_any = 1;
		made->peer = EVERY_PEER;
	} else {
		return ENOBUFS;
	}
	return 0;
}

/* A connect() to @asked was judged; @is_let: a rule lets it through. Return: 0, or the
 * error to fail with: it could not be noted. */
__noinline int note_unix_made(struct bpf_sock_addr *ctx, const struct call *call,
			      const struct judge_path *asked, __u32 is_let)
{
	struct unix_sock *sk = ctx->sk ? bpf_skc_to_unix_sock(ctx->sk) : NULL;
	struct unix_socket *socket;
	struct unix_made next = {};

	if (!sk || !call || !asked)
		return ENOBUFS;
	if (ctx->type != SOCK_DGRAM && sk->sk.__sk_common.skc_state != TCP_CLOSE)
		return 0;
	socket = unix_socket_of(ctx, is_let);
	if (!socket)
		return is_let ? ENOBUFS : 0;
	next.slot = CGROUP_SLOT(call->image);
	next.thread = bpf_get_current_pid_tgid();
	next.before = (__u64)BPF_CORE_READ(sk, peer);
	unix_made_close(socket, &next);
	if (!is_let)
		return 0;
	next.edition = call->edition;
	next.rule = call->rule;
	next.asked = *asked;
	return unix_made_note(socket, &next);
}
