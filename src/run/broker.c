/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may ask
 *
 * The socket has an abstract name in the program's network namespace: whatever root
 * directory, user or mounts a process of the run has, it reaches it, nobody outside does,
 * and nothing is left behind in the file system. Each connection is asked for the cookie
 * of the namespace its client connected from (SO_NETNS_COOKIE), which is the membership:
 * no process id is looked at that another process may have had. A namespace that the
 * program makes for itself is left alone, as by every engine.
 *
 * What it may have is decided here by the policy, whatever the library in the program
 * thinks: it may not be the library that asks.
 *
 * Limits
 *
 * Connections, supplies and asks on their way to graftd are counted. Answers are never
 * queued here: one that finds no room in the socket is lost, and its connection ends. All
 * of it serves one run, so the worst that a hostile program does is to go without.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/log.h"
#include "run/broker_parts.h"
#include "run/stacks.h"
#include "stack/bound.h"
#include "stack/held.h"
#include "stack/stack.h"

#define BACKLOG 1024
#define BATCH   16 /* connections taken, or messages read, in one go */

#define PAUSE_NS 1000000000ull

int run_broker_listen(char ret_name[RUN_BROKER_NAME_SIZE])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd =
		socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	uint64_t cookie;
	size_t size;
	int r;

	if (fd < 0)
		return -errno;
	r = stack_cookie_of(fd, &cookie);
	if (r < 0)
		return r;
	snprintf(ret_name, RUN_BROKER_NAME_SIZE, RUN_BROKER_PREFIX "%" PRIu64, cookie);
	size = strlen(ret_name);
	memcpy(address.sun_path, ret_name, size);
	address.sun_path[0] = '\0';
	size += offsetof(struct sockaddr_un, sun_path);
	/* Who asks: inherited by connections, which forked children share. */
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int));
	if (bind(fd, (struct sockaddr *)&address, (socklen_t)size) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -errno;
	return fd_steal(&fd);
}

/* --- answers --- */

void request_answer(const struct request *request, const struct wire_message *answer,
		    const int *fds, size_t n_fds)
{
	int via = request->reply >= 0 ? request->reply
		  : request->peer     ? request->peer->fd
				      : -1;
	char data[WIRE_MAX];
	ssize_t n = wire_write(answer, data, sizeof(data));

	if (n < 0 || via < 0)
		return;
	if (fd_send_now(via, data, (size_t)n, fds, n_fds) < 0 && request->reply < 0)
		shutdown(via, SHUT_RDWR);
}

void request_refuse(const struct request *request, int error, const char *text)
{
	struct wire_message answer = { .type = WIRE_ERROR };

	if (error == -EACCES || error == -EPERM)
		request->broker->counters.n_refused++;
	answer.error.number = (uint32_t)-error;
	wire_set_text(answer.error.text, sizeof(answer.error.text),
		      text ? text : strerror(-error));
	request_answer(request, &answer, NULL, 0);
}

static void answer_hello(struct request *request)
{
	struct wire_message answer = { .type = WIRE_HELLO };

	answer.hello.pid = (uint32_t)getpid();
	wire_set_text(answer.hello.software, sizeof(answer.hello.software), "graft run");
	request_answer(request, &answer, NULL, 0);
}

static void answer_policy(struct request *request)
{
	struct wire_message answer = { .type = WIRE_POLICY };

	request_answer(request, &answer, &request->broker->policy_text, 1);
}

/* --- messages --- */

static void take(struct request *request)
{
	enum wire_type type = request->message->type;

	request->broker->counters.n_asks++;
	if (request->broker->config.gives_policy_only && type != WIRE_HELLO &&
	    type != WIRE_ASK_POLICY) {
		request_refuse(request, -EPERM, "the kernel module has the sockets");
		return;
	}
	switch (type) {
	case WIRE_HELLO:
		answer_hello(request);
		return;
	case WIRE_ASK:
		grant_answer(request);
		return;
	case WIRE_ASK_SUPPLY:
		grant_supply(request);
		return;
	case WIRE_ASK_POLICY:
		answer_policy(request);
		return;
	case WIRE_ASK_PAGE:
		relay_start(request, NULL);
		return;
	default:
		request_refuse(request, -EPROTO, "not a message for the broker of a run");
	}
}

