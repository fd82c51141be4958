/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sockets.h"

#include <signal.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "broker/supply.h"
#include "stack/stack.h"

static struct event_loop loop;
static struct stack *host;
static int n_ended, n_asked, allowed;

static int allow(void *context)
{
	n_asked++;
	return allowed;
}

static void ended(void *context, struct supply *supply)
{
	n_ended++;
}

static struct supply_request request_for(int end)
{
	n_ended = n_asked = allowed = 0;
	return (struct supply_request){
		.loop = &loop,
		.stack = host,
		.family = AF_INET,
		.type = SOCK_STREAM,
		.uid = geteuid(),
		.gid = getegid(),
		.end = end,
		.allow = allow,
		.ended = ended,
	};
}

/* Return: the program's end. */
static int start(struct supply **ret)
{
	struct supply_request request;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	request = request_for(pair[1]);
	assert_int_equal(supply_new(ret, &request), 0);
	return pair[0];
}

/* Return: a socket, or -1 when there is none on its way. */
static int take(int end)
{
	struct pollfd poll_fd = { .fd = end, .events = POLLIN };
	size_t n_fds = 0;
	int fd = -1;
	char byte;

	if (poll(&poll_fd, 1, 0) == 0)
		return -1;
	if (fd_receive(end, &byte, 1, &fd, 1, &n_fds) != 1)
		return -1;
	assert_int_equal(n_fds, 1);
	return fd;
}

static int take_all(int end)
{
	int n = 0;

	for (;; n++) {
		int fd = take(end);

		if (fd < 0)
			return n;
		fd_close(fd);
	}
}

static void test_full(void **state)
{
	struct supply *supply;
	int fd, end = start(&supply);

	fd = take(end);
	assert_true(fd >= 0);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	fd_close(fd);
	assert_int_equal(take_all(end), SUPPLY_AHEAD - 1);
	settle(&loop);
	assert_int_equal(take_all(end), SUPPLY_AHEAD);
	supply_free(supply);
	fd_close(end);
}

/* Nobody is woken until three quarters are gone. */
static void test_wakes_rarely(void **state)
{
	struct supply *supply;
	int end = start(&supply);

	settle(&loop);
	n_asked = 0;
	for (int i = 0; i < SUPPLY_AHEAD / 2; i++)
		fd_close(take(end));
	settle(&loop);
	assert_int_equal(n_asked, 0);
	for (int i = 0; i < SUPPLY_AHEAD / 4 + 1; i++)
		fd_close(take(end));
	settle(&loop);
	assert_int_equal(n_asked, 1);
	assert_int_equal(take_all(end), SUPPLY_AHEAD);
	supply_free(supply);
	fd_close(end);
}

static void test_peer_closes(void **state)
{
	int before = n_descriptors();
	struct supply *supply;
	int end = start(&supply);

	fd_close(end);
	settle(&loop);
	assert_int_equal(n_ended, 1);
	supply_free(supply);
	assert_int_equal(n_descriptors(), before);
}

static void test_peer_is_gone_before(void **state)
{
	int before = n_descriptors(), pair[2];
	struct supply_request request;
	struct supply *supply = NULL;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	fd_close(pair[0]);
	request = request_for(pair[1]);
	assert_int_equal(supply_new(&supply, &request), -EPIPE);
	assert_null(supply);
	assert_int_equal(close(pair[1]), 0);
	assert_int_equal(n_descriptors(), before);
	settle(&loop);
	assert_int_equal(n_ended, 0);
}

static void test_refused(void **state)
{
	struct supply *supply;
	int end = start(&supply);

	allowed = -EACCES;
	assert_int_equal(take_all(end), SUPPLY_AHEAD);
	settle(&loop);
	assert_int_equal(n_ended, 1);
	supply_free(supply);
	assert_int_equal(take_all(end), 0);
	fd_close(end);
}

static void test_refused_at_once(void **state)
{
	struct supply_request request;
	struct supply *supply = NULL;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	request = request_for(pair[1]);
	allowed = -EDQUOT;
	assert_int_equal(supply_new(&supply, &request), -EDQUOT);
	assert_int_equal(n_ended, 0);
	fd_close(pair[0]);
	fd_close(pair[1]);
}

static void test_impossible_socket(void **state)
{
	struct supply_request request;
	struct supply *supply = NULL;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	request = request_for(pair[1]);
	request.protocol = IPPROTO_UDP;
	assert_int_equal(supply_new(&supply, &request), -EPROTONOSUPPORT);
	fd_close(pair[0]);
	fd_close(pair[1]);
}

