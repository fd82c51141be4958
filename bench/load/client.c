// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The clients. Each prints one line of JSON and nothing else on stdout.
 *
 * A first connection (client_prepare) finds out whether the congestion control has to be
 * asked for on every socket, so that a host where it is already the default is not
 * charged with a setsockopt() per connection.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

struct session {
	bool set_cc;
	char cc[32]; /* what connections really use */
};

int client_fail(const char *what, int r)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(-r));
	return 1;
}

/*
 * One crr transaction, to the end: who does not wait for the server's close leaves half
 * of the waiting connections on the client's side, runs out of ports and then measures
 * how the kernel looks for one. Return: 0 or -errno.
 */
static int transact(const struct options *options, struct session *session, bool look)
{
	char byte = WISH_CRR;
	int fd, r;

	fd = socket_connect(options, session->set_cc);
	if (fd < 0)
		return fd;
	r = socket_all(fd, &byte, 1, true);
	if (r == 0)
		r = socket_all(fd, &byte, 1, false);
	if (r == 0) {
		ssize_t n = socket_some(fd, &byte, 1);

		r = n < 0 ? (int)n : 0;
	}
	if (look)
		socket_get_cc(fd, session->cc, sizeof(session->cc));
	close(fd);
	return r;
}

int client_transact(const struct options *options)
{
	struct session session = { .set_cc = false };

	return transact(options, &session, false);
}

static int client_prepare(const struct options *options, struct session *ret_session)
{
	struct session session = { .set_cc = false };
	int r = transact(options, &session, true);

	if (r == 0 && strcmp(session.cc, options->congestion_control) != 0) {
		session.set_cc = true;
		r = transact(options, &session, true);
		session.set_cc = strcmp(session.cc, options->congestion_control) == 0;
	}
	*ret_session = session;
	return r;
}

