/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the BPF programs of graft.bpf.c and those who fill their maps share.
 *
 *	judged		by cgroup the programs are attached to: the number of an
 *			image, and whose storage it is; 0: none, and every call
 *			goes on as if nothing were attached. A call reads it once:
 *			replacing a policy is one store, and is never half seen
 *	images		a policy each (policy/image.h), in a map each. A policy has
 *			two numbers, 2 * SLOT and the next, one for what it is and
 *			one for what it will be
 *	slots		which slots have something in images or names; user space's
 *			alone
 *	views		by socket: what its program asked for, what that became
 *	sent		by socket and destination of a datagram: what was asked for
 *	endpoints	by number: where it is, and the sockets bound to it
 *	names		by policy and name: the number of an endpoint. Policy 0: the
 *			registry's
 *	tracers		by number of a tracer: what it wants to hear of, and what
 *			it missed. Those that are there are set in control.tracing
 *	traced		by the same: its ring of struct traced (traced.h). A ring has one
 *			reader, so each has its own
 */
#ifndef CGROUP_MAPS_H
#define CGROUP_MAPS_H

#ifndef __bpf__
#	include <stdint.h>
#endif

#include "intercept/cgroup/traced.h"

#ifndef CGROUP_SLOTS /* a test has fewer */
#	define CGROUP_SLOTS 32768
#endif
#define CGROUP_SLOT(image) ((image) / 2)
#define CGROUP_ENDPOINTS   65536
#define CGROUP_SENT        65536
#define CGROUP_TRACERS     8
#define CGROUP_RING        (4 * 1024 * 1024)

struct judged {
	__u64 image;
	__u64 cgroup; /* its id */
};

enum view_flag {
	VIEW_BOUND = 1 << 0, /* @bound_asked and @bound_is are true */
	VIEW_PEER = 1 << 1,
	VIEW_SENT = 1 << 2,  /* datagrams, to addresses that became others */
	VIEW_FILLS = 1 << 3, /* stands among the binders of @endpoint */
};

struct view {
	__u64 cookie; /* of the socket that was bound, not of those it accepts */
	__u32 flags;
	__u32 endpoint;
	struct spot bound_asked, bound_is;
	struct spot peer_asked, peer_is;
};

/* Addresses here and what they stand for are IPv6 ones, mapped where they are IPv4: a
 * socket of AF_INET6 sends to those by the hook for IPv4 and hears of them by the other.
 */
struct sent_key {
	__u64 cookie;
	struct spot to;
	__u32 pad;
};

struct endpoint_key {
	__u32 slot;
	char name[64];
};

struct binder {
	__u64 cookie;
	struct spot at;
	__u32 proto; /* as in struct judge_call */
};

/* The lock is struct bpf_spin_lock. @at: family 0: not known where. */
struct endpoint_value {
	__u32 lock;
	__u32 n;
	struct spot at;
	struct binder of[CGROUP_BINDERS];
};

struct tracer {
	__u64 lost;
	__u64 cgroup;   /* of this one alone; 0: of each */
	__u32 pid;      /* likewise */
	__u32 is_error; /* calls that fail, or would */
};

struct slots {
	__u64 used[CGROUP_SLOTS / 64];
};

struct control {
	__u32 tracing; /* mask of tracers */
	__u32 pending; /* a policy was replaced, and calls may be judged by it still */
	__u32 next;    /* number of an endpoint */
};

#endif
