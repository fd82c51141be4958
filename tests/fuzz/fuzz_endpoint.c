/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as one endpoint: whatever parses prints in two forms that both parse to the
 * same endpoint; whatever does not leaves one line to say why.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"

#define LINE_MAX_SIZE 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what, const char *text)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_endpoint: %s: %s\n", what, text);
	abort();
}

struct printed {
	char graft[LINE_MAX_SIZE], line[LINE_MAX_SIZE];
};

static void print(const struct endpoint *endpoint, struct printed *printed)
{
	size_t n = endpoint_print_graft(endpoint, printed->graft, LINE_MAX_SIZE);

	require(n == strlen(printed->graft), "length", printed->graft);
	require(n && printed->graft[n - 1] == ' ', "no blank at the end", printed->graft);
	policy_print_endpoint(endpoint, printed->line, LINE_MAX_SIZE);
}

static void check_again(const char *text, const struct printed *first)
{
	static struct printed again;
	struct policy_error error = { "" };
	struct endpoint endpoint;

	require(endpoint_parse(&endpoint, "again", text, strlen(text), &error) == 0,
		"what was printed does not parse", error.text);
	print(&endpoint, &again);
	require(!strcmp(first->graft, again.graft), "printed differently", again.graft);
	require(!strcmp(first->line, again.line), "printed differently", again.line);
	endpoint_release(&endpoint);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct printed printed;
	struct policy_error error = { "" };
	struct endpoint endpoint;
	int r = endpoint_parse(&endpoint, "fuzz", (const char *)data, size, &error);

	if (r < 0) {
		require(error.text[0] != '\0', "failed in silence", "");
		require(!strchr(error.text, '\n'), "more than a line", error.text);
		return 0;
	}
	print(&endpoint, &printed);
	endpoint_release(&endpoint);
	check_again(printed.graft, &printed);
	check_again(printed.line + strlen("endpoint "), &printed);
	return 0;
}
