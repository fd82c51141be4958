/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs in the containers of these tests: static, and the only file of their root.
 *
 *	serve PORT		answers each connection with a line
 *	tell NAME PORT v4|v6	says where it is bound, and answers each connection with
 *				its NAME, whose it is and where it arrived
 *	share PORT		two sockets that share the port: binds both, then listens
 *				with both, and says which of them each connection came to
 *	echo-udp NAME PORT v4|v6	the same for each datagram, but for where
 *	ask-udp ADDRESS PORT	sends a datagram and prints what comes
 *	get ADDRESS PORT	connects and prints what comes, or the errno
 *	later ADDRESS PORT	the same when SIGUSR1 comes, for which it is "waiting"
 *	race ADDRESS PORT	tries to have the kernel connect there by changing the
 *				descriptor and the address of a call that is looked at:
 *				"held" or "reached"
 *	bind PORT		the errno of binding, 0 for none
 *	wait			until it is killed
 *	exit STATUS, abort
 *	sockets PATH		a UNIX server and its client, by that path and by an
 *				abstract name
 *	calls			one line for each of some system calls: name, errno
 *	echo			standard input to standard output
 *	door DIR WORD ADDRESS PORT	hands a listener of its own in at each socket of
 *				DIR, WORD as its metadata, and gets ADDRESS PORT
 *	borrow PATH		asks who lends there for a socket: "lent" or "turned away"
 *	name ENDPOINT bind|connect	names an endpoint, AF_GRAFT
 *	storm ADDRESS PORT N	N threads that connect without end
 *	many ADDRESS PORT N	N times get
 *	mirror PORT		answers each connection with what it says
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inside.h"

struct sockaddr_in address_of(const char *host, const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)atoi(port)) };

	inet_pton(AF_INET, host, &address.sin_addr);
	return address;
}

socklen_t any_address_of(const char *host, const char *port, struct sockaddr_storage *ret)
{
	struct sockaddr_in v4 = address_of(host, port);
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = v4.sin_port };
	bool is_v6 = inet_pton(AF_INET6, host, &v6.sin6_addr) == 1;

	memcpy(ret, is_v6 ? (void *)&v6 : (void *)&v4, is_v6 ? sizeof(v6) : sizeof(v4));
	return is_v6 ? sizeof(v6) : sizeof(v4);
}

int fail(const char *what)
{
	printf("%s: %s\n", what, strerrorname_np(errno));
	return 1;
}

static int serve(const char *port)
{
	struct sockaddr_in address = address_of("0.0.0.0", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fail("bind");
	if (listen(fd, 16) < 0)
		return fail("listen");
	puts("listening");
	fflush(stdout);
	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (client >= 0)
			dprintf(client, "hello from %s\n", port);
		close(client);
	}
}

int get(const char *host, const char *port)
{
	struct sockaddr_storage address;
	socklen_t size = any_address_of(host, port, &address);
	int fd = socket(address.ss_family, SOCK_STREAM, 0);
	struct timeval limit = { 30, 0 };
	char text[256];
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, size) < 0)
		return fail("connect");
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return fail("read");
	return fwrite(text, 1, (size_t)n, stdout) == (size_t)n ? 0 : 1;
}

static int later(const char *host, const char *port)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	puts("waiting");
	fflush(stdout);
	sigwait(&set, &sig);
	return get(host, port);
}

/* A UNIX socket and a TCP one take turns under one number, and so do their addresses. */
static struct {
	int number, tcp, local;
	volatile int is_over;
	struct sockaddr_in there;
	union {
		struct sockaddr_in v4;
		struct sockaddr_un un;
	} name;
} swap;

static void *swapper(void *argument)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/tmp/none" };

	while (!swap.is_over) {
		dup2(swap.local, swap.number);
		memcpy(&swap.name, &un, 16);
		sched_yield();
		memcpy(&swap.name, &swap.there, 16);
		dup2(swap.tcp, swap.number);
		sched_yield();
	}
	return argument;
}

static int race(const char *host, const char *port)
{
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);
	bool reached = false;
	pthread_t thread;

	swap.there = address_of(host, port);
	swap.tcp = socket(AF_INET, SOCK_STREAM, 0);
	swap.local = socket(AF_UNIX, SOCK_STREAM, 0);
	swap.number = dup(swap.local);
	pthread_create(&thread, NULL, swapper, NULL);
	for (int i = 0; i < 20000 && !reached; i++) {
		connect(swap.number, (struct sockaddr *)&swap.name, sizeof(swap.name.un));
		reached = getpeername(swap.tcp, (struct sockaddr *)&peer, &size) == 0;
		size = sizeof(peer);
	}
	swap.is_over = 1;
	pthread_join(thread, NULL);
	puts(reached ? "reached" : "held");
	return 0;
}

static int try_bind(const char *port)
{
	struct sockaddr_in address = address_of("0.0.0.0", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fail("bind");
	puts("bound");
	return 0;
}

static int unix_pair(const struct sockaddr_un *address, socklen_t size)
{
	int server = socket(AF_UNIX, SOCK_STREAM, 0);
	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	char byte = 0;
	int peer;

	if (bind(server, (const struct sockaddr *)address, size) < 0)
		return fail("bind");
	if (listen(server, 1) < 0)
		return fail("listen");
	if (connect(client, (const struct sockaddr *)address, size) < 0)
		return fail("connect");
	peer = accept(server, NULL, NULL);
	if (write(client, "x", 1) != 1 || read(peer, &byte, 1) != 1 || byte != 'x')
		return fail("data");
	return 0;
}

static int sockets(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int r;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	r = unix_pair(&address, sizeof(address));
	memset(&address.sun_path, 0, sizeof(address.sun_path));
	memcpy(address.sun_path + 1, "an-abstract-name", 16);
	r = r ? r : unix_pair(&address, offsetof(struct sockaddr_un, sun_path) + 17);
	if (r == 0)
		puts("connected");
	return r;
}

static int say_call(const char *name, long result)
{
	printf("%s %s\n", name, result < 0 ? strerrorname_np(errno) : "0");
	fflush(stdout);
	return 0;
}

/* In a child: some of these change the caller, or kill it. */
static void try_call(const char *name, long nr, long a, long b, long c, long d, long e)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		pid_t self = getpid();
		long result = syscall(nr, a, b, c, d, e);

		/* Not in one that the call made. */
		if (getpid() == self)
			say_call(name, result);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("%s killed\n", name);
	fflush(stdout);
}