static int converse(const struct options *options, struct session *session, char wish)
{
	int fd = client_prepare(options, session), r;

	if (fd < 0)
		return fd;
	fd = socket_connect(options, session->set_cc);
	if (fd < 0)
		return fd;
	r = socket_all(fd, &wish, 1, true);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* Bytes the server has taken. Return: 0 or -errno. */
static int bulk_send(int fd, char *buffer, uint64_t until, uint64_t *ret_bytes)
{
	unsigned char answer[8];
	uint64_t bytes = 0;
	int r = 0;

	while (r == 0 && now_ns() < until)
		r = socket_all(fd, buffer, BULK_SIZE, true);
	if (r == 0)
		r = shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
	if (r == 0)
		r = socket_all(fd, answer, sizeof(answer), false);
	if (r < 0)
		return r;
	for (int i = 0; i < 8; i++)
		bytes = bytes << 8 | answer[i];
	*ret_bytes = bytes;
	return 0;
}

static int bulk_receive(int fd, char *buffer, uint64_t until, uint64_t *ret_bytes)
{
	uint64_t bytes = 0;

	while (now_ns() < until) {
		ssize_t n = socket_some(fd, buffer, BULK_SIZE);

		if (n <= 0)
			return n < 0 ? (int)n : -ECONNRESET;
		bytes += (uint64_t)n;
	}
	*ret_bytes = bytes;
	return 0;
}

/* What the machine does while we do nothing, in seconds of CPU per second. */
static double background(void)
{
	struct timespec pause = { .tv_nsec = 500 * 1000 * 1000 };
	struct cpu before, after;
	uint64_t start = now_ns();

	cpu_read(&before);
	nanosleep(&pause, NULL);
	cpu_read(&after);
	return (after.busy - before.busy) / ((double)(now_ns() - start) / 1e9);
}

int client_bulk(const struct options *options)
{
	static char buffer[BULK_SIZE];
	struct session session;
	struct cpu before, after;
	uint64_t start, until, bytes = 0;
	double seconds, other;
	int fd, r;

	fd = converse(options, &session, options->reverse ? WISH_REVERSE : WISH_BULK);
	if (fd < 0)
		return client_fail("bulk", fd);
	other = options->reverse ? 0 : background();
	cpu_read(&before);
	start = now_ns();
	until = start + (uint64_t)(options->seconds * 1e9);
	r = options->reverse ? bulk_receive(fd, buffer, until, &bytes)
			     : bulk_send(fd, buffer, until, &bytes);
	seconds = (double)(now_ns() - start) / 1e9;
	cpu_read(&after);
	close(fd);
	if (r < 0)
		return client_fail("bulk", r);
	printf("{\"bits_per_second\": %.0f, \"seconds\": %.4f, \"bytes\": %llu, "
	       "\"cpu_user\": %.4f, \"cpu_system\": %.4f, \"machine_busy\": %.4f, "
	       "\"machine_background\": %.4f, \"congestion_control\": \"%s\"}\n",
	       (double)bytes * 8 / seconds, seconds, (unsigned long long)bytes,
	       after.user - before.user, after.system - before.system,
	       after.busy - before.busy, other, session.cc);
	return 0;
}

static void print_rate(struct samples *samples, double seconds, const char *cc)
{
	printf("{\"per_second\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, "
	       "\"transactions\": %zu, \"seconds\": %.4f, \"congestion_control\": \"%s\"}\n",
	       (double)samples->n / seconds, samples_at(samples, 0.50),
	       samples_at(samples, 0.99), samples->n, seconds, cc);
}

static int run_rr(int fd, char *buffer)
{
	int r = socket_all(fd, buffer, RR_SIZE, true);

	return r < 0 ? r : socket_all(fd, buffer, RR_SIZE, false);
}

static int run_whole(int fd, char *buffer)
{
	int r = 0;

	for (size_t sent = 0; r == 0 && sent < WHOLE_SIZE; sent += BULK_SIZE)
		r = socket_all(fd, buffer, BULK_SIZE, true);
	return r < 0 ? r : socket_all(fd, buffer, 1, false);
}

/* One after the other, on one connection; the first @n_warm are not counted: caches,
 * wake-up paths. */
static int repeat(const struct options *options, const char *name, char wish, int n_warm,
		  int (*once)(int fd, char *buffer))
{
	static char buffer[BULK_SIZE];
	struct samples samples = { 0 };
	struct session session;
	uint64_t start, before, until;
	int fd, r = 0;

	fd = converse(options, &session, wish);
	if (fd < 0)
		return client_fail(name, fd);
	for (int i = 0; i < n_warm && r == 0; i++)
		r = once(fd, buffer);
	start = before = now_ns();
	until = start + (uint64_t)(options->seconds * 1e9);
	while (r == 0 && before < until) {
		uint64_t after;

		r = once(fd, buffer);
		after = now_ns();
		if (r == 0 && samples_add(&samples, after - before) < 0)
			r = -ENOMEM;
		before = after;
	}
	close(fd);
	if (r < 0)
		return client_fail(name, r);
	print_rate(&samples, (double)(before - start) / 1e9, session.cc);
	free(samples.ns);
	return 0;
}

int client_rr(const struct options *options)
{
	return repeat(options, "rr", WISH_RR, 500, run_rr);
}

int client_whole(const struct options *options)
{
	return repeat(options, "whole", WISH_WHOLE, 50, run_whole);
}

int client_crr(const struct options *options)
{
	struct samples samples = { 0 };
	struct session session;
	uint64_t start, before, until;
	int r = client_prepare(options, &session);

	for (int i = 0; i < 100 && r == 0; i++)
		r = transact(options, &session, false);
	start = before = now_ns();
	until = start + (uint64_t)(options->seconds * 1e9);
	while (r == 0 && before < until) {
		uint64_t after;

		r = transact(options, &session, false);
		after = now_ns();
		if (r == 0 && samples_add(&samples, after - before) < 0)
			r = -ENOMEM;
		before = after;
	}
	if (r < 0)
		return client_fail("crr", r);
	print_rate(&samples, (double)(before - start) / 1e9, session.cc);
	free(samples.ns);
	return 0;
}

int client_await(const struct options *options, char **program)
{
	struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	uint64_t deadline = now_ns() + 10ull * 1000 * 1000 * 1000;
	int fd;

	while ((fd = socket_connect(options, false)) < 0) {
		if (now_ns() > deadline)
			return client_fail("await", fd);
		nanosleep(&pause, NULL);
	}
	close(fd);
	execvp(program[0], program);
	return client_fail(program[0], -errno);
}
