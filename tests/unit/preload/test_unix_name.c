/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/preload/unix_name.h"

static union address address_of(const char *text, uint16_t port)
{
	union address address = { 0 };

	if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1)
		address.any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1)
		address.any.sa_family = AF_INET6;
	else
		fail_msg("%s", text);
	address_set_port(&address, port);
	return address;
}

static void spelled(const struct unix_name *name, const char *text)
{
	struct sockaddr_un un;
	struct unix_name back;
	socklen_t len = unix_name_print(name, &un);

	assert_int_equal(un.sun_path[0], 0);
	assert_string_equal(un.sun_path + 1, text);
	assert_int_equal(len, 3 + strlen(text));
	assert_int_equal(unix_name_parse(&un, len, &back), 0);
	assert_memory_equal(&back, name, sizeof(back));
}

static void spelling(void **state)
{
	struct unix_name name = { .type = SOCK_STREAM, .unique = 0x1f };

	name.local = address_of("127.0.0.1", 40000);
	name.peer = address_of("10.1.2.3", 80);
	spelled(&name, "graft/1/s4/9c40/0a010203:0050/000000000000001f");
	memset(&name.peer, 0, sizeof(name.peer));
	name.type = SOCK_DGRAM;
	spelled(&name, "graft/1/d4/9c40/-/000000000000001f");
	name.local = address_of("::1", 1);
	name.peer = address_of("fe80::2", 65535);
	name.peer.v6.sin6_scope_id = 3;
	spelled(&name, "graft/1/d6/0001/fe800000000000000000000000000002:ffff:00000003/"
		       "000000000000001f");
	name.local = address_of("::ffff:127.0.0.1", 1);
	name.peer = address_of("::ffff:10.0.0.1", 2);
	spelled(&name, "graft/1/dm/0001/0a000001:0002/000000000000001f");
}

static void no_spelling(void **state)
{
	struct unix_name name = { .type = SOCK_STREAM };
	struct sockaddr_un un;

	assert_int_equal(unix_name_print(&name, &un), 0);
	name.local = address_of("127.0.0.1", 1);
	name.peer = address_of("::1", 1);
	assert_int_equal(unix_name_print(&name, &un), 0);
}

static int parse(const char *bytes, size_t n)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct unix_name name;

	memcpy(un.sun_path, bytes, n);
	return unix_name_parse(&un, (socklen_t)(2 + n), &name);
}

static void strictly(void **state)
{
	static const char good[] = "\0graft/1/s4/9c40/0a010203:0050/000000000000001f";
	static const char mapped[] =
		"\0graft/1/s6/9c40/00000000000000000000ffff0a010203:0050:00000000/"
		"000000000000001f";
	const size_t n = sizeof(good) - 1;
	char bad[sizeof(good)];

	assert_int_equal(parse(good, n), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(parse(good, i), -EBADMSG);
	assert_int_equal(parse(good, n + 1), -EBADMSG);
	/* Any byte changed to another spelling, or to none. */
	for (size_t i = 0; i < n; i++) {
		static const char others[] = { 0, ' ', 'F', 'g', '/', ':', '-', 'x' };

		for (size_t j = 0; j < sizeof(others); j++) {
			if (others[j] == good[i])
				continue;
			memcpy(bad, good, n);
			bad[i] = others[j];
			assert_int_equal(parse(bad, n), -EBADMSG);
		}
	}
	assert_int_equal(parse(mapped, sizeof(mapped) - 1), -EBADMSG);
	assert_int_equal(parse("/run/x.sock", 12), -EBADMSG);
	assert_int_equal(parse("graft/1/s4", 10), -EBADMSG);
}

static void lengths_are_not_believed(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct unix_name name;

	assert_int_equal(unix_name_parse(&un, 0, &name), -EBADMSG);
	assert_int_equal(unix_name_parse(&un, 1000, &name), -EBADMSG);
	un.sun_family = AF_INET;
	assert_int_equal(unix_name_parse(&un, sizeof(un), &name), -EBADMSG);
}

static struct unix_name name_of(int fd)
{
	struct sockaddr_un un;
	socklen_t len = sizeof(un);
	struct unix_name name;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&un, &len), 0);
	assert_int_equal(unix_name_parse(&un, len, &name), 0);
	return name;
}

static void binds(void **state)
{
	union address peer = address_of("10.0.0.1", 80);
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_fd_ int other = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct unix_name name;

	assert_int_equal(unix_name_bind(fd, AF_INET, &peer, 0), 0);
	name = name_of(fd);
	assert_int_equal(name.type, SOCK_STREAM);
	assert_int_equal(name.local.v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_in_range(address_port(&name.local), 32768, 60999);
	assert_memory_equal(&name.peer, &peer, sizeof(peer));
	assert_int_equal(unix_name_bind(other, AF_INET6, NULL, 4711), 0);
	name = name_of(other);
	assert_int_equal(name.type, SOCK_DGRAM);
	assert_true(IN6_IS_ADDR_LOOPBACK(&name.local.v6.sin6_addr));
	assert_int_equal(address_port(&name.local), 4711);
	assert_int_equal(name.peer.any.sa_family, AF_UNSPEC);
	assert_int_equal(unix_name_bind(other, AF_INET6, NULL, 0), -EINVAL);
	assert_int_equal(unix_name_bind(-1, AF_INET6, NULL, 0), -EBADF);
}

static void wildcard_peers_are_loopback(void **state)
{
	union address peer = address_of("::ffff:0.0.0.0", 80);
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct unix_name name;

	assert_int_equal(unix_name_bind(fd, AF_INET6, &peer, 0), 0);
	name = name_of(fd);
	peer = address_of("::ffff:127.0.0.1", 80);
	assert_memory_equal(&name.peer, &peer, sizeof(peer));
	peer = address_of("::ffff:127.0.0.1", address_port(&name.local));
	assert_memory_equal(&name.local, &peer, sizeof(peer));
}

/* Somebody has the name that this socket's cookie makes. */
static void squatter(void **state)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_fd_ int squat = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct unix_name name = { .type = SOCK_STREAM };
	struct sockaddr_un un;
	socklen_t size = sizeof(name.unique);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &name.unique, &size), 0);
	name.local = address_of("127.0.0.1", 5);
	size = unix_name_print(&name, &un);
	assert_int_equal(bind(squat, (struct sockaddr *)&un, size), 0);
	assert_int_equal(unix_name_bind(fd, AF_INET, NULL, 5), 0);
	assert_int_equal(address_port(&name.local), 5);
	assert_true(name_of(fd).unique != name.unique);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spelling), cmocka_unit_test(no_spelling),
		cmocka_unit_test(strictly), cmocka_unit_test(lengths_are_not_believed),
		cmocka_unit_test(binds),    cmocka_unit_test(wildcard_peers_are_loopback),
		cmocka_unit_test(squatter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
