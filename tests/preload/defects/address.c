/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses, names and life-cycle: lengths, second binds, races, names of endpoints.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "defects.h"

static void lengths_of(int family)
{
	static const socklen_t odd[] = { 200, 4096, 65536, (socklen_t)-1 };
	struct spot ask = ask_bind(family, SOCK_STREAM);
	struct spot elsewhere = spot_make(family == AF_INET ? "0.0.0.0" : "::", 7990);
	size_t n = 131 + ARRAY_SIZE(odd);
	char *a = calloc(1, 70000), *b = calloc(1, 70000);

	memcpy(a, &ask.storage, sizeof(ask.storage));
	memcpy(b, &elsewhere.storage, sizeof(elsewhere.storage));
	for (size_t i = 0; i < n; i++) {
		socklen_t len = i <= 130 ? (socklen_t)i : odd[i - 131];
		int fd = xsocket(family, SOCK_STREAM);
		int raw = raw_socket(family, SOCK_STREAM, 0);
		int result = bind(fd, (struct sockaddr *)a, len);
		long got = minus_errno(result);
		long kernel = minus_errno(raw_bind(raw, b, len));

		CHECK(got == kernel, "bind with %u bytes: %ld, the kernel %ld", len, got,
		      kernel);
		if (got == 0)
			CHECK(is_host(fd), "bound with %u bytes, but not grafted", len);
		close(fd);
		raw_close(raw);
	}
	free(a);
	free(b);
}

static void bind_lengths(void)
{
	lengths_of(AF_INET);
	lengths_of(AF_INET6);
}

static void bind_twice(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	struct spot at = at_bind(AF_INET, SOCK_STREAM);
	struct spot other = spot_make("0.0.0.0", 7991), name;
	int fd = xsocket(AF_INET, SOCK_STREAM);

	xbind(fd, &ask);
	WANT(-EINVAL, bind(fd, &ask.any, ask.len));
	WANT(-EINVAL, bind(fd, &other.any, other.len));
	name = name_of(fd);
	CHECK(spot_port(&name) == spot_port(&ask), "now at %s", spot_text(&name));
	xlisten(fd);
	raw_close(host_connect(&at, SOCK_STREAM));
	close(fd);
	CHECK(host_is_free(&at, SOCK_STREAM), "a second socket was left behind");
}

struct racer {
	int fd;
	struct spot ask;
	pthread_barrier_t *barrier;
	long result;
};

static void *race(void *argument)
{
	struct racer *racer = argument;

	pthread_barrier_wait(racer->barrier);
	racer->result = minus_errno(bind(racer->fd, &racer->ask.any, racer->ask.len));
	return NULL;
}

/* One wins, whichever; the other sees a bound socket, and nothing is left behind. */
static void race_once(int *n_two)
{
	struct spot at = at_bind(AF_INET, SOCK_STREAM);
	struct racer racers[2];
	pthread_barrier_t barrier;
	pthread_t thread;
	int fd = xsocket(AF_INET, SOCK_STREAM);

	pthread_barrier_init(&barrier, NULL, 2);
	for (int i = 0; i < 2; i++)
		racers[i] =
			(struct racer){ fd, ask_bind(AF_INET, SOCK_STREAM), &barrier, 0 };
	if (pthread_create(&thread, NULL, race, &racers[1]))
		give_up("no thread");
	race(&racers[0]);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
	if (racers[0].result == 0 && racers[1].result == 0)
		*n_two += 1;
	CHECK(racers[0].result == 0 || racers[1].result == 0, "both failed: %ld %ld",
	      racers[0].result, racers[1].result);
	for (int i = 0; i < 2; i++)
		CHECK(racers[i].result == 0 || racers[i].result == -EINVAL,
		      "one failed with %ld", racers[i].result);
	CHECK(is_host(fd), "not grafted");
	close(fd);
	CHECK(host_is_free(&at, SOCK_STREAM), "a socket was left behind");
}

static void bind_race(void)
{
	int n_before, n_two = 0;

	race_once(&n_two);
	n_before = n_fds();
	for (int i = 0; i < 200; i++)
		race_once(&n_two);
	CHECK(n_two == 0, "%d times both calls said that they bound it", n_two);
	CHECK(n_fds() == n_before, "%d descriptors became %d", n_before, n_fds());
}

/* While somebody adds and removes the endpoint "churn" of these two rules, until
 * DEFECTS_STOP is gone. */
