/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "broker/quota.h"

#define BOX  0x1000 /* a namespace of a container */
#define BOX2 0x1001

static struct user *ref(struct quota *quota, uid_t uid, bool is_admin, uint64_t netns)
{
	const struct quota_who who = quota_who(uid, is_admin, netns);

	return quota_ref(quota, &who);
}

static void test_limits(void **state)
{
	struct quota *quota = quota_new();
	struct user *user = ref(quota, 1000, false, BOX);
	struct user *admin = ref(quota, 0, true, BOX);
	struct user *boxed = ref(quota, 0, false, BOX);
	uint64_t totals[QUOTA_N];

	quota_set_default(quota, QUOTA_HELD, 2);
	assert_int_equal(quota_take(quota, user, QUOTA_HELD, false), 0);
	assert_int_equal(quota_take(quota, user, QUOTA_HELD, false), 0);
	assert_int_equal(quota_take(quota, user, QUOTA_HELD, false), -EDQUOT);
	assert_int_equal(quota_take(quota, user, QUOTA_HELD, true), 0);
	/* Each kind by itself, each user by himself. */
	assert_int_equal(quota_take(quota, user, QUOTA_WATCHERS, false), 0);
	assert_int_equal(quota_take(quota, boxed, QUOTA_HELD, false), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(quota_take(quota, admin, QUOTA_HELD, false), 0);
	quota_totals(quota, totals);
	assert_int_equal(totals[QUOTA_HELD], 104);
	/* A limit for one; a lower one takes nothing away. */
	assert_int_equal(quota_set(quota, 1000, QUOTA_HELD, 4), 0);
	assert_int_equal(quota_take(quota, user, QUOTA_HELD, false), 0);
	assert_int_equal(quota_take(quota, user, QUOTA_HELD, false), -EDQUOT);
	assert_int_equal(quota_set(quota, 0, QUOTA_HELD, 1), 0);
	assert_int_equal(quota_take(quota, admin, QUOTA_HELD, false), -EDQUOT);
	quota_reset(quota);
	assert_int_equal(quota_take(quota, admin, QUOTA_HELD, false), 0);
	quota_give(quota, admin, QUOTA_HELD);
	for (int i = 0; i < 100; i++)
		quota_give(quota, admin, QUOTA_HELD);
	for (int i = 0; i < 4; i++)
		quota_give(quota, user, QUOTA_HELD);
	quota_give(quota, user, QUOTA_WATCHERS);
	quota_give(quota, boxed, QUOTA_HELD);
	quota_unref(quota, user);
	quota_unref(quota, admin);
	quota_unref(quota, boxed);
	quota_free(quota);
}

/* Root of one container takes nothing from root of another, and a user gains nothing by
 * having many. */
static void test_containers(void **state)
{
	struct quota *quota = quota_new();
	struct user *first = ref(quota, 0, false, BOX);
	struct user *second = ref(quota, 0, false, BOX2);
	struct user *admin = ref(quota, 0, true, BOX);

	quota_set_default(quota, QUOTA_HELD, 1);
	assert_int_equal(quota_take(quota, first, QUOTA_HELD, false), 0);
	assert_int_equal(quota_take(quota, first, QUOTA_HELD, false), -EDQUOT);
	assert_int_equal(quota_take(quota, second, QUOTA_HELD, false), 0);
	assert_ptr_not_equal(admin, first);
	assert_ptr_equal(ref(quota, 0, false, BOX), first);
	assert_ptr_equal(ref(quota, 0, true, BOX2), admin);
	quota_unref(quota, first);
	quota_unref(quota, admin);
	quota_give(quota, first, QUOTA_HELD);
	quota_give(quota, second, QUOTA_HELD);
	quota_unref(quota, first);
	quota_unref(quota, second);
	quota_unref(quota, admin);
	first = ref(quota, 1000, false, BOX);
	assert_ptr_equal(ref(quota, 1000, false, BOX2), first);
	quota_unref(quota, first);
	quota_unref(quota, first);
	quota_free(quota);
}

/* A user lives as long as anything of his, and no longer. */
static void test_life(void **state)
{
	struct quota *quota = quota_new();
	struct user *user;

	for (uid_t uid = 0; uid < 1000; uid++) {
		user = ref(quota, uid, false, BOX);
		assert_int_equal(quota_take(quota, user, QUOTA_ENDPOINTS, false), 0);
		quota_unref(quota, user);
		user = ref(quota, uid, false, BOX);
		assert_int_equal(user->n[QUOTA_ENDPOINTS], 1);
		quota_give(quota, user, QUOTA_ENDPOINTS);
		quota_unref(quota, user);
	}
	user = ref(quota, 5, false, BOX);
	assert_int_equal(user->n[QUOTA_ENDPOINTS], 0);
	quota_unref(quota, user);
	quota_free(quota);
}

static void test_names(void **state)
{
	for (int i = 0; i < QUOTA_N; i++) {
		const char *name = quota_kind_name((enum quota_kind)i);

		assert_int_equal(quota_kind_from_name(name, strlen(name)), i);
		assert_int_equal(quota_kind_from_name(name, strlen(name) - 1), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_containers),
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
