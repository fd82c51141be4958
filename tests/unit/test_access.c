/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may do what, for clients made up here; what the kernel must be asked about (groups,
 * cgroups, namespaces) is asked about this very process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "broker/access.h"
#include "broker/conf.h"

#define HOST 1
#define BOX  2
#define ALL  (ACCESS_BIND | ACCESS_CONNECT)

static struct self self = { .uid = 0, .netns = HOST };

/* CHROOTED: on the host, with a root directory that is not known to be ours. */
enum who { ROOT, USER, OTHER, BOXED, BOXED_ROOT, CHROOTED };

static struct identity people[] = {
	[ROOT] = { .self = &self,
		   .socket = -1,
		   .pidfd = -1,
		   .netns = HOST,
		   .is_local = true,
		   .is_admin = true },
	[USER] = { .self = &self,
		   .socket = -1,
		   .pidfd = -1,
		   .uid = 1000,
		   .gid = 100,
		   .netns = HOST,
		   .is_local = true },
	[OTHER] = { .self = &self,
		    .socket = -1,
		    .pidfd = -1,
		    .uid = 1001,
		    .gid = 100,
		    .netns = HOST,
		    .is_local = true },
	[BOXED] = { .self = &self, .socket = -1, .pidfd = -1, .uid = 1000, .netns = BOX },
	[BOXED_ROOT] = { .self = &self, .socket = -1, .pidfd = -1, .netns = BOX },
	[CHROOTED] = { .self = &self,
		       .socket = -1,
		       .pidfd = -1,
		       .uid = 1000,
		       .gid = 100,
		       .netns = HOST,
		       .is_local = true },
};

/* Users of the host have its root directory: they are this process. */
static int set_up(void **state)
{
	struct stat root;

	if (stat("/", &root) < 0)
		return -1;
	self.root_dev = root.st_dev;
	self.root_ino = root.st_ino;
	for (enum who who = USER; who <= OTHER; who++) {
		people[who].pid = getpid();
		people[who].pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	}
	return 0;
}

static int tear_down(void **state)
{
	identity_deinit(&people[USER]);
	identity_deinit(&people[OTHER]);
	return 0;
}

static void parse(const char *line, struct endpoint *ret)
{
	struct policy_error error;

	if (endpoint_parse(ret, "test", line, strlen(line), &error) < 0)
		fail_msg("%s: %s", line, error.text);
}

static int may_add(enum who who, const char *line)
{
	unsigned int flags = 99;
	const char *reason = NULL;
	struct endpoint endpoint;
	int r;

	parse(line, &endpoint);
	r = access_may_add(&people[who], &endpoint, &flags, &reason);
	assert_true(r == 0 || reason);
	assert_int_equal(flags, 0);
	endpoint_release(&endpoint);
	return r;
}