static void churn(void)
{
	static const int allowed[] = { 0, EADDRNOTAVAIL, EADDRINUSE, ECONNREFUSED,
				       ENOENT };
	struct spot ask = spot_make("0.0.0.0", 7020), to = spot_make("192.0.2.2", 9020);
	const char *until = getenv("DEFECTS_STOP");
	int n_good = 0, n_bad = 0;

	alarm(120);
	while (access(until ?: "/nonexistent", F_OK) == 0) {
		for (int i = 0; i < 2; i++) {
			int fd = xsocket(AF_INET, SOCK_STREAM), error;
			bool is_allowed = false;

			error = (i ? connect(fd, &to.any, to.len)
				   : bind(fd, &ask.any, ask.len)) < 0
					? errno
					: 0;
			for (size_t j = 0; j < ARRAY_SIZE(allowed); j++)
				is_allowed |= error == allowed[j];
			CHECK(is_allowed, "%s: %s", i ? "connect" : "bind",
			      strerror(error));
			*(i == 0 && error == 0 ? &n_good : &n_bad) += 1;
			close(fd);
		}
	}
	CHECK(n_good > 0, "no bind went well");
	CHECK(n_bad > 0, "the endpoint was never away");
}

#define NAME_15 "abcdefghijklmno"
#define NAME_16 NAME_15 "p"

/* Endpoints of 15, 16 and 17 characters are at 17015, 17016 and 17017. */
static void name_lengths(void)
{
	struct sockaddr_gr name = { .sgr_family = AF_GRAFT };

	_Static_assert(sizeof(name) == 18, "the address of the old header");
	for (int n = 15; n <= 17; n++) {
		struct spot at = spot_make("127.0.0.1", 17000 + n);
		struct spot ask = spot_make("0.0.0.0", 7000 + n);
		int fd = xsocket(AF_INET, SOCK_STREAM);

		xbind(fd, &ask);
		xlisten(fd);
		raw_close(host_connect(&at, SOCK_STREAM));
		close(fd);
		if (n == 17)
			break;
		memset(name.sgr_epname, 0, sizeof(name.sgr_epname));
		memcpy(name.sgr_epname, NAME_16, (size_t)n);
		fd = xsocket(AF_GRAFT, SOCK_STREAM);
		WANT(0, bind(fd, (struct sockaddr *)&name, sizeof(name)));
		xlisten(fd);
		raw_close(host_connect(&at, SOCK_STREAM));
		close(fd);
	}
	/* What is not the whole name is another name. */
	memset(name.sgr_epname, 0, sizeof(name.sgr_epname));
	memcpy(name.sgr_epname, NAME_16, 14);
	WANT(-ENOENT, bind(xsocket(AF_GRAFT, SOCK_STREAM), (struct sockaddr *)&name,
			   sizeof(name)));
}

/* Serves one client in a process of its own and closes first, so that the connection
 * stays in TIME_WAIT here. */
static void serve_once(const struct spot *ask, const struct spot *at)
{
	int ready[2];
	char byte;

	if (pipe(ready) < 0)
		give_up("pipe: %m");
	if (fork() == 0) {
		int fd = xsocket(AF_INET, SOCK_STREAM), client;

		alarm(10);
		set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		xbind(fd, ask);
		xlisten(fd);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		client = accept(fd, NULL, NULL);
		shutdown(client, SHUT_WR);
		_exit(client < 0 || recv(client, &byte, 1, 0) != 0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1) {
		int client = host_connect(at, SOCK_STREAM), status;

		CHECK(recv(client, &byte, 1, 0) == 0, "no end of the stream");
		raw_close(client);
		wait(&status);
		CHECK(status == 0, "the server ended with %#x", (unsigned int)status);
	} else {
		CHECK(false, "the server did not come up");
	}
	close(ready[0]);
}

static void second_start(void)
{
	struct spot ask = spot_make("0.0.0.0", 7010);
	struct spot at = spot_make("127.0.0.1", is_native ? 7010 : 17010);

	for (int i = 0; i < 10; i++)
		serve_once(&ask, &at);
}

static void port_taken(void)
{
	for (int i = 0; i < 4; i++) {
		int family = i & 1 ? AF_INET6 : AF_INET;
		int type = i & 2 ? SOCK_DGRAM : SOCK_STREAM;
		struct spot ask = ask_bind(family, type), at = at_bind(family, type);
		int owner = host_listen(&at, type), fd = xsocket(family, type);

		WANT(-EADDRINUSE, bind(fd, &ask.any, ask.len));
		raw_close(owner);
		/* The same socket may try again. */
		WANT(0, bind(fd, &ask.any, ask.len));
		CHECK(is_host(fd), "not grafted");
		close(fd);
	}
}

const struct defect defects_address[] = {
	{ "bind_lengths", bind_lengths }, { "bind_twice", bind_twice },
	{ "bind_race", bind_race },       { "churn", churn },
	{ "name_lengths", name_lengths }, { "second_start", second_start },
	{ "port_taken", port_taken },     { 0 },
};
