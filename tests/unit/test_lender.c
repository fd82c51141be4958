/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A lender in a process of its own, and the stack that asks it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "run/lender.h"
#include "stack/stack.h"

static char directory[] = "/tmp/graft-lender-XXXXXX";
static char path[100];
static pid_t lender;

static void start(int until)
{
	int fd = lender_open(path);

	assert_true(fd >= 0);
	lender = fork();
	if (lender == 0)
		/* A failed test leaves nobody behind. */
		_exit(prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
		      lender_serve(fd, path, until) < 0);
	fd_close(fd);
}

static int ended(void)
{
	int status;

	assert_int_equal(waitpid(lender, &status, 0), lender);
	return status;
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(directory) || setenv("XDG_RUNTIME_DIR", directory, 1) < 0)
		return -1;
	return lender_path(path, sizeof(path));
}

static int tear_down(void **state)
{
	char below[100];

	(void)state;
	snprintf(below, sizeof(below), "%s/graft", directory);
	unlink(path);
	return rmdir(below) < 0 || rmdir(directory) < 0 ? -1 : 0;
}

static void test_socket(void **state)
{
	_cleanup_fd_ int own = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct stack *stack;
	uint64_t cookie;
	int fd, type;
	socklen_t size = sizeof(type);

	(void)state;
	start(-1);
	assert_int_equal(stack_lent_new(&stack, path), 0);
	assert_int_equal(stack_cookie_of(own, &cookie), 0);
	assert_true(stack->cookie == cookie);
	fd = stack_socket(stack, AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size), 0);
	assert_int_equal(type, SOCK_STREAM);
	fd_close(fd);
	fd = stack_socket(stack, AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG);
	assert_true(fd >= 0);
	fd_close(fd);
	/* What is refused is an answer; the next is asked over the same connection. */
	assert_int_equal(stack_socket(stack, AF_INET, SOCK_STREAM, IPPROTO_UDP),
			 -EPROTONOSUPPORT);
	assert_int_equal(stack_socket(stack, AF_PACKET, SOCK_RAW, 0), -EAFNOSUPPORT);
	assert_int_equal(stack_socket(stack, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
			 -EPROTONOSUPPORT);
	/* It is there already. */
	assert_int_equal(lender_open(path), -EADDRINUSE);
	stack_free(stack);
	kill(lender, SIGTERM);
	assert_int_equal(ended(), 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_death(void **state)
{
	struct stack *stack, *none;
	int fd;

	(void)state;
	start(-1);
	assert_int_equal(stack_lent_new(&stack, path), 0);
	kill(lender, SIGKILL);
	assert_true(WIFSIGNALED(ended()));
	assert_int_equal(stack_socket(stack, AF_INET, SOCK_STREAM, 0), -ENETDOWN);
	assert_int_equal(stack_lent_new(&none, path), -ECONNREFUSED);
	start(-1); /* what is left over gives way */
	fd = stack_socket(stack, AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	fd_close(fd);
	/* Killed and back between two sockets. */
	kill(lender, SIGKILL);
	ended();
	start(-1);
	fd = stack_socket(stack, AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	fd_close(fd);
	/* One that says nothing is left. */
	kill(lender, SIGSTOP);
	assert_int_equal(stack_socket(stack, AF_INET, SOCK_STREAM, 0), -ENETDOWN);
	kill(lender, SIGCONT);
	fd = stack_socket(stack, AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	fd_close(fd);
	stack_free(stack);
	kill(lender, SIGTERM);
	assert_int_equal(ended(), 0);
	assert_int_equal(stack_lent_new(&none, path), -ENOENT);
}

/* Nobody is made to wait by, or ends with, who does not keep to it. */
static void test_rude(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int request[] = { AF_INET, SOCK_STREAM, 0 };
	struct stack *stack;
	int via[3], fd, r = 0;
	char byte;

	(void)state;
	start(-1);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	for (size_t i = 0; i < ARRAY_SIZE(via); i++) {
		via[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(via[i], (struct sockaddr *)&address,
					 sizeof(address)),
				 0);
	}
	/* Half a request; requests without end, and no answer taken. */
	assert_int_equal(send(via[0], request, 3, MSG_NOSIGNAL), 3);
	assert_int_equal(recv(via[0], &byte, 1, 0), 0);
	for (int i = 0; i < 100000 && r >= 0; i++)
		r = (int)send(via[1], request, sizeof(request), MSG_NOSIGNAL);
	assert_int_equal(r, -1);
	assert_true(errno == EPIPE || errno == ECONNRESET);
	assert_int_equal(stack_lent_new(&stack, path), 0);
	fd = stack_socket(stack, AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	fd_close(fd);
	stack_free(stack);
	for (size_t i = 0; i < ARRAY_SIZE(via); i++)
		fd_close(via[i]);
	kill(lender, SIGTERM);
	assert_int_equal(ended(), 0);
}

static void test_until(void **state)
{
	int pipe_fds[2];

	(void)state;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	start(pipe_fds[0]); /* as a pidfd, it can be read when that is over */
	assert_int_equal(write(pipe_fds[1], "", 1), 1);
	assert_int_equal(ended(), 0);
	assert_int_equal(access(path, F_OK), -1);
	fd_close(pipe_fds[0]);
	fd_close(pipe_fds[1]);
}

static void test_path(void **state)
{
	char text[16];

	(void)state;
	assert_int_equal(lender_path(text, sizeof(text)), -ENAMETOOLONG);
	setenv("XDG_RUNTIME_DIR", "relative", 1);
	assert_int_equal(lender_path(text, sizeof(text)), -ENOENT);
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(lender_path(text, sizeof(text)), -ENOENT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_socket), cmocka_unit_test(test_death),
		cmocka_unit_test(test_rude),   cmocka_unit_test(test_until),
		cmocka_unit_test(test_path),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
