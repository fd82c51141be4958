/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sockets.h"

#include <linux/graft.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "broker/grant.h"
#include "broker/path.h"
#include "broker/rights.h"
#include "stack/stack.h"

static struct stack *host;
static char directory[] = "/tmp/test_grant.XXXXXX";

struct case_of {
	struct wire_ask ask;
	struct endpoint endpoint;
	struct grant_request request;
	struct wire_grant grant;
};

/* A question about an endpoint at @place; NULL: about the host. */
static struct case_of *prepare(enum wire_op op, int family, int type, const char *place,
			       uint16_t port)
{
	static struct case_of c;

	c = (struct case_of){
		.ask = { .op = op, .family = (uint32_t)family, .type = (uint32_t)type },
		.request = { .ask = &c.ask, .stack = host, .socket = -1 },
	};
	if (!place)
		return &c;
	c.request.endpoint = &c.endpoint;
	c.endpoint.port = port;
	c.endpoint.dynamic = port == 0;
	if (place[0] == '/' || place[0] == '@') {
		c.endpoint.kind = ENDPOINT_UNIX;
		c.endpoint.path = (char *)place;
	} else if (inet_pton(AF_INET, place, &c.endpoint.v4) == 1) {
		c.endpoint.kind = ENDPOINT_IPV4;
	} else {
		assert_int_equal(inet_pton(AF_INET6, place, &c.endpoint.v6), 1);
		c.endpoint.kind = ENDPOINT_IPV6;
	}
	return &c;
}

static int make(struct case_of *c)
{
	return grant_make(&c->request, &c->grant, NULL);
}

static int bind_at(int family, int type, const char *place, uint16_t port)
{
	return make(prepare(WIRE_OP_BIND, family, type, place, port));
}

