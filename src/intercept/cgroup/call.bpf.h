/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A call: who judges it, and what it comes to.
 */
#pragma once

#include "intercept/cgroup/kernel.bpf.h"

static __always_inline void *judge_open(__u32 image)
{
	return bpf_map_lookup_elem(&graft_images, &image);
}

/* Endpoints stand in the image by their numbers, which no two policies share. */
static __always_inline int judge_is_bound(__u32 image, image_u32 endpoint)
{
	struct binders *binders = bpf_map_lookup_elem(&graft_endpoints, &endpoint);

	return binders && binders->n;
}

#include "intercept/cgroup/judge.bpf.h"
#include "intercept/cgroup/judge_path.bpf.h"

/* 0 or 1, as the verifier can see. */
#define YES_OR_NO(value)                      \
	__extension__({                       \
		__u32 is_ = (value);          \
		asm volatile("" : "+r"(is_)); \
		is_ & 1;                      \
	})

/* Numbers alone, as the larger functions are global, and such take no pointers in it. */
struct call {
	struct judge_call judged;
	struct spot asked;
	__u32 image, rule, flags, edition;
	__u32 what, more, endpoint; /* the first words of the rule's outcome */
	__u32 outcome;              /* number of its first cell */
	__u8 op;                    /* enum traced_op */
	__u8 has_notes;             /* the socket, in graft_made */
	__u8 is_led;                /* the address is to be replaced */
	__u8 is_brief;              /* noted as struct brief, and not with the socket */
	__u8 may_be_low;            /* a port that is a privileged one */
};

static __always_inline __u32 target_of(const struct call *call)
{
	return IMAGE_TARGET(call->what);
}

/* What the kernel has no call for here stands at the structure's beginning. */
struct sock_head {
	__u64 words[4];
};

/* The kernel's structure, which can be looked into if its address is a mere number. */
static __always_inline void *raw_of(struct bpf_sock *sk)
{
	void *raw = NULL;

	bpf_probe_read_kernel(&raw, sizeof(raw), &sk);
	return raw;
}

static __always_inline int is_v6only(struct bpf_sock *socket)
{
	struct sock_head head = {};
	struct sock *sk = (void *)&head;

	bpf_probe_read_kernel(&head, sizeof(head), socket);
	return BPF_CORE_READ_BITFIELD(sk, __sk_common.skc_ipv6only);
}

static __always_inline __u8 proto_of(__u32 type, __u32 protocol)
{
	if (type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP))
		return 0;
	return type == SOCK_DGRAM &&
			       (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE)
		       ? 1
		       : JUDGE_OTHER;
}

/* Do the programs meet every call that gives such a socket an address? */
static __always_inline int is_judged(__u32 type, __u32 protocol)
{
	return proto_of(type, protocol) != JUDGE_OTHER && protocol != IPPROTO_UDPLITE;
}

static __always_inline void spot_of(struct spot *spot, struct bpf_sock_addr *ctx,
				    int is_v6)
{
	spot->port = ctx->user_port;
	if (is_v6) {
		spot->family = AF_INET6;
		spot->address[0] = ctx->user_ip6[0];
		spot->address[1] = ctx->user_ip6[1];
		spot->address[2] = ctx->user_ip6[2];
		spot->address[3] = ctx->user_ip6[3];
	} else {
		spot->family = AF_INET;
		spot->address[0] = ctx->user_ip4;
		spot->address[1] = spot->address[2] = spot->address[3] = 0;
	}
}

static __always_inline int spot_is(const struct spot *a, const struct spot *b)
{
	return a->port == b->port && a->address[0] == b->address[0] &&
	       a->address[1] == b->address[1] && a->address[2] == b->address[2] &&
	       a->address[3] == b->address[3];
}

