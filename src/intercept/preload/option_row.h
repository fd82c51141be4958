/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options that an inet socket has and an AF_UNIX one in its place pretends to have: what
 * values each takes, and what it reads as until it is set.
 */
#pragma once

enum option_kind {
	OPTION_INT,  /* from low to high; others are EINVAL */
	OPTION_HOPS, /* the same, and -1 for what it was */
	OPTION_TOS,  /* a byte; of a stream without the bits of congestion */
	OPTION_FLAG, /* any int, reads as 0 or 1 */
	OPTION_TEXT, /* TCP_CONGESTION */
	OPTION_NONE, /* reads as nothing */
	OPTION_MAXSEG,
	OPTION_INFO,
};

struct option_row {
	int level, name;
	enum option_kind kind;
	int low, high, unset;
};

/* What the loopback interface has. */
#define LOOPBACK_MTU 65535

/* Return: NULL for an option that is refused. */
const struct option_row *option_row_find(int level, int name);
