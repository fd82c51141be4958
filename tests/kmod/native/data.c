/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes, and what else a connected socket does. */
#include <linux/sockios.h>
#include <linux/tls.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <time.h>
/* Needs struct timespec. */
#include <linux/errqueue.h>

#include "native.h"

#ifndef TCP_ZEROCOPY_RECEIVE
#	define TCP_ZEROCOPY_RECEIVE 35
#endif
#ifndef TCP_ULP
#	define TCP_ULP 31
#endif

/* fds[0] connected to fds[1], which was accepted; both by AF_GRAFT. */
static void pair(int fds[2])
{
	int server = graft(SOCK_STREAM);

	add_host("pair", 0);
	need(bind_name(server, "pair") == 0 && listen(server, 1) == 0);
	fds[0] = graft(SOCK_STREAM);
	need(connect_name(fds[0], "pair") == 0);
	fds[1] = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	need(fds[1] >= 0);
	close(server);
	need(del("pair") == 0);
}

static void splicing(void)
{
	char text[6] = "";
	int fds[2], ends[2];

	pair(fds);
	need(pipe2(ends, O_CLOEXEC) == 0);
	want_rc(5, send(fds[1], "hello", 5, 0));
	want_rc(5, splice(fds[0], NULL, ends[1], NULL, 4096, 0));
	want_rc(5, read(ends[0], text, 5));
	want(0, strcmp(text, "hello"));
	want_rc(3, write(ends[1], "abc", 3));
	want_rc(3, splice(ends[0], NULL, fds[0], NULL, 3, 0));
	want_rc(3, recv(fds[1], text, 5, 0));
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	want_rc(-EAGAIN, splice(fds[0], NULL, ends[1], NULL, 1, 0));
}

static void splice_others(void)
{
	struct sockaddr_gr to = gr("udp");
	int ends[2], fd = graft(SOCK_DGRAM), client = graft(SOCK_DGRAM), on = 1;

	need(pipe2(ends, O_CLOEXEC) == 0);
	want_rc(-ENOTCONN, splice(graft(SOCK_STREAM), NULL, ends[1], NULL, 1, 0));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	want_rc(-EAGAIN, splice(fd, NULL, ends[1], NULL, 1, 0));
	add_host("udp", 0);
	need(bind_name(fd, "udp") == 0);
	want_rc(3, sendto(client, "abc", 3, 0, (struct sockaddr *)&to, sizeof(to)));
	want_rc(3, splice(fd, NULL, ends[1], NULL, 4096, 0));
	want_rc(0, setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &on, sizeof(on)));
	want(rc(setsockopt(socket(AF_INET, SOCK_STREAM, 0), SOL_SOCKET, SO_PEEK_OFF, &on,
			   4)),
	     rc(setsockopt(graft(SOCK_STREAM), SOL_SOCKET, SO_PEEK_OFF, &on, 4)));
}

static void files(void)
{
	char text[65536];
	int fds[2], file = memfd_create("data", MFD_CLOEXEC);
	size_t got = 0;

	pair(fds);
	memset(text, 'x', sizeof(text));
	need(write(file, text, sizeof(text)) == sizeof(text));
	lseek(file, 0, SEEK_SET);
	want_rc(sizeof(text), sendfile(fds[0], file, NULL, sizeof(text)));
	shutdown(fds[0], SHUT_WR);
	for (ssize_t n; (n = read(fds[1], text, sizeof(text))) > 0;)
		got += (size_t)n;
	want(sizeof(text), got);
}

static volatile sig_atomic_t n_signals, signal_fd;

static void on_io(int number, siginfo_t *info, void *context)
{
	n_signals++;
	signal_fd = info->si_fd;
}

