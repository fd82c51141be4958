/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The family "af_graft": endpoints that are there all the time, and those that come and
 * go while sockets are bound to them; messages that are well formed, and such that are
 * not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/graft.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"
#include "fuzz_message.h"

#define SOL_NETLINK_LEVEL 270

int netlink_open(int protocol)
{
	struct timeval limit = { .tv_usec = 200000 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), own;

	own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FUZZ_OWN_FD);
	if (fd >= 0)
		close(fd);
	if (own >= 0)
		setsockopt(own, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return own;
}

/* Of an answer: the attribute of that type behind @head bytes of the payload. */
static const struct nlattr *attribute_find(const void *from, size_t size, int type)
{
	const unsigned char *at = from, *end = at + size;
	const struct nlattr *attribute;

	for (; at + NLA_HDRLEN <= end; at += NLA_ALIGN(attribute->nla_len)) {
		attribute = (const struct nlattr *)at;
		if (attribute->nla_len < NLA_HDRLEN)
			break;
		if ((attribute->nla_type & NLA_TYPE_MASK) == type)
			return attribute;
	}
	return NULL;
}

static void group_find(const struct nlattr *groups)
{
	const struct nlattr *group, *id;

	group = groups ? attribute_find(groups + 1, groups->nla_len - NLA_HDRLEN, 1)
		       : NULL;
	id = group ? attribute_find(group + 1, group->nla_len - NLA_HDRLEN,
				    CTRL_ATTR_MCAST_GRP_ID)
		   : NULL;
	if (id)
		memcpy(&fuzz.netlink_group, id + 1, sizeof(uint32_t));
}

int netlink_find(void)
{
	struct genlmsghdr head = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 };
	union {
		struct nlmsghdr header;
		unsigned char bytes[8192];
	} answer;
	const size_t before = NLMSG_LENGTH(sizeof(head));
	const struct nlattr *attribute;
	struct message message;
	ssize_t size;
	int fd = netlink_open(NETLINK_GENERIC);

	message_init(&message, GENL_ID_CTRL, 0, &head, sizeof(head));
	message_put_string(&message, CTRL_ATTR_FAMILY_NAME, AF_GRAFT_GENL_NAME);
	send(fd, message.bytes, message.header.nlmsg_len, 0);
	size = recv(fd, answer.bytes, sizeof(answer.bytes), 0);
	close(fd);
	if (size < (ssize_t)before || answer.header.nlmsg_type != GENL_ID_CTRL)
		return -1;
	attribute =
		attribute_find(answer.bytes + before, size - before, CTRL_ATTR_FAMILY_ID);
	if (!attribute)
		return -1;
	fuzz.netlink_family = *(const uint16_t *)(attribute + 1);
	group_find(attribute_find(answer.bytes + before, size - before,
				  CTRL_ATTR_MCAST_GROUPS));
	return 0;
}

static void begin(struct message *message, int command, int flags)
{
	struct genlmsghdr head = { .cmd = command, .version = AF_GRAFT_GENL_VERSION };

	message_init(message, fuzz.netlink_family, flags, &head, sizeof(head));
}

static void put_space(struct message *message, int space)
{
	size_t nest = message_begin(message, GRAFT_A_NETNS);

	message_put_u32(message, GRAFT_NETNS_A_FD, fuzz.spaces[space]);
	message_put_string(message, GRAFT_NETNS_A_LABEL, "of-the-fuzzer");
	message_end(message, nest);
}

static void put_space_of(struct message *message, pid_t pid)
{
	size_t nest = message_begin(message, GRAFT_A_NETNS);

	message_put_u32(message, GRAFT_NETNS_A_PID, pid);
	message_end(message, nest);
}

static void put_rule(struct message *message, uint32_t uses, int uid, int gid)
{
	size_t nest = message_begin(message, GRAFT_A_RULE);

	message_put_u32(message, GRAFT_RULE_A_USES, uses);
	if (uid >= 0)
		message_put_u32(message, GRAFT_RULE_A_UID, uid);
	if (gid >= 0)
		message_put_u32(message, GRAFT_RULE_A_GID, gid);
	message_end(message, nest);
}

static void put_access(struct message *message, int n, uint32_t uses, int uid, int gid)
{
	size_t nest = message_begin(message, GRAFT_A_ACCESS);

	while (n-- > 0)
		put_rule(message, uses, uid, gid);
	message_end(message, nest);
}

