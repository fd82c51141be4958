/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of fuzz_calls share.
 *
 *	main			makes namespaces and endpoints, starts workers, counts
 *	+-- worker		a process; ends or is killed after a while, another
 *	    |			follows. Its table of descriptors is shared by its
 *	    +-- actor		threads, each of which does one random call after another
 *
 * Descriptors from FUZZ_OWN_FD on are the fuzzer's own and out of reach of the calls.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define FUZZ_OWN_FD 900
#define FUZZ_SLOTS  48
#define FUZZ_SPACES 3
#define FUZZ_PORT   7000 /* endpoints with an address are here and above */

struct fuzz {
	uint64_t seed;
	int seconds;
	int n_workers, n_threads;
	bool has_faults;
	int family;              /* of the sockets; AF_GRAFT, or AF_INET for comparison */
	int spaces[FUZZ_SPACES]; /* namespaces; the first is where everybody begins */
	int pair[2];             /* AF_UNIX datagrams, in common: a way for descriptors */
	int netlink_family;      /* of "af_graft"; 0 without it */
	int netlink_group;
	pid_t *workers; /* shared memory */
};
extern struct fuzz fuzz;

struct actor {
	uint64_t random;
	int *slots;        /* of the worker; FUZZ_SLOTS */
	int fail_fd;       /* /proc/thread-self/fail-nth or -1 */
	int netlink;       /* generic netlink, reopened when the namespace changes */
	struct ring *ring; /* io_uring, on demand */
	int map;           /* sockmap, on demand */
	unsigned char bytes[16384];
};

/* A call: 0 when it did what was asked, else -1. */
struct fuzz_call {
	const char *name;
	int weight;
	int (*run)(struct actor *actor);
};
extern const struct fuzz_call socket_calls[], option_calls[], transfer_calls[],
	wait_calls[], netlink_calls[], other_calls[];

/* --- fuzz_random.c --- */

uint32_t random_bits(struct actor *actor);
uint32_t random_below(struct actor *actor, uint32_t n);
bool random_one_in(struct actor *actor, uint32_t n);
/* Small, at a border, or anything. */
int random_int(struct actor *actor);
/* Into actor->bytes, @size of them at most; returns how many. */
size_t random_fill(struct actor *actor, size_t size);
#define random_of(actor, array) \
	((array)[random_below(actor, sizeof(array) / sizeof *(array))])

/* The name of an endpoint, which may or may not be there: 17 bytes with the NUL. */
void random_name(struct actor *actor, char name[17]);
/* An address, mostly a good one. Returns its length, which may lie. */
socklen_t random_address(struct actor *actor, struct sockaddr_storage *address);

int socket_new(struct actor *actor, int type); /* of fuzz.family */
socklen_t address_named(struct sockaddr_storage *address, const char *name);
/* A descriptor of the table, perhaps gone, or a socket that is new in it. */
int slot_get(struct actor *actor);
int slot_put(struct actor *actor, int fd); /* Takes @fd: 0, or -1 if it is none */

/* --- fuzz_netlink.c --- */

int netlink_open(int protocol);
/* Finds the family "af_graft" and its group. 0, or -1 without it. */
int netlink_find(void);
/* The endpoints that are there from the beginning, in the namespace of the caller. */
int netlink_endpoints(void);
/* In the initial namespace, for everybody; they go at the end. */
int netlink_endpoints_initial(bool is_add);
/* A pair of devices whose one end is here, and goes with the namespace of the other. */
int netlink_watch(int number, int space);
int loopback_up(void);

#endif