static __always_inline int spot_is_loopback(const struct spot *spot)
{
	if (spot->family == AF_INET)
		return (bpf_ntohl(spot->address[0]) >> 24) == 127;
	if (spot->address[0] || spot->address[1])
		return 0;
	return (!spot->address[2] && spot->address[3] == bpf_htonl(1)) ||
	       (spot->address[2] == bpf_htonl(0xffff) &&
		(bpf_ntohl(spot->address[3]) >> 24) == 127);
}

static __always_inline int is_wildcard(const struct judge_call *call)
{
	return judge_is_zero(call) || (judge_is_mapped(call) && !call->address[3]);
}

static __always_inline void spot_set(struct bpf_sock_addr *ctx, const struct spot *spot,
				     int is_v6)
{
	ctx->user_port = spot->port;
	if (is_v6) {
		ctx->user_ip6[0] = spot->address[0];
		ctx->user_ip6[1] = spot->address[1];
		ctx->user_ip6[2] = spot->address[2];
		ctx->user_ip6[3] = spot->address[3];
	} else {
		ctx->user_ip4 = spot->address[0];
	}
}

/* Return: the image to be judged by, or 0. */
static __always_inline __u32 image_now(void)
{
	struct judged *judged = bpf_get_local_storage(&graft_judged, 0);

	return judged ? (__u32)judged->image : 0;
}

/* Of the policy; one that is not there denies. */
static __always_inline __u32 image_flags(__u32 image)
{
	void *cells = judge_open(image);
	struct image_cell *more = cells ? judge_cell(cells, 1) : NULL;

	return more ? more->word[0] : IMAGE_DENIES;
}

/* Whether a policy denies anything, for what no rule can be asked about. */
static __always_inline int is_denying(void)
{
	__u32 image = image_now();

	return image &&
	       (image_flags(image) & (IMAGE_DENIES | IMAGE_AUDIT)) == IMAGE_DENIES;
}

static __always_inline void describe(struct call *call, struct bpf_sock_addr *ctx, int op,
				     int is_v6)
{
	struct judge_call *judged = &call->judged;

	spot_of(&call->asked, ctx, is_v6);
	judged->op = op;
	judged->proto = proto_of(ctx->type, ctx->protocol);
	judged->is_v6 = is_v6;
	judged->v6only = is_v6 && ctx->sk && is_v6only(ctx->sk);
	judged->port = bpf_ntohs(call->asked.port);
	if (is_v6) {
		for (int i = 0; i < 4; i++)
			judged->address[i] = bpf_ntohl(call->asked.address[i]);
	} else {
		judged->address[2] = 0xffff;
		judged->address[3] = bpf_ntohl(call->asked.address[0]);
	}
}

/* Return: the cells of the image, or NULL: there should be a policy and is none. Until
 * there is an outcome, @call has the first of all, and how many rules there are. */
static __always_inline void *look_into(struct call *call)
{
	void *cells = judge_open(call->image);
	struct image_cell *head, *more;

	head = cells ? judge_cell(cells, 0) : NULL;
	more = cells ? judge_cell(cells, 1) : NULL;
	if (!head || !more || head->word[0] != IMAGE_VERSION)
		return NULL;
	call->flags = more->word[0];
	call->edition = more->word[1];
	call->outcome = head->word[3];
	call->what = head->word[2];
	return cells;
}

/* What @call's rule says; the call is counted. Return: 0, or the error to fail with. */
static __always_inline int take_outcome(struct call *call, void *cells)
{
	__u32 at = call->outcome +
		   IMAGE_OUTCOME * (call->rule == IMAGE_NONE ? call->what : call->rule);
	struct image_cell *outcome, *hits;

	outcome = judge_cell(cells, at);
	hits = judge_cell(cells, at + 2);
	if (!outcome || !hits)
		return EPERM;
	call->outcome = at;
	call->what = outcome->word[0];
	call->more = outcome->word[1];
	call->endpoint = outcome->word[2];
	__sync_fetch_and_add((__u64 *)hits, 1);
	return 0;
}

