/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * As in table.c, the number changes its meaning during the call, but the caller is the
 * only thread of its process: the table is shared with another process, or the thread
 * that changed it is gone before anybody counts.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "escape.h"
#include "race.h"

enum { NUMBER = 60, STACK_SIZE = 64 * 1024 };

struct swap {
	int decoy, real;
	struct target *address; /* changes along, unless NULL */
	struct target harmless, forbidden;
};

/* No library call here: the swapping process may share the caller's thread storage. */
static void spin(unsigned int *seed)
{
	*seed = *seed * 1103515245 + 12345;
	for (unsigned int i = *seed >> 24; i; i--)
		atomic_signal_fence(memory_order_seq_cst);
}

static int swap_for_ever(void *context)
{
	struct swap *swap = context;
	unsigned int seed = 1;

	for (;;) {
		if (swap->address)
			memcpy(swap->address, &swap->harmless,
			       sizeof(struct sockaddr_in6));
		dup2(swap->decoy, NUMBER);
		spin(&seed);
		if (swap->address)
			memcpy(swap->address, &swap->forbidden,
			       sizeof(struct sockaddr_in6));
		dup2(swap->real, NUMBER);
		spin(&seed);
	}
	return 0;
}

static int unix_bound(void)
{
	struct sockaddr_un abstract = { .sun_family = AF_UNIX, .sun_path = "\0escape" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	seen("bind", bind(fd, (struct sockaddr *)&abstract, sizeof(abstract)));
	return fd;
}

static void end(int pid)
{
	kill(pid, SIGKILL);
	reap(pid);
}

static int by_clone(struct swap *swap)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	return clone(swap_for_ever, stack + STACK_SIZE, CLONE_FILES | CLONE_VM | SIGCHLD,
		     swap);
}

#if defined(__x86_64__) && !defined(__ILP32__)
/* The clone of the 32-bit table; without CLONE_VM it needs no stack of its own. */
static int by_ia32(struct swap *swap)
{
	int pid;

	__asm__ volatile("int $0x80"
			 : "=a"(pid)
			 : "a"(120), "b"(CLONE_FILES | SIGCHLD), "c"(0), "d"(0), "S"(0),
			   "D"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	if (pid == 0)
		swap_for_ever(swap);
	errno = -pid;
	return pid < 0 ? -1 : pid;
}
#else
static int by_ia32(struct swap *swap)
{
	(void)swap;
	unsupported("this is not a 64-bit x86 program");
}
#endif

static void listen_race(const struct way *way, int (*start)(struct swap *swap))
{
	struct swap swap = { .decoy = unix_bound(), .real = host_socket(way) };
	struct race race;
	int pid;

	dup2(swap.decoy, NUMBER);
	pid = start(&swap);
	if (seen("clone(CLONE_FILES)", pid) < 0)
		return;
	race_start(&race, NULL, NULL);
	while (race_goes_on(&race))
		listen(NUMBER, 8);
	race_end(&race);
	end(pid);
	check_listeners();
}

static void clone_listen(const struct way *way)
{
	listen_race(way, by_clone);
}

static void ia32_listen(const struct way *way)
{
	listen_race(way, by_ia32);
}

static void clone_connect(const struct way *way)
{
	struct target shared = target_canary(way), closed = target_closed(way);
	struct swap swap = { .decoy = socket(AF_UNIX, SOCK_STREAM, 0),
			     .real = host_socket(way),
			     .address = &shared,
			     .forbidden = shared };
	struct sockaddr_un *path = (struct sockaddr_un *)&swap.harmless.storage;
	struct race race;
	int pid;

	path->sun_family = AF_UNIX;
	strcpy(path->sun_path, "/nonexistent"); /* fits in a sockaddr_in6 */
	dup2(swap.decoy, NUMBER);
	pid = by_clone(&swap);
	if (seen("clone(CLONE_FILES)", pid) < 0)
		return;
	race_start(&race, NULL, NULL);
	while (race_goes_on(&race)) {
		connect(NUMBER, &shared.any, sizeof(struct sockaddr_in6));
		if (send(swap.real, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
			continue;
		seen_disconnect(swap.real);
		connect(swap.real, &closed.any, closed.len);
	}
	race_end(&race);
	end(pid);
}

static void *swap_and_end(void *context)
{
	struct swap *swap = context;
	static unsigned int seed;

	spin(&seed);
	dup2(swap->real, NUMBER);
	return NULL;
}

/* Whoever counts threads after looking at the number finds one: the caller. */
static void exit_listen(const struct way *way)
{
	struct swap swap = { .decoy = unix_bound(), .real = host_socket(way) };
	pthread_attr_t attributes;
	unsigned int seed = 2;
	struct race race;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	race_start(&race, NULL, NULL);
	while (race_goes_on(&race)) {
		dup2(swap.decoy, NUMBER);
		if (pthread_create(&thread, &attributes, swap_and_end, &swap))
			continue;
		for (int i = rand() & 63; i; i--)
			spin(&seed);
		listen(NUMBER, 8);
	}
	race_end(&race);
	check_listeners();
}

static int clone3_child(void)
{
	struct clone_args_v0 {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack;
		uint64_t stack_size, tls;
	} args = { .flags = CLONE_FILES, .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(0);
	return (int)pid;
}

/* Its flags are in memory, out of a filter's sight. */
static void by_clone3(const struct way *way)
{
	int pid = clone3_child();

	(void)way;
	seen("clone3", pid);
	if (pid > 0) {
		reap(pid);
		breach("clone3 shared the table unseen");
	}
}

const struct attempt attempts_table_clone[] = {
	{ "table-clone-listen", WAY_TCP, IS_RACE, clone_listen,
	  "a process that shares the table swaps during listen" },
	{ "table-clone-connect", WAY_TCP, IS_RACE, clone_connect,
	  "a process that shares table and memory swaps during connect" },
	{ "table-ia32-listen", WAY_TCP, IS_RACE, ia32_listen,
	  "the same during listen, made by the 32-bit clone" },
	{ "table-exit-listen", WAY_TCP, IS_RACE, exit_listen,
	  "a thread swaps during listen and ends" },
	{ "clone3", WAY_NONE, 0, by_clone3, "flags that a filter cannot read" },
	{}
};
