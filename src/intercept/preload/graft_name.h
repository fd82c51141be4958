/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the sockets of AF_GRAFT go:
 *
 *	socket		named			what happens
 *	unbound		bind: an endpoint	what is delayed runs; swap; bound
 *	unbound		any destination		first bound to GRAFT_DEFAULT_SOURCE, if
 *						there is one, and then:
 *	unbound		an endpoint		swap to its namespace and family
 *	unbound		an address		judged like an AF_INET socket's
 *	bound		an endpoint		to its address, in the namespace we are
 *						in, or ENETUNREACH
 *	bound		an address		the kernel's call, from there
 *
 * Names are those of the policy first, then of the registry. What a program may name is
 * not judged by rules, which speak of addresses: endpoints that a policy defines are
 * there to be used, and the registry knows who may use its own.
 */
#pragma once

#include "intercept/preload/graft_member.h"
#include "intercept/preload/hijack.h"

/* Return: 0, or -errno: it names nothing. */
int graft_take_name(const struct route *route, char name[MEMBER_NAME_SIZE]);
/* Puts the endpoint's socket in the place of @subject, once what is delayed was run. To
 * be called with the number claimed. Return: 0 or -errno. */
int graft_bind_name(struct subject *subject, struct route *route, struct member *member,
		    const char name[MEMBER_NAME_SIZE]);
/* Sets route->address to where route->asked is, and puts @subject where it can reach it.
 * Return: 0 or -errno. */
int graft_find_destination(struct subject *subject, struct route *route);