static void test_strange_ends(void **state)
{
	struct supply_request request;
	struct supply *supply = NULL;
	int pair[2];

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	request = request_for(pair[1]);
	assert_int_equal(supply_new(&supply, &request), -ENOTSOCK);
	fd_close(pair[0]);
	fd_close(pair[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	request = request_for(pair[1]);
	assert_int_equal(supply_new(&supply, &request), -EPROTOTYPE);
	fd_close(pair[0]);
	fd_close(pair[1]);
}

/* A program that kept a copy of our end and makes it larger, blocking, and full. */
static void test_hostile_copy(void **state)
{
	struct supply_request request;
	struct supply *supply;
	const int size = 1 << 20;
	int pair[2], copy, n_wakes = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	copy = dup(pair[1]);
	request = request_for(pair[1]);
	assert_int_equal(supply_new(&supply, &request), 0);
	setsockopt(copy, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	fcntl(copy, F_SETFL, 0);
	while (event_loop_run_once(&loop, 0) > 0)
		assert_true(++n_wakes < 10);
	fd_close(take(pair[0]));
	while (event_loop_run_once(&loop, 0) > 0)
		assert_true(++n_wakes < 10);
	assert_true(take_all(pair[0]) <= SUPPLY_AHEAD);
	fd_close(copy);
	fd_close(pair[0]);
	settle(&loop);
	assert_int_equal(n_ended, 1);
	supply_free(supply);
}

/* Short of descriptors: what is there is there, and the rest comes later. */
static void test_shortage(void **state)
{
	struct rlimit before, tight;
	struct supply *supply;
	int end = start(&supply);

	assert_int_equal(take_all(end), SUPPLY_AHEAD);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = (struct rlimit){ 3, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	settle(&loop);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(n_ended, 0);
	assert_int_equal(take(end), -1);
	event_loop_run_once(&loop, DEADLINE_MS);
	settle(&loop);
	assert_int_equal(take_all(end), SUPPLY_AHEAD);
	supply_free(supply);
	fd_close(end);
}

/* More on their way than the kernel allows one user: the rest comes when some are taken.
 * The process has a user of its own, for the kernel counts by user. */
static void many_supplies(void)
{
	const struct rlimit limit = { 3 * SUPPLY_AHEAD, 3 * SUPPLY_AHEAD };
	struct supply *supplies[6];
	int ends[ARRAY_SIZE(supplies)], n = 0;
	uint64_t until = event_now_ns() + DEADLINE_MS * 1000000ull;

	if (setresuid(61234, 61234, 61234) < 0 || setrlimit(RLIMIT_NOFILE, &limit) < 0)
		_exit(1);
	for (size_t i = 0; i < ARRAY_SIZE(supplies); i++)
		ends[i] = start(&supplies[i]);
	n = take_all(ends[ARRAY_SIZE(ends) - 1]);
	if (n == SUPPLY_AHEAD || n_ended)
		_exit(2); /* the limit was not met */
	for (size_t i = 0; i < ARRAY_SIZE(ends) - 1; i++)
		take_all(ends[i]);
	for (; n < SUPPLY_AHEAD; n += take_all(ends[ARRAY_SIZE(ends) - 1])) {
		if (event_now_ns() > until)
			_exit(3);
		for (size_t i = 0; i < ARRAY_SIZE(ends) - 1; i++)
			take_all(ends[i]);
		event_loop_run_once(&loop, 200);
	}
	_exit(n_ended ? 4 : 0);
}

static void test_too_many_on_their_way(void **state)
{
	pid_t child;

	if (geteuid() != 0)
		skip();
	child = fork();
	if (child == 0)
		many_supplies();
	assert_exits(child, 0);
}

static void test_source(void **state)
{
	union address asked = address_of("127.0.0.9", 0), local;
	struct supply_request request;
	struct supply *supply;
	int pair[2], fd;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	request = request_for(pair[1]);
	request.source.address = asked.storage;
	request.source.len = sizeof(asked.v4);
	assert_int_equal(supply_new(&supply, &request), 0);
	fd = take(pair[0]);
	local = local_of(fd);
	assert_int_equal(local.v4.sin_addr.s_addr, asked.v4.sin_addr.s_addr);
	assert_int_equal(address_port(&local), 0);
	fd_close(fd);
	fd_close(pair[0]);
	supply_free(supply);
}

/* They are their user's, and we are who we were. */
static void test_owner(void **state)
{
	struct supply_request request;
	struct supply *supply;
	struct stat st;
	int pair[2], fd;

	if (geteuid() != 0)
		skip();
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	request = request_for(pair[1]);
	request.uid = 61234;
	request.gid = 61235;
	assert_int_equal(supply_new(&supply, &request), 0);
	assert_int_equal(setfsuid((uid_t)-1), geteuid());
	assert_int_equal(setfsgid((gid_t)-1), getegid());
	fd = take(pair[0]);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_uid, 61234);
	assert_int_equal(st.st_gid, 61235);
	fd_close(fd);
	fd_close(pair[0]);
	supply_free(supply);
}

/* The program shares its end with children and is killed with sockets on their way. */
static void test_killed(void **state)
{
	int before = n_descriptors();
	struct supply *supply;
	int end = start(&supply);
	pid_t child = fork();

	if (child == 0) {
		fd_close(take(end));
		raise(SIGKILL);
	}
	fd_close(end);
	assert_int_equal(waitpid(child, NULL, 0), child);
	settle(&loop);
	assert_int_equal(n_ended, 1);
	supply_free(supply);
	assert_int_equal(n_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_wakes_rarely),
		cmocka_unit_test(test_peer_closes),
		cmocka_unit_test(test_peer_is_gone_before),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_at_once),
		cmocka_unit_test(test_impossible_socket),
		cmocka_unit_test(test_strange_ends),
		cmocka_unit_test(test_hostile_copy),
		cmocka_unit_test(test_shortage),
		cmocka_unit_test(test_too_many_on_their_way),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_killed),
	};
	int r = enter_namespace();

	if (r)
		return r;
	if (event_loop_init(&loop) < 0 || stack_host_new(&host) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	stack_free(host);
	event_loop_deinit(&loop);
	return r;
}
