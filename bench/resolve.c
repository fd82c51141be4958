/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a lookup costs with 1, 100, 10,000 and 100,000 rules and as many endpoints: mixed
 * exact addresses and prefixes of all lengths, single ports and ranges, IPv4 and IPv6,
 * tcp, udp and any. Half of the questions are aimed at a rule, half at no rule in
 * particular. Three orders of the rules: as drawn, where short prefixes early on cover
 * much of what follows; narrowest first, as people write them; and hosts only.
 *
 *	bench_resolve [--json] [--rounds N]
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "policy/internal.h"

#define N_QUERIES 65536 /* more than a cache's worth of different places */

enum order {
	ORDER_DRAWN,
	ORDER_NARROW_FIRST,
	ORDER_HOSTS,
	ORDER_N,
};

static const char *const order_names[] = { "drawn", "narrow-first", "hosts" };

struct drawn {
	char line[160];
	unsigned int len; /* of the prefix, in 128ths of the whole */
	struct policy_query query;
};

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint32_t draw(uint32_t n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)((random_state * 0x2545f4914f6cdd1d) >> 32) % n;
}

static void fill_query(struct drawn *drawn, bool v4, const uint8_t *bytes,
		       unsigned int port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&drawn->query.address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&drawn->query.address;

	memset(&drawn->query, 0, sizeof(drawn->query));
	drawn->query.op = POLICY_CONNECT;
	drawn->query.proto = draw(2) ? POLICY_TCP : POLICY_UDP;
	drawn->query.family = v4 ? AF_INET : AF_INET6;
	drawn->query.address.ss_family = v4 ? AF_INET : AF_INET6;
	in->sin_port = htons((uint16_t)port);
	if (v4)
		memcpy(&in->sin_addr, bytes, 4);
	else
		memcpy(&in6->sin6_addr, bytes, 16);
}

static void draw_rule(struct drawn *drawn, unsigned int n, enum order order)
{
	static const char *const protos[] = { "tcp", "udp", "any" };
	bool v4 = draw(2);
	unsigned int bits = v4 ? 32 : 128;
	unsigned int len = order == ORDER_HOSTS || draw(2) ? bits : 1 + draw(bits);
	unsigned int low = draw(65536), high = low;
	uint8_t bytes[16], network[16];
	char text[INET6_ADDRSTRLEN], target[32];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)draw(256);
	bytes[0] = (uint8_t)(v4 ? 128 + draw(90) : 0x20); /* away from loopback */
	memcpy(network, bytes, sizeof(bytes));
	mask_address(v4 ? AF_INET : AF_INET6, (struct in6_addr *)network, len);
	if (draw(3) == 0)
		high = low + draw(65536 - low);
	inet_ntop(v4 ? AF_INET : AF_INET6, network, text, sizeof(text));
	snprintf(target, sizeof(target), n % 4 ? "e%u" : "host", v4 ? n - n % 4 + 1 : n);
	snprintf(drawn->line, sizeof(drawn->line),
		 v4 ? "connect %s %s/%u:%u-%u = %s\n" : "connect %s [%s/%u]:%u-%u = %s\n",
		 protos[draw(3)], text, len, low, high, target);
	drawn->len = v4 ? len * 4 : len;
	fill_query(drawn, v4, bytes, low + draw(high - low + 1));
}

static void print_endpoint(FILE *to, unsigned int n)
{
	unsigned int port = 1 + n % 65535;

	if (n % 4 == 2)
		fprintf(to, "endpoint e%u ipv6 [2001:db8::%x:%x]:%u\n", n, n >> 16,
			n & 0xffff, port);
	else if (n % 4 == 3)
		fprintf(to, "endpoint e%u unix /run/e%u.sock\n", n, n);
	else
		fprintf(to, "endpoint e%u ipv4 10.%u.%u.%u:%u\n", n, n >> 16 & 255,
			n >> 8 & 255, n & 255, port);
}

