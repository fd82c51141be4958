/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/number.h"

/* What /proc never writes must not be read as a number either. */
static void test_take(void **state)
{
	static const struct {
		const char *text;
		int base;
		bool is_number;
		uint64_t value;
		const char *rest;
	} rows[] = {
		{ "0", 10, true, 0, "" },
		{ "12 34", 10, true, 12, " 34" },
		{ " \t\n7\n", 10, true, 7, "\n" },
		{ "12x", 10, true, 12, "x" },
		{ "007", 10, true, 7, "" },
		{ "18446744073709551615", 10, true, UINT64_MAX, "" },
		{ "18446744073709551616", 10, false, 0, NULL },
		{ "99999999999999999999999", 10, false, 0, NULL },
		{ "ff ", 16, true, 255, " " },
		{ "FFFFFFFFFFFFFFFF", 16, true, UINT64_MAX, "" },
		{ "10000000000000000", 16, false, 0, NULL },
		{ "02000002\n", 8, true, 02000002, "\n" },
		{ "78", 8, true, 7, "8" },
		{ "8", 8, false, 0, NULL },
		{ "", 10, false, 0, NULL },
		{ "  ", 10, false, 0, NULL },
		{ "x1", 10, false, 0, NULL },
		{ "-1", 10, false, 0, NULL },
		{ "+1", 10, false, 0, NULL },
		{ " -1", 10, false, 0, NULL },
		{ "- 1", 10, false, 0, NULL },
		/* blanks of strtoull() that are none of ours */
		{ "\v-1", 10, false, 0, NULL },
		{ "\r+1", 10, false, 0, NULL },
		{ "\f1", 10, false, 0, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *at = rows[i].text;
		uint64_t value = 4711;

		if (number_take(&at, rows[i].base, &value) != rows[i].is_number)
			fail_msg("row %zu", i);
		if (rows[i].is_number) {
			assert_true(value == rows[i].value);
			assert_string_equal(at, rows[i].rest);
		} else {
			assert_true(value == 4711);
			assert_ptr_equal(at, rows[i].text);
		}
	}
}

static void test_skip_word(void **state)
{
	static const struct {
		const char *text, *word, *rest; /* NULL: it is not there */
	} rows[] = {
		{ "tfd:  5", "tfd:", "  5" },
		{ " \t\npos:0", "pos:", "0" },
		{ "pos", "pos:", NULL },
		{ "xpos:0", "pos:", NULL },
		{ "", "pos:", NULL },
		{ "pos:", "pos:", "" },
		{ "  ", "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *at = rows[i].text;

		assert_int_equal(number_skip_word(&at, rows[i].word),
				 rows[i].rest != NULL);
		if (rows[i].rest)
			assert_string_equal(at, rows[i].rest);
		else
			assert_ptr_equal(at, rows[i].text);
	}
}

/* A line of an epoll instance's fdinfo and one of a uid_map, as they are read. */
static void test_lines(void **state)
{
	const char *at = "tfd:        5 events:       19 data: 7f00deadbeef  pos:0";
	uint64_t value = 0, map[6];

	assert_true(number_skip_word(&at, "tfd:") && number_take(&at, 10, &value));
	assert_int_equal(value, 5);
	assert_true(number_skip_word(&at, "events:") && number_take(&at, 16, &value));
	assert_int_equal(value, 0x19);
	assert_true(number_skip_word(&at, "data:") && number_take(&at, 16, &value));
	assert_true(value == 0x7f00deadbeef);
	assert_false(number_take(&at, 16, &value));
	assert_true(number_skip_word(&at, "pos:"));

	at = "         0       1000          1\n         1     100000      65536\n";
	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		assert_true(number_take(&at, 10, &map[i]));
	assert_false(number_take(&at, 10, &value));
	assert_int_equal(map[1], 1000);
	assert_int_equal(map[5], 65536);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_skip_word),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
