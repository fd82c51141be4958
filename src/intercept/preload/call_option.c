/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * setsockopt and getsockopt: the options of AF_GRAFT, inet options on a socket that
 * became AF_UNIX, and for the record what was set.
 */
#include <netinet/in.h>

#include "intercept/preload/calls.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/known.h"
#include "intercept/preload/memory.h"
#include "intercept/preload/unix_options.h"
#include "intercept/preload/view.h"

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

/*
 * The kernel turns IPV6_V6ONLY on where it binds one address. A program that asked for
 * [::], and for nothing else, is shown what that would have left.
 */
static void show_v6only(int fd, void *value, const socklen_t *size)
{
	union address shown = { 0 };
	socklen_t len = sizeof(shown);
	struct known known;
	int on = 0;

	if (!value || memory_read(&len, size, sizeof(len)) < 0 || len < sizeof(on) ||
	    memory_read(&on, value, sizeof(on)) < 0 || !on)
		return;
	if (known_find(fd, kernel_cookie(fd, SO_COOKIE), &known))
		for (int i = 0; i < known.n_options; i++)
			if (known.options[i].level == IPPROTO_IPV6 &&
			    known.options[i].name == IPV6_V6ONLY)
				return;
	len = sizeof(shown);
	if (view_getsockname(fd, &shown.any, &len) == 0 &&
	    shown.any.sa_family == AF_INET6 && address_is_wildcard(&shown) &&
	    getsockname(fd, &shown.any, &len) == 0 && !address_is_wildcard(&shown))
		*(int *)value = 0;
}

int hijack_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	int r;

	if (graft_get_concerns(fd, level, name))
		return graft_getsockopt(fd, level, name, value, size);
	r = getsockopt(fd, level, name, value, size);
	if (r == 0 && level == IPPROTO_IPV6 && name == IPV6_V6ONLY &&
	    view_is_on(VIEW_NAMES))
		show_v6only(fd, value, size);
	if (unix_options_get_concerns(r, level, name))
		r = unix_options_get(fd, r, level, name, value, size);
	return r;
}
