/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets over fork, vfork and exec. */
#include <stdio.h>

#include "topics.h"

static void child_connects(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);
	pid_t pid = fork();

	if (pid == 0)
		_exit(connect(fd, &server.sa, server.len) < 0 ? errno : 0);
	want_int(t, "child", 0, child_status(pid));
	want_peer(t, "peer", "lo:server", fd);
	want_rc(t, "send", 1, send(fd, "x", 1, MSG_NOSIGNAL));
	want_events(t, "arrives", POLLIN, polled(take(t, listener), POLLIN, true));
}

static void child_binds(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int fd = xsocket(t), peer = xsocket(t);
	pid_t pid = fork();

	label(t, "asked", t->port);
	if (pid == 0)
		_exit(bind(fd, &address.sa, address.len) < 0 ? errno : 0);
	want_int(t, "child", 0, child_status(pid));
	want_name(t, "name", "lo:asked", fd);
	if (t->stream)
		want_rc(t, "listen", 0, listen(fd, 1));
	want_rc(t, "connect", 0, connect(peer, &address.sa, address.len));
	want_rc(t, "send", 1, send(peer, "x", 1, 0));
	want_events(t, "arrives", POLLIN, polled(take(t, fd), POLLIN, true));
}

static void parent_connects(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), go[2];
	pid_t pid;
	char byte;

	if (pipe(go) < 0)
		give_up(t, "pipe");
	pid = fork();
	if (pid == 0) {
		if (read(go[0], &byte, 1) != 1)
			_exit(99);
		_exit(send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno);
	}
	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
	want_rc(t, "go", 1, write(go[1], "x", 1));
	want_int(t, "child-sends", 0, child_status(pid));
	want_events(t, "arrives", POLLIN, polled(take(t, listener), POLLIN, true));
}

static void child_makes(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server);
	pid_t pid = fork();

	if (pid == 0) {
		int fd = xsocket(t);

		_exit(connect(fd, &server.sa, server.len) == 0 && send(fd, "x", 1, 0) == 1
			      ? 0
			      : errno);
	}
	want_events(t, "arrives", POLLIN, polled(take(t, listener), POLLIN, true));
	want_int(t, "child", 0, child_status(pid));
}

static void grandchild(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);
	pid_t pid = fork();

	if (pid == 0) {
		pid_t grand = fork();

		if (grand == 0)
			_exit(connect(fd, &server.sa, server.len) < 0 ? errno : 0);
		_exit(child_status(grand));
	}
	want_int(t, "grandchild", 0, child_status(pid));
	want_peer(t, "peer", "lo:server", fd);
	(void)listener;
}

static void orphan(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), go[2];
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) < 0)
		give_up(t, "pipe");
	pid = fork();
	if (pid == 0) {
		char byte;

		if (fork() > 0)
			_exit(0);
		close(go[1]);
		if (read(go[0], &byte, 1) == 0) {
			int fd = xsocket(t);

			xconnect(t, fd, &server);
			send(fd, "x", 1, 0);
		}
		_exit(0);
	}
	want_int(t, "parent", 0, child_status(pid));
	close(go[1]);
	want_events(t, "arrives", POLLIN, polled(take(t, listener), POLLIN, true));
}

