/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/*
 * Forbids the calling process and its descendants every TCP bind and connect of their
 * own, unless @may_name, and abstract UNIX sockets of others, for good, through Landlock.
 * no_new_privs must be set.
 * Return: 0, FENCE_E_UNAVAILABLE when this kernel has no Landlock network rules (with
 * @may_name: no scopes), or -errno.
 */
#define FENCE_E_UNAVAILABLE 1
int fence_raise(bool may_name);

/* The same for TCP alone, for a process that has CAP_SYS_ADMIN, or no_new_privs set. */
int fence_raise_tcp(void);

/* The Landlock ABI of this kernel; 0 when there is none. */
int fence_abi(void);
