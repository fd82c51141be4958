/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * UNIX sockets: connect(), and each datagram that names a path.
 *
 * Theory of operation. The kernel has copied the address when it asks, and goes on with
 * that copy: what is judged is what is used. It is judged as it was written, before any
 * look-up, by rules of their own (judge_path.bpf.h); an endpoint's path is put in its
 * place. There is no hook for bind(), so whose path it is stays the file system's affair.
 *
 * Whose socket. As for others it is the cgroup of its maker that counts, with two turns.
 * The end of a stream that accept() hands out was made by who connects, in connect(). And
 * getpeername() asks the cgroup of the peer, with the peer as the socket. So a stream's
 * getpeername() comes to the programs of who connected, whose socket is found from its
 * peer while that is open; a datagram socket's comes to those of whom it is connected to,
 * and is left alone.
 *
 * What was asked for stands with the socket, where it was replaced and only there.
 */
#pragma once

#include "intercept/cgroup/unix_made.bpf.h"

#define CGROUP_SENT_PATHS 4 /* of one socket, the last ones */

struct bpf_sock_addr_kern {
	struct sock *sk;
	void *uaddr;
	__u32 uaddrlen;
} __attribute__((preserve_access_index));

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;
extern int bpf_sock_addr_set_sun_path(struct bpf_sock_addr_kern *context,
				      const __u8 *path, __u32 path__sz) __ksym __weak;

/* Of datagrams. */
struct unix_sent {
	__u32 next;
	struct unix_led of[CGROUP_SENT_PATHS];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct unix_sent);
} graft_unix_sent SEC(".maps");

static __always_inline __u32 path_size(const struct judge_path *path)
{
	return path->word[4 * IMAGE_PATH - 1];
}

static __always_inline void path_swap(struct judge_path *path)
{
	for (int i = 0; i < 4 * IMAGE_PATH - 1; i++)
		path->word[i] = bpf_htonl(path->word[i]);
}

/* The address as the kernel has it. A name of the file system ends at its first zero. */
__noinline int path_of(struct bpf_sock_addr *ctx, struct judge_path *ret)
{
	struct bpf_sock_addr_kern *kern = bpf_cast_to_kern_ctx(ctx);
	const char *from = kern->uaddr;
	__u32 size = kern->uaddrlen;
	long read;
	char first = 0;

	if (!ret)
		return 0;
	*ret = (struct judge_path){};
	if (size <= sizeof(__u16))
		return 0;
	size -= sizeof(__u16);
	from += sizeof(__u16);
	if (size > UNIX_PATH_MAX)
		size = UNIX_PATH_MAX;
	bpf_probe_read_kernel(&first, 1, from);
	if (first) {
		read = bpf_probe_read_kernel_str(ret, size + 1, from);
		size = read > 0 ? read - 1 : 0;
	} else {
		bpf_probe_read_kernel(ret, size, from);
	}
	path_swap(ret);
	ret->word[4 * IMAGE_PATH - 1] = size;
	return 0;
}

/* Puts @path, which is of no use afterwards, in the place of the address: stack is rare.
 * @more: 1: with the zero that ends a name of the file system, as the kernel shows such.
 * Return: 0, or -errno. */
__noinline int path_set(struct bpf_sock_addr *ctx, struct judge_path *path, __u32 more)
{
	struct bpf_sock_addr_kern *kern = bpf_cast_to_kern_ctx(ctx);
	__u32 size;

	if (!path)
		return -EPERM;
	size = path_size(path);
	path->word[4 * IMAGE_PATH - 1] = 0;
	path_swap(path);
	if (more && ((const char *)path)[0])
		size++;
	if (size > UNIX_PATH_MAX)
		size = UNIX_PATH_MAX;
	return bpf_sock_addr_set_sun_path(kern, (const __u8 *)path, size);
}

/* --- what a call comes to ---------------------------------------------------------- */

/* What a policy below this one has just made of the call is led on. */
static __always_inline int is_led_on(const struct unix_led *led, __u32 slot,
				     const struct judge_path *asked)
{
	return led->slot && led->slot != slot && path_is(&led->is, asked);
}

static __always_inline void note_led(struct unix_led *led, __u32 slot,
				     const struct judge_path *asked,
				     const struct judge_path *given)
{
	if (!is_led_on(led, slot, asked)) {
		led->asked = *asked;
		led->slot = slot;
	}
	led->is = *given;
}

static __always_inline int note_connected(struct bpf_sock_addr *ctx, __u32 slot,
					  const struct judge_path *asked,
					  const struct judge_path *given)
{
	struct unix_socket *socket = unix_socket_of(ctx, 1);

	if (!socket)
		return ENOBUFS;
	note_led(&socket->led, slot, asked, given);
	return 0;
}

/* One is kept for each place. */
static __always_inline int note_sent_path(struct bpf_sock_addr *ctx, __u32 slot,
					  const struct judge_path *asked,
					  const struct judge_path *given)
{
	struct unix_sent *sent =
		ctx->sk ? bpf_sk_storage_get(&graft_unix_sent, ctx->sk, 0,
					     BPF_SK_STORAGE_GET_F_CREATE)
			: NULL;
	__u32 at;

	if (!sent)
		return ENOBUFS;
	at = sent->next++;
	for (__u32 i = 0; i < CGROUP_SENT_PATHS; i++)
		if (is_led_on(&sent->of[i], slot, asked) ||
		    path_is(&sent->of[i].is, given))
			at = i;
	asm volatile("" : "+r"(at));
	note_led(&sent->of[at & (CGROUP_SENT_PATHS - 1)], slot, asked, given);
	return 0;
}

