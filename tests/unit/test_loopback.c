/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs in a user and network namespace of its own, whose lo is down at first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "run/loopback.h"

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static union address address_of(const char *text)
{
	union address address = { 0 };

	if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
		address.any.sa_family = AF_INET;
		return address;
	}
	assert_int_equal(inet_pton(AF_INET6, text, &address.v6.sin6_addr), 1);
	address.any.sa_family = AF_INET6;
	return address;
}

static socklen_t size_of(const union address *address)
{
	return address->any.sa_family == AF_INET ? sizeof(address->v4)
						 : sizeof(address->v6);
}

static bool has_v6(void)
{
	return access("/proc/net/if_inet6", F_OK) == 0;
}

/* Return: 0 or -errno. */
static int try_bind(const char *text)
{
	union address address = address_of(text);
	_cleanup_fd_ int fd =
		socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return bind(fd, &address.any, size_of(&address)) < 0 ? -errno : 0;
}

/* A TCP connection to the address and a byte over it. Return: 0 or -errno. */
static int try_connect(const char *text)
{
	union address address = address_of(text);
	int family = address.any.sa_family;
	_cleanup_fd_ int server = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_fd_ int client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_fd_ int inner = -1;
	socklen_t size = size_of(&address);
	char byte = 0;

	if (bind(server, &address.any, size) < 0 || listen(server, 1) < 0 ||
	    getsockname(server, &address.any, &size) < 0 ||
	    connect(client, &address.any, size) < 0)
		return -errno;
	inner = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(write(client, "x", 1), 1);
	assert_int_equal(read(inner, &byte, 1), 1);
	return byte == 'x' ? 0 : -EIO;
}

static bool is_up(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo" };

	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	return request.ifr_flags & IFF_UP;
}

static int add(const char *text)
{
	union address address = address_of(text);

	return loopback_add(&address.any);
}

static int n_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void test_up(void **state)
{
	assert_false(is_up());
	assert_int_not_equal(try_connect("127.0.0.1"), 0);
	assert_int_equal(loopback_up(), 0);
	assert_true(is_up());
	assert_int_equal(try_connect("127.0.0.1"), 0);
	assert_int_equal(loopback_up(), 0);
	assert_true(is_up());
}

static void test_add(void **state)
{
	assert_int_equal(try_bind("192.0.0.8"), -EADDRNOTAVAIL);
	assert_int_equal(add("192.0.0.8"), 0);
	assert_int_equal(try_connect("192.0.0.8"), 0);
	/* The whole prefix is 32 bits: the neighbours are nobody's. */
	assert_int_equal(try_bind("192.0.0.9"), -EADDRNOTAVAIL);
	assert_int_equal(add("192.0.0.8"), 0);
	assert_int_equal(add("127.0.0.1"), 0);
	assert_int_equal(try_connect("127.0.0.1"), 0);
}

/* Usable when the call is over: no duplicate address detection, and with its route. */
static void test_add_v6(void **state)
{
	char text[INET6_ADDRSTRLEN];

	if (!has_v6())
		skip();
	assert_int_equal(try_bind("fd00:1::1"), -EADDRNOTAVAIL);
	for (int i = 1; i <= 20; i++) {
		snprintf(text, sizeof(text), "fd00:1::%x", i);
		assert_int_equal(add(text), 0);
		assert_int_equal(try_connect(text), 0);
	}
	assert_int_equal(add("fd00:1::1"), 0);
	assert_int_equal(try_bind("fd00:1::ffff"), -EADDRNOTAVAIL);
	assert_int_equal(add("::1"), 0);
}

static void test_no_leaks(void **state)
{
	int before = n_descriptors();

	assert_int_equal(loopback_up(), 0);
	assert_int_equal(add("192.0.0.8"), 0);
	if (has_v6())
		assert_int_equal(add("fd00:1::1"), 0);
	assert_int_equal(n_descriptors(), before);
}

/* Without a capability over the network namespace. */
static void test_no_right(void **state)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
		struct __user_cap_data_struct none[2] = { 0 };
		union address address = { .v4 = { .sin_family = AF_INET } };

		address.v4.sin_addr.s_addr = htonl(0xc0000009); /* 192.0.0.9 */
		if (syscall(SYS_capset, &head, none) < 0)
			_exit(3);
		if (loopback_up() != -EPERM)
			_exit(1);
		_exit(loopback_add(&address.any) == -EPERM ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(try_bind("192.0.0.9"), -EADDRNOTAVAIL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_up),       cmocka_unit_test(test_add),
		cmocka_unit_test(test_add_v6),   cmocka_unit_test(test_no_leaks),
		cmocka_unit_test(test_no_right),
	};

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("SKIP: no user and network namespaces here: %s\n",
		       strerror(errno));
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
