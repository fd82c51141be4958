/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shortcut: what one end of a connection sends is put where the other one reads,
 * past TCP, if both ends are sockets of policies with `shortcut on`.
 *
 * Theory of operation. The kernel lets a program move a message from the socket that
 * sends it to another one's queue, if both are in a SOCKHASH. Sockets come in there only
 * while their connection is made (bpf_sock_hash_update() refuses any other time) and
 * cannot be taken out before they are closed: a sender that has found one there would
 * lose its message. So it is decided then whether they do,
 *
 *	the client's	if its server is known to be under such a policy, on this
 *			machine, and its connections live long enough to be worth it;
 *	the server's	if the client's end is in.
 *
 * and a connection to anybody else has no part in this.
 *
 * What goes past TCP overtakes what is on its way by TCP, and is read before what TCP has
 * brought already. So a message goes past it only if all that was ever sent that way has
 * been read, which the sequence numbers of both ends tell; what is sent by TCP after it
 * is read after it. A message goes by TCP while the reader has CGROUP_UNREAD bytes
 * waiting, so that TCP makes the writer wait, and if one of the two is more than TCP.
 *
 * FIONREAD of a socket in the table counts what came past TCP and nothing else, and nginx
 * reads no more when that is 0. So a reader may have much wait for it before TCP comes
 * in, and what a port's first slow reader shows spares the next ones.
 *
 * Who waits within a call on such a socket is not served as by TCP: a signal makes recv()
 * fail with EAGAIN, MSG_WAITALL is ignored, and bytes that come the other way are not
 * seen. So none of this is for sockets that are not O_NONBLOCK, nor for servers whose
 * listener is not.
 *
 * A peer is known by its cookie. Its structure is looked into by an address that may be
 * stale, so nothing is believed of it but with that cookie; and whatever is believed, the
 * kernel's own table says who gets the message.
 */
#pragma once

#include "intercept/cgroup/call.bpf.h"

#define SEND_SHUTDOWN 2
#define O_NONBLOCK    04000 /* of the architectures that BPF is compiled for here */
#define LOOPBACK      1     /* ifindex of lo, in every namespace */

/* Connections of a port come out short or long by the messages they had. */
#define SERVED_LONG     8
#define SERVED_RESET    (-8)
#define SERVED_UNWORTHY 8
#define SERVED_PILED    64
#define SERVED_MAX      64
#define SERVED_NEVER    1000 /* until somebody listens there again */
/* Low bits of sk_user_data say what it is. */
#define USER_DATA_MASK (~7ull)

/* A kernel that does not count what came past TCP tells FIONREAD that there is nothing,
 * and nginx then reads no more. */
static __always_inline int is_shortcut_on(void)
{
	__u32 image = image_now();

	if (!bpf_core_field_exists(struct sk_psock, msg_tot_len))
		return 0;
	return image && image_flags(image) & IMAGE_SHORTCUT;
}

/* The verifier wants such a field loaded from where the context is and nowhere else;
 * clang makes one load of two from places it works out before. */
#define LOAD(ctx, field)                                                            \
	__extension__({                                                             \
		__u32 is_;                                                          \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                               \
			     : "=r"(is_)                                            \
			     : "r"(ctx), "i"(offsetof(__typeof__(*(ctx)), field))); \
		is_;                                                                \
	})

/* Both struct bpf_sock_ops and struct sk_msg_md say it in the same words. */
#define END_KEY(key, ctx)                                                   \
	do {                                                                \
		(key)->netns = bpf_get_netns_cookie(ctx);                   \
		if ((ctx)->family == AF_INET) {                             \
			(key)->own[2] = (key)->peer[2] = bpf_htonl(0xffff); \
			(key)->own[3] = LOAD(ctx, local_ip4);               \
			(key)->peer[3] = LOAD(ctx, remote_ip4);             \
		} else {                                                    \
			(key)->own[0] = LOAD(ctx, local_ip6[0]);            \
			(key)->own[1] = LOAD(ctx, local_ip6[1]);            \
			(key)->own[2] = LOAD(ctx, local_ip6[2]);            \
			(key)->own[3] = LOAD(ctx, local_ip6[3]);            \
			(key)->peer[0] = LOAD(ctx, remote_ip6[0]);          \
			(key)->peer[1] = LOAD(ctx, remote_ip6[1]);          \
			(key)->peer[2] = LOAD(ctx, remote_ip6[2]);          \
			(key)->peer[3] = LOAD(ctx, remote_ip6[3]);          \
		}                                                           \
		(key)->own_port = LOAD(ctx, local_port);                    \
		(key)->peer_port = bpf_ntohl(LOAD(ctx, remote_port));       \
	} while (0)

