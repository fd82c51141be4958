/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UNIX sockets that play grafted ones: a server bound to an abstract name that is noted,
 * clients named by unix_name_bind().
 */
#include "test.h"

#include <sys/wait.h>

#include "intercept/preload/unix_name.h"
#include "intercept/preload/view.h"

static struct sockaddr_un server_name(socklen_t *ret_len)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	static unsigned int turn;
	int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "graft-test-%d-%u",
			 getpid(), turn++);

	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
	return un;
}

static int unix_socket(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

/* A server whose program asked for @host and @port; NULL: that is AF_UNIX itself. */
static int server_at(int type, const char *host, unsigned int port)
{
	socklen_t len;
	struct sockaddr_un un = server_name(&len);
	int fd = unix_socket(type);
	union address asked;

	assert_int_equal(bind(fd, (struct sockaddr *)&un, len), 0);
	if (host) {
		asked = address_of(host, port);
		view_note_bind(fd, &asked);
	} else {
		view_note_bind(fd, NULL);
	}
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void connect_unix(int fd, int server)
{
	struct sockaddr_un un;
	socklen_t len = sizeof(un);

	assert_int_equal(getsockname(server, (struct sockaddr *)&un, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, len), 0);
}

/* A client that asked for @host and @port; NULL: one that knows nothing of it. */
static int client_of(int server, int type, const char *host, unsigned int port)
{
	int fd = unix_socket(type);
	union address asked;

	if (host) {
		asked = address_of(host, port);
		assert_int_equal(unix_name_bind(fd, asked.any.sa_family, &asked, 0), 0);
	}
	connect_unix(fd, server);
	return fd;
}

static union address accept_shown(int server, int *ret_fd)
{
	union address peer = { 0 }, shown = { 0 };
	socklen_t peer_len = sizeof(peer), len = sizeof(shown);

	assert_true(view_is_unix_server(server));
	*ret_fd = accept(server, &peer.any, &peer_len);
	assert_true(*ret_fd >= 0);
	assert_int_equal(view_give_accepted(*ret_fd, &peer, peer_len, &shown.any, &len),
			 *ret_fd);
	assert_int_equal(len, len_of(&shown));
	return shown;
}

static union address shown(int fd)
{
	union address address = { 0 };
	socklen_t len = sizeof(address);

	assert_int_equal(view_getsockname(fd, &address.any, &len), 0);
	assert_int_equal(len, len_of(&address));
	return address;
}

static union address shown_peer(int fd)
{
	union address address = { 0 };
	socklen_t len = sizeof(address);

	assert_int_equal(view_getpeername(fd, &address.any, &len), 0);
	assert_int_equal(len, len_of(&address));
	return address;
}

static void both_sides(const char *serving, const char *asked, const char *accepted,
		       const char *own, const char *peer)
{
	_cleanup_fd_ int server = server_at(SOCK_STREAM, serving, 80);
	_cleanup_fd_ int client = client_of(server, SOCK_STREAM, asked, 8080);
	_cleanup_fd_ int fd = -1;
	union address from = accept_shown(server, &fd), address = shown(client);
	unsigned int port = address_port(&address);

	assert_address(&address, own, port);
	assert_in_range(port, 32768, 60999);
	address = shown_peer(client);
	assert_address(&address, peer, 8080);
	address = shown(server);
	assert_address(&address, serving, 80);
	address = shown(fd);
	assert_address(&address, accepted, 80);
	address = shown_peer(fd);
	assert_address(&address,
		       address_of(serving, 0).any.sa_family == AF_INET ? "127.0.0.1"
								       : own,
		       port);
	assert_string_equal(text_of(&from), text_of(&address));
}

static void streams(void **state)
{
	both_sides("0.0.0.0", "10.0.0.1", "127.0.0.1", "127.0.0.1", "10.0.0.1");
	both_sides("10.9.9.9", "0.0.0.0", "10.9.9.9", "127.0.0.1", "127.0.0.1");
	both_sides("::", "fd00::1", "::1", "::1", "fd00::1");
	both_sides("::", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:127.0.0.1",
		   "::ffff:10.0.0.1");
	both_sides("0.0.0.0", "fd00::1", "127.0.0.1", "::1", "fd00::1");
}

static void strangers(void **state)
{
	_cleanup_fd_ int server = server_at(SOCK_STREAM, "0.0.0.0", 80);
	_cleanup_fd_ int client = client_of(server, SOCK_STREAM, NULL, 0);
	_cleanup_fd_ int fd = -1;
	union address from = accept_shown(server, &fd), address = shown_peer(fd);

	assert_address(&from, "127.0.0.1", address_port(&from));
	assert_in_range(address_port(&from), 32768, 60999);
	assert_string_equal(text_of(&from), text_of(&address));
	address = shown(fd);
	assert_address(&address, "127.0.0.1", 80);
}

/* Any UNIX socket may call itself so: it is shown as loopback, and never as root's. */
static void claims(void **state)
{
	_cleanup_fd_ int server = server_at(SOCK_STREAM, "0.0.0.0", 80);
	_cleanup_fd_ int client = unix_socket(SOCK_STREAM);
	_cleanup_fd_ int fd = -1;
	union address from;

	assert_int_equal(unix_name_bind(client, AF_INET, NULL, 600), 0);
	connect_unix(client, server);
	from = accept_shown(server, &fd);
	assert_address(&from, "127.0.0.1", address_port(&from));
	assert_in_range(address_port(&from), 32768, 60999);
}

static void own_sockets(void **state)
{
	_cleanup_fd_ int server = server_at(SOCK_STREAM, NULL, 0);
	_cleanup_fd_ int client = client_of(server, SOCK_STREAM, NULL, 0);
	union address address = { 0 };
	struct sockaddr_un un;
	socklen_t len = sizeof(address), un_len = sizeof(un);

	assert_false(view_is_unix_server(server));
	assert_false(view_is_unix_server(STDIN_FILENO));
	assert_int_equal(getsockname(server, (struct sockaddr *)&un, &un_len), 0);
	assert_int_equal(view_getsockname(server, &address.any, &len), 0);
	assert_int_equal(len, un_len);
	assert_memory_equal(&address, &un, len);
	len = sizeof(address);
	assert_int_equal(view_getpeername(client, &address.any, &len), 0);
	assert_int_equal(len, un_len);
	len = sizeof(address);
	assert_int_equal(view_getsockname(client, &address.any, &len), 0);
	assert_int_equal(len, 2);
	assert_int_equal(address.any.sa_family, AF_UNIX);
	assert_false(view_unix_local(client, &address));
}

/* First noted as a rule's, then bound by the program as what it is. */
static void bound_as_unix(void **state)
{
	_cleanup_fd_ int server = server_at(SOCK_STREAM, "0.0.0.0", 80);
	union address address;

	assert_true(view_unix_local(server, &address));
	view_note_bind(server, NULL);
	assert_false(view_unix_local(server, &address));
	assert_false(view_is_unix_server(server));
}

static void bad_pointers(void **state)
{
	_cleanup_fd_ int server = server_at(SOCK_STREAM, "0.0.0.0", 80);
	_cleanup_fd_ int client = client_of(server, SOCK_STREAM, "10.0.0.1", 80);
	union address peer = { 0 };
	socklen_t len = 4, peer_len = sizeof(peer);
	unsigned char bytes[16];
	int fd = accept(server, &peer.any, &peer_len);

	memset(bytes, 0xee, sizeof(bytes));
	assert_int_equal(view_give_accepted(fd, &peer, peer_len, (void *)bytes, &len),
			 fd);
	assert_int_equal(len, 16);
	assert_int_equal(bytes[4], 0xee);
	assert_int_equal(view_give_accepted(fd, &peer, peer_len, (void *)bytes,
					    BAD_POINTER),
			 -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static union address receive(int fd)
{
	union address own = { 0 }, from = { 0 };
	socklen_t own_len = sizeof(own), len = sizeof(from);
	char byte;
	ssize_t n = recvfrom(fd, &byte, 1, MSG_DONTWAIT, &own.any, &own_len);

	assert_int_equal(n, 1);
	assert_int_equal(view_give_source(fd, n, &own, own_len, &from.any, &len), 1);
	assert_int_equal(len, len_of(&from));
	return from;
}

static void answer(int server, const union address *to)
{
	struct sockaddr_un un;
	socklen_t len;

	assert_true(view_find_source(server, to, &un, &len));
	assert_int_equal(sendto(server, "y", 1, 0, (struct sockaddr *)&un, len), 1);
}

static void datagrams(void **state)
{
	_cleanup_fd_ int server = server_at(SOCK_DGRAM, "0.0.0.0", 53);
	_cleanup_fd_ int one = client_of(server, SOCK_DGRAM, "10.0.0.53", 53);
	_cleanup_fd_ int two = client_of(server, SOCK_DGRAM, "10.0.0.53", 53);
	union address from_one, from_two, address, unknown = address_of("10.1.1.1", 1);
	struct sockaddr_un un;
	socklen_t len;

	assert_true(view_is_on(VIEW_SOURCES));
	assert_int_equal(send(one, "x", 1, 0), 1);
	assert_int_equal(send(two, "x", 1, 0), 1);
	from_one = receive(server);
	from_two = receive(server);
	address = shown(one);
	assert_string_equal(text_of(&from_one), text_of(&address));
	address = shown(two);
	assert_string_equal(text_of(&from_two), text_of(&address));
	assert_false(view_find_source(server, &unknown, &un, &len));
	answer(server, &from_two);
	answer(server, &from_one);
	address = receive(one);
	assert_address(&address, "10.0.0.53", 53);
	address = receive(two);
	assert_address(&address, "10.0.0.53", 53);
}

/* Two senders that say the same of themselves are told apart. */
static void same_claims(void **state)
{
	_cleanup_fd_ int server = server_at(SOCK_DGRAM, "0.0.0.0", 53);
	_cleanup_fd_ int one = unix_socket(SOCK_DGRAM), two = unix_socket(SOCK_DGRAM);
	union address from_one, from_two, again;

	assert_int_equal(unix_name_bind(one, AF_INET, NULL, 65535), 0);
	assert_int_equal(unix_name_bind(two, AF_INET, NULL, 65535), 0);
	connect_unix(one, server);
	connect_unix(two, server);
	assert_int_equal(send(one, "x", 1, 0), 1);
	from_one = receive(server);
	assert_address(&from_one, "127.0.0.1", 65535);
	assert_int_equal(send(two, "x", 1, 0), 1);
	from_two = receive(server);
	assert_address(&from_two, "127.0.0.1", 1024);
	assert_int_equal(send(two, "x", 1, 0), 1);
	again = receive(server);
	assert_string_equal(text_of(&from_two), text_of(&again));
	answer(server, &from_two);
	assert_int_equal(recv(one, &again, 1, MSG_DONTWAIT), -1);
	assert_int_equal(recv(two, &again, 1, MSG_DONTWAIT), 1);
}

static void unnamed_sender(void **state)
{
	_cleanup_fd_ int server = server_at(SOCK_DGRAM, "::", 53);
	_cleanup_fd_ int one = client_of(server, SOCK_DGRAM, NULL, 0);
	union address from;

	assert_int_equal(send(one, "x", 1, 0), 1);
	from = receive(server);
	assert_address(&from, "::1", address_port(&from));
}

/* sendto() without connect(): the name says nothing of peers. */
static void sent_to(void **state)
{
	_cleanup_fd_ int server = server_at(SOCK_DGRAM, "0.0.0.0", 53);
	_cleanup_fd_ int fd = unix_socket(SOCK_DGRAM);
	union address actual = { 0 }, asked = address_of("10.0.0.9", 53), from;
	socklen_t len = sizeof(actual);

	assert_int_equal(unix_name_bind(fd, AF_INET, NULL, 0), 0);
	assert_int_equal(getsockname(server, &actual.any, &len), 0);
	view_note_peer(fd, &actual, &asked);
	assert_int_equal(sendto(fd, "x", 1, 0, &actual.any, len), 1);
	from = receive(server);
	answer(server, &from);
	from = receive(fd);
	assert_address(&from, "10.0.0.9", 53);
}

/* Last: the policy stays. */
static void read_backwards(void **state)
{
	socklen_t len;
	struct sockaddr_un un = server_name(&len);
	_cleanup_fd_ int server = unix_socket(SOCK_STREAM), client = -1, fd = -1;
	union address address;
	struct policy *policy;
	char text[512];

	snprintf(text, sizeof(text),
		 "endpoint web unix @%s\n"
		 "bind tcp 0.0.0.0:80 = web\n"
		 "bind tcp [::]:80 = web\n"
		 "bind udp 0.0.0.0:53 = web\n",
		 un.sun_path + 1);
	policy = policy_of(text);
	view_start(policy);
	assert_true(view_is_on(VIEW_UNIX));
	assert_int_equal(bind(server, (struct sockaddr *)&un, len), 0);
	assert_int_equal(listen(server, 1), 0);
	address = shown(server);
	assert_address(&address, "0.0.0.0", 80);
	client = client_of(server, SOCK_STREAM, NULL, 0);
	accept_shown(server, &fd);
	address = shown(fd);
	assert_address(&address, "127.0.0.1", 80);
	view_note_bind(server, NULL);
	assert_false(view_unix_local(server, &address));
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams),        cmocka_unit_test(strangers),
		cmocka_unit_test(claims),         cmocka_unit_test(own_sockets),
		cmocka_unit_test(bound_as_unix),  cmocka_unit_test(bad_pointers),
		cmocka_unit_test(datagrams),      cmocka_unit_test(same_claims),
		cmocka_unit_test(unnamed_sender), cmocka_unit_test(sent_to),
		cmocka_unit_test(read_backwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
