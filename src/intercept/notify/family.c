/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * AF_GRAFT: sockets whose addresses are names of endpoints (linux/graft.h).
 *
 * Such a socket begins as an AF_INET one of the program's own stack, which takes options
 * and is moved to where an endpoint is when it is bound or connected. That it is of this
 * family is known by its cookie, in a table of fixed size: in a full place the oldest
 * gives way, and is an AF_INET socket then.
 *
 * Names are those of the policy first, then of the registry. What a program may name is
 * not judged by rules, which speak of addresses: endpoints that a policy defines are
 * there to be used, and the registry knows who may use its own. It knows users, though,
 * and not containers: with config.names_of_policy it is asked for those alone that a
 * rule leads to.
 *
 * Limits: getsockname() is not trapped and tells the address at the endpoint, whatever
 * GRAFT_NAME_TRANSPARENT is. Options of other levels take effect where they are set,
 * GRAFT_SO_DELAYED or not, and go along; those of GRAFT_SO_TRANSPARENT are delayed.
 */
#include <errno.h>
#include <linux/graft.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "intercept/notify/engine.h"
#include "intercept/notify/family.h"
#include "stack/stack.h"

#define NAME_SIZE (AF_GRAFT_EPNAME_MAX + 1)

struct family *family_new(void)
{
	struct family *family = calloc(1, sizeof(*family));

	if (family)
		pthread_mutex_init(&family->lock, NULL);
	return family;
}

struct family *family_free(struct family *family)
{
	if (!family)
		return NULL;
	for (size_t i = 0; i < SETS; i++)
		for (size_t j = 0; j < WAYS; j++)
			if (family->sets[i][j]) {
				free(family->sets[i][j]->options);
				free(family->sets[i][j]);
			}
	pthread_mutex_destroy(&family->lock);
	free(family);
	return NULL;
}

/* --- members; to be called with the lock held --- */

static struct member **set_of(struct family *family, uint64_t cookie)
{
	return family->sets[cookie % SETS];
}

struct member *family_find(struct family *family, uint64_t cookie)
{
	struct member **set = set_of(family, cookie);

	for (size_t i = 0; i < WAYS; i++)
		if (set[i] && set[i]->cookie == cookie)
			return set[i];
	return NULL;
}

/* Return: the place of the oldest. */
static struct member **oldest(struct member **set)
{
	struct member **at = &set[0];

	for (size_t i = 0; i < WAYS; i++) {
		if (!set[i])
			return &set[i];
		if (set[i]->since_ns < (*at)->since_ns)
			at = &set[i];
	}
	return at;
}

static struct member *add(struct family *family, uint64_t cookie)
{
	struct member **at = oldest(set_of(family, cookie));
	struct delayed *options;

	if (!*at)
		*at = calloc(1, sizeof(**at));
	if (!*at)
		return NULL;
	options = (*at)->options;
	**at = (struct member){ .cookie = cookie,
				.since_ns = event_now_ns(),
				.options = options };
	return *at;
}

/* --- questions --- */

bool family_knows(struct notify *notify, const struct subject *subject,
		  bool *ret_is_bound)
{
	struct family *family = notify->family;
	const struct member *member;

	if (!atomic_load_explicit(&notify->has_family, memory_order_relaxed))
		return false;
	pthread_mutex_lock(&family->lock);
	member = family_find(family, subject_cookie(subject));
	if (member)
		*ret_is_bound = member->is_bound;
	pthread_mutex_unlock(&family->lock);
	return member != NULL;
}

/* The socket has another cookie now, and may be bound. */
static void follow(struct notify *notify, uint64_t cookie, const struct subject *subject,
		   bool is_bound)
{
	struct family *family = notify->family;
	uint64_t now = subject_cookie(subject);
	struct member *old, *new;

	pthread_mutex_lock(&family->lock);
	old = family_find(family, cookie);
	if (old && now == cookie) {
		old->is_bound |= is_bound;
	} else if (old) {
		new = add(family, now);
		if (new &&new != old) {
			struct delayed *options = new->options;

			*new = *old;
			new->cookie = now;
			old->options = options;
			old->cookie = 0;
			old->since_ns = 0;
			new->is_bound |= is_bound;
		}
	}
	pthread_mutex_unlock(&family->lock);
}

/* --- socket --- */

