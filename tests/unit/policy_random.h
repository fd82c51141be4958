/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random policies and queries, heavy on edges: wildcards, mapped addresses, loopback,
 * port 0, adjacent prefixes, all endpoint kinds. Reproducible from a seed.
 */
#pragma once

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "policy/policy.h"

struct random {
	uint64_t state;
};

static inline uint32_t random_next(struct random *random)
{
	uint64_t x = random->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	random->state = x;
	return (uint32_t)((x * 0x2545f4914f6cdd1du) >> 32);
}

static inline uint32_t random_below(struct random *random, uint32_t n)
{
	return random_next(random) % n;
}

#define RANDOM_PICK(random, array) ((array)[random_below((random), ARRAY_SIZE(array))])

static inline uint32_t random_v4(struct random *random)
{
	static const uint32_t edges[] = {
		0,          0x7f000000, 0x7f000001, 0x7fffffff, 0x80000000, 0x7effffff,
		0x0a000000, 0x0a000001, 0x0affffff, 0x0b000000, 0xffffffff, 0xe0000001,
		0xc0a80000, 0xc0a80001, 0x00000001, 0x7f000100,
	};
	uint32_t value = RANDOM_PICK(random, edges);

	switch (random_below(random, 4)) {
	case 0:
		return random_next(random);
	case 1:
		return value + random_below(random, 5) - 2;
	}
	return value;
}

static inline void random_v6(struct random *random, struct in6_addr *address)
{
	static const char *const edges[] = {
		"::",           "::1",
		"::2",          "::ffff:0.0.0.0",
		"2001:db8::",   "2001:db8::1",
		"fe80::1",      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"2001:db8:1::", "::fffe:ffff:ffff",
		"::1:0:0:0",    "7fff::",
		"8000::",
	};
	uint32_t v4 = htonl(random_v4(random));

	inet_pton(AF_INET6, RANDOM_PICK(random, edges), address);
	switch (random_below(random, 8)) {
	case 0:
		for (int i = 0; i < 16; i++)
			address->s6_addr[i] = (uint8_t)random_next(random);
		break;
	case 1:
	case 2:
		inet_pton(AF_INET6, "::ffff:0.0.0.0", address);
		memcpy(&address->s6_addr[12], &v4, 4);
		break;
	case 3:
		address->s6_addr[15] ^= (uint8_t)(1 << random_below(random, 8));
		break;
	}
}

static inline uint16_t random_port(struct random *random)
{
	static const uint16_t edges[] = { 0,    1,     53,    80,    81,   443,
					  8080, 32767, 32768, 65534, 65535 };

	return random_below(random, 5) ? RANDOM_PICK(random, edges)
				       : (uint16_t)random_next(random);
}

