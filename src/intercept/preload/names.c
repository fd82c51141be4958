/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libc resolves the service: it is asked for the local host, and the addresses of its
 * answer are replaced. Each of our results is one block, which can be told from libc's by
 * the place its address has in it.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "intercept/preload/names.h"
#include "intercept/preload/notes.h"
#include "uapi/linux/graft.h"

#define STAND_IN_NET   0x7fc90000u /* 127.201.0.0 */
#define STAND_IN_HOSTS 65534u
/* Places to try when somebody has ours. */
#define TRIES 64

struct stand_in {
	uint64_t address; /* host order */
};

struct stand_in_name {
	uint64_t text; /* const char * */
};

static struct notes stand_ins = NOTES_OF(struct stand_in, struct stand_in_name, 4, 12);

/* Names are kept for good, in pages. */
#define PAGE_NAMES 63

struct page {
	_Atomic uint32_t n;
	char names[PAGE_NAMES][NAMES_MAX];
};

static _Atomic(struct page *) page;

/* libc's results have their address right behind struct addrinfo. */
struct result {
	struct addrinfo info;
	uint64_t not_libcs;
	union {
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_gr gr;
	} address;
};

static bool is_ours(const struct addrinfo *info)
{
	return (const char *)info->ai_addr ==
	       (const char *)info + offsetof(struct result, address);
}

bool names_concerns(const char *node)
{
	return node && !strncmp(node, "graft", 5) && (node[5] == '-' || node[5] == ':') &&
	       node[6] && strlen(node) < NAMES_MAX;
}

static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return hash ^ hash >> 15;
}

