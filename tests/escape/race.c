/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another thread rewrites the arguments in memory while a call is judged: the address,
 * the pointer to it, the message header. A call that is judged on one copy and executed
 * on another gets through sooner or later.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "escape.h"
#include "race.h"

static atomic_bool is_over;
static time_t deadline;

static time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

void race_start(struct race *race, void *(*flip)(void *), void *context)
{
	const char *seconds = getenv("ESCAPE_SECONDS");

	race->n_done = 0;
	atomic_store(&is_over, false);
	deadline = now() + (seconds ? atoi(seconds) : RACE_SECONDS);
	race->has_thread = flip && !pthread_create(&race->thread, NULL, flip, context);
}

bool race_goes_on(struct race *race)
{
	return race->n_done++ < n_tries && ((race->n_done & 255) || now() < deadline);
}

bool race_has_time(void)
{
	return now() < deadline;
}

bool race_is_over(void)
{
	return atomic_load_explicit(&is_over, memory_order_relaxed);
}

void race_end(struct race *race)
{
	atomic_store(&is_over, true);
	if (race->has_thread)
		pthread_join(race->thread, NULL);
	note("tries: %lu", race->n_done - 1);
}

struct flips {
	volatile struct target *shared;
	struct target a, b;
};

/* The port and the address are flipped together and apart, to be met half-way too. */
static void *flip_address(void *context)
{
	struct flips *flips = context;
	struct target *shared = (struct target *)flips->shared;

	while (!race_is_over()) {
		memcpy(shared, &flips->b, sizeof(struct sockaddr_in6));
		atomic_signal_fence(memory_order_seq_cst);
		memcpy(shared, &flips->a, sizeof(struct sockaddr_in6));
		atomic_signal_fence(memory_order_seq_cst);
	}
	return NULL;
}

static void connect_once(const struct way *way, const struct target *shared)
{
	int fd = fresh(way);

	if (!connect(fd, &shared->any, shared->len))
		send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void race_connect(const struct way *way)
{
	struct target shared = target_closed(way);
	struct flips flips = { &shared, shared, target_canary(way) };
	struct race race;

	race_start(&race, flip_address, &flips);
	while (race_goes_on(&race))
		connect_once(way, &shared);
	race_end(&race);
}

static void race_reconnect(const struct way *way)
{
	struct target shared = target_closed(way);
	struct flips flips = { &shared, shared, target_canary(way) };
	int fd = host_socket(way);
	struct race race;

	race_start(&race, flip_address, &flips);
	while (race_goes_on(&race))
		if (!connect(fd, &shared.any, shared.len))
			send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	race_end(&race);
	close(fd);
}

static void race_sendto(const struct way *way)
{
	struct target shared = target_closed(way);
	struct flips flips = { &shared, shared, target_canary(way) };
	int fd = host_socket(way);
	struct race race;

	race_start(&race, flip_address, &flips);
	while (race_goes_on(&race))
		sendto(fd, "x", 1, MSG_DONTWAIT, &shared.any, shared.len);
	race_end(&race);
	close(fd);
}

static void race_fastopen(const struct way *way)
{
	struct target shared = target_closed(way);
	struct flips flips = { &shared, shared, target_canary(way) };
	struct race race;

	race_start(&race, flip_address, &flips);
	while (race_goes_on(&race)) {
		int fd = fresh(way);

		sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &shared.any, shared.len);
		close(fd);
	}
	race_end(&race);
}

static void race_sendmsg(const struct way *way)
{
	struct target shared = target_closed(way);
	struct flips flips = { &shared, shared, target_canary(way) };
	struct iovec iov = { "x", 1 };
	struct msghdr message = { .msg_name = &shared.any,
				  .msg_namelen = shared.len,
				  .msg_iov = &iov,
				  .msg_iovlen = 1 };
	int fd = host_socket(way);
	struct race race;

	race_start(&race, flip_address, &flips);
	while (race_goes_on(&race))
		sendmsg(fd, &message, MSG_DONTWAIT);
	race_end(&race);
	close(fd);
}

