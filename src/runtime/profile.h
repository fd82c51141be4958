/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A container's seccomp profile (linux.seccomp of its config.json) with a listener for
 * the calls that our filter judges. Pure: no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct json_object;

struct profile_wish {
	unsigned int traps;   /* enum trap */
	const char *listener; /* listenerPath */
	const char *metadata; /* listenerMetadata */
	bool waits; /* the runtime knows SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV */
};

#define PROFILE_WHY_SIZE 160

/*
 * @profile, which is left as it is, may be NULL: no profile at all. Whatever it denies
 * is denied by *ret as before, in the same way; what it allows is allowed, or told of,
 * or, for what our filter does without (io_uring, clone3), fails with ENOSYS. Return:
 * 0, *ret is the caller's; -ENOMEM; -EINVAL, with a sentence in @why, when it cannot be
 * done.
 */
int profile_extend(struct json_object *profile, const struct profile_wish *wish,
		   struct json_object **ret, char why[PROFILE_WHY_SIZE]);
