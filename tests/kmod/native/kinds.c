/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kinds of endpoints, and protocols. */
#include <netinet/tcp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "native.h"

#ifndef IPPROTO_MPTCP
#	define IPPROTO_MPTCP 262
#endif

/* The protocol a socket was asked for with is the one it has. */
static void protocols(void)
{
	static const struct {
		int type, protocol;
	} some[] = {
		{ SOCK_STREAM, IPPROTO_TCP },   { SOCK_DGRAM, IPPROTO_UDP },
		{ SOCK_STREAM, IPPROTO_MPTCP }, { SOCK_DGRAM, IPPROTO_UDPLITE },
		{ SOCK_STREAM, IPPROTO_SCTP },  { SOCK_SEQPACKET, IPPROTO_SCTP },
		{ SOCK_DGRAM, IPPROTO_ICMP },   { SOCK_STREAM, 200 },
		{ SOCK_STREAM, IPPROTO_UDP },   { SOCK_RAW, IPPROTO_ICMP },
	};

	add_host("ep", 0);
	for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
		int native = socket(AF_INET, some[i].type, some[i].protocol),
		    error = errno;
		int fd = socket(af_graft, some[i].type, some[i].protocol);

		if (some[i].type == SOCK_RAW) {
			want_rc(-ESOCKTNOSUPPORT, fd);
			continue;
		}
		want(native < 0 ? -error : 0, fd < 0 ? -errno : 0);
		if (fd < 0 || native < 0)
			continue;
		want_rc(0, bind_name(fd, "ep"));
		want(some[i].protocol, get_int(fd, SOL_SOCKET, SO_PROTOCOL));
		want(some[i].type, get_int(fd, SOL_SOCKET, SO_TYPE));
		if (some[i].type != SOCK_DGRAM)
			want_rc(0, listen(fd, 1));
		close(fd);
		close(native);
	}
	want_rc(-EINVAL, socket(af_graft, SOCK_STREAM, -1));
	want_rc(-ESOCKTNOSUPPORT, socket(af_graft, SOCK_RDM, 0));
}

static void ipv6(void)
{
	int server = graft(SOCK_STREAM), fd;

	add_kind("six", AF_INET6, "::1", 0, host_netns);
	need(bind_name(server, "six") == 0 && listen(server, 2) == 0);
	fd = graft(SOCK_STREAM);
	want_rc(0, connect_name(fd, "six"));
	want(AF_INET6, get_int(fd, SOL_SOCKET, SO_DOMAIN));
	want(true, exchange(fd, accept(server, NULL, NULL)));
	/* A socket of IPv6 reaches an endpoint of IPv4; not the other way round. */
	add_kind("four", AF_INET, "127.0.0.1", 0, host_netns);
	add_kind("any6", AF_INET6, NULL, 0, host_netns);
	server = graft(SOCK_STREAM);
	need(bind_name(server, "four") == 0 && listen(server, 2) == 0);
	fd = graft(SOCK_STREAM);
	need(bind_name(fd, "any6") == 0);
	want_rc(0, connect_name(fd, "four"));
	fd = graft(SOCK_STREAM);
	add_kind("any4", AF_INET, NULL, 0, host_netns);
	need(bind_name(fd, "any4") == 0);
	want_rc(-EPROTOTYPE, connect_name(fd, "six"));
}

static void unix_of(const char *path, int type)
{
	int server = graft(type), fd = graft(type), other;
	struct sockaddr_gr to = gr("u");
	char byte = 0;

	add_kind("u", AF_UNIX, path, 0, -1);
	want_rc(0, bind_name(server, "u"));
	if (type == SOCK_DGRAM) {
		want_rc(1, sendto(fd, "a", 1, 0, (struct sockaddr *)&to, sizeof(to)));
		want_rc(1, recv(server, &byte, 1, 0));
		want_rc(0, connect_name(fd, "u"));
		want_rc(1, send(fd, "b", 1, 0));
		want_rc(1, recv(server, &byte, 1, 0));
		want('b', byte);
	} else {
		need(listen(server, 1) == 0);
		want_rc(0, connect_name(fd, "u"));
		other = accept(server, NULL, NULL);
		want(true, exchange(fd, other));
		want(AF_UNIX, get_int(fd, SOL_SOCKET, SO_DOMAIN));
		close(other);
	}
	want_rc(-EADDRINUSE, bind_name(graft(type), "u"));
	close(fd);
	close(server);
	need(del("u") == 0);
	if (path[0] == '/')
		want_rc(0, unlink(path));
}

