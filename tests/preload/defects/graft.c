/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs written for AF_GRAFT: struct sockaddr_gr and the options of level
 * IPPROTO_GRAFT. Nothing of this exists natively on a kernel without the module.
 *
 * Endpoints: d4 127.0.0.1:17000, peer4 127.0.0.1:9000. "default-source" exists for the
 * case of that name alone.
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "defects.h"
#include "main.h"

static struct sockaddr_gr name_make(const char *text)
{
	struct sockaddr_gr name = { .sgr_family = AF_GRAFT };

	strncpy(name.sgr_epname, text, sizeof(name.sgr_epname));
	return name;
}

static long bind_name(int fd, const char *text)
{
	struct sockaddr_gr name = name_make(text);

	return bind(fd, (struct sockaddr *)&name, sizeof(name));
}

static long connect_name(int fd, const char *text)
{
	struct sockaddr_gr name = name_make(text);

	return connect(fd, (struct sockaddr *)&name, sizeof(name));
}

static void sgr_lengths(void)
{
	union {
		struct sockaddr_gr name;
		char bytes[300];
	} address = { .name = name_make("d4") };

	for (socklen_t len = 0; len <= 200; len++) {
		int fd = xsocket(AF_GRAFT, SOCK_STREAM);

		/* Linux takes no address longer than sockaddr_storage. */
		WANT(len < 18 || len > 128 ? -EINVAL : 0,
		     bind(fd, (struct sockaddr *)address.bytes, len));
		close(fd);
	}
}

/* The program of the documentation. */
static void sgr_server(void)
{
	struct spot at = spot_make("127.0.0.1", 17000);
	int fd = xsocket(AF_GRAFT, SOCK_STREAM), client, accepted;

	WANT(0, bind_name(fd, "d4"));
	WANT(-EINVAL, bind_name(fd, "d4"));
	xlisten(fd);
	client = host_connect(&at, SOCK_STREAM);
	accepted = accept(fd, NULL, NULL);
	CHECK(accepted >= 0, "accept: %m");
	exchange(accepted, client);
	close(fd);
}

static void sgr_names(void)
{
	struct sockaddr_gr name = { 0 };
	struct spot spot = { .len = sizeof(spot.storage) };
	socklen_t len = sizeof(name);
	int fd = xsocket(AF_GRAFT, SOCK_STREAM);

	WANT(-ENOTCONN, getpeername(fd, &spot.any, &spot.len));
	WANT(0, bind_name(fd, "d4"));
	WANT(0, getsockname(fd, (struct sockaddr *)&name, &len));
	CHECK(len == 18 && name.sgr_family == AF_GRAFT && !strcmp(name.sgr_epname, "d4"),
	      "named family %d '%.16s', %u bytes", name.sgr_family, name.sgr_epname, len);
	set_int(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, 1);
	CHECK(get_int(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT) == 1, "option is lost");
	spot = name_of(fd);
	CHECK(spot.any.sa_family == AF_INET && spot_port(&spot) == 17000,
	      "transparent: %s", spot_text(&spot));
}

static void sgr_errors(void)
{
	struct spot inet = spot_make("127.0.0.1", 0);
	int fd = xsocket(AF_GRAFT, SOCK_STREAM);

	WANT(-ENOENT, bind_name(fd, "no-such"));
	WANT(-EAFNOSUPPORT, bind(fd, &inet.any, sizeof(inet.storage)));
	WANT(-ENOENT, connect_name(fd, "no-such"));
	/* Without the endpoint default-source it goes where AF_INET sockets go. */
	inet = spot_make("203.0.113.1", 80);
	SAME(connect(fd, &inet.any, inet.len),
	     raw_connect(raw_socket(AF_INET, SOCK_STREAM, 0), &inet.any, inet.len));
}

static void sgr_connect(void)
{
	struct spot at = at_connect(AF_INET);
	int listener = host_listen(&at, SOCK_STREAM);
	int fd = xsocket(AF_GRAFT, SOCK_STREAM);

	WANT(0, connect_name(fd, "peer4"));
	exchange(fd, host_accept(listener));
}

/* With it: 10.77.0.1 is the host's. */
static void default_source(void)
{
	struct spot to = spot_make("10.77.0.1", 9000), at = at_connect(AF_INET);
	int listener = host_listen(&at, SOCK_STREAM);
	int fd = xsocket(AF_GRAFT, SOCK_STREAM);

	WANT(0, connect(fd, &to.any, to.len));
	exchange(fd, host_accept(listener));
}