struct answer family_socket(struct call *call)
{
	int type = (int)call->args[1], protocol = (int)call->args[2];
	int kind = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct notify *notify = call->notify;
	struct subject subject = { 0 };
	_cleanup_fd_ int fd = -1;
	const struct member *member;

	if (atomic_load_explicit(&notify->nested, memory_order_relaxed) &&
	    target_is_nested(call))
		return answer_continue();
	if (kind != SOCK_STREAM && kind != SOCK_DGRAM)
		return answer_result(-ESOCKTNOSUPPORT);
	fd = stack_socket(notify->config.own, AF_INET, type, protocol);
	if (fd < 0)
		return answer_result(fd);
	subject.fd = fd;
	pthread_mutex_lock(&notify->family->lock);
	member = add(notify->family, subject_cookie(&subject));
	pthread_mutex_unlock(&notify->family->lock);
	if (!member)
		return answer_result(-ENOMEM);
	atomic_store(&notify->has_family, true);
	return call_give(call, fd, type);
}

/* --- names --- */

/* Return: 0 or -EINVAL. */
static int take_name(const struct route *route, char name[NAME_SIZE])
{
	const struct sockaddr_gr *address = (const struct sockaddr_gr *)&route->asked;

	if (route->asked_size < sizeof(*address))
		return -EINVAL;
	memcpy(name, address->sgr_epname, AF_GRAFT_EPNAME_MAX);
	name[AF_GRAFT_EPNAME_MAX] = '\0';
	return *name ? 0 : -EINVAL;
}

static const struct endpoint *find_endpoint(const struct notify *notify, const char *name)
{
	const struct endpoint *endpoint =
		policy_find_endpoint(notify->config.policy, name);

	return endpoint && endpoint->kind != ENDPOINT_NAMED ? endpoint : NULL;
}

/* May the registry be asked for it? Return: 0, or -ENOENT as if it had none. */
static int check_name(const struct notify *notify, const char *name)
{
	const struct notify_config *config = &notify->config;

	if (!config->names_of_policy || policy_find_endpoint(config->policy, name))
		return 0;
	log_limited(LOG_LEVEL_INFO, "endpoint '%s': not of the policy", name);
	return -ENOENT;
}

static void set_address(struct route *route, const void *address, socklen_t size)
{
	memcpy(&route->address, address, sizeof(route->address));
	route->size = size;
}

/* The address of an endpoint of the policy, for a socket of its own family. */
static int take_address(const struct notify *notify, const struct endpoint *endpoint,
			struct route *route)
{
	int family = endpoint->kind == ENDPOINT_IPV4   ? AF_INET
		     : endpoint->kind == ENDPOINT_IPV6 ? AF_INET6
						       : AF_UNIX;

	policy_endpoint_verdict(endpoint, route->op, family, &route->verdict);
	set_address(route, &route->verdict.address, route->verdict.address_len);
	if (route->op == POLICY_CONNECT && endpoint->dynamic) {
		uint16_t port = bound_port(notify->bound, endpoint);

		if (!port)
			return -ECONNREFUSED;
		address_set_port(&route->address, port);
	}
	return 0;
}

/* Puts the socket into the stack and family of an endpoint of the policy. */
static int move_to(struct call *call, struct subject *subject, struct route *route,
		   const struct endpoint *endpoint)
{
	struct notify *notify = call->notify;
	uint64_t cookie = subject_cookie(subject);
	struct stack *stack;
	int r = take_address(notify, endpoint, route);

	if (r < 0)
		return r;
	stack = subject_stack(notify, &route->verdict);
	if (endpoint->kind == ENDPOINT_IPV6)
		subject->domain = AF_INET6;
	r = subject_move(call, subject, stack, endpoint->kind == ENDPOINT_UNIX);
	if (r < 0)
		return r == -EPROTONOSUPPORT || r == -ESOCKTNOSUPPORT ? -EPROTOTYPE : r;
	follow(notify, cookie, subject, false);
	if (route->op == POLICY_BIND)
		family_run_delayed(notify, subject_cookie(subject), subject->fd);
	return 0;
}

