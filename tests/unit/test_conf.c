/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "broker/conf.h"

struct heard {
	int n;
	char first[256], all[4096];
};

static void hear(void *context, const struct policy_error *error)
{
	struct heard *heard = context;

	if (!heard->n++)
		strcpy(heard->first, error->text);
	strcat(strcat(heard->all, error->text), "\n");
}

static int parse(const char *text, struct conf **ret, struct heard *heard)
{
	*heard = (struct heard){ 0 };
	return conf_parse(ret, "f", text, strlen(text), hear, heard);
}

static void test_all(void **state)
{
	static const char text[] =
		"# a comment\n"
		"\n"
		"endpoint web ipv4 0.0.0.0:80 hold owner any # trailing\n"
		"  endpoint db unix /run/db.sock\r\n"
		"stack host owner uid=1000,gid=5\n"
		"stack host owner cgroup=/a/b owner uid=3\n"
		"quota endpoints 5\n"
		"quota held unlimited uid=1000\n"
		"metrics 127.0.0.1:9100";
	struct heard heard;
	struct conf *conf;

	assert_int_equal(parse(text, &conf, &heard), 0);
	assert_int_equal(heard.n, 0);
	assert_int_equal(policy_n_endpoints(conf->policy), 2);
	assert_int_equal(policy_find_endpoint(conf->policy, "db")->origin.line, 4);
	assert_int_equal(conf->n_hosts, 2);
	assert_int_equal(conf->hosts[0].access[0].uid, 1000);
	assert_int_equal(conf->hosts[0].access[0].gid, 5);
	assert_int_equal(conf->hosts[1].n_access, 2);
	assert_int_equal(conf->n_quotas, 2);
	assert_int_equal(conf->quotas[0].max, 5);
	assert_false(conf->quotas[0].has_uid);
	assert_int_equal(conf->quotas[1].kind, QUOTA_HELD);
	assert_int_equal(conf->quotas[1].max, QUOTA_UNLIMITED);
	assert_int_equal(conf->quotas[1].uid, 1000);
	assert_int_equal(address_port((union address *)&conf->metrics.address), 9100);
	conf_free(conf);
}

static void test_empty(void **state)
{
	static const char *const texts[] = { "", "\n", "#", " \t\r\n", "\n\n# x" };
	struct heard heard;
	struct conf *conf;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(parse(texts[i], &conf, &heard), 0);
		assert_int_equal(policy_n_endpoints(conf->policy), 0);
		assert_int_equal(conf->metrics.len, 0);
		conf_free(conf);
	}
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *place;
	} cases[] = {
		{ "quota", "f:1:6: " },
		{ "quota endpoints", "f:1:16: " },
		{ "quota foo 3", "f:1:7: " },
		{ "quota endpoints -1", "f:1:17: " },
		{ "quota endpoints 4294967295", "f:1:17: " },
		{ "quota endpoints 99999999999999999999", "f:1:17: " },
		{ "quota endpoints 1 gid=1", "f:1:19: " },
		{ "quota endpoints 1 uid=", "f:1:19: " },
		{ "quota endpoints 1 uid=x", "f:1:19: " },
		{ "quota endpoints 1 uid=1 x", "f:1:25: " },
		{ "stack", "f:1:6: " },
		{ "stack own owner any", "f:1:7: " },
		{ "stack host", "f:1:7: " },
		{ "stack host owner uid=x", "f:1:12: " },
		{ "stack host hold share", "f:1:12: " },
		{ "\nmetrics", "f:2:8: " },
		{ "metrics unix", "f:1:9: " },
		{ "metrics unix relative", "f:1:14: " },
		{ "metrics 0.0.0.0:80", "f:1:9: " },
		{ "metrics 10.0.0.1:80", "f:1:9: " },
		{ "metrics 127.0.0.1", "f:1:9: " },
		{ "metrics 127.0.0.1:0", "f:1:9: " },
		{ "metrics [::]:80", "f:1:9: " },
		{ "metrics ::1:80", "f:1:9: " },
		{ "metrics [::1]:80\nmetrics [::1]:81", "f:2:1: " },
		{ "bind tcp 0.0.0.0:80 = host", "f:1:1: " },
		{ "\n\n  connect tcp 0.0.0.0:80 = host", "f:3:3: " },
		{ "shortcut on", "f:1:1: settings belong to the policy of a run" },
		{ "frobnicate", "f:1:1: " },
		{ "quota held 1\nendpoint x ipv4 1.2.3.4:99999", "f:2:25: " },
		{ "endpoint x unix /a\nquota held 1\nendpoint x unix /b", "f:3:10: " },
		{ "endpoint", "f:1:9: " },
	};
	struct heard heard;
	struct conf *conf;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse(cases[i].text, &conf, &heard), 1);
		if (strncmp(heard.first, cases[i].place, strlen(cases[i].place)) != 0)
			fail_msg("%s\n%s", cases[i].text, heard.first);
	}
}

/* One mistake does not hide another. */
static void test_every_mistake(void **state)
{
	struct heard heard;
	struct conf *conf;
	int n = parse("quota\nendpoint\nendpoint good unix /x\nstack\nbad\n", &conf,
		      &heard);

	assert_int_equal(n, 4);
	assert_int_equal(heard.n, 4);
	for (int line = 1; line < 6; line++) {
		char place[8] = "f:0:";

		place[2] = (char)('0' + line);
		assert_true((line == 3) == !strstr(heard.all, place));
	}
}

/* Many words, long words, bytes of any kind: a mistake or none, but no more. */
static void test_any(void **state)
{
	static const char *const starts[] = { "", "quota ", "stack host owner ",
					      "metrics ", "endpoint " };
	char text[8192];
	struct conf *conf;

	srand(3);
	for (int i = 0; i < 20000; i++) {
		size_t n = strlen(starts[i % 5]), size = n + (size_t)(rand() % 200);

		memcpy(text, starts[i % 5], n);
		for (; n < size; n++)
			text[n] = (char)(rand() % 4 ? "a1 =:,.#\n/@[]"[rand() % 13]
						    : rand());
		if (conf_parse(&conf, "f", text, size, hear, &(struct heard){ 0 }) == 0)
			conf_free(conf);
	}
	memset(text, ' ', sizeof(text));
	for (size_t i = 0; i < sizeof(text); i += 2)
		text[i] = 'x';
	memcpy(text, "quota ", 6);
	assert_int_not_equal(conf_parse(&conf, "f", text, sizeof(text), hear,
					&(struct heard){ 0 }),
			     0);
}

static void test_load(void **state)
{
	char path[] = "/tmp/graft-conf-XXXXXX";
	int fd = mkstemp(path);
	struct heard heard = { 0 };
	struct conf *conf;

	assert_int_equal(write(fd, "quota held 7\n", 13), 13);
	close(fd);
	assert_int_equal(conf_load(&conf, path, hear, &heard), 0);
	assert_int_equal(conf->quotas[0].max, 7);
	conf_free(conf);
	unlink(path);
	assert_int_equal(conf_load(&conf, path, hear, &heard), -ENOENT);
	assert_int_equal(conf_load(&conf, "/tmp", hear, &heard), -EINVAL);
	assert_int_equal(conf_load(&conf, "/dev/zero", hear, &heard), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),      cmocka_unit_test(test_empty),
		cmocka_unit_test(test_mistakes), cmocka_unit_test(test_every_mistake),
		cmocka_unit_test(test_any),      cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