static const char *path_of(const char *name)
{
	static char path[108];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void assert_address(const struct wire_address *address, const char *text,
			   uint16_t port)
{
	union address want = address_of(text, port);

	assert_int_equal(address->len, address_size(&want));
	assert_memory_equal(&address->address, &want, address->len);
}

static void test_bind(void **state)
{
	struct case_of *c =
		prepare(WIRE_OP_BIND, AF_INET, SOCK_STREAM, "127.0.0.1", 7001);
	int fd = make(c);

	assert_true(fd >= 0);
	assert_int_equal(c->grant.flags, WIRE_F_BOUND);
	assert_int_equal(c->grant.family, AF_INET);
	assert_int_equal(c->grant.cookie, cookie_of(fd));
	assert_address(&c->grant.address, "127.0.0.1", 7001);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(bind_at(AF_INET, SOCK_STREAM, "127.0.0.1", 7001), -EADDRINUSE);
	fd_close(fd);
}

static void test_bind_families(void **state)
{
	union address local;
	int fd;

	/* ipv4 for a dual-stack socket: mapped. */
	fd = bind_at(AF_INET6, SOCK_STREAM, "127.0.0.1", 7002);
	assert_true(fd >= 0);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	local = local_of(fd);
	assert_true(IN6_IS_ADDR_V4MAPPED(&local.v6.sin6_addr));
	fd_close(fd);
	fd = bind_at(AF_INET6, SOCK_DGRAM, "::1", 7002);
	assert_true(fd >= 0);
	fd_close(fd);
	/* The endpoint's own. */
	fd = bind_at(AF_GRAFT, SOCK_STREAM, "::1", 7002);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	fd_close(fd);
	fd = bind_at(AF_UNSPEC, SOCK_STREAM, "127.0.0.1", 7002);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
	fd_close(fd);
	assert_int_equal(bind_at(AF_INET, SOCK_STREAM, "::1", 7002), -EAFNOSUPPORT);
	assert_int_equal(bind_at(AF_INET, SOCK_STREAM, "::", 7002), -EAFNOSUPPORT);
	assert_int_equal(bind_at(AF_UNIX, SOCK_STREAM, "127.0.0.1", 7002), -EAFNOSUPPORT);
	assert_int_equal(bind_at(AF_PACKET, SOCK_DGRAM, "127.0.0.1", 7002),
			 -EAFNOSUPPORT);
}

static void test_v6only(void **state)
{
	struct case_of *c =
		prepare(WIRE_OP_BIND, AF_INET6, SOCK_STREAM, "127.0.0.1", 7003);
	int old = socket(AF_INET6, SOCK_STREAM, 0), fd;

	c->ask.flags = WIRE_F_V6ONLY;
	assert_int_equal(make(c), -EAFNOSUPPORT);
	c->ask.flags = 0;
	set_on(old, IPPROTO_IPV6, IPV6_V6ONLY);
	c->request.socket = old;
	assert_int_equal(make(c), -EAFNOSUPPORT);
	c = prepare(WIRE_OP_BIND, AF_INET6, SOCK_STREAM, "::", 7003);
	c->request.socket = old;
	fd = make(c);
	assert_int_equal(option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	fd_close(fd);
	c->request.socket = -1;
	c->ask.flags = WIRE_F_V6ONLY;
	fd = make(c);
	assert_int_equal(option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	fd_close(fd);
	fd_close(old);
}

static void test_dynamic(void **state)
{
	struct case_of *c = prepare(WIRE_OP_BIND, AF_INET, SOCK_STREAM, "127.0.0.1", 0);
	int fd = make(c), other;
	uint16_t port;

	assert_true(fd >= 0);
	port = ntohs(((struct sockaddr_in *)&c->grant.address.address)->sin_port);
	assert_int_not_equal(port, 0);
	assert_int_equal(local_port(fd), port);

	c = prepare(WIRE_OP_CONNECT, AF_INET, SOCK_STREAM, "127.0.0.1", 0);
	assert_int_equal(make(c), -ECONNREFUSED);
	c->request.port = port;
	other = make(c);
	assert_true(other >= 0);
	assert_int_equal(c->grant.flags, 0);
	assert_address(&c->grant.address, "127.0.0.1", port);
	fd_close(other);
	fd_close(fd);
}

static void test_connect(void **state)
{
	struct case_of *c = prepare(WIRE_OP_CONNECT, AF_INET, SOCK_STREAM, "::", 7004);
	int server = bind_at(AF_INET6, SOCK_STREAM, "::", 7004), fd, inner;

	assert_int_equal(listen(server, 1), 0);
	/* bind_at() has used the same place. */
	c = prepare(WIRE_OP_CONNECT, AF_INET, SOCK_STREAM, "::", 7004);
	fd = make(c);
	assert_true(fd >= 0);
	assert_int_equal(c->grant.family, AF_INET);
	assert_int_equal(c->grant.cookie, cookie_of(fd));
	assert_address(&c->grant.address, "127.0.0.1", 7004);
	assert_int_equal(connect(fd, (struct sockaddr *)&c->grant.address.address,
				 c->grant.address.len),
			 0);
	inner = accept(server, NULL, NULL);
	assert_passes(fd, inner);
	fd_close(inner);
	fd_close(fd);
	fd_close(server);

	c = prepare(WIRE_OP_CONNECT, AF_INET6, SOCK_STREAM, "0.0.0.0", 7004);
	fd = make(c);
	assert_address(&c->grant.address, "::ffff:127.0.0.1", 7004);
	fd_close(fd);
}

static void test_from(void **state)
{
	struct case_of *c = prepare(WIRE_OP_FROM, AF_INET, SOCK_STREAM, "127.0.0.7", 0);
	int fd = make(c), second;

	assert_true(fd >= 0);
	assert_int_equal(c->grant.flags, WIRE_F_BOUND);
	assert_address(&c->grant.address, "127.0.0.7", 0);
	fd_close(fd);
	/* One port may be the source of several connections. */
	c = prepare(WIRE_OP_FROM, AF_INET, SOCK_STREAM, "127.0.0.7", 7005);
	fd = make(c);
	second = make(c);
	assert_true(fd >= 0 && second >= 0);
	assert_address(&c->grant.address, "127.0.0.7", 7005);
	fd_close(fd);
	fd_close(second);
	c = prepare(WIRE_OP_FROM, AF_INET, SOCK_STREAM, "@x", 0);
	assert_int_equal(make(c), -EAFNOSUPPORT);
	c = prepare(WIRE_OP_FROM, AF_INET, SOCK_STREAM, "192.0.2.1", 0);
	assert_int_equal(make(c), -EADDRNOTAVAIL);
}

static void test_host(void **state)
{
	struct case_of *c = prepare(WIRE_OP_BIND, AF_INET, SOCK_DGRAM, NULL, 0);
	union address asked = address_of("127.0.0.1", 7006);
	int fd;

	assert_int_equal(make(c), -EINVAL);
	c->ask.address.address = asked.storage;
	c->ask.address.len = sizeof(asked.v4);
	fd = make(c);
	assert_true(fd >= 0);
	assert_address(&c->grant.address, "127.0.0.1", 7006);
	fd_close(fd);
	c->ask.op = WIRE_OP_CONNECT;
	fd = make(c);
	assert_true(fd >= 0);
	assert_int_equal(local_port(fd), 0);
	assert_address(&c->grant.address, "127.0.0.1", 7006);
	fd_close(fd);
	c->ask.op = WIRE_OP_FROM;
	assert_int_equal(make(c), -EINVAL);
	c->ask.op = 77;
	assert_int_equal(make(c), -EINVAL);
	c->ask.op = WIRE_OP_BIND;
	c->ask.family = AF_UNIX;
	assert_int_equal(make(c), -EAFNOSUPPORT);
}

static void test_options(void **state)
{
	struct case_of *c =
		prepare(WIRE_OP_BIND, AF_INET, SOCK_STREAM, "127.0.0.1", 7007);
	int old = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), fd;

	fd = make(c);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEADDR), 0);
	fd_close(fd);
	set_on(old, SOL_SOCKET, SO_REUSEADDR);
	set_on(old, IPPROTO_TCP, TCP_NODELAY);
	c->request.socket = old;
	fd = make(c);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEPORT), 0);
	assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	fd_close(fd);
	fd_close(old);
}

