/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options: before and after bind(), of every level, with every length. */
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "native.h"

static void truth(void)
{
	int fd = graft(SOCK_STREAM), client = graft(SOCK_STREAM), error;

	add_host("ep", 0);
	want(0, get_int(fd, SOL_SOCKET, SO_ACCEPTCONN));
	need(bind_name(fd, "ep") == 0 && listen(fd, 1) == 0);
	want(AF_INET, get_int(fd, SOL_SOCKET, SO_DOMAIN));
	want(IPPROTO_TCP, get_int(fd, SOL_SOCKET, SO_PROTOCOL));
	want(1, get_int(fd, SOL_SOCKET, SO_ACCEPTCONN));
	want_rc(0, connect_name(client, "ep"));
	want(true, get_int(client, IPPROTO_TCP, TCP_MAXSEG) > 1000);
	/* What became of a connect() that nobody waited for. */
	add_kind("closed", AF_INET, "127.0.0.1", 1, host_netns);
	client = graft(SOCK_STREAM | SOCK_NONBLOCK);
	error = rc(connect_name(client, "closed"));
	if (error == -EINPROGRESS) {
		need(poll_for(client, POLLOUT | POLLERR));
		want(ECONNREFUSED, get_int(client, SOL_SOCKET, SO_ERROR));
	} else {
		want(-ECONNREFUSED, error);
	}
	want(0, get_int(client, SOL_SOCKET, SO_ERROR));
}

static void kept(void)
{
	struct timeval time = { 3, 0 }, got_time;
	struct linger linger = { 1, 7 }, got_linger;
	socklen_t size = sizeof(got_time);
	int fd = graft(SOCK_STREAM);

	add_host("ep", 0);
	want_rc(0, set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1));
	want_rc(0, set_int(fd, SOL_SOCKET, SO_SNDBUF, 50000));
	want_rc(0, set_int(fd, SOL_SOCKET, SO_RCVBUF, 60000));
	want_rc(0, set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
	want_rc(0, set_int(fd, SOL_SOCKET, SO_PRIORITY, 5));
	want_rc(0, set_int(fd, SOL_SOCKET, SO_MARK, 77));
	want_rc(0, set_int(fd, SOL_SOCKET, SO_RCVLOWAT, 9));
	want_rc(0, set_int(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1));
	want_rc(0, setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)));
	want_rc(0, setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	want_rc(0, set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	want_rc(0, set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 123));
	want_rc(0, set_int(fd, IPPROTO_IP, IP_TTL, 33));
	want_rc(0, bind_name(fd, "ep"));
	want(1, get_int(fd, SOL_SOCKET, SO_REUSEADDR));
	want(100000, get_int(fd, SOL_SOCKET, SO_SNDBUF));
	want(120000, get_int(fd, SOL_SOCKET, SO_RCVBUF));
	want(1, get_int(fd, SOL_SOCKET, SO_KEEPALIVE));
	want(5, get_int(fd, SOL_SOCKET, SO_PRIORITY));
	want(77, get_int(fd, SOL_SOCKET, SO_MARK));
	want(9, get_int(fd, SOL_SOCKET, SO_RCVLOWAT));
	want(1, get_int(fd, SOL_SOCKET, SO_TIMESTAMPNS));
	want(0, get_int(fd, SOL_SOCKET, SO_TIMESTAMP));
	want_rc(0, getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got_time, &size));
	want(3, got_time.tv_sec);
	size = sizeof(got_linger);
	want_rc(0, getsockopt(fd, SOL_SOCKET, SO_LINGER, &got_linger, &size));
	want(7, got_linger.l_linger);
	want(1, get_int(fd, IPPROTO_TCP, TCP_NODELAY));
	want(123, get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE));
	want(33, get_int(fd, IPPROTO_IP, IP_TTL));
	/* And nothing is left to be told. */
	size = sizeof(got_time);
	want_rc(0,
		getsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED_RESULT, &got_time, &size));
	want(0, size);
}

