/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/address.h"
#include "base/log.h"
#include "intercept/cgroup/cgroup.h"
#include "policy/policy.h"
#include "run/shortcut.h"
#include "stack/stack.h"

static const char LINE[] = "shortcut on";

bool run_shortcut_is_on(const struct policy *policy)
{
	return policy_setting(policy, POLICY_SHORTCUT, NULL) == POLICY_ON;
}

bool run_shortcut_check(void)
{
	if (cgroup_can_shortcut())
		return true;
	log_warning("'shortcut on' goes without on this kernel, whose FIONREAD does not "
		    "count what comes past TCP");
	return false;
}

/* One that says that and nothing else. */
static int make_policy(struct policy **ret)
{
	struct policy *policy = policy_new();
	struct policy_error error;
	int r = policy ? policy_add_text(policy, LINE, LINE, strlen(LINE), &error)
		       : -ENOMEM;

	if (r == 0)
		r = policy_seal(policy, &error);
	if (r < 0)
		policy = policy_free(policy);
	*ret = policy;
	return r;
}

static int attach(int cgroup, int *ret_served)
{
	struct cgroup_programs *programs = NULL;
	struct policy *policy;
	int r = make_policy(&policy);

	if (r == 0)
		r = cgroup_programs_open(&programs, NULL);
	if (r == 0)
		r = cgroup_attach(programs, cgroup, policy, CGROUP_UNJUDGED);
	if (r == 0 && ret_served)
		r = *ret_served = cgroup_served_open(programs);
	cgroup_programs_free(programs);
	policy_free(policy);
	return r < 0 ? r : 0;
}

int run_shortcut_attach(int cgroup, int *ret_served)
{
	int r = run_shortcut_check() ? attach(cgroup, ret_served) : -EOPNOTSUPP;

	if (r < 0 && r != -EOPNOTSUPP)
		log_warning("'shortcut on' goes without: %s", strerror(-r));
	return r;
}

int run_shortcut_serve(int served, int socket, uint16_t port)
{
	union address local = { 0 };
	socklen_t size = sizeof(local);
	uint64_t netns = 0;
	int r = stack_cookie_of(socket, &netns);

	if (r < 0)
		return r;
	if (getsockname(socket, &local.any, &size) < 0)
		return -errno;
	return cgroup_served_at(served, netns, address_port(&local), port);
}

int run_shortcut_new(struct scope *ret, pid_t run)
{
	struct scope scope;
	int r = scope_new(&scope, run);

	if (r < 0)
		return r;
	r = run_shortcut_attach(scope.cgroup, NULL);
	if (r < 0)
		scope_remove(&scope);
	else
		*ret = scope;
	return r;
}
