/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel finds a stream socket by address only while it listens. So one that was
 * never found may still be about to, and is kept; one that was found once and is not any
 * more has gone.
 *
 * Sockets that share a port are one place: the kernel names any of them. When not all of
 * them are noted (BINDERS_MAX), one that is unknown may be one of those.
 *
 * For protocols that the kernel cannot be asked about (all but TCP and UDP, and these
 * where it lacks sock_diag), and for Multipath TCP, whose listener has another cookie
 * inside, the newest note is believed. For a UNIX path its inode is asked with a datagram
 * socket (see path.c), which an abstract name does not answer: there each type of socket
 * has names of its own.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/address.h"
#include "base/fd.h"
#include "broker/binders.h"
#include "stack/diag.h"
#include "stack/stack.h"
#include "wire/places.h"

struct binder_note {
	uint64_t cookie;
	struct wire_address *name;               /* AF_UNIX; or NULL */
	char local[sizeof(struct sockaddr_in6)]; /* enough of either family */
	int protocol;
	bool was_found;
};

enum answer {
	ANSWER_HERE,
	ANSWER_NOBODY,
	ANSWER_STRANGER,
};

static void forget(struct binders *binders, uint16_t index)
{
	free(binders->list[index].name);
	binders->n--;
	memmove(&binders->list[index], &binders->list[index + 1],
		(binders->n - index) * sizeof(*binders->list));
}

static int default_protocol(int family, int type, int protocol)
{
	if (protocol || family == AF_UNIX)
		return protocol;
	return type == SOCK_STREAM ? IPPROTO_TCP : type == SOCK_DGRAM ? IPPROTO_UDP : 0;
}

static int fill(struct binder_note *binder, const struct wire_grant *grant, int type,
		int protocol)
{
	const struct sockaddr *address = (const struct sockaddr *)&grant->address.address;

	*binder = (struct binder_note){
		.cookie = grant->cookie,
		.protocol = default_protocol(address->sa_family, type, protocol),
	};
	if (address->sa_family == AF_UNIX) {
		binder->name = malloc(sizeof(*binder->name));
		if (!binder->name)
			return -ENOMEM;
		*binder->name = grant->address;
	} else {
		memcpy(binder->local, address, sizeof(binder->local));
	}
	return 0;
}

int binders_note(struct binders *binders, const struct wire_grant *grant, int type,
		 int protocol)
{
	struct binder_note binder, *list;
	int r = fill(&binder, grant, type, protocol);

	if (r < 0)
		return r;
	if (binders->n == BINDERS_MAX) {
		forget(binders, 0);
		binders->is_cut = true;
	}
	list = reallocarray(binders->list, (size_t)binders->n + 1, sizeof(*list));
	if (!list) {
		free(binder.name);
		return -ENOMEM;
	}
	binders->list = list;
	list[binders->n++] = binder;
	return 0;
}

static union address local_of(const struct binder_note *binder)
{
	union address address = { 0 };

	memcpy(&address, binder->local, sizeof(binder->local));
	return address;
}

static bool is_same_place(const struct binder_note *a, const struct binder_note *b)
{
	if (a->name || b->name || a->protocol != b->protocol)
		return false;
	return !memcmp(a->local, b->local, sizeof(a->local));
}

static enum answer ask_name(const struct binder_note *binder, struct stack *stack)
{
	const struct sockaddr_un *name =
		(const struct sockaddr_un *)&binder->name->address;
	_cleanup_fd_ int probe = -1;

	if (name->sun_path[0] == '\0')
		return ANSWER_HERE;
	probe = stack_socket(stack, AF_UNIX, SOCK_DGRAM, 0);
	if (probe < 0)
		return ANSWER_HERE; /* cannot ask */
	if (connect(probe, (const struct sockaddr *)name, binder->name->len) < 0 &&
	    (errno == ECONNREFUSED || errno == ENOENT || errno == ENOTDIR))
		return ANSWER_NOBODY;
	return ANSWER_HERE;
}