static int compare_len(const void *one, const void *two)
{
	const struct drawn *a = one, *b = two;

	return (a->len < b->len) - (a->len > b->len);
}

static struct policy *make_policy(struct drawn *drawn, unsigned int n, enum order order)
{
	_cleanup_free_ char *text = NULL;
	struct policy *policy = policy_new();
	struct policy_error error = { "" };
	FILE *to;
	size_t size;

	to = open_memstream(&text, &size);
	for (unsigned int i = 0; i < n + 4; i++)
		print_endpoint(to, i);
	for (unsigned int i = 0; i < n; i++)
		draw_rule(&drawn[i], i, order);
	if (order == ORDER_NARROW_FIRST)
		qsort(drawn, n, sizeof(*drawn), compare_len);
	for (unsigned int i = 0; i < n; i++)
		fputs(drawn[i].line, to);
	fclose(to);
	if (policy_add_text(policy, "bench", text, size, &error) == 0 &&
	    policy_seal(policy, &error) == 0)
		return policy;
	fprintf(stderr, "bench_resolve: %s\n", error.text);
	exit(EXIT_FAILURE);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

struct result {
	double build_ms, ns;
	double probes;
	unsigned int matched; /* percent */
};

static struct result measure(unsigned int n, enum order order, unsigned int rounds)
{
	struct drawn *drawn = calloc(n, sizeof(*drawn)), other;
	struct policy_query *queries = calloc(N_QUERIES, sizeof(*queries));
	struct result result = { 0, 1e9, 0, 0 };
	struct policy_verdict verdict;
	struct policy *policy;
	double start = now();
	unsigned int matched = 0;
	uint64_t probes;

	policy = make_policy(drawn, n, order);
	result.build_ms = (now() - start) * 1e3;
	for (unsigned int i = 0; i < N_QUERIES; i++) {
		draw_rule(&other, 0, order);
		queries[i] = i % 2 ? other.query : drawn[draw(n)].query;
	}
	probes = policy_n_probes;
	for (unsigned int r = 0; r < rounds; r++) {
		start = now();
		for (unsigned int i = 0; i < N_QUERIES; i++) {
			policy_resolve(policy, &queries[i], NULL, NULL, &verdict);
			matched += verdict.reason == POLICY_R_RULE;
		}
		start = (now() - start) * 1e9 / N_QUERIES;
		if (start < result.ns)
			result.ns = start;
	}
	result.probes = (double)(policy_n_probes - probes) / rounds / N_QUERIES;
	result.matched = (unsigned int)(matched * 100.0 / rounds / N_QUERIES);
	policy_free(policy);
	free(queries);
	free(drawn);
	return result;
}

static void show(bool json, bool last, enum order order, unsigned int n,
		 const struct result *result)
{
	if (json)
		printf("  {\"rules\": %u, \"order\": \"%s\", \"ns\": %.1f, \"probes\": %.1f, "
		       "\"matched_percent\": %u, \"build_ms\": %.1f}%s\n",
		       n, order_names[order], result->ns, result->probes, result->matched,
		       result->build_ms, last ? "" : ",");
	else
		printf("%7u rules, %-12s  %7.1f ns  %5.1f probes  %3u%% matched  built in "
		       "%.1f ms\n",
		       n, order_names[order], result->ns, result->probes, result->matched,
		       result->build_ms);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "rounds", required_argument, NULL, 'r' },
		{ NULL },
	};
	static const unsigned int sizes[] = { 1, 100, 10000, 100000 };
	unsigned int rounds = 5;
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'r' && strtoul(optarg, NULL, 10) > 0)
			rounds = (unsigned int)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (json)
		printf("[\n");
	for (int order = 0; order < ORDER_N; order++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct result result =
				measure(sizes[i], (enum order)order, rounds);

			show(json, order == ORDER_N - 1 && i == ARRAY_SIZE(sizes) - 1,
			     (enum order)order, sizes[i], &result);
		}
	if (json)
		printf("]\n");
	return 0;
}
