/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kmod [--repeat N] [--json]: AF_GRAFT sockets of the module against plain ones, in the
 * machine it runs in. Run it where nothing else runs; the same work is done in turn by
 *
 *	plain	AF_INET, server and client in the machine's own network namespace
 *	again	the same once more: what differs from plain is noise
 *	graft	AF_GRAFT, both in another namespace, grafted onto the first one
 *
 *	bulk	bytes from client to server on one connection
 *	rr	64 bytes there and back on one connection; the median of all
 *	crr	connect, a byte each way, close; the median of all, as finding a free port
 *		among those in TIME_WAIT takes long now and then
 *
 * and, of endpoints, how long bind() by name takes with ten and with 100,000 in the
 * table. Printed are medians over the repetitions of the ratio to plain of the same
 * repetition: of speeds for bulk and crr (high is good), of times for rr (low is good).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/graft.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/kmod/native/native.h"

#define BULK_BYTES  (32 << 20)
#define BULK_CHUNK  (128 << 10)
#define RR_SIZE     64
#define RR_COUNT    500
#define CRR_COUNT   300
#define BIND_COUNT  500
#define MANY        100000
#define REPEATS_MAX 64
#define ENDPOINT    "bench"

int af_graft = AF_GRAFT;
int host_netns, box_netns, n_failures;

enum way { PLAIN, AGAIN, GRAFT, N_WAYS };
enum what { BULK, RR, CRR, N_WHATS };

static const char *const what_names[] = { "bulk", "rr", "crr" };

struct server {
	pid_t pid;
	struct sockaddr_in address; /* of a plain one */
};

void give_up(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not %s (%s)\n", file, line, what, strerror(errno));
	exit(1);
}

void want_at(const char *file, int line, const char *what, long wanted, long got)
{
	if (wanted != got)
		give_up(file, line, what);
}

long rc(long result)
{
	return result < 0 ? -errno : result;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), by_size);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* --- both ends --------------------------------------------------------------------- */

static void serve_one(int fd, enum what what)
{
	static char buffer[BULK_CHUNK];
	ssize_t n;

	if (what == CRR) {
		need(recv(fd, buffer, 1, 0) == 1 && send(fd, buffer, 1, 0) == 1);
	} else if (what == RR) {
		while ((n = recv(fd, buffer, RR_SIZE, MSG_WAITALL)) == RR_SIZE)
			need(send(fd, buffer, RR_SIZE, 0) == RR_SIZE);
	} else {
		for (size_t left = BULK_BYTES; left > 0; left -= (size_t)n) {
			n = recv(fd, buffer, sizeof(buffer), 0);
			need(n > 0);
		}
		need(send(fd, buffer, 1, 0) == 1);
	}
	close(fd);
}

static void set_cubic(int fd)
{
	need(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) == 0);
}

static struct server start(enum way way, enum what what)
{
	struct server server = { .address = { .sin_family = AF_INET } };
	socklen_t len = sizeof(server.address);
	int fd = way == GRAFT ? graft(SOCK_STREAM) : socket(AF_INET, SOCK_STREAM, 0);

	server.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	set_cubic(fd);
	if (way == GRAFT)
		need(bind_name(fd, ENDPOINT) == 0);
	else
		need(bind(fd, (struct sockaddr *)&server.address, len) == 0 &&
		     getsockname(fd, (struct sockaddr *)&server.address, &len) == 0);
	need(listen(fd, 128) == 0);
	server.pid = fork();
	if (server.pid == 0) {
		for (int n = what == CRR ? CRR_COUNT : 1; n > 0; n--)
			serve_one(accept(fd, NULL, NULL), what);
		_exit(0);
	}
	close(fd);
	return server;
}

static int open_client(enum way way, const struct server *server)
{
	int fd = way == GRAFT ? graft(SOCK_STREAM) : socket(AF_INET, SOCK_STREAM, 0);

	need(way == GRAFT ? connect_name(fd, ENDPOINT) == 0
			  : connect(fd, (const struct sockaddr *)&server->address,
				    sizeof(server->address)) == 0);
	return fd;
}

/* --- the work: nanoseconds each takes ---------------------------------------------- */

