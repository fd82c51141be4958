/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sockets.h"

#include <linux/netlink.h>
#include <stdlib.h>

#include "broker/binders.h"
#include "broker/namespaces.h"
#include "policy/policy.h"
#include "stack/stack.h"

static struct stack *host;
static struct wire_address found;

/* A socket bound to @text, and noted. */
static int bind_noted(struct binders *binders, int type, const char *text, uint16_t port,
		      bool shares)
{
	union address address = address_of(text, port);
	int fd = socket(address.any.sa_family, type | SOCK_CLOEXEC, 0);
	struct wire_grant grant = { .family = address.any.sa_family };

	if (shares)
		set_on(fd, SOL_SOCKET, SO_REUSEPORT);
	assert_int_equal(bind(fd, &address.any, address_size(&address)), 0);
	grant.address.address = local_of(fd).storage;
	grant.address.len = address_size(&address);
	grant.cookie = cookie_of(fd);
	assert_int_equal(binders_note(binders, &grant, type, 0), 0);
	return fd;
}

/* What a kernel says that lacks the module, to the question and to the one after it. */
static int mute_socket(struct stack *stack, int family, int type, int protocol)
{
	static bool is_second;
	static int other = -1;
	struct {
		struct nlmsghdr head;
		int error;
	} answer = { .head = { .nlmsg_len = sizeof(answer),
			       .nlmsg_type = is_second ? NLMSG_DONE : NLMSG_ERROR },
		     .error = -ENOENT };
	int pair[2];

	is_second = !is_second;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(write(pair[1], &answer, sizeof(answer)), sizeof(answer));
	fd_close(other);
	other = pair[1];
	return pair[0];
}

/* To be the first of all: where it was answered once, it is not asked again. */
static void test_mute_kernel(void **state)
{
	static const struct stack_ops ops = { .name = "mute", .socket = mute_socket };
	struct stack mute = { .ops = &ops };
	struct binders binders = { 0 };
	int fd = bind_noted(&binders, SOCK_STREAM, "127.0.0.1", 0, false);

	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(binders_port(&binders, &mute), local_port(fd));
	assert_int_equal(binders.n, 1);
	fd_close(fd);
	assert_int_equal(binders_port(&binders, host), 0);
	binders_clear(&binders);
}

static void test_nobody(void **state)
{
	struct binders binders = { 0 };

	assert_false(binders_find(&binders, host, &found));
	assert_int_equal(binders_port(&binders, host), 0);
	binders_clear(&binders);
}

static void test_stream(void **state)
{
	struct binders binders = { 0 };
	int fd = bind_noted(&binders, SOCK_STREAM, "127.0.0.1", 0, false);

	/* Not yet; and asking does not make us forget. */
	assert_int_equal(binders_port(&binders, host), 0);
	assert_int_equal(binders.n, 1);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(binders_port(&binders, host), local_port(fd));
	assert_true(binders_find(&binders, host, &found));
	assert_int_equal(found.len, sizeof(struct sockaddr_in));
	fd_close(fd);
	assert_int_equal(binders_port(&binders, host), 0);
	assert_int_equal(binders.n, 0);
	binders_clear(&binders);
}

static void test_datagram(void **state)
{
	struct binders binders = { 0 };
	int fd = bind_noted(&binders, SOCK_DGRAM, "0.0.0.0", 0, false);

	assert_int_equal(binders_port(&binders, host), local_port(fd));
	fd_close(fd);
	assert_int_equal(binders_port(&binders, host), 0);
	assert_int_equal(binders.n, 0);
	binders_clear(&binders);
}

static void test_v6(void **state)
{
	struct binders binders = { 0 };
	int fd = bind_noted(&binders, SOCK_STREAM, "::", 0, false), mapped;

	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(binders_port(&binders, host), local_port(fd));
	mapped = bind_noted(&binders, SOCK_STREAM, "::ffff:127.0.0.1", 0, false);
	assert_int_equal(listen(mapped, 1), 0);
	assert_int_equal(binders_port(&binders, host), local_port(mapped));
	fd_close(mapped);
	assert_int_equal(binders_port(&binders, host), local_port(fd));
	fd_close(fd);
	binders_clear(&binders);
}

