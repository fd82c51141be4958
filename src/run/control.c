/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	accepted ──hello──> greeted ──ask──> answering ──bye sent──> closed
 *
 * The name is an abstract one in the host's network namespace: the program, in its own,
 * cannot reach it, and it goes with the supervisor however that ends. Anyone on the host
 * can connect, so the first thing looked at is who did (SO_PEERCRED): the same user or
 * root. The whole answer is put together at once, up to CONTROL_ANSWER_MAX bytes, and
 * sent as the client takes it. A client has CONTROL_TIME_NS for everything; whoever sends
 * anything unexpected is told so and closed. Nothing here waits.
 */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/process.h"
#include "config.h"
#include "run/control.h"
#include "stack/stack.h"
#include "wire/wire.h"

#define CONTROL_CLIENTS_MAX 8
#define CONTROL_ANSWER_MAX  (4u << 20)
#define CONTROL_NAMES_MAX   16
#define CONTROL_SEND_BATCH  256
#define NS_PER_S            1000000000ull
#define CONTROL_PAUSE_NS    NS_PER_S
/* The tests, which cannot wait that long, build this file with their own. */
#ifndef CONTROL_TIME_NS
#	define CONTROL_TIME_NS (10 * NS_PER_S)
#endif

struct client {
	struct event_source source;
	struct control *control;
	int fd; /* -1: a free slot */
	uint64_t until_ns;
	bool greeted;
	bool answering; /* nothing more is read from it */
	char *out;      /* whole messages */
	size_t out_start, out_size, out_capacity;
	uint64_t n_left_off;
};

struct control {
	struct event_source source;
	struct event_timer timer;
	struct event_loop *loop;
	const struct control_ops *ops;
	void *context;
	int fd;
	bool paused;
	uint64_t resume_ns;
	struct client clients[CONTROL_CLIENTS_MAX];
};

static void arm(struct control *control)
{
	uint64_t deadline = control->resume_ns;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0 &&
		    control->clients[i].until_ns < deadline)
			deadline = control->clients[i].until_ns;
	control->timer.deadline_ns = deadline;
}

static void client_end(struct client *client)
{
	event_loop_del(client->control->loop, client->fd, &client->source);
	client->fd = fd_close(client->fd);
	free(client->out);
	client->out = NULL;
	client->out_start = client->out_size = client->out_capacity = 0;
	/* An answer is much, compared with what a supervisor keeps. */
	malloc_trim(0);
}

static int client_reserve(struct client *client, size_t size)
{
	size_t wanted = client->out_capacity ? client->out_capacity : WIRE_MAX;
	char *bigger;

	while (wanted - client->out_size < size)
		wanted *= 2;
	if (wanted > CONTROL_ANSWER_MAX)
		return -EMSGSIZE;
	if (wanted == client->out_capacity)
		return 0;
	bigger = realloc(client->out, wanted);
	if (!bigger)
		return -ENOMEM;
	client->out = bigger;
	client->out_capacity = wanted;
	return 0;
}

/* Return: 0 or -errno; nothing is queued then. */
static int client_queue(struct client *client, const struct wire_message *message)
{
	char data[WIRE_MAX];
	ssize_t n = wire_write(message, data, sizeof(data));
	int r;

	if (n < 0)
		return (int)n;
	r = client_reserve(client, (size_t)n);
	if (r < 0)
		return r;
	memcpy(client->out + client->out_size, data, (size_t)n);
	client->out_size += (size_t)n;
	return 0;
}

