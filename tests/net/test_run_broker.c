/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The broker of a run and its clients, in one process: the test is host, program and
 * graftd in turn, and drives the broker's loop while it waits for an answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/address.h"
#include "base/event.h"
#include "base/fd.h"
#include "base/process.h"
#include "broker/client.h"
#include "policy/policy.h"
#include "run/broker.h"
#include "run/grafts.h"
#include "run/loopback.h"
#include "run/stacks.h"
#include "stack/stack.h"
#include "wire/wire.h"

#define WAIT_MS 5000

static const char text[] = "endpoint web ipv4 127.0.0.1:18080 bound\n"
			   "endpoint any ipv4 127.0.0.1:dynamic\n"
			   "endpoint both ipv4 127.0.0.1:18081 share\n"
			   "bind tcp 0.0.0.0:80 = web\n"
			   "connect tcp 127.0.0.1:80 = web\n"
			   "bind tcp 0.0.0.0:81 = any\n"
			   "connect tcp 127.0.0.1:81 = any\n"
			   "connect tcp 10.1.0.0/16 = deny:EHOSTUNREACH\n"
			   "connect tcp 10.0.0.0/8 = host\n"
			   "connect tcp 192.0.2.0/24 = registered\n";

static struct event_loop loop;
static struct policy *policy;
static struct stacks stacks;
static struct grafts *grafts;
static struct run_broker *broker;
static char broker_name[RUN_BROKER_NAME_SIZE];
static char directory[] = "/tmp/test_run_broker.XXXXXX", graftd_path[64];

/* --- driving --- */

/* Runs the broker until @fd is ready. Return: whether it is. */
static bool await(int fd)
{
	uint64_t until = event_now_ns() + WAIT_MS * 1000000ull;

	while (event_now_ns() < until) {
		struct pollfd ready = { fd, POLLIN, 0 };

		if (poll(&ready, 1, 0) == 1)
			return true;
		assert_true(event_loop_run_once(&loop, 10) >= 0);
	}
	return false;
}

static int connect_broker(void)
{
	int fd = broker_connect(broker_name);

	assert_true(fd >= 0);
	return fd;
}

static void send_to(int via, const struct wire_message *message, const int *fds, size_t n)
{
	assert_int_equal(broker_send(via, message, fds, n), 0);
}

/* Return: what was answered; up to two descriptors in @fds. */
static struct wire_message receive(int via, int *fds, size_t *n)
{
	struct wire_message answer;

	assert_true(await(via));
	assert_int_equal(broker_receive(via, &answer, WAIT_MS, fds, 2, n), 0);
	return answer;
}

static struct wire_message new_ask(enum wire_op op, const char *name, const char *ip,
				   uint16_t port)
{
	struct wire_message message = { .type = WIRE_ASK };
	struct sockaddr_in *in = (struct sockaddr_in *)&message.ask.address.address;

	message.ask.op = op;
	message.ask.family = AF_INET;
	message.ask.type = SOCK_STREAM;
	wire_set_text(message.ask.name, sizeof(message.ask.name), name);
	if (ip) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		inet_pton(AF_INET, ip, &in->sin_addr);
		message.ask.address.len = sizeof(*in);
	}
	return message;
}

/* Asks on @via. Return: the socket granted, or the errno of the answer, negative. */
static int ask(int via, enum wire_op op, const char *name, const char *ip, uint16_t port,
	       struct wire_grant *ret)
{
	struct wire_message message = new_ask(op, name, ip, port);
	int fds[2];
	size_t n = 0;

	send_to(via, &message, NULL, 0);
	message = receive(via, fds, &n);
	if (message.type == WIRE_ERROR) {
		assert_int_equal(n, 0);
		return -(int)message.error.number;
	}
	assert_int_equal(message.type, WIRE_GRANT);
	assert_int_equal(n, 1);
	if (ret)
		*ret = message.grant;
	return fds[0];
}

static uint16_t port_of(const struct wire_grant *grant)
{
	return ntohs(((const struct sockaddr_in *)&grant->address.address)->sin_port);
}

/* --- cases --- */

static void test_policy(void **state)
{
	struct wire_message message = { .type = WIRE_ASK_POLICY };
	char *wanted = policy_print(policy), got[4096] = "";
	int via = connect_broker(), fd;
	size_t n = 0;

	send_to(via, &message, NULL, 0);
	message = receive(via, &fd, &n);
	assert_int_equal(message.type, WIRE_POLICY);
	assert_int_equal(n, 1);
	assert_true(pread(fd, got, sizeof(got) - 1, 0) > 0);
	assert_string_equal(got, wanted);
	assert_true(strstr(got, "connect tcp 192.0.2.0/24 = registered"));
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	free(wanted);
	fd_close(fd);
	fd_close(via);
}

