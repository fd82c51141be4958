/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program as it was written for the module of 2017-2019, with that one's header, which
 * is repeated here: it shall work with this module as it is. Built as 64-bit and as
 * 32-bit code. Root; in the initial network namespace. Status 0, or 1 with what was
 * wrong.
 *
 *	old_abi [bind|connect NAME]	does just this; prints ok, or what was wrong
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the old header ----------------------------------------------------------------- */

#define AF_GRAFT   4
#define EPNAME_MAX 16

struct sockaddr_gr {
	__kernel_sa_family_t sgr_family;
	char sgr_epname[EPNAME_MAX];
};

enum { CMD_ADD, CMD_DEL, CMD_GET };
enum { ATTR_NONE, ATTR_ENDPOINT };

struct graft_genl_endpoint {
	char name[EPNAME_MAX];
	char netns_path[108];
	int netns_fd;
	int netns_pid;
	ssize_t addrlen;
	struct sockaddr_storage saddr;
} __attribute__((packed));

_Static_assert(sizeof(struct sockaddr_gr) == 18, "as it was");
_Static_assert(sizeof(struct graft_genl_endpoint) == 260 + sizeof(ssize_t), "as it was");

/* --- what is wanted ----------------------------------------------------------------- */

static int n_failures;

#define WANT(wanted, got) want(__LINE__, #got, (wanted), (got))

static void want(int line, const char *what, long wanted, long got)
{
	if (wanted == got)
		return;
	printf("line %d: %s is %ld, not %ld\n", line, what, got, wanted);
	n_failures++;
}

#define MUST(what)                                                       \
	do {                                                             \
		if (!(what)) {                                           \
			printf("line %d: not %s: %s\n", __LINE__, #what, \
			       strerror(errno));                         \
			exit(1);                                         \
		}                                                        \
	} while (0)

static void set_name(char to[EPNAME_MAX], const char *name)
{
	for (int i = 0; i < EPNAME_MAX && name[i]; i++)
		to[i] = name[i];
}

/* --- netlink by hand, as libgenl of iproute2 does it ------------------------------- */

struct request {
	struct nlmsghdr n;
	struct genlmsghdr g;
	char attributes[1000];
};

static int family;

static int open_netlink(void)
{
	struct sockaddr_nl name = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);

	MUST(fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0);
	return fd;
}

static void begin(struct request *request, int type, int flags, int command)
{
	memset(request, 0, sizeof(*request));
	request->n.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	request->n.nlmsg_type = (__u16)type;
	request->n.nlmsg_flags = (__u16)(NLM_F_REQUEST | flags);
	request->g.cmd = (__u8)command;
}

static void put(struct request *request, int type, const void *data, size_t size)
{
	struct nlattr *attr =
		(void *)((char *)request + NLMSG_ALIGN(request->n.nlmsg_len));

	attr->nla_type = (__u16)type;
	attr->nla_len = (__u16)(NLA_HDRLEN + size);
	memcpy((char *)attr + NLA_HDRLEN, data, size);
	request->n.nlmsg_len =
		NLMSG_ALIGN(request->n.nlmsg_len) + NLA_ALIGN(attr->nla_len);
}

/* Return: what the acknowledgement says. */
static int talk(const struct request *request)
{
	_Alignas(NLMSG_ALIGNTO) char buffer[8192];
	const struct nlmsghdr *answer = (void *)buffer;
	int fd = open_netlink();

	MUST(send(fd, request, request->n.nlmsg_len, 0) > 0);
	MUST(recv(fd, buffer, sizeof(buffer), 0) >= (ssize_t)sizeof(*answer));
	close(fd);
	MUST(answer->nlmsg_type == NLMSG_ERROR);
	return ((const struct nlmsgerr *)NLMSG_DATA(answer))->error;
}

static void find_family(void)
{
	_Alignas(NLMSG_ALIGNTO) char buffer[8192];
	const struct nlmsghdr *answer = (void *)buffer;
	const struct nlattr *attr = (void *)(buffer + NLMSG_LENGTH(GENL_HDRLEN));
	struct request request;
	int fd = open_netlink();

	begin(&request, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY);
	put(&request, CTRL_ATTR_FAMILY_NAME, "af_graft", sizeof("af_graft"));
	MUST(send(fd, &request, request.n.nlmsg_len, 0) > 0);
	MUST(recv(fd, buffer, sizeof(buffer), 0) > 0);
	MUST(answer->nlmsg_type == GENL_ID_CTRL);
	for (; (const char *)attr < buffer + answer->nlmsg_len;
	     attr = (const void *)((const char *)attr + NLA_ALIGN(attr->nla_len)))
		if (attr->nla_type == CTRL_ATTR_FAMILY_ID)
			family = *(const __u16 *)((const char *)attr + NLA_HDRLEN);
	close(fd);
	MUST(family != 0);
}