static void race_sendmmsg(const struct way *way)
{
	struct target shared = target_closed(way);
	struct flips flips = { &shared, shared, target_canary(way) };
	struct iovec iov = { "x", 1 };
	struct mmsghdr vector[4] = {};
	int fd = host_socket(way);
	struct race race;

	for (int i = 0; i < 4; i++) {
		vector[i].msg_hdr.msg_name = &shared.any;
		vector[i].msg_hdr.msg_namelen = shared.len;
		vector[i].msg_hdr.msg_iov = &iov;
		vector[i].msg_hdr.msg_iovlen = 1;
	}
	race_start(&race, flip_address, &flips);
	while (race_goes_on(&race))
		sendmmsg(fd, vector, 4, MSG_DONTWAIT);
	race_end(&race);
	close(fd);
}

struct pointer_flips {
	struct msghdr *message;
	struct target a, b;
};

static void *flip_pointer(void *context)
{
	struct pointer_flips *flips = context;
	volatile struct msghdr *message = flips->message;

	while (!race_is_over()) {
		message->msg_name = &flips->b;
		message->msg_namelen = flips->b.len;
		message->msg_name = NULL;
		message->msg_namelen = 0;
		message->msg_name = &flips->a;
		message->msg_namelen = flips->a.len;
	}
	return NULL;
}

static void race_header(const struct way *way)
{
	struct iovec iov = { "x", 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct pointer_flips flips = { &message, target_closed(way), target_canary(way) };
	struct target allowed = target_allowed(way);
	int fd = host_socket(way);
	struct race race;

	connect(fd, &allowed.any, allowed.len); /* so that no name is valid as well */
	race_start(&race, flip_pointer, &flips);
	while (race_goes_on(&race))
		sendmsg(fd, &message, MSG_DONTWAIT);
	race_end(&race);
	close(fd);
}

static void race_bind(const struct way *way)
{
	struct target shared = target_local(way, PORT_GIVEN);
	struct flips flips = { &shared, shared, target_local(way, PORT_UNLISTED) };
	int kept[16], n_kept = 0;
	struct race race;

	race_start(&race, flip_address, &flips);
	while (race_goes_on(&race)) {
		int fd = fresh(way);
		struct target local = { .len = sizeof(local.storage) };

		if (!bind(fd, &shared.any, shared.len) && n_kept < 16 &&
		    (!way_is_stream(way) || !listen(fd, 1)) &&
		    !getsockname(fd, &local.any, &local.len) &&
		    ntohs(local.v4.sin_port) == PORT_UNLISTED)
			kept[n_kept++] = fd;
		else
			close(fd);
	}
	race_end(&race);
	check_listeners();
	while (n_kept)
		close(kept[--n_kept]);
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void storm(const struct way *way)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = {};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	race_connect(way);
	setitimer(ITIMER_REAL, &never, NULL);
}

const struct attempt attempts_race[] = {
	{ "race-connect", WAY_ALL, IS_RACE, race_connect,
	  "the address of connect changes in memory" },
	{ "race-reconnect", WAY_UDP, IS_RACE, race_reconnect,
	  "the same on one socket in the host's stack" },
	{ "race-sendto", WAY_UDP, IS_RACE, race_sendto, "the address of sendto changes" },
	{ "race-sendmsg", WAY_UDP, IS_RACE, race_sendmsg,
	  "the address of sendmsg changes" },
	{ "race-sendmmsg", WAY_UDP, IS_RACE, race_sendmmsg,
	  "the addresses of sendmmsg change" },
	{ "race-header", WAY_UDP, IS_RACE, race_header, "the message header changes" },
	{ "race-fastopen", WAY_TCP, IS_RACE, race_fastopen,
	  "the address of sendto(MSG_FASTOPEN) changes" },
	{ "race-bind", WAY_ALL, IS_RACE, race_bind, "the port of bind changes" },
	{ "race-signals", WAY_ALL, IS_RACE, storm,
	  "race-connect with a signal every 50 microseconds" },
	{}
};
