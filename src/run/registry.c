/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections are kept by the threads that ask (thread-specific data), so they need no
 * lock and none waits for the answer to another's question. With each new connection the
 * page is asked for again: it may be that of another graftd. The page that was mapped
 * before stays mapped, for another thread may just be reading it; that costs a page each
 * time graftd is stopped and started during a run.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "broker/client.h"
#include "policy/policy.h"
#include "run/registry.h"

/* Sooner than this it was the connection that was dead. */
#define AT_ONCE_NS 100000000ull

struct registry {
	pthread_key_t link; /* descriptor + 1 */
	_Atomic(const volatile uint64_t *) page;
	ino_t page_ino; /* guarded by @lock */
	pthread_mutex_t lock;
};

static void close_link(void *value)
{
	fd_close((int)(intptr_t)value - 1);
}

int registry_new(struct registry **ret)
{
	struct registry *registry = calloc(1, sizeof(*registry));
	int r;

	if (!registry)
		return -ENOMEM;
	r = -pthread_key_create(&registry->link, close_link);
	if (r < 0) {
		free(registry);
		return r;
	}
	pthread_mutex_init(&registry->lock, NULL);
	*ret = registry;
	return 0;
}

/* Maps the page @fd unless it is the one that is mapped. */
static void take_page(struct registry *registry, int fd)
{
	struct stat st;
	void *page;

	if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(uint64_t) ||
	    !(fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK))
		return;
	pthread_mutex_lock(&registry->lock);
	if (!atomic_load(&registry->page) || registry->page_ino != st.st_ino) {
		page = mmap(NULL, sizeof(uint64_t), PROT_READ, MAP_SHARED, fd, 0);
		if (page != MAP_FAILED) {
			atomic_store(&registry->page, (const volatile uint64_t *)page);
			registry->page_ino = st.st_ino;
		}
	}
	pthread_mutex_unlock(&registry->lock);
}

static int ask_page(struct registry *registry, int link)
{
	struct wire_message message = { .type = WIRE_ASK_PAGE };
	_cleanup_fd_ int fd = -1;
	size_t n = 0;
	int r = broker_send(link, &message, NULL, 0);

	if (r == 0)
		r = broker_receive(link, &message, BROKER_PATIENCE_MS, &fd, 1, &n);
	if (r == 0 && message.type == WIRE_PAGE && n == 1)
		take_page(registry, fd);
	return r;
}

static void set_link(struct registry *registry, int link)
{
	pthread_setspecific(registry->link, (void *)(intptr_t)(link + 1));
}

/* Return: the connection of this thread, or -ENETDOWN. */
static int get_link(struct registry *registry, bool renew)
{
	int link = (int)(intptr_t)pthread_getspecific(registry->link) - 1;

	if (link >= 0 && !renew)
		return link;
	fd_close(link);
	set_link(registry, -1);
	link = broker_connect(NULL);
	if (link < 0) {
		log_limited(LOG_LEVEL_INFO, "cannot reach graftd at %s: %s",
			    broker_path(), strerror(-link));
		return -ENETDOWN;
	}
	if (ask_page(registry, link) < 0) {
		fd_close(link);
		return -ENETDOWN;
	}
	set_link(registry, link);
	return link;
}

int registry_ask(struct registry *registry, const struct wire_ask *ask, int socket,
		 int whom, struct wire_grant *ret)
{
	uint64_t start = event_now_ns();
	int link = get_link(registry, false);
	int r = link < 0 ? link : broker_ask(link, ask, socket, whom, ret, NULL);

	if (r != -ENETDOWN || link < 0)
		return r;
	if (event_now_ns() - start < AT_ONCE_NS) {
		link = get_link(registry, true);
		r = link < 0 ? link : broker_ask(link, ask, socket, whom, ret, NULL);
	}
	if (r == -ENETDOWN) {
		fd_close((int)(intptr_t)pthread_getspecific(registry->link) - 1);
		set_link(registry, -1);
	}
	return r;
}

uint64_t registry_generation(struct registry *registry)
{
	const volatile uint64_t *page = atomic_load(&registry->page);

	return page ? *page : 0;
}

void registry_check(const struct policy *policy)
{
	const struct endpoint *first = NULL;
	_cleanup_fd_ int link = -1;

	for (size_t i = 0; i < policy_n_rules(policy) && !first; i++) {
		const struct endpoint *endpoint = policy_rule(policy, i)->endpoint;

		if (endpoint && endpoint->kind == ENDPOINT_NAMED)
			first = endpoint;
	}
	if (!first)
		return;
	link = broker_connect(NULL);
	if (link < 0)
		log_warning("endpoint '%s' is not of the policy, and graftd cannot be "
			    "reached at %s (%s): calls for it fail until it can",
			    first->name, broker_path(), strerror(-link));
}
