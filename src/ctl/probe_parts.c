/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What graft itself brings: is it installed, does it run?
 */
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "broker/client.h"
#include "ctl/probe.h"
#include "run/preload.h"

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
