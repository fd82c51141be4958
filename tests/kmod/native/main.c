/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * native [PATTERN...]: runs the cases whose name matches, one line of TAP each. See
 * native.h. Status 0, or 1 if one failed.
 * native --list: says what there is, as rows of the table in docs/kmod.md.
 */
#include <fnmatch.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "native.h"

#define CASE_SECONDS 60 /* then it hangs */
#define STATUS_SKIP  77

int af_graft = AF_GRAFT;
int host_netns, box_netns;

int n_failures;

static const struct {
	const struct test_case *cases;
	const size_t *n_cases;
} topics[] = {
#define TOPIC(name)                             \
	{                                       \
		name##_cases, &n_##name##_cases \
	}
	TOPIC(names), TOPIC(fresh),     TOPIC(options),   TOPIC(data),
	TOPIC(kinds), TOPIC(multipath), TOPIC(authority), TOPIC(lifetime),
};

long rc(long result)
{
	return result < 0 ? -errno : result;
}

void want_at(const char *file, int line, const char *what, long wanted, long got)
{
	if (wanted == got)
		return;
	printf("# %s:%d: %s is %ld%s%s, not %ld\n", file, line, what, got,
	       got < 0 ? " " : "", got < 0 ? strerror((int)-got) : "", wanted);
	fflush(stdout);
	n_failures++;
}

void give_up(const char *file, int line, const char *what)
{
	printf("# %s:%d: not %s (%s)\n", file, line, what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

void skip(const char *why)
{
	printf("# skipped: %s\n", why);
	fflush(stdout);
	_exit(STATUS_SKIP);
}

static void read_family(void)
{
	FILE *file = fopen("/sys/module/af_graft/parameters/family", "re");

	if (!file || fscanf(file, "%d", &af_graft) != 1) {
		printf("Bail out! af_graft is not loaded\n");
		exit(1);
	}
	fclose(file);
}

static void make_box(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	need(unshare(CLONE_NEWNET) == 0);
	box_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	need(box_netns >= 0 && fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0);
	close(fd);
}

static int run(const struct test_case *test)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		alarm(CASE_SECONDS);
		make_box();
		test->run();
		fflush(stdout);
		_exit(n_failures != 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	kill(-pid, SIGKILL);
	if (WIFSIGNALED(status))
		printf("# ended by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static bool is_chosen(const char *name, char **patterns)
{
	for (char **pattern = patterns; *pattern; pattern++)
		if (fnmatch(*pattern, name, 0) == 0)
			return true;
	return !*patterns;
}

static int list(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
		for (size_t j = 0; j < *topics[i].n_cases; j++) {
			const struct test_case *test = &topics[i].cases[j];

			printf("| `%s` | %s | %s |\n", test->name, test->about,
			       test->defects);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	int n = 0, n_failed = 0;

	if (argc == 2 && !strcmp(argv[1], "--list"))
		return list();
	read_family();
	signal(SIGPIPE, SIG_IGN);
	host_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
		for (size_t j = 0; j < *topics[i].n_cases; j++) {
			const struct test_case *test = &topics[i].cases[j];
			int status;

			if (!is_chosen(test->name, argv + 1))
				continue;
			status = run(test);
			printf("%s %d - %s: %s%s\n",
			       status && status != STATUS_SKIP ? "not ok" : "ok", ++n,
			       test->name, test->about,
			       status == STATUS_SKIP ? " # SKIP" : "");
			n_failed += status && status != STATUS_SKIP;
		}
	}
	printf("1..%d\n", n);
	return n_failed != 0;
}