static void test_bind(void **state)
{
	struct graft_note note;
	struct wire_grant grant;
	int via = connect_broker(), fd, client;

	assert_int_equal(ask(via, WIRE_OP_CONNECT, "web", "127.0.0.1", 80, NULL),
			 -ENOENT);
	fd = ask(via, WIRE_OP_BIND, "web", "0.0.0.0", 80, &grant);
	assert_true(fd >= 0);
	assert_int_equal(port_of(&grant), 18080);
	assert_true(grant.flags & WIRE_F_BOUND);
	assert_true(grafts_find(grafts, grant.cookie, &note));
	assert_int_equal(note.rule, 0);
	assert_int_equal(ask(via, WIRE_OP_BIND, "web", "0.0.0.0", 80, NULL), -EADDRINUSE);
	assert_int_equal(listen(fd, 1), 0);
	client = ask(via, WIRE_OP_CONNECT, "web", "127.0.0.1", 80, &grant);
	assert_true(client >= 0);
	assert_int_equal(connect(client, (struct sockaddr *)&grant.address.address,
				 grant.address.len),
			 0);
	assert_true(grafts_find(grafts, grant.cookie, &note));
	assert_int_equal(note.rule, 1);
	fd_close(client);
	fd_close(fd);
	assert_int_equal(ask(via, WIRE_OP_CONNECT, "web", "127.0.0.1", 80, NULL),
			 -ENOENT);
	fd_close(via);
}

static void test_dynamic(void **state)
{
	struct wire_grant bound, grant;
	int via = connect_broker(), fd, client;

	assert_int_equal(ask(via, WIRE_OP_CONNECT, "any", "127.0.0.1", 81, NULL),
			 -ECONNREFUSED);
	fd = ask(via, WIRE_OP_BIND, "any", "0.0.0.0", 81, &bound);
	assert_true(fd >= 0);
	assert_int_not_equal(port_of(&bound), 0);
	client = ask(via, WIRE_OP_CONNECT, "any", "127.0.0.1", 81, &grant);
	assert_true(client >= 0);
	assert_int_equal(port_of(&grant), port_of(&bound));
	fd_close(client);
	fd_close(fd);
	fd_close(via);
}

static void test_share(void **state)
{
	int via = connect_broker();
	int one = ask(via, WIRE_OP_BIND, "both", NULL, 0, NULL);
	int two = ask(via, WIRE_OP_BIND, "both", NULL, 0, NULL);

	assert_true(one >= 0 && two >= 0);
	fd_close(one);
	fd_close(two);
	fd_close(via);
}

/* What no rule gives, whatever the program claims. */
static void test_denied(void **state)
{
	struct wire_message message;
	struct run_broker_counters before, after;
	int via = connect_broker(), fd;
	size_t n;

	run_broker_get_counters(broker, &before);
	assert_int_equal(ask(via, WIRE_OP_CONNECT, "host", "10.1.2.3", 80, NULL),
			 -EHOSTUNREACH);
	assert_int_equal(ask(via, WIRE_OP_CONNECT, "host", "127.0.0.1", 22, NULL),
			 -EACCES);
	assert_int_equal(ask(via, WIRE_OP_BIND, "host", "0.0.0.0", 22, NULL), -EACCES);
	assert_int_equal(ask(via, WIRE_OP_BIND, "web", "0.0.0.0", 81, NULL), -EACCES);
	assert_int_equal(ask(via, WIRE_OP_CONNECT, "host", NULL, 0, NULL), -EINVAL);
	run_broker_get_counters(broker, &after);
	assert_int_equal(after.n_refused - before.n_refused, 3);
	assert_int_equal(after.n_asks - before.n_asks, 5);
	message = new_ask(WIRE_OP_CONNECT, "host", "10.2.3.4", 80);
	message.ask.type = SOCK_RAW;
	send_to(via, &message, NULL, 0);
	message = receive(via, &fd, &n);
	assert_int_equal(message.type, WIRE_ERROR);
	fd = ask(via, WIRE_OP_CONNECT, "host", "10.2.3.4", 80, NULL);
	assert_true(fd >= 0);
	fd_close(fd);
	fd_close(via);
}

