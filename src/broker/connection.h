/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One client: what waits to be sent to it, and where in its conversation it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/event.h"
#include "broker/identity.h"
#include "broker/list.h"
#include "wire/wire.h"

struct server;
struct user;

#define PACKET_FDS 2

/* A message on its way, with descriptors beside it, which it owns. */
struct packet {
	struct packet *next;
	int fds[PACKET_FDS];
	uint32_t n_fds;
	uint32_t size;
	char data[];
};

struct packets {
	struct packet *first, **last;
	size_t size; /* bytes, with what they cost us */
};

enum listing {
	LISTING_NONE,
	LISTING_ONCE,
	LISTING_WATCH, /* events follow */
};

struct connection {
	struct event_source source;
	struct link link;  /* among those with the same time limit */
	struct link dirty; /* to be sent to when the journal is written */
	struct link watching;
	struct server *server;
	struct identity identity;
	struct user *user;
	int fd;
	pid_t sender;      /* of the message in hand; 0: not known */
	uint64_t since_ns; /* what its time limit counts from */
	struct packets out;
	struct packets later; /* events that come after the listing */
	uint32_t cursor;      /* of the listing */
	enum listing listing;
	struct link supplies;
	uint32_t events; /* of epoll */
	bool is_greeted;
	bool is_watching;
	bool is_ending; /* nothing more is read, and it is closed when all is sent */
	char software[32];
};

/* Sends it at once if nothing is before it and the journal has nothing to say first.
 * Return: 0 or -errno. */
int connection_send(struct connection *connection, const struct wire_message *message);
/* The same, with copies of at most PACKET_FDS descriptors. */
int connection_send_fds(struct connection *connection, const struct wire_message *message,
			const int *fds, size_t n_fds);
/* An error as answer. */
int connection_refuse(struct connection *connection, int number, const char *format, ...)
	_printf_(3, 4);
int connection_bye(struct connection *connection);

/* Puts copies at the end of what waits. Return: 0 or -errno. */
int packets_add(struct packets *packets, const void *data, size_t size, const int *fds,
		size_t n_fds);
void packets_init(struct packets *packets);
void packets_clear(struct packets *packets);
/* Moves all of @from behind @packets. */
void packets_join(struct packets *packets, struct packets *from);
/* Sends what the socket takes. Return: 0 when all went, 1 when some is left, or -errno.
 */
int packets_send(struct packets *packets, int via, unsigned int n_max, bool *ret_moved);
