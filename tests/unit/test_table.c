/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/table.h"

static const char *cleaned(const char *text)
{
	static char copy[128];

	strcpy(copy, text);
	text_clean(copy);
	return copy;
}

static void test_clean(void **state)
{
	assert_string_equal(cleaned("plain"), "plain");
	assert_string_equal(cleaned("a\x1b[2Jb\n\x7f"), "a?[2Jb??");
	assert_string_equal(cleaned("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\xb1"),
			    "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\xb1");
	assert_string_equal(cleaned("\xc2\x9b"), "??");           /* C1 control */
	assert_string_equal(cleaned("\xc0\xaf"), "??");           /* overlong */
	assert_string_equal(cleaned("\xe0\x80\xaf"), "???");      /* overlong */
	assert_string_equal(cleaned("\xed\xa0\x80"), "???");      /* surrogate */
	assert_string_equal(cleaned("\xf4\x90\x80\x80"), "????"); /* beyond the last */
	assert_string_equal(cleaned("\xe2\x80\xae"), "???");      /* turns text around */
	assert_string_equal(cleaned("x\xe2\x82"), "x??");         /* cut */
	assert_string_equal(cleaned("\xff\xfe"), "??");
}

static void test_print(void **state)
{
	static const char *const header[] = { "A", "LONG", "LAST" };
	static const char expected[] = "A        LONG  LAST\n"
				       "gr\xc3\xbcn     7     x y\n"
				       "?longer  -     -\n";
	struct table table;
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	table_init(&table, header, ARRAY_SIZE(header));
	table_add(&table, "gr\xc3\xbcn");
	table_add_number(&table, 7);
	table_add(&table, "x y");
	table_add(&table, "\x1blonger");
	table_add(&table, "");
	table_add(&table, NULL);
	assert_int_equal(table_print(&table, file), 0);
	fclose(file);
	assert_string_equal(text, expected);
	table_release(&table);
}

static void test_ages(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} ages[] = {
		{ 1, "1s" },        { 59, "59s" },         { 60, "1m00s" },
		{ 3599, "59m59s" }, { 3600, "1h00m" },     { 86399, "23h59m" },
		{ 86400, "1d00h" }, { 1000000, "11d13h" },
	};
	static const char *const header[] = { "AGE" };
	struct table table;

	table_init(&table, header, 1);
	for (size_t i = 0; i < ARRAY_SIZE(ages); i++)
		table_add_age(&table, ages[i].seconds * 1000000000);
	table_add_age(&table, 0);
	for (size_t i = 0; i < ARRAY_SIZE(ages); i++)
		assert_string_equal(table.cells[i + 1], ages[i].text);
	assert_string_equal(table.cells[ARRAY_SIZE(ages) + 1], "-");
	table_release(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_ages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
