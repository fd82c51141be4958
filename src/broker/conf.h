/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graftd's configuration, in lines:
 *
 *	endpoint NAME ...			as in a policy
 *	stack host owner WHO			may have plain sockets of the host's stack
 *	quota KIND N|unlimited [uid=N]		of endpoints, connections, held,
 *						supplies, watchers
 *	metrics unix PATH | metrics ADDR:PORT	loopback alone
 *
 * Reading it changes nothing; whoever reads it takes over what it says, or none of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "broker/quota.h"
#include "policy/policy.h"
#include "wire/wire.h"

struct conf_quota {
	enum quota_kind kind;
	bool has_uid;
	uid_t uid;
	uint32_t max;
};

struct conf {
	struct policy *policy;  /* its endpoints */
	struct endpoint *hosts; /* nothing but the clauses of "stack host" lines */
	size_t n_hosts;
	struct conf_quota *quotas;
	size_t n_quotas;
	struct wire_address metrics; /* len 0: none */
};

/*
 * Tells of each mistake ("FILE:LINE:COLUMN: sentence") through @on_error. Return: 0; the
 * number of mistakes; or -ENOMEM, -E2BIG.
 */
int conf_parse(struct conf **ret, const char *source, const char *text, size_t size,
	       policy_on_error *on_error, void *context);
/* As conf_parse(), from a file. Return: also -errno of reading it. */
int conf_load(struct conf **ret, const char *path, policy_on_error *on_error,
	      void *context);
struct conf *conf_free(struct conf *config);
