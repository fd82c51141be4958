/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of this folder share.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "policy/policy.h"

#define BAD_POINTER ((void *)8)

static inline socklen_t len_of(const union address *address)
{
	return address->any.sa_family == AF_INET ? sizeof(address->v4)
						 : sizeof(address->v6);
}

static inline union address address_of(const char *text, unsigned int port)
{
	union address address = { 0 };

	if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1)
		address.any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1)
		address.any.sa_family = AF_INET6;
	else
		fail_msg("%s", text);
	address_set_port(&address, (uint16_t)port);
	return address;
}

/* "127.0.0.1:80", in one of a few buffers. */
static inline const char *text_of(const union address *address)
{
	static char texts[4][80];
	static unsigned int turn;
	char *text = texts[turn++ % 4], host[INET6_ADDRSTRLEN] = "?";

	if (address->any.sa_family == AF_INET)
		inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
	else if (address->any.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
	snprintf(text, sizeof(texts[0]), "%s:%u", host, address_port(address));
	return text;
}

static inline void assert_address(const union address *address, const char *host,
				  unsigned int port)
{
	union address wanted = address_of(host, port);

	assert_string_equal(text_of(address), text_of(&wanted));
}

static inline int socket_at(int type, const char *host, unsigned int port)
{
	union address address = address_of(host, port);
	int fd = socket(address.any.sa_family, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &address.any, len_of(&address)), 0);
	return fd;
}

static inline unsigned int port_of(int fd)
{
	union address address;
	socklen_t len = sizeof(address);

	assert_int_equal(getsockname(fd, &address.any, &len), 0);
	return address_port(&address);
}

static inline struct policy *policy_of(const char *text)
{
	struct policy *policy = policy_new();
	struct policy_error error = { "" };

	assert_non_null(policy);
	policy_allow_named(policy);
	if (policy_add_text(policy, "test", text, strlen(text), &error) < 0 ||
	    policy_seal(policy, &error) < 0)
		fail_msg("%s", error.text);
	return policy;
}
