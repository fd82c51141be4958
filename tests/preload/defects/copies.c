/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies of a descriptor, by every way there is, before and after the graft.
 */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "defects.h"
#include "main.h"

/* All copies in the process are the grafted socket, whichever was bound. */
static void dup_before(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	struct spot at = at_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM), copies[4];

	copies[0] = dup(fd);
	copies[1] = dup2(fd, 200);
	copies[2] = dup3(fd, 201, O_CLOEXEC);
	copies[3] = fcntl(fd, F_DUPFD_CLOEXEC, 300);
	WANT(200, copies[1]);
	WANT(201, copies[2]);
	CHECK(copies[3] >= 300, "F_DUPFD gave %d", copies[3]);
	WANT(fd, dup2(fd, fd));
	WANT(-EINVAL, dup3(fd, fd, 0));
	xbind(copies[0], &ask);
	xlisten(fd);
	for (int i = 0; i < 4; i++)
		CHECK(is_host(copies[i]), "copy %d is not grafted", copies[i]);
	CHECK(fcntl(copies[0], F_GETFD) == 0 && fcntl(201, F_GETFD) == FD_CLOEXEC &&
		      fcntl(copies[3], F_GETFD) == FD_CLOEXEC,
	      "close-on-exec is not as it was");
	close(fd);
	raw_close(host_connect(&at, SOCK_STREAM));
	CHECK(accept(copies[3], NULL, NULL) >= 0, "accept on a copy: %m");
}

static void dup_after(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM), name;
	int fd = xsocket(AF_INET, SOCK_STREAM), other = xsocket(AF_INET, SOCK_STREAM),
	    copy;

	xbind(fd, &ask);
	/* An implicit close of another socket. */
	WANT(other, dup2(fd, other));
	close(fd);
	name = name_of(other);
	CHECK(spot_equal(&name, &ask), "the copy is named %s", spot_text(&name));
	CHECK(is_host(other), "not grafted");
	copy = fcntl(other, F_DUPFD, 50);
	close(other);
	name = name_of(copy);
	CHECK(spot_equal(&name, &ask), "its copy is named %s", spot_text(&name));
	close(copy);
	/* The number, used again for something else, is something else. */
	fd = xsocket(AF_INET, SOCK_STREAM);
	name = name_of(fd);
	CHECK(spot_port(&name) == 0, "a new socket is named %s", spot_text(&name));
}

static void send_fd(int via, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { (void *)"f", 1 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	WANT(1, sendmsg(via, &message, 0));
}

static int receive_fd(int via)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(via, &message, 0) == 1 &&
	    message.msg_controllen >= sizeof(control.header))
		memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

static void rights(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM), name;
	struct spot at = at_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM), pair[2], got;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		give_up("socketpair: %m");
	xbind(fd, &ask);
	CHECK(is_host(fd), "not grafted");
	send_fd(pair[0], fd);
	close(fd);
	got = receive_fd(pair[1]);
	name = name_of(got);
	CHECK(spot_equal(&name, &ask), "received, it is named %s", spot_text(&name));
	xlisten(got);
	raw_close(host_connect(&at, SOCK_STREAM));
	close(got);
	/* Ungrafted, and bound by who receives it. */
	fd = xsocket(AF_INET, SOCK_STREAM);
	send_fd(pair[0], fd);
	close(fd);
	got = receive_fd(pair[1]);
	xbind(got, &ask);
	CHECK(is_host(got), "a received socket is not grafted");
}

/* --inherited FD PORT: as an exec'd program finds it. */
int mode_inherited(int argc, char **argv)
{
	int fd = atoi(argv[2]), port = argc > 3 ? atoi(argv[3]) : 0;
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM), name;

	if (port < 0) {
		check_kept(fd);
	} else if (port) {
		name = name_of(fd);
		CHECK(spot_port(&name) == port, "after exec it is named %s",
		      spot_text(&name));
		CHECK(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1, "it does not listen");
	} else {
		xbind(fd, &ask);
		CHECK(is_host(fd), "inherited, it is not grafted");
	}
	return n_failed ? 1 : 0;
}

int run_self(int fd, int port)
{
	char fd_text[16], port_text[16];
	char *argv[] = { (char *)"/proc/self/exe", (char *)"--inherited", fd_text,
			 port ? port_text : NULL, NULL };
	pid_t child;
	int status = -1;

	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	snprintf(port_text, sizeof(port_text), "%d", port);
	if (posix_spawn(&child, argv[0], NULL, NULL, argv, environ))
		give_up("posix_spawn: %m");
	waitpid(child, &status, 0);
	return status;
}

static void exec_keeps(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM);

	xbind(fd, &ask);
	xlisten(fd);
	CHECK(is_host(fd), "not grafted");
	CHECK(run_self(fd, spot_port(&ask)) == 0, "the exec'd program failed");
	close(fd);
	fd = xsocket(AF_INET, SOCK_STREAM);
	CHECK(run_self(fd, 0) == 0, "the exec'd program failed");
}

