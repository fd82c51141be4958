/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Servers are children of the test, which get the socket by fork and say over a pipe what
 * they did.
 */
#include "sockets.h"

#include <linux/graft.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "broker/grant.h"
#include "broker/hold.h"
#include "stack/stack.h"

static struct event_loop loop;
static struct stack *host;
static char directory[] = "/tmp/test_hold.XXXXXX";

static struct wire_ask ask;
static struct endpoint endpoint;
static struct grant_request request;
static struct wire_grant grant;

static void ask_for(int family, int type, const char *place, uint16_t port)
{
	ask = (struct wire_ask){ .op = WIRE_OP_BIND,
				 .family = (uint32_t)family,
				 .type = (uint32_t)type };
	endpoint = (struct endpoint){ .port = port,
				      .dynamic = port == 0,
				      .options = ENDPOINT_HOLD };
	request = (struct grant_request){
		.ask = &ask, .endpoint = &endpoint, .stack = host, .socket = -1
	};
	if (place[0] == '/') {
		endpoint.kind = ENDPOINT_UNIX;
		endpoint.path = (char *)place;
	} else {
		endpoint.kind = ENDPOINT_IPV4;
		assert_int_equal(inet_pton(AF_INET, place, &endpoint.v4), 1);
	}
}

/* The first server's socket, and what keeps it. */
static int make(struct hold **ret)
{
	int fd = grant_make(&request, &grant, NULL);

	assert_true(fd >= 0);
	assert_int_equal(hold_new(ret, &loop, fcntl(fd, F_DUPFD_CLOEXEC, 0)), 0);
	assert_int_equal(hold_cookie(*ret), grant.cookie);
	return fd;
}

static bool listens(int fd)
{
	return option_of(fd, SOL_SOCKET, SO_ACCEPTCONN);
}

/* Runs the loop until the held socket listens. */
static void await_listening(struct hold *hold)
{
	uint64_t end = event_now_ns() + DEADLINE_MS * 1000000ull;

	while (!listens(hold_socket(hold))) {
		assert_true(event_now_ns() < end);
		event_loop_run_once(&loop, 100);
	}
}

/* Runs the loop for some time, in which nothing is to happen. */
static void run_for(int ms)
{
	uint64_t end = event_now_ns() + (uint64_t)ms * 1000000ull;

	while (event_now_ns() < end)
		event_loop_run_once(&loop, 5);
}

static int connect_to(const struct wire_address *address, int type)
{
	int fd = socket(address->address.ss_family, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, (const struct sockaddr *)&address->address, address->len) == 0)
		return fd;
	fd_close(fd);
	return -errno;
}

struct server {
	pid_t pid;
	int line; /* a byte each way */
};

/* A process that has @fd, does @work at a word, and stays until the next. */
static struct server serve(int fd, void (*work)(int fd))
{
	struct server server;
	int pair[2];
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	server.pid = fork();
	if (server.pid == 0) {
		for (int other = 3; other < 1024; other++)
			if (other != fd && other != pair[1])
				close(other);
		while (read(pair[1], &byte, 1) == 1) {
			work(fd);
			(void)!write(pair[1], "x", 1);
		}
		_exit(0);
	}
	fd_close(pair[1]);
	fd_close(fd);
	server.line = pair[0];
	return server;
}

static void tell(const struct server *server)
{
	char byte;

	assert_int_equal(write(server->line, "x", 1), 1);
	assert_int_equal(read(server->line, &byte, 1), 1);
}

static void end(struct server *server)
{
	kill(server->pid, SIGKILL);
	assert_int_equal(waitpid(server->pid, NULL, 0), server->pid);
	server->line = fd_close(server->line);
}

static void do_nothing(int fd)
{
}

static void do_listen(int fd)
{
	listen(fd, 16);
}

static void do_close(int fd)
{
	close(fd);
}

static void do_shutdown(int fd)
{
	shutdown(fd, SHUT_RDWR);
}

static void do_shutdown_close(int fd)
{
	shutdown(fd, SHUT_RDWR);
	close(fd);
}

