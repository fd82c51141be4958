/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Odd arguments, wildcards, direct system calls, names looked up.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "defects.h"

static void send_null(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	struct iovec iov = { (void *)"x", 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	for (size_t i = 0; i < 2; i++) {
		int fd = xsocket(AF_INET, types[i]),
		    raw = raw_socket(AF_INET, types[i], 0);

		SAME(sendto(fd, "x", 1, MSG_NOSIGNAL, NULL, 0),
		     KERNEL(SYS_sendto, raw, "x", 1, MSG_NOSIGNAL, NULL, 0));
		SAME(sendto(fd, "x", 1, MSG_NOSIGNAL, NULL, 16),
		     KERNEL(SYS_sendto, raw, "x", 1, MSG_NOSIGNAL, NULL, 16));
		SAME(sendmsg(fd, &message, MSG_NOSIGNAL),
		     KERNEL(SYS_sendmsg, raw, &message, MSG_NOSIGNAL));
		SAME(write(fd, "x", 0), KERNEL(SYS_write, raw, "x", 0));
		close(fd);
		raw_close(raw);
	}
}

static void disconnect(void)
{
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	struct spot ask = ask_connect(AF_INET), at = at_connect(AF_INET);
	int peer = host_listen(&at, SOCK_DGRAM), fd = xsocket(AF_INET, SOCK_DGRAM);
	int tcp = xsocket(AF_INET, SOCK_STREAM),
	    raw = raw_socket(AF_INET, SOCK_STREAM, 0);

	SAME(connect(tcp, &nowhere, sizeof(nowhere)),
	     raw_connect(raw, &nowhere, sizeof(nowhere)));
	SAME(connect(tcp, &nowhere, 2), raw_connect(raw, &nowhere, 2));
	SAME(connect(tcp, &nowhere, 1), raw_connect(raw, &nowhere, 1));
	for (int i = 0; i < 2; i++) {
		xconnect(fd, &ask);
		WANT(1, send(fd, "x", 1, 0));
		CHECK(readable(peer) && recv(peer, &(char){ 0 }, 1, 0) == 1,
		      "no datagram");
		WANT(0, connect(fd, &nowhere, sizeof(nowhere)));
		WANT(-EDESTADDRREQ, send(fd, "x", 1, 0));
	}
}

/* They name the same place. */
static void odd_addresses(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM), to = ask_connect(AF_INET6);
	struct spot at = at_connect(AF_INET6);
	int fd = xsocket(AF_INET, SOCK_STREAM), listener = host_listen(&at, SOCK_STREAM);

	memset(ask.v4.sin_zero, 0xa5, sizeof(ask.v4.sin_zero));
	xbind(fd, &ask);
	CHECK(is_host(fd), "sin_zero kept a rule from matching");
	close(fd);
	ask = ask_bind(AF_INET6, SOCK_STREAM);
	ask.v6.sin6_flowinfo = htonl(0x54321);
	fd = xsocket(AF_INET6, SOCK_STREAM);
	xbind(fd, &ask);
	CHECK(is_host(fd), "the flow label kept a rule from matching");
	close(fd);
	ask.v6.sin6_flowinfo = 0;
	ask.v6.sin6_scope_id = 1;
	fd = xsocket(AF_INET6, SOCK_STREAM);
	xbind(fd, &ask);
	CHECK(is_host(fd), "the scope id kept a rule from matching");
	close(fd);
	to.v6.sin6_flowinfo = htonl(0x12345);
	fd = xsocket(AF_INET6, SOCK_STREAM);
	xconnect(fd, &to);
	exchange(fd, host_accept(listener));
}

static bool binds_to_host(int family, const char *address, int port, int v6only)
{
	struct spot ask = spot_make(address, port);
	int fd = xsocket(family, SOCK_STREAM);
	bool result;

	if (family == AF_INET6)
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
	xbind(fd, &ask);
	result = is_host(fd);
	close(fd);
	return result;
}

/*
 * A rule says exactly which address it is for; a dual-stack [::] is 0.0.0.0 too.
 *	0.0.0.0:7000 = d4, [::]:7008 = any6, 127.0.0.1:7030 = w4, 0.0.0.0/0:7031 = wide4
 */
static void wildcards(void)
{
	CHECK(binds_to_host(AF_INET, "0.0.0.0", 7000, 0), "0.0.0.0, rule 0.0.0.0");
	CHECK(!binds_to_host(AF_INET, "127.0.0.1", 7000, 0), "127.0.0.1, rule 0.0.0.0");
	CHECK(!binds_to_host(AF_INET, "0.0.0.0", 7030, 0), "0.0.0.0, rule 127.0.0.1");
	CHECK(binds_to_host(AF_INET, "127.0.0.1", 7030, 0), "127.0.0.1, rule 127.0.0.1");
	CHECK(binds_to_host(AF_INET6, "::", 7000, 0), "dual-stack [::], rule 0.0.0.0");
	CHECK(!binds_to_host(AF_INET6, "::", 7000, 1), "IPV6_V6ONLY [::], rule 0.0.0.0");
	CHECK(binds_to_host(AF_INET6, "::", 7008, 0), "dual-stack [::], rule [::]");
	CHECK(binds_to_host(AF_INET6, "::", 7008, 1), "IPV6_V6ONLY [::], rule [::]");
	CHECK(binds_to_host(AF_INET6, "::ffff:0.0.0.0", 7000, 0), "mapped, rule 0.0.0.0");
	CHECK(!binds_to_host(AF_INET, "0.0.0.0", 0, 0), "port 0, no rule");
	CHECK(!binds_to_host(AF_INET6, "::", 0, 0), "port 0, no rule, IPv6");
}

