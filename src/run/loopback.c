/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "run/loopback.h"

#define ROUTE_WAIT_MS 1000

int loopback_up(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo" };

	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return -errno;
	request.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

/* RTM_NEWADDR */
struct address_request {
	struct nlmsghdr head;
	struct ifaddrmsg address;
	struct rtattr attribute;
	struct in6_addr value;
};

static size_t fill_request(struct address_request *request,
			   const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	bool is_v4 = address->sa_family == AF_INET;
	size_t size = is_v4 ? sizeof(v4->sin_addr) : sizeof(v6->sin6_addr);

	memset(request, 0, sizeof(*request));
	request->head.nlmsg_type = RTM_NEWADDR;
	request->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	request->head.nlmsg_len =
		(uint32_t)(offsetof(struct address_request, value) + size);
	request->address.ifa_family = (uint8_t)address->sa_family;
	request->address.ifa_prefixlen = (uint8_t)(size * 8);
	request->address.ifa_flags = is_v4 ? 0 : IFA_F_NODAD;
	request->address.ifa_scope = RT_SCOPE_HOST;
	request->address.ifa_index = if_nametoindex("lo");
	request->attribute.rta_type = IFA_LOCAL;
	request->attribute.rta_len = (uint16_t)RTA_LENGTH(size);
	memcpy(&request->value,
	       is_v4 ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr, size);
	return request->head.nlmsg_len;
}

static int add(const struct sockaddr *address)
{
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct address_request request;
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[256];
	} answer;
	size_t size = fill_request(&request, address);
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (send(fd, &request, size, 0) < 0)
		return -errno;
	n = recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(answer.head) + sizeof(answer.error) ||
	    answer.head.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error == -EEXIST ? 0 : answer.error.error;
}

/* Whether a byte from the socket to itself, bound to @here, arrives. */
static bool reaches_itself(int fd, const struct sockaddr_in6 *here)
{
	struct pollfd ready = { fd, POLLIN, 0 };
	char byte = 0;

	return connect(fd, (const struct sockaddr *)here, sizeof(*here)) == 0 &&
	       send(fd, &byte, sizeof(byte), 0) == sizeof(byte) &&
	       poll(&ready, 1, 1) == 1 && recv(fd, &byte, sizeof(byte), 0) >= 0;
}

/*
 * The kernel puts the local route to a new IPv6 address in place from a work queue.
 * Until then it can be bound and there is a route for its prefix, but what is sent to it
 * comes back as unreachable; so send something.
 */
static void await_route(const struct sockaddr_in6 *address)
{
	_cleanup_fd_ int fd =
		socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in6 here = *address;
	socklen_t size = sizeof(here);

	here.sin6_port = 0;
	if (fd < 0 || bind(fd, (const struct sockaddr *)&here, size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&here, &size) < 0)
		return;
	for (int i = 0; i < ROUTE_WAIT_MS && !reaches_itself(fd, &here); i++)
		poll(NULL, 0, 1);
}

int loopback_add(const struct sockaddr *address)
{
	int r = add(address);

	if (r == 0 && address->sa_family == AF_INET6)
		await_route((const struct sockaddr_in6 *)address);
	return r;
}
