/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of an AF_GRAFT socket, and the options it has delayed.
 *
 * Theory of operation
 *
 * Such a socket is one of AF_INET, AF_INET6 or AF_UNIX to the kernel. What it is beyond
 * that is noted under its cookie (notes.h), and a copy of it is left on the socket itself
 * as a mark: a classic BPF filter, which accepts everything in its first instruction and
 * carries in those that are never reached
 *
 *	magic  cookie  flags  name
 *
 * The note is what this process goes by. The mark is for who gets the socket without the
 * note: the program that exec() starts, and the receiver of SCM_RIGHTS. It has the cookie
 * because accepted sockets inherit filters; theirs is another, so they are plain.
 *
 * Limits: a program that attaches a filter of its own has the note alone. Options that
 * are still delayed, and results not yet read, do not go along with an exec().
 */
#pragma once

#include <linux/graft.h>
#include <stdbool.h>
#include <stdint.h>

#define MEMBER_NAME_SIZE  (AF_GRAFT_EPNAME_MAX + 1)
#define MEMBER_OPTION_MAX (GRAFT_SSO_TRANS_SIZE - sizeof(struct graft_sso_trans))

enum member_flag {
	MEMBER_DELAYED = 1 << 0,
	MEMBER_TRANSPARENT = 1 << 1,
	MEMBER_BOUND = 1 << 2,     /* to the endpoint @name */
	MEMBER_CONNECTED = 1 << 3, /* by name, or sent */
	MEMBER_NO_SOURCE = 1 << 4, /* there was no GRAFT_DEFAULT_SOURCE */
	MEMBER_HAS_V6 = 1 << 5,    /* an option of IPPROTO_IPV6 is delayed */
};

struct member {
	uint64_t id; /* the first cookie it had: options and results go by it */
	uint32_t flags;
	uint32_t option, end_option; /* numbers of those that are delayed */
	uint32_t result, end_result; /* of results that nobody read */
	uint32_t unused;
	char name[AF_GRAFT_EPNAME_MAX];
};

struct member_option {
	int level, name;
	uint32_t size;
	char value[MEMBER_OPTION_MAX];
};

/* Return: whether @fd is one of ours. */
bool member_find(int fd, struct member *ret);
/* Writes note and mark. errno is kept. */
void member_put(int fd, const struct member *member);
/* Is the filter of @fd our mark, whoever's? */
bool member_is_marked(int fd);

/* They change @member, and leave it to the caller to put it back. */
void member_delay(struct member *member, const struct member_option *option);
/* Return: the oldest, removed; or false. */
bool member_take_option(struct member *member, struct member_option *ret);
void member_add_result(struct member *member, int level, int name, int result);
/* Return: how many of @n were there. */
uint32_t member_read_results(const struct member *member, struct graft_sso_result *ret,
			     uint32_t n);
void member_drop_results(struct member *member, uint32_t n);
