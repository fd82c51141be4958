/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside libgraft-hijack.so: from a call of the program to the socket and the address it
 * is made with.
 *
 * The decisions are those of the notify engine (intercept/notify), in the same order;
 * what differs is that the call itself is always made by the program, so that blocking,
 * time limits and signals are its own affair.
 *
 * There is no lock anywhere, no memory is allocated in a call, and nothing is remembered
 * by descriptor number that is not verified: so calls may come from any thread, from
 * signal handlers, and between fork or vfork and exec, where a child that shares memory
 * with its parent cannot spoil anything for it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "base/address.h"
#include "intercept/preload/broker.h"
#include "intercept/preload/known.h"
#include "intercept/preload/unix_options.h"
#include "policy/module_name.h"
#include "policy/policy.h"

#ifndef IPPROTO_MPTCP
#	define IPPROTO_MPTCP 262
#endif

/* What is known of the socket a call names. */
enum place {
	PLACE_HOST,  /* in the host's stack or an endpoint's: grafted */
	PLACE_OWN,   /* in the program's own */
	PLACE_OTHER, /* in a namespace that is none of our business */
};

struct subject {
	int number;
	int domain;   /* as the program sees it; what follows is for inet ones */
	bool is_unix; /* it became AF_UNIX */
	int type, protocol;
	enum policy_proto proto;
	enum place place;
	uint64_t netns, cookie;
	bool is_known; /* @known is its record */
	struct known known;
};

/* Where a connect, or a bind, of some kind leads: an endpoint or the host's stack. */
struct goal {
	enum wire_op op;
	const char *name; /* WIRE_NAME_HOST; lives as long as the process */
	const struct endpoint *endpoint; /* NULL: the registry's, or the host */
};

#define MOVES_MAX 64

/* Epoll registrations on their way from a socket to its successor. */
struct moving {
	unsigned int n;
	struct {
		int epoll, number;
		struct epoll_event event;
	} moves[MOVES_MAX];
};

/* An address on its way from the program to the kernel. */
struct route {
	enum policy_op op;
	union address asked; /* our copy of what the program named */
	socklen_t asked_size;
	union address address; /* what to use on the socket */
	socklen_t size;
	bool is_judged; /* @verdict is set; else the kernel refuses or dissolves */
	bool listens;   /* the bind is listen()'s */
	bool is_done;   /* bind: the socket is bound already */
	struct policy_verdict verdict;
	struct goal goal; /* where @verdict leads, if out of the program's own stack */
	bool has_grant;
	struct grant grant; /* from judging; used or released by prepare() */
	int path;           /* descriptor that @address names, until the call was made */
	/* With the kernel module, if not empty: the name to connect to instead of
	 * @address, which may be AF_UNSPEC, and what goal_arrived() gives the socket. */
	char via[MODULE_NAME_SIZE];
	struct unix_options options;
	bool is_any_family;   /* asked for is a name, which may be of any family */
	struct moving moving; /* last, for it is large and empty: see route_init() */
};

/* @op, and nothing else yet. */
static inline void route_init(struct route *route, enum policy_op op)
{
	memset(route, 0, offsetof(struct route, moving));
	route->moving.n = 0;
	route->op = op;
	route->path = route->grant.fd = route->grant.path = -1;
}

static inline bool subject_is_inet(const struct subject *subject)
{
	return subject->domain == AF_INET || subject->domain == AF_INET6;
}

/* --- subject.c --- */

/* Return: 0 or -errno, as the kernel would refuse @number. */
int subject_open(int number, struct subject *ret);
bool subject_is_v6only(const struct subject *subject);
/* Return: the port bound, in host order, 0 if none; fills the local address. */
uint16_t subject_local(const struct subject *subject, union address *ret,
		       socklen_t *ret_size);
enum place subject_place(uint64_t netns);
/* Is it in the host's stack, or granted at all as long as that is not known? */
bool subject_is_in_host(const struct subject *subject);
/* Whether the socket can still change places. Return: 0 or -errno. */
int subject_can_move(const struct subject *subject, enum policy_op op);
bool subject_is_listening(const struct subject *subject);
/* Is it one of AF_GRAFT that the program made, with the kernel module? */
bool subject_is_kernels(const struct subject *subject);