static __always_inline void end_turn(struct end_key *to, const struct end_key *from)
{
	to->netns = from->netns;
	for (int i = 0; i < 4; i++) {
		to->own[i] = from->peer[i];
		to->peer[i] = from->own[i];
	}
	to->own_port = from->peer_port;
	to->peer_port = from->own_port;
}

/* Whether calls on @sk return instead of waiting. One that has no file yet waits. */
static __always_inline int is_nonblocking(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_socket, file, f_flags) & O_NONBLOCK;
}

static __always_inline int is_end(const struct end *end)
{
	struct sock *sk = (void *)end->socket;

	return (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) == end->cookie;
}

/* --- who serves --- */

static __always_inline struct served *served_find(__u64 netns, __u32 port)
{
	struct served_key key = {};

	key.netns = netns;
	key.port = port;
	return bpf_map_lookup_elem(&graft_served, &key);
}

static __always_inline void served_note(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct served_key key = {};
	struct served served = {};

	key.netns = bpf_get_netns_cookie(ctx);
	key.port = ctx->local_port;
	served.listener.socket = (__u64)raw_of(sk);
	served.listener.cookie = bpf_get_socket_cookie(ctx);
	bpf_map_update_elem(&graft_served, &key, &served, BPF_ANY);
}

static __always_inline void served_count(struct served *served, __u32 n)
{
	if (served->score >= SERVED_NEVER)
		return;
	if (n >= SERVED_LONG)
		served->score = SERVED_RESET;
	else if (served->score < SERVED_MAX)
		served->score += 1;
}

/* Its connections turn out to need TCP: the next ones have it from the start. */
static __always_inline void served_end(__u64 netns, __u32 port)
{
	struct served *served = served_find(netns, port);

	if (served)
		served->score = SERVED_NEVER;
}

/* Whether connections to @port are to be short: not with TCP_DEFER_ACCEPT, which has the
 * first bytes come before the connection. */
static __always_inline int is_served(__u64 netns, __u32 port)
{
	struct served *served = served_find(netns, port);
	struct inet_connection_sock *listener;

	if (!served || served->score >= SERVED_UNWORTHY || !is_end(&served->listener))
		return 0;
	listener = (void *)served->listener.socket;
	return is_nonblocking((void *)listener) &&
	       !BPF_CORE_READ(listener, icsk_accept_queue.rskq_defer_accept);
}

/* --- a connection is made --- */

static __always_inline void join(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
				 const struct end_key *key, __u32 port)
{
	struct tcp_sock *tcp = raw_of(sk);
	struct speaker speaker = {};
	struct side *side;

	if (BPF_CORE_READ(tcp, inet_conn.icsk_ulp_ops))
		return;
	/* Another policy's, of a cgroup below, had it in already. */
	if (bpf_sk_storage_get(&graft_sides, sk, 0, 0))
		return;
	side = bpf_sk_storage_get(&graft_sides, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!side)
		return;
	/* Not what is sent next, lest it be taken for read. */
	side->read = BPF_CORE_READ(tcp, write_seq) - 1;
	side->port = port;
	speaker.end.socket = (__u64)tcp;
	speaker.end.cookie = bpf_get_socket_cookie(ctx);
	if (bpf_sock_hash_update(ctx, &graft_shortcuts, &speaker.end.cookie,
				 BPF_NOEXIST) < 0)
		bpf_sk_storage_delete(&graft_sides, sk);
	else
		bpf_map_update_elem(&graft_ends, key, &speaker, BPF_ANY);
}

static __always_inline void connected(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct sock *raw = raw_of(sk);
	struct end_key key = {};

	if (!is_nonblocking(raw) ||
	    BPF_CORE_READ(raw, sk_dst_cache, dev, ifindex) != LOOPBACK)
		return;
	END_KEY(&key, ctx);
	if (is_served(key.netns, key.peer_port))
		join(ctx, sk, &key, key.peer_port);
}