/* Sends what is queued. Return: 0 when all went, 1 when some is left, or -errno. */
static int client_flush(struct client *client)
{
	for (int i = 0; i < CONTROL_SEND_BATCH; i++) {
		const char *at = client->out + client->out_start;
		struct wire_header header;

		if (client->out_start == client->out_size) {
			client->out_start = client->out_size = 0;
			return 0;
		}
		memcpy(&header, at, sizeof(header));
		if (send(client->fd, at, header.size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			return errno == EAGAIN || errno == EINTR ? 1 : -errno;
		client->out_start += header.size;
	}
	return 1;
}

static int refuse(struct client *client, int number, const char *text)
{
	struct wire_message message = { .type = WIRE_ERROR };

	message.error.number = (uint32_t)number;
	wire_set_text(message.error.text, sizeof(message.error.text), text);
	client->answering = true;
	return client_queue(client, &message);
}

static int answer_hello(struct client *client)
{
	struct wire_message message = { .type = WIRE_HELLO };

	client->greeted = true;
	message.hello.pid = (uint32_t)getpid();
	wire_set_text(message.hello.software, sizeof(message.hello.software),
		      "graft " GRAFT_VERSION);
	return client_queue(client, &message);
}

static uint64_t age_of(uint64_t since_ns)
{
	uint64_t now = event_now_ns();

	return since_ns && since_ns < now ? now - since_ns : 0;
}

static int answer_bye(struct client *client)
{
	struct wire_message message = { .type = WIRE_BYE };

	message.bye.n_left_off = client->n_left_off;
	client->answering = true;
	return client_queue(client, &message);
}

static int answer_runs(struct client *client)
{
	struct control *control = client->control;
	struct wire_message message = { .type = WIRE_RUN };
	struct wire_run *run = &message.run;
	struct run_info info = { 0 };
	int r;

	control->ops->run(control->context, &info);
	run->pid = (uint32_t)info.pid;
	run->supervisor = (uint32_t)info.supervisor;
	run->program = (uint32_t)info.program;
	run->uid = info.uid;
	wire_set_text(run->name, sizeof(run->name), info.name);
	wire_set_text(run->command, sizeof(run->command), info.command);
	wire_set_text(run->engine, sizeof(run->engine), info.engine);
	wire_set_text(run->policy, sizeof(run->policy), info.policy);
	wire_set_text(run->image, sizeof(run->image), info.image);
	run->age_ns = age_of(info.started_ns);
	run->n_traps = info.n_traps;
	run->n_grafts = info.n_grafts;
	run->n_swaps = info.n_swaps;
	run->n_refused = info.n_refused;
	r = client_queue(client, &message);
	return r < 0 ? r : answer_bye(client);
}

static void set_address(struct wire_address *ret, const struct sockaddr_storage *address,
			socklen_t len)
{
	if (len > sizeof(ret->address))
		len = 0;
	memcpy(&ret->address, address, len);
	ret->len = len;
}

static int emit_graft(void *context, const struct graft_info *info)
{
	struct client *client = context;
	struct wire_message message = { .type = WIRE_GRAFT };
	struct wire_graft *graft = &message.graft;

	graft->pid = (uint32_t)info->pid;
	graft->fd = (uint32_t)info->fd;
	wire_set_text(graft->program, sizeof(graft->program), info->program);
	graft->family = (uint32_t)info->family;
	graft->type = (uint32_t)info->type;
	graft->protocol = (uint32_t)info->protocol;
	set_address(&graft->local, &info->local, info->local_len);
	set_address(&graft->peer, &info->peer, info->peer_len);
	wire_set_text(graft->rule, sizeof(graft->rule), info->rule);
	wire_set_text(graft->state, sizeof(graft->state), info->state);
	graft->age_ns = age_of(info->since_ns);
	graft->cookie = info->cookie;
	/* WIRE_MAX stays free for the message that ends the answer. */
	if (client->out_size + WIRE_MAX + WIRE_MAX > CONTROL_ANSWER_MAX ||
	    client_queue(client, &message) < 0)
		client->n_left_off++;
	return 0;
}

static int answer_grafts(struct client *client)
{
	struct control *control = client->control;
	int r = control->ops->grafts(control->context, emit_graft, client);

	if (r < 0)
		return refuse(client, -r, strerror(-r));
	return answer_bye(client);
}

static int client_take(struct client *client, const struct wire_message *message)
{
	switch (message->type) {
	case WIRE_HELLO:
		return client->greeted ? refuse(client, EPROTO, "hello twice")
				       : answer_hello(client);
	case WIRE_ASK_RUNS:
		return client->greeted ? answer_runs(client)
				       : refuse(client, EPROTO, "say hello first");
	case WIRE_ASK_GRAFTS:
		return client->greeted ? answer_grafts(client)
				       : refuse(client, EPROTO, "say hello first");
	case WIRE_BYE:
		return -ENOTCONN;
	default:
		/* An answer, or for a broker. */
		return refuse(client, EPROTO, "not a message for a run");
	}
}

static int client_read(struct client *client)
{
	struct wire_message message;
	char data[WIRE_MAX];
	ssize_t n = recv(client->fd, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC);
	int r;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ENOTCONN;
	r = wire_parse(data, (size_t)n > sizeof(data) ? 0 : (size_t)n, &message);
	if (r == -EPROTONOSUPPORT)
		return refuse(client, EPROTONOSUPPORT, "this run is of another version");
	if (r < 0)
		return refuse(client, EBADMSG, "not a message");
	return client_take(client, &message);
}

static void client_ready(struct event_source *source, uint32_t events)
{
	struct client *client = container_of(source, struct client, source);
	struct control *control = client->control;
	int r = 0;

	if (events & EPOLLIN && !client->answering)
		r = client_read(client);
	if (r >= 0)
		r = client_flush(client);
	if (r < 0 || (r == 0 && client->answering) || events & (EPOLLERR | EPOLLHUP))
		client_end(client);
	else
		event_loop_mod(control->loop, client->fd,
			       (client->answering ? 0 : EPOLLIN) | (r ? EPOLLOUT : 0),
			       source);
	arm(control);
}

static bool is_welcome(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == getuid() || peer.uid == 0);
}

static void client_begin(struct control *control, int fd)
{
	struct client *client = NULL;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX && !client; i++)
		if (control->clients[i].fd < 0)
			client = &control->clients[i];
	if (!client || !is_welcome(fd) ||
	    event_loop_add(control->loop, fd, EPOLLIN, &client->source) < 0) {
		fd_close(fd);
		return;
	}
	client->fd = fd;
	client->until_ns = event_now_ns() + CONTROL_TIME_NS;
	client->greeted = client->answering = false;
	client->n_left_off = 0;
}

