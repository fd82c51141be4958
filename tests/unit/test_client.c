/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The asking side, against brokers that answer well, badly, or not at all. They are
 * children of the test.
 */
#include "sockets.h"

#include <signal.h>
#include <stdlib.h>

#include "broker/client.h"

static char directory[] = "/tmp/test_client.XXXXXX";
static char path[sizeof(directory) + 8];

static int listen_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
	unlink(name);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* What a broker does with one connection. */
static pid_t broker(void (*talk)(int via))
{
	int fd = listen_at(path);
	pid_t child = fork();

	if (child == 0) {
		talk(accept(fd, NULL, NULL));
		_exit(0);
	}
	fd_close(fd);
	return child;
}

static void send_message(int via, const struct wire_message *message, const int *fds,
			 size_t n_fds)
{
	if (broker_send(via, message, fds, n_fds) < 0)
		_exit(1);
}

static void receive(int via, enum wire_type type, struct wire_message *ret, int *ret_fd)
{
	size_t n_fds = 0;
	int fds[2] = { -1, -1 };

	if (broker_receive(via, ret, DEADLINE_MS, fds, 2, &n_fds) < 0 ||
	    ret->type != type)
		_exit(2);
	if (ret_fd)
		*ret_fd = fds[0];
}

/* Takes one ask. Return: where to answer. */
static int take_ask(int via, struct wire_message *ret, int *ret_socket)
{
	size_t n_fds = 0;
	int fds[2] = { -1, -1 };

	if (broker_receive(via, ret, DEADLINE_MS, fds, 2, &n_fds) < 0 ||
	    ret->type != WIRE_ASK || !(ret->ask.flags & WIRE_F_REPLY))
		_exit(2);
	if (ret_socket)
		*ret_socket = fds[1];
	return fds[0];
}

static void say_hello(int via)
{
	struct wire_message message;

	receive(via, WIRE_HELLO, &message, NULL);
	send_message(via, &(struct wire_message){ .type = WIRE_HELLO, .hello.pid = 1 },
		     NULL, 0);
}

static void talk_well(int via)
{
	struct wire_message message, grant = { .type = WIRE_GRANT };
	int fds[2], old = -1, reply;

	say_hello(via);
	reply = take_ask(via, &message, &old);
	if (strcmp(message.ask.name, "ep") != 0 ||
	    message.ask.flags != (WIRE_F_REPLY | WIRE_F_SOCKET) ||
	    option_of(old, SOL_SOCKET, SO_KEEPALIVE) != 1)
		_exit(3);
	fds[0] = socket(AF_INET, SOCK_DGRAM, 0);
	fds[1] = open("/", O_PATH);
	grant.grant.cookie = cookie_of(fds[0]);
	grant.grant.family = AF_INET;
	send_message(reply, &grant, fds, 2);
	fd_close(reply);
	reply = take_ask(via, &message, NULL);
	if (message.ask.flags != WIRE_F_REPLY)
		_exit(4);
	send_message(reply,
		     &(struct wire_message){ .type = WIRE_ERROR, .error.number = EACCES },
		     NULL, 0);
	reply = take_ask(via, &message, NULL);
	send_message(reply, &grant, fds, 2);
}

static void test_ask(void **state)
{
	struct wire_ask ask = { .op = WIRE_OP_CONNECT,
				.name = "ep",
				.family = AF_INET,
				.type = SOCK_DGRAM,
				.flags = WIRE_F_REPLY };
	int before = n_descriptors(), via, old, fd, place = 7;
	pid_t child = broker(talk_well);
	struct wire_grant grant;

	via = broker_open(path);
	assert_true(via >= 0);
	assert_int_equal(fcntl(via, F_GETFD), FD_CLOEXEC);
	old = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	set_on(old, SOL_SOCKET, SO_KEEPALIVE);
	fd = broker_ask(via, &ask, old, -1, &grant, &place);
	assert_true(fd >= 0);
	assert_int_equal(grant.cookie, cookie_of(fd));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(place >= 0);
	assert_int_equal(fcntl(place, F_GETFD), FD_CLOEXEC);
	fd_close(place);
	fd_close(fd);
	assert_int_equal(broker_ask(via, &ask, -1, -1, &grant, NULL), -EACCES);
	fd = broker_ask(via, &ask, -1, -1, &grant, NULL);
	assert_true(fd >= 0);
	fd_close(fd);
	assert_exits(child, 0);
	/* It is gone. */
	assert_int_equal(broker_ask(via, &ask, -1, -1, &grant, NULL), -ENETDOWN);
	fd_close(old);
	fd_close(via);
	assert_int_equal(n_descriptors(), before);
}

