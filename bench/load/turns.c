// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Places in turn, a few milliseconds each: what others do on the machine meets all of
 * them alike, so that ratios are exact to half a percent where runs of a second differ by
 * ten. A place is a cgroup and the address its program asks for; this process goes from
 * one to the next, and a socket is of the place it was made in.
 *
 * A figure is the ratio of two turns of one round, the first place's time by another's;
 * said are quartiles over all rounds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

enum {
	WARM = 8, /* operations of a turn that are not counted */
	ROUNDS_MAX = 200000,
};

struct kind {
	const char *name;
	char wish;   /* 0: no connection that lasts */
	int in_turn; /* operations */
	int (*run)(const struct place *place, char *buffer);
};

static int run_crr(const struct place *place, char *buffer)
{
	(void)buffer;
	return client_transact(&place->options);
}

static int run_rr(const struct place *place, char *buffer)
{
	int r = socket_all(place->fd, buffer, RR_SIZE, true);

	return r < 0 ? r : socket_all(place->fd, buffer, RR_SIZE, false);
}

static int run_bulk(const struct place *place, char *buffer)
{
	return socket_all(place->fd, buffer, BULK_SIZE, true);
}

/* In writes of @size, answered when all is read. */
static int send_whole(const struct place *place, char *buffer, size_t size)
{
	int r = 0;

	for (size_t sent = 0; r == 0 && sent < WHOLE_SIZE; sent += size)
		r = socket_all(place->fd, buffer, size, true);
	return r < 0 ? r : socket_all(place->fd, buffer, 1, false);
}

static int run_whole(const struct place *place, char *buffer)
{
	return send_whole(place, buffer, BULK_SIZE);
}

static int run_pieces(const struct place *place, char *buffer)
{
	return send_whole(place, buffer, BULK_SIZE / 8);
}

static int run_sendto(const struct place *place, char *buffer)
{
	(void)buffer;
	return datagram_send(place->fd, &place->options);
}

static const struct kind kinds[] = {
	{ "crr", 0, 60, run_crr },
	{ "rr", WISH_RR, 200, run_rr },
	{ "bulk", WISH_BULK, 64, run_bulk },
	{ "sendto", 0, 1000, run_sendto },
	{ "whole", WISH_WHOLE, 8, run_whole },
	{ "pieces", WISH_WHOLE, 8, run_pieces },
};

static int enter(const struct place *place)
{
	return pwrite(place->procs, "0", 1, 0) == 1 ? 0 : -errno;
}

static int open_place(const struct kind *kind, struct place *place)
{
	char wish = kind->wish;
	int r;

	place->procs = open(place->cgroup, O_WRONLY | O_CLOEXEC);
	if (place->procs < 0)
		return -errno;
	r = enter(place);
	if (r < 0 || kind->run == run_crr)
		return r;
	if (!wish) {
		place->fd = socket(place->options.address.ss_family,
				   SOCK_DGRAM | SOCK_CLOEXEC, 0);
		return place->fd < 0 ? -errno : 0;
	}
	place->fd = socket_connect(&place->options, true);
	return place->fd < 0 ? place->fd : socket_all(place->fd, &wish, 1, true);
}

/* Nanoseconds of a turn, or -errno. */
static int64_t take_turn(const struct kind *kind, const struct place *place)
{
	static char buffer[BULK_SIZE];
	uint64_t start = 0;
	int r = enter(place);

	for (int i = -WARM; r == 0 && i < kind->in_turn; i++) {
		if (i == 0)
			start = now_ns();
		r = kind->run(place, buffer);
	}
	return r < 0 ? r : (int64_t)(now_ns() - start);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_place(const double *ratios, size_t n, bool is_last)
{
	printf("{\"q25\": %.4f, \"median\": %.4f, \"q75\": %.4f}%s", ratios[n / 4],
	       ratios[n / 2], ratios[n * 3 / 4], is_last ? "" : ", ");
}

/* @ratios: ROUNDS_MAX for each place. Return: rounds, or -errno. */
static int go_round(const struct kind *kind, const struct options *options,
		    double *ratios)
{
	uint64_t until = now_ns() + (uint64_t)(options->seconds * 1e9);
	size_t n = 0, n_places = options->n_places;
	int64_t took[PLACES_MAX];

	for (; n < ROUNDS_MAX && now_ns() < until; n++) {
		for (size_t i = 0; i < n_places; i++) {
			size_t at = (i + n) % n_places;

			took[at] = take_turn(kind, &options->places[at]);
			if (took[at] < 0)
				return (int)took[at];
		}
		for (size_t i = 0; i < n_places; i++)
			ratios[i * ROUNDS_MAX + n] = (double)took[0] / (double)took[i];
	}
	return (int)n;
}

int client_turns(const struct options *options)
{
	const struct kind *kind = NULL;
	struct options own = *options;
	double *ratios;
	int n, r;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (options->kind && strcmp(kinds[i].name, options->kind) == 0)
			kind = &kinds[i];
	if (!kind || own.n_places < 2)
		return client_fail("turns", -EINVAL);
	for (size_t i = 0; i < own.n_places; i++) {
		r = open_place(kind, &own.places[i]);
		if (r < 0)
			return client_fail(own.places[i].cgroup, r);
	}
	ratios = calloc(own.n_places * ROUNDS_MAX, sizeof(*ratios));
	n = ratios ? go_round(kind, &own, ratios) : -ENOMEM;
	if (n <= 0) {
		free(ratios);
		return client_fail("turns", n);
	}
	printf("{\"rounds\": %d, \"places\": [", n);
	for (size_t i = 0; i < own.n_places; i++) {
		double *of = ratios + i * ROUNDS_MAX;

		qsort(of, (size_t)n, sizeof(*of), compare);
		print_place(of, (size_t)n, i + 1 == own.n_places);
	}
	printf("]}\n");
	free(ratios);
	return 0;
}
