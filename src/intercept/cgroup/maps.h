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
 *	retired		by number of an image: the mark that is there while calls may
 *			be judged by it though it was replaced (retired.c); user
 *			space's alone
 *	views		by socket: what its program asked for, what that became
 *	made, unix	by socket: which rules let it, and whether it is dead
 *	brief		by a socket's cookie, of many the last bits: both in short, of
 *			a stream's connect()
 *	revoking	what graft_made_tcp and its sisters look for
 *	sent		by socket and destination of a datagram: what was asked for
 *	last		by a socket's cookie, of many the last bits: where its last
 *			datagram went
 *	loopback	by policy and address: a socket bound to a loopback of the
 *			policy's own, and where it really is; by the port it really
 *			has: the one it asked for
 *	loopback_n	by policy: how many of those there are
 *	names, places, endpoints, granted	see wire/places.h
 *	tracers		by number of a tracer: what it wants to hear of, and what
 *			it missed. Those that are there are set in control.tracing
 *	traced		by the same: its ring of struct traced (traced.h). A ring has
 *			one reader, so each has its own
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
#endif

#include "intercept/cgroup/traced.h"
#include "wire/places.h"

#ifndef CGROUP_SLOTS /* a test has fewer */
#	define CGROUP_SLOTS 32768
#endif
#define CGROUP_SLOT(image) ((image) / 2)
#define CGROUP_MADE        4     /* a power of two */
#define CGROUP_BRIEF       65536 /* likewise */
#define CGROUP_SENT        65536
#define CGROUP_LAST        16384 /* likewise */
#define CGROUP_TRACERS     8
#define CGROUP_RING        (4 * 1024 * 1024)
#define CGROUP_SHORTCUTS   65536
#define CGROUP_SERVED      16384
/* Bytes past TCP that wait to be read: so many are a sign that who reads is slow, and the
 * port's next connections are TCP's; so many are all there may be. */
#define CGROUP_UNREAD_SLOW (1024 * 1024)
#define CGROUP_UNREAD      (16 * 1024 * 1024)
/* A message of fewer bytes, sent while so many wait, had better gone by TCP, which makes
 * one of several. A larger one goes by TCP to another processor: past it, each wakes its
 * reader, and a stream of them was half as fast. */
#define CGROUP_SMALL     (32 * 1024)
#define CGROUP_PILE      (64 * 1024)
#define LOOPBACK_MAX     65536
#define NAMES_FROM       32768 /* ports that a socket is given which asks for none */
#define NAMES            28232
#define NAMES_TRIED      64
#define LOOPBACK_OF_ONE  4096             /* sockets of one policy */
#define LOOPBACK_SHARERS 32               /* of one address */
#define LOOPBACK_REVERSE LOOPBACK_SHARERS /* as an index */

struct judged {
	__u64 image;
	__u64 cgroup; /* its id */
};

enum view_flag {
	VIEW_BOUND = 1 << 0, /* @bound_asked and @bound_is are true */
	VIEW_PEER = 1 << 1,  /* one of @peers at least */
	VIEW_SENT = 1 << 2,  /* datagrams, to addresses that became others */
	VIEW_FILLS = 1 << 3, /* stands among the binders of @endpoint */
	VIEW_OWN = 1 << 4,   /* has an entry in the loopback of @slot */
	VIEW_LOCAL = 1 << 5, /* a datagram socket that hears nothing but lo */
	VIEW_OUT = 1 << 6,   /* one that a rule led out */
};

/* @is.family 0: none. */
struct peer {
	struct spot asked, is;
};

/* Two peers, as a connect may fail: the one it was connected to before stays. */
struct view {
	__u32 slot;          /* whose own loopback it has to do with, or 0 */
	__u16 index, shares; /* its entry there; enum loopback_flag */
	__u64 cookie;        /* of the socket that was bound, not of those it accepts */
	__u32 flags;
	__u32 endpoint;
	struct spot bound_asked, bound_is;
	struct peer peers[2];
};

/*
 * A rule that let a call through, by which the socket is what it is; what that took, to
 * be judged again where the policy has another edition by now. @is: a peer, as the rule
 * made it.
 */
struct made {
	__u32 slot;
	__u32 edition; /* 0: there is none */
	__u32 rule;
	__u8 op, proto, v6only; /* as in struct judge_call */
	__u8 is_true;           /* a bind: it has succeeded */
	struct spot asked, is;  /* no family: what the socket shows */
};