/* AF_UNIX has no options of a protocol, nor, on most kernels, a function for them. */
static void unix_options(void)
{
	int native = socket(AF_UNIX, SOCK_STREAM, 0), fd = graft(SOCK_STREAM);
	int family = AF_INET;
	long wanted;

	add_kind("u", AF_UNIX, "@graft-unix", 0, -1);
	want_rc(0, bind_name(fd, "u"));
	wanted = rc(setsockopt(native, SOL_TCP, TCP_ULP, "tls", 3));
	want_rc(wanted, setsockopt(fd, SOL_TCP, TCP_ULP, "tls", 3));
	wanted = rc(setsockopt(native, SOL_IPV6, IPV6_ADDRFORM, &family, sizeof(family)));
	want_rc(wanted, setsockopt(fd, SOL_IPV6, IPV6_ADDRFORM, &family, sizeof(family)));
	close(fd);
	close(native);
}

static void unix_kinds(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	int fd = socket(af_graft, SOCK_STREAM, IPPROTO_SCTP);

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		unix_of("/tmp/graft-unix.sock", types[i]);
		unix_of("@graft-unix", types[i]);
	}
	add_kind("u", AF_UNIX, "@graft-unix", 0, -1);
	if (fd >= 0)
		want_rc(-EPROTOTYPE, bind_name(fd, "u"));
	fd = socket(af_graft, SOCK_DGRAM, IPPROTO_UDPLITE);
	if (fd >= 0)
		want_rc(-EPROTOTYPE, bind_name(fd, "u"));
}

