/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a socket ends up: other namespaces, datagrams to names, link-local addresses,
 * UNIX paths that mean something else to the program, the host's loopback.
 *
 *	192.0.2.2:9100	127.0.0.1:9100 of a third namespace (DEFECTS_THIRD): "there"
 *	0.0.0.0:7100	127.0.0.1:17100 there
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "defects.h"

static int third_listen(int port)
{
	struct spot at = spot_make("127.0.0.1", port);
	struct timeval limit = { .tv_sec = 5 };
	int fd;

	enter_netns("DEFECTS_THIRD");
	fd = raw_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	leave_netns();
	KERNEL(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (raw_bind(fd, &at.any, at.len) < 0 || KERNEL(SYS_listen, fd, 10) < 0)
		give_up("no listener in the third namespace: %m");
	return fd;
}

static bool is_pending(int listener)
{
	struct pollfd poll_fd = { .fd = listener, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

static struct sockaddr_gr graft_name(const char *text)
{
	struct sockaddr_gr name = { .sgr_family = AF_GRAFT };

	strncpy(name.sgr_epname, text, sizeof(name.sgr_epname));
	return name;
}

static void target_netns(void)
{
	struct spot decoy_at = spot_make("127.0.0.1", 9100);
	struct spot to = spot_make("192.0.2.2", 9100), ask = spot_make("0.0.0.0", 7100);
	struct sockaddr_gr there = graft_name("there"), out = graft_name("out4");
	int decoy = host_listen(&decoy_at, SOCK_STREAM), listener = third_listen(9100);
	int fd = xsocket(AF_INET, SOCK_STREAM), accepted;

	xconnect(fd, &to);
	CHECK(cookie_of(fd) == cookie_of(listener), "not in the third namespace");
	accepted = host_accept(listener);
	exchange(fd, accepted);
	close(fd);
	fd = xsocket(AF_GRAFT, SOCK_STREAM);
	WANT(0, connect(fd, (struct sockaddr *)&there, sizeof(there)));
	exchange(fd, host_accept(listener));
	close(fd);
	/* Bound in the host already: it may refuse, but must not mix them up. */
	fd = xsocket(AF_GRAFT, SOCK_STREAM);
	WANT(0, bind(fd, (struct sockaddr *)&out, sizeof(out)));
	CHECK(connect(fd, (struct sockaddr *)&there, sizeof(there)) < 0 ||
		      is_pending(listener),
	      "connected, but not to where the name is");
	CHECK(!is_pending(decoy), "the host's 127.0.0.1:9100 was reached instead");
	close(fd);
	fd = xsocket(AF_INET, SOCK_STREAM);
	xbind(fd, &ask);
	CHECK(cookie_of(fd) == cookie_of(listener), "bound, not in the third namespace");
}

/* The next datagram: its bytes, and who sent it. */
static struct spot receive(int fd, const char *wanted)
{
	char text[32] = "";
	struct spot from = { .len = sizeof(from.storage) };

	if (CHECK(readable(fd), "%s does not arrive", wanted)) {
		KERNEL(SYS_recvfrom, fd, text, sizeof(text) - 1, 0, &from.any, &from.len);
		CHECK(!strcmp(text, wanted), "'%s' instead of '%s'", text, wanted);
	}
	return from;
}

static void send_all_ways(int fd, const void *to, socklen_t len, int peer)
{
	struct iovec iov[3] = { { (void *)"msg", 3 },
				{ (void *)"one", 3 },
				{ (void *)"two", 3 } };
	struct mmsghdr many[2] = { { { 0 }, 0 } };
	struct msghdr message = { .msg_name = (void *)to,
				  .msg_namelen = len,
				  .msg_iov = &iov[0],
				  .msg_iovlen = 1 };

	WANT(2, sendto(fd, "to", 2, 0, to, len));
	receive(peer, "to");
	WANT(3, sendmsg(fd, &message, 0));
	receive(peer, "msg");
	for (int i = 0; i < 2; i++) {
		many[i].msg_hdr = message;
		many[i].msg_hdr.msg_iov = &iov[i + 1];
	}
	WANT(2, sendmmsg(fd, many, 2, 0));
	CHECK(many[0].msg_len == 3 && many[1].msg_len == 3, "lengths %u %u",
	      many[0].msg_len, many[1].msg_len);
	receive(peer, "one");
	receive(peer, "two");
}

static void send_to_name(void)
{
	struct spot at = at_connect(AF_INET);
	struct sockaddr_gr peer4 = graft_name("peer4");
	int peer = host_listen(&at, SOCK_DGRAM);

	send_all_ways(xsocket(AF_GRAFT, SOCK_DGRAM), &peer4, sizeof(peer4), peer);
}

static void send_to_address(void)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct spot ask = ask_connect(families[i]), at = at_connect(families[i]);
		struct spot from = { .len = sizeof(from.storage) }, back;
		int peer = host_listen(&at, SOCK_DGRAM);
		int fd = xsocket(families[i], SOCK_DGRAM);
		char byte;

		send_all_ways(fd, &ask.any, ask.len, peer);
		sendto(fd, "q", 1, 0, &ask.any, ask.len);
		back = receive(peer, "q");
		KERNEL(SYS_sendto, peer, "a", 1, 0, &back.any, back.len);
		if (CHECK(readable(fd), "no answer"))
			WANT(1, recvfrom(fd, &byte, 1, 0, &from.any, &from.len));
		CHECK(spot_equal(&from, &ask), "the answer is from %s", spot_text(&from));
		close(fd);
		raw_close(peer);
	}
}

/* The address of the host's interface: DEFECTS_LINK is "ADDRESS INDEX". */
static void link_local(void)
{
	char address[64];
	unsigned int index;
	struct spot at, ask;
	int listener, fd, raw;

	if (sscanf(getenv("DEFECTS_LINK") ?: "", "%63s %u", address, &index) != 2)
		not_here("no link-local address in this host");
	at = spot_make(address, 9200);
	at.v6.sin6_scope_id = index;
	listener = host_listen(&at, SOCK_STREAM);
	ask = at;
	ask.v6.sin6_flowinfo = htonl(0x12345);
	fd = xsocket(AF_INET6, SOCK_STREAM);
	xconnect(fd, &ask);
	exchange(fd, host_accept(listener));
	close(fd);
	ask.v6.sin6_scope_id = 0;
	raw = host_socket(AF_INET6, SOCK_STREAM);
	fd = xsocket(AF_INET6, SOCK_STREAM);
	SAME(connect(fd, &ask.any, ask.len), raw_connect(raw, &ask.any, ask.len));
	/* Without a scope the host's wildcard takes it; with one and flow labels too. */
	ask = ask_bind(AF_INET6, SOCK_STREAM);
	ask.v6.sin6_flowinfo = htonl(0x54321);
	ask.v6.sin6_scope_id = 7;
	fd = xsocket(AF_INET6, SOCK_STREAM);
	xbind(fd, &ask);
	CHECK(is_host(fd), "flow label and scope id kept a rule from matching");
}

/* DEFECTS_HIDDEN/s.sock is 192.0.2.3:9300 and DEFECTS_HIDDEN/b.sock is 0.0.0.0:7300. */
static int behind_mount(const char *hidden)
{
	struct spot to = spot_make("192.0.2.3", 9300), ask = spot_make("0.0.0.0", 7300);
	int fd = xsocket(AF_INET, SOCK_STREAM), server = xsocket(AF_INET, SOCK_STREAM);
	char byte;

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", hidden, "tmpfs", 0, NULL) < 0)
		return 77;
	xconnect(fd, &to);
	if (send(fd, "x", 1, 0) != 1 || recv(fd, &byte, 1, 0) != 1)
		return 2;
	xbind(server, &ask);
	xlisten(server);
	if (send(fd, "y", 1, 0) != 1)
		return 3;
	return accept(server, NULL, NULL) < 0;
}

static void unix_mounts(void)
{
	const char *hidden = getenv("DEFECTS_HIDDEN");
	char path[128], byte;
	struct spot at;
	int listener, peer, status, child;

	snprintf(path, sizeof(path), "%s/s.sock", hidden);
	at = spot_unix(path);
	unlink(path);
	listener = host_listen(&at, SOCK_STREAM);
	child = fork();
	if (child == 0)
		_exit(behind_mount(hidden));
	if (!CHECK(readable(listener), "the path is not the host's"))
		return;
	peer = host_accept(listener);
	CHECK(recv(peer, &byte, 1, 0) == 1 && send(peer, "y", 1, 0) == 1,
	      "no exchange: %m");
	CHECK(recv(peer, &byte, 1, 0) == 1, "the program does not listen");
	snprintf(path, sizeof(path), "%s/b.sock", hidden);
	at = spot_unix(path);
	raw_close(host_connect(&at, SOCK_STREAM));
	waitpid(child, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		not_here("no mount namespace");
	CHECK(status == 0, "the program ended with %#x", (unsigned int)status);
}

/* 192.0.2.4:9300 is @graft-defect, of the host's namespace; 0.0.0.0:7301 @graft-bound. */
static void unix_abstract(void)
{
	struct spot at = spot_unix("@graft-defect"), bound = spot_unix("@graft-bound");
	struct spot to = spot_make("192.0.2.4", 9300), ask = spot_make("0.0.0.0", 7301);
	int listener = host_listen(&at, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM);

	xconnect(fd, &to);
	exchange(fd, host_accept(listener));
	close(fd);
	fd = xsocket(AF_INET, SOCK_STREAM);
	xbind(fd, &ask);
	xlisten(fd);
	raw_close(host_connect(&bound, SOCK_STREAM));
	CHECK(accept(fd, NULL, NULL) >= 0, "accept: %m");
}

/* The policy of this case says 0.0.0.0/0 = host, and 127.0.0.1:9401 = host. */
static void loopback_guard(void)
{
	struct spot closed = spot_make("127.0.0.1", 9400);
	struct spot opened = spot_make("127.0.0.1", 9401);
	struct spot outside = spot_make("10.77.0.1", 9400);
	struct spot any = spot_make("0.0.0.0", 9400);
	int listener = host_listen(&any, SOCK_STREAM);
	int second = host_listen(&opened, SOCK_STREAM), fd;

	fd = xsocket(AF_INET, SOCK_STREAM);
	xconnect(fd, &outside);
	exchange(fd, host_accept(listener));
	close(fd);
	fd = xsocket(AF_INET, SOCK_STREAM);
	xconnect(fd, &opened);
	exchange(fd, host_accept(second));
	close(fd);
	WANT(-ECONNREFUSED,
	     connect(xsocket(AF_INET, SOCK_STREAM), &closed.any, closed.len));
	closed.v4.sin_addr.s_addr = htonl(0x7f010203);
	WANT(-ECONNREFUSED,
	     connect(xsocket(AF_INET, SOCK_STREAM), &closed.any, closed.len));
	WANT(-ECONNREFUSED, connect(xsocket(AF_INET, SOCK_STREAM), &any.any, any.len));
	closed = spot_make("::ffff:127.0.0.1", 9400);
	WANT(-ECONNREFUSED,
	     connect(xsocket(AF_INET6, SOCK_STREAM), &closed.any, closed.len));
	/* The second socket's destination is judged again. */
	fd = xsocket(AF_INET, SOCK_DGRAM);
	WANT(0, connect(fd, &outside.any, outside.len));
	closed = spot_make("127.0.0.1", 9400);
	connect(fd, &closed.any, closed.len);
	CHECK(send(fd, "x", 1, 0) < 0 || !is_host(fd),
	      "connected again, to the host's loopback");
}

const struct defect defects_place[] = {
	{ "target_netns", target_netns },       { "send_to_name", send_to_name },
	{ "send_to_address", send_to_address }, { "link_local", link_local },
	{ "unix_mounts", unix_mounts },         { "unix_abstract", unix_abstract },
	{ "loopback_guard", loopback_guard },   { 0 },
};
