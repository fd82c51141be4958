/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/*
 * Does the runtime @path know SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, and the kernel too?
 * Asking costs as much as starting it, so what it said is kept in @state, an existing
 * directory, for that very file.
 */
bool backend_waits(const char *path, const char *state);