static void talk_without_socket(int via)
{
	struct wire_message message;

	via = take_ask(via, &message, NULL);
	send_message(via, &(struct wire_message){ .type = WIRE_GRANT }, NULL, 0);
}

static void talk_garbage(int via)
{
	int fd = open("/", O_PATH);
	struct wire_message message;

	via = take_ask(via, &message, NULL);
	(void)!fd_send(via, "garbage", 7, &fd, 1);
}

static void talk_big_number(int via)
{
	struct wire_message message;

	via = take_ask(via, &message, NULL);
	send_message(via,
		     &(struct wire_message){ .type = WIRE_ERROR,
					     .error.number = UINT32_MAX },
		     NULL, 0);
}

static void test_bad_answers(void **state)
{
	void (*const talks[])(int) = { talk_without_socket, talk_garbage,
				       talk_big_number };
	struct wire_ask ask = { .op = WIRE_OP_CONNECT, .name = "ep" };
	int before = n_descriptors();
	struct wire_grant grant;

	for (size_t i = 0; i < ARRAY_SIZE(talks); i++) {
		pid_t child = broker(talks[i]);
		int via = broker_connect(path);

		assert_true(via >= 0);
		assert_int_equal(broker_ask(via, &ask, -1, -1, &grant, NULL), -ENETDOWN);
		fd_close(via);
		assert_exits(child, 0);
	}
	assert_int_equal(n_descriptors(), before);
}

static void talk_refuse(int via)
{
	struct wire_message message;

	receive(via, WIRE_HELLO, &message, NULL);
	send_message(via,
		     &(struct wire_message){ .type = WIRE_ERROR, .error.number = EDQUOT },
		     NULL, 0);
}

static void test_refused(void **state)
{
	pid_t child = broker(talk_refuse);

	assert_int_equal(broker_open(path), -EDQUOT);
	assert_exits(child, 0);
}

static void test_nobody(void **state)
{
	char longer[200];

	fd_close(listen_at(path));
	assert_int_equal(broker_connect(path), -ECONNREFUSED);
	unlink(path);
	assert_int_equal(broker_connect(path), -ENOENT);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(broker_connect(longer), -ENAMETOOLONG);
}

static void test_silent(void **state)
{
	int fd = listen_at(path), via = broker_connect(path), inner, fds[1];
	struct wire_message message = { .type = WIRE_BYE };
	size_t n_fds = 7;

	assert_true(via >= 0);
	assert_int_equal(broker_receive(via, &message, 10, fds, 1, &n_fds), -ETIMEDOUT);
	assert_int_equal(n_fds, 7);
	inner = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	/* Surplus descriptors do not stay with us. */
	assert_int_equal(broker_send(inner, &message, (int[]){ fd, via }, 2), 0);
	assert_int_equal(broker_receive(via, &message, DEADLINE_MS, fds, 1, &n_fds), 0);
	assert_int_equal(message.type, WIRE_BYE);
	assert_int_equal(n_fds, 1);
	fd_close(fds[0]);
	fd_close(inner);
	assert_int_equal(broker_receive(via, &message, DEADLINE_MS, fds, 1, &n_fds),
			 -ECONNRESET);
	fd_close(via);
	fd_close(fd);
}

static void test_path(void **state)
{
	assert_int_equal(unsetenv("GRAFT_SOCKET"), 0);
	assert_string_equal(broker_path(), BROKER_SOCKET);
	assert_int_equal(setenv("GRAFT_SOCKET", "", 1), 0);
	assert_string_equal(broker_path(), BROKER_SOCKET);
	assert_int_equal(setenv("GRAFT_SOCKET", path, 1), 0);
	assert_string_equal(broker_path(), path);
	unlink(path);
	assert_int_equal(broker_connect(NULL), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ask),     cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_silent),  cmocka_unit_test(test_path),
	};
	int r;

	if (!mkdtemp(directory))
		return 1;
	snprintf(path, sizeof(path), "%s/s", directory);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(directory);
	return r;
}