/* "[ADDR/LEN]:LOW-HIGH" with the bits beyond LEN cleared. */
static inline void random_selector(struct random *random, char *text, size_t size,
				   bool connect, bool *ret_v4)
{
	bool v4 = random_below(random, 5) < 3;
	unsigned int bits = v4 ? 32 : 128, len = bits;
	uint8_t bytes[16] = { 0 };
	uint32_t a4 = htonl(random_v4(random));
	char address[INET6_ADDRSTRLEN], ports[32] = "";
	uint16_t low = random_port(random), high = random_port(random);
	bool any = true;

	if (v4)
		memcpy(bytes, &a4, 4);
	else
		random_v6(random, (struct in6_addr *)bytes);
	if (random_below(random, 2))
		len = random_below(random, bits + 1);
	for (unsigned int i = 0; i < bits; i++) {
		if (i >= len)
			bytes[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
		any &= !(bytes[i / 8] & 0x80 >> i % 8);
	}
	if (any && connect && len == bits)
		bytes[0] = 127, bytes[3] = 1;
	if (any && connect && !v4 && len == bits)
		bytes[0] = 0, bytes[3] = 0, bytes[15] = 1;
	if (!v4 && len >= 96 && IN6_IS_ADDR_V4MAPPED((struct in6_addr *)bytes)) {
		uint32_t zero = 0;

		if (connect && len == 128 && !memcmp(&bytes[12], &zero, 4))
			bytes[12] = 10;
		*ret_v4 = true;
	} else {
		*ret_v4 = v4;
	}
	inet_ntop(v4 ? AF_INET : AF_INET6, bytes, address, sizeof(address));
	if (low > high) {
		uint16_t swap = low;

		low = high;
		high = swap;
	}
	if (random_below(random, 3) == 0)
		snprintf(ports, sizeof(ports), ":%u", low);
	else if (random_below(random, 2))
		snprintf(ports, sizeof(ports), ":%u-%u", low, high);
	if (len == bits && random_below(random, 2))
		snprintf(text, size, v4 ? "%s%s" : "[%s]%s", address, ports);
	else if (v4)
		snprintf(text, size, "%s/%u%s", address, len, ports);
	else
		snprintf(text, size, random_below(random, 2) ? "[%s/%u]%s" : "[%s]/%u%s",
			 address, len, ports);
}

/*
 * A path of few letters, so that many nest: up to 107 bytes that a rule can name, '@' for
 * the abstract namespace. Return: its length.
 */
static inline size_t random_path(struct random *random, char text[128])
{
	static const char letters[] = { 'a', 'b', '/', '\xff' };
	size_t len = random_below(random, 8) ? 2 + random_below(random, 5)
					     : 100 + random_below(random, 8);

	text[0] = random_below(random, 3) ? '/' : '@';
	for (size_t i = 1; i < len; i++)
		text[i] = random_below(random, 2) ? 'a' : RANDOM_PICK(random, letters);
	text[len] = '\0';
	return len;
}

/* "connect unix PATH = TARGET" */
static inline void random_path_rule(struct random *random, FILE *to)
{
	static const char *const targets[] = { "own",         "host", "deny",
					       "deny:ENOENT", "u0",   "u1" };
	char path[128];
	size_t len = random_path(random, path);

	switch (random_below(random, 6)) {
	case 0:
		snprintf(path, sizeof(path), "%s*",
			 random_below(random, 3)   ? "/"
			 : random_below(random, 2) ? "@"
						   : "");
		break;
	case 1:
	case 2:
		snprintf(path + len, sizeof(path) - len, "*");
		break;
	}
	fprintf(to, "connect unix %s = %s\n", path, RANDOM_PICK(random, targets));
}

#define RANDOM_ENDPOINTS 12

/* Endpoint e0-e11: kinds and options follow from the number. */
static inline void random_endpoint(struct random *random, FILE *to, unsigned int n)
{
	static const char *const tails[] = {
		"", "", " netns back", " hold", " share netns 77", " netns /proc/9/ns/net"
	};
	uint16_t port = (uint16_t)(1 + random_below(random, 65535));
	const char *bound = n >= 6 ? " bound" : "";
	const char *tail = RANDOM_PICK(random, tails);

	switch (n % 6) {
	case 0:
		fprintf(to, "endpoint e%u ipv4 10.1.2.%u:%u%s%s\n", n, n, port, tail,
			bound);
		break;
	case 1:
		fprintf(to, "endpoint e%u ipv6 [2001:db8::%u]:%u%s%s\n", n, n, port, tail,
			bound);
		break;
	case 2:
		fprintf(to, "endpoint e%u unix /run/e%u.sock%s%s\n", n, n, tail, bound);
		break;
	case 3:
		fprintf(to, "endpoint e%u ipv4 0.0.0.0:dynamic%s%s\n", n, tail, bound);
		break;
	case 4:
		fprintf(to, "endpoint e%u ipv6 [::]:%u%s%s\n", n, port, tail, bound);
		break;
	case 5:
		fprintf(to, "endpoint e%u unix @abstract-%u%s%s\n", n, n, tail, bound);
		break;
	}
}

static inline void random_target(struct random *random, FILE *to, bool connect, bool v4)
{
	static const char *const words[] = { "host", "own", "deny", "deny:ECONNREFUSED",
					     "host" };
	static const unsigned int from4[] = { 0, 3, 6, 9 }, from6[] = { 1, 4, 7, 10 };
	unsigned int n = random_below(random, RANDOM_ENDPOINTS);

	if (random_below(random, 3) == 0) {
		fprintf(to, "%s\n", RANDOM_PICK(random, words));
	} else if (connect && random_below(random, 4) == 0) {
		n = v4 ? RANDOM_PICK(random, from4) : RANDOM_PICK(random, from6);
		fprintf(to, "from e%u\n", n);
	} else {
		if (v4 && (n % 6 == 1 || (n % 6 == 4 && !connect)))
			n = 0;
		fprintf(to, "e%u\n", n);
	}
}

/* The text of a policy of @n_rules rules. Caller frees. */
static inline char *random_policy_text(struct random *random, unsigned int n_rules)
{
	static const char *const protos[] = { "tcp", "udp", "any" };
	char *text = NULL, selector[128];
	size_t size;
	FILE *to = open_memstream(&text, &size);
	bool v4;

	for (unsigned int i = 0; i < RANDOM_ENDPOINTS; i++)
		random_endpoint(random, to, i);
	fprintf(to, "endpoint u0 unix /run/u0\nendpoint u1 unix @u1\n");
	for (unsigned int i = 0; i < n_rules; i++) {
		bool connect = random_below(random, 3) > 0;

		if (random_below(random, 4) == 0) {
			random_path_rule(random, to);
			continue;
		}
		random_selector(random, selector, sizeof(selector), connect, &v4);
		fprintf(to, "%s %s %s = ", connect ? "connect" : "bind",
			RANDOM_PICK(random, protos), selector);
		random_target(random, to, connect, v4);
	}
	fclose(to);
	return text;
}

static inline void random_query(struct random *random, struct policy_query *query)
{
	static const enum policy_proto protos[] = { POLICY_TCP, POLICY_UDP,
						    POLICY_OTHER };
	struct sockaddr_in *in = (struct sockaddr_in *)&query->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&query->address;

	memset(query, 0, sizeof(*query));
	query->op = random_below(random, 2) ? POLICY_BIND : POLICY_CONNECT;
	query->proto = RANDOM_PICK(random, protos);
	query->family = random_below(random, 2) ? AF_INET6 : AF_INET;
	query->v6only = query->family == AF_INET6 && random_below(random, 3) == 0;
	if (random_below(random, 10) == 0 ? query->family == AF_INET6
					  : query->family == AF_INET) {
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(random_v4(random));
		in->sin_port = htons(random_port(random));
	} else {
		in6->sin6_family = AF_INET6;
		random_v6(random, &in6->sin6_addr);
		in6->sin6_port = htons(random_port(random));
	}
}

/* What @rule names, or any path; then often something near it: shorter, longer, with
 * zeroes, up to all there is room for. */
static inline void random_path_query(struct random *random, const struct rule *rule,
				     struct policy_query *query)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&query->address;
	char text[128] = "";
	size_t size;

	memset(query, 0, sizeof(*query));
	query->op = random_below(random, 16) ? POLICY_CONNECT : POLICY_BIND;
	query->proto = POLICY_TCP;
	query->family = un->sun_family = AF_UNIX;
	size = rule ? (size_t)snprintf(text, sizeof(text), "%s", rule->path)
		    : random_path(random, text);
	if (size && text[0] == '@')
		text[0] = '\0';
	switch (random_below(random, 6)) {
	case 0:
		size -= size > 0;
		break;
	case 1:
	case 2:
		for (uint32_t n = 1 + random_below(random, 3); n; n--)
			text[size++] = "ab/\xff\0"[random_below(random, 5)];
		break;
	case 3:
		if (size)
			text[random_below(random, (uint32_t)size)] ^= 1;
		break;
	case 4:
		if (random_below(random, 4) == 0)
			size = sizeof(un->sun_path);
		break;
	}
	if (size > sizeof(un->sun_path))
		size = sizeof(un->sun_path);
	if (!size)
		text[size++] = 'a'; /* the kernel takes no empty one */
	memcpy(un->sun_path, text, size);
	query->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}

