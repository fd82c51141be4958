/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Probes with two sides: a child that plays the program, and this process as its
 * supervisor.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/process.h"
#include "ctl/probe.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#	define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#	define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#	define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif
#ifndef SYS_pidfd_getfd
#	define SYS_pidfd_getfd 438
#endif
#define WAIT_MS          3000
#define CHILD_SECONDS    5
#define FIRST_ARGUMENT   offsetof(struct seccomp_data, args)
#define NOTIFICATION_MAX 4096

/* What the child found out; the listener comes along. */
struct hello {
	int error; /* -errno, nothing else is valid then */
	int killable;
	void *memory;
	int fd;
};

struct outcome {
	int notify; /* 0 or -errno */
	int killable;
	int sync;
};

static int install(unsigned long flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIRST_ARGUMENT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);

	return fd < 0 ? -errno : (int)fd;
}

/* Asks for a socket and expects the pipe that the supervisor puts in its place. */
static _Noreturn void notify_child(int via)
{
	struct hello hello = { 0 };
	struct stat what;
	int listener, fd;

	alarm(CHILD_SECONDS);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER |
			   SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	hello.killable = listener >= 0;
	if (listener < 0)
		listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER);
	hello.error = listener < 0 ? listener : 0;
	if (fd_send(via, &hello, sizeof(hello), &listener, listener >= 0) < 0 ||
	    listener < 0)
		_exit(1);
	close(listener);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_exit(fd < 0 || fstat(fd, &what) < 0 || !S_ISFIFO(what.st_mode));
}

/* Answers one notification with @fd. Return: 0 or -errno. */
static int answer(int listener, int fd)
{
	union {
		struct seccomp_notif notification;
		char room[NOTIFICATION_MAX];
	} in;
	struct seccomp_notif_addfd out = { .flags = SECCOMP_ADDFD_FLAG_SEND,
					   .srcfd = (uint32_t)fd,
					   .newfd_flags = SOCK_CLOEXEC };
	struct pollfd ready = { listener, POLLIN, 0 };

	if (poll(&ready, 1, WAIT_MS) != 1)
		return -ETIMEDOUT;
	memset(&in, 0, sizeof(in));
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &in) < 0)
		return -errno;
	out.id = in.notification.id;
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &out) < 0 ? -errno : 0;
}

static int supervise(int via, struct outcome *ret)
{
	_cleanup_fd_ int listener = -1, out = -1, in = -1;
	struct hello hello;
	size_t n_fds = 0;
	ssize_t n;
	int ends[2];

	n = fd_receive(via, &hello, sizeof(hello), &listener, 1, &n_fds);
	if (n != sizeof(hello))
		return n < 0 ? (int)n : -ECHILD;
	if (hello.error)
		return hello.error;
	ret->killable = hello.killable;
	ret->sync = ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
			  SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) == 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	out = ends[0];
	in = ends[1];
	return answer(listener, out);
}

static const struct outcome *notify_outcome(void)
{
	static struct outcome outcome;
	static bool done;
	int pair[2], status = 0;
	pid_t pid;

	if (done)
		return &outcome;
	done = true;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		outcome.notify = -errno;
		return &outcome;
	}
	pid = fork();
	if (pid == 0)
		notify_child(pair[1]);
	fd_close(pair[1]);
	outcome.notify = pid < 0 ? -errno : supervise(pair[0], &outcome);
	fd_close(pair[0]);
	if (pid > 0) {
		if (outcome.notify < 0)
			kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		if (outcome.notify == 0 && status != 0)
			outcome.notify = -EBADF;
	}
	return &outcome;
}

void probe_notify(struct probe_result *ret)
{
	int r = notify_outcome()->notify;

	if (r == 0)
		probe_say(ret, PROBE_OK, NULL,
			  "a trapped socket() was answered with a descriptor in one step");
	else if (r == -EBUSY)
		probe_say(ret, PROBE_NO,
			  "a process can have one listener only: run graft outside of it",
			  "this process is already supervised through seccomp");
	else
		probe_say(ret, PROBE_NO,
			  "needs Linux 5.14 with CONFIG_SECCOMP_FILTER, and, inside of a "
			  "container, a profile that permits seccomp()",
			  "%s", strerror(-r));
}

void probe_killable(struct probe_result *ret)
{
	if (notify_outcome()->killable)
		probe_say(ret, PROBE_OK, NULL, "signals wait while a call is served");
	else
		probe_say(ret, PROBE_WEAK,
			  "a signal may interrupt a call that is being served (EINTR); "
			  "Linux 5.19 has it",
			  "not available");
}

void probe_sync(struct probe_result *ret)
{
	if (notify_outcome()->sync)
		probe_say(ret, PROBE_OK, NULL,
			  "program and supervisor hand over on one CPU");
	else
		probe_say(ret, PROBE_WEAK,
			  "setting up a connection takes longer; Linux 6.6 has it",
			  "not available");
}

/* In a user namespace of its own; tells where a known socket and text are. */
static _Noreturn void target_child(int via)
{
	static char text[16] = "graft doctor";
	struct hello hello = { .memory = text };

	alarm(CHILD_SECONDS);
	hello.error = probe_enter_userns();
	hello.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fd_send(via, &hello, sizeof(hello), NULL, 0);
	for (;;)
		pause();
}

static int take_fd(pid_t pid, const struct hello *hello)
{
	_cleanup_fd_ int pidfd = process_open(pid);
	_cleanup_fd_ int fd = -1;
	struct stat what;

	if (pidfd < 0)
		return pidfd;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, hello->fd, 0);
	if (fd < 0 || fstat(fd, &what) < 0)
		return -errno;
	return S_ISSOCK(what.st_mode) ? 0 : -ENOTSOCK;
}

static int read_memory(pid_t pid, const struct hello *hello)
{
	char text[16];
	struct iovec to = { text, sizeof(text) };
	struct iovec from = { hello->memory, sizeof(text) };

	if (process_vm_readv(pid, &to, 1, &from, 1, 0) != sizeof(text))
		return -errno;
	return strcmp(text, "graft doctor") ? -EBADMSG : 0;
}

static int on_target(int (*try)(pid_t pid, const struct hello *hello))
{
	struct hello hello;
	int pair[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		target_child(pair[1]);
	fd_close(pair[1]);
	r = pid < 0 ? -errno : 0;
	if (r == 0 && recv(pair[0], &hello, sizeof(hello), 0) != sizeof(hello))
		r = -ECHILD;
	if (r == 0)
		r = hello.error ? hello.error : try(pid, &hello);
	fd_close(pair[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return r;
}

void probe_getfd(struct probe_result *ret)
{
	int r = on_target(take_fd);

	if (r == 0)
		probe_say(ret, PROBE_OK, NULL,
			  "took a socket from a child in its own user namespace");
	else
		probe_say(ret, PROBE_NO,
			  "needs Linux 5.6, user namespaces, and kernel.yama.ptrace_scope "
			  "below 3",
			  "%s", strerror(-r));
}

void probe_memory(struct probe_result *ret)
{
	int r = on_target(read_memory);

	if (r == 0)
		probe_say(ret, PROBE_OK, NULL,
			  "read an address from a child in its own user namespace");
	else
		probe_say(ret, PROBE_NO,
			  "needs CONFIG_CROSS_MEMORY_ATTACH, user namespaces, and "
			  "kernel.yama.ptrace_scope below 3",
			  "%s", strerror(-r));
}
