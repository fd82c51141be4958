/* SPDX-License-Identifier: GPL-2.0-or-later */
/* More than the supervisor can take: it must neither end nor start to let things pass. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "escape.h"

enum { N_SOCKETS = 20000, N_THREADS = 1000, N_CALLS = 5, N_PROCESSES = 50 };

/* A tenth of it, unless everything is asked for. */
static int share(int n)
{
	return getenv("ESCAPE_FULL") ? n : n / 10;
}

static void attack(const struct way *way)
{
	struct target canary = target_canary(way);
	int fd = fresh(way);

	reach(fd, &canary);
	close(fd);
}

static void sockets(const struct way *way)
{
	struct rlimit limit;
	struct target closed = target_closed(way);
	int n_open = 0, n_wanted = share(N_SOCKETS), last = -1, fd;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	while (n_open < n_wanted && (fd = socket(way->family, way->type, 0)) >= 0) {
		if (n_open++ % 100 == 0)
			connect(fd, &closed.any, closed.len);
		last = fd;
	}
	note("%d sockets, then %s", n_open,
	     n_open < n_wanted ? strerrorname_np(errno) : "enough");
	if (last >= 0)
		close(last);
	attack(way);
	close_range(3, ~0U, 0);
}

static void *calls(void *argument)
{
	const struct way *way = argument;
	struct target closed = target_closed(way), canary = target_canary(way);

	for (int i = 0; i < N_CALLS; i++) {
		int fd = socket(way->family, way->type, 0);

		connect(fd, &closed.any, closed.len);
		if (!connect(fd, &canary.any, canary.len))
			send(fd, "x", 1, MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

static void threads(const struct way *way)
{
	static pthread_t ids[N_THREADS];
	pthread_attr_t attributes;
	int n_threads = 0;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 * 1024);
	while (n_threads < share(N_THREADS) &&
	       !pthread_create(&ids[n_threads], &attributes, calls, (void *)way))
		n_threads++;
	note("%d threads", n_threads);
	while (n_threads)
		pthread_join(ids[--n_threads], NULL);
}

/* Processes that die in the middle of their calls. */
static void deaths(const struct way *way)
{
	for (int i = 0; i < share(N_PROCESSES); i++) {
		int pid = fork();

		if (!pid) {
			pthread_t id;

			pthread_create(&id, NULL, calls, (void *)way);
			usleep(rand() % 3000);
			_exit(0);
		}
		reap(pid);
	}
	attack(way);
}

const struct attempt attempts_flood[] = {
	{ "flood-sockets", WAY_ALL, 0, sockets,
	  "2,000 sockets at once (20,000 with --full)" },
	{ "flood-threads", WAY_ALL, 0, threads,
	  "100 threads calling at once (1,000 with --full)" },
	{ "flood-deaths", WAY_ALL, 0, deaths, "processes that end during their calls" },
	{}
};
