/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	name ─> entry ─> may this client? ─> stack ─> socket ─> answer
 *	      ENOENT      EACCES             use.c
 *
 * The answer goes to the descriptor that came with the ask, if any, else to the
 * connection. That descriptor must be an end of a socketpair: what we send carries our
 * name, and must not reach somebody who would take it for our own words. If it is full,
 * the answer is lost, and its sender has only himself to blame.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "broker/ask.h"
#include "broker/asked.h"
#include "broker/change.h"
#include "broker/connection.h"
#include "broker/graftd.h"
#include "broker/metrics.h"
#include "broker/page.h"
#include "broker/server.h"
#include "broker/supplies.h"
#include "broker/use.h"
#include "broker/watch.h"

/* An end of an unnamed SOCK_SEQPACKET pair? */
static bool is_pair_end(int fd)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(int), peer_len = sizeof(peer);
	int type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_SEQPACKET &&
	       getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
	       peer.sun_family == AF_UNIX && peer_len == sizeof(sa_family_t);
}

/* What the answer says must be in the journal. */
static int settle(struct asked *asked)
{
	if (server_may_send(asked->connection->server))
		return 0;
	return change_commit(asked->graftd);
}

/* Return: 0, or -errno: the connection is of no use. */
static int answer(struct asked *asked, const struct wire_message *message, const int *fds,
		  size_t n_fds)
{
	char data[WIRE_MAX];
	ssize_t n;
	int r;

	if (asked->reply < 0)
		return connection_send_fds(asked->connection, message, fds, n_fds);
	r = settle(asked);
	if (r < 0)
		return r;
	n = wire_write(message, data, sizeof(data));
	if (n < 0)
		return (int)n;
	fd_send_now(asked->reply, data, (size_t)n, fds, n_fds);
	return 0;
}

static int answer_error(struct asked *asked, int r)
{
	struct wire_message message = { .type = WIRE_ERROR,
					.error.number = (uint32_t)-r };

	wire_set_text(message.error.text, sizeof(message.error.text),
		      *asked->reason ? asked->reason : strerror(-r));
	return answer(asked, &message, NULL, 0);
}

static const char *op_name(const struct asked *asked)
{
	return asked->ask->op == WIRE_OP_CONNECT ? "connect" : "bind";
}

static void tell_grant(struct asked *asked, const struct wire_grant *grant)
{
	char text[160];

	if (!asked->entry || !watch_is_on(asked->graftd))
		return;
	wire_print_address(&grant->address, text, sizeof(text));
	watch_tell(asked->graftd, op_name(asked), asked->entry, asked->who, text);
}

static void tell_denial(struct asked *asked, int r)
{
	log_limited(LOG_LEVEL_INFO, "uid %u, pid %d: %s %s: %s",
		    (unsigned int)asked->who->uid, (int)asked->who->pid, op_name(asked),
		    asked->ask->name, *asked->reason ? asked->reason : strerror(-r));
	if (r != -EACCES || !asked->entry)
		return;
	use_count_denied(asked->entry);
	watch_tell(asked->graftd, "deny", asked->entry, asked->who, asked->reason);
}

/* May the answer be kept until something changes? */
static uint64_t generation(const struct asked *asked)
{
	if (!asked->entry || asked->ask->op != WIRE_OP_CONNECT)
		return 0;
	return page_generation(asked->graftd->page);
}

static void count(struct asked *asked, int r, uint64_t started_ns)
{
	metrics_ask(asked->graftd->metrics, asked->ask->name,
		    metrics_engine(asked->connection->software), r < 0 ? r : 0,
		    event_now_ns() - started_ns);
}

static int take_ask(struct asked *asked)
{
	uint64_t started_ns = event_now_ns();
	struct wire_message message = { .type = WIRE_GRANT };
	int fds[2] = { -1, -1 }, r = asked_find(asked);

	if (r == 0)
		r = fds[0] = use_grant(asked, &message.grant, &fds[1]);
	count(asked, r, started_ns);
	if (r < 0) {
		tell_denial(asked, r);
		return answer_error(asked, r);
	}
	message.grant.generation = generation(asked);
	tell_grant(asked, &message.grant);
	r = answer(asked, &message, fds, fds[1] >= 0 ? 2 : 1);
	fd_close(fds[0]);
	fd_close(fds[1]);
	return r;
}

static int take_supply(struct asked *asked, int *end)
{
	const struct wire_message bye = { .type = WIRE_BYE };
	int r = is_pair_end(*end) ? supplies_start(asked) : -EPROTOTYPE;

	if (r < 0) {
		tell_denial(asked, r);
		return answer_error(asked, r);
	}
	*end = -1;
	return answer(asked, &bye, NULL, 0);
}

static int take_page(struct asked *asked)
{
	const struct wire_message message = { .type = WIRE_PAGE };
	int fd = page_fd(asked->graftd->page);

	return answer(asked, &message, &fd, 1);
}

static int dispatch(struct asked *asked, enum wire_type type, int *last)
{
	switch (type) {
	case WIRE_ASK:
		return take_ask(asked);
	case WIRE_ASK_SUPPLY:
		return take_supply(asked, last);
	case WIRE_ASK_PAGE:
		return take_page(asked);
	default:
		asked_deny(asked, 0, "policies are not kept here");
		return answer_error(asked, -EOPNOTSUPP);
	}
}

/* The process that sent it; or the one it speaks for, if that has a number here. */
static pid_t who_has_it(const struct connection *connection, int pidfd)
{
	pid_t pid = pidfd < 0 ? 0 : process_of(pidfd);

	if (!pid)
		pid = connection->sender;
	return pid ? pid : connection->identity.pid;
}

int ask_take(struct connection *connection, const struct wire_message *message, int *fds,
	     size_t n_fds)
{
	bool has_reply = message->ask.flags & WIRE_F_REPLY;
	bool has_for = message->type == WIRE_ASK && message->ask.flags & WIRE_F_FOR;
	bool has_socket =
		message->type == WIRE_ASK_SUPPLY ||
		(message->type == WIRE_ASK && message->ask.flags & WIRE_F_SOCKET);
	struct asked asked = {
		.graftd = server_graftd(connection->server),
		.connection = connection,
		.who = &connection->identity,
		.ask = &message->ask,
		.reply = -1,
		.socket = -1,
	};
	int r;

	connection->is_greeted = true;
	if (n_fds != (size_t)has_reply + has_for + has_socket ||
	    (has_reply && !is_pair_end(fds[0]))) {
		connection->is_ending = true;
		return connection_refuse(connection, EPROTO,
					 "not the descriptors the ask speaks of");
	}
	if (has_reply)
		asked.reply = fds[0];
	if (has_socket)
		asked.socket = fds[n_fds - 1];
	asked.pid = who_has_it(connection, has_for ? fds[has_reply] : -1);
	r = dispatch(&asked, message->type, has_socket ? &fds[n_fds - 1] : NULL);
	asked_release(&asked);
	return r;
}