/* Only what begins with 'y' passes. */
static void filters(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };
	int server = graft(SOCK_DGRAM), client = graft(SOCK_DGRAM);
	struct sockaddr_gr to = gr("udp");
	char byte;

	add_host("udp", 0);
	want_rc(0, setsockopt(server, SOL_SOCKET, SO_ATTACH_FILTER, &program,
			      sizeof(program)));
	want_rc(0, set_int(server, SOL_SOCKET, SO_LOCK_FILTER, 1));
	memset(code, 0, sizeof(code));
	want_rc(0, bind_name(server, "udp"));
	for (const char *c = "nYny"; *c; c++)
		want_rc(1, sendto(client, c, 1, 0, (struct sockaddr *)&to, sizeof(to)));
	/* They come in their order, and may come after the call that sent them. */
	want_rc(1, recv(server, &byte, 1, 0));
	want('y', byte);
	want_rc(-EAGAIN, recv(server, &byte, 1, MSG_DONTWAIT));
	want_rc(-EPERM, setsockopt(server, SOL_SOCKET, SO_DETACH_FILTER, &program, 4));
}

static size_t results(int fd, struct graft_sso_result *ret, size_t n)
{
	socklen_t size = (socklen_t)(n * sizeof(*ret));

	want_rc(0, getsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED_RESULT, ret, &size));
	return size / sizeof(*ret);
}

static void delayed(void)
{
	struct graft_sso_result got[8] = { 0 };
	int fd = graft(SOCK_STREAM);

	add_kind("six", AF_INET6, "::1", 0, host_netns);
	want(0, get_int(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED));
	want_rc(0, set_int(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, 1));
	want(1, get_int(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED));
	want_rc(0, set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	want_rc(0, set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	want_rc(0, set_int(fd, IPPROTO_TCP, TCP_MAXSEG, 1));
	want_rc(0, set_int(fd, 9999, 1, 1));
	want(0, results(fd, got, 8));
	want_rc(0, bind_name(fd, "six"));
	want(1, get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY));
	want(1, get_int(fd, IPPROTO_TCP, TCP_NODELAY));
	want(3, results(fd, got, 3));
	want(IPPROTO_IPV6, got[0].level);
	want(IPV6_V6ONLY, got[0].optname);
	want(0, got[0].ret);
	want(0, got[1].ret);
	want(-EINVAL, got[2].ret);
	want(1, results(fd, got, 8));
	want(-ENOPROTOOPT, got[0].ret);
	want(0, results(fd, got, 8));
	/* Run before bind(), once. */
	fd = graft(SOCK_STREAM);
	set_int(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, 1);
	want_rc(0, set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	want_rc(0, set_int(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED_EXECUTE, 0));
	want(1, results(fd, got, 8));
	want_rc(0, bind_name(fd, "six"));
	want(0, results(fd, got, 8));
	want(1, get_int(fd, IPPROTO_TCP, TCP_NODELAY));
}

/* What an endpoint of another family refuses is told. */
static void failing(void)
{
	struct graft_sso_result got[8] = { 0 };
	int fd = graft(SOCK_STREAM);
	size_t n;

	add_kind("u", AF_UNIX, "@graft-failing", 0, -1);
	want_rc(0, set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	want_rc(0, bind_name(fd, "u"));
	n = results(fd, got, 8);
	want(1, n);
	for (size_t i = 1; i < n; i++)
		printf("# level %d option %d: %d\n", got[i - 1].level, got[i - 1].optname,
		       got[i - 1].ret);
	want(IPPROTO_TCP, got[0].level);
	want(-EOPNOTSUPP, got[0].ret);
}

static void many(void)
{
	struct graft_sso_result got[300];
	int fd = graft(SOCK_STREAM), n;

	add_host("ep", 0);
	set_int(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, 1);
	for (n = 0; n < 1000 && set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, n + 1) == 0; n++)
		;
	want(true, n > 64);
	want(ENOBUFS, errno);
	want_rc(0, bind_name(fd, "ep"));
	want(n, get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE));
	want(n, results(fd, got, ARRAY_SIZE(got)));
	for (n = 0; n < 1000; n++)
		want_rc(0, set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 7));
	want(0, results(fd, got, ARRAY_SIZE(got)));
}

static void carriers(void)
{
	struct {
		struct graft_sso_trans head;
		int value;
		char more[200];
	} carrier = { { SOL_SOCKET, SO_PRIORITY, 4 }, 3, { 0 } };
	int fd = graft(SOCK_STREAM);

	add_host("ep", 0);
	want_rc(0, setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_TRANSPARENT, &carrier, 16));
	want_rc(0, bind_name(fd, "ep"));
	want(3, get_int(fd, SOL_SOCKET, SO_PRIORITY));
	for (socklen_t size = 0; size <= sizeof(carrier); size++)
		want_rc(size < 16 || size > GRAFT_SSO_TRANS_SIZE ? -EINVAL : 0,
			setsockopt(graft(SOCK_STREAM), IPPROTO_GRAFT,
				   GRAFT_SO_TRANSPARENT, &carrier, size));
	carrier.head.optlen = 0xffffffff;
	want_rc(-EINVAL,
		setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_TRANSPARENT, &carrier, 16));
	carrier.head.optlen = 5;
	want_rc(-EINVAL,
		setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_TRANSPARENT, &carrier, 16));
	carrier.head = (struct graft_sso_trans){ IPPROTO_GRAFT, GRAFT_SO_DELAYED, 4 };
	want_rc(-ENOPROTOOPT,
		setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_TRANSPARENT, &carrier, 16));
}

