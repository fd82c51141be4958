/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * setsockopt and getsockopt: the options of AF_GRAFT, inet options on a socket that
 * became AF_UNIX, and for the record what was set.
 */
#include "intercept/preload/calls.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/known.h"
#include "intercept/preload/unix_options.h"

int hijack_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	int r;

	if (graft_set_concerns(fd, level, name))
		return graft_setsockopt(fd, level, name, value, size);
	known_mark_option(fd, level, name);
	r = setsockopt(fd, level, name, value, size);
	if (unix_options_set_concerns(r, level))
		r = unix_options_set(fd, level, name, value, size);
	return r;
}

int hijack_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	int r;

	if (graft_get_concerns(fd, level, name))
		return graft_getsockopt(fd, level, name, value, size);
	r = getsockopt(fd, level, name, value, size);
	if (unix_options_get_concerns(r, level, name))
		r = unix_options_get(fd, r, level, name, value, size);
	return r;
}
