/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program closes sockets without telling us, so a record only says that a socket was
 * bound once. Whether somebody is there now the kernel is asked (sock_diag): who holds
 * the address, and its socket cookie is compared with the records, so a stranger who took
 * the port over is never mistaken for the program. Where the kernel cannot be asked, the
 * newest record is believed.
 *
 * Records live in a ring; the oldest gives way.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "policy/policy.h"
#include "stack/bound.h"
#include "stack/diag.h"

#define BOUND_MAX 8192

struct bound {
	pthread_mutex_t lock;
	size_t n; /* records ever made; the next goes to n % BOUND_MAX */
	struct bound_socket records[BOUND_MAX];
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

void bound_note(struct bound *bound, const struct bound_socket *socket)
{
	pthread_mutex_lock(&bound->lock);
	bound->records[bound->n++ % BOUND_MAX] = *socket;
	pthread_mutex_unlock(&bound->lock);
}

/* Calls @match for the records, newest first. To be called with the lock held. */
static const struct bound_socket *
find(const struct bound *bound, bool (*match)(const struct bound_socket *, const void *),
     const void *what)
{
	size_t oldest = bound->n > BOUND_MAX ? bound->n - BOUND_MAX : 0;

	for (size_t i = bound->n; i > oldest; i--) {
		const struct bound_socket *record = &bound->records[(i - 1) % BOUND_MAX];

		if (match(record, what))
			return record;
	}
	return NULL;
}

static bool has_cookie(const struct bound_socket *record, const void *what)
{
	return record->cookie == *(const uint64_t *)what;
}

static bool is_of_endpoint(const struct bound_socket *record, const void *what)
{
	return record->endpoint == *(const uint32_t *)what;
}

bool bound_has(struct bound *bound, uint64_t cookie)
{
	bool found;

	pthread_mutex_lock(&bound->lock);
	found = find(bound, has_cookie, &cookie) != NULL;
	pthread_mutex_unlock(&bound->lock);
	return found;
}

uint32_t bound_endpoint(struct bound *bound, uint64_t cookie)
{
	const struct bound_socket *record;
	uint32_t endpoint;

	pthread_mutex_lock(&bound->lock);
	record = find(bound, has_cookie, &cookie);
	endpoint = record ? record->endpoint : BOUND_NO_ENDPOINT;
	pthread_mutex_unlock(&bound->lock);
	return endpoint;
}

static bool latest(struct bound *bound, const struct endpoint *endpoint,
		   struct bound_socket *ret)
{
	const struct bound_socket *record;

	pthread_mutex_lock(&bound->lock);
	record = find(bound, is_of_endpoint, &endpoint->index);
	if (record)
		*ret = *record;
	pthread_mutex_unlock(&bound->lock);
	return record != NULL;
}

uint16_t bound_port(struct bound *bound, const struct endpoint *endpoint)
{
	struct bound_socket record;

	if (!latest(bound, endpoint, &record))
		return 0;
	return address_is_inet(&record.address) ? address_port(&record.address) : 0;
}

bool bound_is_live(struct bound *bound, struct stack *stack,
		   const struct endpoint *endpoint)
{
	struct bound_socket record;
	uint64_t cookie = 0;
	int r;

	if (!latest(bound, endpoint, &record) || !address_is_inet(&record.address))
		return false;
	r = diag_holder(stack, record.protocol, &record.address, &cookie);
	return r == -EOPNOTSUPP || (r == 0 && bound_has(bound, cookie));
}