static void put_address(struct message *message, int family, int port)
{
	uint32_t address = htonl(INADDR_LOOPBACK);

	message_put_u16(message, GRAFT_A_FAMILY, family);
	if (family == AF_INET)
		message_put(message, GRAFT_A_ADDRESS, &address, sizeof(address));
	if (family == AF_INET6)
		message_put(message, GRAFT_A_ADDRESS, &in6addr_loopback, 16);
	if (port)
		message_put_u16(message, GRAFT_A_PORT, htons(port));
}

static int add(const char *name, int family, int port, const char *path, int space)
{
	int fd = netlink_open(NETLINK_GENERIC), result;
	struct message message;

	begin(&message, GRAFT_CMD_ENDPOINT_NEW, NLM_F_ACK);
	message_put_string(&message, GRAFT_A_NAME, name);
	put_address(&message, family, port);
	if (path)
		message_put(&message, GRAFT_A_PATH, path, 1 + strlen(path + 1));
	put_space(&message, space);
	if (port % 4 == 1)
		message_put_u32(&message, GRAFT_A_FLAGS, GRAFT_F_SHARE);
	if (port % 4 == 2)
		put_access(&message, 1, GRAFT_USE_ALL, -1, -1);
	result = message_talk(fd, &message);
	close(fd);
	if (result < 0)
		printf("cannot add endpoint %s: %s\n", name, strerror(-result));
	return result;
}

/* See random_name(). */
int netlink_endpoints(void)
{
	char name[17], path[16];
	int i, result = 0;

	for (i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "fixed%d", i);
		result |= add(name, i % 3 ? AF_INET : AF_INET6, FUZZ_PORT + i, NULL,
			      i % FUZZ_SPACES);
	}
	for (i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "dynamic%d", i);
		result |= add(name, i % 3 ? AF_INET : AF_INET6, 0, NULL, i % FUZZ_SPACES);
	}
	for (i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "unix%d", i);
		snprintf(path, sizeof(path), "%cfuzz%d", i % 2 ? '/' : 0, i);
		result |= add(name, AF_UNIX, 0, path, i % FUZZ_SPACES);
	}
	for (i = 0; i < FUZZ_SPACES; i++) {
		snprintf(name, sizeof(name), "space%d", i);
		result |= add(name, AF_UNSPEC, 0, NULL, i);
	}
	return result | add("sixteen-letters-", AF_INET, FUZZ_PORT + 12, NULL, 0);
}

int netlink_endpoints_initial(bool is_add)
{
	int fd = netlink_open(NETLINK_GENERIC), i, result = 0;
	struct message message;
	char name[17];

	for (i = 0; i < 2; i++) {
		begin(&message, is_add ? GRAFT_CMD_ENDPOINT_NEW : GRAFT_CMD_ENDPOINT_DEL,
		      NLM_F_ACK);
		snprintf(name, sizeof(name), "init%d", i);
		message_put_string(&message, GRAFT_A_NAME, name);
		if (is_add) {
			put_address(&message, AF_INET, i ? FUZZ_PORT + 20 : 0);
			put_space(&message, i);
			put_access(&message, 1, GRAFT_USE_ALL, -1, -1);
		}
		result = message_talk(fd, &message);
		if (result < 0 && is_add)
			printf("cannot add endpoint %s: %s\n", name, strerror(-result));
	}
	close(fd);
	return result;
}

int netlink_watch(int number, int space)
{
	struct ifinfomsg head = { .ifi_family = AF_UNSPEC };
	int fd = netlink_open(NETLINK_ROUTE), result;
	struct message message;
	size_t info, data, peer;
	char name[16];

	message_init(&message, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &head,
		     sizeof(head));
	snprintf(name, sizeof(name), "watch%d", number);
	message_put_string(&message, IFLA_IFNAME, name);
	info = message_begin(&message, IFLA_LINKINFO);
	message_put_string(&message, IFLA_INFO_KIND, "veth");
	data = message_begin(&message, IFLA_INFO_DATA);
	peer = message_begin(&message, VETH_INFO_PEER);
	memcpy(message.bytes + message.header.nlmsg_len, &head, sizeof(head));
	message.header.nlmsg_len += sizeof(head);
	message_put_string(&message, IFLA_IFNAME, name);
	message_put_u32(&message, IFLA_NET_NS_FD, space);
	message_end(&message, peer);
	message_end(&message, data);
	message_end(&message, info);
	result = message_talk(fd, &message);
	close(fd);
	return result;
}

/* What a socket still has to say when nobody has a descriptor of it any more is given up
 * soon, where there is such a setting. */