/* As daemons do: everything above 2, by one call and one by one. */
static void close_all(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM), to = ask_connect(AF_INET);
	struct spot at = at_connect(AF_INET);

	for (int way = 0; way < 4; way++) {
		int fd = xsocket(AF_INET, SOCK_STREAM), listener;

		xbind(fd, &ask);
		if (way == 0)
			WANT(0, close_range(3, ~0U, 0));
		else if (way == 1)
			closefrom(3);
		else if (way == 2)
			WANT(0, close_range(3, ~0U, CLOSE_RANGE_UNSHARE));
		else
			for (int i = 3; i < 70000; i++)
				close(i);
		WANT(-EBADF, close(fd));
		fd = xsocket(AF_INET, SOCK_STREAM);
		CHECK(fd == 3, "the next socket is %d", fd);
		xbind(fd, &ask);
		CHECK(is_host(fd), "not grafted, after everything was closed");
		close(fd);
		listener = host_listen(&at, SOCK_STREAM);
		fd = xsocket(AF_INET, SOCK_STREAM);
		xconnect(fd, &to);
		exchange(fd, host_accept(listener));
		close(fd);
		raw_close(listener);
	}
}

/* Numbers that are free for the program are free: whatever it puts there stays. */
static void all_numbers(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM), pipes[2];

	xbind(fd, &ask);
	close(fd);
	if (pipe(pipes) < 0)
		give_up("pipe: %m");
	for (int i = 10; i < 1000; i++)
		WANT(i, dup2(pipes[0], i));
	fd = xsocket(AF_INET, SOCK_STREAM);
	xbind(fd, &ask);
	CHECK(is_host(fd), "not grafted, with its numbers taken");
	for (int i = 10; i < 1000; i++)
		if (i != fd)
			WANT(-ENOTSOCK, listen(i, 1));
}

static void names_after(void)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < 2; i++) {
		struct spot ask = ask_bind(families[i], SOCK_STREAM), name;
		struct spot to = ask_connect(families[i]);
		int fd = xsocket(families[i], SOCK_STREAM), ends[2];

		xbind(fd, &ask);
		CHECK(is_host(fd), "not grafted");
		name = name_of(fd);
		CHECK(spot_equal(&name, &ask) && name.len == ask.len, "bound, named %s",
		      spot_text(&name));
		close(fd);
		pair_connected(families[i], ends);
		name = peer_of(ends[0]);
		CHECK(spot_equal(&name, &to) && name.len == to.len, "the peer is %s",
		      spot_text(&name));
		name = name_of(ends[0]);
		CHECK(name.any.sa_family == families[i] && spot_port(&name) != 0,
		      "connected, named %s", spot_text(&name));
		exchange(ends[0], ends[1]);
		close(ends[0]);
		raw_close(ends[1]);
	}
}

/* Registered first, grafted then: as event loops do. */
static void epoll_before(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM), to = ask_connect(AF_INET);
	struct spot at = at_bind(AF_INET, SOCK_STREAM), peer = at_connect(AF_INET);
	int epoll = epoll_create1(EPOLL_CLOEXEC), host = host_listen(&peer, SOCK_STREAM);
	int fds[2] = { xsocket(AF_INET, SOCK_STREAM),
		       xsocket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK) };
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0x1234567890 };

	WANT(0, epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event));
	xbind(fds[0], &ask);
	xlisten(fds[0]);
	CHECK(is_host(fds[0]), "not grafted");
	raw_close(host_connect(&at, SOCK_STREAM));
	memset(&event, 0, sizeof(event));
	CHECK(epoll_wait(epoll, &event, 1, 5000) == 1 && event.data.u64 == 0x1234567890,
	      "no event for a connection");
	WANT(0, epoll_ctl(epoll, EPOLL_CTL_DEL, fds[0], NULL));
	event = (struct epoll_event){ .events = EPOLLOUT | EPOLLET, .data.u32 = 7 };
	WANT(0, epoll_ctl(epoll, EPOLL_CTL_ADD, fds[1], &event));
	CHECK(connect(fds[1], &to.any, to.len) == 0 || errno == EINPROGRESS,
	      "connect: %m");
	exchange(host_accept(host), fds[1]);
	memset(&event, 0, sizeof(event));
	CHECK(epoll_wait(epoll, &event, 1, 5000) == 1 && event.data.u32 == 7 &&
		      event.events & EPOLLOUT,
	      "no event for the connect");
	event.events = EPOLLIN;
	WANT(0, epoll_ctl(epoll, EPOLL_CTL_MOD, fds[1], &event));
}

static int child_binds(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, &ask.any, ask.len) < 0)
		return 2;
	return is_host(fd) ? 0 : 3;
}

static void fork_and_vfork(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM), name;
	int fd = xsocket(AF_INET, SOCK_STREAM), status;
	pid_t child;

	for (int i = 0; i < 3; i++) {
		child = fork();
		if (child == 0)
			_exit(child_binds());
		waitpid(child, &status, 0);
		CHECK(status == 0, "a child's bind: %#x", (unsigned int)status);
	}
	/* A vfork child shares this memory; closing there must not touch ours. */
	xbind(fd, &ask);
	child = vfork();
	if (child == 0) {
		close(fd);
		_exit(0);
	}
	waitpid(child, &status, 0);
	name = name_of(fd);
	CHECK(spot_equal(&name, &ask), "after a vfork child's close: %s",
	      spot_text(&name));
	/* The parent's socket stays bound when a child that has it ends. */
	child = fork();
	if (child == 0) {
		close(fd);
		exit(0);
	}
	waitpid(child, &status, 0);
	xlisten(fd);
	CHECK(is_host(fd), "not grafted");
}

const struct defect defects_copies[] = {
	{ "dup_before", dup_before },
	{ "dup_after", dup_after },
	{ "rights", rights },
	{ "exec_keeps", exec_keeps },
	{ "close_all", close_all },
	{ "all_numbers", all_numbers },
	{ "names_after", names_after },
	{ "epoll_before", epoll_before },
	{ "fork_and_vfork", fork_and_vfork },
	{ 0 },
};
