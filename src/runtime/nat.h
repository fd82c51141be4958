/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules of the host's packet filter, beside an engine's own, for ports that it publishes
 * and a container's sockets serve.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nat;

enum nat_kind {
	NAT_KEEP, /* goes where it goes, whatever the engine's rules say */
	NAT_PORT, /* to @to_port of this host */
	NAT_MOVE, /* to @to_port of @to, which is this host */
};

/* Ports are in host order. */
struct nat_rule {
	enum nat_kind kind;
	bool is_udp;
	int family;
	struct in6_addr address; /* AF_INET: the first four bytes */
	uint16_t port;
	bool is_any; /* not @address alone: every one of this host's */
	struct in6_addr to;
	uint16_t to_port;
	unsigned int from; /* MOVE: the interface, besides this host itself */
};

/* Takes CAP_NET_ADMIN, as all changes. @name: of the table. Return: 0 or -errno
 * (-EOPNOTSUPP, -EINVAL: this kernel has none of it). */
int nat_new(struct nat **ret, const char *name);
/* The rules go. Return: NULL. */
struct nat *nat_free(struct nat *nat);
/* These rules in the place of those that are there, at once. Return: 0 or -errno: nothing
 * has changed. */
int nat_set(struct nat *nat, const struct nat_rule *rules, size_t n);
