/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data path: what the kernel does with a file that is a socket must be done with a
 * grafted one.
 */
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <time.h>

#include "defects.h"

#define MEGABYTE (1 << 20)

/* A stream of bytes that tells where it went wrong. */
static void fill(unsigned char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)(i * 7 + i / 251);
}

static void spliced(int family)
{
	unsigned char *sent = malloc(MEGABYTE), *got = malloc(MEGABYTE);
	size_t n_sent = 0, n_got = 0;
	int ends[2], pipes[2];

	fill(sent, MEGABYTE);
	pair_accepted(family, ends);
	CHECK(is_host(ends[0]), "not grafted");
	if (pipe(pipes) < 0)
		give_up("pipe: %m");
	while (n_got < MEGABYTE) {
		ssize_t n = 0;

		if (n_sent < MEGABYTE)
			n = send(ends[1], sent + n_sent, MEGABYTE - n_sent, MSG_DONTWAIT);
		n_sent += n > 0 ? (size_t)n : 0;
		if (!readable(ends[0]))
			break;
		n = splice(ends[0], NULL, pipes[1], NULL, 32768, SPLICE_F_NONBLOCK);
		if (!CHECK(n > 0, "splice: %m"))
			break;
		for (ssize_t left = n; left > 0;) {
			ssize_t m = read(pipes[0], got + n_got, (size_t)left);

			n_got += (size_t)m;
			left -= m;
		}
	}
	CHECK(n_got == MEGABYTE && !memcmp(sent, got, MEGABYTE), "%zu bytes arrived",
	      n_got);
	/* And into the socket. */
	CHECK(write(pipes[1], "back", 4) == 4, "pipe");
	WANT(4, splice(pipes[0], NULL, ends[0], NULL, 4, 0));
	CHECK(recv(ends[1], got, 4, MSG_WAITALL) == 4 && !memcmp(got, "back", 4),
	      "not back");
	free(sent);
	free(got);
}

static void splice_tcp(void)
{
	spliced(AF_INET);
	spliced(AF_INET6);
}

/* Types for which it is not, or not everywhere, implemented. */
static void splice_other(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_DGRAM);
	struct spot at = at_bind(AF_INET, SOCK_DGRAM), other = spot_make("127.0.0.1", 0);
	int fd = xsocket(AF_INET, SOCK_DGRAM), raw = host_socket(AF_INET, SOCK_DGRAM);
	int a[2], b[2], client, value = 3, ends[2];

	xbind(fd, &ask);
	CHECK(is_host(fd), "not grafted");
	raw_bind(raw, &other.any, other.len);
	KERNEL(SYS_getsockname, raw, &other.any, &other.len);
	client = host_socket(AF_INET, SOCK_DGRAM);
	KERNEL(SYS_sendto, client, "datagram", 8, 0, &at.any, at.len);
	KERNEL(SYS_sendto, client, "datagram", 8, 0, &other.any, other.len);
	if (pipe(a) < 0 || pipe(b) < 0)
		give_up("pipe: %m");
	CHECK(readable(fd) && readable(raw), "no datagrams");
	SAME(splice(fd, NULL, a[1], NULL, 8, SPLICE_F_NONBLOCK),
	     splice(raw, NULL, b[1], NULL, 8, SPLICE_F_NONBLOCK));
	SAME(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &value, sizeof(value)),
	     KERNEL(SYS_setsockopt, raw, SOL_SOCKET, SO_PEEK_OFF, &value, sizeof(value)));
	pair_accepted(AF_INET, ends);
	SAME(setsockopt(ends[0], SOL_SOCKET, SO_PEEK_OFF, &value, sizeof(value)),
	     KERNEL(SYS_setsockopt, ends[1], SOL_SOCKET, SO_PEEK_OFF, &value,
		    sizeof(value)));
}

static bool signalled(const sigset_t *set)
{
	struct timespec limit = { .tv_sec = 5 };

	return sigtimedwait(set, NULL, &limit) == SIGRTMIN;
}

