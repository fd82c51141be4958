/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where an endpoint is, and who is bound to it.
 *
 * One of the policy's stands in its image. The registry's is where graftd says
 * (wire/places.h). Where the port is dynamic it is that of a socket bound there: one that
 * was bound under a policy, whose coming and going the programs see, or one that graftd
 * handed out, which is looked for among the sockets that are there.
 */
#pragma once

#include "intercept/cgroup/call.bpf.h"

#define PICKED_BY_CHANCE 8

/* Keeps @at, which is in range, where the verifier sees that it is. */
#define MASKED(at)                           \
	do {                                 \
		asm volatile("" : "+r"(at)); \
		(at) &= PLACES_BINDERS - 1;  \
	} while (0)

static __always_inline __u32 life_of(__u32 endpoint)
{
	struct place *place = bpf_map_lookup_elem(&graft_places, &endpoint);

	return place ? place->life : 0;
}

/* Who is looked for, and where he is. */
struct wanted {
	__u64 netns;
	struct spot at;
	__u32 proto, life; /* as struct binder has them */
};

static __always_inline int binder_serves(const struct binder *binder,
					 const struct wanted *wanted)
{
	return binder->netns == wanted->netns && binder->proto == wanted->proto &&
	       binder->life == wanted->life;
}

/* Whether it would hear of who comes: it listens, or is connected to nobody. */
static __always_inline int binder_hears(__u64 cookie, __u64 socket, __u32 proto)
{
	struct sock *sk = (void *)socket;
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	return (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) == cookie &&
	       state == (proto ? TCP_CLOSE : TCP_LISTEN);
}

struct picking {
	struct binders *binders;
	struct wanted *wanted;
	__u64 cookie, socket; /* of the one that was looked at; 0: it is not as wanted */
	__u32 at, n;
	__u32 found;
};

/* The one that is @at from the first, counted around. */
static __always_inline void look_at_binder(struct picking *picking, __u32 at)
{
	struct binders *binders = picking->binders;
	struct wanted *wanted = picking->wanted;

	picking->cookie = 0;
	bpf_spin_lock(&binders->lock);
	picking->n = binders->n;
	if (binders->n) {
		at %= binders->n;
		MASKED(at);
		if (binder_serves(&binders->of[at], wanted)) {
			picking->cookie = binders->of[at].cookie;
			picking->socket = binders->of[at].socket;
			wanted->at = binders->of[at].at;
		}
	}
	bpf_spin_unlock(&binders->lock);
}

static long pick_next(__u32 i, void *context)
{
	struct picking *picking = context;

	picking->at = i < PICKED_BY_CHANCE ? bpf_get_prandom_u32() : picking->at + 1;
	look_at_binder(picking, picking->at);
	if (i >= PICKED_BY_CHANCE + picking->n)
		return 1;
	if (!picking->cookie)
		return 0;
	picking->found = 1;
	return picking->n == 1 ||
	       binder_hears(picking->cookie, picking->socket, picking->wanted->proto);
}

/*
 * One of them that is as @wanted, its netns, proto and life, and hears; any if none does.
 * Some are picked by chance, so that each is as likely as another, then all in turn.
 * Return: whether there is any; @wanted->at is where.
 */
__noinline int pick_binder(__u32 endpoint, struct wanted *wanted)
{
	struct picking picking = {};

	picking.binders = bpf_map_lookup_elem(&graft_endpoints, &endpoint);
	picking.wanted = wanted;
	if (!picking.binders || !wanted)
		return 0;
	bpf_loop(PICKED_BY_CHANCE + PLACES_BINDERS, pick_next, &picking, 0);
	return picking.found;
}

/* Return: 0, or 1: there is no room. No table: it is not one that is kept. */
static __always_inline int add_binder(__u32 endpoint, const struct binder *binder,
				      int *ret_is_kept)
{
	struct binders *binders = bpf_map_lookup_elem(&graft_endpoints, &endpoint);
	int full = 1;

	*ret_is_kept = binders != NULL;
	if (!binders)
		return 0;
	bpf_spin_lock(&binders->lock);
	if (binders->n < PLACES_BINDERS) {
		binders->of[binders->n] = *binder;
		binders->n++;
		full = 0;
	}
	bpf_spin_unlock(&binders->lock);
	return full;
}

static __always_inline void drop_binder(__u32 endpoint, __u64 cookie)
{
	struct binders *binders = bpf_map_lookup_elem(&graft_endpoints, &endpoint);

	if (!binders)
		return;
	bpf_spin_lock(&binders->lock);
	for (__u32 i = 0; i < PLACES_BINDERS; i++) {
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
}

/* --- who has a socket of graftd's --- */

static __always_inline struct bpf_sock *look_for(struct bpf_sock_addr *ctx,
						 const struct wanted *wanted)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size = sizeof(tuple.ipv4);

	if (wanted->at.family == AF_INET6) {
		size = sizeof(tuple.ipv6);
		for (int i = 0; i < 4; i++)
			tuple.ipv6.daddr[i] = wanted->at.address[i];
		tuple.ipv6.dport = wanted->at.port;
	} else {
		tuple.ipv4.daddr = wanted->at.address[0];
		tuple.ipv4.dport = wanted->at.port;
	}
	return wanted->proto
		       ? bpf_sk_lookup_udp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0)
		       : bpf_sk_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
}

