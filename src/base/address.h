/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * AF_INET and AF_INET6 addresses, alike.
 */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
	struct sockaddr_storage storage;
};

static inline bool address_is_inet(const union address *address)
{
	return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

/* The mapped wildcard is one too. */
static inline bool address_is_wildcard(const union address *address)
{
	if (address->any.sa_family == AF_INET)
		return address->v4.sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr) &&
		!memcmp(&address->v6.sin6_addr.s6_addr[12], "\0\0\0", 4));
}

/* In host order. */
static inline uint16_t address_port(const union address *address)
{
	return ntohs(address->any.sa_family == AF_INET ? address->v4.sin_port
						       : address->v6.sin6_port);
}

static inline void address_set_port(union address *address, uint16_t port)
{
	if (address->any.sa_family == AF_INET)
		address->v4.sin_port = htons(port);
	else
		address->v6.sin6_port = htons(port);
}

/* An IPv4-mapped address becomes the IPv4 address it holds. */
static inline void address_unmap(union address *address)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = address->v6.sin6_port };

	if (address->any.sa_family != AF_INET6 ||
	    !IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
		return;
	memcpy(&v4.sin_addr, &address->v6.sin6_addr.s6_addr[12], sizeof(v4.sin_addr));
	address->v4 = v4;
}

/* To be called with an unmapped one. */
static inline bool address_is_loopback(const union address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET ||
		       address_is_wildcard(address);
	return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr) ||
	       address_is_wildcard(address);
}

static inline void address_set_wildcard(union address *address)
{
	if (address->any.sa_family == AF_INET)
		address->v4.sin_addr.s_addr = htonl(INADDR_ANY);
	else
		address->v6.sin6_addr = in6addr_any;
}
