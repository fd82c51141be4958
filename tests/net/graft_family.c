/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program written for AF_GRAFT: sockets, names and options as linux/graft.h has them.
 * Run where these endpoints exist (test_graft_family.sh):
 *
 *	ep-stream ipv4 127.0.0.1:7070	ep-six ipv6 [::1]:7071	ep-path unix PATH
 *	ep-any ipv4 127.0.0.1:dynamic	ep-16-characters ipv4 127.0.0.1:7072
 *	ep-options ipv4 127.0.0.1:7073	ep-server ipv4 127.0.0.1:7074
 *
 * Prints TAP. With --source there is "default-source ipv4 127.0.0.1:7079", too;
 * with --far a server at "ep-far ipv4 127.0.0.1:7086" of another namespace.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/graft.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int n, n_failed;

static void check(bool good, const char *name)
{
	n++;
	n_failed += !good;
	printf("%sok %d - %s%s%s\n", good ? "" : "not ", n, name, good ? "" : ": ",
	       good ? "" : strerror(errno));
}

static bool fails_with(int result, int error)
{
	return result < 0 && errno == error;
}

static struct sockaddr_gr name_of(const char *name)
{
	struct sockaddr_gr address = { .sgr_family = AF_GRAFT };

	memcpy(address.sgr_epname, name, strnlen(name, AF_GRAFT_EPNAME_MAX));
	return address;
}

static int bind_to(int fd, const char *name)
{
	struct sockaddr_gr address = name_of(name);

	return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

static int connect_to(int fd, const char *name)
{
	struct sockaddr_gr address = name_of(name);

	return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

static bool exchange(int one, int other)
{
	char byte = 'x';

	return write(one, &byte, 1) == 1 && read(other, &byte, 1) == 1 && byte == 'x';
}

static uint16_t local_port(int fd, int family)
{
	struct sockaddr_storage local;
	socklen_t size = sizeof(local);
	int on = 1;

	setsockopt(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, &on, sizeof(on));
	if (getsockname(fd, (struct sockaddr *)&local, &size) < 0 ||
	    local.ss_family != family)
		return 0;
	/* At the same place in both. */
	return ntohs(((struct sockaddr_in *)&local)->sin_port);
}

/* A server and a client of one endpoint. Return: the server. */
static int serve(const char *endpoint, int family, uint16_t port)
{
	int server = socket(AF_GRAFT, SOCK_STREAM, 0);
	int client = socket(AF_GRAFT, SOCK_STREAM | SOCK_CLOEXEC, 0), peer, on = 1;
	char what[64];

	/* Who granted a socket closes its own copy a little later, so either side may be
	 * the first to close. */
	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));

	snprintf(what, sizeof(what), "bind to %s", endpoint);
	check(bind_to(server, endpoint) == 0, what);
	if (family != AF_UNIX)
		check(port ? local_port(server, family) == port
			   : local_port(server, family) != 0,
		      "getsockname tells the address at the endpoint");
	check(listen(server, 4) == 0, "listen");
	snprintf(what, sizeof(what), "connect to %s", endpoint);
	check(connect_to(client, endpoint) == 0, what);
	peer = accept(server, NULL, NULL);
	check(peer >= 0 && exchange(client, peer) && exchange(peer, client),
	      "bytes go both ways");
	close(client);
	close(peer);
	return server;
}

static void test_addresses(void)
{
	struct sockaddr_gr address = name_of("ep-stream");
	struct sockaddr_in inet = { .sin_family = AF_INET };
	char longer[64] = { 0 };
	int fd = socket(AF_GRAFT, SOCK_STREAM, 0), other, pair[2], on = 1;

	check(fd >= 0, "socket");
	check(fails_with(socketpair(AF_GRAFT, SOCK_STREAM, 0, pair), EOPNOTSUPP),
	      "socketpair is refused as AF_INET's is");
	other = socket(AF_GRAFT, SOCK_STREAM, 0);
	check(listen(other, 1) == 0, "listen before bind, as AF_INET's does");
	close(other);
	check(fails_with(bind(fd, (struct sockaddr *)&address, sizeof(address) - 1),
			 EINVAL),
	      "a short address");
	check(fails_with(bind(fd, (struct sockaddr *)&inet, sizeof(inet)), EAFNOSUPPORT),
	      "bind to an internet address");
	check(fails_with(bind_to(fd, ""), EINVAL), "an empty name");
	memcpy(longer, &address, sizeof(address));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	check(bind(fd, (struct sockaddr *)longer, sizeof(longer)) == 0,
	      "what follows a long address is ignored");
	check(fails_with(bind_to(fd, "ep-stream"), EINVAL), "bind twice");
	other = socket(AF_GRAFT, SOCK_STREAM, 0);
	check(fails_with(bind_to(other, "ep-stream"), EADDRINUSE),
	      "an address that is taken");
	close(other);
	other = socket(AF_INET, SOCK_STREAM, 0);
	check(fails_with(bind_to(other, "ep-stream"), EAFNOSUPPORT),
	      "sockets of AF_INET know no names");
	close(other);
	close(fd);
}