/* Tells which of the descriptors beside a message is what. Return: 0 or -EPROTO. */
static int sort_descriptors(struct request *request, int *fds, size_t n)
{
	const struct wire_message *message = request->message;
	bool is_ask = message->type == WIRE_ASK || message->type == WIRE_ASK_SUPPLY;
	bool has_reply = is_ask ? message->ask.flags & WIRE_F_REPLY : n > 0;
	bool has_socket = message->type == WIRE_ASK_SUPPLY ||
			  (is_ask && message->ask.flags & WIRE_F_SOCKET);

	if (n != (size_t)has_reply + has_socket)
		return -EPROTO;
	if (has_reply)
		request->reply = fds[0];
	if (has_socket)
		request->socket = fds[n - 1];
	return 0;
}

/* Reads one message. Return: 0, or -errno: -EAGAIN when there is none. */
static int peer_read(struct peer *peer)
{
	struct request request = { peer->broker, peer, NULL, -1, -1, 0 };
	int fds[MESSAGE_FDS_MAX];
	struct wire_message message;
	char data[WIRE_MAX];
	size_t n_fds = 0;
	ssize_t n = fd_receive_from(peer->fd, data, sizeof(data), fds, MESSAGE_FDS_MAX,
				    &n_fds, &request.sender);
	int r;

	if (n <= 0)
		return n < 0 ? (int)n : -ENOTCONN;
	request.message = &message;
	r = wire_parse(data, (size_t)n, &message);
	if (r == 0)
		r = sort_descriptors(&request, fds, n_fds);
	if (r < 0) {
		for (size_t i = 0; i < n_fds; i++)
			fd_close(fds[i]);
		return r;
	}
	take(&request);
	fd_close(request.reply);
	fd_close(request.socket);
	return 0;
}

static void peer_end(struct peer *peer)
{
	struct run_broker *broker = peer->broker;

	relay_forget_peer(broker, peer);
	if (!peer->is_waiting)
		event_loop_del(broker->config.loop, peer->fd, &peer->source);
	fd_close(peer->fd);
	*peer->at = peer->next;
	if (peer->next)
		peer->next->at = peer->at;
	broker->n_peers--;
	free(peer);
}

void peer_resume(struct peer *peer)
{
	peer->is_waiting = false;
	if (event_loop_add(peer->broker->config.loop, peer->fd, EPOLLIN, &peer->source) <
	    0)
		shutdown(peer->fd, SHUT_RDWR);
}

static void peer_ready(struct event_source *source, uint32_t events)
{
	struct peer *peer = container_of(source, struct peer, source);
	int r = 0;

	(void)events;
	for (int i = 0; i < BATCH && r == 0 && !peer->is_waiting; i++)
		r = peer_read(peer);
	if (r < 0 && r != -EAGAIN)
		peer_end(peer);
}

static bool is_member(const struct run_broker *broker, int fd)
{
	uint64_t cookie;

	return stack_cookie_of(fd, &cookie) == 0 && cookie == broker->own_cookie;
}

static void peer_begin(struct run_broker *broker, int fd)
{
	struct peer *peer =
		broker->n_peers < broker->n_peers_max ? calloc(1, sizeof(*peer)) : NULL;

	if (!peer || !is_member(broker, fd)) {
		log_limited(LOG_LEVEL_INFO, "a connection to the broker was refused");
		free(peer);
		fd_close(fd);
		return;
	}
	peer->broker = broker;
	peer->fd = fd;
	peer->source.ready = peer_ready;
	if (event_loop_add(broker->config.loop, fd, EPOLLIN, &peer->source) < 0) {
		free(peer);
		fd_close(fd);
		return;
	}
	peer->at = &broker->peers;
	peer->next = broker->peers;
	if (peer->next)
		peer->next->at = &peer->next;
	broker->peers = peer;
	broker->n_peers++;
}

