/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets that a rule bound to an address outside the program's own stack.
 *
 * Asked three questions: was this socket bound by a rule (then it may listen, and
 * answer datagrams), which port did a `dynamic` endpoint get, and is this run bound to a
 * `bound` endpoint now, so that its own clients may be sent there.
 *
 * The program closes sockets without telling us, so a record only says that a socket was
 * bound once. For the last question the kernel is asked (sock_diag) who holds the
 * address now, and its socket cookie compared with the records: a stranger who took the
 * port over is never mistaken for the program.
 *
 * Records live in a ring; the oldest gives way.
 */
#include <pthread.h>
#include <stdlib.h>

#include "intercept/notify/engine.h"

#define BOUND_MAX 8192

struct record {
	uint64_t cookie;
	uint32_t endpoint; /* index, or NO_ENDPOINT */
	int protocol;
	union address address;
};

#define NO_ENDPOINT UINT32_MAX

struct bound {
	pthread_mutex_t lock;
	size_t n; /* records ever made; the next goes to n % BOUND_MAX */
	struct record records[BOUND_MAX];
};

struct bound *bound_new(void)
{
	struct bound *bound = calloc(1, sizeof(*bound));

	if (bound)
		pthread_mutex_init(&bound->lock, NULL);
	return bound;
}

struct bound *bound_free(struct bound *bound)
{
	if (bound) {
		pthread_mutex_destroy(&bound->lock);
		free(bound);
	}
	return NULL;
}

void bound_note(struct notify *notify, const struct subject *subject,
		const struct endpoint *endpoint)
{
	struct bound *bound = notify->bound;
	struct record record = {
		.cookie = subject_cookie(subject),
		.endpoint = endpoint ? endpoint->index : NO_ENDPOINT,
		.protocol = subject->protocol,
	};
	socklen_t size;

	subject_local(subject, &record.address, &size);
	pthread_mutex_lock(&bound->lock);
	bound->records[bound->n++ % BOUND_MAX] = record;
	pthread_mutex_unlock(&bound->lock);
}

/* Calls @match for the records, newest first. To be called with the lock held. */
static const struct record *find(const struct bound *bound,
				 bool (*match)(const struct record *, const void *),
				 const void *what)
{
	size_t oldest = bound->n > BOUND_MAX ? bound->n - BOUND_MAX : 0;

	for (size_t i = bound->n; i > oldest; i--) {
		const struct record *record = &bound->records[(i - 1) % BOUND_MAX];

		if (match(record, what))
			return record;
	}
	return NULL;
}

static bool has_cookie(const struct record *record, const void *what)
{
	return record->cookie == *(const uint64_t *)what;
}

static bool is_of_endpoint(const struct record *record, const void *what)
{
	return record->endpoint == *(const uint32_t *)what;
}

bool bound_has(struct notify *notify, uint64_t cookie)
{
	bool found;

	pthread_mutex_lock(&notify->bound->lock);
	found = find(notify->bound, has_cookie, &cookie) != NULL;
	pthread_mutex_unlock(&notify->bound->lock);
	return found;
}

static bool latest(struct notify *notify, const struct endpoint *endpoint,
		   struct record *ret)
{
	const struct record *record;

	pthread_mutex_lock(&notify->bound->lock);
	record = find(notify->bound, is_of_endpoint, &endpoint->index);
	if (record)
		*ret = *record;
	pthread_mutex_unlock(&notify->bound->lock);
	return record != NULL;
}

uint16_t bound_port(struct notify *notify, const struct endpoint *endpoint)
{
	struct record record;

	if (!latest(notify, endpoint, &record))
		return 0;
	return ntohs(record.address.any.sa_family == AF_INET6
			     ? record.address.v6.sin6_port
			     : record.address.v4.sin_port);
}

bool bound_is_live(void *context, const struct endpoint *endpoint)
{
	struct notify *notify = context;
	struct record record;
	uint64_t cookie = 0;

	return latest(notify, endpoint, &record) &&
	       diag_holder(notify->config.host, record.protocol, &record.address,
			   &cookie) == 0 &&
	       bound_has(notify, cookie);
}
