/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many policies at once, as `graft attach` puts them, without a process for each.
 *
 *	many attach TOP FIRST LAST RULES	makes cgroups TOP/cN with a policy of so
 *						many rules
 *	many replace CGROUP TIMES A B		puts the policies of two files on it in
 *						turn, one right after another
 *	many rest CGROUP TIMES A B		the same, each when no call can be judged
 *						by the one before the last
 *	many killed CGROUP TIMES A B		the same by a process that is killed, at
 *						any point of it; then by another, once
 *	many images				prints the numbers of the maps of images
 *	many names				counts endpoints
 *
 * In the policy of number N the last rule binds a socket that connects to 127.0.0.1 over
 * UDP to 127.1.(N / 250).(1 + N % 250).
 *
 * Says how long things took.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "intercept/cgroup/internal.h"
#include "policy/policy.h"

#define TIMES_MAX 10000
#define REST_MS   30000

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void say_times(const char *what, double *times, size_t n)
{
	qsort(times, n, sizeof(*times), by_size);
	printf("%s: %zu times, median %.2f ms, 99%% %.2f ms, most %.2f ms\n", what, n,
	       times[n / 2], times[n * 99 / 100], times[n - 1]);
}

static struct policy *policy_from(const char *source, const char *text, size_t size)
{
	struct policy *policy = policy_new();
	struct policy_error error;

	if (!policy)
		die("no memory");
	if (policy_add_text(policy, source, text, size, &error) < 0 ||
	    policy_seal(policy, &error) < 0)
		die("%s", error.text);
	return policy;
}

static struct policy *numbered_policy(unsigned long number, unsigned long n_rules)
{
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	struct policy *policy;

	if (!file)
		die("no memory");
	fprintf(file, "endpoint source ipv4 127.1.%lu.%lu:dynamic\n", number / 250,
		1 + number % 250);
	for (unsigned long i = 1; i < n_rules; i++)
		fprintf(file, "connect tcp 10.%lu.%lu.0/24:%lu = deny:ENETDOWN\n",
			i / 250, i % 250, 1 + (number + i) % 60000);
	fprintf(file, "connect udp 127.0.0.1 = from source\n");
	fclose(file);
	policy = policy_from("numbered", text, size);
	free(text);
	return policy;
}

static struct policy *file_policy(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;
	ssize_t size = file ? getdelim(&text, &room, '\0', file) : -1;
	struct policy *policy;

	if (size < 0)
		die("%s: %s", path, strerror(errno));
	policy = policy_from(path, text, (size_t)size);
	fclose(file);
	free(text);
	return policy;
}

static unsigned long number_of(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*end)
		die("%s: no number", text);
	return number;
}

static int open_cgroup(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

/* Return: how long it took. */
static double put(struct cgroup_programs *programs, int cgroup,
		  const struct policy *policy)
{
	double start = now_ms();
	int r = cgroup_attach(programs, cgroup, policy, 0);

	if (r < 0)
		die("cannot attach: %s", strerror(-r));
	return now_ms() - start;
}

static void attach(struct cgroup_programs *programs, char **words)
{
	unsigned long first = number_of(words[1]), last = number_of(words[2]);
	static double times[TIMES_MAX];
	size_t n = 0;

	for (unsigned long i = first; i <= last && n < TIMES_MAX; i++) {
		struct policy *policy = numbered_policy(i, number_of(words[3]));
		char path[4096];
		int cgroup;

		snprintf(path, sizeof(path), "%s/c%lu", words[0], i);
		if (mkdir(path, 0755) < 0)
			die("%s: %s", path, strerror(errno));
		cgroup = open_cgroup(path);
		times[n++] = put(programs, cgroup, policy);
		close(cgroup);
		policy_free(policy);
	}
	if (n)
		say_times("attach", times, n);
}

/* Until what was replaced last can be written over. */
static void rest(const struct cgroup_programs *programs, int cgroup)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	double start = now_ms();
	uint32_t image;
	int r = image_judging(programs, cgroup, &image);

	while (r == 0 && (r = retired_ask(programs, image ^ 1)) > 0) {
		if (now_ms() - start > REST_MS)
			die("calls are judged by the old policy still");
		nanosleep(&tick, NULL);
		r = 0;
	}
	if (r < 0)
		die("cannot ask: %s", strerror(-r));
}

