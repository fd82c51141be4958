/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions that a program finds instead of libc's: made of calls.def, each the same.
 * Without a rule it costs one branch, which goes the same way every time.
 *
 * They are defined under names of ours and called by libc's in the object file alone, so
 * that nothing of what the headers say about libc's functions applies to them.
 */
#include <linux/graft.h>
#include <stdbool.h>
#include <string.h>

#include "intercept/preload/calls.h"
#include "intercept/preload/memory.h"
#include "intercept/preload/state.h"

#define EXPORT __attribute__((visibility("default")))

/* Which calls matter without any rule. */
static bool socket_wakes(int family, int type, int protocol)
{
	return family == AF_GRAFT;
}

static bool socketpair_wakes(int family, int type, int protocol, const int *pair)
{
	return family == AF_GRAFT;
}

/* Sockets of the family may be inherited. No other address has this size. */
static bool is_name(const struct sockaddr *address, socklen_t len)
{
	sa_family_t family;

	return len == sizeof(struct sockaddr_gr) &&
	       memory_read(&family, address, sizeof(family)) == 0 && family == AF_GRAFT;
}

static bool bind_wakes(int fd, const struct sockaddr *address, socklen_t len)
{
	return is_name(address, len);
}

static bool connect_wakes(int fd, const struct sockaddr *address, socklen_t len)
{
	return is_name(address, len);
}

static bool getaddrinfo_wakes(const char *node, const char *service,
			      const struct addrinfo *hints, struct addrinfo **ret)
{
	return node && !strncmp(node, "graft", 5);
}

#define CALL(name, type, parameters, arguments, what)        \
	EXPORT type export_##name parameters __asm__(#name); \
	type export_##name parameters                        \
	{                                                    \
		if (__builtin_expect(!state_is_on(), 1))     \
			return real.name arguments;          \
		return hijack_##name arguments;              \
	}
#define CALL_LATE(name, type, parameters, arguments, what)      \
	EXPORT type export_##name parameters __asm__(#name);    \
	type export_##name parameters                           \
	{                                                       \
		int mode = state_mode();                        \
		if (__builtin_expect(mode != STATE_OFF, 0)) {   \
			if (mode == STATE_ON)                   \
				return hijack_##name arguments; \
			real_find(#name, (void **)&real.name);  \
		}                                               \
		return real.name arguments;                     \
	}
#define CALL_REST CALL_LATE
#define CALL_WAKES(name, type, parameters, arguments, what)    \
	EXPORT type export_##name parameters __asm__(#name);   \
	type export_##name parameters                          \
	{                                                      \
		if (__builtin_expect(!state_is_on(), 1) &&     \
		    !(name##_wakes arguments && state_wake())) \
			return real.name arguments;            \
		return hijack_##name arguments;                \
	}
#define CALL_ALIAS(name, of)                                        \
	EXPORT __typeof__(export_##of) export_##name __asm__(#name) \
		__attribute__((alias(#of)));
#define LEFT(name, why)

#include "intercept/preload/calls.def"