/* Sets was_found of the one that is. */
static enum answer ask(struct binders *binders, const struct binder_note *binder,
		       struct stack *stack)
{
	union address local = local_of(binder);
	uint64_t cookie = 0;
	int r;

	if (binder->name)
		return ask_name(binder, stack);
	if (binder->protocol != IPPROTO_TCP && binder->protocol != IPPROTO_UDP)
		return ANSWER_HERE;
	r = diag_holder(stack, binder->protocol, &local, &cookie);
	if (r < 0)
		return r == -ENOENT ? ANSWER_NOBODY : ANSWER_HERE;
	for (uint16_t i = 0; i < binders->n; i++) {
		if (binders->list[i].cookie != cookie)
			continue;
		binders->list[i].was_found = true;
		return ANSWER_HERE;
	}
	return binders->is_cut ? ANSWER_HERE : ANSWER_STRANGER;
}

/* Forgets those at the place of @binder, which may be one of them, that have gone. */
static void forget_place(struct binders *binders, const struct binder_note *place,
			 enum answer answer)
{
	const struct binder_note at = *place;

	for (uint16_t i = binders->n; i-- > 0;) {
		struct binder_note *binder = &binders->list[i];
		bool is_gone = binder->name ? binder->name == at.name
					    : is_same_place(binder, &at) &&
						      (answer == ANSWER_STRANGER ||
						       binder->was_found);

		if (is_gone)
			forget(binders, i);
	}
}

static bool was_asked(const struct binders *binders, uint16_t index)
{
	for (uint16_t i = index + 1; i < binders->n; i++)
		if (is_same_place(&binders->list[index], &binders->list[i]))
			return true;
	return false;
}

static struct wire_address address_of(const struct binder_note *binder)
{
	union address local = local_of(binder);

	if (binder->name)
		return *binder->name;
	return (struct wire_address){
		.address = local.storage,
		.len = local.any.sa_family == AF_INET ? sizeof(local.v4)
						      : sizeof(local.v6),
	};
}

bool binders_find(struct binders *binders, struct stack *stack, struct wire_address *ret)
{
	for (uint16_t i = binders->n; i-- > 0;) {
		const struct binder_note *binder = &binders->list[i];
		enum answer answer;

		if (was_asked(binders, i))
			continue;
		answer = ask(binders, binder, stack);
		if (answer == ANSWER_HERE) {
			*ret = address_of(binder);
			return true;
		}
		forget_place(binders, binder, answer);
		if (i > binders->n)
			i = binders->n;
	}
	return false;
}

uint16_t binders_port(struct binders *binders, struct stack *stack)
{
	struct wire_address found;
	union address address;

	if (!binders_find(binders, stack, &found))
		return 0;
	address.storage = found.address;
	return address_is_inet(&address) ? address_port(&address) : 0;
}

static void copy(const struct binder_note *note, struct binder *ret)
{
	union address local = local_of(note);

	address_unmap(&local);
	*ret = (struct binder){
		.cookie = note->cookie,
		.proto = note->protocol == IPPROTO_TCP   ? 0
			 : note->protocol == IPPROTO_UDP ? 1
							 : 2,
		.at = { .port = htons(address_port(&local)),
			.family = local.any.sa_family },
	};
	if (local.any.sa_family == AF_INET)
		memcpy(ret->at.address, &local.v4.sin_addr, sizeof(local.v4.sin_addr));
	else
		memcpy(ret->at.address, &local.v6.sin6_addr, sizeof(local.v6.sin6_addr));
}

void binders_copy(const struct binders *binders, struct granted *ret)
{
	*ret = (struct granted){ .is_cut = binders->is_cut };
	for (uint16_t i = binders->n; i-- > 0;) {
		if (binders->list[i].name)
			continue;
		if (ret->n == PLACES_GRANTED) {
			ret->is_cut = 1;
			return;
		}
		copy(&binders->list[i], &ret->of[ret->n++]);
	}
}

void binders_clear(struct binders *binders)
{
	while (binders->n)
		free(binders->list[--binders->n].name);
	free(binders->list);
	*binders = (struct binders){ 0 };
}