/* If the client's is in, so is the server's, whatever was learnt in between: in the table
 * and without a peer it would have all of the costs. */
static __always_inline void accepted(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct end_key key = {}, turned = {};
	struct speaker *client;

	END_KEY(&key, ctx);
	end_turn(&turned, &key);
	client = bpf_map_lookup_elem(&graft_ends, &turned);
	if (client && is_end(&client->end))
		join(ctx, sk, &key, key.own_port);
}

SEC("sockops") int graft_connection(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk;
	__u32 op = ctx->op;

	if (op != BPF_SOCK_OPS_TCP_LISTEN_CB &&
	    op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
	    op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	sk = ctx->sk;
	if (!sk || !is_shortcut_on())
		return 1;
	if (op == BPF_SOCK_OPS_TCP_LISTEN_CB)
		served_note(ctx, sk);
	else if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		connected(ctx, sk);
	else
		accepted(ctx, sk);
	return 1;
}

/* --- a message is sent --- */

/* Where the kernel counts what came to @peer past TCP and was not read. */
static __always_inline __u64 find_unread(struct sock *peer)
{
	__u64 psock = (__u64)BPF_CORE_READ(peer, sk_user_data) & USER_DATA_MASK;

	if (!psock || !bpf_core_field_exists(struct sk_psock, msg_tot_len))
		return 0;
	return psock + bpf_core_field_offset(struct sk_psock, msg_tot_len);
}

/* Return: whether the other end is there. */
static __noinline int find_peer(struct sk_msg_md *msg, struct side *side)
{
	struct end_key key = {}, turned = {};
	struct speaker *speaker;
	struct end found;
	struct sock *sk;

	if (!side)
		return 0;
	END_KEY(&key, msg);
	end_turn(&turned, &key);
	speaker = bpf_map_lookup_elem(&graft_ends, &turned);
	if (!speaker)
		return 0;
	found = speaker->end;
	sk = (void *)found.socket;
	side->unread = find_unread(sk);
	if (!side->unread ||
	    BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_ESTABLISHED ||
	    !is_end(&found))
		return 0;
	side->peer = found;
	return 1;
}

/* Its peer learns where it speaks. */
static __noinline int note_cpu(struct sk_msg_md *msg, struct side *side)
{
	__u32 cpu = bpf_get_smp_processor_id() + 1;
	struct end_key key = {};
	struct speaker *speaker;

	if (!side || side->cpu == cpu)
		return 0;
	END_KEY(&key, msg);
	speaker = bpf_map_lookup_elem(&graft_ends, &key);
	if (speaker)
		speaker->cpu = side->cpu = cpu;
	return 0;
}

/* Whether the peer last spoke on this processor, and so may well read there. */
static __noinline int is_near(struct sk_msg_md *msg)
{
	struct end_key key = {}, turned = {};
	struct speaker *speaker;

	END_KEY(&key, msg);
	end_turn(&turned, &key);
	speaker = bpf_map_lookup_elem(&graft_ends, &turned);
	return speaker && speaker->cpu == bpf_get_smp_processor_id() + 1;
}

/* Whether the peer has read whatever was sent to it by TCP. */
static __always_inline int is_read(struct side *side, const struct tcp_sock *tcp)
{
	struct tcp_sock *peer = (void *)side->peer.socket;
	__u32 sent = tcp->write_seq;

	if (side->read == sent)
		return 1;
	if (BPF_CORE_READ(peer, copied_seq) != sent || !is_end(&side->peer))
		return 0;
	side->read = sent;
	return 1;
}

/* Whether who reads there waits in poll() and its like. Before it is accepted, it is as
 * its listener is. */
static __always_inline int is_polled(struct side *side)
{
	struct sock *sk = (void *)side->peer.socket;
	__u32 flags = 0;

	if (!side->flags) {
		__u64 file = (__u64)BPF_CORE_READ(sk, sk_socket, file);

		if (!file)
			return 1;
		side->flags = file + bpf_core_field_offset(struct file, f_flags);
	}
	bpf_probe_read_kernel(&flags, sizeof(flags), (void *)side->flags);
	return flags & O_NONBLOCK;
}

/* Neither end is more than TCP, and TCP has no error to tell the writer. */
static __always_inline int is_plain(struct side *side, const struct tcp_sock *tcp)
{
	struct tcp_sock *peer = (void *)side->peer.socket;
	struct sock *sk = (void *)tcp;
	__u64 copies = bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY);

	return !tcp->inet_conn.icsk_ulp_ops && !(sk->sk_shutdown & SEND_SHUTDOWN) &&
	       !(sk->__sk_common.skc_flags >> copies & 1) &&
	       !BPF_CORE_READ(peer, inet_conn.icsk_ulp_ops);
}

