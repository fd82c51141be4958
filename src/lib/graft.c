/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy half of libgraft: include/graft/graft.h in terms of policy/policy.h.
 */
#include <errno.h>
#include <graft/graft.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/internal.h"

struct graft_policy *graft_policy_new(void)
{
	struct graft_policy *policy = calloc(1, sizeof(*policy));

	if (!policy)
		return NULL;
	policy->policy = policy_new();
	if (policy->policy)
		return policy;
	free(policy);
	return NULL;
}

void graft_policy_free(struct graft_policy *policy)
{
	if (!policy)
		return;
	policy_free(policy->policy);
	free(policy);
}

static int tell(int r, const struct policy_error *from, char *error, size_t error_size)
{
	if (r < 0 && error && error_size)
		snprintf(error, error_size, "%s", from->text);
	return r;
}

int graft_policy_add_text(struct graft_policy *policy, const char *source,
			  const char *text, size_t size, char *error, size_t error_size)
{
	struct policy_error why = { "" };

	return tell(policy_add_text(policy->policy, source, text, size, &why), &why,
		    error, error_size);
}

int graft_policy_add_publish(struct graft_policy *policy, const char *text, char *error,
			     size_t error_size)
{
	struct policy_error why = { "" };

	return tell(policy_add_publish(policy->policy, text, &why), &why, error,
		    error_size);
}

int graft_policy_add_ingress(struct graft_policy *policy, const char *text, char *error,
			     size_t error_size)
{
	struct policy_error why = { "" };

	return tell(policy_add_ingress(policy->policy, text, &why), &why, error,
		    error_size);
}

int graft_policy_add_egress(struct graft_policy *policy, const char *text, char *error,
			    size_t error_size)
{
	struct policy_error why = { "" };

	return tell(policy_add_egress(policy->policy, text, &why), &why, error,
		    error_size);
}

int graft_policy_add_conv_pairs(struct graft_policy *policy, const char *text,
				char *error, size_t error_size)
{
	struct policy_error why = { "" };

	return tell(policy_add_conv_pairs(policy->policy, text, &why), &why, error,
		    error_size);
}

int graft_policy_seal(struct graft_policy *policy, char *error, size_t error_size)
{
	struct policy_error why = { "" };
	int r = policy_seal(policy->policy, &why);

	if (r == 0)
		policy->sealed = true;
	return tell(r, &why, error, error_size);
}

char *graft_policy_print(const struct graft_policy *policy)
{
	return policy_print(policy->policy);
}

static bool ask_caller(void *context, const struct endpoint *endpoint)
{
	const struct graft_call *call = context;

	return call->is_bound(call->context, endpoint->name);
}

static enum policy_proto proto_of(const struct graft_call *call)
{
	switch (call->type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) {
	case SOCK_STREAM:
		return call->protocol == 0 || call->protocol == IPPROTO_TCP ||
				       call->protocol == IPPROTO_MPTCP
			       ? POLICY_TCP
			       : POLICY_OTHER;
	case SOCK_DGRAM:
		return call->protocol == 0 || call->protocol == IPPROTO_UDP ||
				       call->protocol == IPPROTO_UDPLITE
			       ? POLICY_UDP
			       : POLICY_OTHER;
	}
	return POLICY_OTHER;
}

int lib_judge(const struct graft_policy *policy, const struct graft_call *call,
	      struct policy_query *ret_query, struct policy_verdict *ret_verdict)
{
	int family = call->address.ss_family;

	if (!policy->sealed || (family != AF_INET && family != AF_INET6) ||
	    (call->family != AF_INET && call->family != AF_INET6))
		return -EINVAL;
	*ret_query = (struct policy_query){
		.op = call->op == GRAFT_BIND ? POLICY_BIND : POLICY_CONNECT,
		.proto = proto_of(call),
		.family = call->family,
		.v6only = call->v6only && call->family == AF_INET6,
		.address = call->address,
	};
	policy_resolve(policy->policy, ret_query, call->is_bound ? ask_caller : NULL,
		       (void *)call, ret_verdict);
	return 0;
}

int graft_policy_resolve(const struct graft_policy *policy, const struct graft_call *call,
			 struct graft_verdict *ret_verdict)
{
	static const enum graft_target targets[] = {
		[POLICY_OWN] = GRAFT_OWN,           [POLICY_HOST] = GRAFT_HOST,
		[POLICY_ENDPOINT] = GRAFT_ENDPOINT, [POLICY_FROM] = GRAFT_FROM,
		[POLICY_DENY] = GRAFT_DENY,
	};
	struct policy_verdict verdict;
	struct policy_query query;
	int r = lib_judge(policy, call, &query, &verdict);

	if (r < 0)
		return r;
	*ret_verdict = (struct graft_verdict){
		.target = targets[verdict.target],
		.deny_errno = verdict.deny_errno,
		.endpoint = verdict.endpoint ? verdict.endpoint->name : NULL,
		.address = verdict.address,
		.address_len = verdict.address_len,
	};
	return 0;
}

int graft_policy_explain(const struct graft_policy *policy, const struct graft_call *call,
			 char *text, size_t size)
{
	struct policy_verdict verdict;
	struct policy_query query;
	int r = lib_judge(policy, call, &query, &verdict);

	if (r == 0)
		policy_explain(&query, &verdict, text, size);
	return r;
}