/* The call goes where it says, which stands for itself from now on; what a policy below
 * this one made of it stays. */
__noinline int forget_led(struct bpf_sock_addr *ctx, __u32 slot,
			  const struct judge_path *asked)
{
	struct unix_socket *socket;
	struct unix_sent *sent;

	if (!ctx->sk || !asked)
		return 0;
	socket = unix_socket_of(ctx, 0);
	if (socket && socket->led.slot == slot)
		socket->led.slot = 0;
	sent = bpf_sk_storage_get(&graft_unix_sent, ctx->sk, 0, 0);
	for (__u32 i = 0; sent && i < CGROUP_SENT_PATHS; i++)
		if (sent->of[i].slot == slot && path_is(&sent->of[i].is, asked))
			sent->of[i].slot = 0;
	return 0;
}

/* Return: 0, or the error to fail with. */
__noinline int lead_path(struct bpf_sock_addr *ctx, const struct call *call,
			 const struct judge_path *asked)
{
	struct judge_path given = {};
	const struct image_cell *led, *cell;
	__u32 slot;
	void *cells;
	int error;

	if (!call || !asked)
		return EPERM;
	cells = judge_open(call->image);
	led = cells ? judge_cell(cells, call->outcome + 1) : NULL;
	if (!led)
		return EPERM;
	for (__u32 i = 0; i < IMAGE_PATH; i++) {
		cell = judge_cell(cells, led->word[0] + i);
		if (!cell)
			return EPERM;
		for (int k = 0; k < 4; k++)
			given.word[4 * i + k] = cell->word[k];
	}
	slot = CGROUP_SLOT(call->image);
	error = ctx->type == SOCK_DGRAM ? note_sent_path(ctx, slot, asked, &given)
					: note_connected(ctx, slot, asked, &given);
	return error ? error : -path_set(ctx, &given, 0);
}

static __always_inline int settle_path(struct bpf_sock_addr *ctx, const struct call *call,
				       const struct judge_path *asked)
{
	switch (target_of(call)) {
	case TARGET_DENY:
		return call->more >> 16;
	case TARGET_ENDPOINT:
		return lead_path(ctx, call, asked);
	default:
		forget_led(ctx, CGROUP_SLOT(call->image), asked);
		return 0;
	}
}

static __always_inline int is_dead_unix(struct bpf_sock_addr *ctx)
{
	const struct unix_socket *socket = unix_socket_of(ctx, 0);

	return socket && socket->dead;
}

/* Return: as the programs. */
static __always_inline int judge_unix(struct bpf_sock_addr *ctx, enum traced_op op)
{
	struct judge_path asked;
	struct call call = {};
	int error, noted;
	void *cells;

	call.image = image_now();
	if (!call.image)
		return 1;
	cells = look_into(&call);
	if (!cells) {
		fail_with(EPERM);
		return 0;
	}
	if (!(call.flags & IMAGE_UNIXES))
		return 1;
	if (is_dead_unix(ctx)) {
		fail_with(EACCES);
		return 0;
	}
	call.op = op;
	call.judged.op = JUDGE_CONNECT;
	call.judged.proto = TRACED_UNIX;
	path_of(ctx, &asked);
	call.rule = judge_path(call.image, &asked);
	error = take_outcome(&call, cells);
	if (!error)
		error = settle_path(ctx, &call, &asked);
	if (op == TRACED_CONNECT) {
		noted = note_unix_made(ctx, &call, &asked,
				       !error && call.rule != IMAGE_NONE);
		error = error ? error : noted;
	}
	if (is_traced())
		graft_trace_path(&call, &asked, error);
	if (!error || call.flags & IMAGE_AUDIT)
		return 1;
	fail_with(error);
	return 0;
}

SEC("cgroup/connect_unix") int graft_connect_unix(struct bpf_sock_addr *ctx)
{
	return judge_unix(ctx, TRACED_CONNECT);
}

SEC("cgroup/sendmsg_unix") int graft_sendmsg_unix(struct bpf_sock_addr *ctx)
{
	return judge_unix(ctx, TRACED_SEND);
}

/* --- what the program sees --------------------------------------------------------- */

static __always_inline int show_path(struct bpf_sock_addr *ctx,
				     const struct unix_socket *socket)
{
	struct judge_path asked;

	if (!socket || !socket->led.slot)
		return 1;
	asked = socket->led.asked;
	path_set(ctx, &asked, 1);
	return 1;
}

SEC("cgroup/recvmsg_unix") int graft_recvmsg_unix(struct bpf_sock_addr *ctx)
{
	struct judge_path is;
	struct unix_sent *sent;

	if (!ctx->sk)
		return 1;
	if (ctx->type != SOCK_DGRAM)
		return show_path(ctx, unix_socket_of(ctx, 0));
	sent = bpf_sk_storage_get(&graft_unix_sent, ctx->sk, 0, 0);
	if (!sent)
		return 1;
	path_of(ctx, &is);
	if (!path_size(&is))
		return 1;
	for (__u32 i = 0; i < CGROUP_SENT_PATHS; i++)
		if (sent->of[i].slot && path_is(&sent->of[i].is, &is)) {
			is = sent->of[i].asked;
			path_set(ctx, &is, 1);
			break;
		}
	return 1;
}

SEC("cgroup/getpeername_unix") int graft_getpeername_unix(struct bpf_sock_addr *ctx)
{
	struct unix_sock *peer;

	if (!ctx->sk || ctx->type == SOCK_DGRAM)
		return 1;
	peer = bpf_skc_to_unix_sock(ctx->sk);
	if (!peer || !peer->peer)
		return 1;
	return show_path(ctx, bpf_sk_storage_get(&graft_unix, peer->peer, 0, 0));
}