static void test_taken(void **state)
{
	struct hold *hold;
	struct server server;

	ask_for(AF_INET, SOCK_STREAM, "127.0.0.1", 7101);
	server = serve(make(&hold), do_close);
	assert_false(hold_is_taken(hold, 0));
	hold_note(hold, server.pid);
	assert_true(hold_is_taken(hold, 0));
	assert_true(hold_is_taken(hold, server.pid));
	tell(&server);
	assert_false(hold_is_taken(hold, server.pid));
	end(&server);
	assert_false(hold_is_taken(hold, 0));
	hold_free(hold);
}

/* Granted, and not received yet. */
static void test_underway(void **state)
{
	struct hold *hold;
	struct server server;
	uint64_t until;

	ask_for(AF_INET, SOCK_STREAM, "127.0.0.1", 7102);
	server = serve(make(&hold), do_close);
	tell(&server);
	hold_note(hold, server.pid);
	assert_true(hold_is_taken(hold, 1));
	assert_false(hold_is_taken(hold, server.pid));
	until = event_now_ns() + DEADLINE_MS * 1000000ull;
	while (hold_is_taken(hold, 1)) {
		assert_true(event_now_ns() < until);
		event_loop_run_once(&loop, 10);
	}
	end(&server);
	hold_free(hold);
}

/* A process of the same number is not the same process. */
static void test_other_start(void **state)
{
	struct hold *hold;
	struct hold_user user;
	struct server server;

	ask_for(AF_INET, SOCK_STREAM, "127.0.0.1", 7103);
	server = serve(make(&hold), do_nothing);
	hold_note(hold, server.pid);
	user = hold_get_user(hold);
	assert_int_equal(user.pid, server.pid);
	assert_int_not_equal(user.start, 0);
	hold_set_user(hold, &user);
	assert_true(hold_is_taken(hold, 0));
	user.start++;
	hold_set_user(hold, &user);
	assert_false(hold_is_taken(hold, 0));
	end(&server);
	hold_note(hold, server.pid);
	assert_int_equal(hold_get_user(hold).pid, 0);
	hold_free(hold);
}