/* Says before each that it begins. */
__attribute__((noreturn)) static void put_for_ever(struct cgroup_programs *programs,
						   int cgroup,
						   struct policy *const policies[2],
						   int teller)
{
	for (size_t i = 0;; i++)
		if (write(teller, "", 1) == 1)
			put(programs, cgroup, policies[i % 2]);
}

/* A process replaces them until it is killed, after it has begun so many. */
static void put_and_die(struct cgroup_programs *programs, int cgroup,
			struct policy *const policies[2], size_t n)
{
	int ends[2], status;
	pid_t child;
	char byte;

	if (pipe(ends) < 0 || (child = fork()) < 0)
		die("no process: %s", strerror(errno));
	if (!child)
		put_for_ever(programs, cgroup, policies, ends[1]);
	close(ends[1]);
	for (size_t i = 0; i <= n; i++)
		if (read(ends[0], &byte, 1) != 1)
			die("the process ended by itself");
	kill(child, SIGKILL);
	close(ends[0]);
	if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
		die("it was not killed");
}

static void replace(struct cgroup_programs *programs, char **words)
{
	struct policy *policies[] = { file_policy(words[3]), file_policy(words[4]) };
	bool rests = !strcmp(words[0], "rest"), is_killed = !strcmp(words[0], "killed");
	unsigned long n = number_of(words[2]);
	int cgroup = open_cgroup(words[1]);
	static double times[TIMES_MAX];

	if (!n || n > TIMES_MAX)
		die("%s: from 1 to %d times", words[2], TIMES_MAX);
	for (size_t i = 0; i < n; i++) {
		if (is_killed)
			put_and_die(programs, cgroup, policies, i % 4);
		else if (rests)
			rest(programs, cgroup);
		times[i] = put(programs, cgroup, policies[i % 2]);
	}
	say_times(words[0], times, n);
	policy_free(policies[0]);
	policy_free(policies[1]);
	close(cgroup);
}

static void print_images(const struct cgroup_programs *programs)
{
	for (uint32_t image = 2; image < 2 * CGROUP_SLOTS; image++) {
		uint32_t id;

		if (bpf_map_lookup_elem(programs->maps[MAP_IMAGES], &image, &id) == 0)
			printf("%u\n", id);
	}
}

static void count_names(const struct cgroup_programs *programs)
{
	struct endpoint_key key;
	void *at = NULL;
	size_t n = 0;

	for (; bpf_map_get_next_key(programs->maps[MAP_NAMES], at, &key) == 0; n++)
		at = &key;
	printf("%zu\n", n);
}

int main(int argc, char **argv)
{
	struct cgroup_programs *programs;

	log_init(STDERR_FILENO, LOG_LEVEL_WARNING, "many");
	if (cgroup_programs_open(&programs, NULL) < 0)
		return 1;
	if (argc == 6 && !strcmp(argv[1], "attach"))
		attach(programs, argv + 2);
	else if (argc == 6 && (!strcmp(argv[1], "replace") || !strcmp(argv[1], "rest") ||
			       !strcmp(argv[1], "killed")))
		replace(programs, argv + 1);
	else if (argc == 2 && !strcmp(argv[1], "images"))
		print_images(programs);
	else if (argc == 2 && !strcmp(argv[1], "names"))
		count_names(programs);
	else
		die("many attach TOP FIRST LAST RULES, "
		    "or many replace|rest|killed CGROUP TIMES A B");
	cgroup_programs_free(programs);
	return 0;
}