/* Options go along, and the answer comes where it is wanted. */
static void test_reply(void **state)
{
	struct wire_message message = new_ask(WIRE_OP_BIND, "web", "0.0.0.0", 80);
	int via = connect_broker(), pair[2], fds[2], on = 1;
	socklen_t size = sizeof(on);
	size_t n;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	fds[0] = pair[1];
	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fds[1], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	message.ask.flags = WIRE_F_REPLY | WIRE_F_SOCKET;
	send_to(via, &message, fds, 2);
	fd_close(fds[1]);
	message = receive(pair[0], fds, &n);
	assert_int_equal(message.type, WIRE_GRANT);
	on = 0;
	assert_int_equal(getsockopt(fds[0], SOL_SOCKET, SO_KEEPALIVE, &on, &size), 0);
	assert_int_equal(on, 1);
	fd_close(fds[0]);
	fd_close(pair[0]);
	fd_close(pair[1]);
	fd_close(via);
}

static int ask_supply(int via, const char *name, int type, int *ret_end)
{
	struct wire_message message = new_ask(WIRE_OP_CONNECT, name, NULL, 0);
	int pair[2], fds[2];
	size_t n;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	message.type = WIRE_ASK_SUPPLY;
	message.ask.type = (uint32_t)type;
	send_to(via, &message, &pair[1], 1);
	fd_close(pair[1]);
	message = receive(via, fds, &n);
	*ret_end = pair[0];
	return message.type == WIRE_BYE ? 0 : -(int)message.error.number;
}

static void test_supply(void **state)
{
	int via = connect_broker(), end;

	assert_int_equal(ask_supply(via, "host", SOCK_DGRAM, &end), -EACCES);
	fd_close(end);
	assert_int_equal(ask_supply(via, "host", SOCK_STREAM, &end), 0);
	for (int i = 0; i < 200; i++) {
		size_t n = 0;
		char byte;
		int fd;

		assert_true(await(end));
		assert_int_equal(fd_receive(end, &byte, 1, &fd, 1, &n), 1);
		assert_int_equal(n, 1);
		fd_close(fd);
	}
	fd_close(end);
	fd_close(via);
}

/* Each costs its sender the connection at most. */
static void test_hostile(void **state)
{
	struct wire_message message = new_ask(WIRE_OP_BIND, "any", "0.0.0.0", 81);
	int via = connect_broker(), other = connect_broker(), null, fd;
	int fds[8];
	char byte;

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (size_t i = 0; i < 8; i++)
		fds[i] = null;
	assert_int_equal(send(via, "garbage", 7, 0), 7);
	assert_true(await(via));
	assert_int_equal(recv(via, &byte, 1, MSG_DONTWAIT), 0);
	fd_close(via);
	via = connect_broker();
	send_to(via, &message, fds, 8);
	assert_true(await(via));
	assert_true(recv(via, &byte, 1, MSG_DONTWAIT) <= 0);
	fd_close(via);
	via = connect_broker();
	message.ask.flags = WIRE_F_REPLY;
	send_to(via, &message, fds, 1); /* no socket at all */
	fd = ask(via, WIRE_OP_CONNECT, "host", "10.2.3.4", 80, NULL);
	assert_true(fd >= 0);
	fd_close(fd);
	fd = ask(other, WIRE_OP_CONNECT, "host", "10.2.3.4", 80, NULL);
	assert_true(fd >= 0);
	fd_close(fd);
	fd_close(null);
	fd_close(via);
	fd_close(other);
}