/* Made by other means than libc's functions, a socket is what the kernel made it, and
 * stays so; handed to libc's functions, it is grafted like any other. */
static void raw_calls(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM),
		    any = spot_make("0.0.0.0", 7040);
	int raw = raw_socket(AF_INET, SOCK_STREAM, 0);

	if (raw_bind(raw, &any.any, any.len) < 0)
		give_up("bind by system call: %m");
	WANT(0, KERNEL(SYS_listen, raw, 5));
	CHECK(name_of(raw).v4.sin_port == htons(7040), "named otherwise");
	close(raw);
	raw = raw_socket(AF_INET, SOCK_STREAM, 0);
	xbind(raw, &ask);
	CHECK(is_host(raw), "made by system call and bound through libc, not grafted");
}

static void look_up(const char *name, int wanted_family)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL, *entry;
	int r = getaddrinfo(name, NULL, &hints, &list), n = 0;

	if (!CHECK(r == 0, "%s: %s", name, gai_strerror(r)))
		return;
	for (entry = list; entry; entry = entry->ai_next, n++) {
		struct spot at = at_connect(AF_INET);
		int listener, fd;

		CHECK(entry->ai_socktype == SOCK_STREAM, "type %d", entry->ai_socktype);
		if (n > 0)
			continue;
		CHECK(wanted_family < 0 || entry->ai_family == wanted_family, "family %d",
		      entry->ai_family);
		listener = host_listen(&at, SOCK_STREAM);
		fd = socket(entry->ai_family, entry->ai_socktype, entry->ai_protocol);
		WANT(0, connect(fd, entry->ai_addr, entry->ai_addrlen));
		exchange(fd, host_accept(listener));
		close(fd);
		raw_close(listener);
	}
	CHECK(n > 0, "%s: no address", name);
	freeaddrinfo(list);
}

static void look_up_names(void)
{
	struct addrinfo *list = NULL;

	look_up("graft-peer4", -1);
	look_up("graft:peer4", -1);
	CHECK(getaddrinfo("graft-no.such.name.invalid", "80", NULL, &list) != 0,
	      "an unknown name has an address");
	CHECK(getaddrinfo("127.0.0.1", "80", NULL, &list) == 0,
	      "a numeric address has none");
	freeaddrinfo(list);
}

/* The rules name a broker that is not there. */
static void no_broker(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM), to = ask_connect(AF_INET);
	struct spot free_port = spot_make("0.0.0.0", 8889);
	int fd = xsocket(AF_INET, SOCK_STREAM), raw;
	double start = seconds();

	WANT(-ENETDOWN, bind(fd, &ask.any, ask.len));
	WANT(-ENETDOWN, connect(xsocket(AF_INET, SOCK_STREAM), &to.any, to.len));
	WANT(-ENETDOWN, sendto(xsocket(AF_INET, SOCK_DGRAM), "x", 1, 0, &to.any, to.len));
	CHECK(seconds() - start < 5, "after %.1f s", seconds() - start);
	/* The socket is as good as before, for what no rule is about. */
	WANT(0, bind(fd, &free_port.any, free_port.len));
	xlisten(fd);
	raw = raw_socket(AF_INET, SOCK_STREAM, 0);
	free_port = spot_make("127.0.0.1", 8889);
	WANT(0, raw_connect(raw, &free_port.any, free_port.len));
	CHECK(accept(fd, NULL, NULL) >= 0, "accept: %m");
}

/* GRAFT=disable: the rules are there, and nothing is done. */
static void disabled(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM), raw = raw_socket(AF_INET, SOCK_STREAM, 0);

	WANT(0, bind(fd, &ask.any, ask.len));
	CHECK(cookie_of(fd) == cookie_of(raw), "not on the own side");
	SAME(socket(AF_GRAFT, SOCK_STREAM, 0), raw_socket(AF_GRAFT, SOCK_STREAM, 0));
}

/* The first rule that is well formed: what is around it does not matter. */
static void one_rule(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM);

	xbind(fd, &ask);
	CHECK(is_host(fd), "the good rule is lost");
}

const struct defect defects_odd[] = {
	{ "send_null", send_null },         { "disconnect", disconnect },
	{ "odd_addresses", odd_addresses }, { "wildcards", wildcards },
	{ "raw_calls", raw_calls },         { "look_up_names", look_up_names },
	{ "no_broker", no_broker },         { "disabled", disabled },
	{ "one_rule", one_rule },           { 0 },
};