/* Out of descriptors or memory: a look a second, not all the time. */
static void pause_listening(struct run_broker *broker)
{
	event_loop_del(broker->config.loop, broker->listener, &broker->source);
	broker->pause.deadline_ns = event_now_ns() + PAUSE_NS;
}

static void pause_expired(struct event_timer *timer, uint64_t now_ns)
{
	struct run_broker *broker = container_of(timer, struct run_broker, pause);

	if (event_loop_add(broker->config.loop, broker->listener, EPOLLIN,
			   &broker->source) < 0)
		timer->deadline_ns = now_ns + PAUSE_NS;
}

static void broker_ready(struct event_source *source, uint32_t events)
{
	struct run_broker *broker = container_of(source, struct run_broker, source);

	(void)events;
	for (int i = 0; i < BATCH; i++) {
		int fd = accept4(broker->listener, NULL, NULL,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			       errno == ENOBUFS))
			pause_listening(broker);
		if (fd < 0)
			return;
		peer_begin(broker, fd);
	}
}

/* --- life --- */

/* Sealed, so that all may share it; read it with pread() or map it. */
static int publish_policy(const struct policy *policy)
{
	_cleanup_free_ char *text = policy_print(policy);
	_cleanup_fd_ int fd =
		memfd_create("graft-policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n;

	if (!text || fd < 0)
		return text ? -errno : -ENOMEM;
	n = fd_write_all(fd, text, strlen(text));
	if (n < 0)
		return (int)n;
	if (fcntl(fd, F_ADD_SEALS,
		  F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	return fd_steal(&fd);
}

static int set_up(struct run_broker *broker, int listener)
{
	struct rlimit limit;
	int r;

	broker->n_peers_max = PEERS_MAX;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / 4 < PEERS_MAX)
		broker->n_peers_max = (size_t)limit.rlim_cur / 4;

	broker->bound = bound_new();
	broker->held = held_new(policy_n_endpoints(broker->config.policy));
	if (!broker->bound || !broker->held)
		return -ENOMEM;
	broker->policy_text = publish_policy(broker->config.policy);
	if (broker->policy_text < 0)
		return broker->policy_text;
	grant_learn_policy(broker);
	broker->source.ready = broker_ready;
	r = event_loop_add(broker->config.loop, listener, EPOLLIN, &broker->source);
	if (r < 0)
		return r;
	broker->listener = listener;
	broker->timer.expired = relay_expired;
	broker->timer.deadline_ns = EVENT_NEVER;
	broker->pause.expired = pause_expired;
	broker->pause.deadline_ns = EVENT_NEVER;
	event_loop_add_timer(broker->config.loop, &broker->timer);
	event_loop_add_timer(broker->config.loop, &broker->pause);
	return 0;
}

int run_broker_new(struct run_broker **ret, const struct run_broker_config *config,
		   int listener)
{
	struct run_broker *broker = calloc(1, sizeof(*broker));
	int r;

	if (!broker)
		return -ENOMEM;
	broker->config = *config;
	broker->listener = broker->policy_text = broker->graftd = -1;
	broker->own_cookie = config->stacks->own->cookie;
	r = set_up(broker, listener);
	if (r < 0) {
		run_broker_free(broker);
		return r;
	}
	*ret = broker;
	return 0;
}

struct run_broker *run_broker_free(struct run_broker *broker)
{
	if (!broker)
		return NULL;
	while (broker->peers)
		peer_end(broker->peers);
	relay_end_all(broker);
	grant_close_supplies(broker);
	if (broker->listener >= 0) {
		event_loop_del(broker->config.loop, broker->listener, &broker->source);
		event_loop_del_timer(broker->config.loop, &broker->timer);
		event_loop_del_timer(broker->config.loop, &broker->pause);
	}
	fd_close(broker->listener);
	fd_close(broker->policy_text);
	fd_close(broker->graftd);
	bound_free(broker->bound);
	held_free(broker->held);
	free(broker);
	return NULL;
}

void run_broker_get_counters(const struct run_broker *broker,
			     struct run_broker_counters *ret)
{
	*ret = broker->counters;
}
