/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scenarios: what programs do with sockets of AF_GRAFT, and what who administers
 * endpoints does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/graft.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fault.h"
#include "fuzz.h"
#include "fuzz_message.h"

#ifndef IPPROTO_MPTCP
#	define IPPROTO_MPTCP 262
#endif

struct fuzz fuzz;
static int home = -1; /* where the sockets are made */

static struct sockaddr_storage address;
static socklen_t address_size;

/* Sets @address to an endpoint, or to where it would be. */
static void address_set(const char *name)
{
	struct sockaddr_gr *graft = (struct sockaddr_gr *)&address;
	struct sockaddr_in *in = (struct sockaddr_in *)&address;

	memset(&address, 0, sizeof(address));
	if (fault_family == AF_GRAFT) {
		graft->sgr_family = AF_GRAFT;
		memcpy(graft->sgr_epname, name, strnlen(name, AF_GRAFT_EPNAME_MAX));
		address_size = sizeof(*graft);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = htons(FUZZ_PORT + (unsigned char)name[0]);
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		address_size = sizeof(*in);
	}
}

static int make(int type, int protocol)
{
	int fd = fault_keep(socket(fault_family, type | SOCK_CLOEXEC, protocol));
	int one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return -1;
	return fd;
}

static int bind_to(int fd, const char *name)
{
	address_set(name);
	return fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, address_size);
}

static int connect_to(int fd, const char *name)
{
	address_set(name);
	return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, address_size);
}

/* A fault at the other end may have lost it. */
static ssize_t read_soon(int fd, char *bytes, size_t size)
{
	if (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 2000) != 1)
		return -1;
	return read(fd, bytes, size);
}

/* Both ends say something, and ask for names. */
static int talk(int client, int server)
{
	struct sockaddr_storage name;
	socklen_t size = sizeof(name);
	char bytes[8];

	if (write(client, "question", 8) != 8 || read_soon(server, bytes, 8) != 8 ||
	    write(server, "answer", 6) != 6 || read_soon(client, bytes, 8) != 6 ||
	    getsockname(client, (struct sockaddr *)&name, &size) < 0)
		return -1;
	size = sizeof(name);
	return getpeername(client, (struct sockaddr *)&name, &size);
}

static int meet(const char *name, int type, int protocol)
{
	int listener = make(type, protocol), client, server;

	if (bind_to(listener, name) < 0 || listen(listener, 4) < 0)
		return -1;
	client = make(type, protocol);
	if (connect_to(client, name) < 0)
		return -1;
	/* As above. */
	if (poll(&(struct pollfd){ .fd = listener, .events = POLLIN }, 1, 2000) != 1)
		return -1;
	server = fault_keep(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	if (server < 0)
		return -1;
	fcntl(server, F_SETFL, O_NONBLOCK);
	fcntl(client, F_SETFL, O_NONBLOCK);
	return talk(client, server);
}

static int run_stream(void)
{
	return meet("in", SOCK_STREAM, 0);
}

static int run_stream6(void)
{
	return meet("in6", SOCK_STREAM, 0);
}

static int run_unix(void)
{
	return meet("unix", SOCK_STREAM, 0);
}

static int run_path(void)
{
	return meet("path", SOCK_STREAM, 0);
}

static int clean_path(void)
{
	return unlink("/fault");
}

static int run_mptcp(void)
{
	return meet("in", SOCK_STREAM, IPPROTO_MPTCP);
}

static int run_sctp(void)
{
	return meet("in", SOCK_STREAM, IPPROTO_SCTP);
}

/* Options first, some of them in vain. */
static int run_options(void)
{
	struct {
		struct graft_sso_trans head;
		int value;
	} __attribute__((packed))
	trans = { { IPPROTO_TCP, TCP_NODELAY, sizeof(int) }, 1 };
	struct graft_sso_result results[8];
	socklen_t size = sizeof(results);
	int fd = make(SOCK_STREAM, 0), one = 1;

	if (setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_TRANSPARENT, &trans, sizeof(trans)) <
		    0 ||
	    setsockopt(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, &one, sizeof(one)) <
		    0 ||
	    bind_to(fd, "in") < 0)
		return -1;
	if (setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED_EXECUTE, &one, sizeof(one)) <
	    0)
		return -1;
	return getsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_DELAYED_RESULT, results, &size);
}

static int run_datagram(void)
{
	int fd = make(SOCK_DGRAM | SOCK_NONBLOCK, 0), other = make(SOCK_DGRAM, 0);
	struct iovec part = { "some", 4 };
	struct mmsghdr messages[2];
	char bytes[8];
	int i;

	if (bind_to(fd, "in") < 0 || other < 0 ||
	    sendto(other, "some", 4, 0, (struct sockaddr *)&address, address_size) != 4)
		return -1;
	memset(messages, 0, sizeof(messages));
	for (i = 0; i < 2; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_name = &address,
						       .msg_namelen = address_size,
						       .msg_iov = &part,
						       .msg_iovlen = 1 };
	if (sendmmsg(other, messages, 2, 0) != 2)
		return -1;
	for (i = 0; i < 3; i++)
		if (recv(fd, bytes, sizeof(bytes), 0) != 4)
			return -1;
	return connect_to(other, "in");
}

