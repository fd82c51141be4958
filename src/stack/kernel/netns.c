/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stack of another network namespace.
 *
 * A socket belongs to the namespace of the task that made it, and joining a namespace
 * that another user namespace owns means joining that one first, which a process with
 * threads may not do. So each such stack has a helper process: forked before the caller
 * starts threads, it joins, gives up all capabilities, makes itself unreadable and
 * answers requests (lend.h) on a SOCK_SEQPACKET pair.
 *
 * The pair is the helper's life line: it ends at the first end of file. Requests are
 * serialised by a mutex (sockets made here are the exception, not the rule).
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/memory.h"
#include "stack/kernel/lend.h"
#include "stack/stack.h"

struct netns_stack {
	struct stack stack;
	pthread_mutex_t lock; /* one request at a time on @via */
	int via;
	pid_t helper;
};

static int netns_socket(struct stack *stack, int family, int type, int protocol)
{
	struct netns_stack *self = (struct netns_stack *)stack;
	const struct lend_request request = { family, type, protocol };
	int r;

	pthread_mutex_lock(&self->lock);
	r = lend_ask(self->via, &request);
	pthread_mutex_unlock(&self->lock);
	return r;
}

static void netns_release(struct stack *stack)
{
	struct netns_stack *self = (struct netns_stack *)stack;

	fd_close(self->via);
	if (self->helper > 0)
		while (waitpid(self->helper, NULL, __WALL) < 0 && errno == EINTR)
			continue;
	pthread_mutex_destroy(&self->lock);
	free(self);
}

static const struct stack_ops netns_ops = {
	.name = "netns",
	.socket = netns_socket,
	.release = netns_release,
};

static bool same_namespace(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_ino == sb.st_ino &&
	       sa.st_dev == sb.st_dev;
}

static int join(int netns)
{
	_cleanup_fd_ int owner = ioctl(netns, NS_GET_USERNS);
	_cleanup_fd_ int own = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);

	/* -EPERM: the owner is an ancestor of ours; then only our own rights count. */
	if (owner < 0 && errno != EPERM)
		return -errno;
	if (owner >= 0 && own >= 0 && !same_namespace(owner, own) &&
	    setns(owner, CLONE_NEWUSER) < 0)
		return -errno;
	if (setns(netns, CLONE_NEWNET) < 0)
		return -errno;
	return 0;
}

/* Who is asked nothing for a while gives memory back. */
static void rest(int via)
{
	struct pollfd asked = { .fd = via, .events = POLLIN };

	if (poll(&asked, 1, MEMORY_REST_MS) == 0)
		memory_give_back();
}

static void serve(int via)
{
	struct lend_request request;

	for (;;) {
		rest(via);
		if (lend_take(via, &request) <= 0 || lend_give(via, &request, 0) < 0)
			return;
	}
}

static _Noreturn void helper_main(int via, int netns)
{
	static const char name[] = "graft-netns";
	int r;

	prctl(PR_SET_NAME, name);
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGCHLD)
			signal(sig, SIG_IGN);
	r = join(netns);
	if (r == 0) {
		capng_clear(CAPNG_SELECT_BOTH);
		capng_apply(CAPNG_SELECT_BOTH);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_DUMPABLE, 0);
	}
	if (fd_send(via, &r, sizeof(r), NULL, 0) == 0 && r == 0)
		serve(via);
	_exit(0);
}

static int ask_cookie(struct netns_stack *self)
{
	_cleanup_fd_ int probe = -1;
	int answer = -EIO;
	ssize_t n;

	n = fd_receive(self->via, &answer, sizeof(answer), NULL, 0, NULL);
	if (n != sizeof(answer))
		return n < 0 ? (int)n : -EIO;
	if (answer < 0)
		return answer;
	probe = netns_socket(&self->stack, AF_INET, SOCK_DGRAM, 0);
	if (probe < 0)
		return probe;
	return stack_cookie_of(probe, &self->stack.cookie);
}

/* Leaves only @keep and standard error open in a freshly forked helper. */
static void close_others(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a;

	close_range(0, 1, 0);
	if (low > 3)
		close_range(3, (unsigned int)low - 1, 0);
	if (high > low + 1)
		close_range((unsigned int)low + 1, (unsigned int)high - 1, 0);
	close_range((unsigned int)high + 1, ~0U, 0);
}

/* A fork whose end raises no signal and that only a wait with __WALL sees: the caller's
 * count of its children is not to be disturbed. To be called without threads about. */
static pid_t fork_aside(void)
{
	return (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
}

int stack_netns_new(struct stack **ret, int netns)
{
	struct netns_stack *self;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	self = calloc(1, sizeof(*self));
	if (!self) {
		fd_close(pair[0]);
		fd_close(pair[1]);
		return -ENOMEM;
	}
	self->stack.ops = &netns_ops;
	pthread_mutex_init(&self->lock, NULL);
	self->via = pair[0];
	self->helper = fork_aside();
	if (self->helper == 0) {
		close_others(pair[1], netns);
		helper_main(pair[1], netns);
	}
	r = self->helper < 0 ? -errno : 0;
	fd_close(pair[1]);
	if (r == 0)
		r = ask_cookie(self);
	if (r < 0) {
		netns_release(&self->stack);
		return r;
	}
	*ret = &self->stack;
	return 0;
}
