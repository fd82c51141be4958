/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the AF_GRAFT part of the notify engine: who is of the family.
 */
#pragma once

#include <linux/graft.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETS        512
#define WAYS        8
#define DELAYED_MAX 64 /* options of one socket */

struct delayed {
	struct graft_sso_trans head;
	char value[GRAFT_SSO_TRANS_SIZE - sizeof(struct graft_sso_trans)];
};

struct member {
	uint64_t cookie;   /* 0: free */
	uint64_t since_ns; /* of its last change */
	bool is_delayed, is_transparent, is_bound;
	size_t n_options, n_results;
	struct delayed *options; /* DELAYED_MAX, made on first use */
	struct graft_sso_result results[DELAYED_MAX];
};

struct family {
	pthread_mutex_t lock;
	struct member *sets[SETS][WAYS]; /* made on first use, and used again */
};

struct notify;
struct subject;

/* To be called with the lock held. Return: NULL when @cookie is not of the family. */
struct member *family_find(struct family *family, uint64_t cookie);
bool family_knows(struct notify *notify, const struct subject *subject,
		  bool *ret_is_bound);
/* Runs what is delayed for the socket @cookie, on @fd. */
void family_run_delayed(struct notify *notify, uint64_t cookie, int fd);
