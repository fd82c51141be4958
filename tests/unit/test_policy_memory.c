/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every allocation fails once: whatever was being done reports -ENOMEM and leaves a
 * policy that can still be asked for, printed and freed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"

static long n_left = -1; /* allocations until one fails; -1: none does */

static int out_of_luck(void)
{
	if (n_left < 0)
		return 0;
	return n_left-- == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size)
{
	return out_of_luck() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return out_of_luck() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return out_of_luck() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return out_of_luck() ? NULL : __real_reallocarray(p, n, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return out_of_luck() ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
	return out_of_luck() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
	return out_of_luck() ? NULL : __real_strndup(text, size);
}

static const char text[] = "endpoint a ipv4 10.0.0.1:80 netns back\nendpoint b unix /b "
			   "owner uid=1,netns=x,cgroup=/c binder any\n"
			   "bind tcp 0.0.0.0:80 = a\nconnect any 10.0.0.0/8:1-5000 = b\n"
			   "connect any 127.0.0.1:7 = a\nconnect udp [::/0] = deny\n";

static int build(struct policy *policy, struct policy_error *error)
{
	int r = policy_add_text(policy, "p", text, strlen(text), error);

	if (r == 0)
		r = policy_add_publish(policy, "8000-8015:80-95", error);
	if (r == 0)
		r = policy_add_ingress(policy, "0.0.0.0:22=a", error);
	if (r == 0)
		r = policy_add_egress(policy, "0.0.0.0/0=host", error);
	if (r == 0)
		r = policy_add_conv_pairs(policy, "10.1.1.1:1=b 10.1.1.1:2=named", error);
	if (r == 0)
		r = policy_add_bbconn(policy, "named", error);
	return r == 0 ? policy_seal(policy, error) : r;
}

static void test_each_allocation_fails_once(void **state)
{
	long n;

	for (n = 0;; n++) {
		struct policy_error error = { "" };
		struct policy *policy;
		char *print;
		int r;

		n_left = n;
		policy = policy_new();
		if (policy)
			policy_allow_named(policy);
		r = policy ? build(policy, &error) : -ENOMEM;
		if (r == 0) {
			n_left = -1;
			policy_free(policy);
			break;
		}
		assert_int_equal(r, -ENOMEM);
		n_left = -1;
		if (!policy)
			continue;
		assert_string_equal(error.text, "out of memory");
		print = policy_print(policy);
		assert_non_null(print);
		free(print);
		policy_free(policy);
	}
	assert_in_range(n, 100, 100000);
}

/* A seal that failed can be tried again. */
static void test_seal_again(void **state)
{
	struct policy *policy = policy_new();
	struct policy_verdict verdict;
	struct policy_query query = { .op = POLICY_CONNECT,
				      .proto = POLICY_UDP,
				      .family = AF_INET6,
				      .address.ss_family = AF_INET6 };
	int r;

	((struct sockaddr_in6 *)&query.address)->sin6_addr.s6_addr[0] = 0x20;
	assert_int_equal(policy_add_text(policy, "p", text, strlen(text), NULL), 0);
	assert_int_equal(policy_add_egress(policy, "::/0=host", NULL), 0);
	for (long n = 0;; n++) {
		n_left = n;
		r = policy_seal(policy, NULL);
		n_left = -1;
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
	}
	policy_resolve(policy, &query, NULL, NULL, &verdict);
	assert_int_equal(verdict.target, POLICY_DENY);
	policy_free(policy);
}

static void test_endpoint(void **state)
{
	static const char line[] = "x type unix path /x netns n owner uid=1,netns=x,"
				   "cgroup=/c binder any connector cgroup=/d";
	struct policy_error error;
	struct endpoint endpoint;
	long n;
	int r;

	for (n = 0;; n++) {
		n_left = n;
		r = endpoint_parse(&endpoint, "x", line, strlen(line), &error);
		n_left = -1;
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_string_equal(error.text, "out of memory");
	}
	assert_int_equal(n, 9);
	endpoint_release(&endpoint);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation_fails_once),
		cmocka_unit_test(test_seal_again),
		cmocka_unit_test(test_endpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
