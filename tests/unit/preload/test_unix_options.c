/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The same calls on a TCP socket, as what is wanted, and on a UNIX one in its place.
 */
#include "test.h"

#include <netinet/tcp.h>

#include "intercept/preload/unix_name.h"
#include "intercept/preload/unix_options.h"

static int set(int fd, int level, int name, const void *value, socklen_t size)
{
	int r = setsockopt(fd, level, name, value, size);

	return unix_options_set_concerns(r, level)
		       ? unix_options_set(fd, level, name, value, size)
		       : r;
}

static int get(int fd, int level, int name, void *value, socklen_t *size)
{
	int r = getsockopt(fd, level, name, value, size);

	return unix_options_get_concerns(r, level, name)
		       ? unix_options_get(fd, r, level, name, value, size)
		       : r;
}

static int unix_in_place(int family, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(unix_name_bind(fd, family, NULL, 0), 0);
	return fd;
}

static int result(int r)
{
	return r < 0 ? -errno : r;
}

struct option {
	int level, name;
	bool v6;
	int values[4];
};

static const struct option options[] = {
	{ IPPROTO_TCP, TCP_NODELAY, false, { 1, 0, 7, -1 } },
	{ IPPROTO_TCP, TCP_CORK, false, { 1, 0, 7, 0 } },
	{ IPPROTO_TCP, TCP_KEEPIDLE, false, { 60, 0, 32767, 32768 } },
	{ IPPROTO_TCP, TCP_KEEPINTVL, false, { 60, 0, 32767, 32768 } },
	{ IPPROTO_TCP, TCP_KEEPCNT, false, { 3, 0, 127, 128 } },
	{ IPPROTO_TCP, TCP_SYNCNT, false, { 3, 0, 127, 128 } },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, false, { 1000, 0, 5, -1 } },
	{ IPPROTO_TCP, TCP_QUICKACK, false, { 0, 1, 0, 1 } },
	{ IPPROTO_TCP, TCP_FASTOPEN_CONNECT, false, { 1, 0, 2, -1 } },
	{ IPPROTO_TCP, TCP_INQ, false, { 1, 0, 2, -1 } },
	{ IPPROTO_IP, IP_TOS, false, { 16, 0, 8, 4 } },
	{ IPPROTO_IP, IP_TTL, false, { 12, 0, 255, 256 } },
	{ IPPROTO_IP, IP_PKTINFO, false, { 1, 0, 1, 1 } },
	{ IPPROTO_IP, IP_MTU_DISCOVER, false, { 2, 0, 5, 6 } },
	{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, false, { 1, 0, 1, 1 } },
	{ IPPROTO_IPV6, IPV6_V6ONLY, true, { 1, 0, 1, 0 } },
	{ IPPROTO_IPV6, IPV6_TCLASS, true, { 16, 0, 255, 256 } },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, true, { 12, -1, 255, 256 } },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, true, { 1, 0, 1, 1 } },
	{ IPPROTO_IPV6, 9999, true, { 1, 0, 1, 1 } },
	{ IPPROTO_TCP, 9999, true, { 1, 0, 1, 1 } },
};

static void same_answers(const struct option *option, int tcp, int fd)
{
	for (int i = -1; i < 4; i++) {
		int wanted = -77, got = -77;
		socklen_t wanted_size = sizeof(int), got_size = sizeof(int);

		if (i >= 0) {
			const int *value = &option->values[i];

			wanted = result(setsockopt(tcp, option->level, option->name,
						   value, sizeof(*value)));
			got = result(set(fd, option->level, option->name, value,
					 sizeof(*value)));
			if (wanted != got)
				fail_msg("%d/%d = %d: %d, not %d", option->level,
					 option->name, *value, got, wanted);
		}
		wanted = got = -77;
		if (result(getsockopt(tcp, option->level, option->name, &wanted,
				      &wanted_size)) !=
			    result(get(fd, option->level, option->name, &got,
				       &got_size)) ||
		    wanted != got || wanted_size != got_size)
			fail_msg("%d/%d after %d values: %d, not %d", option->level,
				 option->name, i + 1, got, wanted);
	}
}

static void as_tcp(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		int family = options[i].v6 ? AF_INET6 : AF_INET;
		_cleanup_fd_ int tcp = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		_cleanup_fd_ int fd = unix_in_place(family, SOCK_STREAM);

		same_answers(&options[i], tcp, fd);
	}
}

