/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs are found by the names of their control sockets in /proc/net/unix. Anyone may
 * take such a name, so nothing is sent before the kernel has told whose socket it is, and
 * another user whose socket keeps root waiting is not asked again in this round.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/process.h"
#include "config.h"
#include "ctl/runs.h"

#define PREFIX      "@graft/run/"
#define LISTENING   0x10000 /* __SO_ACCEPTCON in /proc/net/unix */
#define TIMEOUT_NS  2000000000ull
#define RUNS_MAX    4096
#define SILENT_MAX  16
#define NAME_SUFFIX "0123456789/."

struct search {
	struct runs *runs;
	const char *wanted; /* or NULL */
	uid_t silent[SILENT_MAX];
	size_t n_silent;
};

static bool is_allowed(uid_t uid)
{
	return uid == getuid() || uid == process_outer_uid() || getuid() == 0;
}

/* Waits for one message until @deadline_ns. Return: 0 or -errno. */
static int receive(int fd, uint64_t deadline_ns, struct wire_message *ret)
{
	uint64_t now = event_now_ns();
	struct pollfd ready = { fd, POLLIN, 0 };
	char data[WIRE_MAX];
	ssize_t n;
	int r = poll(&ready, 1,
		     now < deadline_ns ? (int)((deadline_ns - now) / 1000000) : 0);

	if (r == 0)
		return -ETIMEDOUT;
	n = r < 0 ? -1 : recv(fd, data, sizeof(data), MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (n == 0)
		return -ECONNRESET;
	r = wire_parse(data, (size_t)n, ret);
	if (r == 0 && ret->type == WIRE_ERROR)
		return ret->error.number ? -(int)ret->error.number : -EPROTO;
	return r;
}

static int tell(int fd, const struct wire_message *message)
{
	char data[WIRE_MAX];
	ssize_t n = wire_write(message, data, sizeof(data));

	if (n < 0)
		return (int)n;
	return send(fd, data, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Connects and says hello. Return: the socket or -errno. */
static int greet(const struct run_peer *peer, uint64_t deadline_ns, uid_t *ret_uid)
{
	_cleanup_fd_ int fd =
		socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct wire_message message = { .type = WIRE_HELLO };
	struct ucred owner;
	socklen_t len = sizeof(owner);
	int r;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&peer->address, peer->len) < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &owner, &len) < 0)
		return -errno;
	if (!is_allowed(owner.uid))
		return -EPERM;
	*ret_uid = owner.uid;
	message.hello.pid = (uint32_t)getpid();
	wire_set_text(message.hello.software, sizeof(message.hello.software),
		      "graft " GRAFT_VERSION);
	r = tell(fd, &message);
	if (r == 0)
		r = receive(fd, deadline_ns, &message);
	if (r == 0 && message.type != WIRE_HELLO)
		r = -EPROTO;
	return r < 0 ? r : fd_steal(&fd);
}

static int converse(const struct run_peer *peer, enum wire_type ask, runs_take *take,
		    void *context, uid_t *ret_uid)
{
	const enum wire_type answer = ask == WIRE_ASK_RUNS ? WIRE_RUN : WIRE_GRAFT;
	uint64_t deadline = event_now_ns() + TIMEOUT_NS;
	_cleanup_fd_ int fd = greet(peer, deadline, ret_uid);
	struct wire_message message = { .type = ask };
	int r = fd < 0 ? fd : tell(fd, &message);

	while (r == 0) {
		r = receive(fd, deadline, &message);
		if (r == 0 && message.type != answer && message.type != WIRE_BYE)
			r = -EPROTO;
		if (r == 0)
			r = take(context, &message);
		if (r == 0 && message.type == WIRE_BYE)
			return 0;
	}
	return r;
}

int runs_ask(const struct run_peer *peer, enum wire_type ask, runs_take *take,
	     void *context)
{
	uid_t uid;

	return converse(peer, ask, take, context, &uid);
}

