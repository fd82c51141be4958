/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which calls are trapped, and the seccomp program that traps them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct policy_reach;

/* The trapped calls, as `graft explain` names them. */
enum trap {
	TRAP_SOCKET_V4 = 1 << 0,
	TRAP_SOCKET_V6 = 1 << 1,
	TRAP_NAMES = 1 << 2,     /* bind, connect, listen */
	TRAP_DATAGRAMS = 1 << 3, /* sendto with an address, sendmsg, sendmmsg */
	TRAP_FAST_OPEN = 1 << 4, /* the same, with MSG_FASTOPEN only */
	TRAP_OPTIONS = 1 << 5,   /* setsockopt on a socket that became AF_UNIX */
	TRAP_FAMILY = 1 << 6,    /* socket(AF_GRAFT), its options, sends to its names */
	TRAP_LISTEN = 1 << 7,    /* listen alone of TRAP_NAMES; AF_GRAFT is refused */
	TRAP_MESSAGES = 1 << 8,  /* sendmsg and sendmmsg alone of TRAP_DATAGRAMS */
};

/* The traps a policy with this reach needs; 0: the program can run untouched. */
unsigned int filter_plan(const struct policy_reach *reach);
/* The same, where the kernel judges the sockets that the engine makes. */
unsigned int filter_plan_judged(const struct policy_reach *reach);

struct sock_filter;

/*
 * Compiles the filter for @traps. *ret_code is the caller's to free.
 * Return: 0 or -errno.
 */
int filter_compile(unsigned int traps, struct sock_filter **ret_code, size_t *ret_n);

/*
 * Puts the filter on the calling thread, for good. no_new_privs must be set.
 * Return: the listener (close-on-exec), or -errno (-EBUSY: there is one already, that
 * is, we run inside another supervised program).
 */
int filter_install(const struct sock_filter *code, size_t n);
