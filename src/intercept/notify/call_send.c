/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sendto, sendmsg, sendmmsg: the sends that can name an address.
 *
 * On a grafted datagram socket every such send is done by the supervisor, from its own
 * copy of everything: the name, the vector, the data, the control messages. So is a
 * stream send with MSG_FASTOPEN, which connects. Everything else (stream data, AF_UNIX)
 * continues in the program: it has no name the kernel would use.
 *
 * A send of a stream may be cut to WORKER_BUFFER_SIZE, as any send may.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/notify/engine.h"

#define CONTROL_MAX 4096
#define BATCH_MAX   1024 /* messages of one sendmmsg; the kernel's own limit */

#ifndef IPV6_2292RTHDR
#	define IPV6_2292RTHDR 5
#endif

/* One message, all of it ours. */
struct message {
	struct route route;
	bool has_name;
	int flags;
	struct msghdr head;
	struct iovec data;
	union {
		struct cmsghdr head;
		char space[CONTROL_MAX];
	} control; /* ends in the flexible array of head: last */
};

/* Where the data of one send stands. */
struct copy {
	char *at; /* WORKER_BUFFER_SIZE; NULL: no memory */
	bool is_mapped;
};

/*
 * The worker's own buffer serves one send after the other. With MSG_ZEROCOPY the kernel
 * goes on reading after the call: then the copy has pages of its own, which live until
 * the kernel lets go of them.
 */
static struct copy copy_new(struct worker *worker, int flags)
{
	void *map;

	if (!(flags & MSG_ZEROCOPY)) {
		if (!worker->buffer)
			worker->buffer = malloc(WORKER_BUFFER_SIZE);
		return (struct copy){ worker->buffer, false };
	}
	map = mmap(NULL, WORKER_BUFFER_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return (struct copy){ map == MAP_FAILED ? NULL : map, true };
}

static void copy_release(struct copy *copy)
{
	if (copy->at && copy->is_mapped)
		munmap(copy->at, WORKER_BUFFER_SIZE);
}

/* Does the supervisor do this send itself? */
static bool is_ours(const struct subject *subject, int flags)
{
	if (!subject_is_inet(subject))
		return false;
	return subject->proto != POLICY_TCP || flags & MSG_FASTOPEN;
}

static struct answer leave_to_program(const struct subject *subject, int flags)
{
	/* No other family connects this way, so nobody misses it. */
	if (!subject_is_inet(subject) && flags & MSG_FASTOPEN)
		return answer_result(-EOPNOTSUPP);
	return answer_continue();
}

struct sending {
	int fd;
	const struct message *message;
	int extra_flags;
};

static int64_t send_once(void *context)
{
	const struct sending *s = context;
	/* SIGPIPE is the program's to get, not ours. */
	ssize_t n = sendmsg(s->fd, &s->message->head,
			    s->message->flags | s->extra_flags | MSG_NOSIGNAL);

	return n < 0 ? -errno : n;
}

/* Sends what was prepared. Return: bytes or -errno. */
static int64_t send_now(struct call *call, const struct subject *subject,
			const struct message *message)
{
	struct sending s = { subject->fd, message, MSG_DONTWAIT };
	bool may_wait = !(message->flags & MSG_DONTWAIT) &&
			!(fcntl(subject->fd, F_GETFL) & O_NONBLOCK);
	int64_t result;

	/* A fast open that may not wait would come back with EINPROGRESS. */
	if (may_wait && message->flags & MSG_FASTOPEN)
		result = -EAGAIN;
	else
		result = send_once(&s);
	if (result == -EAGAIN && may_wait) {
		s.extra_flags = 0;
		result = run_blocking(call, subject->fd, SO_SNDTIMEO, send_once, &s);
	}
	if (result == -EPIPE && !(message->flags & MSG_NOSIGNAL))
		target_signal(call, SIGPIPE);
	return result;
}

/* Source routes would take a packet by way of an address nobody judged. */
static bool has_source_route(struct msghdr *head)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RETOPTS)
			return true;
		if (c->cmsg_level == IPPROTO_IPV6 &&
		    (c->cmsg_type == IPV6_RTHDR || c->cmsg_type == IPV6_2292RTHDR))
			return true;
	}
	return false;
}

/* Judges the name, if there is one, moves the socket if need be, and sends. */
static int64_t deliver(struct call *call, struct subject *subject,
		       struct message *message)
{
	struct route *route = &message->route;
	int64_t result;
	int r = 0;

	message->head.msg_iov = &message->data;
	message->head.msg_iovlen = 1;
	if (has_source_route(&message->head))
		return -EPERM;
	/* The data came from whoever has this thread id: make sure it was the program. */
	if (!call_is_live(call))
		return -ENOENT;
	if (message->has_name) {
		/* The kernel takes AF_UNSPEC for AF_INET here, on AF_INET sockets. */
		if (subject->domain == AF_INET &&
		    route->asked.any.sa_family == AF_UNSPEC &&
		    !(message->flags & MSG_FASTOPEN))
			route->asked.any.sa_family = AF_INET;
		r = call->notify->config.is_judged ? judged_send(call, subject, route)
						   : prepare(call, subject, route);
		message->head.msg_name = &route->address;
		message->head.msg_namelen = route->size;
	}
	result = r < 0 ? r : send_now(call, subject, message);
	conclude(call, subject, route, result < 0 ? result : 0);
	return result;
}

