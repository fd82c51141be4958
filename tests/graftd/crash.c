/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crash LOAD-FILE N-KILLS SOCKET GRAFTD [ARG...]: starts graftd, and while others load it
 * (load.c), kills it with SIGKILL and starts it again, N-KILLS times, each time after the
 * load got some calls through. After each start it asks for all endpoints, and between
 * two kills adds one: whatever was ever acknowledged must be there.
 *
 * Prints "NAME VALUE" lines: what was lost (all of them should be 0), and how long graftd
 * took from exec to its first answer, in milliseconds: min, median, p95, max.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "load.h"

#define CALLS_BETWEEN 80 /* of the load, at most */
#define LIMIT_SECONDS 30

static const char *socket_path;
static char **command;
static pid_t graftd;
static struct load *load;
static size_t n_tried, n_added, n_endpoints_lost, n_not_ready, n_stuck;

static void start(void)
{
	graftd = fork();
	if (graftd == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(command[0], command);
		perror(command[0]);
		_exit(127);
	}
}

static bool is_crash_endpoint(const char *line, void *context)
{
	(void)context;
	return !strncmp(line, "crash-", 6);
}

/* Until graftd has answered once. Return: milliseconds since @begin, or -1. */
static double wait_until_ready(double begin)
{
	while (seconds() - begin < LIMIT_SECONDS) {
		int via = client_open(socket_path);

		if (via >= 0) {
			double end = seconds();

			close(via);
			return (end - begin) * 1000;
		}
		poll(NULL, 0, 1);
	}
	n_not_ready++;
	return -1;
}

static void check_endpoints(void)
{
	size_t n = 0;
	int via = client_open(socket_path);

	if (via < 0 || client_count(via, is_crash_endpoint, NULL, &n) < 0)
		n_not_ready++;
	else if (n < n_added)
		n_endpoints_lost += n_added - n;
	if (via >= 0)
		close(via);
}

/* The next kill may come before the answer: then it counts for nothing. */
static void add_one(void)
{
	char line[128];
	int via = client_open(socket_path);

	snprintf(line, sizeof(line), "crash-%zu ipv4 127.0.0.1:dynamic", n_tried++);
	if (via >= 0 && client_add(via, line) == 0)
		n_added++;
	if (via >= 0)
		close(via);
}

static uint64_t n_calls(void)
{
	uint64_t n = 0;

	for (int i = 0; i < LOAD_WORKERS; i++)
		n += __atomic_load_n(&load->rows[i].n_calls, __ATOMIC_RELAXED);
	return n;
}

static void wait_for_load(void)
{
	uint64_t enough = n_calls() + 1 + (uint64_t)rand() % CALLS_BETWEEN;
	double end = seconds() + LIMIT_SECONDS;

	while (n_calls() < enough) {
		if (seconds() > end) {
			n_stuck++;
			return;
		}
		poll(NULL, 0, 1);
	}
}

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print_load(void)
{
	struct load_row sum = { 0 };

	for (int i = 0; i < LOAD_WORKERS; i++) {
		struct load_row *row = &load->rows[i];

		sum.n_calls += row->n_calls;
		sum.n_exchanges += row->n_exchanges;
		sum.n_lost += row->n_lost;
		sum.n_refused += row->n_refused;
		if (row->longest_us > sum.longest_us)
			sum.longest_us = row->longest_us;
		for (int e = 0; e < LOAD_ERRNOS; e++)
			sum.errnos[e] += row->errnos[e];
	}
	printf("calls %llu\nexchanges %llu\nconnections_lost %llu\nheld_refused %llu\n"
	       "longest_call_ms %llu\n",
	       (unsigned long long)sum.n_calls, (unsigned long long)sum.n_exchanges,
	       (unsigned long long)sum.n_lost, (unsigned long long)sum.n_refused,
	       (unsigned long long)sum.longest_us / 1000);
	for (int e = 0; e < LOAD_ERRNOS; e++)
		if (sum.errnos[e])
			printf("errno %s %llu\n", strerrorname_np(e) ?: "?",
			       (unsigned long long)sum.errnos[e]);
}

static void print_times(double *ms, int n)
{
	if (n == 0)
		return;
	qsort(ms, (size_t)n, sizeof(*ms), by_number);
	printf("ready_ms_min %.1f\nready_ms_median %.1f\nready_ms_p95 %.1f\nready_ms_max %.1f\n",
	       ms[0], ms[n / 2], ms[n * 95 / 100], ms[n - 1]);
}

int main(int argc, char **argv)
{
	int n_kills = argc > 4 ? atoi(argv[2]) : 0, n_times = 0;
	double *ms = calloc((size_t)n_kills + 1, sizeof(*ms));

	load = argc > 4 ? load_map(argv[1]) : NULL;
	if (!load || !ms) {
		fprintf(stderr,
			"usage: crash LOAD-FILE N-KILLS SOCKET GRAFTD [ARG...]\n");
		return 2;
	}
	socket_path = argv[3];
	command = argv + 4;
	start();
	wait_until_ready(seconds());
	puts("up");
	fflush(stdout);
	for (int i = 0; i < n_kills && n_not_ready < 3 && n_stuck < 3; i++) {
		double begin;

		wait_for_load();
		add_one();
		kill(graftd, SIGKILL);
		waitpid(graftd, NULL, 0);
		begin = seconds();
		start();
		ms[n_times] = wait_until_ready(begin);
		n_times += ms[n_times] >= 0;
		check_endpoints();
	}
	wait_for_load();
	__atomic_store_n(&load->stop, 1, __ATOMIC_RELAXED);
	printf("kills %d\nendpoints_added %zu\nendpoints_lost %zu\nnot_ready %zu\nstuck %zu\n",
	       n_times, n_added, n_endpoints_lost, n_not_ready, n_stuck);
	print_times(ms, n_times);
	print_load();
	puts("end");
	fflush(stdout);
	/* graftd stays until the script has looked at the ports that are held. */
	pause();
	return 0;
}
