/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets on loopback ports play the grafted ones: a note says what was asked for.
 */
#include "test.h"

#include "intercept/preload/view.h"

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

#define ASSERT_SHOWN(fd, host, port)                 \
	do {                                         \
		union address shown_ = shown(fd);    \
		assert_address(&shown_, host, port); \
	} while (0)
#define ASSERT_PEER(fd, host, port)                    \
	do {                                           \
		union address shown_ = shown_peer(fd); \
		assert_address(&shown_, host, port);   \
	} while (0)

static void note_bind(int fd, const char *host, unsigned int port)
{
	union address asked = address_of(host, port);

	view_note_bind(fd, &asked);
}

static void nothing_is_on(void **state)
{
	_cleanup_fd_ int fd = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	struct policy *policy = policy_of("bind tcp 0.0.0.0:80 = host\n"
					  "connect any 10.0.0.0/8 = deny");

	view_start(policy);
	assert_false(view_is_on(~0u));
	view_note_bind(fd, NULL);
	assert_false(view_is_on(~0u));
	policy_free(policy);
}

static void bound(void **state)
{
	_cleanup_fd_ int fd = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	_cleanup_fd_ int other = socket_at(SOCK_STREAM, "127.0.0.1", 0);

	note_bind(fd, "10.1.2.3", 80);
	assert_true(view_is_on(VIEW_NAMES));
	assert_false(view_is_on(VIEW_SOURCES | VIEW_UNIX));
	ASSERT_SHOWN(fd, "10.1.2.3", 80);
	ASSERT_SHOWN(other, "127.0.0.1", port_of(other));
	note_bind(fd, "10.1.2.3", 0);
	ASSERT_SHOWN(fd, "10.1.2.3", port_of(fd));
}

/* The same port of another protocol is another socket. */
static void protocols(void **state)
{
	_cleanup_fd_ int fd = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	_cleanup_fd_ int udp = socket_at(SOCK_DGRAM, "127.0.0.1", port_of(fd));

	note_bind(fd, "10.1.2.3", 80);
	ASSERT_SHOWN(udp, "127.0.0.1", port_of(fd));
	note_bind(udp, "10.9.9.9", 53);
	ASSERT_SHOWN(udp, "10.9.9.9", 53);
	ASSERT_SHOWN(fd, "10.1.2.3", 80);
}

static int connected_to(int listener)
{
	union address server;
	socklen_t len = sizeof(server);
	int fd;

	assert_int_equal(getsockname(listener, &server.any, &len), 0);
	if (address_is_wildcard(&server))
		server = address_of(server.any.sa_family == AF_INET ? "127.0.0.1" : "::1",
				    address_port(&server));
	fd = socket(server.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, &server.any, len_of(&server)), 0);
	return fd;
}

static void accepted(const char *at, const char *asked, const char *listening,
		     const char *accepting)
{
	_cleanup_fd_ int fd = socket_at(SOCK_STREAM, at, 0);
	_cleanup_fd_ int client = -1, serving = -1;

	note_bind(fd, asked, 80);
	assert_int_equal(listen(fd, 1), 0);
	client = connected_to(fd);
	serving = accept(fd, NULL, NULL);
	ASSERT_SHOWN(fd, listening, 80);
	ASSERT_SHOWN(serving, accepting, 80);
	ASSERT_PEER(serving,
		    address_of(at, 0).any.sa_family == AF_INET ? "127.0.0.1" : "::1",
		    port_of(client));
	ASSERT_PEER(client,
		    address_of(at, 0).any.sa_family == AF_INET ? "127.0.0.1" : "::1",
		    port_of(fd));
}

static void listening(void **state)
{
	accepted("127.0.0.1", "0.0.0.0", "0.0.0.0", "127.0.0.1");
	accepted("127.0.0.1", "10.1.2.3", "10.1.2.3", "10.1.2.3");
	accepted("0.0.0.0", "0.0.0.0", "0.0.0.0", "127.0.0.1");
	accepted("0.0.0.0", "10.1.2.3", "10.1.2.3", "10.1.2.3");
	accepted("::", "::", "::", "::1");
	accepted("::1", "::", "::", "::1");
}

static void dual_stack(void **state)
{
	_cleanup_fd_ int fd = socket_at(SOCK_STREAM, "::ffff:127.0.0.1", 0);
	_cleanup_fd_ int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_fd_ int serving = -1;
	union address server = address_of("127.0.0.1", port_of(fd));

	note_bind(fd, "::", 443);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(connect(client, &server.any, sizeof(server.v4)), 0);
	serving = accept(fd, NULL, NULL);
	ASSERT_SHOWN(fd, "::", 443);
	ASSERT_SHOWN(serving, "::ffff:127.0.0.1", 443);
}

