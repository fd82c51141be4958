/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel module af_graft in place of a broker.
 *
 * With it the sockets that rules can do something to are of AF_GRAFT from birth, and
 * behave as AF_INET or AF_INET6 ones of the program's own stack (GRAFT_SO_FAMILY). They
 * are loose until they were bound, connected or sent from; until then the kernel can put
 * them where a name leads, under every number and in every process that has them, so that
 * nothing is swapped. See goal_module.c.
 *
 * What the program itself opens as AF_GRAFT is the kernel's alone. The family may have
 * another number than the program was built with; then it is translated.
 */
#pragma once

#include <linux/graft.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "policy/module_name.h"

#define MODULE_ENGINE "af_graft" /* in GRAFT_ENGINE */

struct endpoint;

/* --- module.c --- */

/* Asks for a socket of the family, once, which may load the module. Return: the number of
 * the family, or -1 without one. */
int module_family(void);
/* Is it loaded, as far as /sys shows? */
bool module_is_loaded(void);

/* A loose socket of @family in the caller's own stack. Return: descriptor or -errno. */
int module_socket(int family, int type, int protocol);
/* Is @fd of AF_GRAFT, whoever made it? */
bool module_has(int fd);
/* And did the program make it, which names endpoints itself? */
bool module_is_programs(int fd);

/* The address that is a name. Return: its length. */
socklen_t module_address(const char *name, union address *ret);
/* bind() and connect() by name. Return: 0 or -errno. */
int module_bind(int fd, const char *name);
int module_connect(int fd, const char *name);

/* --- module_show.c --- */

/* The family's number, if it is used and not AF_GRAFT; else 0. */
extern atomic_int module_foreign;

/* Gives an address that a program names the family's real number. */
void module_translate(union address *asked);
/* The other way round, for what getsockname() has written. */
void module_show_name(struct sockaddr *address, const socklen_t *len);

static inline void module_show(struct sockaddr *address, const socklen_t *len)
{
	if (__builtin_expect(atomic_load_explicit(&module_foreign, memory_order_relaxed),
			     0))
		module_show_name(address, len);
}

/* --- module_find.c: the module's registry --- */

struct module_place {
	int family;            /* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC: not known */
	union address address; /* port 0: nobody is bound there */
	socklen_t size;
	uint64_t netns;
	uint32_t n_sockets; /* bound to it */
};

/* Endpoint @name of the caller's own namespace. Return: 0 or -errno: -ENOENT. */
int module_find(const char *name, struct module_place *ret);
/* The same, or of the initial namespace, if it is for the caller: of those it may be that
 * their family alone is known, or nothing. @type: of the socket that wants to know. */
int module_find_any(const char *name, int type, struct module_place *ret);
/* Is anybody bound at the endpoint @endpoint of the run's policy? */
bool module_is_bound(const struct endpoint *endpoint);
