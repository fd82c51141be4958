/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json_text.h"

static const char *const keys[] = { "runtimes", "graft" };

static void set(const char *text, const char *wanted)
{
	_cleanup_free_ char *is = NULL;

	assert_int_equal(json_text_set(text, keys, 2, "[1]", &is), 0);
	assert_string_equal(is, wanted);
}

static void removed(const char *text, const char *wanted)
{
	_cleanup_free_ char *is = NULL;

	assert_int_equal(json_text_remove(text, keys, 2, &is), 0);
	assert_string_equal(is, wanted);
}

static void test_set(void **state)
{
	set("{}", "{\"runtimes\": {\"graft\": [1]}}");
	set(" {\n\t\"a\" : 1\n}\n",
	    " {\n\t\"runtimes\": {\"graft\": [1]},\n\t\"a\" : 1\n}\n");
	set("{\"runtimes\": {}}", "{\"runtimes\": {\"graft\": [1]}}");
	set("{\"runtimes\":{ \"x\":{} }}", "{\"runtimes\":{ \"graft\": [1], \"x\":{} }}");
	set("{\"runtimes\":{\"graft\" : {\"path\":\"}\"}, \"x\":2}}",
	    "{\"runtimes\":{\"graft\" : [1], \"x\":2}}");
}

/* What only looks like the member. */
static void test_set_beside(void **state)
{
	set("{\"a\":{\"runtimes\":{\"graft\":0}}}",
	    "{\"runtimes\": {\"graft\": [1]},\"a\":{\"runtimes\":{\"graft\":0}}}");
	set("{\"x\":\"\\\"runtimes\\\":{\",\"runtimes\":{\"graft\":\"\\\\\"}}",
	    "{\"x\":\"\\\"runtimes\\\":{\",\"runtimes\":{\"graft\":[1]}}");
	set("{\"a\":[{\"graft\":1},\"]\"],\"runtimes\":{\"graftx\":1,\"xgraft\":2}}",
	    "{\"a\":[{\"graft\":1},\"]\"],\"runtimes\":{\"graft\": [1],\"graftx\":1,"
	    "\"xgraft\":2}}");
	/* Of several the last counts, for parsers. */
	set("{\"runtimes\":{\"graft\":1,\"graft\":2}}",
	    "{\"runtimes\":{\"graft\":1,\"graft\":[1]}}");
}

static void test_remove(void **state)
{
	removed("{\"runtimes\":{\"graft\":1}}", "{}");
	removed("{\"runtimes\":{\"graft\":1},\"a\":2}", "{\"a\":2}");
	removed("{\n  \"a\": 2,\n  \"runtimes\": {\"graft\": 1}\n}\n",
		"{\n  \"a\": 2\n}\n");
	removed("{\"runtimes\":{\"x\":1, \"graft\":2}}", "{\"runtimes\":{\"x\":1}}");
	removed("{\"runtimes\":{\"graft\":2, \"x\":1}}", "{\"runtimes\":{ \"x\":1}}");
}

static void test_round_trip(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{ }\n",
		"{\"a\":1}",
		"{\n    \"dns\": [\"10.0.0.1\"],\n    \"x\": {\"y\": \"\\u007b\"}\n}\n",
		"{\n\t\"runtimes\": {\n\t\t\"x\": {\"path\": \"/x\"}\n\t}\n}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *with = NULL;

		assert_int_equal(json_text_set(texts[i], keys, 2, "{\"p\":\"q\"}", &with),
				 0);
		removed(with, texts[i]);
	}
}

static void test_refused(void **state)
{
	char *text;

	assert_int_equal(json_text_set("[]", keys, 2, "1", &text), -EINVAL);
	assert_int_equal(json_text_set("{\"runtimes\":3}", keys, 2, "1", &text), -EINVAL);
	assert_int_equal(json_text_remove("{\"runtimes\":3}", keys, 2, &text), -EINVAL);
	assert_int_equal(json_text_remove("{\"runtimes\":{}}", keys, 2, &text), -ENOENT);
	assert_int_equal(json_text_remove("{}", keys, 2, &text), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),     cmocka_unit_test(test_set_beside),
		cmocka_unit_test(test_remove),  cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
