/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks for names that the policy does not define, passed on to graftd, to whom the
 * supervisor is who asks: the user, in the namespace `graft run` was called in.
 *
 * One connection carries them all; each has a pair of its own for the answer. When graftd
 * is killed with an ask in hand, the other end of that pair closes with it, and the ask
 * is sent once more: the next graftd may be there already.
 *
 * A socket is passed on when graftd has closed its own end of the pair, for then it has
 * let go of the socket. The program is told in the same way by ours: until then it might
 * close the socket and find its address in use, or hear of it from epoll.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "broker/client.h"
#include "run/broker_parts.h"

#define PATIENCE_NS (BROKER_PATIENCE_MS * 1000000ull)
#define TRIES       3

/* One ask on its way. */
struct relay {
	struct event_source source;
	struct run_broker *broker;
	struct relay *next, **at;
	struct wire_message message; /* as it goes to graftd */
	const struct rule *rule;
	struct peer *peer; /* waits for it; or NULL */
	int reply;         /* where the answer goes in the end */
	int socket;        /* beside the ask, or -1 */
	int whom;          /* pidfd of the process it is for, or -1 */
	int end;           /* ours of the pair for the answer, or -1 */
	unsigned int n_tries;
	/* What is passed on at the end of the pair, n_fds descriptors beside it. */
	struct wire_message answer;
	bool has_answer;
	int fds[MESSAGE_FDS_MAX];
	size_t n_fds;
	uint64_t until_ns;
};

static struct relay *relay_end(struct relay *relay)
{
	struct run_broker *broker = relay->broker;

	if (relay->end >= 0)
		event_loop_del(broker->config.loop, relay->end, &relay->source);
	*relay->at = relay->next;
	if (relay->next)
		relay->next->at = relay->at;
	broker->n_relays--;
	if (relay->peer)
		peer_resume(relay->peer);
	while (relay->n_fds)
		fd_close(relay->fds[--relay->n_fds]);
	fd_close(relay->end);
	fd_close(relay->socket);
	fd_close(relay->whom);
	fd_close(relay->reply);
	free(relay);
	return NULL;
}

static struct request request_of(const struct relay *relay)
{
	return (struct request){
		relay->broker, NULL, &relay->message, relay->reply, -1, 0
	};
}

static void relay_fail(struct relay *relay, int error)
{
	struct request request = request_of(relay);

	request_refuse(&request, error, "graftd cannot be reached or does not answer");
	relay_end(relay);
}

static int link_up(struct run_broker *broker)
{
	if (broker->graftd >= 0)
		return 0;
	broker->graftd = broker_connect(NULL);
	if (broker->graftd < 0) {
		log_limited(LOG_LEVEL_INFO, "cannot reach graftd at %s: %s",
			    broker_path(), strerror(-broker->graftd));
		broker->graftd = -1;
		return -ENETDOWN;
	}
	return 0;
}

/* Sends it, over a new connection if the old one is dead. Return: 0 or -errno. */
static int relay_send(struct relay *relay, int answer_to)
{
	struct run_broker *broker = relay->broker;
	int fds[3] = { answer_to };
	char data[WIRE_MAX];
	ssize_t n = wire_write(&relay->message, data, sizeof(data));
	size_t n_fds = 1;
	int r = n < 0 ? (int)n : 0;

	if (relay->whom >= 0)
		fds[n_fds++] = relay->whom;
	if (relay->socket >= 0)
		fds[n_fds++] = relay->socket;

	for (int i = 0; i < 2 && n > 0; i++) {
		r = link_up(broker);
		if (r == 0)
			r = fd_send_now(broker->graftd, data, (size_t)n, fds, n_fds);
		if (r == 0 || r == -ENETDOWN)
			break;
		broker->graftd = fd_close(broker->graftd);
	}
	return r < 0 ? -ENETDOWN : 0;
}

static int relay_try(struct relay *relay)
{
	_cleanup_fd_ int theirs = -1;
	int pair[2], r;

	if (relay->n_tries++ == TRIES)
		return -ENETDOWN;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) <
	    0)
		return -errno;
	theirs = pair[1];
	relay->end = pair[0];
	r = event_loop_add(relay->broker->config.loop, relay->end, EPOLLIN,
			   &relay->source);
	return r < 0 ? r : relay_send(relay, theirs);
}

static void relay_again(struct relay *relay)
{
	int r;

	event_loop_del(relay->broker->config.loop, relay->end, &relay->source);
	relay->end = fd_close(relay->end);
	r = relay_try(relay);
	if (r < 0)
		relay_fail(relay, r);
}

/* Is this what such an ask may be answered with? */
static bool is_answer(const struct relay *relay)
{
	switch (relay->answer.type) {
	case WIRE_ERROR:
		return true;
	case WIRE_GRANT:
		return relay->message.type == WIRE_ASK && relay->n_fds >= 1;
	case WIRE_BYE:
		return relay->message.type == WIRE_ASK_SUPPLY;
	case WIRE_PAGE:
		return relay->message.type == WIRE_ASK_PAGE && relay->n_fds == 1;
	default:
		return false;
	}
}

