/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that keeps descriptors for a graftd that may be killed.
 */
#pragma once

#include <stdint.h>

#define HOLDER_MAGIC    0x47524831u
#define HOLDER_NAME_MAX 64

enum holder_op {
	HOLDER_PUT = 1, /* + descriptor, under this name from now on */
	HOLDER_DROP = 2,
	HOLDER_GIVE = 3, /* answered by a PUT for each, and DONE */
	HOLDER_DONE = 4,
	HOLDER_END = 5,
};

/* One packet, either way. */
struct holder_message {
	uint32_t magic;
	uint32_t op; /* enum holder_op */
	char name[HOLDER_NAME_MAX];
};

/*
 * Starts one that serves whoever connects to @listener, a listening SOCK_SEQPACKET socket
 * which stays the caller's, one after another. Return: 0 or -errno.
 */
int holder_start(int listener);
