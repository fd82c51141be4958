/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processes that guard: the supervisor (our parent), the front (its parent), and any
 * other process of the same user outside. Natively only the last one exists.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "escape.h"
#include "modes.h"

enum { N_VICTIMS = 3 };

static int parent_of(int pid)
{
	char path[64], text[256] = "", *after;
	int fd, parent = 0;
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	after = size > 0 ? strrchr(text, ')') : NULL;
	if (!after || sscanf(after, ") %*c %d", &parent) != 1)
		return 0;
	return parent;
}

static void victims(int pids[N_VICTIMS])
{
	const char *outside = getenv("ESCAPE_VICTIM");

	pids[0] = is_grafted ? getppid() : 0;
	pids[1] = is_grafted ? parent_of(pids[0]) : 0;
	pids[2] = outside ? atoi(outside) : 0;
	for (int i = 0; i < N_VICTIMS; i++)
		note("victim %d", pids[i]);
}

static void trace(const struct way *way)
{
	int pids[N_VICTIMS];

	(void)way;
	victims(pids);
	for (int i = 0; i < N_VICTIMS; i++) {
		if (pids[i] <= 1)
			continue;
		if (!seen("PTRACE_SEIZE", ptrace(PTRACE_SEIZE, pids[i], 0, 0))) {
			breach("traced process %d", pids[i]);
			continue;
		}
		if (!seen("PTRACE_ATTACH", ptrace(PTRACE_ATTACH, pids[i], 0, 0)))
			breach("traced process %d", pids[i]);
	}
}

static void memory(const struct way *way)
{
	char byte, path[64];
	struct iovec local = { &byte, 1 }, remote = { (void *)0x10000, 1 };
	int pids[N_VICTIMS];

	(void)way;
	victims(pids);
	for (int i = 0; i < N_VICTIMS; i++) {
		if (pids[i] <= 1)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/mem", pids[i]);
		if (seen("open mem", open(path, O_RDWR | O_CLOEXEC)) >= 0 ||
		    seen("open mem", open(path, O_RDONLY | O_CLOEXEC)) >= 0)
			breach("opened %s", path);
		/* Not mapped: EFAULT says that the process was ours to write to. */
		if (seen("process_vm_writev",
			 process_vm_writev(pids[i], &local, 1, &remote, 1, 0)) >= 0 ||
		    errno == EFAULT)
			breach("process %d is writable", pids[i]);
	}
}

static void take_descriptors(const struct way *way)
{
	char path[64];
	int pids[N_VICTIMS];

	(void)way;
	victims(pids);
	for (int i = 0; i < N_VICTIMS; i++) {
		int process, n_taken = 0, n_opened = 0;

		if (pids[i] <= 1)
			continue;
		process = seen("pidfd_open", syscall(SYS_pidfd_open, pids[i], 0));
		for (int fd = 0; fd < 256; fd++) {
			n_taken += syscall(SYS_pidfd_getfd, process, fd, 0) >= 0;
			snprintf(path, sizeof(path), "/proc/%d/fd/%d", pids[i], fd);
			n_opened += open(path, O_RDWR | O_CLOEXEC) >= 0;
		}
		if (n_taken || n_opened)
			breach("took %d, opened %d descriptors of %d", n_taken, n_opened,
			       pids[i]);
	}
}

static void expose(const struct way *way)
{
	static const char *const files[] = { "root/.", "cwd/.", "environ", "maps",
					     "fdinfo/0" };
	int pids[N_VICTIMS];

	(void)way;
	victims(pids);
	for (int i = 0; i < N_VICTIMS; i++) {
		for (size_t f = 0; f < ARRAY_SIZE(files) && pids[i] > 1; f++) {
			char path[64];
			int fd;

			snprintf(path, sizeof(path), "/proc/%d/%s", pids[i], files[f]);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			seen(path, fd);
			if (fd >= 0)
				breach("opened %s", path);
		}
	}
}