static void levels(void **state)
{
	static const int ones[][2] = { { IPPROTO_TCP, TCP_NODELAY },
				       { IPPROTO_UDP, 1 },
				       { IPPROTO_IPV6, IPV6_V6ONLY },
				       { IPPROTO_ICMP, 1 } };

	for (size_t i = 0; i < ARRAY_SIZE(ones); i++) {
		for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
			_cleanup_fd_ int native = socket(AF_INET, type | SOCK_CLOEXEC, 0);
			_cleanup_fd_ int fd = unix_in_place(AF_INET, type);
			int on = 1;

			assert_int_equal(result(setsockopt(native, ones[i][0], ones[i][1],
							   &on, sizeof(on))),
					 result(set(fd, ones[i][0], ones[i][1], &on,
						    sizeof(on))));
		}
	}
}

static void what_it_is(void **state)
{
	_cleanup_fd_ int stream = unix_in_place(AF_INET6, SOCK_STREAM);
	_cleanup_fd_ int dgram = unix_in_place(AF_INET, SOCK_DGRAM);
	struct ucred credentials;
	socklen_t size = sizeof(int);
	int value;

	assert_int_equal(get(stream, SOL_SOCKET, SO_DOMAIN, &value, &size), 0);
	assert_int_equal(value, AF_INET6);
	assert_int_equal(get(stream, SOL_SOCKET, SO_PROTOCOL, &value, &size), 0);
	assert_int_equal(value, IPPROTO_TCP);
	assert_int_equal(get(dgram, SOL_SOCKET, SO_DOMAIN, &value, &size), 0);
	assert_int_equal(value, AF_INET);
	assert_int_equal(get(dgram, SOL_SOCKET, SO_PROTOCOL, &value, &size), 0);
	assert_int_equal(value, IPPROTO_UDP);
	assert_int_equal(get(dgram, SOL_SOCKET, SO_TYPE, &value, &size), 0);
	assert_int_equal(value, SOCK_DGRAM);
	size = sizeof(credentials);
	assert_int_equal(get(stream, SOL_SOCKET, SO_PEERCRED, &credentials, &size), 0);
	assert_int_equal(size, sizeof(credentials));
}

static void others_are_left_alone(void **state)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_fd_ int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int value = 1;
	socklen_t size = sizeof(value);

	assert_int_equal(result(set(fd, IPPROTO_TCP, TCP_NODELAY, &value, size)),
			 -EOPNOTSUPP);
	assert_int_equal(result(get(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size)),
			 -EOPNOTSUPP);
	assert_int_equal(get(fd, SOL_SOCKET, SO_DOMAIN, &value, &size), 0);
	assert_int_equal(value, AF_UNIX);
	assert_int_equal(get(fd, SOL_SOCKET, SO_PROTOCOL, &value, &size), 0);
	assert_int_equal(value, 0);
	assert_int_equal(result(set(tcp, IPPROTO_UDP, 1, &value, size)), -ENOPROTOOPT);
	assert_int_equal(result(set(-1, IPPROTO_TCP, 1, &value, size)), -EBADF);
}

static void pointers(void **state)
{
	_cleanup_fd_ int fd = unix_in_place(AF_INET, SOCK_STREAM);
	int value = 1;
	socklen_t size = sizeof(value);

	assert_int_equal(result(set(fd, IPPROTO_TCP, TCP_NODELAY, BAD_POINTER, size)),
			 -EFAULT);
	assert_int_equal(result(set(fd, IPPROTO_TCP, TCP_NODELAY, &value, 3)), -EINVAL);
	assert_int_equal(result(set(fd, IPPROTO_TCP, TCP_CONGESTION, BAD_POINTER, size)),
			 -EFAULT);
	assert_int_equal(result(get(fd, IPPROTO_TCP, TCP_NODELAY, BAD_POINTER, &size)),
			 -EFAULT);
	assert_int_equal(result(get(fd, IPPROTO_TCP, TCP_NODELAY, &value, BAD_POINTER)),
			 -EFAULT);
	size = (socklen_t)-1;
	assert_int_equal(result(get(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size)),
			 -EINVAL);
	size = 1;
	value = 0x55555555;
	assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &size), 0);
	assert_int_equal(size, 1);
	assert_int_equal(value, 0x55555500 | (7200 & 0xff));
	size = 1;
	value = 0;
	assert_int_equal(get(fd, IPPROTO_IP, IP_TTL, &value, &size), 0);
	assert_int_equal(size, 1);
	assert_int_equal(value, 64);
	assert_int_equal(set(fd, IPPROTO_IP, IP_TOS, "\x10", 1), 0);
	size = sizeof(value);
	assert_int_equal(get(fd, IPPROTO_IP, IP_TOS, &value, &size), 0);
	assert_int_equal(value, 16);
}

