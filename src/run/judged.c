/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "intercept/cgroup/cgroup.h"
#include "policy/policy.h"
#include "run/judged.h"

int run_judged_check(const struct policy *policy)
{
	struct policy_error error;
	int r = cgroup_check(policy, &error);

	if (r < 0) {
		log_error("%s", error.text);
		return r;
	}
	if (geteuid() == 0)
		return 0;
	log_error("the cgroup engine loads BPF programs, which takes root; --engine notify "
		  "takes none");
	return -EPERM;
}

int run_judged_new(struct scope *ret, pid_t run, const struct policy *policy)
{
	struct cgroup_programs *programs;
	struct scope scope;
	int r = cgroup_programs_open(&programs, NULL);

	if (r < 0)
		return r;
	r = scope_new(&scope, run);
	if (r == 0) {
		r = cgroup_attach(programs, scope.cgroup, policy, 0);
		if (r < 0) {
			log_error("cannot put the policy on the cgroup: %s", strerror(-r));
			scope_remove(&scope);
		}
	}
	cgroup_programs_free(programs);
	if (r == 0)
		*ret = scope;
	return r;
}
