/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The same for UNIX sockets: finding those that are connected by a revoked rule.
 *
 * The kernel destroys none. What ends one is shutdown(), by any descriptor of it, or of
 * the stream's other end: so graft_made_unix_file says who has such. graft_made_unix
 * finds those that nobody has, and those of other namespaces' processes.
 *
 * A stream whose connect() may be on its way looks like one whose connect() failed. But
 * while one is, its other end is there, without a file and connected to nobody; where
 * there is no such, none is.
 */
#pragma once

#include "intercept/cgroup/revoke.bpf.h"
#include "intercept/cgroup/unix_made.bpf.h"

struct bpf_iter__unix {
	struct bpf_iter_meta *meta;
	struct unix_sock *unix_sk;
} __attribute__((preserve_access_index));

struct upid {
	int nr;
} __attribute__((preserve_access_index));

struct pid {
	unsigned int level;
	struct upid numbers[];
} __attribute__((preserve_access_index));

struct task_struct {
	struct pid *thread_pid;
} __attribute__((preserve_access_index));

/* Its number where who reads is. */
static __always_inline __u32 number_of(struct task_struct *task)
{
	struct task_struct *reader = bpf_get_current_task_btf();
	const char *pid = (void *)BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(reader, thread_pid, level), number = 0;

	bpf_probe_read_kernel(&number, sizeof(number),
			      pid + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid) +
				      bpf_core_field_offset(struct upid, nr));
	return number;
}

/* Return: whether the rule that @made stands for now is revoked, then with its number. */
static __always_inline int is_revoked_unix(const struct unix_made *made,
					   const struct revoking *revoking, __u32 *ret)
{
	*ret = made->edition == revoking->last
		       ? made->rule
		       : judge_path(revoking->image, &made->asked);
	if (!made->is_any)
		return is_revoked(revoking, *ret);
	if (*ret == IMAGE_NONE)
		*ret = made->rule;
	return 1;
}

/* As is_by(). */
static __always_inline int is_by_unix(const struct unix_made *made, __u64 peer)
{
	if (!peer)
		return made->peer && made->peer != EVERY_PEER ? 0 : -1;
	if (made->peer)
		return made->peer == peer || made->peer == EVERY_PEER;
	return unix_made_may_be(made, peer) ? 1 : -1;
}

/* Return: whether the socket, which is connected to @peer, is to be told of. */
__noinline int look_through_unix(const struct unix_socket *socket,
				 const struct revoking *revoking, struct made_unix *ret,
				 __u64 peer)
{
	int is_met = 0;

	if (!socket || !revoking || !ret)
		return 0;
	ret->found = MADE_PENDING;
	for (int i = 0; i < CGROUP_UNIX_MADE; i++) {
		const struct unix_made *made = &socket->made[i];
		__u32 rule = 0;
		int by = is_by_unix(made, peer);

		if (!made->edition || !by ||
		    !is_of_revoking(made->slot, made->edition, revoking) ||
		    !is_revoked_unix(made, revoking, &rule))
			continue;
		is_met = 1;
		ret->rule = rule;
		for (int k = 0; k < 4 * IMAGE_PATH; k++)
			ret->asked.word[k] = made->asked.word[k];
		if (by < 0)
			continue;
		ret->found = MADE_FOUND;
		break;
	}
	return is_met;
}

/* Nothing passes any more, in either direction, and either end knows. */
static __always_inline int is_over(const struct unix_sock *sk)
{
	struct sock *peer = sk->peer;

	return sk->sk.sk_shutdown == SHUT &&
	       (sk->sk.sk_type == SOCK_DGRAM || !peer || peer->sk_shutdown == SHUT);
}

static __always_inline int is_stream_calling(const struct unix_sock *sk)
{
	return sk->sk.sk_type != SOCK_DGRAM && !sk->sk.sk_socket && !sk->peer &&
	       sk->sk.__sk_common.skc_state == TCP_CLOSE;
}

/* Return: whether it is to be told of, as @ret says. */
static __always_inline int find_unix(struct unix_sock *sk, struct unix_socket *socket,
				     const struct revoking *revoking,
				     struct made_unix *ret)
{
	__u32 slot = CGROUP_SLOT(revoking->image);
	__u64 peer = (__u64)BPF_CORE_READ(sk, peer);

	ret->state = sk->sk.__sk_common.skc_state;
	ret->type = sk->sk.sk_type;
	if (ret->state == TCP_LISTEN || is_over(sk))
		return 0;
	if (socket->dead != slot) {
		if (!look_through_unix(socket, revoking, ret, peer))
			return 0;
	} else {
		look_through_unix(socket, revoking, ret, peer);
		ret->found = MADE_DEAD;
	}
	if (ret->found == MADE_PENDING && ret->type != SOCK_DGRAM && revoking->with_calls)
		ret->found = MADE_FOUND;
	if (ret->found == MADE_FOUND && revoking->mode == REVOKING_MARK)
		socket->dead = slot;
	return 1;
}

/* @end: of the descriptor that @thread has, if it is one. */
static __always_inline void look_at_unix(struct unix_sock *sk, struct seq_file *seq,
					 __u64 end, __u32 thread, __u32 fd)
{
	struct unix_socket *socket = bpf_sk_storage_get(&graft_unix, sk, 0, 0);
	struct made_unix made = {};
	struct revoking *revoking;
	__u32 zero = 0;

	revoking = bpf_map_lookup_elem(&graft_revoking, &zero);
	if (!revoking || !socket || !find_unix(sk, socket, revoking, &made))
		return;
	made.cookie = bpf_get_socket_cookie(sk);
	made.netns = sk->sk.__sk_common.skc_net.net->ns.inum;
	made.end = end;
	made.thread = thread;
	made.fd = fd;
	bpf_seq_write(seq, &made, sizeof(made));
}

/* Nothing here holds the peer: it is not for functions of the kernel's. */
SEC("iter/unix") int graft_made_unix(struct bpf_iter__unix *ctx)
{
	struct unix_sock *sk = ctx->unix_sk;
	struct made_unix made = {};

	if (!sk)
		return 0;
	if (!is_stream_calling(sk)) {
		look_at_unix(sk, ctx->meta->seq, 0, 0, 0);
		return 0;
	}
	made.found = MADE_CALLING;
	bpf_seq_write(ctx->meta->seq, &made, sizeof(made));
	return 0;
}

/* A stream's peer is the same until it is closed. */
SEC("iter/task_file") int graft_made_unix_file(struct bpf_iter__task_file *ctx)
{
	struct socket *socket = ctx->file ? bpf_sock_from_file(ctx->file) : NULL;
	struct unix_sock *sk, *peer = NULL;
	__u32 thread, fd = ctx->fd;
	__u64 end;

	sk = socket && socket->sk ? bpf_skc_to_unix_sock(socket->sk) : NULL;
	if (!sk || !ctx->task)
		return 0;
	thread = number_of(ctx->task);
	end = bpf_get_socket_cookie(sk);
	look_at_unix(sk, ctx->meta->seq, end, thread, fd);
	if (sk->sk.sk_type != SOCK_DGRAM && sk->peer)
		peer = bpf_skc_to_unix_sock(sk->peer);
	if (peer)
		look_at_unix(peer, ctx->meta->seq, end, thread, fd);
	return 0;
}
