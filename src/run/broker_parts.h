/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the broker of a run.
 *
 *	broker.c	connections, messages, limits
 *	broker_grant.c	what an ask may have, and making it
 *	broker_relay.c	names the policy does not define: asked of graftd
 *
 * All on one thread, and nothing waits: not for the program, which may be hostile, nor
 * for graftd, which may be gone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/event.h"
#include "policy/policy.h"
#include "run/broker.h"
#include "wire/wire.h"

#define PEERS_MAX    4096
#define SUPPLIES_MAX 256
#define RELAYS_MAX   256
/* Descriptors beside one message. */
#define MESSAGE_FDS_MAX 2

struct bound;
struct held;
struct relay;
struct stack;
struct supply;

struct run_broker {
	struct run_broker_config config;
	struct event_source source;
	struct event_timer timer; /* of the relays */
	struct event_timer pause; /* ends when there may be room for connections */
	int listener, policy_text;
	uint64_t own_cookie; /* of the namespace the run's members are in */
	struct bound *bound;
	struct held *held;
	struct peer *peers;
	size_t n_peers, n_peers_max, n_supplies, n_relays;
	struct supply *supplies[SUPPLIES_MAX];
	struct relay *relays;
	int graftd;                  /* connection for the relays; -1: none */
	unsigned int host_protos[2]; /* {v4, v6}: what may connect on the host */
	struct run_broker_counters counters;
};

/* One connection. */
struct peer {
	struct event_source source;
	struct run_broker *broker;
	struct peer *next, **at;
	int fd;
	bool is_waiting; /* for an answer from graftd: nothing is read meanwhile */
};

/* One thing asked. The descriptors are closed by whoever took the message in; steal
 * those to be kept. */
struct request {
	struct run_broker *broker;
	struct peer *peer;
	const struct wire_message *message;
	int reply;    /* where to answer, or -1: the connection */
	int socket;   /* beside the ask: to be replaced, or the end of a supply; or -1 */
	pid_t sender; /* of the message; 0: not known */
};

/* What an ask comes to. */
struct decision {
	const struct endpoint *endpoint; /* NULL: host, or of the registry */
	const struct rule *rule;         /* NULL: none, the endpoint was named */
	bool is_registry;
	struct stack *stack;
	uint16_t port;
};

/* --- broker.c --- */

/* Sends an answer. A peer that leaves no room for it loses it. */
void request_answer(const struct request *request, const struct wire_message *answer,
		    const int *fds, size_t n_fds);
void request_refuse(const struct request *request, int error, const char *text);
/* Reads from @peer again. */
void peer_resume(struct peer *peer);

/* --- broker_grant.c --- */

/* Return: 0 or -errno, the program's answer. */
int grant_decide(struct run_broker *broker, const struct wire_ask *ask,
		 struct decision *ret);
void grant_answer(struct request *request);
void grant_supply(struct request *request);
/* Keeps the books after a grant. @asked: who asked had a socket already. */
void grant_note(struct run_broker *broker, const struct wire_grant *grant,
		const struct rule *rule, bool had_socket);
void grant_learn_policy(struct run_broker *broker);
void grant_close_supplies(struct run_broker *broker);

/* --- broker_relay.c --- */

/* Passes @request on to graftd; answers it later. */
void relay_start(struct request *request, const struct rule *rule);
void relay_forget_peer(struct run_broker *broker, const struct peer *peer);
void relay_end_all(struct run_broker *broker);
void relay_expired(struct event_timer *timer, uint64_t now_ns);
