/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls that go to libc as they came: those that no other file has.
 */
#include "intercept/preload/calls.h"

#define CALL(name, type, parameters, arguments, what)       \
	__attribute__((weak)) type hijack_##name parameters \
	{                                                   \
		return real.name arguments;                 \
	}
#define CALL_WAKES CALL
#define CALL_LATE  CALL
#define CALL_REST  CALL
#define CALL_ALIAS(name, of)
#define LEFT(name, why)

#include "intercept/preload/calls.def"
