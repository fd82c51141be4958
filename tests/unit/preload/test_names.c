/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Endpoints are "web" (AF_INET), "graft-full" (AF_UNIX), "six" (AF_INET6) and "n0" to
 * "n999"; numbers and localhost are libc's.
 */
#include "test.h"

#include <stdlib.h>

#include "intercept/preload/names.h"
#include "uapi/linux/graft.h"

static unsigned int n_asked;
static int asked_type;

static int find(const char *name, int type)
{
	n_asked++;
	asked_type = type;
	errno = EPIPE;
	if (!strcmp(name, "web") || !strcmp(name, "a-name-of-20-letters") ||
	    (name[0] == 'n' && atoi(name + 1) < 1000 && name[1]))
		return AF_INET;
	if (!strcmp(name, "graft-full"))
		return AF_UNIX;
	return strcmp(name, "six") ? -ENOENT : AF_INET6;
}

static struct addrinfo *found(const char *node, const char *service, int family, int type)
{
	struct addrinfo hints = { .ai_family = family, .ai_socktype = type };
	struct addrinfo *list = NULL;

	errno = 0;
	assert_int_equal(names_getaddrinfo(find, node, service, &hints, &list), 0);
	assert_non_null(list);
	return list;
}

static int refused(const char *node, int family)
{
	struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int r = names_getaddrinfo(find, node, "80", &hints, &list);

	assert_true(r != 0 && !list);
	return r;
}

static void concerns(void **state)
{
	assert_true(names_concerns("graft-x"));
	assert_true(names_concerns("graft:x"));
	assert_false(names_concerns("graft-"));
	assert_false(names_concerns("graft"));
	assert_false(names_concerns("graftx"));
	assert_false(names_concerns("localhost"));
	assert_false(names_concerns(NULL));
	assert_false(names_concerns("graft-a-name-that-is-longer-than-any-endpoint-can-"
				    "ever-be-called"));
}

static void stands_for(const struct addrinfo *info, const char *name)
{
	union address address = { 0 };

	memcpy(&address, info->ai_addr, info->ai_addrlen);
	assert_non_null(names_endpoint(&address));
	assert_string_equal(names_endpoint(&address), name);
}

static void inet(void **state)
{
	struct addrinfo *list = found("graft-web", "80", AF_INET, SOCK_STREAM);
	const struct sockaddr_in *in = (const void *)list->ai_addr;

	assert_int_equal(errno, 0);
	assert_int_equal(asked_type, SOCK_STREAM);
	assert_int_equal(list->ai_family, AF_INET);
	assert_int_equal(list->ai_socktype, SOCK_STREAM);
	assert_int_equal(list->ai_protocol, IPPROTO_TCP);
	assert_int_equal(list->ai_addrlen, sizeof(*in));
	assert_int_equal(in->sin_family, AF_INET);
	assert_int_equal(in->sin_port, htons(80));
	assert_int_equal(ntohl(in->sin_addr.s_addr) >> 16, 127 << 8 | 201);
	assert_null(list->ai_next);
	stands_for(list, "web");
	names_freeaddrinfo(list);
}

static void same_address_again(void **state)
{
	struct addrinfo *one = found("graft-web", "80", AF_INET, SOCK_STREAM);
	struct addrinfo *two = found("graft:web", "80", AF_UNSPEC, SOCK_STREAM);

	assert_memory_equal(one->ai_addr, two->ai_addr, sizeof(struct sockaddr_in));
	names_freeaddrinfo(one);
	names_freeaddrinfo(two);
}

static void full_names_first(void **state)
{
	struct addrinfo *list = found("graft-full", "http", AF_UNSPEC, SOCK_STREAM);

	stands_for(list, "graft-full");
	assert_int_equal(((struct sockaddr_in *)list->ai_addr)->sin_port, htons(80));
	names_freeaddrinfo(list);
}

static void every_type(void **state)
{
	struct addrinfo *list = found("graft-web", NULL, AF_UNSPEC, 0);

	assert_int_equal(list->ai_socktype, SOCK_STREAM);
	assert_int_equal(list->ai_next->ai_socktype, SOCK_DGRAM);
	assert_null(list->ai_next->ai_next);
	assert_int_equal(((struct sockaddr_in *)list->ai_addr)->sin_port, 0);
	stands_for(list->ai_next, "web");
	names_freeaddrinfo(list);
	list = found("graft-web", "53", AF_INET, SOCK_DGRAM);
	assert_int_equal(asked_type, SOCK_DGRAM);
	names_freeaddrinfo(list);
}

static void inet6(void **state)
{
	struct addrinfo *list = found("graft-web", "80", AF_INET6, SOCK_STREAM);
	const struct sockaddr_in6 *in6 = (const void *)list->ai_addr;

	assert_int_equal(list->ai_family, AF_INET6);
	assert_true(IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr));
	stands_for(list, "web");
	names_freeaddrinfo(list);
	list = found("graft-six", "80", AF_UNSPEC, SOCK_STREAM);
	assert_int_equal(list->ai_family, AF_INET6);
	stands_for(list, "six");
	names_freeaddrinfo(list);
	assert_int_equal(refused("graft-six", AF_INET), EAI_NONAME);
}

