/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The escape suite: each attempt is a hostile program's way to a socket that no rule
 * gives it. An attempt tries for real and prints what its calls returned; whether it got
 * through is decided outside, by canaries in the host's namespace (run.py). What no
 * canary can see (a process opened, a capability gained) an attempt reports with
 * breach().
 *
 *	host namespace	10.77.0.1 fd77::1	port 7700	service, allowed
 *						port 7709	closed, allowed
 *			10.77.0.66 fd77::66	port 7701	canary, denied by a rule
 *			127.0.0.1 127.1.2.3 ::1	port 7701	canary, nothing allows it
 *	host ports	7710 may be bound; 7799 may not
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum {
	PORT_ALLOWED = 7700,
	PORT_CANARY = 7701,
	PORT_GROUP = 7703,
	PORT_CLOSED = 7709,
	PORT_GIVEN = 7710,
	PORT_TAKEN = 7711, /* may be bound, but the host holds it */
	PORT_UNIX_PATH = 7720,
	PORT_UNIX_NAME = 7721, /* these two are UNIX endpoints where nobody listens */
	PORT_UNLISTED = 7799,
	PORT_EPHEMERAL = 40001, /* a canary too, among the ports that clients get */
	PORT_CLIENT = 40002,    /* of the host's loopback, connected to PORT_GIVEN */
};

/* Descriptors that a wrapper leaves open for the attempt. */
enum {
	FD_RING = 109,
	FD_INHERITED = 110, /* and the next three: tcp4 tcp6 udp4 udp6 */
};

enum {
	WAY_TCP4 = 1 << 0,
	WAY_TCP6 = 1 << 1,
	WAY_UDP4 = 1 << 2,
	WAY_UDP6 = 1 << 3,
	WAY_NONE = 1 << 4, /* the attempt has no address family of its own */
	WAY_TCP = WAY_TCP4 | WAY_TCP6,
	WAY_UDP = WAY_UDP4 | WAY_UDP6,
	WAY_V4 = WAY_TCP4 | WAY_UDP4,
	WAY_V6 = WAY_TCP6 | WAY_UDP6,
	WAY_ALL = WAY_TCP | WAY_UDP,
};

enum {
	NEEDS_ROOT = 1 << 0,    /* natively real only with capabilities */
	NEEDS_GIVER = 1 << 1,   /* a run with an open policy gives sockets away */
	NEEDS_INHERIT = 1 << 2, /* descriptors opened before graft starts */
	NEEDS_SETUID = 1 << 3,  /* a set-user-ID copy of this program */
	NEEDS_USER = 1 << 4,    /* means nothing for root */
	IS_RACE = 1 << 5,       /* takes the number of tries */
	IS_KNOWN_OPEN = 1 << 6, /* cannot be closed without root; shown, not failed */
	ENDS_RUN = 1 << 7,      /* the supervisor is gone afterwards */
	COMPARES = 1 << 8,      /* errno lines must be those of the native run */
	NARROW_ONLY = 1 << 9,   /* the wide policy allows this on purpose */
	IS_GRANTED = 1 << 10,   /* somebody outside opened the way; shown, not failed */
	TCP_ONLY = 1 << 11,     /* made for the policy that lets no datagram leave */
	NEEDS_UNIX = 1 << 12,   /* rules with endpoints that are UNIX sockets */
	ONLY_CGROUP = 1 << 13,  /* means nothing behind another engine */
	STARTS_OPEN = 1 << 14,  /* under a policy that allows all, until "replace" */
	SWAPS = 1 << 15,        /* under two policies in turn, from "swap" on */
	NEEDS_TAKER = 1 << 16,  /* a run with an open policy uses sockets it is sent */
	NEEDS_POLLER = 1 << 17, /* a process outside keeps a ring that it polls */
	NEEDS_PATHS = 1 << 18,  /* rules that allow UNIX paths and deny all others */
	DENIES_PATH = 1 << 19,  /* one that denies one of them */
};

struct way {
	unsigned int bit;
	const char *name;
	int family;
	int type;
};

struct attempt {
	const char *name;
	unsigned int ways;
	unsigned int flags;
	void (*run)(const struct way *way);
	const char *what;
};

/* One table per file; each ends with a row without a name. */
extern const struct attempt attempts_address[], attempts_reconnect[], attempts_copy[],
	attempts_send[], attempts_option[], attempts_bind[], attempts_race[],
	attempts_table[], attempts_table_clone[], attempts_unix[], attempts_abi[],
	attempts_ring[], attempts_namespace[], attempts_rights[], attempts_process[],
	attempts_seccomp[], attempts_family[], attempts_flood[], attempts_pointer[],
	attempts_route[], attempts_random[], attempts_cgroup[], attempts_replace[],
	attempts_poll[], attempts_path[];

struct target {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage storage;
	};
	socklen_t len;
};

extern unsigned long n_tries; /* of a race */
extern const char *self_path;
extern bool is_grafted;

static inline bool way_is_stream(const struct way *way)
{
	return way->type == SOCK_STREAM;
}

struct target target_make(int family, const char *address, int port);
struct target target_canary(const struct way *way);
struct target target_denied(const struct way *way);
struct target target_allowed(const struct way *way);
struct target target_closed(const struct way *way); /* allowed, answers with a reset */
struct target target_local(const struct way *way, int port); /* the wildcard address */

/* Prints "CALL -> RESULT" and hands @result on. */
long seen(const char *call, long result);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void breach(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* This kernel cannot do the attempt at all; ends the program. */
void unsupported(const char *why) __attribute__((noreturn));

int fresh(const struct way *way);
int seen_connect(int fd, const struct target *target);
int seen_disconnect(int fd);
/* One byte on a connected socket. */
void poke(int fd);
/* connect and poke; closes nothing */
void reach(int fd, const struct target *target);
/* A socket that is in the host's stack for sure, and unconnected. */
int host_socket(const struct way *way);
/* The allowed service answers: 0, or -1. */
int check_allowed(const struct way *way);
/* The loopback and the denied address, by fresh sockets. */
void reach_both(const struct way *way);
/* Where cgroup v2 is mounted, and our own cgroup there, a path of @size. */
bool own_cgroup(char mount[256], char *own, size_t size);
/* Asks the runner to look for listeners of ours in the host's stack, and waits. */
void check_listeners(void);
/* The same for one port. */
void check_port(int port);
/* Waits for a child. */
void reap(int pid);
const struct way *way_find(const char *name);
