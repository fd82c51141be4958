/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What graft itself brings: is it installed, does it run?
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "broker/client.h"
#include "ctl/module.h"
#include "ctl/probe.h"
#include "intercept/cgroup/cgroup.h"
#include "run/preload.h"
#include "run/scope.h"

#define MODULE_FAMILY "/sys/module/af_graft/parameters/family"
#define FAMILY_SIZE   16

void probe_library(struct probe_result *ret)
{
	_cleanup_free_ char *path = NULL;
	int r = preload_find(&path);

	if (r < 0)
		probe_say(ret, PROBE_NO, "no `--engine preload`",
			  PRELOAD_LIBRARY " is not where graft is: %s", strerror(-r));
	else
		probe_say(ret, PROBE_OK, NULL, "%s", path);
}

void probe_graftd(struct probe_result *ret)
{
	_cleanup_fd_ int fd = broker_open(NULL);

	if (fd < 0)
		probe_say(ret, PROBE_WEAK, "rules can name endpoints of the policy only",
			  "cannot be reached at %s: %s", broker_path(), strerror(-fd));
	else
		probe_say(ret, PROBE_OK, NULL, "answers at %s", broker_path());
}

/* What the module was loaded with. Return: false when it is not known. */
static bool read_family(char ret[FAMILY_SIZE])
{
	_cleanup_fclose_ FILE *file = fopen(MODULE_FAMILY, "re");

	if (!file || !fgets(ret, FAMILY_SIZE, file))
		return false;
	ret[strcspn(ret, "\n")] = '\0';
	return true;
}

void probe_module(struct probe_result *ret)
{
	struct module *module = NULL;
	char family[FAMILY_SIZE];

	module_open(&module);
	if (!module)
		probe_say(ret, PROBE_NO, "modprobe af_graft, where it is installed",
			  "is not loaded");
	else if (read_family(family))
		probe_say(ret, PROBE_OK, NULL, "is loaded, as address family %s", family);
	else
		probe_say(ret, PROBE_OK, NULL, "is loaded");
	module_close(module);
}

void probe_cgroup(struct probe_result *ret)
{
	char path[160];
	int r = scope_mount(path, sizeof(path));

	if (r < 0)
		probe_say(ret, PROBE_NO, "mount -t cgroup2 cgroup2 DIRECTORY",
			  "no hierarchy of cgroup v2 is mounted");
	else
		probe_say(ret, PROBE_OK, NULL, "%s", path);
}

void probe_bpf(struct probe_result *ret)
{
	int r = geteuid() == 0 ? probe_in_child(cgroup_programs_try) : -EPERM;

	if (r == -EPERM)
		probe_say(ret, PROBE_NO, "it is for root",
			  "this user may load no BPF programs");
	else if (r < 0)
		probe_say(ret, PROBE_NO, "Linux 6.1 and later take them",
			  "the kernel does not take the programs: %s", strerror(-r));
	else
		probe_say(ret, PROBE_OK, NULL, "the kernel takes the programs%s%s",
			  cgroup_can_shortcut() ? "" : "; 'shortcut on' goes without",
			  cgroup_can_unix() ? ""
					    : "; rules on UNIX paths are refused, which "
					      "take Linux 6.7");
}

static int destroy_sockets(void)
{
	int r = probe_enter_netns();

	return r < 0 ? r : cgroup_destroy_try();
}

void probe_destroy(struct probe_result *ret)
{
	int r = probe_in_child(destroy_sockets);

	if (r == -EOPNOTSUPP)
		probe_say(ret, PROBE_WEAK,
			  "`graft revoke` silences sockets instead, and their owners wait",
			  "the kernel cannot: no CONFIG_INET_DIAG_DESTROY");
	else if (r < 0)
		probe_say(ret, PROBE_WEAK, "it could not be tried", "%s", strerror(-r));
	else
		probe_say(ret, PROBE_OK, NULL, "the kernel does, TCP and UDP");
}
