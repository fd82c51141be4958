/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a policy file, and as each short notation: whatever parses prints to a
 * text that parses and prints the same; whatever does not leaves one line to say why.
 * What parsed is then asked a question made of the same bytes. The same with names left
 * to the registry, and with what is wrong left out.
 */
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what, const char *text)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_policy: %s: %s\n", what, text);
	abort();
}

static void ask(const struct policy *policy, const uint8_t *data, size_t size)
{
	struct policy_query query = { 0 };
	struct policy_verdict verdict;
	char text[256];

	if (size > sizeof(query.address))
		size = sizeof(query.address);
	memcpy(&query.address, data, size);
	query.op = size % 2 ? POLICY_BIND : POLICY_CONNECT;
	query.proto = size % 3 ? POLICY_TCP : POLICY_OTHER;
	query.family = size % 4 ? AF_INET6 : AF_INET;
	query.v6only = size % 8 == 1;
	query.address.ss_family = size % 5 ? AF_INET6 : AF_INET;
	policy_resolve(policy, &query, NULL, NULL, &verdict);
	policy_explain(&query, &verdict, text, sizeof(text));
	require(text[0] != '\0', "no explanation", "");
	query.op = POLICY_CONNECT;
	query.family = query.address.ss_family = AF_UNIX;
	query.address_len = (socklen_t)(size > 110 ? 110 : size);
	policy_resolve(policy, &query, NULL, NULL, &verdict);
	policy_explain(&query, &verdict, text, sizeof(text));
	require(text[0] != '\0', "no explanation", "");
}

static void check_error(int r, const struct policy_error *error)
{
	if (r == 0)
		return;
	require(error->text[0] != '\0', "failed in silence", "");
	require(!strchr(error->text, '\n'), "more than a line", error->text);
}

static void check_again(const struct policy *policy)
{
	_cleanup_(policy_freep) struct policy *again = policy_new();
	_cleanup_free_ char *first = policy_print(policy);
	_cleanup_free_ char *second = NULL;
	struct policy_error error = { "" };
	int r;

	policy_allow_named(again);
	policy_allow_paths(again);
	r = policy_add_text(again, "again", first, strlen(first), &error);
	if (r == 0)
		r = policy_seal(again, &error);
	require(r == 0, "what was printed does not parse", error.text);
	second = policy_print(again);
	require(!strcmp(first, second), "printed differently again", second);
}

static void ignore(void *context, const struct policy_error *error)
{
	check_error(-1, error);
}

static void try_file(const uint8_t *data, size_t size)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	_cleanup_(policy_freep) struct policy *checked = policy_new();
	struct policy_error error = { "" };
	int r, n;

	policy_allow_paths(policy);
	policy_allow_paths(checked);
	r = policy_add_text(policy, "fuzz", (const char *)data, size, &error);
	n = policy_check_text(checked, "fuzz", (const char *)data, size, ignore, NULL);
	require((r == 0) == (n == 0), "check and parse disagree", error.text);
	if (r == 0)
		r = policy_seal(policy, &error);
	n = policy_check_seal(checked, ignore, NULL);
	require(r != 0 || n == 0, "check and seal disagree", error.text);
	check_error(r, &error);
	if (r < 0)
		return;
	check_again(policy);
	ask(policy, data, size);
}

static void try_notation(int (*add)(struct policy *, const char *, struct policy_error *),
			 const char *text)
{
	static const char endpoints[] =
		"endpoint a ipv4 1.2.3.4:5\nendpoint b ipv6 [::1]:5\n"
		"endpoint c unix /c\n";
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct policy_error error = { "" };
	int r;

	policy_add_text(policy, "endpoints", endpoints, strlen(endpoints), NULL);
	r = add(policy, text, &error);
	if (r == 0)
		r = policy_seal(policy, &error);
	check_error(r, &error);
	if (r == 0)
		check_again(policy);
}

/* Whatever is right of a file and of each variable, which is always a policy. */
static void try_rest(const uint8_t *data, size_t size, const char *text)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();

	policy_allow_named(policy);
	policy_check_text(policy, "fuzz", (const char *)data, size, ignore, NULL);
	for (int i = 0; i < POLICY_N_VARIABLES; i++)
		require(policy_check_variable(policy, (enum policy_variable)i, text,
					      ignore, NULL) >= 0,
			"a variable failed", text);
	require(policy_seal_rest(policy, ignore, NULL) >= 0, "the seal failed", text);
	check_again(policy);
	ask(policy, data, size);
}

/* Publishing tens of thousands of ports is slow and says nothing new. */
static bool has_wide_range(const char *text)
{
	for (const char *dash = text; (dash = strchr(dash, '-')); dash++) {
		const char *start = dash;

		while (start > text && start[-1] >= '0' && start[-1] <= '9')
			start--;
		if (strtoul(dash + 1, NULL, 10) > strtoul(start, NULL, 10) + 64)
			return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size);

	try_file(data, size);
	if (!has_wide_range(text))
		try_notation(policy_add_publish, text);
	try_notation(policy_add_ingress, text);
	try_notation(policy_add_egress, text);
	try_notation(policy_add_conv_pairs, text);
	try_notation(policy_add_ingress_convert, text);
	try_notation(policy_add_egress_convert, text);
	try_notation(policy_add_bbconn, text);
	try_rest(data, size, text);
	return 0;
}