/* The one who bound last and is there. */
static void test_newest(void **state)
{
	struct binders binders = { 0 };
	int first = bind_noted(&binders, SOCK_STREAM, "127.0.0.1", 0, false);
	int second = bind_noted(&binders, SOCK_STREAM, "127.0.0.1", 0, false);

	assert_int_equal(listen(first, 1), 0);
	assert_int_equal(binders_port(&binders, host), local_port(first));
	assert_int_equal(listen(second, 1), 0);
	assert_int_equal(binders_port(&binders, host), local_port(second));
	fd_close(second);
	assert_int_equal(binders_port(&binders, host), local_port(first));
	assert_int_equal(binders.n, 1);
	fd_close(first);
	binders_clear(&binders);
}

/* The port is taken over by somebody we know nothing of. */
static void test_stranger(void **state)
{
	struct binders binders = { 0 };
	int fd = bind_noted(&binders, SOCK_STREAM, "127.0.0.1", 0, false);
	union address address = local_of(fd);
	int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fd_close(fd);
	assert_int_equal(bind(other, &address.any, sizeof(address.v4)), 0);
	assert_int_equal(listen(other, 1), 0);
	assert_int_equal(binders_port(&binders, host), 0);
	assert_int_equal(binders.n, 0);
	fd_close(other);
	binders_clear(&binders);
}

static void test_shared(void **state)
{
	struct binders binders = { 0 };
	int fds[8];
	uint16_t port;

	fds[0] = bind_noted(&binders, SOCK_STREAM, "127.0.0.1", 0, true);
	port = local_port(fds[0]);
	for (size_t i = 1; i < ARRAY_SIZE(fds); i++)
		fds[i] = bind_noted(&binders, SOCK_STREAM, "127.0.0.1", port, true);
	assert_int_equal(binders_port(&binders, host), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		assert_int_equal(listen(fds[i], 1), 0);
	for (size_t i = ARRAY_SIZE(fds); i-- > 0;) {
		assert_int_equal(binders_port(&binders, host), port);
		fd_close(fds[i]);
	}
	assert_int_equal(binders_port(&binders, host), 0);
	binders_clear(&binders);
}

static void test_limit(void **state)
{
	struct wire_grant ghost = { .family = AF_INET, .cookie = UINT64_MAX };
	union address address = address_of("127.0.0.1", 9);
	struct binders binders = { 0 };
	int fd, foreign;

	ghost.address.address = address.storage;
	ghost.address.len = sizeof(address.v4);
	for (int i = 0; i < BINDERS_MAX + 10; i++)
		assert_int_equal(binders_note(&binders, &ghost, SOCK_STREAM, 0), 0);
	assert_int_equal(binders.n, BINDERS_MAX);
	/* One kernel question for all of them, and the newest first. */
	fd = bind_noted(&binders, SOCK_STREAM, "127.0.0.1", 0, true);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(binders_port(&binders, host), local_port(fd));
	/* Now somebody unknown at a place of ours may be one who gave way. */
	foreign = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(foreign, &address.any, sizeof(address.v4)), 0);
	assert_int_equal(listen(foreign, 1), 0);
	fd_close(fd);
	assert_int_equal(binders_port(&binders, host), 9);
	fd_close(foreign);
	binders_clear(&binders);
}

static void test_believed(void **state)
{
	union address address = address_of("127.0.0.1", 7);
	struct wire_grant grant = { .family = AF_INET, .cookie = 1 };
	struct binders binders = { 0 };

	grant.address.address = address.storage;
	grant.address.len = sizeof(address.v4);
	assert_int_equal(binders_note(&binders, &grant, SOCK_STREAM, 262), 0);
	assert_int_equal(binders_port(&binders, host), 7);
	binders_clear(&binders);
}

static void note_name(struct binders *binders, const struct sockaddr_un *name,
		      socklen_t len)
{
	struct wire_grant grant = { .family = AF_UNIX, .address.len = len };

	memcpy(&grant.address.address, name, len);
	assert_int_equal(binders_note(binders, &grant, SOCK_STREAM, 0), 0);
}