/* In a container the supervisor has no number: somebody outside does it. */
static bool is_contained(void)
{
	return getenv("ESCAPE_CONTAINED") != NULL;
}

static void have_signalled(int signal)
{
	char byte;

	printf("signal-supervisor %d\n", signal);
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) != 1)
		note("the runner did not answer");
}

/* Ends the supervisor; what is left must not work. */
static void kill_supervisor(int signal)
{
	int supervisor = getppid();
	struct timespec pause = { 0, 10 * 1000 * 1000 };

	if (is_contained())
		have_signalled(signal);
	if (!is_grafted || is_contained())
		return;
	prctl(PR_SET_PDEATHSIG, 0);
	if (seen("kill", kill(supervisor, signal)) < 0)
		return;
	for (int i = 0; i < 200 && getppid() == supervisor; i++)
		nanosleep(&pause, NULL);
	note("parent is now %d, was %d", getppid(), supervisor);
}

static void killed(const struct way *way)
{
	struct target canary = target_canary(way);
	int fd = host_socket(way);

	kill_supervisor(SIGKILL);
	reach(fd, &canary);
	if (!way_is_stream(way))
		seen("sendto", sendto(fd, "x", 1, 0, &canary.any, canary.len));
	reach(fresh(way), &canary);
}

static void signal_supervisor(int supervisor, int signal)
{
	if (is_contained())
		have_signalled(signal);
	else
		seen("kill", kill(supervisor, signal));
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* A call that the supervisor holds when it stops cannot be interrupted: a child lets it
 * go on after a while. */
static void stopped(const struct way *way)
{
	struct target canary = target_canary(way);
	struct sigaction action = { .sa_handler = on_alarm };
	struct timespec pause = { 1, 500 * 1000 * 1000 };
	int fd = host_socket(way), supervisor = getppid(), pid = 0;

	sigaction(SIGALRM, &action, NULL);
	if (is_grafted) {
		signal_supervisor(supervisor, SIGSTOP);
		pid = fork();
		if (!pid) {
			nanosleep(&pause, NULL);
			signal_supervisor(supervisor, SIGCONT);
			_exit(0);
		}
	}
	alarm(1);
	reach(fd, &canary);
	if (is_grafted)
		reap(pid);
	alarm(1);
	reach(fd, &canary);
	alarm(0);
}

static void setuid_copy(const struct way *way)
{
	const char *path = getenv("ESCAPE_SETUID");
	int pid = path ? fork() : -1;

	(void)way;
	if (!path)
		unsupported("no set-user-ID copy");
	if (!pid) {
		execl(path, "escape", "--identity", NULL);
		seen("execl", -1);
		_exit(1);
	}
	reap(pid);
}

int mode_identity(void)
{
	note("uid %d, euid %d", getuid(), geteuid());
	if (geteuid() != getuid())
		breach("effective user %d", geteuid());
	return 0;
}

int mode_victim(void)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

const struct attempt attempts_process[] = {
	{ "ptrace", WAY_NONE, 0, trace,
	  "trace the supervisor, the front, a process outside" },
	{ "process-memory", WAY_NONE, 0, memory,
	  "/proc/PID/mem and process_vm_writev of these" },
	{ "process-descriptors", WAY_NONE, 0, take_descriptors,
	  "pidfd_getfd and /proc/PID/fd of these" },
	{ "process-files", WAY_NONE, 0, expose,
	  "/proc/PID/root, environ, maps ... of these" },
	{ "kill-supervisor", WAY_ALL, ENDS_RUN, killed,
	  "kill the supervisor, then connect" },
	{ "stop-supervisor", WAY_ALL, 0, stopped,
	  "stop the supervisor, connect, let it go on" },
	{ "setuid", WAY_NONE, NEEDS_SETUID | NEEDS_USER, setuid_copy,
	  "a set-user-ID program gains its owner's rights" },
	{}
};