/* Whether small messages come faster than they are read: each has a page and a wake-up of
 * its own, and TCP is twice as fast. */
static __always_inline int is_piled(struct side *side, __u32 size, __u32 unread)
{
	if (size < CGROUP_SMALL && unread >= CGROUP_PILE)
		side->piled++;
	else if (side->piled)
		side->piled--;
	return side->piled >= SERVED_PILED;
}

static __always_inline int is_short(struct sk_msg_md *msg, struct side *side)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(msg->sk);
	__u32 unread = 0;
	int polled;

	if (!tcp || !is_plain(side, tcp) || !is_read(side, tcp))
		return 0;
	bpf_probe_read_kernel(&unread, sizeof(unread), (void *)side->unread);
	polled = is_polled(side);
	/* Some servers, as redis, accept a socket first and have it not block then. */
	side->blocking += !polled;
	if (side->blocking >= SERVED_LONG || unread > CGROUP_UNREAD_SLOW ||
	    is_piled(side, msg->size, unread))
		served_end(bpf_get_netns_cookie(msg), side->port);
	return polled && unread <= CGROUP_UNREAD &&
	       (msg->size < CGROUP_SMALL || is_near(msg));
}

/* The rest of a message of which the peer has the beginning, as memory was short. */
static __always_inline int is_rest(struct sk_msg_md *msg)
{
	struct sk_msg_md *context = msg;
	struct sk_msg *raw = NULL;

	bpf_probe_read_kernel(&raw, sizeof(raw), &context);
	return !!BPF_CORE_READ(raw, sk_redir);
}

static __always_inline int redirect(struct sk_msg_md *msg, const struct side *side)
{
	__u64 peer = side->peer.cookie;

	return bpf_msg_redirect_hash(msg, &graft_shortcuts, &peer, BPF_F_INGRESS);
}

SEC("sk_msg") int graft_message(struct sk_msg_md *msg)
{
	struct side *side = bpf_sk_storage_get(&graft_sides, msg->sk, 0, 0);

	if (!side)
		return SK_PASS;
	side->n++;
	note_cpu(msg, side);
	if (!side->peer.cookie && !find_peer(msg, side))
		return SK_PASS;
	if (!is_short(msg, side) && !is_rest(msg))
		return SK_PASS;
	if (redirect(msg, side) == SK_PASS)
		return SK_PASS;
	/* It is gone. The kernel would send the rest where the beginning went, and that
	 * may be no socket any more. */
	return is_rest(msg) ? SK_DROP : SK_PASS;
}

/* --- a connection ends --- */

/* One that had no part in it and lasted: its port may be worth it again. A brief one says
 * nothing new. */
static __always_inline void count_other(struct bpf_sock *ctx)
{
	struct tcp_sock *tcp = raw_of(ctx);
	struct sock *sk = (void *)tcp;
	__u32 n = BPF_CORE_READ(tcp, data_segs_in);
	struct served *served;
	__u64 netns;

	if (n < SERVED_LONG)
		return;
	netns = bpf_get_netns_cookie(ctx);
	served = served_find(netns, BPF_CORE_READ(sk, __sk_common.skc_num));
	if (!served)
		served = served_find(netns,
				     bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)));
	if (served)
		served_count(served, n);
}

SEC("cgroup/sock_release") int graft_close(struct bpf_sock *ctx)
{
	struct served *served;
	struct side *side;

	if (ctx->type != SOCK_STREAM || ctx->protocol != IPPROTO_TCP)
		return 1;
	side = bpf_sk_storage_get(&graft_sides, ctx, 0, 0);
	if (!side) {
		count_other(ctx);
		return 1;
	}
	served = served_find(bpf_get_netns_cookie(ctx), side->port);
	if (served)
		served_count(served, side->n);
	return 1;
}