/* Return: 0, or the error to fail with, where there should be a policy and is none. */
static __always_inline int look_up(struct call *call, struct bpf_sock_addr *ctx, int op,
				   int is_v6)
{
	void *cells = look_into(call);

	if (!cells)
		return EPERM;
	describe(call, ctx, op, is_v6);
	call->rule = judge(call->image, &call->judged);
	return take_outcome(call, cells);
}

/* bpf_set_retval(), of all of a register: Linux 7 wants to see that it is an errno. */
static long (*const set_retval)(long) = (void *)BPF_FUNC_set_retval;

static __always_inline void fail_with(__u32 error)
{
	__u64 number = error;

	asm volatile("" : "+r"(number));
	number &= 0xfff;
	set_retval(-(long)number);
}

static __always_inline struct notes *notes_of(struct bpf_sock_addr *ctx, int make)
{
	if (!ctx->sk)
		return NULL;
	return bpf_sk_storage_get(&graft_made, ctx->sk, 0,
				  make ? BPF_SK_STORAGE_GET_F_CREATE : 0);
}

/*
 * A call begins. Return: whether it is to be judged; if not, @ret is what the program
 * returns: there is no policy, or it could not be read, or the socket is dead.
 */
static __always_inline int take_up(struct call *call, struct bpf_sock_addr *ctx, int op,
				   int is_v6, int *ret)
{
	struct notes *notes;
	int error;

	*ret = 1;
	call->op = op; /* the first of enum traced_op are the judge's */
	call->image = image_now();
	if (!call->image)
		return 0;
	notes = notes_of(ctx, 0);
	call->has_notes = notes != NULL;
	error = notes && notes->dead ? EACCES : look_up(call, ctx, op, is_v6);
	if (!error)
		return 1;
	fail_with(error);
	*ret = 0;
	return 0;
}

static __always_inline void spot_map(struct spot *spot)
{
	spot->address[3] = spot->address[0];
	spot->address[0] = spot->address[1] = 0;
	spot->address[2] = bpf_htonl(0xffff);
	spot->family = AF_INET6;
}

static __always_inline struct view *view_of(struct bpf_sock_addr *ctx, int make)
{
	if (!ctx->sk)
		return NULL;
	return bpf_sk_storage_get(&graft_views, ctx->sk, 0,
				  make ? BPF_SK_STORAGE_GET_F_CREATE : 0);
}

/* A member of struct bpf_sock. The verifier takes no address that was reckoned out
 * before, as for two loads made one. */
#define SOCK_WORD(sk, member)                   \
	__extension__({                         \
		__u32 word_ = (sk)->member;     \
		asm volatile("" : "+r"(word_)); \
		word_;                          \
	})

/* Is the socket connected to @spot now? */
static __always_inline int is_peer_now(struct bpf_sock_addr *ctx, const struct spot *spot,
				       int is_v6)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk || sk->dst_port != spot->port)
		return 0;
	if (!is_v6)
		return SOCK_WORD(sk, dst_ip4) == spot->address[0];
	return SOCK_WORD(sk, dst_ip6[0]) == spot->address[0] &&
	       SOCK_WORD(sk, dst_ip6[1]) == spot->address[1] &&
	       SOCK_WORD(sk, dst_ip6[2]) == spot->address[2] &&
	       SOCK_WORD(sk, dst_ip6[3]) == spot->address[3];
}

/* A bind that may fail yet is noted. Return: NULL when there is no memory. */
static __always_inline struct view *note_bind(struct bpf_sock_addr *ctx,
					      const struct spot *asked,
					      const struct spot *given, __u32 endpoint)
{
	struct view *view = view_of(ctx, 1);

	if (!view)
		return NULL;
	view->cookie = bpf_get_socket_cookie(ctx);
	view->endpoint = endpoint;
	view->slot = 0;
	view->bound_asked = *asked;
	view->bound_is = *given;
	return view;
}
