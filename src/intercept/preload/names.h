/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Host names that are endpoints: "graft-NAME" and "graft:NAME".
 *
 * If an endpoint's whole name is the node ("graft-web"), or else the rest of it ("web"),
 * the program gets addresses by which it can reach that endpoint. Every other name is
 * libc's alone, one that begins so and is no endpoint too.
 *
 *  - For AF_UNSPEC, AF_INET and AF_INET6: an address out of 127.201.0.0/16 (IPv4-mapped
 *    for AF_INET6, and where the endpoint is of IPv6) that stands for the endpoint in
 *    this process and its forks. A connect to it is judged as "= NAME", whatever the
 *    port. It is the same for the same name, as long as no two names meet.
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

/* Is there an endpoint @name for sockets of @type? Return: AF_INET, AF_INET6 or AF_UNIX,
 * what it is reached through; or -errno. */
typedef int names_find_endpoint(const char *name, int type);

/* Cheap: is @node one that names_getaddrinfo() is for? */
bool names_concerns(const char *node);
/* As getaddrinfo(), which it asks for what is none of ours. */
int names_getaddrinfo(names_find_endpoint *find, const char *node, const char *service,
		      const struct addrinfo *hints, struct addrinfo **ret);
/* Frees our results and has libc free its own, in whatever order they were chained. */
void names_freeaddrinfo(struct addrinfo *list);

/* Does @address stand for an endpoint? Return: its name, for good; or NULL. */
const char *names_endpoint(const union address *address);
