/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the extension of a profile: what it says of one call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "runtime/cell.h"

struct json_object;
struct profile_wish;

#define ALLOW     "SCMP_ACT_ALLOW"
#define LOG       "SCMP_ACT_LOG"
#define NOTIFY    "SCMP_ACT_NOTIFY"
#define TRACE     "SCMP_ACT_TRACE"
#define ERRNO     "SCMP_ACT_ERRNO"
#define RULES_MAX 256 /* of one call */

struct rule {
	const char *action;
	int error; /* with ERRNO */
	bool lets;
	unsigned int n;
	struct cell_condition conditions[CELL_CONDITIONS_MAX];
};

struct said {
	struct rule rules[RULES_MAX];
	size_t n;
	const struct rule *always; /* the unconditional one; or NULL */
};

struct work {
	const struct profile_wish *wish;
	const char *fallback; /* defaultAction */
	bool fallback_lets;
	int fallback_errno;
	struct json_object *from, *to; /* syscalls */
	struct json_object *first;     /* what is to stand in front of them */
	char *why;
};

/* Says why, with @what in the place of "%s". Return: -EINVAL. */
int profile_refuse(struct work *work, const char *format, const char *what);

/* "" where there is none. */
const char *profile_text(struct json_object *object, const char *key);
/* EPERM where there is none. */
int profile_errno(struct json_object *object, const char *key);
bool profile_lets(const char *action);
const char *profile_op_name(enum cell_op op);

/* Return: 0, or -errno as profile_extend(). */
int profile_read_call(struct work *work, const char *call, struct said *ret);