static void congestion(void **state)
{
	_cleanup_fd_ int fd = unix_in_place(AF_INET, SOCK_STREAM);
	char text[32] = "";
	socklen_t size = sizeof(text);

	assert_int_equal(get(fd, IPPROTO_TCP, TCP_CONGESTION, text, &size), 0);
	assert_int_equal(size, 16);
	assert_string_equal(text, "cubic");
	assert_int_equal(set(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
	size = sizeof(text);
	assert_int_equal(get(fd, IPPROTO_TCP, TCP_CONGESTION, text, &size), 0);
	assert_string_equal(text, "reno");
	assert_int_equal(result(set(fd, IPPROTO_TCP, TCP_CONGESTION, "", 0)), -EINVAL);
	assert_int_equal(set(fd, IPPROTO_TCP, TCP_CONGESTION,
			     "far longer than any name of one", 31),
			 0);
}

static int state_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);

	assert_int_equal(get(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	assert_true(size <= sizeof(info) && info.tcpi_rtt > 0);
	return info.tcpi_state;
}

static void info(void **state)
{
	_cleanup_fd_ int server = unix_in_place(AF_INET, SOCK_STREAM);
	_cleanup_fd_ int fd = unix_in_place(AF_INET, SOCK_STREAM);
	union address name = { 0 };
	socklen_t len = sizeof(name), size = sizeof(int);
	int value, serving;

	assert_int_equal(state_of(fd), TCP_CLOSE);
	assert_int_equal(listen(server, 1), 0);
	assert_int_equal(state_of(server), TCP_LISTEN);
	assert_int_equal(getsockname(server, &name.any, &len), 0);
	assert_int_equal(connect(fd, &name.any, len), 0);
	assert_int_equal(state_of(fd), TCP_ESTABLISHED);
	assert_int_equal(get(fd, IPPROTO_TCP, TCP_MAXSEG, &value, &size), 0);
	assert_int_equal(value, 65483);
	serving = accept(server, NULL, NULL);
	assert_int_equal(shutdown(serving, SHUT_WR), 0);
	assert_int_equal(state_of(fd), TCP_CLOSE_WAIT);
	close(serving);
	assert_int_equal(state_of(fd), TCP_CLOSE);
}

/* Each socket has its own, and keeps it among many. */
static void many(void **state)
{
	int fds[500];

	for (int i = 0; i < 500; i++) {
		int idle = i + 1;

		fds[i] = unix_in_place(AF_INET, SOCK_STREAM);
		assert_int_equal(set(fds[i], IPPROTO_TCP, TCP_KEEPIDLE, &idle,
				     sizeof(idle)),
				 0);
	}
	for (int i = 0; i < 500; i++) {
		int idle = 0;
		socklen_t size = sizeof(idle);

		assert_int_equal(get(fds[i], IPPROTO_TCP, TCP_KEEPIDLE, &idle, &size), 0);
		assert_int_equal(idle, i + 1);
		close(fds[i]);
	}
}

static void carried(void **state)
{
	_cleanup_fd_ int tcp = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_fd_ int fd = unix_in_place(AF_INET6, SOCK_STREAM);
	int on = 1, value = 0;
	socklen_t size = sizeof(value);

	setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(tcp, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	unix_options_carry(tcp, fd);
	assert_int_equal(get(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
	assert_int_equal(value, 1);
	value = 0;
	assert_int_equal(get(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &size), 0);
	assert_int_equal(value, 1);
}

static int turn_on(void **state)
{
	struct policy *policy = policy_of("endpoint u unix /run/x\n"
					  "bind tcp 0.0.0.0:80 = u\n");

	view_start(policy);
	*state = policy;
	return !view_is_on(VIEW_UNIX);
}

static int turn_off(void **state)
{
	policy_free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_tcp),     cmocka_unit_test(levels),
		cmocka_unit_test(what_it_is), cmocka_unit_test(others_are_left_alone),
		cmocka_unit_test(pointers),   cmocka_unit_test(congestion),
		cmocka_unit_test(info),       cmocka_unit_test(many),
		cmocka_unit_test(carried),
	};

	return cmocka_run_group_tests(tests, turn_on, turn_off);
}
