/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets of rules that were revoked: finding them, and silencing those that live on.
 *
 * The kernel's iterators show what it has: graft_made_tcp and _udp the sockets of one
 * network namespace that have an address, whoever holds them, graft_made_file those that
 * a process has a descriptor of, in whatever namespace and state. Each is looked at, and
 * marked as dead if it is what it is by a revoked rule. Where the policy has got another
 * edition since, the rule is the one that would decide the same call now. What is dead
 * is refused each judged call; user space destroys it as far as the kernel can.
 * graft_dead_ingress and graft_dead_egress are for what the kernel leaves: they are
 * attached when there is such.
 */
#pragma once

#include "intercept/cgroup/send.bpf.h"

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct udp_sock;

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

static __always_inline void spot_of_v6(struct spot *ret, const struct in6_addr *address)
{
	for (int i = 0; i < 4; i++)
		ret->address[i] = address->in6_u.u6_addr32[i];
}

static __always_inline void describe_socket(struct made_socket *ret, struct sock *sk)
{
	struct sock_common *common = &sk->__sk_common;

	ret->cookie = bpf_get_socket_cookie(sk);
	ret->netns = common->skc_net.net->ns.inum;
	ret->device = common->skc_bound_dev_if;
	ret->protocol = sk->sk_protocol;
	ret->state = common->skc_state;
	ret->local.family = ret->peer.family = common->skc_family;
	ret->local.port = bpf_htons(common->skc_num);
	ret->peer.port = common->skc_dport;
	if (common->skc_family == AF_INET6) {
		spot_of_v6(&ret->local, &common->skc_v6_rcv_saddr);
		spot_of_v6(&ret->peer, &common->skc_v6_daddr);
	} else {
		ret->local.address[0] = common->skc_rcv_saddr;
		ret->peer.address[0] = common->skc_daddr;
	}
}

static __always_inline int is_of_revoking(__u32 slot, __u32 edition,
					  const struct revoking *revoking)
{
	return slot == CGROUP_SLOT(revoking->image) && edition >= revoking->first &&
	       edition <= revoking->last;
}

static __always_inline int is_wanted_made(const struct made *made,
					  const struct revoking *revoking)
{
	return is_of_revoking(made->slot, made->edition, revoking);
}

/* The rule that decides the call now. */
static __always_inline __u32 judge_again(const struct revoking *revoking,
					 const struct spot *asked, __u32 op, __u32 proto,
					 __u32 v6only)
{
	struct judge_call call = {};

	call.op = op;
	call.proto = proto;
	call.v6only = v6only;
	call.is_v6 = asked->family == AF_INET6;
	call.port = bpf_ntohs(asked->port);
	if (call.is_v6) {
		for (int i = 0; i < 4; i++)
			call.address[i] = bpf_ntohl(asked->address[i]);
	} else {
		call.address[2] = 0xffff;
		call.address[3] = bpf_ntohl(asked->address[0]);
	}
	return judge(revoking->image, &call);
}

static __always_inline int is_revoked(const struct revoking *revoking, __u32 rule)
{
	const struct image_cell *outcome;
	void *cells;

	cells = judge_open(revoking->image);
	if (!cells || rule == IMAGE_NONE)
		return 0;
	outcome = judge_outcome(cells, rule);
	return outcome && outcome->word[0] & IMAGE_REVOKED;
}

/* Return: whether the rule that @made stands for now is revoked, then with its number. */
__noinline int find_revoked(const struct made *made, const struct made_socket *socket,
			    const struct revoking *revoking, __u32 *ret)
{
	const struct spot *asked;

	if (!made || !socket || !revoking || !ret)
		return 0;
	asked = made->asked.family ? &made->asked : &socket->peer;
	*ret = made->edition == revoking->last ? made->rule
					       : judge_again(revoking, asked, made->op,
							     made->proto, made->v6only);
	return is_revoked(revoking, *ret);
}

/*
 * Does @made say what @socket is? Return: 1, 0, or -1: it may be about to. A stream that
 * is in a call is locked; a datagram socket has another peer, or none, where its connect
 * failed or is on its way. @n_matching: entries that name its peer; where none does it is
 * an outer policy that does.
 */
static __always_inline int is_by(const struct made *made,
				 const struct made_socket *socket, int is_accepted,
				 int is_locked, int n_matching)
{
	if (made->op == JUDGE_BIND)
		return made->is_true;
	if (is_accepted || socket->state == TCP_LISTEN)
		return 0;
	if (socket->state == TCP_CLOSE)
		return made->proto == 0 ? -is_locked : -1;
	if (made->proto == 0 || !n_matching)
		return 1;
	return spot_is(&made->is, &socket->peer) ? 1 : -1;
}

static __always_inline int n_matching(const struct notes *notes,
				      const struct revoking *revoking,
				      const struct made_socket *socket)
{
	int n = 0;

#pragma unroll
	for (int i = 0; i < CGROUP_MADE; i++)
		n += notes->made[i].op == JUDGE_CONNECT &&
		     is_wanted_made(&notes->made[i], revoking) &&
		     spot_is(&notes->made[i].is, &socket->peer);
	return n;
}

/* Return: whether @socket is to be told of. */
__noinline int look_through(const struct notes *notes, const struct revoking *revoking,
			    struct made_socket *socket, int is_locked)
{
	int matching, is_accepted, is_met = 0;