/* The namespace the library was loaded in, and the host's once a socket came from it. */
uint64_t place_own(void);
uint64_t place_host(void);
/* Takes note of a namespace that sockets were granted in. */
void place_learn(const char *name, uint64_t netns);
/* The process may be in another namespace from now on. */
void place_enter(void);
/* Is the calling thread in another one than the library was loaded in? */
bool place_is_nested(void);

/* --- bound.c: sockets that a rule put on an address outside --- */

void bound_note(uint64_t cookie);
/* Was this very socket bound by a rule? What was bound before this process began is
 * taken to be. */
bool bound_has(const struct subject *subject);

/* --- judge.c --- */

/* Judges route->asked. */
void judge(const struct subject *subject, struct route *route);
/* Where an endpoint is that is called by its name, which lives as long as @route. */
void judge_name(const struct subject *subject, struct route *route, const char *name);
/* What GRAFT_VERBOSE has to say after a call that ended with @result. */
void judge_say(const struct subject *subject, const struct route *route, int64_t result);

/* --- guess.c: the stack of a socket that has no address yet --- */

void guess_init(void);
/* Return: where a new socket is best made, or NULL: in the program's own stack. */
const struct goal *guess_goal(int family, enum policy_proto proto);
/* A connect of @subject led to @goal, or (NULL) to the program's own stack. */
void guess_learn(const struct subject *subject, const struct goal *goal);

/* --- swap.c --- */

enum swap_carries {
	SWAP_NOTHING, /* @new has options and flags already */
	SWAP_OPTIONS,
};

/*
 * Puts @new, of @domain and @netns, under the number of @subject and every other number
 * this process has for the same socket, and makes @subject name it. @new is consumed.
 * Registrations with epoll follow in swap_finish(), once the new socket is on its way: a
 * fresh one would report a hang-up that the old one never had. Return: 0 or -errno.
 */
int swap(struct subject *subject, int new, int domain, uint64_t netns,
	 enum swap_carries carries, struct moving *moving);
void swap_finish(struct moving *moving);
/* Gives @new the options and flags of @subject. */
void swap_carry(const struct subject *subject, int new);
/* The socket under the number of @subject is of @domain and @netns from now on. */
void swap_remember(struct subject *subject, int domain, uint64_t netns);

/* --- prepare.c --- */

/*
 * Judges route->asked and puts the socket where the verdict wants it. On return 0 the
 * socket at subject->number is the one, and route->address the address to use on it
 * (unless route->is_done); else -errno is the program's answer.
 */
int prepare(struct subject *subject, struct route *route);
/* What listen() does to an unbound socket: route->asked and verdict are set. */
int prepare_judged(struct subject *subject, struct route *route);
/* Goes where route->goal leads. Return: 0 or -errno as the broker said it. */
int prepare_goal(struct subject *subject, struct route *route);
/* Ends what prepare() began. Return: @result as a call returns it, errno set or kept. */
ssize_t conclude(const struct subject *subject, struct route *route, ssize_t result);

/* --- call_name.c --- */

/* Copies the address that a call on @fd names. Return: false: it is for the kernel to
 * refuse. */
bool route_take(struct route *route, int fd, const struct sockaddr *address,
		socklen_t len);

/* --- goal*.c --- */

/* The socket has to be replaced for it: see goal_move(). */
#define GOAL_E_FAR 1

/* Does what is asked for without replacing the socket, if that will do: makes a bind
 * (route->is_done), or finds the address to connect to. Return: 0, -errno, GOAL_E_FAR. */
int goal_reach(struct subject *subject, struct route *route);
/* Puts a socket under the number that is bound at route->goal (route->is_done), or that
 * can reach it at route->address. Return: 0 or -errno. */
int goal_move(struct subject *subject, struct route *route);
/* Finds out where it is, and of which namespace, for a socket that stays as it is.
 * Return: 0 or -errno. */
int goal_find(const struct subject *subject, struct route *route, uint64_t *ret_netns);
/* The same as goal_move() for the program's own stack. */
int goal_return(struct subject *subject, struct route *route);
/* connect() to route->via. Return: 0 or -errno. */
int goal_connect_via(const struct subject *subject, const struct route *route);
/* It ended with @result: takes note of where the socket is. */
void goal_arrived(const struct subject *subject, const struct route *route,
		  int64_t result);
/* Takes a socket made ahead for @goal. Return: descriptor or -errno. */
int goal_take(const struct goal *goal, int family, int type, int protocol, int flags,
	      uint64_t *ret_netns);
