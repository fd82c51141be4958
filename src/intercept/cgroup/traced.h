/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A call that was judged, as the BPF programs tell of it and `graft trace` shows it.
 */
#ifndef CGROUP_TRACED_H
#define CGROUP_TRACED_H

#include "wire/places.h"

enum traced_op {
	TRACED_BIND,
	TRACED_CONNECT,
	TRACED_SEND,
	TRACED_SOCKET,
};

enum traced_why {
	TRACED_RULE,
	TRACED_NO_RULE,
	TRACED_RAW,  /* a raw socket, where something is denied */
	TRACED_FULL, /* so many are bound there that there is no room */
};

#define TRACED_SHORT 5  /* cells of an image that are room for most rules */
#define TRACED_LONG  33 /* and for any */

/* @proto of a call that names a path of a UNIX socket. In front of the rule's text are
 * two struct traced_path then: what was asked for and, if that was replaced, by what. */
#define TRACED_UNIX 3

struct traced_path {
	__u32 word[28]; /* as of an image, IMAGE_PATH */
};

/*
 * A call that was judged. The rule's text stands in it, copied from the image that
 * judged: the policy may be another one by the time somebody reads this, or gone.
 */
struct traced {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 cgroup;  /* whose policy judged */
	__u32 pid;     /* who calls */
	__u32 rule;
	__u16 error;
	__u8 op, proto;   /* enum traced_op; as in struct judge_call */
	__u8 why, target; /* enum traced_why, enum policy_target */
	__u8 is_audit, zero;
	struct spot asked, given;
	char command[16];
	__u16 text_from, text_size; /* in @text */
	__u32 zeroes;
	char text[];
};

#endif
