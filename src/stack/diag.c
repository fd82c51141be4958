/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking the kernel about sockets by address (NETLINK_SOCK_DIAG).
 *
 * The two families of answers read a request differently: for TCP the source is the
 * socket's own address; for UDP source and destination are those of a packet on its way
 * to the socket, so its own address is the destination.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/fd.h"
#include "stack/diag.h"
#include "stack/stack.h"

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

static void put_address(const union address *address, __be32 *ret_address,
			__be16 *ret_port)
{
	*ret_port = htons(address_port(address));
	if (address->any.sa_family == AF_INET)
		memcpy(ret_address, &address->v4.sin_addr, sizeof(address->v4.sin_addr));
	else
		memcpy(ret_address, &address->v6.sin6_addr,
		       sizeof(address->v6.sin6_addr));
}

static void start_request(struct request *request, int protocol, int family)
{
	*request = (struct request){
		.head = { .nlmsg_len = sizeof(*request),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST },
		.body = { .sdiag_family = (uint8_t)family,
			  .sdiag_protocol = (uint8_t)protocol,
			  .idiag_states = ~0U,
			  .id = { .idiag_cookie = { INET_DIAG_NOCOOKIE,
						    INET_DIAG_NOCOOKIE } } },
	};
}

/* Return: 0 or -errno (-ENOENT: no such socket). */
static int ask(struct stack *stack, const struct request *request,
	       struct inet_diag_msg *ret)
{
	_cleanup_fd_ int fd =
		stack_socket(stack, AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG);
	union {
		struct nlmsghdr head;
		char space[1024];
	} answer;
	ssize_t n;

	if (fd < 0)
		return fd;
	if (send(fd, request, sizeof(*request), 0) < 0)
		return -errno;
	n = recv(fd, &answer, sizeof(answer), 0);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(*ret)) ||
	    answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -ENOENT;
	memcpy(ret, NLMSG_DATA(&answer.head), sizeof(*ret));
	return 0;
}

int diag_holder(struct stack *stack, int protocol, const union address *local,
		uint64_t *ret_cookie)
{
	union address address = *local;
	struct inet_diag_msg answer;
	struct request request;
	int r;

	address_unmap(&address);
	start_request(&request, protocol, address.any.sa_family);
	if (protocol == IPPROTO_UDP)
		put_address(&address, request.body.id.idiag_dst,
			    &request.body.id.idiag_dport);
	else
		put_address(&address, request.body.id.idiag_src,
			    &request.body.id.idiag_sport);
	r = ask(stack, &request, &answer);
	if (r < 0)
		return r;
	*ret_cookie = answer.id.idiag_cookie[0] | (uint64_t)answer.id.idiag_cookie[1]
							  << 32;
	return 0;
}

bool diag_is_client(struct stack *stack, const union address *peer, uint16_t port)
{
	union address theirs = *peer, ours;
	struct inet_diag_msg answer;
	struct request request;

	address_unmap(&theirs);
	ours = theirs; /* it is on loopback, so it reached us there */
	address_set_port(&ours, port);
	start_request(&request, IPPROTO_UDP, theirs.any.sa_family);
	put_address(&ours, request.body.id.idiag_src, &request.body.id.idiag_sport);
	put_address(&theirs, request.body.id.idiag_dst, &request.body.id.idiag_dport);
	return ask(stack, &request, &answer) == 0 && ntohs(answer.id.idiag_dport) == port;
}