static void test_datagrams(void)
{
	struct sockaddr_gr to = name_of("ep-stream");
	int server = socket(AF_GRAFT, SOCK_DGRAM, 0);
	int client = socket(AF_GRAFT, SOCK_DGRAM, 0);
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	char byte = 0;

	check(bind_to(server, "ep-stream") == 0, "datagrams: bind");
	for (int i = 0; i < 2; i++) {
		check(sendto(client, "d", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1,
		      "datagrams: sendto a name");
		check(recvfrom(server, &byte, 1, 0, (struct sockaddr *)&from, &size) ==
				      1 &&
			      byte == 'd',
		      "datagrams: it arrives");
	}
	check(connect_to(client, "ep-stream") == 0 && send(client, "e", 1, 0) == 1 &&
		      recv(server, &byte, 1, 0) == 1 && byte == 'e',
	      "datagrams: connect");
	close(client);
	close(server);
}

static int set_int(int fd, int option, int value)
{
	return setsockopt(fd, IPPROTO_GRAFT, option, &value, sizeof(value));
}

static int get_int(int fd, int option)
{
	socklen_t size = sizeof(int);
	int value = -1;

	return getsockopt(fd, IPPROTO_GRAFT, option, &value, &size) < 0 ? -1 : value;
}

static int set_transparent(int fd, int level, int option, int value)
{
	union {
		struct graft_sso_trans trans;
		char space[GRAFT_SSO_TRANS_SIZE];
	} all = { .trans = { level, option, sizeof(value) } };

	memcpy(all.trans.optval, &value, sizeof(value));
	return setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_TRANSPARENT, &all,
			  sizeof(all.trans) + sizeof(value));
}

static void test_options(void)
{
	struct graft_sso_result results[4];
	socklen_t size = sizeof(results);
	int fd = socket(AF_GRAFT, SOCK_STREAM, 0), value = 1;

	check(get_int(fd, GRAFT_SO_DELAYED) == 0, "delayed is off at first");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value));
	check(set_int(fd, GRAFT_SO_DELAYED, 1) == 0 && get_int(fd, GRAFT_SO_DELAYED) == 1,
	      "delayed on");
	check(set_int(fd, GRAFT_NAME_TRANSPARENT, 1) == 0 &&
		      get_int(fd, GRAFT_NAME_TRANSPARENT) == 1,
	      "name-transparent on");
	check(set_transparent(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
		      set_transparent(fd, SOL_SOCKET, 4711, 1) == 0,
	      "delayed options say yes");
	check(bind_to(fd, "ep-options") == 0, "bind with delayed options");
	size = sizeof(value);
	value = 0;
	check(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &size) == 0 && value,
	      "a delayed option took effect");
	value = 0;
	check(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size) == 0 && value,
	      "an option set before bind went along");
	size = sizeof(results[0]);
	check(getsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED_RESULT, results, &size) ==
			      0 &&
		      size == sizeof(results[0]) && results[0].optname == SO_REUSEADDR &&
		      results[0].ret == 0,
	      "the first result");
	size = sizeof(results);
	check(getsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED_RESULT, results, &size) ==
			      0 &&
		      size == sizeof(results[0]) && results[0].optname == 4711 &&
		      results[0].ret < 0,
	      "the second, which failed, and no more");
	size = sizeof(results);
	check(getsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED_RESULT, results, &size) ==
			      0 &&
		      size == 0,
	      "results are told once");
	check(set_int(fd, GRAFT_SO_DELAYED_EXECUTE, 0) == 0,
	      "execute with nothing to do");
	check(fails_with(set_int(fd, 99, 0), ENOPROTOOPT), "an unknown option");
	close(fd);
	fd = socket(AF_GRAFT, SOCK_STREAM, 0);
	check(set_int(fd, GRAFT_SO_DELAYED_EXECUTE, 0) == 0, "execute before bind");
	close(fd);
}

static void test_source(void)
{
	int server = socket(AF_GRAFT, SOCK_STREAM, 0);
	int client = socket(AF_GRAFT, SOCK_STREAM, 0), on = 1;

	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	bind_to(server, "ep-server");
	listen(server, 1);
	check(connect_to(client, "ep-server") == 0, "connect from the default source");
	check(local_port(client, AF_INET) == 7079, "its address is the source's");
	close(client);
	close(server);
}

/* Its address means something else in the namespace the socket is bound in. */
static void test_far(void)
{
	struct sockaddr_gr here = name_of("ep-stream"), far = name_of("ep-far");
	int fd = socket(AF_GRAFT, SOCK_STREAM, 0);

	check(connect_to(fd, "ep-far") == 0, "connect to another namespace");
	close(fd);
	fd = socket(AF_GRAFT, SOCK_STREAM, 0);
	/* A connection of an earlier part may still be in TIME_WAIT there. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	check(bind_to(fd, "ep-stream") == 0, "bind on the host");
	check(fails_with(connect_to(fd, "ep-far"), ENETUNREACH),
	      "a bound socket reaches endpoints of its own namespace alone");
	close(fd);
	fd = socket(AF_GRAFT, SOCK_DGRAM, 0);
	check(sendto(fd, "x", 1, 0, (struct sockaddr *)&here, sizeof(here)) == 1 &&
		      sendto(fd, "x", 1, 0, (struct sockaddr *)&far, sizeof(far)) == 1,
	      "one that is not bound goes from one to the other");
	close(fd);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && !strcmp(argv[1], "--source")) {
		test_source();
	} else if (argc > 1 && !strcmp(argv[1], "--far")) {
		test_far();
	} else {
		test_addresses();
		close(serve("ep-stream", AF_INET, 7070));
		close(serve("ep-six", AF_INET6, 7071));
		close(serve("ep-16-characters", AF_INET, 7072));
		close(serve("ep-any", AF_INET, 0));
		close(serve("ep-path", AF_UNIX, 0));
		test_datagrams();
		test_options();
	}
	printf("1..%d\n", n);
	return n_failed ? 1 : 0;
}
