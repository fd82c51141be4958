/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/hash.h"
#include "broker/registry.h"

#define OWN   1
#define OTHER 2
#define MANY  100000

static struct entry *add(struct registry *registry, uint64_t netns, const char *line)
{
	struct entry *entry = NULL;

	assert_int_equal(registry_add(registry, netns, line, strlen(line), &entry), 0);
	assert_non_null(entry);
	return entry;
}

static void test_hash(void **state)
{
	const struct hash_key a = { 1, 2 }, b = { 1, 3 };
	char data[32];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)i;
	for (size_t size = 0; size < sizeof(data); size++) {
		uint64_t hash = hash_bytes_keyed(&a, 7, data, size);

		assert_true(hash == hash_bytes_keyed(&a, 7, data, size));
		assert_true(hash != hash_bytes_keyed(&b, 7, data, size));
		assert_true(hash != hash_bytes_keyed(&a, 8, data, size));
		assert_true(hash != hash_bytes_keyed(&a, 7, data, size + 1));
	}
}

static void test_tables(void **state)
{
	struct registry *registry = registry_new();
	struct entry *entry, *there;
	char name[64];

	entry = add(registry, OWN, "web ipv4 127.0.0.1:80");
	there = add(registry, OTHER, "web ipv4 127.0.0.1:81");
	assert_ptr_equal(registry_find(registry, OWN, "web"), entry);
	assert_ptr_equal(registry_find(registry, OTHER, "web"), there);
	assert_null(registry_find(registry, 3, "web"));
	assert_null(registry_find(registry, OWN, "we"));
	assert_null(registry_find(registry, OWN, "webb"));
	assert_string_equal(entry->line, "web ipv4 127.0.0.1:80");
	entry_name(entry, name);
	assert_string_equal(name, "web");
	assert_int_equal(registry_table(registry, OTHER)->n_entries, 1);
	registry_del(registry, there);
	assert_null(registry_table(registry, OTHER));
	assert_ptr_equal(registry_find(registry, OWN, "web"), entry);
	registry_free(registry);
}

static void test_refused(void **state)
{
	struct registry *registry = registry_new();
	struct entry *entry;
	char line[128];

	add(registry, OWN, "web ipv4 127.0.0.1:80");
	assert_int_equal(registry_add(registry, OWN, "web unix /x", 11, &entry), -EEXIST);
	assert_int_equal(registry_add(registry, OWN, "", 0, &entry), -EINVAL);
	assert_int_equal(registry_add(registry, OWN, " x", 2, &entry), -EINVAL);
	assert_int_equal(registry_add(registry, OWN, "alone", 5, &entry), -EINVAL);
	memset(line, 'n', 64);
	strcpy(line + 64, " unix /x");
	assert_int_equal(registry_add(registry, OWN, line, strlen(line), &entry),
			 -EINVAL);
	assert_int_equal(registry_add(registry, OWN, line + 1, strlen(line + 1), &entry),
			 0);
	assert_int_equal(registry_n(registry), 2);
	registry_free(registry);
}

/* What is there all the time is met exactly once, whatever happens meanwhile. */
static void test_cursor(void **state)
{
	struct registry *registry = registry_new();
	struct entry *entry, *stay[100], *go[100];
	uint32_t cursor = 0;
	char line[64];
	size_t met = 0;

	for (int i = 0; i < 100; i++) {
		snprintf(line, sizeof(line), "stay%d unix /x", i);
		stay[i] = add(registry, OWN, line);
		snprintf(line, sizeof(line), "go%d unix /x", i);
		go[i] = add(registry, OTHER, line);
	}
	for (int i = 0; (entry = registry_next(registry, &cursor)); i++) {
		if (entry->table->netns == OWN && entry->line[0] == 's')
			met++;
		if (i < 100) {
			registry_del(registry, go[i]);
			snprintf(line, sizeof(line), "late%d unix /x", i);
			add(registry, OTHER, line);
		}
	}
	assert_int_equal(met, 100);
	assert_int_equal(registry_n(registry), 200);
	for (int i = 0; i < 100; i++) {
		snprintf(line, sizeof(line), "stay%d", i);
		assert_ptr_equal(registry_find(registry, OWN, line), stay[i]);
	}
	registry_free(registry);
}

/* A model of a few names, and many changes at random. */
static void test_random(void **state)
{
	struct registry *registry = registry_new();
	struct entry *model[2][50] = { { NULL } };
	size_t n = 0;

	srand(1);
	for (int i = 0; i < 100000; i++) {
		int netns = rand() % 2, number = rand() % 50;
		struct entry **known = &model[netns][number];
		char name[32], line[64];

		snprintf(name, sizeof(name), "n%d", number);
		snprintf(line, sizeof(line), "%s unix /%d", name, i);
		assert_ptr_equal(registry_find(registry, (uint64_t)netns, name), *known);
		if (*known && rand() % 2) {
			registry_del(registry, *known);
			*known = NULL;
			n--;
		} else if (!*known) {
			*known = add(registry, (uint64_t)netns, line);
			n++;
		}
		assert_int_equal(registry_n(registry), n);
	}
	registry_free(registry);
}

static void test_size(void **state)
{
	struct registry *registry = registry_new();
	size_t before = mallinfo2().uordblks, each;
	char line[64];

	if (!before) {
		print_message("# this allocator does not count: a sanitizer's\n");
		registry_free(registry);
		return;
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(line, sizeof(line), "endpoint-%d ipv4 127.0.0.1:%d", i,
			 i % 65536);
		add(registry, OWN, line);
	}
	each = (mallinfo2().uordblks - before) / MANY;
	print_message("# %zu bytes for each of %d\n", each, MANY);
	assert_in_range(each, 50, 400);
	registry_free(registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),    cmocka_unit_test(test_tables),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_random),  cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
