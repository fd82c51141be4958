/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies of an allowed socket: dup, fork, vfork, exec, a shared descriptor table. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "escape.h"
#include "modes.h"

enum { STACK_SIZE = 256 * 1024 };

static int allowed_socket(const struct way *way)
{
	struct target allowed = target_allowed(way);
	int fd = fresh(way);

	reach(fd, &allowed);
	return fd;
}

static void turn(int fd, const struct way *way)
{
	struct target canary = target_canary(way);

	seen_disconnect(fd);
	reach(fd, &canary);
}

static void dups(const struct way *way)
{
	int fd = allowed_socket(way);

	turn(dup(fd), way);
	turn(dup2(fd, 40), way);
	turn(dup3(fd, 41, O_CLOEXEC), way);
	turn(fcntl(fd, F_DUPFD, 42), way);
	turn(fcntl(fd, F_DUPFD_CLOEXEC, 43), way);
	turn(fd, way);
}

/* A copy is made before the stack is known, and used after. */
static void dup_before(const struct way *way)
{
	struct target allowed = target_allowed(way), canary = target_canary(way);
	int fd = fresh(way), copy = dup(fd);

	reach(copy, &canary);
	reach(fd, &allowed);
	turn(copy, way);
	turn(fd, way);
}

static void forked(const struct way *way)
{
	int fd = allowed_socket(way), pid = fork();

	if (!pid) {
		turn(fd, way);
		_exit(0);
	}
	reap(pid);
}

static void fork_before(const struct way *way)
{
	struct target allowed = target_allowed(way), canary = target_canary(way);
	int go[2], fd = fresh(way), pid;
	char byte;

	if (pipe(go) < 0)
		return;
	pid = fork();
	if (!pid) {
		if (read(go[0], &byte, 1) == 1)
			turn(fd, way);
		reach(fd, &canary);
		_exit(0);
	}
	reach(fd, &allowed);
	if (write(go[1], "g", 1) != 1)
		note("pipe broken");
	reap(pid);
	turn(fd, way);
}

static void vforked(const struct way *way)
{
	int fd = allowed_socket(way), pid = vfork();

	if (!pid) {
		turn(fd, way);
		_exit(0);
	}
	reap(pid);
}

static void executed(const struct way *way)
{
	char number[16];
	int fd = dup(allowed_socket(way)), pid;

	snprintf(number, sizeof(number), "%d", fd);
	pid = fork();
	if (!pid) {
		execl(self_path, "escape", "--fd", number, way->name, NULL);
		seen("execl", -1);
		_exit(1);
	}
	reap(pid);
}

struct job {
	int fd;
	const struct way *way;
};

static int turn_job(void *argument)
{
	struct job *job = argument;

	turn(job->fd, job->way);
	fflush(stdout);
	return 0;
}

static void cloned(const struct way *way, int flags)
{
	struct job job = { allowed_socket(way), way };
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	reap(clone(turn_job, stack + STACK_SIZE, flags | SIGCHLD, &job));
	munmap(stack, STACK_SIZE);
}

static void shared_table(const struct way *way)
{
	cloned(way, CLONE_FILES);
}

static void shared_memory(const struct way *way)
{
	cloned(way, CLONE_VM | CLONE_FS);
}

int mode_fd(int fd, const struct way *way)
{
	turn(fd, way);
	return 0;
}

const struct attempt attempts_copy[] = {
	{ "dup", WAY_ALL, 0, dups,
	  "disconnect and reconnect through dup, dup2, dup3, F_DUPFD" },
	{ "dup-before", WAY_ALL, 0, dup_before, "a copy made before the first connect" },
	{ "fork", WAY_ALL, 0, forked, "the copy of a forked child" },
	{ "fork-before", WAY_ALL, 0, fork_before,
	  "a child's copy made before the first connect" },
	{ "vfork", WAY_ALL, 0, vforked, "the copy of a vforked child" },
	{ "exec", WAY_ALL, 0, executed, "the copy of another program" },
	{ "clone-files", WAY_ALL, 0, shared_table,
	  "another process with the same table" },
	{ "clone-vm", WAY_ALL, 0, shared_memory, "another process with the same memory" },
	{}
};
