/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"

static void test_pidfd(void **state)
{
	int pipe_fds[2], other, fd = process_open(getpid());
	pid_t child;
	char byte;

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(process_of(fd), getpid());
	fd_close(fd);
	assert_int_equal(process_of(fd), 0);

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(process_of(pipe_fds[0]), 0); /* no process at all */
	child = fork();
	if (child == 0)
		_exit(read(pipe_fds[0], &byte, 1) == 1 ? 0 : 1);
	other = process_open(child);
	assert_int_equal(process_of(other), child);
	assert_int_equal(write(pipe_fds[1], "", 1), 1);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(process_of(other), 0);
	assert_int_equal(process_open(child), -ESRCH);
	fd_close(other);
	fd_close(pipe_fds[0]);
	fd_close(pipe_fds[1]);
}

/* A connection that a child shares: each message tells who sent it, descriptors too. */
static void test_sender(void **state)
{
	int pair[2], on = 1, fds[2] = { -1, -1 };
	size_t n_fds = 0;
	pid_t child, sender = -1;
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fd_send(pair[1], "a", 1, NULL, 0), 0);
	assert_int_equal(fd_receive_from(pair[0], &byte, 1, NULL, 0, NULL, &sender), 1);
	assert_int_equal(sender, 0); /* not asked for */

	setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	child = fork();
	if (child == 0)
		_exit(fd_send(pair[1], "b", 1, (int[]){ 0, 1 }, 2) == 0 ? 0 : 1);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(fd_receive_from(pair[0], &byte, 1, fds, 2, &n_fds, &sender), 1);
	assert_int_equal(sender, child);
	assert_int_equal(n_fds, 2);
	fd_close(fds[0]);
	fd_close(fds[1]);
	assert_int_equal(fd_send(pair[1], "c", 1, NULL, 0), 0);
	assert_int_equal(fd_receive_from(pair[0], &byte, 1, fds, 2, &n_fds, &sender), 1);
	assert_int_equal(sender, getpid());
	assert_int_equal(n_fds, 0);
	fd_close(pair[0]);
	fd_close(pair[1]);
}

/* Of a socket pair it is who made it. */
static void test_peer(void **state)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int pair[2], fd, status;
	pid_t child;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
	fd = process_open_peer(pair[0], &peer);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(process_of(fd), getpid());
	assert_int_equal(process_shares(getpid(), "pid"), 1);
	assert_int_equal(process_shares(getpid(), "none"), 0);
	fd_close(fd);
	fd_close(pair[0]);
	fd_close(pair[1]);
	child = fork();
	if (child == 0)
		_exit(unshare(CLONE_NEWNET) < 0
			      ? 77
			      : process_shares(getppid(), "net") != 0 ||
					process_shares(getppid(), "pid") != 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
	assert_int_equal(process_shares(child, "pid"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pidfd),
		cmocka_unit_test(test_sender),
		cmocka_unit_test(test_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