/* Points taken from the rules themselves, so that narrow ones are met. */
static inline void random_aimed_query(struct random *random, const struct policy *policy,
				      struct policy_query *query)
{
	const struct rule *rule;
	uint16_t port;

	random_query(random, query);
	if (policy_n_rules(policy) == 0 || random_below(random, 3) == 0)
		return;
	rule = policy_rule(policy,
			   random_below(random, (uint32_t)policy_n_rules(policy)));
	if (rule->family == AF_UNIX) {
		random_path_query(random, random_below(random, 8) ? rule : NULL, query);
		return;
	}
	query->op = rule->op;
	port = random_below(random, 2) ? rule->port_low : rule->port_high;
	if (rule->family == AF_INET && query->family == AF_INET) {
		struct sockaddr_in *in = (void *)&query->address;

		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, &rule->address, 4);
		in->sin_port = htons(port);
	} else {
		struct sockaddr_in6 *in6 = (void *)&query->address;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		in6->sin6_addr = rule->address;
		if (rule->family == AF_INET) {
			memset(&in6->sin6_addr, 0, 16);
			memset(&in6->sin6_addr.s6_addr[10], 0xff, 2);
			memcpy(&in6->sin6_addr.s6_addr[12], &rule->address, 4);
		}
		if (random_below(random, 3) == 0)
			in6->sin6_addr.s6_addr[15] ^=
				(uint8_t)(1 << random_below(random, 8));
	}
}
