/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `graft doctor` where something is taken away: it must say what, and whether `graft
 * run` can work without.
 *
 * Usage: test_doctor GRAFT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"

struct row {
	const char *name;
	int call, error;    /* this call fails so; 0: none does */
	bool listener;      /* a seccomp listener is there already */
	bool no_namespaces; /* there may be no more user namespaces */
	const char *what;   /* the check that must then be so */
	const char *level;
	bool works;
};

static const struct row rows[] = {
	{ "all", 0, 0, false, false, "kernel", "ok", true },
	{ "no unshare", SCMP_SYS(unshare), EPERM, false, false, "user-namespaces", "no",
	  false },
	{ "no seccomp", SCMP_SYS(seccomp), EPERM, false, false, "seccomp-notification",
	  "no", false },
	{ "no pidfd_getfd", SCMP_SYS(pidfd_getfd), ENOSYS, false, false, "pidfd-getfd",
	  "no", false },
	{ "no process_vm_readv", SCMP_SYS(process_vm_readv), EPERM, false, false,
	  "process-vm-readv", "no", false },
	{ "no landlock", SCMP_SYS(landlock_create_ruleset), ENOSYS, false, false,
	  "landlock-tcp", "weak", true },
	{ "no io_uring", SCMP_SYS(io_uring_setup), ENOSYS, false, false, "io-uring", "ok",
	  true },
	{ "supervised", 0, 0, true, false, "seccomp-notification", "no", false },
	{ "no more user namespaces", 0, 0, false, true, "user-namespace-limit", "no",
	  false },
};

static const char *graft_path;

static int write_text(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* In the child: takes away what @row says. */
static int restrict_self(const struct row *row)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (row->no_namespaces) {
		char map[32];

		snprintf(map, sizeof(map), "0 %u 1", getuid());
		if (unshare(CLONE_NEWUSER) < 0 ||
		    write_text("/proc/self/uid_map", map) < 0 ||
		    write_text("/proc/sys/user/max_user_namespaces", "0") < 0)
			return -1;
	}
	if (row->error &&
	    seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)row->error), row->call, 0))
		return -1;
	if (row->listener && seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(acct), 0))
		return -1;
	if ((row->error || row->listener) && seccomp_load(filter))
		return -1;
	if (row->listener && fcntl(seccomp_notify_fd(filter), F_SETFD, 0) < 0)
		return -1;
	return 0;
}

/* Return: the exit status of `graft doctor @option`; @text is what it printed. */
static int doctor(const struct row *row, const char *option, char *text, size_t size)
{
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		if (restrict_self(row) < 0)
			_exit(77);
		execl(graft_path, "graft", "doctor", option, (char *)NULL);
		_exit(126);
	}
	close(ends[1]);
	n = fd_read_all(ends[0], text, size - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const char *level_of(struct json_object *all, const char *what)
{
	struct json_object *checks = json_object_object_get(all, "checks");

	for (size_t i = 0; i < json_object_array_length(checks); i++) {
		struct json_object *check = json_object_array_get_idx(checks, i);

		if (!strcmp(json_object_get_string(json_object_object_get(check, "what")),
			    what))
			return json_object_get_string(
				json_object_object_get(check, "level"));
	}
	return "missing";
}

static void test_row(void **state)
{
	const struct row *row = *state;
	static char text[65536];
	struct json_object *all;
	char line[128];
	int status = doctor(row, "--json", text, sizeof(text));

	if (status == 77)
		skip();
	all = json_tokener_parse(text);
	assert_non_null(all);
	assert_string_equal(level_of(all, row->what), row->level);
	assert_int_equal(status, row->works ? 0 : 1);
	assert_int_equal(json_object_get_boolean(json_object_object_get(all, "works")),
			 row->works);
	json_object_put(all);

	assert_int_equal(doctor(row, NULL, text, sizeof(text)), status);
	snprintf(line, sizeof(line), "%-4s  %s: ", row->level, row->what);
	assert_non_null(strstr(text, line));
	assert_non_null(strstr(text, row->works ? "ok    engine notify"
						: "no    engine notify: not without"));
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[ARRAY_SIZE(rows)];
	char text[65536];

	graft_path = argc == 2 ? argv[1] : "graft";
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tests[i] = (struct CMUnitTest){ rows[i].name, test_row, NULL, NULL,
						(void *)&rows[i] };
	if (doctor(&rows[0], NULL, text, sizeof(text)) != 0) {
		printf("SKIP: `graft run` cannot work here:\n%s", text);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
