/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "intercept/preload/kernel.h"
#include "intercept/preload/unix_name.h"

static const char prefix[] = "graft/1/";

#define PREFIX_LEN    (sizeof(prefix) - 1)
#define PATH_LEN(len) ((len)-offsetof(struct sockaddr_un, sun_path))

/* What Linux picks ephemeral ports from unless told otherwise. */
#define PORT_LOW 32768u
#define PORT_N   28232u
/* Names to try when somebody took ours. */
#define TRIES 16

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

struct writer {
	char *at, *end;
};

static void put(struct writer *to, char c)
{
	if (to->at < to->end)
		*to->at++ = c;
}

static void put_hex(struct writer *to, const void *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < n; i++) {
		put(to, digits[byte[i] >> 4]);
		put(to, digits[byte[i] & 15]);
	}
}

/* Big endian, as every number in a name. */
static void put_number(struct writer *to, uint64_t number, unsigned int n_bytes)
{
	for (unsigned int i = n_bytes; i-- > 0;)
		put_hex(to, &(uint8_t){ (uint8_t)(number >> 8 * i) }, 1);
}

static char domain_of(const union address *local)
{
	if (local->any.sa_family == AF_INET)
		return '4';
	if (local->any.sa_family != AF_INET6)
		return '\0';
	return IN6_IS_ADDR_V4MAPPED(&local->v6.sin6_addr) ? 'm' : '6';
}

static void put_peer(struct writer *to, char domain, const union address *peer)
{
	if (peer->any.sa_family == AF_UNSPEC) {
		put(to, '-');
		return;
	}
	if (domain == '4')
		put_hex(to, &peer->v4.sin_addr, 4);
	else if (domain == 'm')
		put_hex(to, &peer->v6.sin6_addr.s6_addr[12], 4);
	else
		put_hex(to, &peer->v6.sin6_addr, 16);
	put(to, ':');
	put_number(to, address_port(peer), 2);
	if (domain != '6')
		return;
	put(to, ':');
	put_number(to, peer->v6.sin6_scope_id, 4);
}

socklen_t unix_name_print(const struct unix_name *name, struct sockaddr_un *ret)
{
	char domain = domain_of(&name->local);
	struct writer to;

	if (!domain ||
	    (name->peer.any.sa_family != AF_UNSPEC && domain_of(&name->peer) != domain))
		return 0;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path + 1, prefix, PREFIX_LEN);
	to = (struct writer){ ret->sun_path + 1 + PREFIX_LEN,
			      ret->sun_path + sizeof(ret->sun_path) };
	put(&to, name->type == SOCK_STREAM ? 's' : 'd');
	put(&to, domain);
	put(&to, '/');
	put_number(&to, address_port(&name->local), 2);
	put(&to, '/');
	put_peer(&to, domain, &name->peer);
	put(&to, '/');
	put_number(&to, name->unique, 8);
	return (socklen_t)(to.at - (char *)ret);
}

struct reader {
	const char *at, *end;
	bool bad;
};

static char get(struct reader *from)
{
	if (from->at < from->end)
		return *from->at++;
	from->bad = true;
	return '\0';
}

static void expect(struct reader *from, char c)
{
	if (get(from) != c)
		from->bad = true;
}

static uint8_t get_digit(struct reader *from)
{
	char c = get(from);

	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (uint8_t)(c - 'a' + 10);
	from->bad = true;
	return 0;
}

static void get_hex(struct reader *from, void *bytes, size_t n)
{
	uint8_t *byte = bytes;

	for (size_t i = 0; i < n; i++) {
		byte[i] = (uint8_t)(get_digit(from) << 4);
		byte[i] |= get_digit(from);
	}
}

static uint64_t get_number(struct reader *from, unsigned int n_bytes)
{
	uint64_t number = 0;

	for (unsigned int i = 0; i < 2 * n_bytes; i++)
		number = number << 4 | get_digit(from);
	return number;
}

static void set_address(char domain, const void *bytes, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->any.sa_family = domain == '4' ? AF_INET : AF_INET6;
	if (domain == '4') {
		memcpy(&ret->v4.sin_addr, bytes, 4);
	} else if (domain == 'm') {
		memcpy(&ret->v6.sin6_addr, mapped_prefix, sizeof(mapped_prefix));
		memcpy(&ret->v6.sin6_addr.s6_addr[12], bytes, 4);
	} else {
		memcpy(&ret->v6.sin6_addr, bytes, 16);
	}
}