	if (!notes || !revoking || !socket)
		return 0;
	matching = n_matching(notes, revoking, socket);
	is_accepted = notes->maker != socket->cookie;
	socket->found = MADE_PENDING;
#pragma unroll
	for (int i = 0; i < CGROUP_MADE; i++) {
		const struct made *made = &notes->made[i];
		__u32 rule;
		int by;

		if (!is_wanted_made(made, revoking))
			continue;
		if (made->op == JUDGE_BIND && made->is_true && !is_accepted)
			socket->is_bound = 1;
		by = is_by(made, socket, is_accepted, is_locked, matching);
		if (!by || !find_revoked(made, socket, revoking, &rule))
			continue;
		is_met = 1;
		socket->rule = rule;
		if (by < 0)
			continue;
		socket->found = MADE_FOUND;
		break;
	}
	return is_met;
}

/* The same by what is noted in short. One that is in a call may have no peer yet. */
__noinline int look_at_brief(const struct brief *brief, const struct revoking *revoking,
			     struct made_socket *socket, int is_locked)
{
	__u32 rule, edition;

	if (!brief || !revoking || !socket)
		return 0;
	rule = brief->rule;
	edition = brief->edition;
	if (brief->cookie != socket->cookie || socket->state == TCP_LISTEN ||
	    !is_of_revoking(brief->slot, edition, revoking))
		return 0;
	socket->found = MADE_PENDING;
	if (socket->state == TCP_CLOSE)
		return is_locked;
	if (edition != revoking->last)
		rule = judge_again(revoking, &brief->asked, JUDGE_CONNECT, 0,
				   brief->v6only);
	if (!is_revoked(revoking, rule))
		return 0;
	socket->rule = rule;
	socket->found = MADE_FOUND;
	return 1;
}

/* Return: whether it is to be told of. */
static __always_inline int look_at_notes(struct sock *sk, struct notes *notes,
					 const struct revoking *revoking,
					 struct made_socket *socket)
{
	struct brief *brief = brief_at(socket->cookie);
	int is_locked = sk->sk_lock.owned != 0, is_met = 0;

	if (notes)
		is_met = look_through(notes, revoking, socket, is_locked);
	if (brief && !(is_met && socket->found == MADE_FOUND))
		is_met |= look_at_brief(brief, revoking, socket, is_locked);
	return is_met;
}

static __always_inline void mark_dead(struct sock *sk, const struct made_socket *socket,
				      __u32 slot)
{
	struct notes *notes =
		bpf_sk_storage_get(&graft_made, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!notes)
		return;
	if (!notes->maker)
		notes->maker = socket->cookie;
	notes->dead = slot;
	last_forget(socket->cookie);
}

static __always_inline int look_at(struct sock *sk, struct seq_file *seq)
{
	struct made_socket socket = {};
	struct revoking *revoking;
	struct notes *notes;
	__u32 zero = 0, slot;

	if (!sk)
		return 0;
	revoking = bpf_map_lookup_elem(&graft_revoking, &zero);
	notes = bpf_sk_storage_get(&graft_made, sk, 0, 0);
	if (!revoking || (!notes && !sk->__sk_common.skc_cookie.counter))
		return 0;
	slot = CGROUP_SLOT(revoking->image);
	if (revoking->mode == REVOKING_COUNT && !(notes && notes->dead == slot))
		return 0;
	describe_socket(&socket, sk);
	socket.found = MADE_DEAD;
	if (!(notes && notes->dead == slot) &&
	    !look_at_notes(sk, notes, revoking, &socket))
		return 0;
	if (revoking->mode == REVOKING_MARK && socket.found == MADE_FOUND)
		mark_dead(sk, &socket, slot);
	bpf_seq_write(seq, &socket, sizeof(socket));
	return 0;
}

SEC("iter/tcp") int graft_made_tcp(struct bpf_iter__tcp *ctx)
{
	if (!ctx->sk_common)
		return 0;
	return look_at((struct sock *)bpf_skc_to_tcp_sock(ctx->sk_common),
		       ctx->meta->seq);
}

SEC("iter/udp") int graft_made_udp(struct bpf_iter__udp *ctx)
{
	return look_at((struct sock *)ctx->udp_sk, ctx->meta->seq);
}

SEC("iter/task_file") int graft_made_file(struct bpf_iter__task_file *ctx)
{
	struct socket *socket = ctx->file ? bpf_sock_from_file(ctx->file) : NULL;

	return socket ? look_at(socket->sk, ctx->meta->seq) : 0;
}

/* --- what the kernel leaves -------------------------------------------------------- */

static __always_inline int is_dead(struct bpf_sock *sk)
{
	const struct notes *notes;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	notes = sk ? bpf_sk_storage_get(&graft_made, sk, 0, 0) : NULL;
	return notes && notes->dead;
}

SEC("cgroup_skb/ingress") int graft_dead_ingress(struct __sk_buff *skb)
{
	return !is_dead(skb->sk);
}

/* A stream hears nothing any more, and its peer is to hear that it ends. */
SEC("cgroup_skb/egress") int graft_dead_egress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk ? bpf_sk_fullsock(skb->sk) : NULL;

	return !sk || sk->type == SOCK_STREAM || !is_dead(sk);
}
