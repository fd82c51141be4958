/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The addresses the cases use, and their names in results. */
#include <arpa/inet.h>
#include <stdio.h>

#include "case.h"

static const struct {
	const char *text;
	const char *name;
} places[] = {
	{ "127.0.0.1", "lo" },
	{ "127.0.0.2", "lo2" },
	{ "0.0.0.0", "any" },
	{ "10.77.0.1", "veth" },
	{ "192.0.2.1", "nowhere" },
	{ "::1", "lo" },
	{ "::", "any" },
	{ "fd77::1", "veth" },
	{ "fe80::77", "link" },
	{ "2001:db8::1", "nowhere" },
	{ "::ffff:127.0.0.1", "mapped-lo" },
	{ "::ffff:127.0.0.2", "mapped-lo2" },
	{ "::ffff:0.0.0.0", "mapped-any" },
	{ "::ffff:10.77.0.1", "mapped-veth" },
};

struct address at_text(const char *text, uint16_t port)
{
	struct address address = { .len = 0 };

	if (strchr(text, ':')) {
		address.in6.sin6_family = AF_INET6;
		address.in6.sin6_port = htons(port);
		address.len = sizeof(address.in6);
		if (inet_pton(AF_INET6, text, &address.in6.sin6_addr) != 1)
			abort();
	} else {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons(port);
		address.len = sizeof(address.in);
		if (inet_pton(AF_INET, text, &address.in.sin_addr) != 1)
			abort();
	}
	return address;
}

struct address at_lo(const struct ctx *t, uint16_t port)
{
	return at_text(t->v6 ? "::1" : "127.0.0.1", port);
}

struct address at_any(const struct ctx *t, uint16_t port)
{
	return at_text(t->v6 ? "::" : "0.0.0.0", port);
}

struct address at_veth(const struct ctx *t, uint16_t port)
{
	return at_text(t->v6 ? "fd77::1" : "10.77.0.1", port);
}

struct address at_nowhere(const struct ctx *t, uint16_t port)
{
	return at_text(t->v6 ? "2001:db8::1" : "192.0.2.1", port);
}

struct address at_mapped(uint16_t port)
{
	return at_text("::ffff:127.0.0.1", port);
}

uint16_t port_of(const struct address *address)
{
	if (address->sa.sa_family == AF_INET6)
		return ntohs(address->in6.sin6_port);
	return ntohs(address->in.sin_port);
}

struct address name_of(struct ctx *t, int fd)
{
	struct address address = { .len = sizeof(address.storage) };

	if (getsockname(fd, &address.sa, &address.len) < 0)
		give_up(t, "getsockname");
	return address;
}

void label(struct ctx *t, const char *name, uint16_t port)
{
	if (t->n_labels == ARRAY_SIZE(t->labels))
		abort();
	t->labels[t->n_labels].name = name;
	t->labels[t->n_labels++].port = port;
}

static const char *port_name(const struct ctx *t, uint16_t port)
{
	if (port == 0)
		return "0";
	for (size_t i = 0; i < t->n_labels; i++)
		if (t->labels[i].port == port)
			return t->labels[i].name;
	return "dyn";
}

static const char *place_name(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (strcmp(places[i].text, text) == 0)
			return places[i].name;
	return text;
}

void address_name(const struct ctx *t, const struct address *address, char *text,
		  size_t size)
{
	char digits[INET6_ADDRSTRLEN];
	const char *port = port_name(t, port_of(address));
	int n = 0;

	if (address->len == 0) {
		snprintf(text, size, "nothing");
		return;
	}
	switch (address->sa.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &address->in.sin_addr, digits, sizeof(digits));
		n = snprintf(text, size, "%s:%s", place_name(digits), port);
		if (address->len != sizeof(address->in))
			snprintf(text + n, size - n, "/len%u", address->len);
		return;
	case AF_INET6:
		inet_ntop(AF_INET6, &address->in6.sin6_addr, digits, sizeof(digits));
		n = snprintf(text, size, "%s:%s", place_name(digits), port);
		if (address->in6.sin6_scope_id)
			n += snprintf(text + n, size - n, "%%%u",
				      address->in6.sin6_scope_id);
		if (address->len != sizeof(address->in6))
			snprintf(text + n, size - n, "/len%u", address->len);
		return;
	case AF_UNIX:
		snprintf(text, size, "unix/len%u", address->len);
		return;
	default:
		snprintf(text, size, "family%u/len%u", address->sa.sa_family,
			 address->len);
	}
}
