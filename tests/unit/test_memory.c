/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Relocated once, and read-only since: what must not go with the constants beside it. */
static const char *const words[] = { "given", "back" };
static int written = 1;

static long resident_kb(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	char line[128];
	long kb = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Rss: %ld kB", &kb) == 1)
			break;
	if (file)
		fclose(file);
	return kb;
}

static void test_give_back(void **state)
{
	char *heap = strdup("kept");
	long before, after;

	written = 2;
	before = resident_kb();
	memory_give_back();
	after = resident_kb();
	print_message("# resident: %ld kB, then %ld kB\n", before, after);
	if (before == 0)
		skip();
	assert_true(after < before);
	assert_string_equal(words[0], "given");
	assert_string_equal(words[1], "back");
	assert_string_equal(heap, "kept");
	assert_int_equal(written, 2);
	/* Again, with what came back meanwhile. */
	memory_give_back();
	assert_string_equal(words[1], "back");
	free(heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_give_back) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