static double do_bulk(int fd)
{
	static char buffer[BULK_CHUNK];
	uint64_t began = now();

	for (size_t left = BULK_BYTES; left > 0;) {
		ssize_t n = send(fd, buffer,
				 left < sizeof(buffer) ? left : sizeof(buffer), 0);

		need(n > 0);
		left -= (size_t)n;
	}
	need(recv(fd, buffer, 1, 0) == 1);
	return (double)(now() - began);
}

static double do_rr(int fd)
{
	static double each[RR_COUNT];
	char buffer[RR_SIZE] = { 0 };

	for (size_t i = 0; i < RR_COUNT; i++) {
		uint64_t began = now();

		need(send(fd, buffer, sizeof(buffer), 0) == RR_SIZE &&
		     recv(fd, buffer, sizeof(buffer), MSG_WAITALL) == RR_SIZE);
		each[i] = (double)(now() - began);
	}
	return median(each, RR_COUNT);
}

static double do_crr(enum way way, const struct server *server)
{
	static double each[CRR_COUNT];
	char byte = 'x';

	for (int i = 0; i < CRR_COUNT; i++) {
		uint64_t began = now();
		int fd = open_client(way, server);

		need(send(fd, &byte, 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1);
		close(fd);
		each[i] = (double)(now() - began);
	}
	return median(each, CRR_COUNT);
}

static double measure(enum way way, enum what what)
{
	struct server server;
	double result;
	int fd;

	enter(way == GRAFT ? box_netns : host_netns);
	server = start(way, what);
	if (what == CRR) {
		result = do_crr(way, &server);
	} else {
		fd = open_client(way, &server);
		result = what == BULK ? do_bulk(fd) : do_rr(fd);
		close(fd);
	}
	need(waitpid(server.pid, NULL, 0) == server.pid);
	return result;
}

/* --- look-ups ---------------------------------------------------------------------- */

static double bind_time(const char *format, int n_names)
{
	static double each[BIND_COUNT];
	char name[16];

	for (int i = 0; i < BIND_COUNT; i++) {
		int fd = graft(SOCK_STREAM);
		uint64_t began;

		snprintf(name, sizeof(name), format, i * 7919 % n_names);
		began = now();
		need(bind_name(fd, name) == 0);
		each[i] = (double)(now() - began);
		close(fd);
	}
	return median(each, BIND_COUNT);
}

/* Return: how much slower bind() is with many. */
static double look_up(double *ret_few, double *ret_many)
{
	enter(box_netns);
	add_many("few%d", 10);
	*ret_few = bind_time("few%d", 10);
	add_many("many%d", MANY);
	*ret_many = bind_time("many%d", MANY);
	return *ret_many / *ret_few;
}

/* --- all --------------------------------------------------------------------------- */

static void pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void prepare(void)
{
	FILE *file = fopen("/sys/module/af_graft/parameters/family", "re");

	if (!file || fscanf(file, "%d", &af_graft) != 1) {
		fprintf(stderr, "kmod: af_graft is not loaded\n");
		exit(77);
	}
	fclose(file);
	host_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	need(unshare(CLONE_NEWNET) == 0);
	box_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	add_host(ENDPOINT, 0);
}

int main(int argc, char **argv)
{
	static double ratios[N_WHATS][2][REPEATS_MAX];
	int n_repeats = 5;
	double few, many, slower;

	if (argc == 3 && !strcmp(argv[1], "--repeat"))
		n_repeats = atoi(argv[2]);
	if (n_repeats < 1 || n_repeats > REPEATS_MAX) {
		fprintf(stderr, "usage: kmod [--repeat 1-%d]\n", REPEATS_MAX);
		return 2;
	}
	prepare();
	pin();
	for (int i = -1; i < n_repeats; i++) {
		for (int what = 0; what < N_WHATS; what++) {
			double plain = measure(PLAIN, what), ours = measure(GRAFT, what);
			double again = measure(AGAIN, what);

			if (i < 0) /* warms up */
				continue;
			ratios[what][0][i] = what == RR ? ours / plain : plain / ours;
			ratios[what][1][i] = what == RR ? again / plain : plain / again;
		}
	}
	for (int what = 0; what < N_WHATS; what++)
		printf("%s %.3f again %.3f\n", what_names[what],
		       median(ratios[what][0], (size_t)n_repeats),
		       median(ratios[what][1], (size_t)n_repeats));
	slower = look_up(&few, &many);
	printf("bind_100000 %.3f few_ns %.0f many_ns %.0f\n", slower, few, many);
	return 0;
}