/* One that never reads loses its connection; others are served. */
static void test_never_reading(void **state)
{
	int via = connect_broker(), other = connect_broker(), fd;
	struct wire_message message = { .type = WIRE_ASK_POLICY };
	char data[WIRE_MAX];
	ssize_t n = wire_write(&message, data, sizeof(data));
	int i;

	for (i = 0; i < 100000; i++) {
		if (send(via, data, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
		    errno != EAGAIN)
			break;
		assert_true(event_loop_run_once(&loop, 0) >= 0);
	}
	assert_int_equal(errno, EPIPE);
	fd = ask(other, WIRE_OP_CONNECT, "host", "10.2.3.4", 80, NULL);
	assert_true(fd >= 0);
	fd_close(fd);
	fd_close(via);
	fd_close(other);
}

/* Another namespace has no such name. */
static void test_stranger(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(unshare(CLONE_NEWNET) < 0
			      ? 77
			      : -broker_connect(broker_name) != ECONNREFUSED);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- graftd, played by the test --- */

static int listen_graftd(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	unlink(graftd_path);
	memcpy(address.sun_path, graftd_path, strlen(graftd_path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* Takes one ask as graftd. Return: where to answer. */
static int graftd_take(int connection, struct wire_message *ret)
{
	int fds[2];
	size_t n = 0;

	*ret = receive(connection, fds, &n);
	assert_int_equal(ret->type, WIRE_ASK);
	assert_true(ret->ask.flags & WIRE_F_REPLY);
	/* A bind names the process that it is for. */
	if (ret->ask.op == WIRE_OP_BIND) {
		assert_true(ret->ask.flags & WIRE_F_FOR);
		assert_int_equal(n, 2);
		assert_int_equal(process_of(fds[1]), getpid());
		fd_close(fds[1]);
	} else {
		assert_int_equal(n, 1);
	}
	return fds[0];
}

static void test_registry(void **state)
{
	int graftd, connection, reply, via = connect_broker(), fds[2], fd;
	struct wire_message message, asked;
	struct graft_note note;
	size_t n;

	assert_int_equal(ask(via, WIRE_OP_CONNECT, "registered", "192.0.2.1", 1, NULL),
			 -ENETDOWN);
	assert_int_equal(ask(via, WIRE_OP_CONNECT, "registered", "10.0.0.1", 1, NULL),
			 -EACCES);
	graftd = listen_graftd();
	message = new_ask(WIRE_OP_CONNECT, "registered", "192.0.2.1", 1);
	send_to(via, &message, NULL, 0);
	assert_true(await(graftd));
	connection = accept(graftd, NULL, NULL);
	reply = graftd_take(connection, &asked);
	assert_string_equal(asked.ask.name, "registered");
	/* It dies with the ask in hand, and another one comes. */
	fd_close(connection);
	fd_close(reply);
	assert_true(await(graftd));
	connection = accept(graftd, NULL, NULL);
	reply = graftd_take(connection, &asked);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	asked = (struct wire_message){ .type = WIRE_GRANT };
	asked.grant = (struct wire_grant){ .family = AF_INET, .cookie = 4711 };
	send_to(reply, &asked, &fd, 1);
	fd_close(reply);
	fd_close(fd);
	message = receive(via, fds, &n);
	assert_int_equal(message.type, WIRE_GRANT);
	assert_int_equal(n, 1);
	fd_close(fds[0]);
	assert_true(grafts_find(grafts, 4711, &note));
	assert_int_equal(note.rule, 6);
	/* A no is passed on. */
	message = new_ask(WIRE_OP_BIND, "unheard", NULL, 0);
	send_to(via, &message, NULL, 0);
	reply = graftd_take(connection, &asked);
	asked = (struct wire_message){ .type = WIRE_ERROR };
	asked.error.number = ENOENT;
	send_to(reply, &asked, NULL, 0);
	fd_close(reply);
	message = receive(via, fds, &n);
	assert_int_equal(message.type, WIRE_ERROR);
	assert_int_equal(message.error.number, ENOENT);
	fd_close(connection);
	fd_close(graftd);
	fd_close(via);
}

/* --- setting up --- */

static int set_up(void **state)
{
	struct policy_error error;
	struct run_broker_config config = { .loop = &loop, .stacks = &stacks };
	int listener;

	if (loopback_up() < 0 || event_loop_init(&loop) < 0)
		return -1;
	policy = policy_new();
	policy_allow_named(policy);
	if (policy_add_text(policy, "text", text, strlen(text), &error) < 0 ||
	    policy_seal(policy, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return -1;
	}
	if (stack_host_new(&stacks.host) < 0)
		return -1;
	stacks.own = stacks.host;
	grafts = grafts_new();
	config.policy = policy;
	config.grafts = grafts;
	listener = run_broker_listen(broker_name);
	if (listener < 0)
		return -1;
	return run_broker_new(&broker, &config, listener);
}

static int tear_down(void **state)
{
	run_broker_free(broker);
	grafts_free(grafts);
	stack_free(stacks.host);
	policy_free(policy);
	event_loop_deinit(&loop);
	unlink(graftd_path);
	rmdir(directory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy),        cmocka_unit_test(test_bind),
		cmocka_unit_test(test_dynamic),       cmocka_unit_test(test_share),
		cmocka_unit_test(test_denied),        cmocka_unit_test(test_reply),
		cmocka_unit_test(test_supply),        cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_never_reading), cmocka_unit_test(test_stranger),
		cmocka_unit_test(test_registry),
	};

	if (unshare((geteuid() ? CLONE_NEWUSER : 0) | CLONE_NEWNET) < 0) {
		printf("skipped: no namespaces for this user here\n");
		return 77;
	}
	if (!mkdtemp(directory))
		return 1;
	snprintf(graftd_path, sizeof(graftd_path), "%s/graftd.sock", directory);
	setenv("GRAFT_SOCKET", graftd_path, 1);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
