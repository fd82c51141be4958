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
 *	endpoints	by number: where it is, and the sockets bound to it
 *	names		by policy and name: the number of an endpoint. Policy 0: the
 *			registry's
 *	traced		ring of struct traced, filled while control.tracing is set
 *	shortcuts	by cookie: sockets that may be reached past TCP
 *	ends		by what a connection looks like from one of its ends: the
 *			socket there, if it is one of the shortcuts
 *	sides		by socket that is one of the shortcuts: where its bytes go
 *	served		by port somebody serves under a policy with a shortcut: do
 *			its connections live long enough to be worth one
 */
#ifndef CGROUP_MAPS_H
#define CGROUP_MAPS_H

#ifndef __bpf__
#	include <stdint.h>
#	include <linux/types.h>
#endif

#define CGROUP_SLOTS       32768
#define CGROUP_SLOT(image) ((image) / 2)
#define CGROUP_BINDERS     64 /* sockets of one endpoint */
#define CGROUP_ENDPOINTS   65536
#define CGROUP_SENT        65536
#define CGROUP_RING        (256 * 1024)
#define CGROUP_SHORTCUTS   65536
#define CGROUP_SERVED      16384
/* Bytes past TCP that wait to be read: so many are a sign that who reads is slow, and the
 * port's next connections are TCP's; so many are all there may be. */
#define CGROUP_UNREAD_SLOW (1024 * 1024)
#define CGROUP_UNREAD      (16 * 1024 * 1024)

/* Network byte order, an IPv4 address in the first word. */
struct spot {
	__u32 address[4];
	__u16 port;
	__u16 family;
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

/* As seen by the socket at one end. Addresses are IPv6 ones, mapped where they are IPv4;
 * ports are of the host's byte order. */
struct end_key {
	__u64 netns;
	__u32 own[4], peer[4];
	__u32 own_port, peer_port;
};

/* @socket is an address in the kernel: to be looked at with suspicion, as what is there
 * may have become another socket's, and its cookie tells. */
struct end {
	__u64 socket;
	__u64 cookie;
};

struct side {
	struct end peer; /* no cookie: not found yet */
	__u64 unread;    /* address of how many bytes it has to read */
	__u64 flags;     /* address of its file's flags, once it has a file */
	__u32 read;      /* up to this number, what went by TCP was read */
	__u32 n;         /* messages sent */
	__u32 port;      /* the server's */
	__u32 blocking;  /* messages sent while the peer's calls would have waited */
};

struct served_key {
	__u64 netns;
	__u32 port;
	__u32 pad;
};

/* @score: how short its connections are. */
struct served {
	struct end listener;
	__s32 score;
	__u32 pad;
};

struct control {
	__u32 tracing;
	__u32 next; /* number of an endpoint */
};

#endif