/* Return: a copy of @name that stays, or NULL. */
static const char *keep_name(const char *name)
{
	for (;;) {
		struct page *there = atomic_load(&page), *made;
		uint32_t i = there ? atomic_fetch_add(&there->n, 1) : PAGE_NAMES;

		if (i < PAGE_NAMES)
			return memcpy(there->names[i], name, strlen(name));
		made = mmap(NULL, sizeof(*made), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (made == MAP_FAILED)
			return NULL;
		if (!atomic_compare_exchange_strong(&page, &there, made))
			munmap(made, sizeof(*made));
	}
}

/* Return: the address that stands for endpoint @name, in host order; 0 for none. */
static uint32_t stand_in_of(const char *name)
{
	struct stand_in_name there = { 0 };
	const char *text;
	uint32_t hash = hash_name(name);
	struct stand_in key = { 0 };

	for (uint32_t i = 0; i < TRIES; i++) {
		key.address = STAND_IN_NET + 1 + (hash + i) % STAND_IN_HOSTS;
		if (!notes_find(&stand_ins, &key, &there))
			break;
		if (!strcmp((const char *)(uintptr_t)there.text, name))
			return (uint32_t)key.address;
	}
	text = keep_name(name);
	if (!text)
		return 0;
	there.text = (uintptr_t)text;
	notes_set(&stand_ins, &key, &there);
	return (uint32_t)key.address;
}

const char *names_endpoint(const union address *address)
{
	struct stand_in_name name;
	struct stand_in key;
	union address v4;

	if (notes_is_empty(&stand_ins) || !address_is_inet(address))
		return NULL;
	v4 = *address;
	address_unmap(&v4);
	key.address = ntohl(v4.v4.sin_addr.s_addr);
	if (v4.any.sa_family != AF_INET || !notes_find(&stand_ins, &key, &name))
		return NULL;
	return (const char *)(uintptr_t)name.text;
}

/* @v4: what stands for @name, in network order. */
static void set_address(struct result *result, int family, const char *name, uint32_t v4,
			const struct addrinfo *from)
{
	in_port_t port = ((const struct sockaddr_in *)from->ai_addr)->sin_port;

	if (family == AF_GRAFT) {
		result->address.gr.sgr_family = AF_GRAFT;
		memcpy(result->address.gr.sgr_epname, name,
		       strnlen(name, AF_GRAFT_EPNAME_MAX));
		result->info.ai_addrlen = sizeof(result->address.gr);
		return;
	}
	if (family == AF_INET) {
		result->address.v4 = (struct sockaddr_in){ .sin_family = AF_INET,
							   .sin_port = port,
							   .sin_addr.s_addr = v4 };
		result->info.ai_addrlen = sizeof(result->address.v4);
		return;
	}
	result->address.v6 =
		(struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = port };
	memset(&result->address.v6.sin6_addr.s6_addr[10], 0xff, 2);
	memcpy(&result->address.v6.sin6_addr.s6_addr[12], &v4, sizeof(v4));
	result->info.ai_addrlen = sizeof(result->address.v6);
}

static struct addrinfo *result_new(int family, const char *name,
				   const struct addrinfo *from)
{
	uint32_t v4 = family == AF_GRAFT ? 0 : stand_in_of(name);
	struct result *result = NULL;

	if (family == AF_GRAFT || v4)
		result = calloc(1, sizeof(*result));
	if (!result)
		return NULL;
	result->info.ai_family = family;
	result->info.ai_socktype = from->ai_socktype;
	result->info.ai_protocol = from->ai_protocol;
	result->info.ai_addr = (struct sockaddr *)&result->address;
	set_address(result, family, name, htonl(v4), from);
	return &result->info;
}

/* One of ours for each of libc's that a program could connect with. */
static int make_results(int family, const char *name, const char *canonical,
			const struct addrinfo *from, struct addrinfo **ret)
{
	struct addrinfo *list = NULL, **end = &list;

	for (; from; from = from->ai_next) {
		if (from->ai_socktype != SOCK_STREAM && from->ai_socktype != SOCK_DGRAM)
			continue;
		*end = result_new(family, name, from);
		if (!*end)
			goto fail;
		end = &(*end)->ai_next;
	}
	if (!list)
		return EAI_SOCKTYPE;
	if (canonical) {
		list->ai_canonname = strdup(canonical);
		if (!list->ai_canonname)
			goto fail;
	}
	*ret = list;
	return 0;
fail:
	names_freeaddrinfo(list);
	return EAI_MEMORY;
}

/* The family of the results, or 0: there is no way from @wanted to @served. */
static int family_of(int wanted, int served)
{
	if (wanted == AF_UNSPEC)
		return served == AF_INET6 ? AF_INET6 : AF_INET;
	return wanted == AF_INET && served == AF_INET6 ? 0 : wanted;
}

static int find_any(names_find_endpoint *find, const char *node, int type,
		    const char **ret_name)
{
	int served = find(node, type);

	*ret_name = node;
	if (served >= 0)
		return served;
	*ret_name = node + strlen("graft-");
	return find(*ret_name, type);
}

static int resolve(const char *name, int family, const char *node, const char *service,
		   const struct addrinfo *hints, struct addrinfo **ret)
{
	struct addrinfo local = { .ai_family = AF_INET }, *from = NULL;
	bool wants_name = hints && hints->ai_flags & AI_CANONNAME;
	int r;

	if (hints) {
		local.ai_socktype = hints->ai_socktype;
		local.ai_protocol = hints->ai_protocol;
		local.ai_flags = hints->ai_flags & AI_NUMERICSERV;
	}
	r = getaddrinfo(NULL, service ? service : "0", &local, &from);
	if (r != 0)
		return r;
	r = make_results(family, name, wants_name ? node : NULL, from, ret);
	freeaddrinfo(from);
	return r;
}

static bool is_family(int family)
{
	return family == AF_UNSPEC || family == AF_INET || family == AF_INET6 ||
	       family == AF_GRAFT;
}

int names_getaddrinfo(names_find_endpoint *find, const char *node, const char *service,
		      const struct addrinfo *hints, struct addrinfo **ret)
{
	int wanted = hints ? hints->ai_family : AF_UNSPEC;
	int type = hints && hints->ai_socktype ? hints->ai_socktype : SOCK_STREAM;
	int served, family, saved = errno;
	const char *name;

	if (!names_concerns(node) || !is_family(wanted) ||
	    (hints && hints->ai_flags & AI_NUMERICHOST))
		return getaddrinfo(node, service, hints, ret);
	served = find_any(find, node, type, &name);
	errno = saved;
	if (served < 0)
		return getaddrinfo(node, service, hints, ret);
	family = family_of(wanted, served);
	if (!family || (family == AF_GRAFT && strlen(name) > AF_GRAFT_EPNAME_MAX))
		return EAI_NONAME;
	return resolve(name, family, node, service, hints, ret);
}

void names_freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *first = list, *last = list;

		if (is_ours(list)) {
			list = list->ai_next;
			free(first->ai_canonname);
			free(first);
			continue;
		}
		while (last->ai_next && !is_ours(last->ai_next))
			last = last->ai_next;
		list = last->ai_next;
		last->ai_next = NULL;
		freeaddrinfo(first);
	}
}
