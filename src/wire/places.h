/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where endpoints are, as the BPF programs of the cgroup engine, those who fill their
 * maps and graftd share it. No I/O here.
 *
 *	PLACES_PINS/TAG/	a directory for each build of the programs
 *	  graft_names		by policy and name: the number of an endpoint. Policy 0:
 *				the registry's
 *	  graft_places		by number: where it is; the registry's alone, as graftd
 *				says
 *	  graft_endpoints	by number: the sockets that were bound to it under a
 *				policy; the programs keep it
 *	  graft_granted		by number: those that graftd handed out, newest first, as
 *				graftd says; some may have gone
 *
 * Numbers are of this machine's byte order, ports and addresses of the network's.
 */
#ifndef WIRE_PLACES_H
#define WIRE_PLACES_H

#ifndef __bpf__
#	include <linux/types.h>
#	include <stdint.h>
#endif

#define PLACES_PINS        "/sys/fs/bpf/graft"
#define PLACES_BINDERS     64 /* sockets of one endpoint */
#define PLACES_GRANTED     8
#define PLACES_ENDPOINTS   65536
#define PLACES_NAMES_MAP   "graft_names"
#define PLACES_PLACES_MAP  "graft_places"
#define PLACES_BINDERS_MAP "graft_endpoints"
#define PLACES_GRANTED_MAP "graft_granted"

/* An IPv4 address is in the first word. */
struct spot {
	__u32 address[4];
	__u16 port;
	__u16 family;
};

struct endpoint_key {
	__u32 slot;
	char name[64];
};

enum place_state {
	PLACE_UNKNOWN,   /* there is no such endpoint */
	PLACE_HERE,      /* at @at; port 0: where somebody is bound */
	PLACE_ELSEWHERE, /* where no address of the host's stack leads */
};

/* @life changes when the endpoint is taken away: who was bound before is not any more. */
struct place {
	struct spot at;
	__u32 state, life;
};

/* @socket: its structure in the kernel, which may be another's by now; only of those that
 * the programs saw bound. */
struct binder {
	__u64 cookie, netns, socket;
	struct spot at;
	__u32 proto; /* 0 tcp, 1 udp, 2 other */
	__u32 life;
	__u32 pad;
};

/* The lock is struct bpf_spin_lock. */
struct endpoint_value {
	__u32 lock;
	__u32 n;
	struct binder of[PLACES_BINDERS];
};

/* @is_cut: there are more. */
struct granted {
	__u32 n, is_cut;
	struct binder of[PLACES_GRANTED];
};

#endif
