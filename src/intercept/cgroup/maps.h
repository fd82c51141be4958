/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the BPF programs of graft.bpf.c and those who fill their maps share.
 *
 *	judged		by cgroup the programs are attached to: the number of an
 *			image; 0: none, and every call goes on as if nothing were
 *			attached. A call reads it once: replacing a policy is one
 *			store, and is never half seen
 *	images		a policy each (policy/image.h), in a map each. A policy has
 *			two numbers, 2 * SLOT and the next, one for what it is and
 *			one for what it will be
 *	views		by socket: what its program asked for, what that became
 *	sent		by socket and destination of a datagram: what was asked for
 *	names, places, endpoints, granted	see wire/places.h
 *	traced		ring of struct traced, filled while control.tracing is set
 */
#ifndef CGROUP_MAPS_H
#define CGROUP_MAPS_H

#ifndef __bpf__
#	include <stdint.h>
#	include <linux/types.h>
#endif

#include "wire/places.h"

#define CGROUP_SLOTS       32768
#define CGROUP_SLOT(image) ((image) / 2)
#define CGROUP_SENT        65536
#define CGROUP_RING        (256 * 1024)

enum view_flag {
	VIEW_BOUND = 1 << 0, /* @bound_asked and @bound_is are true */
	VIEW_PEER = 1 << 1,  /* one of @peers at least */
	VIEW_SENT = 1 << 2,  /* datagrams, to addresses that became others */
	VIEW_FILLS = 1 << 3, /* stands among the binders of @endpoint */
};

/* @is.family 0: none. */
struct peer {
	struct spot asked, is;
};

/* Two peers, as a connect may fail: the one it was connected to before stays. */
struct view {
	__u64 cookie; /* of the socket that was bound, not of those it accepts */
	__u32 flags;
	__u32 endpoint;
	struct spot bound_asked, bound_is;
	struct peer peers[2];
};

/* Addresses here and what they stand for are IPv6 ones, mapped where they are IPv4: a
 * socket of AF_INET6 sends to those by the hook for IPv4 and hears of them by the other.
 */
struct sent_key {
	__u64 cookie;
	struct spot to;
	__u32 pad;
};

struct traced {
	__u64 time_ns;
	__u64 cgroup;
	__u32 pid, slot;
	__u32 rule; /* IMAGE_NONE: no rule */
	__u16 error;
	__u8 op, proto;
	struct spot asked, given;
	char command[16];
};

struct control {
	__u32 tracing;
	__u32 next; /* number of an endpoint */
};

#endif
