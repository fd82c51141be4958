/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other namespaces are kept by children of ours; the names under /run/netns live in a
 * mount namespace of the test's own.
 */
#include "sockets.h"

#include <linux/nsfs.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "broker/namespaces.h"
#include "policy/policy.h"
#include "stack/stack.h"

#ifndef SIOCGSKNS
#	define SIOCGSKNS 0x894C
#endif

struct keeper {
	pid_t pid;
	uint64_t cookie;
};

static uint64_t own_cookie(void)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;

	assert_int_equal(stack_cookie_of(fd, &cookie), 0);
	return cookie;
}

/* A process in a network namespace of its own, with a user namespace over it if asked. */
static struct keeper keep(int flags)
{
	struct keeper keeper;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	keeper.pid = fork();
	if (keeper.pid == 0) {
		uint64_t cookie;

		close(pair[0]);
		if (unshare(CLONE_NEWNET | flags) < 0)
			_exit(1);
		cookie = own_cookie();
		if (write(pair[1], &cookie, sizeof(cookie)) < 0)
			_exit(1);
		(void)!read(pair[1], &cookie, 1);
		_exit(0);
	}
	fd_close(pair[1]);
	assert_int_equal(fd_read_all(pair[0], &keeper.cookie, sizeof(keeper.cookie)),
			 sizeof(keeper.cookie));
	/* Left open: the keeper ends with it, if a test fails. */
	return keeper;
}

static void end(struct keeper *keeper)
{
	kill(keeper->pid, SIGKILL);
	assert_int_equal(waitpid(keeper->pid, NULL, 0), keeper->pid);
}

static void assert_stack_of(const struct netns_ref *ref, uint64_t cookie)
{
	struct stack *stack;
	uint64_t of_socket = 0;
	int fd;

	assert_int_equal(namespace_stack_of(&stack, ref), 0);
	assert_int_equal(stack->cookie, cookie);
	fd = stack_socket(stack, AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(stack_cookie_of(fd, &of_socket), 0);
	assert_int_equal(of_socket, cookie);
	fd_close(fd);
	stack_free(stack);
}

static void test_own(void **state)
{
	const struct netns_ref none = { .kind = NETNS_DEFAULT };
	const struct netns_ref self = { .kind = NETNS_PID, .pid = getpid() };
	struct stack *stack;

	assert_stack_of(&none, own_cookie());
	assert_stack_of(&self, own_cookie());
	assert_int_equal(namespace_stack_of(&stack, &self), 0);
	assert_string_equal(stack->ops->name, "host");
	stack_free(stack);
}

static void test_other(void **state)
{
	struct keeper keeper = keep(0);
	const struct netns_ref ref = { .kind = NETNS_PID, .pid = keeper.pid };
	uint64_t before = own_cookie();

	assert_int_not_equal(keeper.cookie, before);
	assert_stack_of(&ref, keeper.cookie);
	assert_int_equal(own_cookie(), before);
	end(&keeper);
	assert_int_equal(namespace_open(&ref), -ENOENT);
}

/* Owned by a user namespace below ours: entered without joining that. */
static void test_other_user(void **state)
{
	struct keeper keeper = keep(CLONE_NEWUSER);
	const struct netns_ref ref = { .kind = NETNS_PID, .pid = keeper.pid };

	assert_stack_of(&ref, keeper.cookie);
	end(&keeper);
}

/* An error in there brings us back all the same. */
static void test_error_inside(void **state)
{
	struct keeper keeper = keep(0);
	const struct netns_ref ref = { .kind = NETNS_PID, .pid = keeper.pid };
	uint64_t before = own_cookie();
	struct stack *stack;

	assert_int_equal(namespace_stack_of(&stack, &ref), 0);
	assert_int_equal(stack_socket(stack, AF_INET, SOCK_STREAM, IPPROTO_UDP),
			 -EPROTONOSUPPORT);
	assert_int_equal(own_cookie(), before);
	stack_free(stack);
	end(&keeper);
}

/* Somebody who may not enter finds out at the start, where he is. */
static void test_no_right(void **state)
{
	struct keeper keeper = keep(0);
	const struct netns_ref ref = { .kind = NETNS_PID, .pid = keeper.pid };
	int netns = namespace_open(&ref);
	pid_t child;

	assert_true(netns >= 0);
	child = fork();
	if (child == 0) {
		struct stack *stack;
		uint64_t before = own_cookie();

		if (unshare(CLONE_NEWUSER) < 0)
			_exit(1);
		if (namespace_stack_new(&stack, netns) != -EPERM)
			_exit(2);
		_exit(own_cookie() == before ? 0 : 3);
	}
	assert_exits(child, 0);
	fd_close(netns);
	end(&keeper);
}

static void test_of_socket(void **state)
{
	int server = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), inner, netns;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	char path[] = "/tmp/test_namespaces.XXXXXX";
	struct stack *stack;
	uint64_t cookie = 0;
	pid_t child;

	assert_non_null(mkdtemp(path));
	snprintf(name.sun_path, sizeof(name.sun_path), "%s/s", path);
	assert_int_equal(bind(server, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(server, 1), 0);
	child = fork();
	if (child == 0) {
		int fd;
		char byte;

		if (unshare(CLONE_NEWNET) < 0)
			_exit(1);
		cookie = own_cookie();
		fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
		    send(fd, &cookie, sizeof(cookie), 0) < 0)
			_exit(2);
		(void)!recv(fd, &byte, 1, 0);
		_exit(0);
	}
	inner = accept(server, NULL, NULL);
	assert_int_equal(recv(inner, &cookie, sizeof(cookie), 0), sizeof(cookie));
	netns = namespace_of_socket(inner);
	assert_true(netns >= 0);
	assert_int_equal(namespace_stack_new(&stack, netns), 0);
	assert_int_equal(stack->cookie, cookie);
	stack_free(stack);
	fd_close(netns);
	fd_close(inner);
	assert_exits(child, 0);
	fd_close(server);
	unlink(name.sun_path);
	rmdir(path);
}