/* Somebody waits for it before it is what it becomes. */
static int run_waiting(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
	int set = fault_keep(epoll_create1(EPOLL_CLOEXEC)), fd = make(SOCK_STREAM, 0);

	if (set < 0 || fd < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 ||
	    fcntl(fd, F_SETOWN, getpid()) < 0 ||
	    fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) < 0 ||
	    epoll_wait(set, &event, 1, 0) < 0 || bind_to(fd, "in") < 0 ||
	    listen(fd, 4) < 0)
		return -1;
	return epoll_wait(set, &event, 1, 0) < 0 ? -1 : 0;
}

/* Sent to somebody, unbound, who binds it. */
static int run_passed(void)
{
	_Alignas(struct cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int))];
	char byte = 0;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = (struct cmsghdr *)control;
	int pair[2], fd = make(SOCK_STREAM, 0), same;

	if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	fault_keep(pair[0]);
	fault_keep(pair[1]);
	memset(control, 0, sizeof(control));
	*header = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	if (sendmsg(pair[0], &message, 0) < 0)
		return -1;
	message.msg_controllen = sizeof(control);
	if (recvmsg(pair[1], &message, MSG_DONTWAIT) < 0 || message.msg_controllen == 0 ||
	    (message.msg_flags & MSG_CTRUNC))
		return -1;
	memcpy(&same, CMSG_DATA(header), sizeof(same));
	fault_keep(same);
	return bind_to(same, "in") < 0 || listen(fd, 4) < 0 ? -1 : 0;
}

/* An endpoint without an address, and an ordinary socket. */
static int run_space(void)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
				    .sin6_addr = in6addr_loopback };
	int fd = make(SOCK_STREAM, 0), family = AF_INET6;

	if (setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_FAMILY, &family, sizeof(family)) < 0 ||
	    bind_to(fd, "space") < 0 ||
	    bind(fd, (struct sockaddr *)&in6, sizeof(in6)) < 0)
		return -1;
	fd = make(SOCK_DGRAM, 0);
	if (setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_FAMILY, &family, sizeof(family)) < 0)
		return -1;
	return bind(fd, (struct sockaddr *)&in6, sizeof(in6));
}

/* --- who administers ------------------------------------------------------------- */

static void begin(struct message *message, int command, int flags)
{
	struct genlmsghdr head = { .cmd = command, .version = AF_GRAFT_GENL_VERSION };

	message_init(message, fuzz.netlink_family, flags, &head, sizeof(head));
	message->header.nlmsg_seq = 1;
}

static int talk_netlink(struct message *message)
{
	int fd = fault_keep(netlink_open(NETLINK_GENERIC)), result;

	if (fd < 0)
		return -1;
	result = message_talk(fd, message);
	if (result < 0)
		errno = -result;
	return result < 0 ? -1 : 0;
}

/* With all it may have. */
static int endpoint_add(const char *name, int family, const char *path, int space)
{
	uint32_t any = htonl(INADDR_LOOPBACK);
	struct message message;
	size_t nest, rule;

	begin(&message, GRAFT_CMD_ENDPOINT_NEW, NLM_F_ACK);
	message_put_string(&message, GRAFT_A_NAME, name);
	message_put_u16(&message, GRAFT_A_FAMILY, family);
	if (family == AF_INET)
		message_put(&message, GRAFT_A_ADDRESS, &any, sizeof(any));
	if (family == AF_INET6)
		message_put(&message, GRAFT_A_ADDRESS, &in6addr_loopback, 16);
	if (path)
		message_put(&message, GRAFT_A_PATH, path, 1 + strlen(path + 1));
	nest = message_begin(&message, GRAFT_A_NETNS);
	message_put_u32(&message, GRAFT_NETNS_A_FD, space);
	message_put_string(&message, GRAFT_NETNS_A_LABEL, "a-label");
	message_end(&message, nest);
	nest = message_begin(&message, GRAFT_A_ACCESS);
	rule = message_begin(&message, GRAFT_A_RULE);
	message_put_u32(&message, GRAFT_RULE_A_USES, GRAFT_USE_ALL);
	message_put_u32(&message, GRAFT_RULE_A_UID, 0);
	message_end(&message, rule);
	message_end(&message, nest);
	return talk_netlink(&message);
}

static int endpoint_delete(const char *name)
{
	struct message message;

	begin(&message, GRAFT_CMD_ENDPOINT_DEL, NLM_F_ACK);
	message_put_string(&message, GRAFT_A_NAME, name);
	return talk_netlink(&message);
}