/* The next one gets the same socket, with who waits in its queue. */
static void test_hand_over(void **state)
{
	struct hold *hold;
	struct server server;
	int client, second, inner, old = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	ask_for(AF_INET, SOCK_STREAM, "127.0.0.1", 7104);
	server = serve(make(&hold), do_listen);
	hold_note(hold, server.pid);
	tell(&server);
	end(&server);
	client = connect_to(&grant.address, SOCK_STREAM);
	assert_true(client >= 0);

	set_on(old, SOL_SOCKET, SO_KEEPALIVE);
	request.socket = old;
	second = hold_grant(hold, &request, &grant);
	assert_true(second >= 0);
	assert_int_equal(grant.flags, WIRE_F_BOUND | WIRE_F_HELD);
	assert_int_equal(grant.cookie, hold_cookie(hold));
	assert_int_equal(fcntl(second, F_GETFD), FD_CLOEXEC);
	assert_int_equal(option_of(second, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_true(fcntl(second, F_GETFL) & O_NONBLOCK);
	assert_int_equal(listen(second, 1), 0);
	inner = accept(second, NULL, NULL);
	assert_passes(client, inner);
	fd_close(inner);
	fd_close(client);
	fd_close(second);
	fd_close(old);
	hold_free(hold);
	assert_int_equal(connect_to(&grant.address, SOCK_STREAM), -ECONNREFUSED);
}

/* Shut down, and then ended: listens again, and takes connections. */
static void test_shut_down(void **state)
{
	struct hold *hold;
	struct server server;
	int client;

	ask_for(AF_INET, SOCK_STREAM, "127.0.0.1", 7105);
	server = serve(make(&hold), do_listen);
	hold_note(hold, server.pid);
	settle(&loop);
	tell(&server);
	end(&server);
	server = serve(hold_grant(hold, &request, &grant), do_shutdown);
	hold_note(hold, server.pid);
	tell(&server);
	/* As long as it has it, it may be meant. */
	run_for(120);
	assert_false(listens(hold_socket(hold)));
	end(&server);
	await_listening(hold);
	client = connect_to(&grant.address, SOCK_STREAM);
	assert_true(client >= 0);
	fd_close(client);
	hold_free(hold);
}

static void test_shut_down_closed(void **state)
{
	struct hold *hold;
	struct server server;

	ask_for(AF_INET, SOCK_STREAM, "127.0.0.1", 7106);
	server = serve(make(&hold), do_shutdown_close);
	hold_note(hold, server.pid);
	assert_int_equal(listen(hold_socket(hold), 1), 0);
	tell(&server);
	await_listening(hold);
	end(&server);
	hold_free(hold);
}

/* The kernel's own port is still the same one. */
static void test_shut_down_dynamic(void **state)
{
	struct hold *hold;
	struct server server;
	uint16_t port;

	ask_for(AF_INET, SOCK_STREAM, "127.0.0.1", 0);
	server = serve(make(&hold), do_shutdown);
	hold_note(hold, server.pid);
	port = local_port(hold_socket(hold));
	assert_int_not_equal(port, 0);
	assert_int_equal(listen(hold_socket(hold), 1), 0);
	tell(&server);
	end(&server);
	await_listening(hold);
	assert_int_equal(local_port(hold_socket(hold)), port);
	hold_free(hold);
}

static void *wait_in_accept(void *context)
{
	return (void *)(intptr_t)(accept(*(int *)context, NULL, NULL) < 0 ? errno : 0);
}

/* Whoever sleeps in accept() sees the shutdown. */
static void do_accept_and_stop(int fd)
{
	pthread_t thread;
	void *result;
	char path[64], state = 0;
	int task = 0;
	DIR *dir;
	struct dirent *entry;

	listen(fd, 1);
	pthread_create(&thread, NULL, wait_in_accept, &fd);
	/* Until the thread sleeps. */
	dir = opendir("/proc/self/task");
	while ((entry = readdir(dir)))
		if (atoi(entry->d_name) > task)
			task = atoi(entry->d_name);
	closedir(dir);
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", task);
	while (state != 'S') {
		FILE *file = fopen(path, "re");

		if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
			_exit(2);
		fclose(file);
	}
	shutdown(fd, SHUT_RDWR);
	pthread_join(thread, &result);
	if ((intptr_t)result != EINVAL)
		_exit(3);
	close(fd);
}

static void test_shut_down_sleepers(void **state)
{
	struct hold *hold;
	struct server server;
	struct pollfd poll_fd;

	ask_for(AF_INET, SOCK_STREAM, "127.0.0.1", 7107);
	server = serve(make(&hold), do_accept_and_stop);
	hold_note(hold, server.pid);
	settle(&loop);
	assert_int_equal(write(server.line, "x", 1), 1);
	poll_fd = (struct pollfd){ .fd = server.line, .events = POLLIN };
	for (int i = 0; poll(&poll_fd, 1, 0) == 0; i++) {
		assert_true(i < DEADLINE_MS);
		event_loop_run_once(&loop, 1);
	}
	assert_true(poll_fd.revents & POLLIN);
	await_listening(hold);
	end(&server);
	hold_free(hold);
}

/* Bound, and never made to listen: no work for us. */
static void test_only_bound(void **state)
{
	struct hold *hold;
	struct server server;
	int n_calls = 0;
	uint64_t until;

	ask_for(AF_INET, SOCK_STREAM, "127.0.0.1", 7108);
	server = serve(make(&hold), do_listen);
	hold_note(hold, server.pid);
	until = event_now_ns() + 100000000ull;
	while (event_now_ns() < until)
		n_calls += event_loop_run_once(&loop, 100) >= 0;
	assert_true(n_calls < 20);
	assert_false(listens(hold_socket(hold)));
	tell(&server);
	end(&server);
	hold_free(hold);
}

static void test_stale(void **state)
{
	struct hold *hold;
	int fd, other;

	ask_for(AF_INET, SOCK_STREAM, "127.0.0.1", 7109);
	fd = make(&hold);
	/* Not what is asked for. */
	ask.type = SOCK_DGRAM;
	assert_int_equal(hold_grant(hold, &request, &grant), -ESTALE);
	ask.type = SOCK_STREAM;
	ask.family = AF_INET6;
	assert_int_equal(hold_grant(hold, &request, &grant), -ESTALE);
	ask.family = AF_INET;
	endpoint.port++;
	assert_int_equal(hold_grant(hold, &request, &grant), -ESTALE);
	endpoint.port--;
	endpoint.v4.s_addr = htonl(INADDR_ANY);
	assert_int_equal(hold_grant(hold, &request, &grant), -ESTALE);
	endpoint.v4.s_addr = htonl(INADDR_LOOPBACK);
	other = hold_grant(hold, &request, &grant);
	assert_true(other >= 0);
	fd_close(other);
	/* Became a client. */
	other = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(listen(other, 1), 0);
	grant.address.address = local_of(other).storage;
	assert_int_equal(connect(fd, (struct sockaddr *)&grant.address.address,
				 sizeof(struct sockaddr_in)),
			 0);
	assert_int_equal(hold_grant(hold, &request, &grant), -ESTALE);
	fd_close(other);
	fd_close(fd);
	hold_free(hold);
	fd = make(&hold);
	fd_close(fd);
	hold_free(hold);
}

/* A client that may try again. */
static void test_failed_client(void **state)
{
	union address nobody = address_of("127.0.0.1", 1);
	struct hold *hold;
	int fd, second;

	ask_for(AF_INET, SOCK_STREAM, "127.0.0.1", 7110);
	fd = make(&hold);
	hold_note(hold, getpid());
	assert_int_equal(connect(fd, &nobody.any, sizeof(nobody.v4)), -1);
	run_for(120);
	assert_false(listens(hold_socket(hold)));
	second = hold_grant(hold, &request, &grant);
	assert_true(second >= 0);
	fd_close(second);
	fd_close(fd);
	hold_free(hold);
}

static void test_udp(void **state)
{
	union address peer = address_of("127.0.0.1", 9);
	struct hold *hold;
	int fd, second;

	ask_for(AF_INET, SOCK_DGRAM, "127.0.0.1", 7111);
	fd = make(&hold);
	/* The one before had connected it. */
	assert_int_equal(connect(fd, &peer.any, sizeof(peer.v4)), 0);
	fd_close(fd);
	second = hold_grant(hold, &request, &grant);
	assert_true(second >= 0);
	assert_int_equal(local_port(second), 7111);
	fd = connect_to(&grant.address, SOCK_DGRAM);
	assert_passes(fd, second);
	fd_close(fd);
	/* Or shut it down: it reads nothing for ever. */
	shutdown(second, SHUT_RDWR);
	fd_close(second);
	run_for(10);
	assert_int_equal(hold_grant(hold, &request, &grant), -ESTALE);
	hold_free(hold);
}

static void test_unix(void **state)
{
	char path[64];
	struct hold *hold;
	int fd, client, inner;

	snprintf(path, sizeof(path), "%s/s", directory);
	ask_for(AF_INET, SOCK_STREAM, path, 0);
	fd = make(&hold);
	assert_int_equal(listen(fd, 1), 0);
	fd_close(fd);
	client = connect_to(&grant.address, SOCK_STREAM);
	assert_true(client >= 0);
	fd = hold_grant(hold, &request, &grant);
	assert_true(fd >= 0);
	inner = accept(fd, NULL, NULL);
	assert_passes(client, inner);
	fd_close(inner);
	fd_close(client);
	/* Its name is gone: nobody finds it. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(hold_grant(hold, &request, &grant), -ESTALE);
	fd_close(fd);
	hold_free(hold);
	/* Shut down: there is no way back. */
	fd = make(&hold);
	assert_int_equal(listen(fd, 1), 0);
	shutdown(fd, SHUT_RDWR);
	fd_close(fd);
	run_for(10);
	assert_int_equal(hold_grant(hold, &request, &grant), -ESTALE);
	hold_free(hold);
	fd = make(&hold);
	fd_close(fd);
	hold_free(hold);
	unlink(path);
}

static void test_no_leaks(void **state)
{
	int before = n_descriptors();

	test_taken(state);
	test_shut_down_closed(state);
	test_stale(state);
	test_unix(state);
	assert_int_equal(n_descriptors(), before);
	assert_null(loop.timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_underway),
		cmocka_unit_test(test_other_start),
		cmocka_unit_test(test_hand_over),
		cmocka_unit_test(test_shut_down),
		cmocka_unit_test(test_shut_down_closed),
		cmocka_unit_test(test_shut_down_dynamic),
		cmocka_unit_test(test_shut_down_sleepers),
		cmocka_unit_test(test_only_bound),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_failed_client),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_no_leaks),
	};
	int r = enter_namespace();

	if (r)
		return r;
	if (!mkdtemp(directory) || event_loop_init(&loop) < 0 ||
	    stack_host_new(&host) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	stack_free(host);
	event_loop_deinit(&loop);
	rmdir(directory);
	return r;
}
