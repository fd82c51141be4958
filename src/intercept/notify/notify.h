/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The `notify` engine, as its host process sees it.
 *
 *	child (the program to be)		supervisor
 *	  filter_compile, filter_install
 *	  writes the listener's number  ----->	takes the listener with pidfd_getfd
 *						notify_new, notify_listen
 *	  reads "go", execs
 *
 * The engine never blocks its host: its own threads answer the notifications. The host
 * waits for the listener to hang up (poll), which means that no process with the filter
 * is left, and then exits, or ends that listener by notify_leave(): one engine may have
 * several, as a container has with each process that is executed into it.
 *
 * A filter that somebody else made and that traps more than ours (a container's, made by
 * its runtime) is served with config.gate: what ours would have said of a call is asked
 * first. Registers do not change, so letting a call continue because of them is no race.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct endpoint;
struct policy;
struct rule;
struct sock_filter;
struct stack;
struct wire_ask;
union address;
struct wire_grant;

enum notify_hold {
	NOTIFY_HOLD_NONE,   /* no such endpoint */
	NOTIFY_HOLD_YES,    /* its address is held for this program */
	NOTIFY_HOLD_NOBODY, /* it is not: the bind is as without a rule */
};

/* What the host process does for the engine. Called from the engine's threads, on the
 * path of a call. */
struct notify_ops {
	/* Socket @cookie was put into a stack other than the program's own. Must be
	 * short. */
	void (*grafted)(void *context, uint64_t cookie, const struct rule *rule);
	/*
	 * Asks the registry for a socket of an endpoint that the policy only names, in
	 * the place of @socket; @whom is a pidfd of the program's process, or -1. May
	 * take a while. Return: the new one, close-on-exec and the caller's, or -errno.
	 */
	int (*ask)(void *context, const struct wire_ask *ask, int socket, int whom,
		   struct wire_grant *ret);
	/* With is_judged: takes the calling thread, and those it starts, to where the
	 * sockets it makes are judged. Return: 0 or -errno. */
	int (*join)(void *context);
	/* With is_judged: is @socket, one of those, bound to the own loopback? */
	bool (*is_own)(void *context, int socket);
	/*
	 * For endpoints that are not where they are reached: somebody else holds that
	 * address, and has connections to it go to the endpoint's (a container's
	 * published ports). May be NULL, all of these together.
	 */
	/* Before a bind. May take a while. */
	enum notify_hold (*held)(void *context, const struct endpoint *endpoint);
	/* A socket bound to @endpoint listens, or takes datagrams. Return: 0 or -errno,
	 * for the program. */
	int (*serves)(void *context, const struct endpoint *endpoint, int socket);
	/* Before a connect: the address of @endpoint, in @address's family. Return: 0;
	 * -ENOENT: it is where it says; -errno, for the program. */
	int (*reach)(void *context, const struct endpoint *endpoint,
		     union address *address);
	/* A number that changes with the registry; 0: what it said is not to be kept. */
	uint64_t (*generation)(void *context);
};

struct notify_config {
	const struct policy *policy; /* sealed; outlives the engine */
	bool is_judged; /* the kernel judges the sockets that the engine's threads make */
	struct stack *host;
	struct stack *own;
	/* Stacks of endpoints in other namespaces, by endpoint index; NULL entries mean
	 * host. NULL when no endpoint names one. */
	struct stack *const *endpoint_stacks;
	struct stack *const *others; /* each of those once */
	size_t n_others;
	dev_t own_dev; /* the program's network namespace, as stat() tells it */
	ino_t own_ino;
	/* filter_compile()'s, by which the notifications of another filter are sorted;
	 * outlives the engine. NULL: the filter is ours. */
	const struct sock_filter *gate;
	size_t n_gate;
	/* Programs name those endpoints of the registry alone that a rule leads to. */
	bool names_of_policy;
	const struct notify_ops *ops;
	void *context;
};

struct notify_counters {
	uint64_t n_calls, n_grafts, n_swaps, n_refused;
};

struct notify;
struct listener;

/* Return: 0 or -errno. */
int notify_new(struct notify **ret, const struct notify_config *config);
/* Starts answering the calls @fd tells of, which is taken over in either case. @ret,
 * which may be NULL, is for notify_leave(). Return: 0 or -errno. */
int notify_listen(struct notify *notify, int fd, struct listener **ret);
/*
 * Ends a listener that hung up. Return: true when it is gone, its descriptor with it;
 * else its threads are on their way out, and the caller asks again a little later.
 */
bool notify_leave(struct listener *listener);
/*
 * Looks after calls that have been blocking for a while (a connect that waits for the
 * network): those whose thread was signalled or killed are interrupted. To be called
 * every NOTIFY_TICK_MS while it returns true.
 */
#define NOTIFY_TICK_MS 2
bool notify_tick(struct notify *notify);
/* True when calls may be blocking now, so that ticks are needed. Wakes are signalled on
 * this eventfd whenever the answer turns true. Stays the engine's. */
int notify_tick_fd(const struct notify *notify);
void notify_get_counters(const struct notify *notify, struct notify_counters *ret);