static void relay_deliver(struct relay *relay)
{
	const struct wire_message *answer = &relay->answer;
	struct request request = request_of(relay);

	if (answer->type == WIRE_GRANT)
		grant_note(relay->broker, &answer->grant, relay->rule,
			   relay->socket >= 0);
	if (answer->type == WIRE_ERROR)
		request_refuse(&request, -(int)answer->error.number, answer->error.text);
	else
		request_answer(&request, answer, relay->fds, relay->n_fds);
	relay_end(relay);
}

static void relay_take(struct relay *relay, const char *data, size_t size)
{
	if (relay->has_answer || wire_parse(data, size, &relay->answer) < 0 ||
	    !is_answer(relay)) {
		relay_fail(relay, -EPROTO);
		return;
	}
	relay->has_answer = true;
	if (relay->answer.type != WIRE_GRANT)
		relay_deliver(relay);
}

static void relay_ready(struct event_source *source, uint32_t events)
{
	struct relay *relay = container_of(source, struct relay, source);
	int fds[MESSAGE_FDS_MAX];
	char data[WIRE_MAX];
	size_t n_fds = 0;
	ssize_t n;

	(void)events;
	n = fd_receive(relay->end, data, sizeof(data), fds, MESSAGE_FDS_MAX, &n_fds);
	if (n == -EAGAIN)
		return;
	if (n > 0 && !relay->has_answer) {
		memcpy(relay->fds, fds, sizeof(fds));
		relay->n_fds = n_fds;
		relay_take(relay, data, (size_t)n);
		return;
	}
	while (n_fds)
		fd_close(fds[--n_fds]);
	if (relay->has_answer)
		relay_deliver(relay);
	else
		relay_again(relay);
}

static void arm(struct run_broker *broker)
{
	uint64_t first = EVENT_NEVER;

	for (const struct relay *relay = broker->relays; relay; relay = relay->next)
		if (relay->until_ns < first)
			first = relay->until_ns;
	broker->timer.deadline_ns = first;
}

void relay_expired(struct event_timer *timer, uint64_t now_ns)
{
	struct run_broker *broker = container_of(timer, struct run_broker, timer);
	struct relay *next;

	for (struct relay *relay = broker->relays; relay; relay = next) {
		next = relay->next;
		if (relay->until_ns > now_ns)
			continue;
		if (relay->has_answer)
			relay_deliver(relay);
		else
			relay_fail(relay, -ENETDOWN);
	}
	arm(broker);
}

/* The answer may come over the connection itself, which then waits for it, so that
 * answers keep their order. */
static int take_reply(struct relay *relay, struct request *request)
{
	struct peer *peer = request->peer;

	if (request->reply >= 0) {
		relay->reply = fd_steal(&request->reply);
		return 0;
	}
	relay->reply = fcntl(peer->fd, F_DUPFD_CLOEXEC, 3);
	if (relay->reply < 0)
		return -errno;
	event_loop_del(relay->broker->config.loop, peer->fd, &peer->source);
	peer->is_waiting = true;
	relay->peer = peer;
	return 0;
}

/* graftd is to know who has the socket of a held endpoint. */
static void take_whom(struct relay *relay, pid_t sender)
{
	if (relay->message.type != WIRE_ASK)
		return;
	relay->message.ask.flags &= ~(uint32_t)WIRE_F_FOR;
	if (relay->message.ask.op != WIRE_OP_BIND || !sender)
		return;
	relay->whom = process_open(sender);
	if (relay->whom >= 0)
		relay->message.ask.flags |= WIRE_F_FOR;
}

void relay_start(struct request *request, const struct rule *rule)
{
	struct run_broker *broker = request->broker;
	struct relay *relay =
		broker->n_relays < RELAYS_MAX ? calloc(1, sizeof(*relay)) : NULL;
	int r;

	if (!relay) {
		request_refuse(request, -ENOBUFS, "too many asks at once");
		return;
	}
	*relay = (struct relay){ .source.ready = relay_ready,
				 .broker = broker,
				 .message = *request->message,
				 .rule = rule,
				 .reply = -1,
				 .socket = -1,
				 .whom = -1,
				 .end = -1,
				 .until_ns = event_now_ns() + PATIENCE_NS };
	if (relay->message.type != WIRE_ASK_PAGE)
		relay->message.ask.flags |= WIRE_F_REPLY;
	r = take_reply(relay, request);
	if (r < 0) {
		request_refuse(request, r, NULL);
		free(relay);
		return;
	}
	relay->socket = fd_steal(&request->socket);
	take_whom(relay, request->sender);
	relay->at = &broker->relays;
	relay->next = broker->relays;
	if (relay->next)
		relay->next->at = &relay->next;
	broker->relays = relay;
	broker->n_relays++;
	r = relay_try(relay);
	if (r < 0)
		relay_fail(relay, r);
	arm(broker);
}

void relay_forget_peer(struct run_broker *broker, const struct peer *peer)
{
	for (struct relay *relay = broker->relays; relay; relay = relay->next)
		if (relay->peer == peer)
			relay->peer = NULL;
}

void relay_end_all(struct run_broker *broker)
{
	while (broker->relays)
		relay_end(broker->relays);
}
