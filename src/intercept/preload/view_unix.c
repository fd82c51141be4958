/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets that became AF_UNIX. A client's own name says what it is (unix_name.h). A
 * server's is the endpoint's path, which accepted sockets have too: what was asked for
 * is noted under it, or the policy is read backwards. A program that binds the same path
 * as AF_UNIX itself is noted as well, and left alone.
 *
 * Who is at the other end is its own claim, and believed no more than a socket of its
 * could do: loopback, and no port below 1024.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "intercept/preload/kernel.h"
#include "intercept/preload/memory.h"
#include "intercept/preload/notes.h"
#include "intercept/preload/reverse.h"
#include "intercept/preload/unix_name.h"
#include "intercept/preload/view.h"
#include "intercept/preload/view_internal.h"

#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)

struct path {
	uint64_t len;
	char bytes[112];
};

/* A sender as a datagram server sees it. */
struct sender {
	uint8_t address[16];
	uint32_t port;
	uint32_t family;
	uint64_t cookie; /* of the server's socket */
};

static struct notes binds = NOTES_OF(struct path, struct asked, 4, 10);
static struct notes peers = NOTES_OF(struct path, struct asked, 4, 10);
static struct notes senders = NOTES_OF(struct sender, struct path, 6, 8);

#define PORT_LOW_TRUSTED 1024

/* Return: false for a socket without a name. */
static bool path_of(const union address *address, socklen_t len, struct path *ret)
{
	size_t size = len > PATH_OFFSET ? len - PATH_OFFSET : 0;
	const char *path = address->un.sun_path;

	memset(ret, 0, sizeof(*ret));
	if (size > sizeof(address->un.sun_path))
		size = sizeof(address->un.sun_path);
	if (size && path[0])
		size = strnlen(path, size);
	memcpy(ret->bytes, path, size);
	ret->len = size;
	return size > 0;
}

static socklen_t set_path(const struct path *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path, path->bytes, path->len);
	return (socklen_t)(PATH_OFFSET + path->len + (path->bytes[0] ? 1 : 0));
}

static socklen_t un_len(const union address *address)
{
	const char *path = address->un.sun_path;

	return (socklen_t)(PATH_OFFSET + 1 +
			   strnlen(path + 1, sizeof(address->un.sun_path) - 1));
}

static unsigned int proto_of(int fd)
{
	return kernel_option(fd, SO_TYPE, 0) == SOCK_STREAM ? POLICY_TCP : POLICY_UDP;
}

/* What was asked of the socket bound to @local. */
static bool bound_to(int fd, const union address *local, socklen_t len,
		     union address *ret)
{
	struct asked asked;
	struct path path;

	if (!path_of(local, len, &path))
		return false;
	if (!notes_is_empty(&binds) && notes_find(&binds, &path, &asked)) {
		*ret = asked_address(&asked);
		return address_is_inet(ret);
	}
	return reverse_find(POLICY_BIND, proto_of(fd), 0, local, ret);
}

void view_note_unix_bind(int fd, const union address *local, socklen_t len,
			 const union address *asked)
{
	union address shown;
	struct asked value = { { 0 } };
	struct path path;

	if (!path_of(local, len, &path) || (!asked && !bound_to(fd, local, len, &shown)))
		return;
	if (asked)
		value = asked_of(asked);
	notes_set(&binds, &path, &value);
	view_turn_on(VIEW_NAMES | VIEW_UNIX |
		     (proto_of(fd) == POLICY_UDP ? VIEW_SOURCES : 0));
}

void view_note_unix_peer(int fd, const union address *actual, const union address *asked)
{
	struct asked value = asked_of(asked), there;
	struct path path;

	if (!path_of(actual, un_len(actual), &path) ||
	    (notes_find(&peers, &path, &there) && !memcmp(&there, &value, sizeof(value))))
		return;
	notes_set(&peers, &path, &value);
	view_turn_on(VIEW_NAMES | VIEW_UNIX |
		     (proto_of(fd) == POLICY_UDP ? VIEW_SOURCES : 0));
}

static bool local_of(int fd, union address *ret, socklen_t *ret_len)
{
	memset(ret, 0, sizeof(*ret));
	*ret_len = sizeof(*ret);
	return getsockname(fd, &ret->any, ret_len) == 0 && ret->any.sa_family == AF_UNIX;
}

static uint64_t hash_path(const struct path *path)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < path->len; i++)
		hash = (hash ^ (uint8_t)path->bytes[i]) * 0x100000001b3u;
	return hash ^ hash >> 29;
}

/* Loopback of the kind that @peer has, in a socket of @family. */
static void show_peer_name(int family, const struct unix_name *peer, union address *ret)
{
	uint16_t port = address_port(&peer->local);
	union address v4 = peer->local;

	address_unmap(&v4);
	unix_name_make_up(family, peer->unique, ret);
	if (family == AF_INET6 && v4.any.sa_family == AF_INET) {
		ret->v6.sin6_addr = (struct in6_addr){
			.s6_addr = { [10] = 0xff, 0xff, 127, 0, 0, 1 }
		};
	}
	if (port >= PORT_LOW_TRUSTED)
		address_set_port(ret, port);
}

/* Who is at the other end of a socket of ours that serves @family. */
static void show_client(int fd, int family, const union address *peer, socklen_t len,
			union address *ret)
{
	struct unix_name name;

	if (unix_name_parse(&peer->un, len, &name) == 0)
		show_peer_name(family, &name, ret);
	else
		unix_name_make_up(family, kernel_cookie(fd, SO_COOKIE), ret);
}

bool view_unix_local_of(int fd, const union address *local, socklen_t len,
			union address *ret)
{
	union address peer = { 0 }, shown;
	socklen_t peer_len = sizeof(peer);
	struct unix_name name;