static int take_run(void *context, const struct wire_message *message)
{
	struct run_peer *peer = context;

	if (message->type == WIRE_RUN)
		peer->run = message->run;
	return 0;
}

static bool is_silent(const struct search *search, uid_t uid)
{
	for (size_t i = 0; i < search->n_silent; i++)
		if (search->silent[i] == uid)
			return true;
	return uid != getuid() && search->n_silent == SILENT_MAX;
}

static bool is_wanted(const struct search *search, const struct wire_run *run)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%u", run->pid);
	return !search->wanted || !strcmp(search->wanted, pid) ||
	       !strcmp(search->wanted, run->name);
}

/* @name: "@graft/run/UID/PID" */
static int consider(struct search *search, const char *name)
{
	struct runs *runs = search->runs;
	size_t len = strlen(name);
	uid_t uid = (uid_t)strtoul(name + strlen(PREFIX), NULL, 10);
	struct run_peer peer = { .address.sun_family = AF_UNIX };
	struct run_peer *bigger;
	int r;

	if (len > sizeof(peer.address.sun_path) || !is_allowed(uid) ||
	    is_silent(search, uid) || runs->n >= RUNS_MAX)
		return 0;
	memcpy(peer.address.sun_path, name, len);
	peer.address.sun_path[0] = '\0';
	peer.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	uid = (uid_t)-1;
	r = converse(&peer, WIRE_ASK_RUNS, take_run, &peer, &uid);
	if (r == -ETIMEDOUT) {
		runs->n_silent++;
		if (uid != (uid_t)-1 && uid != getuid())
			search->silent[search->n_silent++] = uid;
	}
	if (r < 0 || !peer.run.pid || !is_wanted(search, &peer.run))
		return 0;
	peer.run.uid = uid;
	bigger = realloc(runs->items, (runs->n + 1) * sizeof(peer));
	if (!bigger)
		return -ENOMEM;
	runs->items = bigger;
	runs->items[runs->n++] = peer;
	return 0;
}

/* The name of a listening control socket in a line of /proc/net/unix, or NULL. Fields:
 * number, references, protocol, flags, type, state, inode, name. */
static const char *control_name(char *line)
{
	const size_t prefix_len = strlen(PREFIX);
	char *rest = NULL, *word = strtok_r(line, " \n", &rest);

	for (int i = 0; i < 7 && word; i++) {
		if (i == 3 && !(strtoul(word, NULL, 16) & LISTENING))
			return NULL;
		word = strtok_r(NULL, " \n", &rest);
	}
	if (!word || strncmp(word, PREFIX, prefix_len) != 0 ||
	    word[strspn(word + prefix_len, NAME_SUFFIX) + prefix_len] != '\0')
		return NULL;
	return word;
}

static int by_age(const void *a, const void *b)
{
	const struct run_peer *x = a, *y = b;

	if (x->run.age_ns != y->run.age_ns)
		return x->run.age_ns < y->run.age_ns ? 1 : -1;
	return (x->run.pid > y->run.pid) - (x->run.pid < y->run.pid);
}

int runs_find(struct runs *ret, const char *wanted)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/net/unix", "re");
	_cleanup_(runs_release) struct runs runs = { 0 };
	struct search search = { .runs = &runs, .wanted = wanted };
	_cleanup_free_ char *line = NULL;
	size_t capacity = 0;

	if (!file)
		return -errno;
	while (getline(&line, &capacity, file) > 0) {
		const char *name = control_name(line);
		int r = name ? consider(&search, name) : 0;

		if (r < 0)
			return r;
	}
	if (runs.n)
		qsort(runs.items, runs.n, sizeof(*runs.items), by_age);
	*ret = runs;
	runs = (struct runs){ 0 };
	return 0;
}

void runs_release(struct runs *runs)
{
	free(runs->items);
	runs->items = NULL;
	runs->n = 0;
}