static long delayed(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

static ssize_t read_results(int fd, struct graft_sso_result *results, size_t n)
{
	socklen_t len = (socklen_t)(n * sizeof(*results));

	if (getsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED_RESULT, results, &len) < 0)
		return -errno;
	return (ssize_t)(len / sizeof(*results));
}

static void sgr_delayed(void)
{
	struct graft_sso_result results[8];
	int fd = xsocket(AF_GRAFT, SOCK_STREAM);
	ssize_t n;

	set_int(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, 1);
	WANT(0, delayed(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	WANT(0, delayed(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)); /* d4 is an IPv4 one */
	WANT(0, delayed(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77));
	WANT(0, bind_name(fd, "d4"));
	n = read_results(fd, results, ARRAY_SIZE(results));
	if (!CHECK(n == 3, "%zd results", n))
		return;
	CHECK(results[0].level == IPPROTO_TCP && results[0].optname == TCP_NODELAY &&
		      results[0].ret == 0,
	      "first: %d %d %d", results[0].level, results[0].optname, results[0].ret);
	CHECK(results[1].ret == -ENOPROTOOPT, "IPV6_V6ONLY gave %d", results[1].ret);
	CHECK(results[2].ret == 0, "TCP_KEEPIDLE gave %d", results[2].ret);
	CHECK(get_int(fd, IPPROTO_TCP, TCP_NODELAY) == 1, "TCP_NODELAY is lost");
	CHECK(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 77, "TCP_KEEPIDLE is lost");
	CHECK(read_results(fd, results, ARRAY_SIZE(results)) == 0, "results stay");
}

static void sgr_many(void)
{
	static struct graft_sso_result results[600];
	int fd = xsocket(AF_GRAFT, SOCK_STREAM);
	ssize_t n;

	set_int(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, 1);
	for (int i = 1; i <= 200; i++)
		WANT(0, delayed(fd, IPPROTO_TCP, TCP_KEEPIDLE, i));
	WANT(0, bind_name(fd, "d4"));
	n = read_results(fd, results, ARRAY_SIZE(results));
	CHECK(n == 200, "%zd results of 200", n);
	CHECK(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 200, "the last one is lost");
	/* None runs a second time. */
	set_int(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, 0);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 999);
	WANT(0, delayed(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED_EXECUTE, 0));
	CHECK(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 999, "options ran twice");
	CHECK(read_results(fd, results, ARRAY_SIZE(results)) == 0, "new results");
}

static void sgr_execute(void)
{
	struct graft_sso_result results[4];
	int fd = xsocket(AF_GRAFT, SOCK_STREAM);

	WANT(0, delayed(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED_EXECUTE, 0));
	set_int(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, 1);
	WANT(0, delayed(fd, IPPROTO_TCP, TCP_KEEPIDLE, 55));
	WANT(0, delayed(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED_EXECUTE, 0));
	WANT(0, bind_name(fd, "d4"));
	CHECK(read_results(fd, results, 4) == 1, "not one result");
	CHECK(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 55, "TCP_KEEPIDLE is lost");
}

/* struct graft_sso_trans with @optlen said and @size bytes given, ending at a page that
 * cannot be read. */
static long transparent(int fd, char *page_end, unsigned int optlen, unsigned int size)
{
	struct graft_sso_trans *carrier = (void *)(page_end - size);
	struct graft_sso_trans head = { SOL_SOCKET, SO_RCVLOWAT, optlen };

	memset(carrier, 0, size);
	memcpy(carrier, &head, size < sizeof(head) ? size : sizeof(head));
	if (size >= sizeof(head) + 4)
		carrier->optval[0] = 9;
	return setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_TRANSPARENT, carrier, size);
}

static void sgr_lying(void)
{
	char *end = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	int fd = xsocket(AF_GRAFT, SOCK_STREAM);

	end += 4096;
	mprotect(end, 4096, PROT_NONE);
	WANT(0, bind_name(fd, "d4"));
	WANT(0, transparent(fd, end, 4, 16));
	CHECK(get_int(fd, SOL_SOCKET, SO_RCVLOWAT) == 9, "the option did not arrive");
	WANT(0, transparent(fd, end, 116, 128));
	WANT(-EINVAL, transparent(fd, end, 117, 129));
	WANT(-EINVAL, transparent(fd, end, 117, 128));
	WANT(-EINVAL, transparent(fd, end, 0xffffffff, 128));
	WANT(-EINVAL, transparent(fd, end, 0xfffffff8, 128));
	WANT(-EINVAL, transparent(fd, end, 5, 16));
	WANT(-EINVAL, transparent(fd, end, 4, 11));
	WANT(-EINVAL, transparent(fd, end, 4, 0));
	WANT(-EFAULT,
	     setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_TRANSPARENT, BAD_POINTER, 16));
	WANT(-EFAULT, setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, BAD_POINTER, 4));
	WANT(-EFAULT, bind(xsocket(AF_GRAFT, SOCK_STREAM), BAD_POINTER, 18));
}