/* Asked for before the graft, as a program does that sets its socket up first. */
static void sigio(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	struct spot at = at_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM), client, accepted;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	WANT(0, fcntl(fd, F_SETOWN, getpid()));
	WANT(0, fcntl(fd, F_SETSIG, SIGRTMIN));
	WANT(0, fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK));
	xbind(fd, &ask);
	xlisten(fd);
	CHECK(is_host(fd), "not grafted");
	CHECK(fcntl(fd, F_GETOWN) == getpid(), "the owner is lost");
	CHECK(fcntl(fd, F_GETSIG) == SIGRTMIN, "the signal is lost");
	CHECK((fcntl(fd, F_GETFL) & (O_ASYNC | O_NONBLOCK)) == (O_ASYNC | O_NONBLOCK),
	      "flags %#o", (unsigned int)fcntl(fd, F_GETFL));
	client = host_connect(&at, SOCK_STREAM);
	CHECK(signalled(&set), "no signal for a connection");
	accepted = accept(fd, NULL, NULL);
	fcntl(accepted, F_SETOWN, getpid());
	fcntl(accepted, F_SETSIG, SIGRTMIN);
	fcntl(accepted, F_SETFL, O_ASYNC);
	while (sigtimedwait(&set, NULL, &(struct timespec){ 0 }) > 0)
		;
	CHECK(send(client, "x", 1, 0) == 1 && signalled(&set), "no signal for data");
}

static void protocols(void)
{
	static const int asked[][2] = {
		{ SOCK_RAW, IPPROTO_ICMP },
		{ SOCK_RAW, IPPROTO_RAW },
		{ SOCK_DGRAM, IPPROTO_ICMP },
		{ SOCK_STREAM, 132 /* SCTP */ },
		{ SOCK_SEQPACKET, 132 },
		{ SOCK_STREAM, 262 /* MPTCP */ },
		{ SOCK_DGRAM, 136 /* UDP-Lite */ },
		{ SOCK_STREAM, IPPROTO_UDP },
		{ SOCK_DGRAM, IPPROTO_TCP },
		{ SOCK_STREAM, IPPROTO_TCP },
		{ SOCK_STREAM, 254 },
		{ SOCK_STREAM, -1 },
		{ 99, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		int family = i & 1 ? AF_INET6 : AF_INET;

		for (int both = 0; both < 2; both++, family ^= AF_INET ^ AF_INET6) {
			int fd = socket(family, asked[i][0], asked[i][1]);
			long got = minus_errno(fd);
			int raw = raw_socket(family, asked[i][0], asked[i][1]);
			long kernel = minus_errno(raw);

			CHECK((got < 0 ? got : 0) == (kernel < 0 ? kernel : 0),
			      "socket(%d, %d, %d): %ld, the kernel %ld", family,
			      asked[i][0], asked[i][1], got, kernel);
			if (fd < 0 || raw < 0)
				continue;
			CHECK(get_int(fd, SOL_SOCKET, SO_PROTOCOL) ==
				      get_int(raw, SOL_SOCKET, SO_PROTOCOL),
			      "protocol %d became %d", asked[i][1],
			      get_int(fd, SOL_SOCKET, SO_PROTOCOL));
			close(fd);
			raw_close(raw);
		}
	}
}

static void accepted(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM), name, peer = { 0 }, from;
	struct spot at = at_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM), client, one;

	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 123);
	xbind(fd, &ask);
	xlisten(fd);
	CHECK(is_host(fd), "not grafted");
	client = host_connect(&at, SOCK_STREAM);
	peer.len = sizeof(peer.storage);
	one = accept4(fd, &peer.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	CHECK(one >= 0, "accept4: %m");
	CHECK(fcntl(one, F_GETFL) & O_NONBLOCK && fcntl(one, F_GETFD) & FD_CLOEXEC,
	      "flags");
	CHECK(get_int(one, SOL_SOCKET, SO_KEEPALIVE) == 1, "SO_KEEPALIVE is lost");
	CHECK(get_int(one, IPPROTO_TCP, TCP_NODELAY) == 1, "TCP_NODELAY is lost");
	CHECK(get_int(one, IPPROTO_TCP, TCP_KEEPIDLE) == 123, "TCP_KEEPIDLE is lost");
	name = name_of(one);
	CHECK(name.any.sa_family == AF_INET && spot_port(&name) == spot_port(&ask),
	      "the accepted socket is named %s", spot_text(&name));
	from.len = sizeof(from.storage);
	KERNEL(SYS_getsockname, client, &from.any, &from.len);
	CHECK(spot_equal(&peer, &from), "accept says %s, not %s", spot_text(&peer),
	      spot_text(&from));
	peer = peer_of(one);
	CHECK(spot_equal(&peer, &from), "getpeername says %s", spot_text(&peer));
	exchange(one, client);
}

