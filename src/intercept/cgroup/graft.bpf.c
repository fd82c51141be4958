/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cgroup engine: a policy judged by the kernel, on the sockets themselves.
 *
 * Theory of operation. The programs are attached to a cgroup and run for the sockets its
 * processes made, wherever those are by now. Which policy it is they find in the cgroup's
 * own storage (maps.h). What a call comes to is the judge's (judge.h); here is what is
 * made of that:
 *
 *	own, host	the call goes on: the program is in the host's stack already
 *	endpoint	the address is replaced
 *	from		the socket is bound there first
 *	deny		the error the rule names
 *
 * A program sees what it asked for. struct view, with the socket, remembers both sides;
 * getsockname and getpeername put back what was asked while the socket still has what it
 * was given. A socket that accept() made inherits how its listener is bound and no peer.
 */
#include <linux/bpf.h>
#include <linux/types.h>

#include <linux/in.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "intercept/cgroup/maps.h"
#include "policy/image.h"

/* <sys/socket.h>, <netinet/in.h> and <errno.h> are not for BPF. */
#define AF_INET	     2
#define AF_INET6     10
#define SOCK_STREAM  1
#define SOCK_DGRAM   2
#define SOCK_RAW     3
#define EPERM	     1
#define EAFNOSUPPORT 97
#define ENOBUFS	     105
#define ECONNREFUSED 111
#define TARGET_ENDPOINT 2 /* enum policy_target */
#define TARGET_FROM  3
#define TARGET_DENY  4
#define KIND_IPV4    0 /* enum endpoint_kind */
#define KIND_IPV6    1

/* --- maps -------------------------------------------------------------------------- */

struct image_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct image_cell));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2 * CGROUP_SLOTS);
	__type(key, __u32);
	__array(values, struct image_map);
} graft_images SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, __u64);
} graft_judged SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct view);
} graft_views SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CGROUP_SENT);
	__type(key, struct sent_key);
	__type(value, struct spot);
} graft_sent SEC(".maps");

/* As struct endpoint_value. */
struct binders {
	struct bpf_spin_lock lock;
	__u32 n;
	struct spot at;
	struct binder of[CGROUP_BINDERS];
};

_Static_assert(sizeof(struct binders) == sizeof(struct endpoint_value), "endpoint");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CGROUP_ENDPOINTS);
	__type(key, __u32);
	__type(value, struct binders);
} graft_endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CGROUP_ENDPOINTS);
	__type(key, struct endpoint_key);
	__type(value, __u32);
} graft_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CGROUP_RING);
} graft_traced SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} graft_control SEC(".maps");

/* --- the judge --------------------------------------------------------------------- */

#define JUDGE_IMAGE __u32
#define JUDGE_CELLS void *
#define JUDGE_CALL  __noinline
#define JUDGE_LOOP(n, function, context) bpf_loop(n, function, context, 0)

static __always_inline void *judge_open(__u32 image)
{
	return bpf_map_lookup_elem(&graft_images, &image);
}

static __always_inline struct image_cell *judge_cell(void *cells, image_u32 number)
{
	return bpf_map_lookup_elem(cells, &number);
}

/* Endpoints stand in the image by their numbers, which no two policies share. */
static __always_inline int judge_is_bound(__u32 image, image_u32 endpoint)
{
	struct binders *binders = bpf_map_lookup_elem(&graft_endpoints, &endpoint);

	return binders && binders->n;
}

#include "intercept/cgroup/judge.h"

/* --- a call ------------------------------------------------------------------------ */

struct sock_common {
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	unsigned char skc_ipv6only : 1;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
} __attribute__((preserve_access_index));

struct call {
	struct judge_call judged;
	struct image_cell *outcome, *address, *hits;
	struct spot asked;
	__u32 image, rule, flags, is_v6;
};

