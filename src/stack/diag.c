/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking the kernel about sockets by address (NETLINK_SOCK_DIAG).
 *
 * The two families of answers read a request differently: for TCP the source is the
 * socket's own address; for UDP source and destination are those of a packet on its way
 * to the socket, so its own address is the destination.
 *
 * A kernel that lacks the module of a protocol, and may not load it, has the same answer
 * as one that knows no such socket. So where that is the answer, it is asked for a list
 * of nothing, once: that only who has the module can do.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdatomic.h>
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

union answer {
	struct nlmsghdr head;
	char space[1024];
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

/* Return: the size of what @ret then starts with, or -errno. */
static ssize_t exchange(struct stack *stack, const struct request *request,
			union answer *ret)
{
	_cleanup_fd_ int fd =
		stack_socket(stack, AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG);
	ssize_t n;

	if (fd < 0)
		return fd;
	if (send(fd, request, sizeof(*request), 0) < 0)
		return -errno;
	n = recv(fd, ret, sizeof(*ret), 0);
	return n < 0 ? -errno : n;
}

/* Can this kernel be asked about sockets of @protocol? */
static bool is_known(struct stack *stack, int protocol)
{
	static atomic_uint known;
	unsigned int bit = protocol == IPPROTO_TCP ? 1 : 2;
	struct request request;
	union answer answer;
	int error;

	if (atomic_load(&known) & bit)
		return true;
	start_request(&request, protocol, AF_INET);
	request.head.nlmsg_flags |= NLM_F_DUMP;
	request.body.idiag_states = 0;
	if (exchange(stack, &request, &answer) < (ssize_t)NLMSG_LENGTH(sizeof(error)) ||
	    answer.head.nlmsg_type != NLMSG_DONE)
		return false;
	memcpy(&error, NLMSG_DATA(&answer.head), sizeof(error));
	if (error < 0)
		return false;
	atomic_fetch_or(&known, bit);
	return true;
}

/* Return: 0 or -errno (-ENOENT: no such socket; -EOPNOTSUPP: nobody to ask). */
static int ask(struct stack *stack, const struct request *request,
	       struct inet_diag_msg *ret)
{
	union answer answer;
	ssize_t n = exchange(stack, request, &answer);

	if (n < 0)
		return (int)n;
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(*ret)) ||
	    answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return is_known(stack, request->body.sdiag_protocol) ? -ENOENT
								     : -EOPNOTSUPP;
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

int diag_destroy(struct stack *stack, const struct diag_socket *socket)
{
	struct request request;
	union answer answer;
	ssize_t n;
	int error;

	start_request(&request, socket->protocol, socket->local.any.sa_family);
	request.head.nlmsg_type = SOCK_DESTROY;
	request.head.nlmsg_flags |= NLM_F_ACK;
	put_address(&socket->local, request.body.id.idiag_src,
		    &request.body.id.idiag_sport);
	put_address(&socket->peer, request.body.id.idiag_dst,
		    &request.body.id.idiag_dport);
	request.body.id.idiag_if = socket->device;
	request.body.id.idiag_cookie[0] = (uint32_t)socket->cookie;
	request.body.id.idiag_cookie[1] = (uint32_t)(socket->cookie >> 32);
	n = exchange(stack, &request, &answer);
	if (n < 0)
		return (int)n;
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(error)) ||
	    answer.head.nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	memcpy(&error, NLMSG_DATA(&answer.head), sizeof(error));
	return error;
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