void check_kept(int fd)
{
	struct sockaddr_gr name = { 0 };
	socklen_t len = sizeof(name);

	WANT(0, getsockname(fd, (struct sockaddr *)&name, &len));
	CHECK(len == 18 && name.sgr_family == AF_GRAFT && !strcmp(name.sgr_epname, "s4"),
	      "named family %d '%.16s', %u bytes", name.sgr_family, name.sgr_epname, len);
	CHECK(get_int(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT) == 0, "no option");
	WANT(-EINVAL, bind_name(fd, "s4"));
}

/* What it is goes with it: copies, children, other programs. What it accepts is plain. */
static void sgr_kept(void)
{
	struct spot at = spot_make("127.0.0.1", 17010), name;
	int fd = xsocket(AF_GRAFT, SOCK_STREAM), copy = dup(fd), accepted;
	struct sock_filter code[64];
	socklen_t n = ARRAY_SIZE(code);

	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	WANT(0, bind_name(copy, "s4"));
	check_kept(fd);
	close(fd);
	check_kept(copy);
	xlisten(copy);
	CHECK(run_self(copy, -1) == 0, "the exec'd program failed");
	host_connect(&at, SOCK_STREAM);
	accepted = accept(copy, NULL, NULL);
	name = name_of(accepted);
	CHECK(name.any.sa_family == AF_INET, "accepted: %s", spot_text(&name));
	WANT(-EOPNOTSUPP, get_int(accepted, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT));
	WANT(0, KERNEL(SYS_getsockopt, accepted, SOL_SOCKET, SO_ATTACH_FILTER, code, &n));
	CHECK(n == 0, "accepted with a filter of %u", n);
	n = ARRAY_SIZE(code);
	WANT(0, getsockopt(copy, SOL_SOCKET, SO_ATTACH_FILTER, code, &n));
	CHECK(n == 0, "a filter of %u shows", n);
}

/* Of another type, and to a UNIX endpoint. */
static void sgr_types(void)
{
	int first = xsocket(AF_GRAFT, SOCK_SEQPACKET);
	int server = xsocket(AF_GRAFT, SOCK_SEQPACKET), client, pair[2];
	struct spot six = { .len = sizeof(six.storage) };

	WANT(-ESOCKTNOSUPPORT, socket(AF_GRAFT, SOCK_RDM, 0));
	WANT(-EPROTOTYPE, bind_name(first, "d4"));
	WANT(0, bind_name(server, "bound"));
	xlisten(server);
	client = xsocket(AF_GRAFT, SOCK_SEQPACKET);
	WANT(0, connect_name(client, "bound"));
	exchange(client, accept(server, NULL, NULL));
	WANT(-EOPNOTSUPP, socketpair(AF_GRAFT, SOCK_STREAM, 0, pair));
	server = xsocket(AF_GRAFT, SOCK_STREAM);
	set_int(server, IPPROTO_GRAFT, GRAFT_SO_DELAYED, 1);
	WANT(0, delayed(server, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	WANT(0, bind_name(server, "any6"));
	CHECK(get_int(server, SOL_SOCKET, SO_DOMAIN) == AF_INET6, "not AF_INET6");
	CHECK(get_int(server, IPPROTO_IPV6, IPV6_V6ONLY) == 1, "IPV6_V6ONLY is lost");
	set_int(server, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, 1);
	six = name_of(server);
	CHECK(six.any.sa_family == AF_INET6 && spot_port(&six) == 17008, "%s",
	      spot_text(&six));
}

const struct defect defects_graft[] = {
	{ "sgr_lengths", sgr_lengths },
	{ "sgr_server", sgr_server },
	{ "sgr_names", sgr_names },
	{ "sgr_errors", sgr_errors },
	{ "sgr_connect", sgr_connect },
	{ "default_source", default_source },
	{ "sgr_delayed", sgr_delayed },
	{ "sgr_many", sgr_many },
	{ "sgr_execute", sgr_execute },
	{ "sgr_lying", sgr_lying },
	{ "sgr_kept", sgr_kept },
	{ "sgr_types", sgr_types },
	{ 0 },
};
