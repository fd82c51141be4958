/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The items of a TOML text: each as KIND LINE PATH=VALUE, with "/" between keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/toml_text.h"

struct seen {
	char text[4096];
	size_t n, stop_at;
};

static int note(void *context, const struct toml_item *item)
{
	static const char *const kinds[] = { "table", "array", "value" };
	struct seen *seen = context;
	size_t used = strlen(seen->text);
	char path[TOML_PATH_MAX];

	snprintf(path, sizeof(path), "%s", item->path);
	for (char *at = path; *at; at++)
		if (*at == *TOML_THEN)
			*at = '/';
	snprintf(seen->text + used, sizeof(seen->text) - used, "%s %zu %s%s%.*s;",
		 kinds[item->kind], item->line, path, item->value ? "=" : "",
		 item->value ? (int)(item->end - item->value) : 0,
		 item->value ? item->value : "");
	assert_true(item->start <= item->end && item->end <= item->next);
	assert_true(item->next[-1] == '\n' || !*item->next);
	return ++seen->n == seen->stop_at ? 7 : 0;
}

static void wants(const char *text, const char *items)
{
	struct seen seen = { .text = "" };
	size_t line = 0;
	int r = toml_text_walk(text, note, &seen, &line);

	if (r != 0)
		fail_msg("line %zu of: %s", line, text);
	assert_string_equal(seen.text, items);
}

static void test_items(void **state)
{
	wants("", "");
	wants("\n  # only a comment", "");
	wants("a = 1", "value 1 a=1;");
	wants("version = 2 # two\n\n[plugins]\n  [plugins.\"io.x.v1\".b] # c\r\n"
	      "    c.d = \"[#]\"\n",
	      "value 1 version=2;table 3 plugins;table 4 plugins/io.x.v1/b;"
	      "value 5 plugins/io.x.v1/b/c/d=\"[#]\";");
	wants("[[a . 'b.c']]\nx=[ 1, # ]\n '''[''', {y = \"}\"},\n]\nz=1\n",
	      "array 1 a/b.c;value 2 a/b.c/x=[ 1, # ]\n '''[''', {y = \"}\"},\n];"
	      "value 5 a/b.c/z=1;");
	wants("s = \"\"\"a\n[b]\n\\\"\"\" c\"\"\"\"\"\nt = ''\nu = 'C:\\'\n",
	      "value 1 s=\"\"\"a\n[b]\n\\\"\"\" c\"\"\"\"\";value 4 t='';value 5 u='C:\\';");
}

static void test_ends(void **state)
{
	struct seen seen = { .stop_at = 2 };
	size_t line;

	assert_int_equal(toml_text_walk("a=1\nb=2\nc=3\n", note, &seen, &line), 7);
	assert_int_equal(seen.n, 2);
}

static void refused(const char *text, size_t where)
{
	struct seen seen = { .text = "" };
	size_t line = 0;

	if (toml_text_walk(text, note, &seen, &line) != -EINVAL)
		fail_msg("taken: %s", text);
	assert_int_equal(line, where);
}

static void test_refused(void **state)
{
	static const char *const lines[] = {
		"a",          "a =",          "= 1",
		"a = 1 2",    "[a",           "[a]]",
		"[[a]",       "[]",           "[a] b=1",
		"a = \"b",    "a = [1",       "a = {b = 1",
		"a..b=1",     "a.=1",         "\"\" = 1",
		"a = '''b''", "a = \"\\\"",   "[a.\"\\u0062\"]",
		"a b=1",      "\037 = 1",     "a = ]",
		"é = 1",      "\"a\037b\"=1",
	};
	char text[2100] = "x = 1\n\n";

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char *with = NULL;

		assert_true(asprintf(&with, "x = '''\n'''\n%s\n", lines[i]) > 0);
		refused(with, 3);
		free(with);
	}
	memset(text + 7, 'a', sizeof(text) - 8);
	refused(text, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
