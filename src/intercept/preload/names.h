/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Host names that are endpoints: "graft-NAME" and "graft:NAME".
 *
 * If an endpoint's whole name is the node ("graft-web") or the rest of it ("web"), a
 * program gets addresses by which it can reach that endpoint; every other name, and any
 * beginning with "graft-" that no endpoint has, is libc's alone.
 *
 *  - For AF_UNSPEC and AF_INET: an address out of 127.201.0.0/16 that stands for the
 *    endpoint in this process and its forks, and AF_INET6: the same, IPv4-mapped. A
 *    connect to it is judged as "= NAME" (names_endpoint).
 *  - For AF_GRAFT: a struct sockaddr_gr.
 *
 * Nothing stands for anything until such a name was looked up.
 */
#pragma once

#include <netdb.h>
#include <stdbool.h>

#include "base/address.h"

/* Bytes of an endpoint's name, NUL included. */
#define NAMES_MAX 64

typedef int names_real_getaddrinfo(const char *node, const char *service,
				   const struct addrinfo *hints, struct addrinfo **ret);
typedef void names_real_freeaddrinfo(struct addrinfo *list);
/* Is there an endpoint @name? Asks the policy, then the broker. Return: AF_INET, AF_INET6
 * or AF_UNIX for what it serves, or -errno (-ENOENT). */
typedef int names_find_endpoint(const char *name, int type);

struct names_calls {
	names_real_getaddrinfo *getaddrinfo;
	names_real_freeaddrinfo *freeaddrinfo;
	names_find_endpoint *find;
};

/* Cheap: is @node one that names_getaddrinfo() is for? */
bool names_concerns(const char *node);
int names_getaddrinfo(const struct names_calls *calls, const char *node,
		      const char *service, const struct addrinfo *hints,
		      struct addrinfo **ret);
/* Frees our results and hands libc's own to it, in whatever order they were chained. */
void names_freeaddrinfo(const struct names_calls *calls, struct addrinfo *list);

/* Does @address stand for an endpoint? Return: its name, for good; or NULL. */
const char *names_endpoint(const union address *address);