/* With somebody bound to it who is still there when it goes, and somebody listening. */
static int run_netlink(void)
{
	int fd = make(SOCK_STREAM, 0), events = fault_keep(netlink_open(NETLINK_GENERIC));
	struct message message;

	if (setsockopt(events, 270 /* SOL_NETLINK */, NETLINK_ADD_MEMBERSHIP,
		       &fuzz.netlink_group, sizeof(fuzz.netlink_group)) < 0 ||
	    endpoint_add("mine", AF_INET, NULL, fuzz.spaces[1]) < 0 ||
	    bind_to(fd, "mine") < 0)
		return -1;
	begin(&message, GRAFT_CMD_ENDPOINT_GET, NLM_F_ACK);
	message_put_string(&message, GRAFT_A_NAME, "mine");
	if (talk_netlink(&message) < 0)
		return -1;
	begin(&message, GRAFT_CMD_ENDPOINT_GET, NLM_F_DUMP);
	if (talk_netlink(&message) < 0)
		return -1;
	begin(&message, AF_GRAFT_CMD_GET_ENDPOINT, NLM_F_DUMP);
	((struct genlmsghdr *)NLMSG_DATA(&message.header))->version = 0;
	return talk_netlink(&message) < 0 || endpoint_delete("mine") < 0 ? -1 : 0;
}

static int run_v0(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct graft_genl_endpoint endpoint = { .name = "mine",
						.netns_path = "somewhere",
						.netns_fd = fuzz.spaces[1],
						.addrlen = sizeof(in) };
	struct message message;
	int command;

	memcpy(endpoint.saddr, &in, sizeof(in));
	for (command = AF_GRAFT_CMD_ADD_ENDPOINT; command <= AF_GRAFT_CMD_DEL_ENDPOINT;
	     command++) {
		begin(&message, command, NLM_F_ACK);
		((struct genlmsghdr *)NLMSG_DATA(&message.header))->version = 0;
		message_put(&message, AF_GRAFT_ATTR_ENDPOINT, &endpoint,
			    sizeof(endpoint));
		if (talk_netlink(&message) < 0)
			return -1;
	}
	return 0;
}

static int clean_mine(void)
{
	return endpoint_delete("mine");
}

/* Sends without being bound: through "default-source", if that is there. */
static int prepare_source(void)
{
	return endpoint_add(GRAFT_DEFAULT_SOURCE, AF_INET, NULL, fuzz.spaces[1]);
}

static int clean_source(void)
{
	return endpoint_delete(GRAFT_DEFAULT_SOURCE);
}

/* A namespace with an endpoint in it that leads to another, and the other way round. */
static int run_namespace(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0 || loopback_up() < 0)
		return -1;
	fd = fault_keep(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
	if (fd < 0 || endpoint_add("there", AF_INET, NULL, fuzz.spaces[1]) < 0 ||
	    setns(home, CLONE_NEWNET) < 0)
		return -1;
	return endpoint_add("mine", AF_INET6, NULL, fd);
}

static int clean_namespace(void)
{
	setns(home, CLONE_NEWNET);
	return clean_mine();
}

int fault_world(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (unshare(CLONE_NEWNET) < 0 || loopback_up() < 0)
			return -1;
		fuzz.spaces[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	}
	home = fuzz.spaces[0];
	if (setns(home, CLONE_NEWNET) < 0)
		return -1;
	if (fault_family != AF_GRAFT)
		return 0;
	if (netlink_find() < 0 || endpoint_add("in", AF_INET, NULL, fuzz.spaces[1]) < 0 ||
	    endpoint_add("in6", AF_INET6, NULL, fuzz.spaces[1]) < 0 ||
	    endpoint_add("unix", AF_UNIX, "\0fault", fuzz.spaces[1]) < 0 ||
	    endpoint_add("path", AF_UNIX, "/fault", fuzz.spaces[0]) < 0)
		return -1;
	return endpoint_add("space", AF_UNSPEC, NULL, fuzz.spaces[1]);
}

const struct scenario scenarios[] = {
	{ "stream", run_stream, NULL, 1 },
	{ "stream6", run_stream6, NULL, 1, true },
	{ "mptcp", run_mptcp, NULL, 3 },
	{ "sctp", run_sctp, NULL, 3 },
	{ "unix", run_unix, NULL, 1, true },
	{ "path", run_path, clean_path, 1, true },
	{ "options", run_options, NULL, 1, true },
	{ "datagram", run_datagram, NULL, 1 },
	{ "waiting", run_waiting, NULL, 1 },
	{ "passed", run_passed, NULL, 1 },
	{ "space", run_space, NULL, 1, true },
	{ "netlink", run_netlink, clean_mine, 1, true },
	{ "version 0", run_v0, clean_mine, 1, true },
	{ "source stream", run_stream, clean_source, 1, true, prepare_source },
	{ "source datagram", run_datagram, clean_source, 1, true, prepare_source },
	{ "namespace", run_namespace, clean_namespace, 29, true },
	{},
};
