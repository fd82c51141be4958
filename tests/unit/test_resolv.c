/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "run/dns.h"

/* Parses an exact-size copy, so that a sanitizer sees a step outside of it. Writes the
 * servers as one line. */
static const char *parse(const char *text, size_t size)
{
	static char line[256];
	struct dns_server servers[DNS_SERVERS_MAX];
	char *copy = malloc(size ? size : 1);
	size_t n;

	assert_non_null(copy);
	memcpy(copy, text, size);
	n = dns_parse_resolv(copy, size, servers);
	free(copy);
	line[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		const struct sockaddr *address = (const void *)&servers[i].address;
		char ip[INET6_ADDRSTRLEN];

		if (address->sa_family == AF_INET) {
			const struct sockaddr_in *v4 = (const void *)address;

			assert_int_equal(servers[i].len, sizeof(*v4));
			assert_int_equal(ntohs(v4->sin_port), 53);
			inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
		} else {
			const struct sockaddr_in6 *v6 = (const void *)address;

			assert_int_equal(address->sa_family, AF_INET6);
			assert_int_equal(servers[i].len, sizeof(*v6));
			assert_int_equal(ntohs(v6->sin6_port), 53);
			assert_int_equal(v6->sin6_scope_id, 0);
			inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
		}
		strcat(strcat(line, i ? " " : ""), ip);
	}
	return line;
}

#define same(text, expected) assert_string_equal(parse(text, sizeof(text) - 1), expected)

static void test_lines(void **state)
{
	same("nameserver 10.0.0.2\n", "10.0.0.2");
	same("nameserver 10.0.0.2", "10.0.0.2");
	same("nameserver\t10.0.0.2 \r\nnameserver 2001:db8::1\n", "10.0.0.2 2001:db8::1");
	same("search a b\nnameserver 127.0.0.53\noptions edns0 trust-ad\n", "127.0.0.53");
	same("# nameserver 10.0.0.1\n;nameserver 10.0.0.1\n\n\nnameserver 10.0.0.3\n",
	     "10.0.0.3");
	same("nameserver 10.0.0.2#comment\nnameserver 10.0.0.3;x\nnameserver 10.0.0.4 x\n",
	     "10.0.0.2 10.0.0.3 10.0.0.4");
}

static void test_forms(void **state)
{
	same("nameserver fe80::1%eth0\n", "fe80::1");
	same("nameserver 0.0.0.0\nnameserver ::\n", "127.0.0.1 ::1");
	same("nameserver 127.1\n", "127.0.0.1");
	same("nameserver ::ffff:10.0.0.1\n", "::ffff:10.0.0.1");
}

static void test_limits(void **state)
{
	same("nameserver 10.0.0.1\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n"
	     "nameserver 10.0.0.3\nnameserver 10.0.0.4\n",
	     "10.0.0.1 10.0.0.2 10.0.0.3");
}

static void test_no_server(void **state)
{
	static const char nul[] = "nameserver 10.0.0.1\0.5\n";
	char longer[256] = "nameserver ";

	same("", "");
	same("\n", "");
	same("nameserver", "");
	same("nameserver\n10.0.0.1\n", "");
	same("nameserver \n", "");
	same("nameservers 10.0.0.1\n", "");
	same(" nameserver 10.0.0.1\n", "");
	same("nameserver host.example\n", "");
	same("nameserver 10.0.0.256\n", "");
	same("nameserver 2001:db8::g\nnameserver %eth0\n", "");
	same(nul, "");
	memset(longer + 11, '1', sizeof(longer) - 12);
	assert_string_equal(parse(longer, sizeof(longer) - 1), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
