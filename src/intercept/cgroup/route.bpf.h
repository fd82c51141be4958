/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What leaves by no call that was judged: packets of sockets that are not judged and were
 * made before there was a policy, and packets that have a source route. Such a one goes
 * to an address of the route first, which no call named. Routes come by setsockopt() and
 * with each message, and the packet is the one place where both show.
 */
#pragma once

#include "intercept/cgroup/call.bpf.h"

#define IP_HEADER   20
#define MAX_OPTIONS 40
#define IPV6_HEADER 40

enum {
	OPTION_LOOSE = 131, /* of IPv4 */
	OPTION_STRICT = 137,
	NEXT_HOP = 0, /* next header of IPv6: hop-by-hop options, routing, destination */
	NEXT_ROUTE = 43,
	NEXT_TARGET = 60,
};

/* Whether the options may have a route: one is wherever its number is. No loop here, for
 * the verifier of Linux 6.1 takes one for endless. */
static __noinline int has_route4(struct __sk_buff *skb, __u32 size)
{
	__u8 options[MAX_OPTIONS] = {};

	if (size < 4 || size > MAX_OPTIONS)
		return 0;
	if (bpf_skb_load_bytes(skb, IP_HEADER, options, size))
		return 1;
#pragma unroll
	for (int i = 0; i < MAX_OPTIONS; i++)
		if (options[i] == OPTION_LOOSE || options[i] == OPTION_STRICT)
			return 1;
	return 0;
}

/* @next: the first header after the IPv6 one. The kernel puts hop-by-hop options before
 * large sends; destination options may hide what follows. */
static __noinline int has_route6(struct __sk_buff *skb, __u32 next)
{
	__u8 after = 0;

	if (next == NEXT_HOP) {
		if (bpf_skb_load_bytes(skb, IPV6_HEADER, &after, sizeof(after)))
			return 1;
		next = after;
	}
	return next == NEXT_ROUTE || next == NEXT_TARGET;
}

static __always_inline int has_route(struct __sk_buff *skb)
{
	const __u8 *head = (void *)(long)skb->data;

	if (head + IP_HEADER > (const __u8 *)(long)skb->data_end)
		return 1;
	if (head[0] == 0x45)
		return 0;
	if (head[0] >> 4 == 4)
		return has_route4(skb, 4 * (head[0] & 15) - IP_HEADER);
	return has_route6(skb, head[6]);
}

/* A socket that is none yet is a TCP one. */
static __always_inline int is_of_judged(struct __sk_buff *skb)
{
	struct bpf_sock *socket = skb->sk;

	if (socket)
		socket = bpf_sk_fullsock(socket);
	return !socket || is_judged(socket->type, socket->protocol);
}

/* Return: 1 it leaves, 0 it does not. */
SEC("cgroup_skb/egress") int graft_egress(struct __sk_buff *skb)
{
	return YES_OR_NO((is_of_judged(skb) && !has_route(skb)) || !is_denying());
}
