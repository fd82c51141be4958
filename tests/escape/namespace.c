/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Other namespaces: nested ones, and the way back to the host's. */
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "escape.h"

enum { STACK_SIZE = 256 * 1024 };

static void turn(int fd, const struct way *way)
{
	struct target canary = target_canary(way);

	seen_disconnect(fd);
	reach(fd, &canary);
}

/* In a nested namespace, with a socket from outside of it. */
static void nested(const struct way *way)
{
	struct target allowed = target_allowed(way), canary = target_canary(way);
	int fd = fresh(way), unused = fresh(way), pid;

	reach(fd, &allowed);
	pid = fork();
	if (!pid) {
		seen("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNET));
		turn(fd, way);
		reach(unused, &canary);
		reach(fresh(way), &canary);
		_exit(0);
	}
	reap(pid);
}

static void nested_back(const struct way *way)
{
	struct target canary = target_canary(way);
	int pid = fork();

	if (!pid) {
		int outer = open("/proc/self/ns/net", O_RDONLY), fd = host_socket(way);

		seen("unshare",
		     unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET));
		seen("setns", setns(outer, CLONE_NEWNET));
		reach(fresh(way), &canary);
		turn(fd, way);
		_exit(0);
	}
	reap(pid);
}

/* Made in a nested namespace, used in the outer one. */
static void nested_made(const struct way *way)
{
	struct target canary = target_canary(way);
	int fd = host_socket(way), pid;

	pid = syscall(SYS_clone, CLONE_FILES | CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD, 0,
		      0, 0, 0);
	if (!pid) {
		dup2(fresh(way), 50);
		_exit(0);
	}
	reap(pid);
	reach(50, &canary);
	turn(fd, way);
}

struct job {
	int fd;
	const struct way *way;
};

static int attack_job(void *argument)
{
	struct job *job = argument;
	struct target canary = target_canary(job->way);

	turn(job->fd, job->way);
	reach(fresh(job->way), &canary);
	fflush(stdout);
	return 0;
}

static void clone_newnet(const struct way *way)
{
	struct job job = { host_socket(way), way };
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	reap(seen("clone",
		  clone(attack_job, stack + STACK_SIZE,
			CLONE_NEWUSER | CLONE_NEWNET | CLONE_FILES | SIGCHLD, &job)));
	reap(seen("clone",
		  clone(attack_job, stack + STACK_SIZE,
			CLONE_NEWUSER | CLONE_NEWPID | CLONE_VM | SIGCHLD, &job)));
	munmap(stack, STACK_SIZE);
}

static void enter(int pid, const struct way *way)
{
	static const char *const kinds[] = { "user", "mnt", "net" };
	struct target canary = target_canary(way);
	int child = fork();

	if (!child) {
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			char path[64], call[96];
			int fd;

			snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, kinds[i]);
			snprintf(call, sizeof(call), "setns %s", path);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			seen(call, fd < 0 ? fd : setns(fd, 0));
		}
		reach(fresh(way), &canary);
		_exit(0);
	}
	reap(child);
}

static int parent_of(int pid)
{
	char path[64], line[128];
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "PPid: %d", &parent) == 1)
			break;
	fclose(file);
	return parent;
}

static void enter_host(const struct way *way)
{
	int parent = getppid();

	enter(parent, way);
	enter(parent_of(parent), way);
	enter(1, way);
}

static void enter_by_pidfd(const struct way *way)
{
	struct target canary = target_canary(way);
	int pids[] = { getppid(), parent_of(getppid()), 1 };
	int child = fork();

	for (size_t i = 0; !child && i < ARRAY_SIZE(pids); i++) {
		int fd = seen("pidfd_open", syscall(SYS_pidfd_open, pids[i], 0));

		seen("setns(pidfd)", setns(fd, CLONE_NEWNET));
		seen("setns(pidfd)", setns(fd, CLONE_NEWUSER | CLONE_NEWNET));
	}
	if (!child) {
		reach(fresh(way), &canary);
		_exit(0);
	}
	reap(child);
}

/* A socket knows its namespace, and tells it to whoever may administer that. */
static void of_socket(const struct way *way)
{
	struct target canary = target_canary(way);
	int fd = host_socket(way), netns = seen("SIOCGSKNS", ioctl(fd, SIOCGSKNS));

	if (netns >= 0 && seen("setns", setns(netns, CLONE_NEWNET)) == 0)
		reach(fresh(way), &canary);
}

const struct attempt attempts_namespace[] = {
	{ "nested", WAY_ALL, 0, nested, "a host socket used in a nested namespace" },
	{ "nested-back", WAY_ALL, 0, nested_back,
	  "out to a nested namespace, and back by setns" },
	{ "nested-made", WAY_ALL, 0, nested_made,
	  "a nested namespace's socket used outside" },
	{ "clone-newnet", WAY_ALL, 0, clone_newnet,
	  "clone with a new network namespace and the same descriptors" },
	{ "setns", WAY_ALL, 0, enter_host,
	  "setns to the supervisor's, its parent's and process 1's namespaces" },
	{ "setns-socket", WAY_ALL, NEEDS_ROOT, of_socket,
	  "setns to the namespace of a host socket" },
	{ "setns-pidfd", WAY_ALL, 0, enter_by_pidfd, "the same by pidfd" },
	{}
};