static int take_name(const struct call *call, struct message *message, uint64_t pointer,
		     uint64_t size)
{
	if (!pointer)
		return 0;
	/* A name without length is an error to sendto, and none to sendmsg. */
	if ((uint32_t)size == 0)
		return call->nr == SYS_sendto ? -EINVAL : 0;
	message->has_name = true;
	/* msg_namelen beyond the storage is cut by the kernel, not refused. */
	if ((int)(uint32_t)size > (int)sizeof(message->route.asked.storage) &&
	    call->nr != SYS_sendto)
		size = sizeof(message->route.asked.storage);
	return target_read_address(call, pointer, size, &message->route.asked,
				   &message->route.asked_size);
}

struct answer call_sendto(struct call *call, struct subject *subject)
{
	struct message message = { .route.op = POLICY_CONNECT,
				   .flags = (int)call->args[3] };
	_cleanup_(copy_release) struct copy copy = { 0 };
	uint64_t size = call->args[2];
	int r;

	if (!is_ours(subject, message.flags))
		return leave_to_program(subject, message.flags);
	copy = copy_new(call->worker, message.flags);
	if (!copy.at)
		return answer_result(-ENOBUFS);
	if (size > WORKER_BUFFER_SIZE - 1) {
		if (subject->proto != POLICY_TCP)
			return answer_result(-EMSGSIZE);
		size = WORKER_BUFFER_SIZE - 1;
	}
	message.data = (struct iovec){ copy.at, size };
	r = target_read(call, call->args[1], message.data.iov_base, size);
	if (r == 0)
		r = take_name(call, &message, call->args[4], call->args[5]);
	if (r < 0)
		return answer_result(r);
	return answer_result(deliver(call, subject, &message));
}

/* Gathers the program's vector into our buffer. Return: bytes or -errno. */
static int64_t gather(const struct call *call, const struct msghdr *theirs, char *buffer,
		      size_t capacity, bool may_cut)
{
	struct iovec vector[UIO_MAXIOV];
	size_t size = 0;
	int r;

	if (theirs->msg_iovlen > UIO_MAXIOV)
		return -EMSGSIZE;
	r = target_read(call, (uintptr_t)theirs->msg_iov, vector,
			theirs->msg_iovlen * sizeof(*vector));
	if (r < 0)
		return r;
	for (size_t i = 0; i < theirs->msg_iovlen; i++) {
		size_t part = vector[i].iov_len;

		if (part > SSIZE_MAX)
			return -EINVAL;
		if (part > capacity - size) {
			if (!may_cut)
				return -EMSGSIZE;
			part = capacity - size;
		}
		r = target_read(call, (uintptr_t)vector[i].iov_base, buffer + size, part);
		if (r < 0)
			return r;
		size += part;
	}
	return (int64_t)size;
}

static int take_control(const struct call *call, const struct msghdr *theirs,
			struct message *message)
{
	int r;

	if (!theirs->msg_controllen)
		return 0;
	if (theirs->msg_controllen > sizeof(message->control))
		return -ENOBUFS;
	r = target_read(call, (uintptr_t)theirs->msg_control, &message->control,
			theirs->msg_controllen);
	if (r < 0)
		return r;
	message->head.msg_control = &message->control;
	message->head.msg_controllen = theirs->msg_controllen;
	return 0;
}

/* Copies the message at @pointer of the program and sends it.
 * Return: bytes or -errno. */
static int64_t send_message(struct call *call, struct subject *subject, uint64_t pointer,
			    int flags)
{
	struct message message = { .route.op = POLICY_CONNECT, .flags = flags };
	_cleanup_(copy_release) struct copy copy = copy_new(call->worker, flags);
	struct msghdr theirs;
	int64_t size;
	int r;

	if (!copy.at)
		return -ENOBUFS;
	r = target_read(call, pointer, &theirs, sizeof(theirs));
	if (r == 0 && (int)theirs.msg_namelen < 0)
		r = -EINVAL;
	if (r == 0)
		r = take_name(call, &message, (uintptr_t)theirs.msg_name,
			      theirs.msg_namelen);
	if (r == 0)
		r = take_control(call, &theirs, &message);
	if (r < 0)
		return r;
	size = gather(call, &theirs, copy.at, WORKER_BUFFER_SIZE,
		      subject->proto == POLICY_TCP);
	if (size < 0)
		return size;
	message.data = (struct iovec){ copy.at, (size_t)size };
	return deliver(call, subject, &message);
}

struct answer call_sendmsg(struct call *call, struct subject *subject)
{
	int flags = (int)call->args[2];

	if (!is_ours(subject, flags))
		return leave_to_program(subject, flags);
	return answer_result(send_message(call, subject, call->args[1], flags));
}

/* Return: messages sent, or -errno when the first one failed. */
static int64_t send_batch(struct call *call, struct subject *subject)
{
	uint64_t at = call->args[1];
	unsigned int n = (unsigned int)call->args[2];
	int flags = (int)call->args[3];
	unsigned int done;

	if (n > BATCH_MAX)
		n = BATCH_MAX;
	for (done = 0; done < n; done++, at += sizeof(struct mmsghdr)) {
		int64_t result = send_message(call, subject, at, flags);
		unsigned int size = (unsigned int)result;

		if (result < 0)
			return done ? (int64_t)done : result;
		if (target_write(call, at + offsetof(struct mmsghdr, msg_len), &size,
				 sizeof(size)) < 0)
			return done ? (int64_t)done : -EFAULT;
	}
	return done;
}

struct answer call_sendmmsg(struct call *call, struct subject *subject)
{
	int flags = (int)call->args[3];

	if (!is_ours(subject, flags))
		return leave_to_program(subject, flags);
	return answer_result(send_batch(call, subject));
}