struct notes {
	__u64 maker; /* cookie of the socket they are of, not of those it accepts */
	__u32 dead;  /* the policy that was revoked; it is refused whatever it does */
	__u32 pad;
	struct made made[CGROUP_MADE];
};

/* The connect() of a stream, in one line of a cache: as struct made, and what its program
 * is to see. */
struct brief {
	__u64 cookie; /* 0: free */
	__u32 slot;
	__u32 edition; /* 0: there is none */
	__u32 rule;
	__u32 v6only;
	struct spot asked, is;
};

/* Addresses here and what they stand for are IPv6 ones, mapped where they are IPv4: a
 * socket of AF_INET6 sends to those by the hook for IPv4 and hears of them by the other.
 */
struct sent_key {
	__u64 cookie;
	struct spot to;
	__u32 pad;
};

/* An IPv4 address is mapped; numbers are of this machine's byte order. @port is the one
 * asked for, or with LOOPBACK_REVERSE the one it is. */
struct loopback_key {
	__u32 slot, proto, port, index;
	__u32 address[4];
};

/* One line of a cache. */
struct last {
	__u64 cookie; /* 0: free; 1: somebody is writing */
	__u32 thread, edition;
	__u32 outcome, what; /* number and first word of the outcome */
	struct spot asked, given;
};

enum loopback_flag {
	LOOPBACK_PORT_SHARED = 1 << 0, /* SO_REUSEPORT */
	LOOPBACK_ADDR_SHARED = 1 << 1, /* SO_REUSEADDR, of datagram sockets */
	LOOPBACK_V6ONLY = 1 << 2,
	LOOPBACK_MOVED = 1 << 3, /* to another port, bound to all addresses or not */
};

struct loopback_value {
	__u64 cookie;
	struct spot at; /* for LOOPBACK_REVERSE, what was asked for */
	__u32 flags;
};

enum revoking_mode {
	REVOKING_LIST,  /* whom it would meet */
	REVOKING_MARK,  /* they are dead from now on */
	REVOKING_COUNT, /* who is dead */
};

/* Whose rules, and those of which editions. */
struct revoking {
	__u32 image, mode;
	__u32 first, last;
	__u32 with_calls; /* connect() of a UNIX stream that may be on its way counts as made */
};

enum made_state {
	MADE_FOUND,
	MADE_PENDING, /* a call that may be on its way */
	MADE_DEAD,    /* it was known */
	MADE_CALLING, /* no such: some connect() of a UNIX stream is on its way */
};

/* A socket that is there by a rule that is revoked. Addresses as in struct spot. */
struct made_socket {
	__u64 cookie;
	__u32 netns; /* inode */
	__u32 device;
	__u32 rule;
	__u16 protocol;
	__u8 state; /* as in tcp_states.h */
	__u8 found; /* enum made_state */
	struct spot local, peer;
	__u8 is_bound, pad[7];
};

/* The same of a UNIX socket. */
struct made_unix {
	__u64 cookie;
	__u64 end; /* cookie of the descriptor's socket: it, or what it is connected to */
	__u32 thread, fd; /* who has that descriptor; no thread: it is not known */
	__u32 netns, rule;
	__u16 type;
	__u8 state, found;
	struct traced_path asked;
	__u32 pad;
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

/* One that speaks. @cpu: the processor it last did so on, plus 1; 0: it has not yet. */
struct speaker {
	struct end end;
	__u32 cpu;
	__u32 pad;
};

struct side {
	struct end peer; /* no cookie: not found yet */
	__u64 unread;    /* address of how many bytes it has to read */
	__u64 flags;     /* address of its file's flags, once it has a file */
	__u32 read;      /* up to this number, what went by TCP was read */
	__u32 n;         /* messages sent */
	__u32 port;      /* the server's */
	__u32 blocking;  /* messages sent while the peer's calls would have waited */
	__u32 piled;     /* small messages sent to a pile, less others */
	__u32 cpu;       /* as its struct speaker has it */
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
	__u32 tracing; /* mask of tracers */
	__u32 pending; /* somebody waits for calls that may be judged by what was */
	__u32 next;    /* number of an endpoint */
};

#endif