static int ask(int command, const struct graft_genl_endpoint *endpoint)
{
	struct request request;

	begin(&request, family, NLM_F_ACK, command);
	if (endpoint)
		put(&request, ATTR_ENDPOINT, endpoint, sizeof(*endpoint));
	return talk(&request);
}

static int del(const char *name)
{
	struct graft_genl_endpoint endpoint = { .addrlen = 0 };

	set_name(endpoint.name, name);
	return ask(CMD_DEL, &endpoint);
}

/* Looks for @name in a dump. Return: how many there are in all, -1 without it. */
static int find(const char *name, struct graft_genl_endpoint *ret)
{
	_Alignas(NLMSG_ALIGNTO) char buffer[32768];
	struct request request;
	int fd = open_netlink(), n_all = 0, found = 0;

	begin(&request, family, NLM_F_ROOT | NLM_F_MATCH, CMD_GET);
	MUST(send(fd, &request, request.n.nlmsg_len, 0) > 0);
	for (;;) {
		ssize_t left = recv(fd, buffer, sizeof(buffer), 0);
		const struct nlmsghdr *at = (void *)buffer;

		MUST(left > 0);
		for (; NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
			const struct genlmsghdr *header = NLMSG_DATA(at);
			const struct nlattr *attr = (const void *)(header + 1);

			if (at->nlmsg_type == NLMSG_DONE) {
				close(fd);
				return found ? n_all : -1;
			}
			WANT(family, at->nlmsg_type);
			WANT(NLM_F_MULTI, at->nlmsg_flags);
			WANT(CMD_GET, header->cmd);
			WANT(ATTR_ENDPOINT, attr->nla_type);
			WANT(NLA_HDRLEN + (long)sizeof(*ret), attr->nla_len);
			n_all++;
			if (strncmp((const char *)(attr + 1), name, EPNAME_MAX) != 0)
				continue;
			memcpy(ret, attr + 1, sizeof(*ret));
			found = 1;
		}
	}
}

/* --- endpoints ---------------------------------------------------------------------- */

static struct sockaddr_in address(in_port_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
}

static struct graft_genl_endpoint inet(const char *name, in_port_t port)
{
	struct graft_genl_endpoint endpoint = { .addrlen = sizeof(struct sockaddr_in) };
	struct sockaddr_in in = address(port);

	set_name(endpoint.name, name);
	memcpy((char *)&endpoint + offsetof(struct graft_genl_endpoint, saddr), &in,
	       sizeof(in));
	return endpoint;
}