static void test_unix(void **state)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0test_binders" };
	const socklen_t len = offsetof(struct sockaddr_un, sun_path) + 13;
	char directory[] = "/tmp/test_binders.XXXXXX";
	struct binders binders = { 0 };
	int fd;

	/* An abstract name is believed. */
	note_name(&binders, &name, len);
	assert_true(binders_find(&binders, host, &found));
	assert_int_equal(found.len, len);
	assert_int_equal(binders_port(&binders, host), 0);
	binders_clear(&binders);

	assert_non_null(mkdtemp(directory));
	snprintf(name.sun_path, sizeof(name.sun_path), "%s/s", directory);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(fd, 1), 0);
	note_name(&binders, &name, sizeof(name));
	assert_true(binders_find(&binders, host, &found));
	/* Nobody noticed that we asked. */
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(unlink(name.sun_path), 0);
	assert_false(binders_find(&binders, host, &found));
	fd_close(fd);
	rmdir(directory);
	binders_clear(&binders);
}

/* Somebody who is gone, between others who are not listening yet. */
static void test_mixed(void **state)
{
	struct binders binders = { 0 };
	int fds[5];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = bind_noted(&binders, SOCK_STREAM, "127.0.0.1", 0, false);
		if (i % 2 == 0) {
			assert_int_equal(listen(fds[i], 1), 0);
			assert_int_equal(binders_port(&binders, host),
					 local_port(fds[i]));
		}
	}
	fd_close(fds[4]);
	fd_close(fds[2]);
	assert_int_equal(binders_port(&binders, host), local_port(fds[0]));
	assert_int_equal(binders.n, 3);
	assert_int_equal(listen(fds[1], 1), 0);
	assert_int_equal(binders_port(&binders, host), local_port(fds[1]));
	fd_close(fds[0]);
	fd_close(fds[1]);
	fd_close(fds[3]);
	binders_clear(&binders);
}

/* Where the endpoint is: the same port at home is nobody's. */
static void test_other_namespace(void **state)
{
	const struct netns_ref *ref;
	struct binders binders = { 0 };
	struct wire_grant grant;
	struct stack *stack;
	int pair[2];
	pid_t child;
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	child = fork();
	if (child == 0) {
		struct binders theirs = { 0 };
		int fd;

		if (unshare(CLONE_NEWNET) < 0)
			_exit(1);
		fd = bind_noted(&theirs, SOCK_STREAM, "0.0.0.0", 7301, false);
		listen(fd, 1);
		grant = (struct wire_grant){ .cookie = cookie_of(fd) };
		grant.address.address = local_of(fd).storage;
		(void)!send(pair[1], &grant, sizeof(grant), 0);
		(void)!recv(pair[1], &byte, 1, 0);
		_exit(0);
	}
	assert_int_equal(recv(pair[0], &grant, sizeof(grant), 0), sizeof(grant));
	assert_int_equal(binders_note(&binders, &grant, SOCK_STREAM, 0), 0);
	ref = &(struct netns_ref){ .kind = NETNS_PID, .pid = child };
	assert_int_equal(namespace_stack_of(&stack, ref), 0);
	assert_int_equal(binders_port(&binders, host), 0);
	assert_int_equal(binders_port(&binders, stack), 7301);
	assert_int_equal(send(pair[0], "x", 1, 0), 1);
	assert_exits(child, 0);
	assert_int_equal(binders_port(&binders, stack), 0);
	stack_free(stack);
	fd_close(pair[0]);
	fd_close(pair[1]);
	binders_clear(&binders);
}

static void test_no_leaks(void **state)
{
	int before = n_descriptors();

	test_stream(state);
	test_unix(state);
	assert_int_equal(n_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mute_kernel),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_datagram),
		cmocka_unit_test(test_v6),
		cmocka_unit_test(test_newest),
		cmocka_unit_test(test_stranger),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_believed),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_other_namespace),
		cmocka_unit_test(test_no_leaks),
	};
	int r = enter_namespace();

	if (r)
		return r;
	if (stack_host_new(&host) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	stack_free(host);
	return r;
}