static int in_other_root(void *argument)
{
	int fd = graft(SOCK_STREAM);
	char byte = 0;

	(void)argument;
	need(unshare(CLONE_NEWNS) == 0 &&
	     mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	need(mount("empty", "/tmp", "tmpfs", 0, NULL) == 0);
	need(mkdir("/tmp/root", 0755) == 0 && chroot("/tmp/root") == 0 &&
	     chdir("/") == 0);
	want_rc(0, connect_name(fd, "u"));
	want_rc(1, recv(fd, &byte, 1, 0));
	close(fd);
	fd = graft(SOCK_STREAM);
	want_rc(0, bind_name(fd, "u2"));
	return n_failures != 0 || access("/tmp/graft-root2.sock", F_OK) == 0;
}

/* The path is that of who added the endpoint, whatever the root of who uses it. */
static void unix_roots(void)
{
	int server = graft(SOCK_STREAM), other;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int status;
	pid_t pid;

	add_kind("u", AF_UNIX, "/tmp/graft-root.sock", 0, -1);
	add_kind("u2", AF_UNIX, "/tmp/graft-root2.sock", 0, -1);
	need(bind_name(server, "u") == 0 && listen(server, 1) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(in_other_root(NULL));
	other = accept(server, NULL, NULL);
	need(other >= 0);
	/* And the peer is who it is. */
	want_rc(0, getsockopt(other, SOL_SOCKET, SO_PEERCRED, &peer, &size));
	want(pid, peer.pid);
	send(other, "1", 1, MSG_NOSIGNAL);
	close(other);
	want(0, access("/tmp/graft-root.sock", F_OK));
	need(unlink("/tmp/graft-root.sock") == 0);
	need(waitpid(pid, &status, 0) == pid);
	want(0, status);
	want_rc(0, unlink("/tmp/graft-root2.sock"));
}

static void placed(void)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = graft(SOCK_STREAM), client;
	socklen_t len = sizeof(in);

	add_kind("place", AF_UNSPEC, NULL, 0, host_netns);
	want_rc(-EINVAL, connect_name(graft(SOCK_STREAM), "place"));
	want_rc(0, bind_name(fd, "place"));
	want_rc(-EINVAL, bind_name(fd, "place"));
	want_rc(0, bind(fd, (struct sockaddr *)&in, sizeof(in)));
	want_rc(-EINVAL, bind(fd, (struct sockaddr *)&in, sizeof(in)));
	want_rc(0, listen(fd, 1));
	set_int(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, 1);
	want_rc(0, getsockname(fd, (struct sockaddr *)&in, &len));
	client = plain_connect(host_netns, ntohs(in.sin_port));
	want(true, exchange(accept(fd, NULL, NULL), client));
	/* Of the family that was asked for. */
	fd = graft(SOCK_STREAM);
	set_int(fd, IPPROTO_GRAFT, GRAFT_SO_FAMILY, AF_INET6);
	want_rc(0, bind_name(fd, "place"));
	want(AF_INET6, get_int(fd, SOL_SOCKET, SO_DOMAIN));
}

static void shared(void)
{
	const struct endpoint ep = { .name = "share",
				     .family = AF_INET,
				     .port = 18080,
				     .address = "127.0.0.1",
				     .netns = box_netns,
				     .flags = GRAFT_F_SHARE };
	int first = graft(SOCK_STREAM), second = graft(SOCK_STREAM);

	want(0, add(&ep));
	want_rc(0, bind_name(first, "share"));
	want_rc(0, bind_name(second, "share"));
	want_rc(0, listen(first, 1));
	want_rc(0, listen(second, 1));
	add_kind("alone", AF_INET, "127.0.0.1", 18081, box_netns);
	want_rc(0, bind_name(graft(SOCK_STREAM), "alone"));
	want_rc(-EADDRINUSE, bind_name(graft(SOCK_STREAM), "alone"));
}

static int send_fd(int through, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec part = { (char[]){ "f" }, 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return (int)sendmsg(through, &message, 0);
}

static int receive_fd(int through)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(through, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/* Sent while fresh, grafted onto AF_UNIX in flight: it is not counted as one then, and
 * must not be when it arrives. Then sockets that are sent over themselves. */
static void in_flight(void)
{
	int pair[2], fd, got;

	add_kind("u", AF_UNIX, "@graft-flight", 0, -1);
	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	for (int i = 0; i < 3; i++) {
		fd = graft(SOCK_DGRAM);
		want_rc(1, send_fd(pair[0], fd));
		want_rc(0, bind_name(fd, "u"));
		if (i == 1)
			close(fd);
		got = receive_fd(pair[1]);
		want(true, got >= 0);
		want(AF_UNIX, get_int(got, SOL_SOCKET, SO_DOMAIN));
		if (i == 2)
			send_fd(got, got);
		close(got);
		close(fd);
	}
	for (int i = 0; i < 20; i++) {
		fd = graft(SOCK_DGRAM);
		need(bind_name(fd, "u") == 0 && connect_name(fd, "u") == 0);
		want_rc(1, send_fd(fd, fd));
		close(fd);
		/* The kernel collects what holds itself when another one is closed. */
		close(socket(AF_UNIX, SOCK_DGRAM, 0));
		send_fd(pair[0], pair[1]);
		receive_fd(pair[1]);
		fd = socket(AF_UNIX, SOCK_DGRAM, 0);
		for (int tries = 0; tries < 1000; tries++) {
			int again = graft(SOCK_DGRAM);
			int r = bind_name(again, "u");

			close(again);
			if (r == 0)
				break;
			close(socket(AF_UNIX, SOCK_DGRAM, 0));
			usleep(1000);
			want(true, tries < 999);
		}
		close(fd);
	}
}

const struct test_case kinds_cases[] = {
	{ "kinds.protocols", "11.30", "the protocol of socket() is kept", protocols },
	{ "kinds.ipv6", "11.8", "IPv6, and IPv4 from IPv6", ipv6 },
	{ "kinds.unix", "11.9", "AF_UNIX: paths and abstract names, three types",
	  unix_kinds },
	{ "kinds.unix_options", "", "AF_UNIX: options of a protocol", unix_options },
	{ "kinds.unix_roots", "11.9", "a path is the host's, in whatever root",
	  unix_roots },
	{ "kinds.placed", "", "an endpoint without an address", placed },
	{ "kinds.shared", "11.11", "several binders", shared },
	{ "kinds.in_flight", "", "grafted while in a message", in_flight },
};
const size_t n_kinds_cases = ARRAY_SIZE(kinds_cases);