static struct graft_genl_endpoint local(const char *name, const char *path)
{
	struct graft_genl_endpoint endpoint = { .addrlen = sizeof(struct sockaddr_un) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	set_name(endpoint.name, name);
	strcpy(un.sun_path, path);
	memcpy((char *)&endpoint + offsetof(struct graft_genl_endpoint, saddr), &un,
	       sizeof(un));
	return endpoint;
}

static void check_same(const struct graft_genl_endpoint *added)
{
	struct graft_genl_endpoint shown;

	MUST(find(added->name, &shown) > 0);
	WANT(0, memcmp(added, &shown, sizeof(shown)));
	WANT(0, del(added->name));
	WANT(-1, find(added->name, &shown));
}

static void check_endpoints(void)
{
	struct graft_genl_endpoint endpoint = inet("ep-test", 8080);

	WANT(0, ask(CMD_ADD, &endpoint));
	WANT(-EEXIST, ask(CMD_ADD, &endpoint));
	check_same(&endpoint);
	WANT(-ENOENT, del("ep-test"));

	endpoint = inet("sixteen-of-them!", 0);
	endpoint.netns_pid = getpid();
	strcpy(endpoint.netns_path, "some text");
	endpoint.netns_path[4] = '-';
	WANT(0, ask(CMD_ADD, &endpoint));
	check_same(&endpoint);

	endpoint = local("ep u", "/tmp/old_abi.sock");
	endpoint.netns_fd = open("/proc/self/ns/net", O_RDONLY);
	strcpy(endpoint.netns_path, "/proc/self/ns/net");
	MUST(endpoint.netns_fd > 0);
	WANT(0, ask(CMD_ADD, &endpoint));
	close(endpoint.netns_fd);
	check_same(&endpoint);
}

static void check_refusals(void)
{
	struct graft_genl_endpoint endpoint = inet("", 8080);
	struct request request;

	WANT(-EINVAL, ask(CMD_ADD, NULL));
	WANT(-EINVAL, ask(CMD_DEL, NULL));
	WANT(-EINVAL, ask(CMD_ADD, &endpoint));
	endpoint = inet("a\nb", 8080);
	WANT(-EINVAL, ask(CMD_ADD, &endpoint));
	endpoint = inet("x", 8080);
	endpoint.netns_fd = 999;
	WANT(-EBADF, ask(CMD_ADD, &endpoint));
	endpoint = inet("x", 8080);
	endpoint.netns_pid = 0x7ffffff;
	WANT(-ESRCH, ask(CMD_ADD, &endpoint));
	for (ssize_t len = -1; len <= 129; len++) {
		int fits = len >= (ssize_t)sizeof(struct sockaddr_in) && len <= 128;

		endpoint = inet("x", 8080);
		endpoint.addrlen = len;
		WANT(fits ? 0 : -EINVAL, ask(CMD_ADD, &endpoint));
		WANT(fits ? 0 : -ENOENT, del("x"));
	}
	endpoint = inet("x", 8080);
	for (size_t size = 0; size < sizeof(endpoint) - 4; size++) {
		begin(&request, family, NLM_F_ACK, CMD_ADD);
		put(&request, ATTR_ENDPOINT, &endpoint, size);
		WANT(-EINVAL, talk(&request));
	}
}

/* What new commands refuse was not looked at. */
static void check_sloppy(void)
{
	struct graft_genl_endpoint endpoint = inet("x", 8080);
	struct request request;
	int number = 1;

	begin(&request, family, NLM_F_ACK, CMD_ADD);
	request.g.version = 7;
	request.g.reserved = 1;
	put(&request, ATTR_ENDPOINT, &endpoint, sizeof(endpoint));
	put(&request, 77, &number, sizeof(number));
	WANT(0, talk(&request));
	WANT(0, del("x"));
}

/* --- sockets ------------------------------------------------------------------------ */

static int graft_socket(const char *name)
{
	struct sockaddr_gr address = { .sgr_family = AF_GRAFT };
	int fd = socket(AF_GRAFT, SOCK_STREAM, 0);

	MUST(fd >= 0);
	set_name(address.sgr_epname, name);
	MUST(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void check_sockets(void)
{
	struct graft_genl_endpoint endpoint = inet("ep-test", 8080);
	struct sockaddr_gr name = { .sgr_family = 0 };
	struct sockaddr_in to = address(8080);
	socklen_t size = sizeof(name);
	int server, client;

	WANT(0, ask(CMD_ADD, &endpoint));
	server = graft_socket("ep-test");
	WANT(0, getsockname(server, (struct sockaddr *)&name, &size));
	WANT(18, size);
	WANT(AF_GRAFT, name.sgr_family);
	WANT(0, strcmp(name.sgr_epname, "ep-test"));
	WANT(0, listen(server, 1));
	client = socket(AF_INET, SOCK_STREAM, 0);
	WANT(0, connect(client, (struct sockaddr *)&to, sizeof(to)));
	close(client);
	close(server);
	WANT(0, del("ep-test"));
}

/* Neither fd nor pid: the initial namespace, from wherever it was added. */
static void check_default_namespace(void)
{
	struct graft_genl_endpoint endpoint = inet("ep-test", 8081);
	int host = open("/proc/self/ns/net", O_RDONLY), server, client;
	struct sockaddr_in to = address(8081);

	MUST(host >= 0 && unshare(CLONE_NEWNET) == 0);
	WANT(0, ask(CMD_ADD, &endpoint));
	server = graft_socket("ep-test");
	WANT(0, listen(server, 1));
	MUST(setns(host, CLONE_NEWNET) == 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	WANT(0, connect(client, (struct sockaddr *)&to, sizeof(to)));
	WANT(-ENOENT, del("ep-test"));
	close(client);
	close(server);
	close(host);
}

static void check_ordinary_user(void)
{
	struct graft_genl_endpoint endpoint = inet("ep-test", 8080), shown;
	int status;
	pid_t pid;

	WANT(0, ask(CMD_ADD, &endpoint));
	pid = fork();
	if (pid == 0) {
		MUST(setuid(1000) == 0);
		WANT(-EPERM, ask(CMD_ADD, &endpoint));
		WANT(-EPERM, del("ep-test"));
		WANT(1, find("ep-test", &shown));
		exit(n_failures != 0);
	}
	MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
	WANT(0, status);
	WANT(0, del("ep-test"));
}

static int use(const char *how, const char *name)
{
	int (*call)(int fd, const struct sockaddr *address, socklen_t size) =
		strcmp(how, "bind") == 0 ? bind : connect;
	struct sockaddr_gr address = { .sgr_family = AF_GRAFT };
	int fd = socket(AF_GRAFT, SOCK_STREAM, 0);

	set_name(address.sgr_epname, name);
	if (fd < 0 || call(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		printf("%s\n", strerrorname_np(errno));
		return 1;
	}
	printf("ok\n");
	return 0;
}

int main(int argc, char **argv)
{
	setbuf(stdout, NULL);
	if (argc == 3)
		return use(argv[1], argv[2]);
	find_family();
	check_endpoints();
	check_refusals();
	check_sloppy();
	check_sockets();
	check_ordinary_user();
	check_default_namespace();
	return n_failures != 0;
}