static void control_ready(struct event_source *source, uint32_t events)
{
	struct control *control = container_of(source, struct control, source);
	int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0) {
		client_begin(control, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
		event_loop_del(control->loop, control->fd, &control->source);
		control->paused = true;
		control->resume_ns = event_now_ns() + CONTROL_PAUSE_NS;
	}
	arm(control);
}

static void control_expired(struct event_timer *timer, uint64_t now_ns)
{
	struct control *control = container_of(timer, struct control, timer);

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0 && control->clients[i].until_ns <= now_ns)
			client_end(&control->clients[i]);
	if (control->paused && control->resume_ns <= now_ns) {
		control->paused = event_loop_add(control->loop, control->fd, EPOLLIN,
						 &control->source) < 0;
		control->resume_ns =
			control->paused ? now_ns + CONTROL_PAUSE_NS : EVENT_NEVER;
	}
	arm(control);
}

/* Another user may sit on a name that would be ours: try a few. */
static int listen_somewhere(int fd, pid_t front)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char *name = address.sun_path + 1;
	const size_t size = sizeof(address.sun_path) - 1;
	/* Rootless engines call us in a user namespace, where their user is root. */
	const unsigned int uid = process_outer_uid();

	for (int i = 0; i < CONTROL_NAMES_MAX; i++) {
		int n = snprintf(name, size,
				 i ? CONTROL_PREFIX "%u/%d.%d" : CONTROL_PREFIX "%u/%d",
				 uid, (int)front, i);

		if (bind(fd, (struct sockaddr *)&address,
			 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				     (size_t)n)) == 0)
			return listen(fd, CONTROL_CLIENTS_MAX) < 0 ? -errno : 0;
		if (errno != EADDRINUSE)
			return -errno;
	}
	return -EADDRINUSE;
}

int control_new(struct control **ret, struct event_loop *loop, struct stack *host,
		pid_t front, const struct control_ops *ops, void *context)
{
	_cleanup_fd_ int fd =
		stack_socket(host, AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	_cleanup_free_ struct control *control = calloc(1, sizeof(*control));
	int r;

	if (fd < 0)
		return fd;
	if (!control)
		return -ENOMEM;
	control->source.ready = control_ready;
	control->timer.expired = control_expired;
	control->timer.deadline_ns = EVENT_NEVER;
	control->resume_ns = EVENT_NEVER;
	control->loop = loop;
	control->ops = ops;
	control->context = context;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		control->clients[i].source.ready = client_ready;
		control->clients[i].control = control;
		control->clients[i].fd = -1;
	}
	r = listen_somewhere(fd, front);
	if (r == 0)
		r = event_loop_add(loop, fd, EPOLLIN, &control->source);
	if (r < 0)
		return r;
	control->fd = fd_steal(&fd);
	event_loop_add_timer(loop, &control->timer);
	*ret = steal_pointer(control);
	return 0;
}

struct control *control_free(struct control *control)
{
	if (!control)
		return NULL;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0)
			client_end(&control->clients[i]);
	if (!control->paused)
		event_loop_del(control->loop, control->fd, &control->source);
	event_loop_del_timer(control->loop, &control->timer);
	fd_close(control->fd);
	free(control);
	return NULL;
}