static void bad_pointers(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	void *const bad[] = { (void *)8, (void *)0xffff888000000000, page + 4094 };
	static const int levels[] = { IPPROTO_GRAFT, IPPROTO_TCP, SOL_SOCKET };

	need(page != MAP_FAILED && munmap(page + 4096, 4096) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(levels); j++) {
			int fd = graft(SOCK_STREAM);
			socklen_t size = 4;

			want_rc(-EFAULT, setsockopt(fd, levels[j], 1, bad[i], 4));
			want_rc(-EFAULT, getsockopt(fd, levels[j], 1, bad[i], &size));
			want_rc(-EFAULT, getsockopt(fd, levels[j], 1, page, bad[i]));
		}
	}
	want_rc(-EFAULT, setsockopt(graft(SOCK_STREAM), IPPROTO_GRAFT,
				    GRAFT_SO_TRANSPARENT, bad[2], 100));
}

static void sizes(void)
{
	char bytes[5000] = { 1 };
	int fd = graft(SOCK_STREAM);
	socklen_t size = (socklen_t)-1;

	want_rc(-EINVAL, setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, bytes, 3));
	want_rc(-EINVAL,
		setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, bytes, (socklen_t)-1));
	want_rc(-EINVAL, getsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, bytes, &size));
	size = 1;
	want_rc(0, getsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, bytes, &size));
	want(1, size);
	want_rc(-ENOPROTOOPT, setsockopt(fd, IPPROTO_GRAFT, 99, bytes, 4));
	want_rc(-ENOPROTOOPT, getsockopt(fd, IPPROTO_GRAFT, 99, bytes, &size));
	want_rc(0, setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, bytes, sizeof(bytes)));
	set_int(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, 1);
	want_rc(-EINVAL, setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, bytes, sizeof(bytes)));
}

static void *set_options(void *argument)
{
	int *fd = argument;

	for (int i = 0; i < 500; i++) {
		set_int(*fd, IPPROTO_TCP, TCP_NODELAY, i & 1);
		set_int(*fd, SOL_SOCKET, SO_PRIORITY, i % 7);
		get_int(*fd, IPPROTO_TCP, TCP_NODELAY);
		get_int(*fd, SOL_SOCKET, SO_ERROR);
		set_int(*fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, i & 1);
	}
	return NULL;
}

static void threads(void)
{
	add_host("ep", 0);
	for (int i = 0; i < 10; i++) {
		int fd = graft(SOCK_STREAM);
		pthread_t thread[4];

		for (int j = 0; j < 4; j++)
			need(pthread_create(&thread[j], NULL, set_options, &fd) == 0);
		want_rc(0, bind_name(fd, "ep"));
		for (int j = 0; j < 4; j++)
			pthread_join(thread[j], NULL);
		want_rc(0, listen(fd, 1));
		close(fd);
	}
}

const struct test_case options_cases[] = {
	{ "options.truth", "11.20",
	  "SO_ERROR, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN are true", truth },
	{ "options.kept", "11.20", "what is set before bind() is set after it", kept },
	{ "options.filters", "11.21", "a filter goes along, and its lock", filters },
	{ "options.delayed", "11.22, 11.23",
	  "GRAFT_SO_DELAYED and its results, each once", delayed },
	{ "options.failing", "11.21", "what fails at the endpoint is told", failing },
	{ "options.many", "11.22", "many options, run once", many },
	{ "options.carriers", "11.24", "GRAFT_SO_TRANSPARENT of every length", carriers },
	{ "options.bad_pointers", "11.26", "pointers that lead nowhere", bad_pointers },
	{ "options.sizes", "11.24", "sizes that are none", sizes },
	{ "options.threads", "11.25", "threads set options while one binds", threads },
};
const size_t n_options_cases = ARRAY_SIZE(options_cases);