static void test_not_a_namespace(void **state)
{
	char fifo[] = "/tmp/test_namespaces.XXXXXX/fifo";
	struct netns_ref ref = { .kind = NETNS_PATH, .text = fifo };

	fifo[sizeof(fifo) - sizeof("/fifo")] = '\0';
	assert_non_null(mkdtemp(fifo));
	fifo[strlen(fifo)] = '/';
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(namespace_open(&ref), -EINVAL); /* and does not wait */
	unlink(fifo);
	assert_int_equal(namespace_open(&ref), -ENOENT);
	*strrchr(fifo, '/') = '\0';
	assert_int_equal(namespace_open(&ref), -EINVAL);
	rmdir(fifo);
	ref.text = "/proc/self/ns/mnt";
	assert_int_equal(namespace_open(&ref), -EINVAL);
	ref.text = "/proc/self/ns/net";
	assert_stack_of(&ref, own_cookie());
}

static void name_it(const char *path, const struct keeper *keeper)
{
	char source[40];
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0);

	assert_true(fd >= 0);
	fd_close(fd);
	snprintf(source, sizeof(source), "/proc/%d/ns/net", keeper->pid);
	assert_int_equal(mount(source, path, NULL, MS_BIND, NULL), 0);
}

static void unname(const char *path)
{
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	assert_int_equal(unlink(path), 0);
}

/* Names of /run/netns, deleted and made again between two uses. */
static void test_name_made_again(void **state)
{
	const struct netns_ref ref = { .kind = NETNS_NAME, .text = "graft-test" };
	struct keeper first, second;

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("graft", "/run", "tmpfs", 0, NULL) < 0)
		skip();
	assert_int_equal(mkdir("/run/netns", 0755), 0);
	assert_int_equal(namespace_open(&ref), -ENOENT);
	first = keep(0);
	name_it("/run/netns/graft-test", &first);
	assert_stack_of(&ref, first.cookie);
	unname("/run/netns/graft-test");
	end(&first);
	assert_int_equal(namespace_open(&ref), -ENOENT);
	second = keep(0);
	name_it("/run/netns/graft-test", &second);
	assert_stack_of(&ref, second.cookie);
	unname("/run/netns/graft-test");
	end(&second);
	assert_int_equal(umount2("/run", MNT_DETACH), 0);
}

/* No descriptor and no process of ours stays to keep the namespace. */
static void test_keeps_nothing(void **state)
{
	int before = n_descriptors();
	struct keeper keeper = keep(0);
	const struct netns_ref ref = { .kind = NETNS_PID, .pid = keeper.pid };

	for (int i = 0; i < 10; i++)
		assert_stack_of(&ref, keeper.cookie);
	/* The keeper's line. */
	assert_int_equal(n_descriptors(), before + 1);
	end(&keeper);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_other),
		cmocka_unit_test(test_other_user),
		cmocka_unit_test(test_error_inside),
		cmocka_unit_test(test_no_right),
		cmocka_unit_test(test_of_socket),
		cmocka_unit_test(test_not_a_namespace),
		cmocka_unit_test(test_name_made_again),
		cmocka_unit_test(test_keeps_nothing),
	};
	int r = enter_namespace();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