/* The kernel offers the cookie of the caller's socket alone. */
static __always_inline __u64 cookie_of(struct bpf_sock *found)
{
	struct sock *sk = raw_of(found);

	return BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
}

/* Whatever is at @wanted's address: one of those that were granted? */
static __always_inline int is_granted(struct bpf_sock_addr *ctx,
				      const struct granted *granted,
				      const struct wanted *wanted)
{
	struct bpf_sock *found = look_for(ctx, wanted);
	int is_one = 0;
	__u64 cookie;

	if (!found)
		return 0;
	cookie = cookie_of(found);
	bpf_sk_release(found);
	for (__u32 i = 0; i < PLACES_GRANTED; i++)
		if (i < granted->n && granted->of[i].cookie == cookie)
			is_one = 1;
	return is_one || granted->is_cut;
}

/* As pick_binder(), but the one that was granted last. */
static __noinline int pick_granted(struct bpf_sock_addr *ctx, __u32 endpoint,
				   struct wanted *wanted)
{
	struct granted *granted = bpf_map_lookup_elem(&graft_granted, &endpoint);

	if (!granted || !wanted || wanted->proto > 1)
		return 0;
	for (__u32 i = 0; i < PLACES_GRANTED; i++) {
		if (i >= granted->n)
			break;
		if (!binder_serves(&granted->of[i], wanted))
			continue;
		wanted->at = granted->of[i].at;
		if (is_granted(ctx, granted, wanted))
			return 1;
	}
	return 0;
}

/* --- where it is --- */

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

static __always_inline int spot_is_zero(const struct spot *spot)
{
	return !spot->address[0] && !spot->address[1] && !spot->address[2] &&
	       !spot->address[3];
}

/* The same, in its mapped form too. */
static __always_inline int spot_is_all(const struct spot *spot)
{
	return !spot->address[0] && !spot->address[1] && !spot->address[3] &&
	       (!spot->address[2] || spot->address[2] == bpf_htonl(0xffff));
}

/* A wildcard address that was connected to is shown as loopback. */
static __always_inline void spot_unwild(struct spot *spot, int is_v6)
{
	if (spot->address[0] || spot->address[1] || spot->address[3])
		return;
	if (!spot->address[2])
		spot_to_loopback(spot, is_v6);
	else if (spot->address[2] == bpf_htonl(0xffff))
		spot->address[3] = bpf_htonl(0x7f000001);
}

/* As it is written, or as graftd says. Return: 0, or the error to fail with. */
static __always_inline int find_place(const struct call *call, struct spot *given)
{
	__u32 kind = IMAGE_KIND(call->what), endpoint = call->endpoint;
	const struct image_cell *address;
	struct place *place;
	void *cells;

	if (kind == KIND_NAMED) {
		place = bpf_map_lookup_elem(&graft_places, &endpoint);
		if (!place || place->state == PLACE_UNKNOWN)
			return ENOENT;
		if (place->state != PLACE_HERE)
			return EAFNOSUPPORT;
		*given = place->at;
		return 0;
	}
	cells = judge_open(call->image);
	address = cells ? judge_cell(cells, call->outcome + 1) : NULL;
	if (!address)
		return EPERM;
	given->port = bpf_htons(call->more & 0xffff);
	given->family = kind == KIND_IPV6 ? AF_INET6 : AF_INET;
	for (int i = 0; i < 4; i++)
		given->address[i] = address->word[i];
	return 0;
}

/* Of a dynamic endpoint. Return: whether anybody is bound there. */
static __always_inline int find_binder(const struct call *call, struct bpf_sock_addr *ctx,
				       struct spot *given)
{
	__u32 endpoint = call->endpoint;
	struct wanted wanted = {};

	wanted.netns = bpf_get_netns_cookie(ctx);
	wanted.proto = call->judged.proto;
	wanted.life = life_of(endpoint);
	if (!pick_binder(endpoint, &wanted) && !pick_granted(ctx, endpoint, &wanted))
		return 0;
	*given = wanted.at;
	return 1;
}

/* For a socket of the family the call is for: as set_endpoint() of policy/resolve.c. */
static __always_inline int fit_family(const struct call *call, struct spot *given)
{
	if (!call->judged.is_v6 && given->family == AF_INET6) {
		/* A dual-stack server's wildcard. */
		if (given->address[0] | given->address[1] | given->address[2])
			return EAFNOSUPPORT;
		given->family = AF_INET;
		given->address[3] = 0;
		spot_to_loopback(given, 0);
	} else if (call->judged.is_v6 && given->family == AF_INET) {
		spot_map(given);
	}
	return 0;
}

/* Where the outcome's endpoint is, for this socket. Return: 0, or the error to fail
 * with. */
__noinline int find_endpoint(struct bpf_sock_addr *ctx, const struct call *call,
			     struct spot *given)
{
	int error;

	if (!call || !given)
		return EPERM;
	error = find_place(call, given);
	if (error)
		return error;
	if (call->judged.op == JUDGE_CONNECT && target_of(call) == TARGET_ENDPOINT) {
		if (!given->port && !find_binder(call, ctx, given))
			return ECONNREFUSED;
		if (spot_is_zero(given))
			spot_to_loopback(given, given->family == AF_INET6);
	}
	return fit_family(call, given);
}