static int calls(void)
{
	static char option[8] = { 1 };
	int fd = socket(AF_INET, SOCK_STREAM, 0), pair[2];
	struct {
		unsigned short n;
		void *code;
	} none = { 0, NULL };

	try_call("keyctl", SYS_keyctl, 0, 0, 0, 0, 0);
	try_call("add_key", SYS_add_key, 0, 0, 0, 0, 0);
	try_call("bpf", SYS_bpf, 0, 0, 0, 0, 0);
	try_call("perf_event_open", SYS_perf_event_open, 0, 0, 0, 0, 0);
	try_call("mount", SYS_mount, 0, 0, 0, 0, 0);
	try_call("unshare", SYS_unshare, CLONE_NEWNET, 0, 0, 0, 0);
	try_call("setns", SYS_setns, 0, 0, 0, 0, 0);
	try_call("clone-newuser", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	try_call("clone-newnet", SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);
	try_call("clone3", SYS_clone3, 0, 0, 0, 0, 0);
	try_call("userfaultfd", SYS_userfaultfd, 0, 0, 0, 0, 0);
	try_call("open_by_handle_at", SYS_open_by_handle_at, -1, 0, 0, 0, 0);
	try_call("kexec_load", SYS_kexec_load, 0, 0, 0, 0, 0);
	try_call("personality", SYS_personality, 0x1234, 0, 0, 0, 0);
	try_call("personality-0", SYS_personality, 0, 0, 0, 0, 0);
	try_call("no-such-call", 100000, 0, 0, 0, 0, 0);
	try_call("socket-vsock", SYS_socket, 40, SOCK_STREAM, 0, 0, 0);
	try_call("socket-unix", SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0, 0);
	try_call("socket-inet", SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0);
	try_call("socket-none", SYS_socket, 63, SOCK_STREAM, 0, 0, 0);
	try_call("socketpair", SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, (long)pair, 0);
	try_call("setsockopt", SYS_setsockopt, fd, IPPROTO_IP, IP_TOS, (long)option, 4);
	try_call("getsockopt", SYS_getsockopt, fd, SOL_SOCKET, 9999, 0, 0);
	try_call("fork", SYS_clone, SIGCHLD, 0, 0, 0, 0);
	/* What is different on purpose. */
	try_call("graft:setsockopt-options", SYS_setsockopt, fd, IPPROTO_IP, IP_OPTIONS,
		 (long)option, 4);
	try_call("graft:io_uring_setup", SYS_io_uring_setup, 0, 0, 0, 0, 0);
	try_call("graft:seccomp-listener", SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		 SECCOMP_FILTER_FLAG_NEW_LISTENER, (long)&none, 0, 0);
	return 0;
}

static int echo(void)
{
	char text[4096];
	ssize_t n;

	while ((n = read(STDIN_FILENO, text, sizeof(text))) > 0)
		if (write(STDOUT_FILENO, text, (size_t)n) != n)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(what, "serve") && argc == 3)
		return serve(argv[2]);
	if (!strcmp(what, "share") && argc == 3)
		return share(argv[2]);
	if (!strcmp(what, "echo-udp") && argc == 5)
		return echo_udp(argv[2], argv[3], argv[4]);
	if (!strcmp(what, "ask-udp") && argc == 4)
		return ask_udp(argv[2], argv[3]);
	if (!strcmp(what, "tell") && argc == 5)
		return tell(argv[2], argv[3], argv[4]);
	if (!strcmp(what, "get") && argc == 4)
		return get(argv[2], argv[3]);
	if (!strcmp(what, "later") && argc == 4)
		return later(argv[2], argv[3]);
	if (!strcmp(what, "race") && argc == 4)
		return race(argv[2], argv[3]);
	if (!strcmp(what, "bind") && argc == 3)
		return try_bind(argv[2]);
	if (!strcmp(what, "sockets") && argc == 3)
		return sockets(argv[2]);
	if (!strcmp(what, "calls"))
		return calls();
	if (!strcmp(what, "echo"))
		return echo();
	if (!strcmp(what, "exit") && argc == 3)
		return atoi(argv[2]);
	if (!strcmp(what, "abort"))
		abort();
	if (!strcmp(what, "door") && argc == 6)
		return door(argv[2], argv[3], argv[4], argv[5]);
	if (!strcmp(what, "borrow") && argc == 3)
		return borrow(argv[2]);
	if (!strcmp(what, "name") && argc == 4)
		return name(argv[2], argv[3]);
	if (!strcmp(what, "storm") && argc == 5)
		return storm(argv[2], argv[3], argv[4]);
	if (!strcmp(what, "many") && argc == 5)
		return many(argv[2], argv[3], argv[4]);
	if (!strcmp(what, "mirror") && argc == 3)
		return mirror(argv[2]);
	if (!strcmp(what, "wait"))
		for (;;)
			pause();
	return 2;
}
