/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What fault_calls.c and its scenarios share.
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>

struct scenario {
	const char *name;
	int (*run)(void);   /* 0 when all went well; leaves descriptors to fault_keep() */
	int (*clean)(void); /* without a fault, afterwards */
	int step;           /* not each fault but each so many, where there are many */
	bool is_ours;       /* not without AF_GRAFT */
	int (*prepare)(void); /* without a fault, before */
};
extern const struct scenario scenarios[];

extern int fault_family;

/* Closed after the scenario. Returns @fd. */
int fault_keep(int fd);
/* Namespaces and endpoints the scenarios need. */
int fault_world(void);

#endif
