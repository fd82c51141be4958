/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>

#include "native.h"

#define LIMIT_MS 30000

struct sockaddr_gr gr(const char *name)
{
	struct sockaddr_gr address = { .sgr_family = (sa_family_t)af_graft };

	memcpy(address.sgr_epname, name, strnlen(name, sizeof(address.sgr_epname)));
	return address;
}

int graft(int type)
{
	int fd = socket(af_graft, type | SOCK_CLOEXEC, 0);

	need(fd >= 0);
	return fd;
}

int bind_name(int fd, const char *name)
{
	struct sockaddr_gr address = gr(name);

	return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

int connect_name(int fd, const char *name)
{
	struct sockaddr_gr address = gr(name);

	return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

int connect_inet(int fd, const char *address, uint16_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
		return connect(fd, (struct sockaddr *)&in, sizeof(in));
	need(inet_pton(AF_INET6, address, &in6.sin6_addr) == 1);
	return connect(fd, (struct sockaddr *)&in6, sizeof(in6));
}

void enter(int netns)
{
	need(setns(netns, CLONE_NEWNET) == 0);
}

int plain_connect(int netns, uint16_t port)
{
	int fd, r;

	enter(netns);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enter(box_netns);
	need(fd >= 0);
	r = connect_inet(fd, "127.0.0.1", port);
	if (r == 0)
		return fd;
	r = errno;
	close(fd);
	errno = r;
	return -1;
}

int plain_listen(int netns, uint16_t port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd, on = 1;

	enter(netns);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enter(box_netns);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	need(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(fd, 16) == 0);
	return fd;
}

uint16_t port_of(int fd)
{
	struct sockaddr_in6 address = { 0 };
	socklen_t len = sizeof(address);

	set_int(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, 1);
	need(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
	return ntohs(address.sin6_port);
}

int get_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t size = sizeof(value);

	return getsockopt(fd, level, name, &value, &size) < 0 ? -errno : value;
}

int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

bool exchange(int a, int b)
{
	char byte = 0;

	return send(a, "1", 1, MSG_NOSIGNAL) == 1 && recv(b, &byte, 1, 0) == 1 &&
	       byte == '1' && send(b, "2", 1, MSG_NOSIGNAL) == 1 &&
	       recv(a, &byte, 1, 0) == 1 && byte == '2';
}

bool poll_for(int fd, short events)
{
	struct pollfd ready = { fd, events, 0 };

	return poll(&ready, 1, LIMIT_MS) == 1 && ready.revents & events;
}

short poll_now(int fd)
{
	struct pollfd ready = { fd, POLLIN | POLLOUT | POLLRDHUP, 0 };

	poll(&ready, 1, 0);
	return ready.revents;
}

int in_child(int (*function)(void *), void *argument)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int r;

		n_failures = 0;
		r = function(argument);
		fflush(stdout);
		_exit(r ? r : n_failures ? 1 : 0);
	}
	need(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool is_asleep(pid_t pid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", pid);
	file = fopen(path, "re");
	if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	if (file)
		fclose(file);
	return state == 'S';
}

static pid_t other_thread(void)
{
	char command[64], line[32];
	pid_t pid = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "ls /proc/%d/task", getpid());
	pipe = popen(command, "re");
	while (pipe && fgets(line, sizeof(line), pipe))
		if (atoi(line) != getpid())
			pid = atoi(line);
	if (pipe)
		pclose(pipe);
	return pid;
}

void until_other_waits(void)
{
	pid_t waits = other_thread();

	while (!is_asleep(waits))
		sched_yield();
}

void become(uid_t uid)
{
	need(setgroups(0, NULL) == 0 && setresgid(uid, uid, uid) == 0 &&
	     setresuid(uid, uid, uid) == 0);
}