static void same_ioctl(int fd, int raw, unsigned long request)
{
	char a[64] = { 0 }, b[64] = { 0 };

	SAME(ioctl(fd, request, a), KERNEL(SYS_ioctl, raw, request, b));
}

static void data_calls(void)
{
	int ends[2], raws[2], on = 1, low = 4, file = memfd_create("file", 0);
	struct spot at = spot_make("127.0.0.1", 0);
	char data[64];
	off_t a_from = 0, b_from = 0;
	void *map;

	pair_accepted(AF_INET, ends);
	CHECK(is_host(ends[0]), "not grafted");
	raws[1] = host_listen(&at, SOCK_STREAM);
	KERNEL(SYS_getsockname, raws[1], &at.any, &at.len);
	raws[0] = host_connect(&at, SOCK_STREAM);
	raws[1] = host_accept(raws[1]);
	send(ends[1], "12345678", 8, 0);
	send(raws[1], "12345678", 8, 0);
	CHECK(readable(ends[0]) && readable(raws[0]), "no data");
	same_ioctl(ends[0], raws[0], SIOCINQ);
	same_ioctl(ends[0], raws[0], SIOCOUTQ);
	same_ioctl(ends[0], raws[0], SIOCATMARK);
	same_ioctl(ends[0], raws[0], SIOCGSTAMP);
	same_ioctl(ends[0], raws[0], 0x5678);
	SAME(setsockopt(ends[0], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)),
	     KERNEL(SYS_setsockopt, raws[0], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	SAME(setsockopt(ends[0], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)),
	     KERNEL(SYS_setsockopt, raws[0], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)));
	SAME(send(ends[0], "zero", 4, MSG_ZEROCOPY),
	     KERNEL(SYS_sendto, raws[0], "zero", 4, MSG_ZEROCOPY, NULL, 0));
	CHECK(recv(ends[1], data, 4, MSG_WAITALL) == 4, "MSG_ZEROCOPY did not arrive");
	SAME(setsockopt(ends[0], IPPROTO_TCP, TCP_ULP, "tls", 3),
	     KERNEL(SYS_setsockopt, raws[0], IPPROTO_TCP, TCP_ULP, "tls", 3));
	if (write(file, "from a file", 11) != 11)
		give_up("memfd: %m");
	SAME(sendfile(ends[0], file, &a_from, 11), sendfile(raws[0], file, &b_from, 11));
	CHECK(recv(ends[1], data, 11, MSG_WAITALL) == 11 &&
		      !memcmp(data, "from a file", 11),
	      "sendfile did not arrive");
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, raws[0], 0);
	if (map != MAP_FAILED)
		CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, ends[0], 0) != MAP_FAILED,
		      "no zero-copy receive: %m");
	WANT(8, recv(ends[0], data, 8, MSG_WAITALL));
}

const struct defect defects_data[] = {
	{ "splice_tcp", splice_tcp },
	{ "splice_other", splice_other },
	{ "sigio", sigio },
	{ "protocols", protocols },
	{ "accepted", accepted },
	{ "data_calls", data_calls },
	{ 0 },
};
