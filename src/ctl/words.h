/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "policy/policy.h"
#include "wire/wire.h"

/*
 * Makes of the words a user wrote the line that is asked to be added: names of users
 * and groups become numbers, and what others would understand in another way than the
 * user (a relative path, its own /proc/self) is refused. @source names where they stand.
 *
 * Return: 0, with the endpoint's name too; 1 when there is nothing but blanks or a
 * comment; -EINVAL with a sentence in @error; -ENOMEM.
 */
int words_to_add(const char *source, const char *text, size_t size, struct wire_add *ret,
		 char ret_name[POLICY_NAME_MAX + 1], struct policy_error *error);
