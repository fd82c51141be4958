/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the engines `preload` and `af_graft` need beside the broker: the library, a
 * program that loads it, and the environment that makes it do so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define PRELOAD_LIBRARY "libgraft-hijack.so"

/*
 * Looks beside our own binary, in the build tree it may be in, and where it is installed.
 * Return: 0 with an absolute path for the caller to free, or -errno.
 */
int preload_find(char **ret_path);
/*
 * Can the program that execvp(@name) would start load the library? A program that cannot
 * be found or read is left to exec. Return: 0; PRELOAD_E_UNREACHABLE with the reason in
 * @why; or -errno.
 */
#define PRELOAD_E_UNREACHABLE 1
int preload_check(const char *name, char *why, size_t size);
/* Changes the environment of the calling process; @broker is run_broker_listen()'s.
 * @has_module: sockets are the kernel module's affair. Return: 0 or -errno. */
int preload_set_environment(const char *library, const char *broker, bool has_module,
			    bool is_verbose);
/* Takes out what a run around this one put in. */
void preload_clear_environment(void);