static void set_loopback(char domain, uint16_t port, union address *ret)
{
	static const uint8_t v4[4] = { 127, 0, 0, 1 };

	set_address(domain, domain == '6' ? (const void *)&in6addr_loopback : v4, ret);
	address_set_port(ret, port);
}

static void get_peer(struct reader *from, char domain, union address *ret)
{
	uint8_t bytes[16];

	memset(ret, 0, sizeof(*ret));
	if (from->at < from->end && *from->at == '-') {
		from->at++;
		return;
	}
	get_hex(from, bytes, domain == '6' ? 16 : 4);
	set_address(domain, bytes, ret);
	expect(from, ':');
	address_set_port(ret, (uint16_t)get_number(from, 2));
	if (domain == '6') {
		expect(from, ':');
		ret->v6.sin6_scope_id = (uint32_t)get_number(from, 4);
		/* That would be another spelling of 'm'. */
		if (IN6_IS_ADDR_V4MAPPED(&ret->v6.sin6_addr))
			from->bad = true;
	}
}

int unix_name_parse(const struct sockaddr_un *address, socklen_t len,
		    struct unix_name *ret)
{
	const char *path = address->sun_path;
	struct unix_name name = { 0 };
	struct reader from;
	char type, domain;

	if (len < offsetof(struct sockaddr_un, sun_path) + 1 + PREFIX_LEN ||
	    len > sizeof(*address) || address->sun_family != AF_UNIX || path[0] ||
	    memcmp(path + 1, prefix, PREFIX_LEN) != 0)
		return -EBADMSG;
	from = (struct reader){ path + 1 + PREFIX_LEN, path + PATH_LEN(len) };
	type = get(&from);
	domain = get(&from);
	if ((type != 's' && type != 'd') ||
	    (domain != '4' && domain != '6' && domain != 'm'))
		return -EBADMSG;
	name.type = type == 's' ? SOCK_STREAM : SOCK_DGRAM;
	expect(&from, '/');
	set_loopback(domain, (uint16_t)get_number(&from, 2), &name.local);
	expect(&from, '/');
	get_peer(&from, domain, &name.peer);
	expect(&from, '/');
	name.unique = get_number(&from, 8);
	if (from.bad || from.at != from.end)
		return -EBADMSG;
	*ret = name;
	return 0;
}

static uint16_t ephemeral_port(uint64_t seed)
{
	return (uint16_t)(PORT_LOW + seed % PORT_N);
}

void unix_name_make_up(int family, uint64_t seed, union address *ret)
{
	set_loopback(family == AF_INET ? '4' : '6', ephemeral_port(seed), ret);
}

static void set_peer(struct unix_name *name, int family, const union address *peer)
{
	if (!peer || peer->any.sa_family != family)
		return;
	name->peer = *peer;
	/* What getpeername() would show. */
	if (family == AF_INET6) {
		name->peer.v6.sin6_flowinfo = 0;
		if (!IN6_IS_ADDR_LINKLOCAL(&peer->v6.sin6_addr))
			name->peer.v6.sin6_scope_id = 0;
	}
	if (!address_is_wildcard(&name->peer))
		return;
	set_loopback(domain_of(&name->peer), address_port(peer), &name->peer);
}

int unix_name_bind(int fd, int family, const union address *peer, uint16_t port)
{
	uint64_t cookie = kernel_cookie(fd, SO_COOKIE);
	struct unix_name name = { .type = kernel_option(fd, SO_TYPE, SOCK_STREAM) };
	struct sockaddr_un address;
	char domain;

	set_peer(&name, family, peer);
	domain = domain_of(&name.peer);
	if (!domain)
		domain = family == AF_INET ? '4' : '6';
	set_loopback(domain, port ? port : ephemeral_port(cookie), &name.local);
	name.unique = cookie;
	for (int i = 0; i < TRIES; i++) {
		socklen_t len = unix_name_print(&name, &address);

		if (bind(fd, (struct sockaddr *)&address, len) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -errno;
		name.unique += 0x9e3779b97f4a7c15u;
	}
	return -EADDRINUSE;
}