static void test_shares(void **state)
{
	struct case_of *c = prepare(WIRE_OP_BIND, AF_INET, SOCK_STREAM, "127.0.0.1", 0);
	int first, second;

	c->request.shares = true;
	first = make(c);
	assert_true(first >= 0);
	c->request.port =
		ntohs(((struct sockaddr_in *)&c->grant.address.address)->sin_port);
	second = make(c);
	assert_true(second >= 0);
	assert_address(&c->grant.address, "127.0.0.1", c->request.port);
	assert_int_equal(listen(first, 1), 0);
	assert_int_equal(listen(second, 1), 0);
	fd_close(first);
	fd_close(second);
}

/* Capabilities of ours are not for whoever asks. */
static void test_trust(void **state)
{
	struct case_of *c = prepare(WIRE_OP_BIND, AF_INET, SOCK_RAW, "127.0.0.1", 7008);
	int old = socket(AF_INET, SOCK_STREAM, 0), fd;
	const int mark = 7;

	c->ask.protocol = IPPROTO_UDP;
	assert_int_equal(make(c), -EPERM);
	c->request.is_trusted = true;
	fd = make(c);
	assert_true(fd >= 0);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_TYPE), SOCK_RAW);
	fd_close(fd);

	assert_int_equal(setsockopt(old, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	c = prepare(WIRE_OP_BIND, AF_INET, SOCK_STREAM, "127.0.0.1", 7008);
	c->request.socket = old;
	fd = make(c);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_MARK), 0);
	fd_close(fd);
	c->request.is_trusted = true;
	fd = make(c);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_MARK), mark);
	fd_close(fd);
	fd_close(old);
}

static void test_protocols(void **state)
{
	struct case_of *c =
		prepare(WIRE_OP_BIND, AF_INET, SOCK_STREAM, "127.0.0.1", 7009);
	int fd, plain = socket(AF_INET, SOCK_STREAM, 262);

	c->ask.protocol = 262; /* IPPROTO_MPTCP */
	fd = make(c);
	if (plain >= 0)
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_PROTOCOL), 262);
	else
		assert_int_equal(fd, -EPROTONOSUPPORT);
	fd_close(fd);
	fd_close(plain);
	c->ask.protocol = IPPROTO_UDP;
	assert_int_equal(make(c), -EPROTONOSUPPORT);
	c->ask.protocol = 0;
	c->ask.type = SOCK_SEQPACKET;
	assert_int_equal(make(c), -ESOCKTNOSUPPORT);
}