/* Asked for while fresh, delivered once grafted. */
static void signals(void)
{
	const struct sigaction action = { .sa_sigaction = on_io, .sa_flags = SA_SIGINFO };
	int fd = graft(SOCK_DGRAM), client = graft(SOCK_DGRAM), fds[2], n;
	struct sockaddr_gr to = gr("udp");
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, &old);
	sigaction(SIGRTMIN, &action, NULL);
	add_host("udp", 0);
	need(fcntl(fd, F_SETOWN, getpid()) == 0 && fcntl(fd, F_SETSIG, SIGRTMIN) == 0 &&
	     fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) == 0);
	need(bind_name(fd, "udp") == 0);
	want_rc(1, sendto(client, "a", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	sigsuspend(&old);
	want(true, n_signals > 0);
	want(fd, signal_fd);
	pair(fds);
	n = n_signals;
	need(fcntl(fds[0], F_SETOWN, getpid()) == 0 &&
	     fcntl(fds[0], F_SETSIG, SIGRTMIN) == 0 &&
	     fcntl(fds[0], F_SETFL, O_ASYNC | O_NONBLOCK) == 0);
	want_rc(1, send(fds[1], "a", 1, 0));
	while (n_signals == n)
		sigsuspend(&old);
	want(fds[0], signal_fd);
	/* The kernel complains if somebody is left on the list of a closed one. */
	close(fd);
	close(fds[0]);
}

static void zerocopy_send(void)
{
	char text[8192] = { 0 }, control[128];
	struct msghdr message = { .msg_control = control,
				  .msg_controllen = sizeof(control) };
	int fds[2];

	pair(fds);
	want_rc(0, set_int(fds[0], SOL_SOCKET, SO_ZEROCOPY, 1));
	want_rc(sizeof(text), send(fds[0], text, sizeof(text), MSG_ZEROCOPY));
	want_rc(sizeof(text), recv(fds[1], text, sizeof(text), MSG_WAITALL));
	need(poll_for(fds[0], POLLERR));
	want_rc(0, recvmsg(fds[0], &message, MSG_ERRQUEUE));
	need(CMSG_FIRSTHDR(&message) != NULL);
	want(SO_EE_ORIGIN_ZEROCOPY,
	     ((struct sock_extended_err *)CMSG_DATA(CMSG_FIRSTHDR(&message)))->ee_origin);
}

static void zerocopy_receive(void)
{
	char zeros[40] = { 0 };
	socklen_t size = sizeof(zeros);
	int fds[2];
	void *map;

	pair(fds);
	map = mmap(NULL, 16384, PROT_READ, MAP_SHARED, fds[0], 0);
	want(true, map != MAP_FAILED);
	memcpy(zeros, &map, sizeof(map));
	want_rc(0, getsockopt(fds[0], IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, zeros, &size));
	want(true, mmap(NULL, 4096, PROT_READ, MAP_SHARED, graft(SOCK_STREAM), 0) ==
			   MAP_FAILED);
}

static void asks(void)
{
	struct timespec stamp;
	struct pollfd ready;
	int fds[2], n = 0;
	char text[10];

	pair(fds);
	want_rc(0, set_int(fds[0], SOL_SOCKET, SO_RCVLOWAT, 5));
	want_rc(0, set_int(fds[0], SOL_SOCKET, SO_TIMESTAMP, 1));
	want_rc(4, send(fds[1], "abcd", 4, 0));
	need(poll_for(fds[0], POLLOUT));
	while (ioctl(fds[0], SIOCINQ, &n) == 0 && n < 4)
		;
	want(4, n);
	ready = (struct pollfd){ fds[0], POLLIN, 0 };
	want(0, poll(&ready, 1, 0));
	want_rc(1, send(fds[1], "e", 1, 0));
	need(poll_for(fds[0], POLLIN));
	want_rc(5, recv(fds[0], text, sizeof(text), 0));
	want(rc(ioctl(fds[1], SIOCGSTAMPNS, &stamp)),
	     rc(ioctl(fds[0], SIOCGSTAMPNS, &stamp)));
	want_rc(1, send(fds[1], "o", 1, MSG_OOB));
	need(poll_for(fds[0], POLLPRI));
	want_rc(1, recv(fds[0], text, 1, MSG_OOB));
	want('o', text[0]);
	want_rc(0, shutdown(fds[1], SHUT_WR));
	want_rc(0, recv(fds[0], text, 1, MSG_WAITALL));
	want(POLLRDHUP, poll_now(fds[0]) & POLLRDHUP);
}

/* TLS takes the operations of the first socket it meets for those of all. */
static void tls(void)
{
	struct tls12_crypto_info_aes_gcm_128 keys = {
		.info = { .version = TLS_1_2_VERSION,
			  .cipher_type = TLS_CIPHER_AES_GCM_128 },
	};
	struct sockaddr_gr address;
	socklen_t len = sizeof(address);
	char text[6] = "";
	int fds[2], plain, server;

	pair(fds);
	if (setsockopt(fds[0], IPPROTO_TCP, TCP_ULP, "tls", 4) < 0)
		skip("the kernel has no TLS");
	need(setsockopt(fds[1], IPPROTO_TCP, TCP_ULP, "tls", 4) == 0);
	if (setsockopt(fds[0], SOL_TLS, TLS_TX, &keys, sizeof(keys)) < 0)
		skip("the kernel has no AES-GCM");
	want_rc(0, setsockopt(fds[1], SOL_TLS, TLS_RX, &keys, sizeof(keys)));
	want_rc(0, setsockopt(fds[0], SOL_TLS, TLS_RX, &keys, sizeof(keys)));
	want_rc(0, setsockopt(fds[1], SOL_TLS, TLS_TX, &keys, sizeof(keys)));
	want_rc(5, send(fds[0], "hello", 5, 0));
	want_rc(5, recv(fds[1], text, 5, MSG_WAITALL));
	want(0, strcmp(text, "hello"));
	want_rc(5, send(fds[1], "olleh", 5, 0));
	want_rc(5, recv(fds[0], text, 5, MSG_WAITALL));
	/* Still one of ours. */
	want_rc(0, getsockname(fds[0], (struct sockaddr *)&address, &len));
	want(af_graft, address.sgr_family);
	close(fds[0]);
	close(fds[1]);
	/* A plain one with TLS has nothing to do with us. */
	server = plain_listen(box_netns, 0);
	plain = plain_connect(box_netns, port_of(server));
	fds[1] = accept(server, NULL, NULL);
	want_rc(0, setsockopt(plain, IPPROTO_TCP, TCP_ULP, "tls", 4));
	want_rc(0, setsockopt(plain, SOL_TLS, TLS_TX, &keys, sizeof(keys)));
	want_rc(5, send(plain, "hello", 5, 0));
	close(plain);
	close(fds[1]);
}

static void fast_open(void)
{
	struct sockaddr_gr to = gr("ep");
	int server = graft(SOCK_STREAM), fd = graft(SOCK_STREAM), other;
	char byte = 0;

	add_host("ep", 0);
	need(bind_name(server, "ep") == 0 && listen(server, 1) == 0);
	want_rc(1, sendto(fd, "f", 1, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof(to)));
	other = accept(server, NULL, NULL);
	want_rc(1, recv(other, &byte, 1, 0));
	want('f', byte);
}

static void messages(void)
{
	struct sockaddr_gr to = gr("udp"), bad = gr("none");
	struct iovec part = { (char[]){ "ab" }, 2 };
	struct mmsghdr some[3] = {
		{ .msg_hdr = { &to, sizeof(to), &part, 1, NULL, 0, 0 } },
		{ .msg_hdr = { &to, sizeof(to), &part, 1, NULL, 0, 0 } },
		{ .msg_hdr = { &bad, sizeof(bad), &part, 1, NULL, 0, 0 } },
	};
	int server = graft(SOCK_DGRAM), fd = graft(SOCK_DGRAM);
	char text[4];

	add_host("udp", 0);
	need(bind_name(server, "udp") == 0);
	want_rc(2, sendmmsg(fd, some, 3, 0));
	want_rc(2, recv(server, text, 4, 0));
	want_rc(2, recv(server, text, 4, 0));
}

const struct test_case data_cases[] = {
	{ "data.splicing", "11.27", "splice() from and to a stream", splicing },
	{ "data.splice_others", "11.28", "splice() and SO_PEEK_OFF where there are none",
	  splice_others },
	{ "data.files", "11.32", "sendfile()", files },
	{ "data.signals", "11.29", "O_ASYNC, set before and after", signals },
	{ "data.zerocopy_send", "11.32", "MSG_ZEROCOPY", zerocopy_send },
	{ "data.zerocopy_receive", "11.32", "mmap() for TCP_ZEROCOPY_RECEIVE",
	  zerocopy_receive },
	{ "data.asks", "11.32", "SIOCINQ, SO_RCVLOWAT, time stamps, urgent data", asks },
	{ "data.tls", "11.32", "kernel TLS on grafted and then on plain sockets", tls },
	{ "data.fast_open", "11.7", "MSG_FASTOPEN to a name", fast_open },
	{ "data.messages", "11.7", "sendmmsg() to names", messages },
};
const size_t n_data_cases = ARRAY_SIZE(data_cases);
