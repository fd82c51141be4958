/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conformance [--list] [--first ADDRESS]... [--brief NAME:FAMILY:TYPE]... [--slow N]
 *             [PATTERN...]
 *
 * Runs the cases whose name matches one of the shell patterns (all without one), each in
 * a process group of its own, and prints one line per case, family and type:
 *
 *	NAME <tab> v4|v6 <tab> stream|dgram <tab> RESULT
 *
 * With --first every case begins by connecting some sockets to ADDRESS: an engine that
 * guesses from what came before where a socket will end is led to guess wrong.
 * With --brief that run, which is known to differ, may be given up early. With --slow
 * each is waited for N times as long, for an emulated machine.
 *
 * Status 0; 1 when a result breaks what the standard fixes (said on stderr); 2 misuse.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <time.h>

#include "topics.h"

#define FIRST_PORT     10000
#define FIRST_CONNECTS 5 /* per address and type */
#define FIRST_TO       9 /* a port nobody listens on */

static const struct topic {
	const struct test_case *cases;
	const size_t *n_cases;
} topics[] = {
#define TOPIC(name) { name##_cases, &n_##name##_cases },
#include "topics.def"
#undef TOPIC
};

static bool is_chosen(const struct test_case *test, char **patterns, int n_patterns)
{
	for (int i = 0; i < n_patterns; i++)
		if (fnmatch(patterns[i], test->name, 0) == 0)
			return true;
	return n_patterns == 0;
}

static const char *family_text(const struct ctx *t)
{
	return t->v6 ? "v6" : "v4";
}

static const char *type_text(const struct ctx *t)
{
	return t->stream ? "stream" : "dgram";
}

static struct address first[4];
static size_t n_first;

int slowness = 1;

static const char *brief[256];
static size_t n_brief;

static bool is_brief(const struct ctx *t)
{
	char text[128];

	snprintf(text, sizeof(text), "%s:%s:%s", t->test->name, family_text(t),
		 type_text(t));
	for (size_t i = 0; i < n_brief; i++)
		if (strcmp(brief[i], text) == 0)
			return true;
	return false;
}

static void mislead(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };

	for (size_t i = 0; i < n_first * ARRAY_SIZE(types) * FIRST_CONNECTS; i++) {
		const struct address *to = &first[i % n_first];
		int type = types[i / n_first % ARRAY_SIZE(types)];
		int fd = socket(to->sa.sa_family, type | SOCK_NONBLOCK, 0);

		/* Refused or not: it is the asking that counts. */
		if (connect(fd, &to->sa, to->len) < 0)
			errno = 0;
		close(fd);
	}
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static pid_t start(struct ctx *t, int *ret_from)
{
	int pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		close(pipes[0]);
		/* Cases count descriptors from 3 on. */
		t->out = fcntl(pipes[1], F_DUPFD_CLOEXEC, 900);
		close(pipes[1]);
		mislead();
		t->test->run(t);
		_exit(0);
	}
	setpgid(pid, pid);
	close(pipes[1]);
	*ret_from = pipes[0];
	return pid;
}

/* Reads until every writer is gone or the case is late. Return: false when late. */
static bool collect(int from, int seconds, char *text, size_t size)
{
	struct pollfd one = { .fd = from, .events = POLLIN };
	long end = now_ms() + seconds * 1000L, left;
	size_t n = 0;
	ssize_t got;

	while ((left = end - now_ms()) > 0 && poll(&one, 1, (int)left) > 0) {
		got = read(from, text + n, size - 1 - n);
		if (got <= 0) {
			text[n] = '\0';
			return true;
		}
		n += got;
	}
	text[n] = '\0';
	return false;
}

static bool print_result(const struct ctx *t, char *text, bool in_time, int status)
{
	const char *family = family_text(t), *type = type_text(t);
	bool good = true;
	char *rest = NULL;

	printf("%s\t%s\t%s\t", t->test->name, family, type);
	for (char *line = strtok_r(text, "\n", &rest), *blank = ""; line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (line[0] == 'S') {
			printf("%s%s", blank, line + 1);
			blank = " ";
			continue;
		}
		fprintf(stderr, "%s %s %s: %s\n", t->test->name, family, type, line + 1);
		good = false;
	}
	if (!in_time)
		printf(" HANGS");
	else if (status)
		printf(" ENDS-%d", status);
	printf("\n");
	fflush(stdout);
	if (!in_time || status)
		fprintf(stderr, "%s %s %s: %s %d\n", t->test->name, family, type,
			in_time ? "ended with status" : "hangs", status);
	return good && in_time && status == 0;
}

