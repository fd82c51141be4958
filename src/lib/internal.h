/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of libgraft share.
 */
#pragma once

#include <graft/graft.h>
#include <stdbool.h>

#include "policy/policy.h"

struct graft_policy {
	struct policy *policy;
	bool sealed;
};

/* Return: 0 or -EINVAL. */
int lib_judge(const struct graft_policy *policy, const struct graft_call *call,
	      struct policy_query *ret_query, struct policy_verdict *ret_verdict);