static void graft(void **state)
{
	struct addrinfo *list = found("graft-web", "80", AF_GRAFT, SOCK_STREAM);
	const struct sockaddr_gr *gr = (const void *)list->ai_addr;

	assert_int_equal(list->ai_family, AF_GRAFT);
	assert_int_equal(list->ai_addrlen, sizeof(*gr));
	assert_int_equal(gr->sgr_family, AF_GRAFT);
	assert_string_equal(gr->sgr_epname, "web");
	names_freeaddrinfo(list);
	assert_int_equal(refused("graft-a-name-of-20-letters", AF_GRAFT), EAI_NONAME);
}

static void canonical_name(void **state)
{
	struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;

	assert_int_equal(names_getaddrinfo(find, "graft-web", "80", &hints, &list), 0);
	assert_string_equal(list->ai_canonname, "graft-web");
	names_freeaddrinfo(list);
	assert_int_equal(names_getaddrinfo(find, "graft-web", "80", NULL, &list), 0);
	assert_null(list->ai_canonname);
	names_freeaddrinfo(list);
}

static void the_rest_is_libcs(void **state)
{
	struct addrinfo *list = found("127.0.0.1", "80", AF_UNSPEC, SOCK_STREAM);
	union address address = { 0 };

	n_asked = 0;
	memcpy(&address, list->ai_addr, list->ai_addrlen);
	assert_address(&address, "127.0.0.1", 80);
	assert_null(names_endpoint(&address));
	names_freeaddrinfo(list);
	assert_int_equal(n_asked, 0);
	assert_int_equal(refused("graft-web", AF_UNIX), EAI_FAMILY);
	assert_int_equal(n_asked, 0);
}

static void numbers_only(void **state)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST };
	struct addrinfo *list;

	n_asked = 0;
	assert_int_equal(names_getaddrinfo(find, "graft-web", "80", &hints, &list),
			 EAI_NONAME);
	assert_int_equal(n_asked, 0);
}

static void bad_services(void **state)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;

	assert_true(names_getaddrinfo(find, "graft-web", "no-such-service", &hints,
				      &list) != 0);
	hints.ai_flags = AI_NUMERICSERV;
	assert_true(names_getaddrinfo(find, "graft-web", "http", &hints, &list) != 0);
	hints = (struct addrinfo){ .ai_socktype = 77 };
	assert_true(names_getaddrinfo(find, "graft-web", "80", &hints, &list) != 0);
}

/* Under a sanitizer or valgrind: nothing is freed twice, or by the wrong hand. */
static void mixed_lists(void **state)
{
	struct addrinfo *ours = found("graft-web", "80", AF_UNSPEC, 0);
	struct addrinfo *libcs = found("127.0.0.1", "80", AF_UNSPEC, 0);
	struct addrinfo *more = found("graft-full", "80", AF_UNSPEC, 0);
	struct addrinfo *last = found("::1", "80", AF_UNSPEC, SOCK_STREAM);
	struct addrinfo *end;

	for (end = ours; end->ai_next; end = end->ai_next)
		;
	end->ai_next = libcs;
	for (end = libcs; end->ai_next; end = end->ai_next)
		;
	end->ai_next = more;
	for (end = more; end->ai_next; end = end->ai_next)
		;
	end->ai_next = last;
	names_freeaddrinfo(ours);
	names_freeaddrinfo(NULL);
}

static void many_endpoints(void **state)
{
	for (int i = 0; i < 1000; i++) {
		char node[32];
		struct addrinfo *list;

		snprintf(node, sizeof(node), "graft-n%d", i);
		list = found(node, "80", AF_INET, SOCK_STREAM);
		stands_for(list, node + 6);
		names_freeaddrinfo(list);
	}
	for (int i = 0; i < 1000; i++) {
		char node[32];
		struct addrinfo *list;

		snprintf(node, sizeof(node), "graft-n%d", i);
		list = found(node, "80", AF_INET, SOCK_STREAM);
		stands_for(list, node + 6);
		names_freeaddrinfo(list);
	}
}

static void nothing_stands_yet(void **state)
{
	union address address = address_of("127.201.0.1", 80);

	assert_null(names_endpoint(&address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_stands_yet),
		cmocka_unit_test(concerns),
		cmocka_unit_test(inet),
		cmocka_unit_test(same_address_again),
		cmocka_unit_test(full_names_first),
		cmocka_unit_test(every_type),
		cmocka_unit_test(inet6),
		cmocka_unit_test(graft),
		cmocka_unit_test(canonical_name),
		cmocka_unit_test(the_rest_is_libcs),
		cmocka_unit_test(numbers_only),
		cmocka_unit_test(bad_services),
		cmocka_unit_test(mixed_lists),
		cmocka_unit_test(many_endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