/* Somebody binds there again, and means it. */
static void notes_end(void **state)
{
	int fd = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	unsigned int port = port_of(fd);

	note_bind(fd, "10.1.2.3", 80);
	close(fd);
	fd = socket_at(SOCK_STREAM, "127.0.0.1", port);
	ASSERT_SHOWN(fd, "10.1.2.3", 80);
	view_note_bind(fd, NULL);
	ASSERT_SHOWN(fd, "127.0.0.1", port);
	close(fd);
}

static void graft_names(void **state)
{
	_cleanup_fd_ int fd = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	_cleanup_fd_ int client = -1, serving = -1;
	union address asked = { .any = { .sa_family = 4, .sa_data = "ep-test" } };
	union address address = { 0 };
	socklen_t len = sizeof(address);

	view_note_bind(fd, &asked);
	assert_int_equal(view_getsockname(fd, &address.any, &len), 0);
	assert_int_equal(len, 18);
	assert_memory_equal(&address, &asked, 18);
	assert_int_equal(listen(fd, 1), 0);
	client = connected_to(fd);
	serving = accept(fd, NULL, NULL);
	ASSERT_SHOWN(serving, "127.0.0.1", port_of(fd));
}

static void room(int fd, bool of_peer)
{
	int (*call)(int, struct sockaddr *, socklen_t *) =
		of_peer ? view_getpeername : view_getsockname;
	union address whole = of_peer ? shown_peer(fd) : shown(fd);
	unsigned char bytes[sizeof(union address)];
	socklen_t len;

	for (socklen_t size = 0; size < 40; size++) {
		socklen_t n = size < 16 ? size : 16;

		memset(bytes, 0xee, sizeof(bytes));
		len = size;
		assert_int_equal(call(fd, (void *)bytes, &len), 0);
		assert_int_equal(len, 16);
		assert_memory_equal(bytes, &whole, n);
		assert_int_equal(bytes[n], 0xee);
	}
	len = (socklen_t)-1;
	assert_int_equal(call(fd, (void *)bytes, &len), -1);
	assert_int_equal(errno, EINVAL);
	len = sizeof(bytes);
	assert_int_equal(call(fd, BAD_POINTER, &len), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(call(fd, NULL, &len), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(call(fd, (void *)bytes, BAD_POINTER), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(call(800, (void *)bytes, &len), -1);
	assert_int_equal(errno, EBADF);
#ifndef __SANITIZE_ADDRESS__ /* which reads the length ahead of the kernel */
	assert_int_equal(call(STDIN_FILENO, BAD_POINTER, BAD_POINTER), -1);
	assert_int_equal(errno, ENOTSOCK);
#endif
}

static void short_and_bad_buffers(void **state)
{
	_cleanup_fd_ int fd = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	_cleanup_fd_ int client = -1;
	union address actual = address_of("127.0.0.1", port_of(fd));
	union address asked = address_of("10.6.6.6", 6);

	assert_int_equal(listen(fd, 1), 0);
	client = connected_to(fd);
	view_note_peer(client, &actual, &asked);
	note_bind(fd, "10.5.5.5", 5);
	room(fd, false);
	room(client, true);
}

/* A page that ends where the address would. */
static void edge_of_memory(void **state)
{
	_cleanup_fd_ int fd = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	socklen_t len = 16;

	assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
	note_bind(fd, "10.5.5.5", 5);
	assert_int_equal(view_getsockname(fd, (void *)(pages + 4096 - 16), &len), 0);
	len = 16;
	assert_int_equal(view_getsockname(fd, (void *)(pages + 4096 - 8), &len), -1);
	assert_int_equal(errno, EFAULT);
	munmap(pages, 8192);
}

static void peers(void **state)
{
	_cleanup_fd_ int listener = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	_cleanup_fd_ int first = -1, second = -1, plain = -1, again = -1;
	union address actual = address_of("127.0.0.1", port_of(listener));
	union address asked = address_of("10.0.0.1", 80);
	union address wildcard = address_of("0.0.0.0", 81);

	assert_int_equal(listen(listener, 8), 0);
	first = connected_to(listener);
	view_note_peer(first, &actual, &asked);
	ASSERT_PEER(first, "10.0.0.1", 80);
	again = connected_to(listener);
	view_note_peer(again, &actual, &asked);
	/* One that asked for the endpoint's own address, one for a third. */
	plain = connected_to(listener);
	view_note_peer(plain, &actual, &actual);
	second = connected_to(listener);
	view_note_peer(second, &actual, &wildcard);
	ASSERT_PEER(first, "10.0.0.1", 80);
	ASSERT_PEER(again, "10.0.0.1", 80);
	ASSERT_PEER(plain, "127.0.0.1", port_of(listener));
	ASSERT_PEER(second, "127.0.0.1", 81);
}

static void not_connected(void **state)
{
	_cleanup_fd_ int fd = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	union address address;
	socklen_t len = sizeof(address);

	assert_int_equal(view_getpeername(fd, &address.any, &len), -1);
	assert_int_equal(errno, ENOTCONN);
}

static ssize_t receive(int fd, union address *ret, socklen_t *len)
{
	union address own = { 0 };
	socklen_t own_len = sizeof(own);
	char byte;
	ssize_t n = recvfrom(fd, &byte, 1, 0, &own.any, &own_len);

	return n < 0 ? n : view_give_source(fd, n, &own, own_len, &ret->any, len);
}

static void sources(void **state)
{
	_cleanup_fd_ int server = socket_at(SOCK_DGRAM, "127.0.0.1", 0);
	_cleanup_fd_ int other = socket_at(SOCK_DGRAM, "127.0.0.1", 0);
	_cleanup_fd_ int fd = socket_at(SOCK_DGRAM, "127.0.0.1", 0);
	union address actual = address_of("127.0.0.1", port_of(server));
	union address asked = address_of("10.0.0.53", 53), from = { 0 };
	union address own = address_of("127.0.0.1", port_of(fd));
	socklen_t len = sizeof(from);

	view_note_peer(fd, &actual, &asked);
	assert_true(view_is_on(VIEW_SOURCES));
	assert_int_equal(sendto(server, "x", 1, 0, &own.any, sizeof(own.v4)), 1);
	assert_int_equal(receive(fd, &from, &len), 1);
	assert_int_equal(len, 16);
	assert_address(&from, "10.0.0.53", 53);
	assert_int_equal(sendto(other, "x", 1, 0, &own.any, sizeof(own.v4)), 1);
	len = 8;
	assert_int_equal(receive(fd, &from, &len), 1);
	assert_int_equal(len, 16);
	assert_address(&from, "127.0.0.1", port_of(other));
	assert_int_equal(sendto(server, "x", 1, 0, &own.any, sizeof(own.v4)), 1);
	assert_int_equal(receive(fd, &from, BAD_POINTER), -1);
	assert_int_equal(errno, EFAULT);
}

/* Last: the policy stays. */
static void read_backwards(void **state)
{
	_cleanup_fd_ int fd = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	_cleanup_fd_ int many = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	_cleanup_fd_ int twice = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	_cleanup_fd_ int v6 = socket_at(SOCK_STREAM, "::1", 0);
	_cleanup_fd_ int client = -1;
	char text[1024];
	struct policy *policy;

	snprintf(text, sizeof(text),
		 "endpoint one ipv4 127.0.0.1:%u\n"
		 "endpoint many ipv4 127.0.0.1:%u\n"
		 "endpoint twice ipv4 127.0.0.1:%u\n"
		 "endpoint six ipv6 [::1]:%u\n"
		 "endpoint any ipv4 127.0.0.1:dynamic\n"
		 "bind tcp 0.0.0.0:80 = one\n"
		 "bind udp 0.0.0.0:81 = one\n"
		 "bind tcp 0.0.0.0:90-99 = many\n"
		 "bind tcp 0.0.0.0:100 = twice\n"
		 "bind tcp 10.0.0.1:100 = twice\n"
		 "bind tcp [::]:110 = six\n"
		 "bind tcp 0.0.0.0:120 = any\n"
		 "connect tcp 10.0.0.1:80 = one\n"
		 "connect tcp 10.0.0.0/24:81 = twice\n",
		 port_of(fd), port_of(many), port_of(twice), port_of(v6));
	policy = policy_of(text);
	view_start(policy);
	ASSERT_SHOWN(fd, "0.0.0.0", 80);
	ASSERT_SHOWN(many, "127.0.0.1", port_of(many));
	ASSERT_SHOWN(twice, "127.0.0.1", port_of(twice));
	ASSERT_SHOWN(v6, "::", 110);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(listen(twice, 1), 0);
	client = connected_to(fd);
	ASSERT_PEER(client, "10.0.0.1", 80);
	close(client);
	client = connected_to(twice);
	ASSERT_PEER(client, "127.0.0.1", port_of(twice));
	/* Bound there as asked: known not to come from a rule. */
	view_note_bind(fd, NULL);
	ASSERT_SHOWN(fd, "127.0.0.1", port_of(fd));
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_on),  cmocka_unit_test(bound),
		cmocka_unit_test(protocols),      cmocka_unit_test(listening),
		cmocka_unit_test(dual_stack),     cmocka_unit_test(notes_end),
		cmocka_unit_test(graft_names),    cmocka_unit_test(short_and_bad_buffers),
		cmocka_unit_test(edge_of_memory), cmocka_unit_test(peers),
		cmocka_unit_test(not_connected),  cmocka_unit_test(sources),
		cmocka_unit_test(read_backwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