/* The kernel has no call for it here; it stands near the structure's beginning. */
static __always_inline int is_v6only(struct bpf_sock *socket)
{
	__u64 head[8] = {};
	struct sock *sk = (void *)head;

	bpf_probe_read_kernel(head, sizeof(head), socket);
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
	__u64 *image = bpf_get_local_storage(&graft_judged, 0);

	return image ? (__u32)*image : 0;
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

/* Return: 0, or the error to fail with, where there should be a policy and is none. */
static __always_inline int look_up(struct call *call, struct bpf_sock_addr *ctx, int op,
				   int is_v6)
{
	struct image_cell *head, *more;
	void *cells;
	__u32 at;

	cells = judge_open(call->image);
	if (!cells)
		return EPERM;
	head = judge_cell(cells, 0);
	more = judge_cell(cells, 1);
	if (!head || !more || head->word[0] != IMAGE_VERSION)
		return EPERM;
	call->flags = more->word[0];
	describe(call, ctx, op, is_v6);
	call->rule = judge(call->image, &call->judged);
	at = head->word[3] +
	     IMAGE_OUTCOME * (call->rule == IMAGE_NONE ? head->word[2] : call->rule);
	call->outcome = judge_cell(cells, at);
	call->address = judge_cell(cells, at + 1);
	call->hits = judge_cell(cells, at + 2);
	if (!call->outcome || !call->address || !call->hits)
		return EPERM;
	__sync_fetch_and_add((__u64 *)call->hits, 1);
	return 0;
}

static __always_inline void trace(const struct call *call, const struct spot *given,
				  int error)
{
	__u32 zero = 0;
	struct control *control = bpf_map_lookup_elem(&graft_control, &zero);
	struct traced *traced;

	if (!control || !control->tracing)
		return;
	traced = bpf_ringbuf_reserve(&graft_traced, sizeof(*traced), 0);
	if (!traced)
		return;
	traced->time_ns = bpf_ktime_get_ns();
	traced->cgroup = bpf_get_current_cgroup_id();
	traced->pid = bpf_get_current_pid_tgid() >> 32;
	traced->slot = CGROUP_SLOT(call->image);
	traced->rule = call->rule;
	traced->error = error;
	traced->op = call->judged.op;
	traced->proto = call->judged.proto;
	traced->asked = call->asked;
	traced->given = *given;
	bpf_get_current_comm(traced->command, sizeof(traced->command));
	bpf_ringbuf_submit(traced, 0);
}

/* Return: what a program returns for a call that goes on, or fails with @error. */
static __always_inline int end(const struct call *call, const struct spot *given,
			       int error, int good)
{
	trace(call, given, error);
	if (!error || call->flags & IMAGE_AUDIT)
		return good;
	bpf_set_retval(-error);
	return 0;
}

/* Keeps @at, which is in range, where the verifier sees that it is. */
#define MASKED(at)                                      \
	do {                                            \
		asm volatile("" : "+r"(at));            \
		(at) &= CGROUP_BINDERS - 1;             \
	} while (0)

/* One of @endpoint's binders, any of them as likely as another. Return: whether there is any. */
static __noinline int pick_binder(__u32 endpoint, __u32 proto, struct spot *ret)
{
	struct binders *binders = bpf_map_lookup_elem(&graft_endpoints, &endpoint);
	__u32 first = bpf_get_prandom_u32(), found = 0;

	if (!binders)
		return 0;
	bpf_spin_lock(&binders->lock);
	for (__u32 i = 0; i < CGROUP_BINDERS; i++) {
		__u32 at = first + i;

		if (i >= binders->n)
			break;
		at %= binders->n;
		MASKED(at);
		if (binders->of[at].proto != proto)
			continue;
		*ret = binders->of[at].at;
		found = 1;
		break;
	}
	bpf_spin_unlock(&binders->lock);
	return found;
}

/* ::1 and 127.0.0.1 instead of a wildcard address. */
static __always_inline void spot_to_loopback(struct spot *spot, int is_v6)
{
	if (is_v6) {
		spot->address[0] = spot->address[1] = spot->address[2] = 0;
		spot->address[3] = bpf_htonl(1);
	} else {
		spot->address[0] = bpf_htonl(0x7f000001);
	}
}

static __always_inline void spot_map(struct spot *spot)
{
	spot->address[3] = spot->address[0];
	spot->address[0] = spot->address[1] = 0;
	spot->address[2] = bpf_htonl(0xffff);
	spot->family = AF_INET6;
}

static __always_inline int spot_is_zero(const struct spot *spot)
{
	return !spot->address[0] && !spot->address[1] && !spot->address[2] &&
	       !spot->address[3];
}

/*
 * Where the outcome's endpoint is, for this socket: as set_endpoint() of policy/resolve.c,
 * and for one whose port is dynamic, where somebody is bound.
 *
 * Return: 0, or the error to fail with.
 */
static __always_inline int find_endpoint(const struct call *call, struct spot *given)
{
	const struct image_cell *outcome = call->outcome;
	__u32 kind = IMAGE_KIND(outcome->word[0]);
	int is_connect = call->judged.op == JUDGE_CONNECT;

	given->port = bpf_htons(outcome->word[1] & 0xffff);
	given->family = kind == KIND_IPV6 ? AF_INET6 : AF_INET;
	for (int i = 0; i < 4; i++)
		given->address[i] = call->address->word[i];
	if (is_connect && !given->port &&
	    IMAGE_TARGET(outcome->word[0]) == TARGET_ENDPOINT &&
	    !pick_binder(outcome->word[2], call->judged.proto, given))
		return ECONNREFUSED;
	if (is_connect && spot_is_zero(given) &&
	    IMAGE_TARGET(outcome->word[0]) == TARGET_ENDPOINT)
		spot_to_loopback(given, given->family == AF_INET6);
	if (!call->is_v6 && given->family == AF_INET6) {
		/* A dual-stack server's wildcard. */
		if (given->address[0] | given->address[1] | given->address[2])
			return EAFNOSUPPORT;
		given->family = AF_INET;
		given->address[3] = 0;
		given->address[0] = bpf_htonl(0x7f000001);
	} else if (call->is_v6 && given->family == AF_INET) {
		spot_map(given);
	}
	return 0;
}

static __always_inline struct view *view_of(struct bpf_sock_addr *ctx, int make)
{
	if (!ctx->sk)
		return NULL;
	return bpf_sk_storage_get(&graft_views, ctx->sk, 0,
				  make ? BPF_SK_STORAGE_GET_F_CREATE : 0);
}

/* --- bind -------------------------------------------------------------------------- */

/* Return: 1 the call goes on, 3 and may take a privileged port, 0 it is refused. */
static __always_inline int judge_bind(struct bpf_sock_addr *ctx, int is_v6)
{
	struct call call = { .is_v6 = is_v6, .image = image_now() };
	struct spot given = {};
	struct view *view;
	int error;

	if (!call.image)
		return 1;
	error = look_up(&call, ctx, JUDGE_BIND, is_v6);
	if (error) {
		bpf_set_retval(-error);
		return 0;
	}
	switch (IMAGE_TARGET(call.outcome->word[0])) {
	case TARGET_DENY:
		return end(&call, &call.asked, call.outcome->word[1] >> 16, 1);
	case TARGET_ENDPOINT:
		break;
	default:
		view = view_of(ctx, 0);
		if (view)
			view->cookie = 0;
		return end(&call, &call.asked, 0, 1);
	}
	error = find_endpoint(&call, &given);
	view = error ? NULL : view_of(ctx, 1);
	if (!view)
		return end(&call, &given, error ? error : ENOBUFS, 1);
	view->cookie = bpf_get_socket_cookie(ctx);
	view->slot = CGROUP_SLOT(call.image);
	view->endpoint = call.outcome->word[2];
	view->bound_asked = call.asked;
	view->bound_is = given;
	spot_set(ctx, &given, is_v6);
	return end(&call, &given, 0, 3);
}

SEC("cgroup/bind4") int graft_bind4(struct bpf_sock_addr *ctx)
{
	return judge_bind(ctx, 0);
}

SEC("cgroup/bind6") int graft_bind6(struct bpf_sock_addr *ctx)
{
	return judge_bind(ctx, 1);
}

/* 0 or 1, as the verifier can see. */
#define YES_OR_NO(value)                         \
	__extension__({                          \
		__u32 is_ = (value);             \
		asm volatile("" : "+r"(is_));    \
		is_ & 1;                         \
	})

/*
 * The bind has succeeded: the port it really got, and the endpoint's table. The cookie says
 * that it was replaced; a bind that failed left it behind, and the next one changed it.
 */
static __always_inline int note_bound(struct bpf_sock *ctx, struct spot *at)
{
	struct view *view = bpf_sk_storage_get(&graft_views, ctx, 0, 0);
	struct binder binder = {};
	struct binders *binders;
	__u32 endpoint, full = 1;

	if (!view || view->cookie != bpf_get_socket_cookie(ctx))
		return 1;
	view->bound_is.port = at->port;
	view->flags |= VIEW_BOUND;
	endpoint = view->endpoint;
	binders = bpf_map_lookup_elem(&graft_endpoints, &endpoint);
	if (!binders)
		return 1; /* not one that is kept */
	binder.cookie = view->cookie;
	binder.at = *at;
	binder.proto = proto_of(ctx->type, ctx->protocol);
	bpf_spin_lock(&binders->lock);
	if (binders->n < CGROUP_BINDERS) {
		binders->of[binders->n] = binder;
		binders->n++;
		full = 0;
	}
	bpf_spin_unlock(&binders->lock);
	if (full)
		return 0;
	view->flags |= VIEW_FILLS;
	return 1;
}

SEC("cgroup/post_bind4") int graft_post_bind4(struct bpf_sock *ctx)
{
	struct spot at = { .family = AF_INET };

	at.address[0] = ctx->src_ip4;
	at.port = bpf_htons(ctx->src_port);
	return YES_OR_NO(note_bound(ctx, &at));
}

SEC("cgroup/post_bind6") int graft_post_bind6(struct bpf_sock *ctx)
{
	struct spot at = { .family = AF_INET6 };

	at.address[0] = ctx->src_ip6[0];
	at.address[1] = ctx->src_ip6[1];
	at.address[2] = ctx->src_ip6[2];
	at.address[3] = ctx->src_ip6[3];
	at.port = bpf_htons(ctx->src_port);
	return YES_OR_NO(note_bound(ctx, &at));
}

SEC("cgroup/sock_release") int graft_release(struct bpf_sock *ctx)
{
	struct view *view = bpf_sk_storage_get(&graft_views, ctx, 0, 0);
	struct binders *binders;
	__u64 cookie;
	__u32 endpoint;

	if (!view || !(view->flags & VIEW_FILLS))
		return 1;
	cookie = bpf_get_socket_cookie(ctx);
	if (view->cookie != cookie)
		return 1;
	endpoint = view->endpoint;
	binders = bpf_map_lookup_elem(&graft_endpoints, &endpoint);
	if (!binders)
		return 1;
	bpf_spin_lock(&binders->lock);
	for (__u32 i = 0; i < CGROUP_BINDERS; i++) {
		if (i >= binders->n)
			break;
		if (binders->of[i].cookie == cookie) {
			__u32 last = --binders->n;

			MASKED(last);
			binders->of[i] = binders->of[last];
			break;
		}
	}
	bpf_spin_unlock(&binders->lock);
	return 1;
}

/* --- connect ----------------------------------------------------------------------- */

static __always_inline int bind_first(struct bpf_sock_addr *ctx, const struct spot *from,
				      int is_v6)
{
	if (is_v6) {
		struct {
			__u16 family, port;
			__u32 flow, address[4], scope;
		} in6 = { AF_INET6, from->port, 0,
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
	struct call call = { .is_v6 = is_v6, .image = image_now() };
	struct spot given = {};
	struct view *view;
	int error;

	if (!call.image)
		return 1;
	error = look_up(&call, ctx, JUDGE_CONNECT, is_v6);
	if (error) {
		bpf_set_retval(-error);
		return 0;
	}
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
	struct call call = { .is_v6 = is_v6, .image = image_now() };
	struct spot given = {};
	int error;

	if (!call.image)
		return 1;
	error = look_up(&call, ctx, JUDGE_CONNECT, is_v6);
	if (error) {
		bpf_set_retval(-error);
		return 0;
	}
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
	if (!error && is_v6 && given.address[2] == bpf_htonl(0xffff) && !given.address[0] &&
	    !given.address[1])
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

/* --- what the program sees --------------------------------------------------------- */

static __always_inline int show_peer(struct bpf_sock_addr *ctx, int is_v6)
{
	struct view *view = view_of(ctx, 0);
	struct spot is = {};

	if (!view || !(view->flags & VIEW_PEER))
		return 1;
	spot_of(&is, ctx, is_v6);
	if (spot_is(&is, &view->peer_is))
		spot_set(ctx, &view->peer_asked, is_v6);
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
	is_it = view->cookie == bpf_get_socket_cookie(ctx) && spot_is(&is, &view->bound_is);
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

static __always_inline int show_source(struct bpf_sock_addr *ctx, int is_v6)
{
	struct view *view = view_of(ctx, 0);
	struct spot *asked, shown;
	struct sent_key key = {};

	if (!view || !(view->flags & (VIEW_PEER | VIEW_SENT)))
		return 1;
	spot_of(&key.to, ctx, is_v6);
	if (view->flags & VIEW_PEER && spot_is(&key.to, &view->peer_is)) {
		spot_set(ctx, &view->peer_asked, is_v6);
		return 1;
	}
	key.cookie = bpf_get_socket_cookie(ctx);
	if (!is_v6)
		spot_map(&key.to);
	asked = bpf_map_lookup_elem(&graft_sent, &key);
	if (!asked)
		return 1;
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

/* --- sockets that nobody judges ---------------------------------------------------- */

/* A raw socket sends whatever it likes to whomever: not where anything is denied. */
SEC("cgroup/sock_create") int graft_create(struct bpf_sock *ctx)
{
	__u32 image = image_now();
	struct image_cell *more;
	void *cells;

	if (!image || ctx->type != SOCK_RAW)
		return 1;
	cells = judge_open(image);
	if (!cells)
		return 0;
	more = judge_cell(cells, 1);
	return more && !(more->word[0] & IMAGE_DENIES && !(more->word[0] & IMAGE_AUDIT));
}

char LICENSE[] SEC("license") = "GPL";