static void linger_briefly(void)
{
	static const char *const settings[][2] = {
		{ "ipv4/tcp_orphan_retries", "1" },
		{ "ipv4/tcp_fin_timeout", "1" },
		{ "sctp/rto_max", "1000" },
		{ "sctp/rto_initial", "500" },
		{ "sctp/association_max_retrans", "2" },
	};
	char path[80];
	size_t i;
	int fd;

	for (i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		snprintf(path, sizeof(path), "/proc/sys/net/%s", settings[i][0]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (write(fd, settings[i][1], strlen(settings[i][1])) < 0)
			perror(path);
		close(fd);
	}
}

int loopback_up(void)
{
	struct ifreq ifreq = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result = ioctl(fd, SIOCSIFFLAGS, &ifreq);

	close(fd);
	linger_briefly();
	return result;
}

/* --- random messages ------------------------------------------------------------- */

static void put_anything(struct actor *actor, struct message *message, int depth)
{
	int i, n = random_below(actor, 4);
	size_t nest;

	for (i = 0; i < n; i++) {
		if (depth < 5 && random_one_in(actor, 3)) {
			nest = message_begin(message,
					     random_below(actor, __GRAFT_A_MAX + 2));
			put_anything(actor, message, depth + 1);
			message_end(message, nest);
		} else {
			message_put(message, random_below(actor, __GRAFT_A_MAX + 2),
				    actor->bytes,
				    random_fill(actor,
						random_one_in(actor, 8) ? 300 : 20));
		}
	}
}

/* As it should be: what the table of graft.h says, with one thing or other amiss. */
static void put_endpoint(struct actor *actor, struct message *message)
{
	static const int families[] = { AF_INET, AF_INET,   AF_INET6,
					AF_UNIX, AF_UNSPEC, AF_GRAFT };
	int family = random_of(actor, families);
	char path[] = "\0fuzz0";

	put_address(message, family,
		    random_one_in(actor, 2) ? FUZZ_PORT + (int)random_below(actor, 24)
					    : 0);
	if (family == AF_UNIX) {
		path[0] = random_one_in(actor, 2) ? '/' : 0;
		path[5] += random_below(actor, 8);
		message_put(message, GRAFT_A_PATH, path, 1 + random_below(actor, 6));
	}
	if (random_one_in(actor, 16))
		message_put_u32(message, GRAFT_A_SCOPE, random_int(actor));
	if (!random_one_in(actor, 4))
		put_space(message, random_below(actor, FUZZ_SPACES));
	else if (random_one_in(actor, 4))
		put_space_of(message,
			     random_one_in(actor, 4) ? random_int(actor) : getpid());
	if (random_one_in(actor, 2))
		message_put_u32(message, GRAFT_A_FLAGS,
				random_one_in(actor, 16) ? random_bits(actor)
							 : random_below(actor, 2));
	if (random_one_in(actor, 3))
		put_access(message, random_below(actor, random_one_in(actor, 8) ? 20 : 3),
			   random_below(actor, 5), random_one_in(actor, 2) ? -1 : 65534,
			   random_one_in(actor, 2) ? -1 : 0);
}

static void put_v0(struct actor *actor, struct message *message)
{
	struct graft_genl_endpoint endpoint;
	struct sockaddr_storage address;
	char name[17];

	memset(&endpoint, 0, sizeof(endpoint));
	random_name(actor, name);
	memcpy(endpoint.name, name, sizeof(endpoint.name));
	endpoint.addrlen = random_address(actor, &address);
	memcpy(endpoint.saddr, &address, sizeof(address));
	endpoint.netns_fd = random_one_in(actor, 4)
				    ? random_int(actor)
				    : fuzz.spaces[random_below(actor, FUZZ_SPACES)];
	endpoint.netns_pid = random_one_in(actor, 8) ? random_int(actor) : 0;
	message_put(message, AF_GRAFT_ATTR_ENDPOINT, &endpoint,
		    random_one_in(actor, 8) ? random_below(actor, sizeof(endpoint))
					    : sizeof(endpoint));
}

/* Bytes that are not what they were, ends that are not where they were. */
static void spoil(struct actor *actor, struct message *message)
{
	uint32_t length = message->header.nlmsg_len, at = NLMSG_LENGTH(GENL_HDRLEN);
	int n = 1 + random_below(actor, 4);

	if (length > at && random_one_in(actor, 2))
		while (n-- > 0)
			message->bytes[at + random_below(actor, length - at)] =
				random_bits(actor);
	else
		message->header.nlmsg_len = random_one_in(actor, 2)
						    ? random_below(actor, length + 1)
						    : length + random_below(actor, 500);
}

static int netlink_of(struct actor *actor)
{
	if (actor->netlink >= 0 && random_one_in(actor, 16)) {
		close(actor->netlink);
		actor->netlink = -1;
	}
	if (actor->netlink < 0)
		actor->netlink = netlink_open(NETLINK_GENERIC);
	return actor->netlink;
}

static int request(struct actor *actor, int command, int flags, bool has_name)
{
	static _Thread_local struct message message;
	char name[17];

	begin(&message, command, flags);
	if (has_name) {
		random_name(actor, name);
		if (random_one_in(actor, 2)) /* most of the others stay */
			snprintf(name, sizeof(name), "new%u", random_below(actor, 8));
		message_put_string(&message, GRAFT_A_NAME, name);
	}
	if (command == GRAFT_CMD_ENDPOINT_NEW)
		put_endpoint(actor, &message);
	if (random_one_in(actor, 16))
		put_anything(actor, &message, 0);
	if (random_one_in(actor, 8))
		spoil(actor, &message);
	message.header.nlmsg_seq = 1 + random_below(actor, 1000);
	return message_talk(netlink_of(actor), &message) < 0 ? -1 : 0;
}

static int call_add(struct actor *actor)
{
	return request(actor, GRAFT_CMD_ENDPOINT_NEW, NLM_F_ACK, true);
}

static int call_delete(struct actor *actor)
{
	return request(actor, GRAFT_CMD_ENDPOINT_DEL, NLM_F_ACK, true);
}

static int call_get(struct actor *actor)
{
	return request(actor, GRAFT_CMD_ENDPOINT_GET, NLM_F_ACK, true);
}

static int call_dump(struct actor *actor)
{
	/* Half of them are left in the middle. */
	if (random_one_in(actor, 2)) {
		struct message message;
		int fd = netlink_of(actor);

		begin(&message,
		      random_one_in(actor, 4) ? AF_GRAFT_CMD_GET_ENDPOINT
					      : GRAFT_CMD_ENDPOINT_GET,
		      NLM_F_DUMP);
		return send(fd, message.bytes, message.header.nlmsg_len, 0) < 0 ? -1 : 0;
	}
	return request(actor, GRAFT_CMD_ENDPOINT_GET, NLM_F_DUMP, false);
}

static int call_old(struct actor *actor)
{
	struct message message;
	int command = random_below(actor, 3);

	begin(&message, command,
	      command == AF_GRAFT_CMD_GET_ENDPOINT ? NLM_F_DUMP : NLM_F_ACK);
	((struct genlmsghdr *)NLMSG_DATA(&message.header))->version = 0;
	put_v0(actor, &message);
	if (random_one_in(actor, 8))
		spoil(actor, &message);
	message.header.nlmsg_seq = 1 + random_below(actor, 1000);
	return message_talk(netlink_of(actor), &message) < 0 ? -1 : 0;
}

static int call_nonsense(struct actor *actor)
{
	struct message message;

	begin(&message, random_below(actor, GRAFT_CMD_MAX + 2),
	      NLM_F_ACK | (random_one_in(actor, 4) ? random_bits(actor) & 0xf00 : 0));
	put_anything(actor, &message, 0);
	if (random_one_in(actor, 2))
		spoil(actor, &message);
	message.header.nlmsg_seq = 1 + random_below(actor, 1000);
	return message_talk(netlink_of(actor), &message) < 0 ? -1 : 0;
}

/* Somebody who listens, or no longer does; what came is read, or not. */
static int call_listen_events(struct actor *actor)
{
	int fd = slot_get(actor);

	if (random_one_in(actor, 2))
		return recv(fd, actor->bytes, sizeof(actor->bytes), MSG_DONTWAIT) < 0 ? -1
										      : 0;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_GENERIC);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_NETLINK_LEVEL, NETLINK_ADD_MEMBERSHIP, &fuzz.netlink_group,
		   sizeof(fuzz.netlink_group));
	return slot_put(actor, fd);
}

const struct fuzz_call netlink_calls[] = {
	{ "endpoint add", 10, call_add },
	{ "endpoint delete", 8, call_delete },
	{ "endpoint get", 4, call_get },
	{ "endpoint dump", 4, call_dump },
	{ "endpoint v0", 4, call_old },
	{ "endpoint nonsense", 4, call_nonsense },
	{ "endpoint events", 3, call_listen_events },
	{},
};
