/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the making of sockets: what one is to be.
 */
#pragma once

#include "broker/grant.h"

struct plan {
	int family, type, protocol;
	struct wire_address address; /* to bind, or to connect to; a dynamic port is 0 */
};

/* Return: 0 or -errno, as grant_make(). */
int plan_make(const struct grant_request *request, struct plan *ret);

/* Is it to be IPV6_V6ONLY? */
bool plan_is_v6only(const struct grant_request *request);
