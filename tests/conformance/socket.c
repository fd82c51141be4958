/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets, threads and children in the state a case starts from. */
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/mman.h>

#include "case.h"

int xsocket_of(struct ctx *t, int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		give_up(t, "socket");
	return fd;
}

int xsocket(struct ctx *t)
{
	return xsocket_of(t, t->family, t->type);
}

void xbind(struct ctx *t, int fd, const struct address *address)
{
	if (bind(fd, &address->sa, address->len) < 0)
		give_up(t, "bind");
}

void xconnect(struct ctx *t, int fd, const struct address *address)
{
	if (connect(fd, &address->sa, address->len) < 0)
		give_up(t, "connect");
}

int serve_at(struct ctx *t, const struct address *address, struct address *ret)
{
	int fd = xsocket_of(t, address->sa.sa_family, t->type);

	xbind(t, fd, address);
	if (t->stream && listen(fd, 128) < 0)
		give_up(t, "listen");
	*ret = name_of(t, fd);
	return fd;
}

int serve(struct ctx *t, struct address *ret)
{
	struct address address = at_lo(t, 0);
	int fd = serve_at(t, &address, ret);

	label(t, "server", port_of(ret));
	return fd;
}

int take(struct ctx *t, int server)
{
	int fd;

	if (!t->stream)
		return server;
	fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		give_up(t, "accept");
	return fd;
}

void connected_pair(struct ctx *t, int fds[2])
{
	struct address server, client;
	int listener = serve(t, &server);

	fds[0] = xsocket(t);
	xconnect(t, fds[0], &server);
	client = name_of(t, fds[0]);
	label(t, "client", port_of(&client));
	fds[1] = take(t, listener);
	if (t->stream)
		close(listener);
	else
		xconnect(t, fds[1], &client);
}

int full_listener(struct ctx *t, struct address *ret, int *ret_filler)
{
	struct address address = at_lo(t, 0);
	int fd = xsocket(t);

	xbind(t, fd, &address);
	if (listen(fd, 0) < 0)
		give_up(t, "listen");
	*ret = name_of(t, fd);
	label(t, "server", port_of(ret));
	*ret_filler = xsocket(t);
	xconnect(t, *ret_filler, ret);
	polled(fd, POLLIN, true);
	return fd;
}

struct address closed_port(struct ctx *t)
{
	struct address address = at_lo(t, 0);
	int fd = xsocket(t);

	xbind(t, fd, &address);
	address = name_of(t, fd);
	close(fd);
	label(t, "closed", port_of(&address));
	return address;
}

void set_int(struct ctx *t, int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		give_up(t, "setsockopt");
}

int get_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, level, name, &value, &len) < 0)
		return -errno;
	return value;
}

void nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

unsigned int polled(int fd, short events, bool wait)
{
	struct pollfd one = { .fd = fd, .events = events };

	if (poll(&one, 1, wait ? -1 : 0) <= 0)
		return 0;
	return (unsigned short)one.revents;
}

void until_state(int fd, int state)
{
	struct tcp_info info;
	socklen_t len;

	do {
		sched_yield();
		len = sizeof(info);
		if (getsockopt(fd, SOL_TCP, TCP_INFO, &info, &len) < 0)
			return;
	} while (info.tcpi_state != state);
}

/* Return: what to record about a byte on its way. */
static const char *pass(int from, int to, char byte, char *text)
{
	char got = 0;

	if (send(from, &byte, 1, MSG_NOSIGNAL) != 1)
		return rc_text(-1, errno, text);
	return recv(to, &got, 1, 0) == 1 && got == byte ? "ok" : "lost";
}

void exchange(struct ctx *t, const char *key, int a, int b)
{
	char text[32];
	const char *there = pass(a, b, 'p', text);

	want(t, key, "ok", "%s",
	     strcmp(there, "ok") == 0 ? pass(b, a, 'q', text) : there);
}

void xthread(struct ctx *t, pthread_t *thread, void *(*function)(void *), void *argument)
{
	errno = pthread_create(thread, NULL, function, argument);
	if (errno)
		give_up(t, "thread");
}

int child_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int in_child(struct ctx *t, int (*function)(struct ctx *t, void *argument),
	     void *argument)
{
	pid_t pid = fork();

	if (pid < 0)
		give_up(t, "fork");
	if (pid == 0)
		_exit(function(t, argument));
	return child_status(pid);
}

void *at_page_end(struct ctx *t, const void *data, size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *base = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED || mprotect(base + page, page, PROT_NONE) < 0)
		give_up(t, "mmap");
	return memcpy(base + page - size, data, size);
}