static bool run_case(const struct test_case *test, int family, int type, uint16_t port)
{
	static char text[1 << 16];
	struct ctx t = {
		.test = test,
		.family = family,
		.type = type,
		.v6 = family == AF_INET6,
		.stream = type == SOCK_STREAM,
		.port = port,
	};
	int from = -1, status;
	pid_t pid = start(&t, &from);
	bool in_time;

	if (pid < 0) {
		perror("conformance: fork");
		exit(2);
	}
	in_time = collect(from, (is_brief(&t) ? BRIEF_SECONDS : CASE_SECONDS) * slowness,
			  text, sizeof(text));
	kill(-pid, SIGKILL);
	status = child_status(pid);
	close(from);
	return print_result(&t, text, in_time, status);
}

static bool run_combinations(const struct test_case *test, uint16_t port)
{
	static const struct {
		unsigned int needs;
		int family;
		int type;
	} combinations[] = {
		{ V4 | STREAM, AF_INET, SOCK_STREAM },
		{ V4 | DGRAM, AF_INET, SOCK_DGRAM },
		{ V6 | STREAM, AF_INET6, SOCK_STREAM },
		{ V6 | DGRAM, AF_INET6, SOCK_DGRAM },
	};
	bool good = true;

	for (size_t i = 0; i < ARRAY_SIZE(combinations); i++)
		if ((test->applies & combinations[i].needs) == combinations[i].needs)
			good &= run_case(test, combinations[i].family,
					 combinations[i].type, port + i * CASE_PORTS);
	return good;
}

static void list_case(const struct test_case *test)
{
	unsigned int a = test->applies;

	printf("%s\t%s%s%s\t%s%s%s\t%s\n", test->name, a & V4 ? "v4" : "",
	       (a & INET) == INET ? "," : "", a & V6 ? "v6" : "",
	       a & STREAM ? "stream" : "", (a & EACH) == EACH ? "," : "",
	       a & DGRAM ? "dgram" : "", test->about);
}

static bool run_all(bool list, char **patterns, int n_patterns)
{
	uint16_t port = FIRST_PORT;
	bool good = true;

	for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
		for (size_t j = 0; j < *topics[i].n_cases; j++, port += 4 * CASE_PORTS) {
			const struct test_case *test = &topics[i].cases[j];

			if (!is_chosen(test, patterns, n_patterns))
				continue;
			if (list)
				list_case(test);
			else
				good &= run_combinations(test, port);
		}
	}
	return good;
}

int main(int argc, char **argv)
{
	bool list = false;
	int i;

	if (argc > 1 && strcmp(argv[1], "--passed") == 0)
		return passed_main(argc - 1, argv + 1);
	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--list") == 0) {
			list = true;
		} else if (strcmp(argv[i], "--first") == 0 && i + 1 < argc &&
			   n_first < ARRAY_SIZE(first)) {
			first[n_first++] = at_text(argv[++i], FIRST_TO);
		} else if (strcmp(argv[i], "--brief") == 0 && i + 1 < argc &&
			   n_brief < ARRAY_SIZE(brief)) {
			brief[n_brief++] = argv[++i];
		} else if (strcmp(argv[i], "--slow") == 0 && i + 1 < argc) {
			slowness = (int)strtol(argv[++i], NULL, 10);
		} else {
			fprintf(stderr,
				"usage: conformance [--list] [--first ADDRESS]... "
				"[--brief NAME:FAMILY:TYPE]... [--slow N] [PATTERN...]\n");
			return 2;
		}
	}
	/* Cases count descriptors, and what exec leaves open. */
	close_range(3, ~0U, 0);
	return run_all(list, argv + i, argc - i) ? 0 : 1;
}