/* The same for one of the registry, which binds by itself. */
static int ask_for(struct call *call, struct subject *subject, struct route *route,
		   const char *name)
{
	struct notify *notify = call->notify;
	uint64_t cookie = subject_cookie(subject);
	struct wire_address address;
	int r = check_name(notify, name);

	if (r < 0)
		return r;
	if (route->op == POLICY_BIND)
		family_run_delayed(notify, cookie, subject->fd);
	r = named_move(call, subject, route->op, name, &address);
	if (r < 0)
		return r;
	follow(notify, cookie, subject, false);
	set_address(route, &address.address, address.len);
	route->is_bound = route->op == POLICY_BIND;
	return 0;
}

static int bind_by_name(struct call *call, struct subject *subject, struct route *route,
			const char *name)
{
	const struct endpoint *endpoint = find_endpoint(call->notify, name);
	int r = endpoint ? move_to(call, subject, route, endpoint)
			 : ask_for(call, subject, route, name);

	if (r < 0)
		return r;
	follow(call->notify, subject_cookie(subject), subject, true);
	return 0;
}

/* Before the first connect or send: the source, if there is one. */
static int bind_source(struct call *call, struct subject *subject)
{
	struct route route = { .op = POLICY_BIND };
	int r = bind_by_name(call, subject, &route, GRAFT_DEFAULT_SOURCE);

	if (r == -ENOENT || r == -ENETDOWN)
		return 0;
	if (r == 0)
		r = prepare_bind(call, subject, &route);
	return r;
}

/* The address of @name and the namespace it is one of. */
static int find_destination(struct call *call, const struct subject *subject,
			    struct route *route, const char *name, uint64_t *ret_netns)
{
	const struct endpoint *endpoint = find_endpoint(call->notify, name);
	struct wire_address address;
	int r;

	if (endpoint) {
		r = take_address(call->notify, endpoint, route);
		*ret_netns = subject_stack(call->notify, &route->verdict)->cookie;
		return r;
	}
	r = check_name(call->notify, name);
	if (r == 0)
		r = named_find(call, subject, name, &address, ret_netns);
	if (r == 0)
		set_address(route, &address.address, address.len);
	return r;
}

static int go_there(struct call *call, struct subject *subject, struct route *route,
		    const char *name)
{
	const struct endpoint *endpoint = find_endpoint(call->notify, name);

	return endpoint ? move_to(call, subject, route, endpoint)
			: ask_for(call, subject, route, name);
}

/*
 * A socket that has a place keeps it where it can. One that is bound must: an address
 * means something else in another namespace, and nobody granted it there.
 */
static int name_destination(struct call *call, struct subject *subject,
			    struct route *route, const char *name, bool is_bound)
{
	uint64_t netns;
	int r;

	if (!is_bound && subject->place == PLACE_OWN)
		return go_there(call, subject, route, name);
	r = find_destination(call, subject, route, name, &netns);
	if (r < 0 ||
	    (netns == subject->netns && route->address.any.sa_family == subject->domain))
		return r;
	if (is_bound)
		return -ENETUNREACH;
	r = prepare_can_move(call, subject, route->op);
	return r < 0 ? r : go_there(call, subject, route, name);
}

int family_prepare(struct call *call, struct subject *subject, struct route *route)
{
	bool is_name = route->asked.any.sa_family == AF_GRAFT, is_bound = false;
	char name[NAME_SIZE];
	int r;

	if (!family_knows(call->notify, subject, &is_bound))
		return FAMILY_E_OTHER;
	if (!is_name)
		return route->op == POLICY_BIND ? -EAFNOSUPPORT : FAMILY_E_OTHER;
	r = take_name(route, name);
	if (r < 0 || (route->op == POLICY_BIND && is_bound))
		return -EINVAL;
	route->is_named = true;
	if (route->op == POLICY_BIND)
		return bind_by_name(call, subject, route, name);
	if (!is_bound && subject->place == PLACE_OWN) {
		r = bind_source(call, subject);
		if (r < 0)
			return r;
		is_bound = subject->place != PLACE_OWN;
	}
	return name_destination(call, subject, route, name, is_bound);
}

void family_report(struct call *call, const struct subject *subject,
		   const struct route *route, int64_t result)
{
	const struct notify_config *config = &call->notify->config;

	if (result < 0 && result != -EINPROGRESS)
		return;
	atomic_fetch_add_explicit(&call->notify->n_grafts, 1, memory_order_relaxed);
	if (route->op == POLICY_BIND)
		judge_note_bound(call->notify, subject, route->verdict.endpoint);
	if (config->ops->grafted)
		config->ops->grafted(config->context, subject_cookie(subject), NULL);
}
