/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the conformance cases are written in.
 *
 * A case is a function run in a process of its own, once per family and type it applies
 * to. It says what it saw, and what it saw is the result: the runner compares it between
 * plain host sockets and every engine. want_*() records like see_*() and also holds the
 * value against what POSIX or Linux fixes, so that the native run can fail by itself.
 *
 * Nothing here waits with a timeout: a case that hangs is killed by main.c at
 * CASE_SECONDS (BRIEF_SECONDS when it is expected to) and its result ends in "HANGS".
 * Helpers whose failure makes the rest meaningless (xsocket, serve ...) record it and end
 * the case.
 *
 * Records are single write()s on a pipe, so threads and forked children may record too;
 * a case orders them itself.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define BAD_POINTER ((void *)0x7ff)

/* Beyond this a case is taken for hung. Long, for the machine may have other work. */
#define CASE_SECONDS  30
#define BRIEF_SECONDS 1

/* How many times slower than usual the machine is: --slow. */
extern int slowness;
/* Every run of a case has this many ports to itself. */
#define CASE_PORTS 8

/* The interface the runner makes beside lo, in the host's stack. */
#define VETH_NAME  "veth77"
#define VETH_INDEX 77
#define LO_INDEX   1

enum {
	V4 = 1 << 0,
	V6 = 1 << 1,
	STREAM = 1 << 2,
	DGRAM = 1 << 3,
	INET = V4 | V6,
	EACH = STREAM | DGRAM,
	ALL = INET | EACH,
};

struct ctx;

struct test_case {
	const char *name; /* "TOPIC.what" */
	unsigned int applies;
	void (*run)(struct ctx *t);
	const char *about; /* one line for the table in the documentation */
	const void *argument;
};

struct ctx {
	const struct test_case *test;
	int family;
	int type;
	bool v6;
	bool stream;
	uint16_t port; /* the first of CASE_PORTS */
	int out;
	struct {
		const char *name;
		uint16_t port;
	} labels[CASE_PORTS];
	size_t n_labels;
};

/* An address with its length, ready for bind() and friends: `&a.sa, a.len`. */
struct address {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage storage;
	};
	socklen_t len;
};

/* Recording (record.c). A key never holds blanks; values are escaped. */
void see(struct ctx *t, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void want(struct ctx *t, const char *key, const char *expected, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void see_int(struct ctx *t, const char *key, long value);
void want_int(struct ctx *t, const char *key, long expected, long value);
/* @result of a call that sets errno when it is negative; @expected: value or -errno. */
void see_rc(struct ctx *t, const char *key, long result);
void want_rc(struct ctx *t, const char *key, long expected, long result);
void see_events(struct ctx *t, const char *key, unsigned int events);
void want_events(struct ctx *t, const char *key, unsigned int expected,
		 unsigned int events);
void see_address(struct ctx *t, const char *key, const struct address *address);
/* @expected as "lo:server": the place and port names of address_name(). */
void want_address(struct ctx *t, const char *key, const char *expected,
		  const struct address *address);
void see_name(struct ctx *t, const char *key, int fd);
void want_name(struct ctx *t, const char *key, const char *expected, int fd);
void see_peer(struct ctx *t, const char *key, int fd);
void want_peer(struct ctx *t, const char *key, const char *expected, int fd);
void want_error(struct ctx *t, const char *key, int expected, int fd); /* SO_ERROR */
/* One entry per run of equal results over 0..n-1: "0-15:EINVAL 16-127:0". */
void see_map(struct ctx *t, const char *key, const int *results, size_t n_results);
/* Records what failed and ends the case's process. */
void give_up(struct ctx *t, const char *what) __attribute__((noreturn));
/* Says that the platform lacks what the case needs, and ends it. */
void not_here(struct ctx *t, const char *what) __attribute__((noreturn));
/* Text of a result: "0", "17" or the errno's name. @text holds at least 32 bytes. */
const char *rc_text(long result, int error, char *text);

/* Addresses (address.c). Ports in host byte order; 0 is 0. */
struct address at_lo(const struct ctx *t, uint16_t port);
struct address at_any(const struct ctx *t, uint16_t port);
struct address at_veth(const struct ctx *t, uint16_t port);
struct address at_nowhere(const struct ctx *t, uint16_t port); /* nobody's address */
struct address at_mapped(uint16_t port);                       /* ::ffff:127.0.0.1 */
struct address at_text(const char *text, uint16_t port);
uint16_t port_of(const struct address *address);
struct address name_of(struct ctx *t, int fd);
/* From now on @port prints as @name. */
void label(struct ctx *t, const char *name, uint16_t port);
/* "lo", "lo2" (127.0.0.2), "any", "veth", "mapped-lo" ... ':' a label, "0" or "dyn". */
void address_name(const struct ctx *t, const struct address *address, char *text,
		  size_t size);

/* Sockets in the state a case starts from (socket.c). */
int xsocket(struct ctx *t);
int xsocket_of(struct ctx *t, int family, int type);
void xbind(struct ctx *t, int fd, const struct address *address);
void xconnect(struct ctx *t, int fd, const struct address *address);
/* A bound socket, listening if it is a stream; its address goes to @ret. */
int serve_at(struct ctx *t, const struct address *address, struct address *ret);
/* The same at loopback and a dynamic port labelled "server". */
int serve(struct ctx *t, struct address *ret);
/* fds[0] is the connecting side (label "client"), fds[1] the serving one ("server"). */
void connected_pair(struct ctx *t, int fds[2]);
/* A listener whose queue is full: a further connect() stays in SYN_SENT. */
int full_listener(struct ctx *t, struct address *ret, int *ret_filler);
/* Where nobody listens: the port was bound and is free again. */
struct address closed_port(struct ctx *t);
/* accept() for a stream; the socket itself for a datagram one. */
int take(struct ctx *t, int server);
void set_int(struct ctx *t, int fd, int level, int name, int value);
int get_int(int fd, int level, int name); /* or -errno */
void nonblocking(int fd);
/* What poll() says after waiting for any of @events; 0 ms when @wait is false. */
unsigned int polled(int fd, short events, bool wait);
/* Waits until the socket says that it is in this state, one of <netinet/tcp.h>. */
void until_state(int fd, int state);
/* One byte there, and back; records @key=ok or what went wrong. */
void exchange(struct ctx *t, const char *key, int a, int b);
void xthread(struct ctx *t, pthread_t *thread, void *(*function)(void *), void *argument);
/* Runs @function in a child and waits for it: its exit status, or 128 + signal. */
int in_child(struct ctx *t, int (*function)(struct ctx *t, void *argument),
	     void *argument);
int child_status(pid_t pid);
/* Returns a copy of @data in a place of @size bytes that ends at an unmapped page. */
void *at_page_end(struct ctx *t, const void *data, size_t size);