	if (local->any.sa_family != AF_UNIX)
		return false;
	if (unix_name_parse(&local->un, len, &name) == 0) {
		*ret = name.local;
		return true;
	}
	if (!bound_to(fd, local, len, ret))
		return false;
	if (!address_port(ret)) {
		struct path path;

		path_of(local, len, &path);
		unix_name_make_up(AF_INET, hash_path(&path), &shown);
		address_set_port(ret, address_port(&shown));
	}
	if (!address_is_wildcard(ret) || getpeername(fd, &peer.any, &peer_len) < 0)
		return true;
	show_client(fd, ret->any.sa_family, &peer, peer_len, &shown);
	address_set_port(&shown, address_port(ret));
	*ret = shown;
	return true;
}

bool view_unix_local(int fd, union address *ret)
{
	union address local;
	socklen_t len;
	int saved = errno;
	bool ours =
		local_of(fd, &local, &len) && view_unix_local_of(fd, &local, len, ret);

	errno = saved;
	return ours;
}

/* What the program that has the socket called @own asked for when it connected to
 * @peer. */
static bool asked_peer(const struct unix_name *own, const union address *peer,
		       socklen_t len, union address *ret)
{
	struct asked asked;
	struct path path;

	/* A datagram socket may change its mind, its name cannot. */
	if (own->type == SOCK_DGRAM && !notes_is_empty(&peers) &&
	    path_of(peer, len, &path) && notes_find(&peers, &path, &asked)) {
		*ret = asked_address(&asked);
		return true;
	}
	*ret = own->peer;
	return own->peer.any.sa_family != AF_UNSPEC;
}

bool view_unix_peer_of(int fd, const union address *peer, socklen_t len,
		       union address *ret)
{
	union address local, asked;
	struct unix_name own;
	socklen_t local_len;

	if (!local_of(fd, &local, &local_len))
		return false;
	if (unix_name_parse(&local.un, local_len, &own) == 0)
		return asked_peer(&own, peer, len, ret);
	if (!bound_to(fd, &local, local_len, &asked))
		return false;
	show_client(fd, asked.any.sa_family, peer, len, ret);
	return true;
}

bool view_is_unix_server(int listener)
{
	union address local, asked;
	struct unix_name own;
	socklen_t len;
	int saved = errno;
	bool is = local_of(listener, &local, &len) &&
		  unix_name_parse(&local.un, len, &own) < 0 &&
		  bound_to(listener, &local, len, &asked);

	errno = saved;
	return is;
}

int view_give_accepted(int fd, union address *peer, socklen_t peer_len,
		       struct sockaddr *address, socklen_t *len)
{
	union address shown = *peer;
	socklen_t shown_len = peer_len;
	int saved = errno, r;

	if (view_unix_peer_of(fd, peer, peer_len, &shown))
		shown_len = view_address_len(&shown);
	r = memory_give_address(&shown, shown_len, address, len);
	errno = saved;
	if (r == 0)
		return fd;
	close(fd);
	errno = -r;
	return -1;
}

static struct sender sender_of(uint64_t cookie, const union address *shown)
{
	struct sender sender = { .port = address_port(shown),
				 .family = shown->any.sa_family,
				 .cookie = cookie };

	if (shown->any.sa_family == AF_INET)
		memcpy(sender.address, &shown->v4.sin_addr, 4);
	else
		memcpy(sender.address, &shown->v6.sin6_addr, 16);
	return sender;
}

#define SAME_PORT_MAX 16

/* Remembers who @shown is. Two that show the same are told apart by the port. */
static void note_sender(int fd, const struct path *path, union address *shown)
{
	uint64_t cookie = kernel_cookie(fd, SO_COOKIE);
	struct path there;

	for (int i = 0; i < SAME_PORT_MAX; i++) {
		struct sender sender = sender_of(cookie, shown);
		bool found = notes_find(&senders, &sender, &there);

		if (found && memcmp(&there, path, sizeof(there)) == 0)
			return;
		if (!found || i == SAME_PORT_MAX - 1) {
			notes_set(&senders, &sender, path);
			return;
		}
		if (address_port(shown) == UINT16_MAX)
			address_set_port(shown, PORT_LOW_TRUSTED);
		else
			address_set_port(shown, (uint16_t)(address_port(shown) + 1));
	}
}

bool view_unix_source_of(int fd, const union address *source, socklen_t len,
			 union address *ret)
{
	union address local, asked;
	struct unix_name name;
	socklen_t local_len;
	struct path path;

	if ((len && source->any.sa_family != AF_UNIX) ||
	    !local_of(fd, &local, &local_len) || proto_of(fd) != POLICY_UDP)
		return false;
	if (unix_name_parse(&local.un, local_len, &name) == 0)
		return asked_peer(&name, source, len, ret);
	if (!bound_to(fd, &local, local_len, &asked))
		return false;
	if (!path_of(source, len, &path)) {
		unix_name_make_up(asked.any.sa_family, 0, ret);
		return true;
	}
	if (unix_name_parse(&source->un, len, &name) == 0)
		show_peer_name(asked.any.sa_family, &name, ret);
	else
		unix_name_make_up(asked.any.sa_family, hash_path(&path), ret);
	note_sender(fd, &path, ret);
	return true;
}

bool view_find_source(int fd, const union address *shown, struct sockaddr_un *ret,
		      socklen_t *ret_len)
{
	struct sender sender;
	struct path path;
	int saved = errno;
	bool found;

	if (!address_is_inet(shown) || notes_is_empty(&senders))
		return false;
	sender = sender_of(kernel_cookie(fd, SO_COOKIE), shown);
	found = notes_find(&senders, &sender, &path);
	if (found)
		*ret_len = set_path(&path, ret);
	errno = saved;
	return found;
}