/* Starts this program anew with @fd open in it. */
static pid_t start(struct ctx *t, int fd, const char *how, bool by_vfork)
{
	char fd_text[16], port_text[16], out_text[16];
	char *argv[] = { "conformance", "--passed", fd_text, (char *)how,
			 port_text,     out_text,   NULL };
	pid_t pid;

	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	snprintf(port_text, sizeof(port_text), "%u", t->port);
	snprintf(out_text, sizeof(out_text), "%d", t->v6);
	fcntl(fd, F_SETFD, 0);
	/* vfork itself is what is looked at. */
	/* NOLINTNEXTLINE(*.vfork,*.Vfork) */
	pid = by_vfork ? vfork() : fork();
	if (pid == 0) {
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	if (pid < 0)
		give_up(t, "start");
	return pid;
}

static void exec_fresh(struct ctx *t)
{
	struct address server = at_lo(t, t->port);
	int listener = serve_at(t, &server, &server), fd = xsocket(t);

	label(t, "asked", t->port);
	want_int(t, "program", 0, child_status(start(t, fd, "connect", false)));
	want_peer(t, "peer", "lo:asked", fd);
	want_events(t, "arrives", POLLIN, polled(take(t, listener), POLLIN, true));
}

static void exec_vfork(struct ctx *t)
{
	struct address server = at_lo(t, t->port);
	int listener = serve_at(t, &server, &server), fd = xsocket(t);

	label(t, "asked", t->port);
	want_int(t, "program", 0, child_status(start(t, fd, "connect", true)));
	want_peer(t, "peer", "lo:asked", fd);
	want_events(t, "arrives", POLLIN, polled(take(t, listener), POLLIN, true));
}

static void exec_bind(struct ctx *t)
{
	int fd = xsocket(t);

	label(t, "asked", t->port);
	want_int(t, "program", 0, child_status(start(t, fd, "bind", false)));
	want_name(t, "name", "lo:asked", fd);
}

static void exec_connected(struct ctx *t)
{
	int fds[2];

	connected_pair(t, fds);
	want_int(t, "program", 0, child_status(start(t, fds[0], "send", false)));
	want_events(t, "arrives", POLLIN, polled(fds[1], POLLIN, true));
}

static void exec_closes(struct ctx *t)
{
	int fds[2], spare;
	char byte;

	connected_pair(t, fds);
	spare = fcntl(fds[1], F_DUPFD, 500);
	want_int(t, "program", 0, child_status(start(t, spare, "alone", false)));
	shutdown(fds[0], SHUT_WR);
	if (t->stream)
		want_rc(t, "end", 0, recv(fds[1], &byte, 1, 0));
}

int passed_main(int argc, char **argv)
{
	struct ctx t = { .family = AF_INET };
	struct address address;
	int fd;

	if (argc < 5)
		return 90;
	fd = (int)strtol(argv[1], NULL, 10);
	t.v6 = argv[4][0] == '1';
	address = at_lo(&t, (uint16_t)strtol(argv[3], NULL, 10));
	if (strcmp(argv[2], "connect") == 0 && connect(fd, &address.sa, address.len) < 0)
		return errno;
	if (strcmp(argv[2], "bind") == 0)
		return bind(fd, &address.sa, address.len) < 0 ? errno : 0;
	if (strcmp(argv[2], "alone") == 0) {
		for (int other = 3; other < 1000; other++)
			if (other != fd && fcntl(other, F_GETFD) >= 0)
				return 91;
		return 0;
	}
	return send(fd, "x", 1, 0) == 1 ? 0 : errno;
}

const struct test_case lifetime_process_cases[] = {
	{ "lifetime.child_connects", ALL, child_connects,
	  "a child connects its parent's socket" },
	{ "lifetime.child_binds", ALL, child_binds, "a child binds its parent's socket" },
	{ "lifetime.parent_connects", ALL, parent_connects,
	  "the parent connects what the child has" },
	{ "lifetime.child_makes", ALL, child_makes, "a child's own socket" },
	{ "lifetime.grandchild", ALL, grandchild, "two forks away" },
	{ "lifetime.orphan", ALL, orphan, "a process whose parent is gone" },
	{ "lifetime.exec", ALL, exec_fresh, "a fresh socket is connected after exec" },
	{ "lifetime.vfork_exec", ALL, exec_vfork, "the same after vfork" },
	{ "lifetime.exec_bind", ALL, exec_bind, "a fresh socket is bound after exec" },
	{ "lifetime.exec_connected", ALL, exec_connected,
	  "a connected socket is used after exec" },
	{ "lifetime.exec_closes", ALL, exec_closes,
	  "exec leaves only what was not FD_CLOEXEC" },
};
CASES(lifetime_process);