static void test_add(void **state)
{
	static const struct {
		enum who who;
		const char *line;
		int r;
	} cases[] = {
		{ ROOT, "x ipv4 0.0.0.0:80", 0 },
		{ ROOT, "x ipv4 0.0.0.0:80 netns web hold", 0 },
		{ ROOT, "x unix /x owner netns=/a/b", 0 },
		{ USER, "x ipv4 0.0.0.0:8080", 0 },
		{ USER, "x ipv4 0.0.0.0:dynamic hold share", 0 },
		{ USER, "x unix /srv/x owner any", 0 },
		{ USER, "x ipv4 0.0.0.0:8080 netns web", -EPERM },
		{ USER, "x ipv4 0.0.0.0:8080 netns 1", -EPERM },
		{ USER, "x ipv4 0.0.0.0:8080 owner netns=web", 0 },
		{ USER, "x ipv4 0.0.0.0:8080 owner netns=/srv/fuse/x", -EPERM },
		{ USER, "x ipv4 0.0.0.0:8080 binder uid=1 connector netns=/x/y", -EPERM },
		/* Nothing of theirs says that they rule the namespace. */
		{ BOXED, "x ipv4 0.0.0.0:8080", -EPERM },
		{ BOXED_ROOT, "x ipv4 0.0.0.0:8080", -EPERM },
		{ BOXED_ROOT, "x ipv4 0.0.0.0:8080 netns 1", -EPERM },
		/* A path of the host is not his, whatever his number. */
		{ CHROOTED, "x unix /run/x", -EPERM },
		{ CHROOTED, "x unix /run/x owner any", -EPERM },
		{ CHROOTED, "x unix @x", 0 },
		{ CHROOTED, "x ipv4 0.0.0.0:8080", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (may_add(cases[i].who, cases[i].line) != cases[i].r)
			fail_msg("%d: %s", cases[i].who, cases[i].line);
}

/* The sysctl of the place where the test runs decides. */
static void test_add_low_port(void **state)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
	unsigned int start = 1024;
	char line[64];

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%u", &start), 1);
	fclose(file);
	for (unsigned int port = 1; port < 1100; port += 7) {
		snprintf(line, sizeof(line), "x ipv4 0.0.0.0:%u", port);
		assert_int_equal(may_add(ROOT, line), 0);
		assert_int_equal(may_add(USER, line),
				 port < start && port < 1024 ? -EACCES : 0);
	}
}

static struct entry *entry_of(const char *line, uint64_t netns, uid_t uid,
			      unsigned int flags)
{
	static struct table table;
	static struct {
		struct entry entry;
		char line[1024];
	} space;

	table.netns = netns;
	space.entry = (struct entry){ .table = &table,
				      .uid = uid,
				      .flags = (uint8_t)flags,
				      .line_size = (uint16_t)strlen(line) };
	memcpy(space.entry.line, line, strlen(line) + 1);
	return &space.entry;
}

static int may_use(const struct identity *who, const struct entry *entry,
		   unsigned int uses)
{
	const char *reason = NULL;
	struct endpoint endpoint;
	int r;

	parse(entry->line, &endpoint);
	r = access_may_use(who, entry, &endpoint, uses, &reason);
	assert_true(r == 0 || reason);
	endpoint_release(&endpoint);
	return r;
}

static void test_use(void **state)
{
	static const struct {
		enum who who;
		uint64_t netns;
		uid_t uid;
		const char *line;
		unsigned int uses; /* that are allowed */
	} cases[] = {
		/* Without clauses: what a plain socket of theirs could do. */
		{ ROOT, HOST, 0, "x ipv4 0.0.0.0:80", ALL },
		{ ROOT, BOX, 5, "x ipv4 0.0.0.0:80 connector uid=7", ALL },
		{ USER, HOST, 0, "x ipv4 0.0.0.0:8080", ALL },
		{ USER, HOST, 0, "x ipv4 0.0.0.0:dynamic", ALL },
		{ USER, HOST, 0, "x ipv4 0.0.0.0:8080 netns web", 0 },
		{ USER, HOST, 0, "x unix /x", 0 },
		{ USER, HOST, 1000, "x unix /x", ALL },
		{ CHROOTED, HOST, 1000, "x unix /x", 0 },
		{ CHROOTED, HOST, 1000, "x unix @x", ALL },
		{ CHROOTED, HOST, 0, "x unix /x connector uid=1000", ACCESS_CONNECT },
		{ BOXED, HOST, 0, "x ipv4 0.0.0.0:8080", 0 },
		{ BOXED, HOST, 1000, "x unix /x", 0 },
		{ BOXED, BOX, 0, "x ipv4 0.0.0.0:8080", ALL },
		{ BOXED_ROOT, HOST, 0, "x ipv4 0.0.0.0:8080", 0 },
		/* With clauses: whom they name, from wherever. */
		{ BOXED, HOST, 0, "x ipv4 0.0.0.0:80 owner uid=1000", ALL },
		{ BOXED, HOST, 0, "x ipv4 0.0.0.0:80 owner any", ALL },
		{ BOXED, HOST, 0, "x ipv4 0.0.0.0:80 binder uid=1000", ACCESS_BIND },
		{ BOXED, HOST, 0, "x ipv4 0.0.0.0:80 connector any", ACCESS_CONNECT },
		{ BOXED, HOST, 0, "x ipv4 0.0.0.0:80 owner uid=1001", 0 },
		{ OTHER, HOST, 0, "x ipv4 0.0.0.0:8080 owner uid=1000", 0 },
		{ OTHER, HOST, 0, "x ipv4 0.0.0.0:80 owner gid=100", ALL },
		{ OTHER, HOST, 0, "x ipv4 0.0.0.0:80 owner gid=100,uid=1000", 0 },
		{ USER, HOST, 0, "x ipv4 0.0.0.0:80 owner gid=100,uid=1000", ALL },
		{ USER, HOST, 0, "x ipv4 0.0.0.0:80 binder uid=1 connector uid=1000",
		  ACCESS_CONNECT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct identity *who = &people[cases[i].who];
		const struct entry *entry =
			entry_of(cases[i].line, cases[i].netns, cases[i].uid, 0);

		for (unsigned int use = ACCESS_BIND; use <= ACCESS_CONNECT; use <<= 1)
			if (may_use(who, entry, use) !=
			    (cases[i].uses & use ? 0 : -EACCES))
				fail_msg("case %zu, %s, use %u", i, cases[i].line, use);
	}
}

static void test_del(void **state)
{
	static const char line[] = "x ipv4 0.0.0.0:8080";

	assert_true(access_may_del(&people[ROOT], entry_of(line, HOST, 5, 0)));
	assert_true(access_may_del(&people[USER], entry_of(line, HOST, 1000, 0)));
	assert_false(access_may_del(&people[USER], entry_of(line, HOST, 0, 0)));
	assert_false(access_may_del(&people[OTHER], entry_of(line, HOST, 1000, 0)));
	/* The same user, from elsewhere. */
	assert_false(access_may_del(&people[BOXED], entry_of(line, HOST, 1000, 0)));
	assert_true(access_may_del(&people[BOXED], entry_of(line, BOX, 1000, ENTRY_OWN)));
	assert_false(access_may_del(&people[ROOT], entry_of(line, HOST, 0, ENTRY_FILE)));
}

static void test_see(void **state)
{
	static const char line[] = "x ipv4 0.0.0.0:80",
			  open_line[] = "x unix /x owner any";

	assert_true(access_may_see(&people[ROOT], entry_of(line, BOX, 0, 0)));
	assert_true(access_may_see(&people[USER], entry_of(line, HOST, 0, 0)));
	assert_false(access_may_see(&people[USER], entry_of(line, BOX, 1000, 0)));
	assert_false(access_may_see(&people[BOXED], entry_of(line, HOST, 0, 0)));
	assert_true(access_may_see(&people[BOXED], entry_of(open_line, HOST, 0, 0)));
	assert_true(access_may_see(&people[BOXED], entry_of(line, BOX, 0, 0)));
	assert_false(access_may_see(&people[BOXED], entry_of(open_line, 3, 0, 0)));
}

static void ignore(void *context, const struct policy_error *error)
{
}

static void test_host(void **state)
{
	static const char text[] = "stack host owner uid=1000\n";
	const char *reason;
	struct conf *none, *conf;

	assert_int_equal(conf_parse(&none, "f", "", 0, ignore, NULL), 0);
	assert_int_equal(conf_parse(&conf, "f", text, strlen(text), ignore, NULL), 0);
	assert_int_equal(access_may_host(&people[ROOT], none, ALL, 80, &reason), 0);
	assert_int_equal(access_may_host(&people[USER], none, ALL, 8080, &reason), 0);
	assert_int_equal(access_may_host(&people[OTHER], none, ACCESS_CONNECT, 80,
					 &reason),
			 0);
	assert_int_equal(access_may_host(&people[BOXED], none, ACCESS_CONNECT, 80,
					 &reason),
			 -EACCES);
	assert_int_equal(access_may_host(&people[BOXED], conf, ALL, 8080, &reason), 0);
	assert_int_equal(access_may_host(&people[BOXED_ROOT], conf, ALL, 8080, &reason),
			 -EACCES);
	conf_free(none);
	conf_free(conf);
}

/* This process, as it would be seen over @socket. */
static struct identity identity_of_us(int socket)
{
	return (struct identity){ .self = &self,
				  .socket = socket,
				  .pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0),
				  .pid = getpid(),
				  .uid = getuid(),
				  .gid = getgid() + 1,
				  .netns = BOX };
}

static bool names(const struct identity *who, const char *clause)
{
	struct endpoint endpoint;
	char line[2048];
	bool is;

	snprintf(line, sizeof(line), "x unix /x owner %s", clause);
	parse(line, &endpoint);
	is = access_names(endpoint.access, endpoint.n_access, who, ALL);
	endpoint_release(&endpoint);
	return is;
}

static void test_groups(void **state)
{
	gid_t groups[100];
	char clause[64];
	struct identity us;
	int pair[2], n;

	if (getuid() == 0) {
		for (int i = 0; i < 100; i++)
			groups[i] = (gid_t)(5000 + i);
		assert_int_equal(syscall(SYS_setgroups, 100, groups), 0);
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	us = identity_of_us(pair[0]);
	n = getgroups(100, groups);
	for (int i = 0; i < n; i++) {
		snprintf(clause, sizeof(clause), "gid=%u", (unsigned int)groups[i]);
		assert_true(names(&us, clause));
	}
	assert_false(names(&us, "gid=4999"));
	identity_deinit(&us);
	close(pair[0]);
	close(pair[1]);
}

static bool own_cgroup(char *path, size_t size)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[800];
	bool found = false;

	while (!found && file && fgets(line, sizeof(line), file)) {
		found = strncmp(line, "0::/", 4) == 0;
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, size, "%s", line + 3);
	}
	if (file)
		fclose(file);
	return found;
}

static void test_cgroup(void **state)
{
	char path[900], clause[1024];
	struct identity us = identity_of_us(-1);

	if (!own_cgroup(path, sizeof(path)))
		skip();
	assert_true(names(&us, "cgroup=/"));
	snprintf(clause, sizeof(clause), "cgroup=%s", path);
	assert_true(names(&us, clause));
	snprintf(clause, sizeof(clause), "cgroup=%s%sbelow", path, path[1] ? "/" : "");
	assert_false(names(&us, clause));
	if (path[1]) {
		path[strlen(path) - 1] = '\0';
		snprintf(clause, sizeof(clause), "cgroup=%s", path);
		/* Part of a name is not above it. */
		assert_int_equal(names(&us, clause), path[strlen(path) - 1] == '/');
	}
	/* What is read of a process that has ended may be somebody else's. */
	close(us.pidfd);
	us.pidfd = -1;
	assert_false(names(&us, "cgroup=/"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),    cmocka_unit_test(test_add_low_port),
		cmocka_unit_test(test_use),    cmocka_unit_test(test_del),
		cmocka_unit_test(test_see),    cmocka_unit_test(test_host),
		cmocka_unit_test(test_groups), cmocka_unit_test(test_cgroup),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
