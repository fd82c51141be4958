/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The intercepted calls, as calls.def lists them.
 *
 * Inside the library every libc function of the list means libc's own: the linker turns
 * a reference to socket() into one to __wrap_socket() (real.c), also in the parts of
 * src/base and src/stack that are linked in. hijack_socket() is what a program's
 * socket() becomes.
 */
#pragma once

#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#define CALL_TYPE_fcntl(type, name)   type (*name)(int, int, ...)
#define CALL_TYPE_fcntl64(type, name) type (*name)(int, int, ...)
#define CALL_TYPE_syscall(type, name) type (*name)(long, ...)

#define CALL(name, type, parameters, arguments, what)      type(*name) parameters;
#define CALL_WAKES                                         CALL
#define CALL_LATE                                          CALL
#define CALL_REST(name, type, parameters, arguments, what) CALL_TYPE_##name(type, name);
#define CALL_ALIAS(name, of)
#define LEFT(name, why)

/* libc's own, or those of whatever is loaded after us. */
struct real {
#include "intercept/preload/calls.def"
};

#undef CALL
#undef CALL_REST

extern struct real real;

/* Fills in @real. Any number of times, from any thread. */
void real_resolve(void);
/* One of them, where more is not to be dared. Return: *@slot, filled in. */
void *real_find(const char *name, void **slot);

#define CALL(name, type, parameters, arguments, what) type hijack_##name parameters;
#define CALL_REST                                     CALL

#include "intercept/preload/calls.def"

#undef CALL
#undef CALL_WAKES
#undef CALL_LATE
#undef CALL_REST
#undef CALL_ALIAS
#undef LEFT
