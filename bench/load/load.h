/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load: the traffic of the benchmarks, one small program for both ends.
 *
 *	load serve ADDR PORT		everything below is served on this one port
 *	load bulk  ADDR PORT SECONDS	one stream, --reverse for server to client
 *	load rr    ADDR PORT SECONDS	64 bytes there and back on one connection
 *	load crr   ADDR PORT SECONDS	connect, one byte there and back, close
 *	load sendto ADDR PORT SECONDS	datagrams to there, with its address each
 *	load turns ADDR PORT SECONDS --kind KIND --place PROCS=ADDR ...
 *					the same in cgroups, by turns of some milliseconds
 *	load idle  SECONDS [ADDR]	what send, recv, write and read cost by themselves
 *	load await ADDR PORT PROGRAM..	connects until it succeeds, then becomes PROGRAM
 *
 * With --poll sockets do not block, as those of event-driven programs, and one that has
 * nothing yet is waited for in poll().
 *
 * The first byte a client sends says what it wants (enum wish). Only plain socket calls
 * are used: no SO_REUSEPORT, no MSG_ZEROCOPY, nothing a simple program would not do.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

enum wish {
	WISH_CRR = 'c',  /* one byte back, then the server closes */
	WISH_RR = 'r',   /* every 64 bytes are sent back */
	WISH_BULK = 'b', /* taken until end of file, answered with the count, 8 bytes */
	WISH_REVERSE = 'B', /* the server sends until the client closes */
	WISH_WHOLE = 'w',   /* one byte back for each WHOLE_SIZE that were read */
};

enum {
	RR_SIZE = 64,
	BULK_SIZE = 128 * 1024,
	WHOLE_SIZE = 8 * BULK_SIZE,
};

struct options {
	struct sockaddr_storage address;
	socklen_t address_size;
	double seconds;
	int pin; /* CPU, or -1 */
	bool reverse;
	bool sinks; /* datagrams to the port are taken, too, and dropped */
	bool polls; /* sockets do not block, and are waited for in poll() */
	const char *congestion_control;
	const char *kind;     /* of turns */
	struct place *places; /* likewise */
	size_t n_places;
};

enum {
	PLACES_MAX = 8,
};

struct place {
	const char *cgroup;  /* its cgroup.procs */
	const char *address; /* in words */
	struct options options;
	int procs, fd;
};

/* load/socket.c: the few helpers both ends use. 0 or -errno unless said otherwise. */
int address_parse(const char *address, const char *port, struct options *options);
int socket_all(int fd, void *buffer, size_t size, bool sending);
/* As recv(), waiting for a socket that does not block. Return: bytes or -errno. */
ssize_t socket_some(int fd, void *buffer, size_t size);
int socket_listen(const struct options *options);
/* A connected socket; @set_cc as found out by client_prepare(). */
int socket_connect(const struct options *options, bool set_cc);
void socket_get_cc(int fd, char *ret_name, size_t size);
int socket_set_cc(int fd, const char *name);

/* load/datagram.c: a socket that nobody reads, or -errno. */
int datagram_sink(const struct options *options);
/* RR_SIZE bytes to the address. Return: 0 or -errno. */
int datagram_send(int fd, const struct options *options);

/* load/measure.c */
struct samples {
	uint32_t *ns;
	size_t n;
	size_t allocated;
};

struct cpu {
	double user, system; /* of this process, seconds */
	double busy;         /* of the whole machine, seconds; negative when unknown */
};

uint64_t now_ns(void);
int samples_add(struct samples *samples, uint64_t ns);
/* Sorts; microseconds at @fraction (0..1), 0 without samples. */
double samples_at(struct samples *samples, double fraction);
void cpu_read(struct cpu *ret_cpu);

/* The modes. Each returns the exit status and reports its own errors. */
int serve(const struct options *options);
int client_bulk(const struct options *options);
int client_rr(const struct options *options);
int client_whole(const struct options *options);
int client_crr(const struct options *options);
int client_sendto(const struct options *options);
/* Says what failed with -@r. Return: the exit status. */
int client_fail(const char *what, int r);
/* One crr transaction. Return: 0 or -errno. */
int client_transact(const struct options *options);
int client_turns(const struct options *options);
int client_await(const struct options *options, char **program);
int idle(const struct options *options);