static void test_unix(void **state)
{
	const char *path = path_of("plain");
	struct case_of *c = prepare(WIRE_OP_BIND, AF_INET, SOCK_STREAM, path, 0);
	int server = make(c), fd, inode = -1, inner;
	struct stat st;
	char by_number[40];
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	assert_true(server >= 0);
	assert_int_equal(c->grant.family, AF_UNIX);
	assert_string_equal(((struct sockaddr_un *)&c->grant.address.address)->sun_path,
			    path);
	assert_int_equal(listen(server, 1), 0);

	c = prepare(WIRE_OP_CONNECT, AF_INET6, SOCK_STREAM, path, 0);
	fd = grant_make(&c->request, &c->grant, &inode);
	assert_true(fd >= 0 && inode >= 0);
	assert_int_equal(fstat(inode, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	snprintf(by_number, sizeof(by_number), "/proc/self/fd/%d", inode);
	memcpy(un.sun_path, by_number, sizeof(by_number));
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	inner = accept(server, NULL, NULL);
	assert_passes(fd, inner);
	fd_close(inner);
	fd_close(inode);
	fd_close(fd);
	fd_close(server);
	unlink(path);
	assert_int_equal(grant_make(&c->request, &c->grant, &inode), -ECONNREFUSED);
}

static void test_unix_abstract(void **state)
{
	struct case_of *c = prepare(WIRE_OP_BIND, AF_INET, SOCK_DGRAM, "@test_grant", 0);
	int fd = make(c), second, inode = 7;

	assert_true(fd >= 0);
	assert_int_equal(c->grant.address.len,
			 offsetof(struct sockaddr_un, sun_path) + 11);
	assert_int_equal(make(c), -EADDRINUSE);
	c->ask.op = WIRE_OP_CONNECT;
	second = grant_make(&c->request, &c->grant, &inode);
	assert_int_equal(inode, -1);
	assert_int_equal(connect(second, (struct sockaddr *)&c->grant.address.address,
				 c->grant.address.len),
			 0);
	assert_passes(second, fd);
	fd_close(second);
	fd_close(fd);
}

static void test_unix_types(void **state)
{
	struct case_of *c = prepare(WIRE_OP_BIND, AF_GRAFT, SOCK_SEQPACKET, "@seq", 0);
	int fd = make(c);

	assert_int_equal(option_of(fd, SOL_SOCKET, SO_TYPE), SOCK_SEQPACKET);
	fd_close(fd);
	c = prepare(WIRE_OP_BIND, AF_INET, SOCK_DGRAM, "@ping", 0);
	c->ask.protocol = IPPROTO_ICMP;
	assert_int_equal(make(c), -EPROTOTYPE);
	c->request.is_trusted = true;
	c->ask.type = SOCK_RAW;
	assert_int_equal(make(c), -EPROTOTYPE);
}

static void test_unix_stale(void **state)
{
	const char *path = path_of("stale");
	int fd = bind_at(AF_INET, SOCK_STREAM, path, 0), second;
	struct stat st;

	assert_true(fd >= 0);
	/* Bound and not listening: alive. */
	assert_int_equal(bind_at(AF_INET, SOCK_STREAM, path, 0), -EADDRINUSE);
	assert_int_equal(bind_at(AF_INET, SOCK_DGRAM, path, 0), -EADDRINUSE);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(bind_at(AF_INET, SOCK_STREAM, path, 0), -EADDRINUSE);
	fd_close(fd);
	second = bind_at(AF_INET, SOCK_STREAM, path, 0);
	assert_true(second >= 0);
	fd_close(second);
	/* A datagram server's, too. */
	fd = bind_at(AF_INET, SOCK_DGRAM, path, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind_at(AF_INET, SOCK_DGRAM, path, 0), -EADDRINUSE);
	fd_close(fd);
	assert_int_equal(unlink(path), 0);
	/* What is no socket stays. */
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	fd_close(fd);
	assert_int_equal(bind_at(AF_INET, SOCK_STREAM, path, 0), -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	unlink(path);
	assert_int_equal(symlink("/nowhere", path), 0);
	assert_int_equal(bind_at(AF_INET, SOCK_STREAM, path, 0), -EADDRINUSE);
	unlink(path);
}

/* Binds, and finds the name to be its own, many times. */
static void bind_often(const char *path)
{
	for (int i = 0; i < 300; i++) {
		uint64_t until = event_now_ns() + DEADLINE_MS * 1000000ull;
		int fd = bind_at(AF_INET, SOCK_STREAM, path, 0);

		if (fd == -EADDRINUSE)
			continue;
		if (fd < 0)
			_exit(1);
		/* The other one may have it aside, but gives it back. */
		while (!path_leads_to(path, fd))
			if (event_now_ns() > until)
				_exit(2);
		fd_close(fd);
	}
	_exit(0);
}

/* Two brokers at one path. */
static void test_unix_race(void **state)
{
	const char *path = path_of("race");
	pid_t children[2];

	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		children[i] = fork();
		if (children[i] == 0)
			bind_often(path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(children); i++)
		assert_exits(children[i], 0);
	unlink(path);
	/* Nothing stays aside. */
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(mkdir(directory, 0700), 0);
}

static void test_unix_errors(void **state)
{
	assert_int_equal(bind_at(AF_INET, SOCK_STREAM, path_of("no/such"), 0), -ENOENT);
}

static void test_unix_umask(void **state)
{
	static struct grant_owner owner;
	const char *path = path_of("mode");
	struct case_of *c = prepare(WIRE_OP_BIND, AF_INET, SOCK_STREAM, path, 0);
	mode_t before = umask(022);
	struct stat st;
	int fd;

	owner = (struct grant_owner){ geteuid(), getegid(), 027 };
	c->request.owner = &owner;
	fd = make(c);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	assert_int_equal(umask(before), 022);
	fd_close(fd);
	unlink(path);
}

/* With the rights of one user, for another. */
static void test_unix_rights(void **state)
{
	static const struct rights nobody = { .uid = 65534, .gid = 65534 };
	static const struct grant_owner daemon = { .uid = 1, .gid = 1, .umask = 0 };
	const char *path = path_of("rights");
	struct case_of *c = prepare(WIRE_OP_BIND, AF_INET, SOCK_STREAM, path, 0);
	int fd, inode = -1;
	struct stat st;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(directory, 0755), 0);
	c->request.rights = &nobody;
	c->request.owner = &daemon;
	assert_int_equal(make(c), -EACCES);
	assert_int_equal(chown(directory, 65534, 65534), 0);
	fd = make(c);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 1);
	assert_int_equal(st.st_gid, 1);
	assert_int_equal(st.st_mode & 0777, 0777);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_uid, 1);
	fd_close(fd);
	/* Looked up with the same rights. */
	c->ask.op = WIRE_OP_CONNECT;
	assert_int_equal(chmod(directory, 0700), 0);
	fd = grant_make(&c->request, &c->grant, &inode);
	assert_true(fd >= 0);
	fd_close(fd);
	fd_close(inode);
	assert_int_equal(chown(directory, 0, 0), 0);
	assert_int_equal(grant_make(&c->request, &c->grant, &inode), -EACCES);
	/* Nothing of it stays with us. */
	assert_int_equal(unlink(path), 0);
	fd = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
	assert_true(fd >= 0);
	fd_close(fd);
}

static void test_no_leaks(void **state)
{
	int before = n_descriptors();

	test_bind(state);
	test_unix(state);
	test_unix_stale(state);
	assert_int_equal(n_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_bind_families),
		cmocka_unit_test(test_v6only),
		cmocka_unit_test(test_dynamic),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_from),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_trust),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_unix_abstract),
		cmocka_unit_test(test_unix_types),
		cmocka_unit_test(test_unix_stale),
		cmocka_unit_test(test_unix_race),
		cmocka_unit_test(test_unix_errors),
		cmocka_unit_test(test_unix_umask),
		cmocka_unit_test(test_unix_rights),
		cmocka_unit_test(test_no_leaks),
	};
	int r = enter_namespace();

	if (r)
		return r;
	if (!mkdtemp(directory) || stack_host_new(&host) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	stack_free(host);
	rmdir(directory);
	return r;
}
