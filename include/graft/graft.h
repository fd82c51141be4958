/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libgraft: policies, and sockets that live where a policy puts them.
 *
 *	char error[GRAFT_ERROR_SIZE];
 *	struct graft_policy *policy = graft_policy_new();
 *
 *	if (graft_policy_add_text(policy, "web.conf", text, size, error,
 *				  sizeof(error)) < 0 ||
 *	    graft_policy_seal(policy, error, sizeof(error)) < 0)
 *		errx(1, "%s", error);
 *	fd = graft_endpoint_socket(policy, "web", GRAFT_BIND, SOCK_STREAM, 0);
 *
 * The format and how calls are judged: graft-policy(5).
 *
 * Errors are negative errno values. Outputs are written only on success. A sealed policy
 * is read-only and may be used from any number of threads; before that, from one.
 */
#ifndef GRAFT_GRAFT_H
#define GRAFT_GRAFT_H

#include <stddef.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRAFT_PUBLIC __attribute__((visibility("default")))

/* Every message fits into this many bytes. */
#define GRAFT_ERROR_SIZE 256

struct graft_policy;

/**
 * graft_policy_new() - an empty policy
 *
 * Return: the policy, the caller's to free with graft_policy_free(), or NULL without
 * memory.
 */
GRAFT_PUBLIC struct graft_policy *graft_policy_new(void);

/**
 * graft_policy_free() - gives a policy back
 * @policy: may be NULL; nothing that was returned by pointer from it lives on
 */
GRAFT_PUBLIC void graft_policy_free(struct graft_policy *policy);

/**
 * graft_policy_add_text() - adds the lines of a policy file
 * @policy: not sealed yet
 * @source: what to call the text in messages, such as the file's name; copied
 * @text: the lines; need not be NUL-terminated
 * @size: bytes in @text
 * @error: where to put one line saying what is wrong, or NULL
 * @error_size: room in @error
 *
 * Return: 0, or -EINVAL, -E2BIG, -ENOMEM, and then the policy is as before.
 */
GRAFT_PUBLIC int graft_policy_add_text(struct graft_policy *policy, const char *source,
				       const char *text, size_t size, char *error,
				       size_t error_size);

/**
 * graft_policy_add_publish() - adds what `graft run -p` takes
 * @text: [IP:]HOSTPORT:PORT[/tcp|/udp], PORT
 *
 * Other parameters and Return: as graft_policy_add_text().
 */
GRAFT_PUBLIC int graft_policy_add_publish(struct graft_policy *policy, const char *text,
					  char *error, size_t error_size);

/**
 * graft_policy_add_ingress() - adds what `graft run -i` takes
 * @text: ADDR:PORT[-PORT]=TARGET
 *
 * Other parameters and Return: as graft_policy_add_text().
 */
GRAFT_PUBLIC int graft_policy_add_ingress(struct graft_policy *policy, const char *text,
					  char *error, size_t error_size);

/**
 * graft_policy_add_egress() - adds what `graft run -e` takes
 * @text: [tcp:|udp:]PREFIX/LEN=TARGET
 *
 * Other parameters and Return: as graft_policy_add_text().
 */
GRAFT_PUBLIC int graft_policy_add_egress(struct graft_policy *policy, const char *text,
					 char *error, size_t error_size);

/**
 * graft_policy_add_conv_pairs() - adds what GRAFT_CONV_PAIRS holds
 * @text: ADDR:PORT=ENDPOINT, any number of them between blanks
 *
 * Other parameters and Return: as graft_policy_add_text().
 */
GRAFT_PUBLIC int graft_policy_add_conv_pairs(struct graft_policy *policy,
					     const char *text, char *error,
					     size_t error_size);

/**
 * graft_policy_seal() - checks the policy as a whole and readies it for questions
 *
 * Parameters: as graft_policy_add_text().
 *
 * Return: 0, or -EINVAL (an endpoint that is not defined, or cannot serve its rule;
 * sealed already), -ENOMEM.
 */
GRAFT_PUBLIC int graft_policy_seal(struct graft_policy *policy, char *error,
				   size_t error_size);

/**
 * graft_policy_print() - the policy in its file format
 *
 * Return: text for the caller to free(), or NULL without memory. A sealed policy prints
 * its rules in the order they are judged in.
 */
GRAFT_PUBLIC char *graft_policy_print(const struct graft_policy *policy);

/** enum graft_op - what a program is about to do with a socket */
enum graft_op {
	GRAFT_BIND,
	GRAFT_CONNECT, /* or send a datagram to an address */
};

/** enum graft_target - what a policy makes of it */
enum graft_target {
	GRAFT_OWN,      /* it stays in the program's own stack */
	GRAFT_HOST,     /* the same address, in the host's stack */
	GRAFT_ENDPOINT, /* the endpoint's address, in the endpoint's stack */
	GRAFT_FROM,     /* the same destination, with the endpoint as its source */
	GRAFT_DENY,     /* it fails */
};

/**
 * struct graft_call - a bind() or connect() to be judged; clear it before filling it in
 * @op: which of the two
 * @family: of the socket, AF_INET or AF_INET6
 * @type: of the socket, SOCK_STREAM, SOCK_DGRAM ...; may have SOCK_NONBLOCK
 * @protocol: of the socket; 0 for the usual one
 * @v6only: the socket is IPV6_V6ONLY
 * @address: what bind() or connect() was given, AF_INET or AF_INET6
 * @is_bound: tells whether the program itself is bound to a `bound` endpoint; NULL: it
 *	is bound to none
 * @context: for @is_bound
 */
struct graft_call {
	enum graft_op op;
	int family;
	int type;
	int protocol;
	int v6only;
	struct sockaddr_storage address;
	int (*is_bound)(void *context, const char *endpoint);
	void *context;
};

/**
 * struct graft_verdict - what a policy makes of a call
 * @target: where it goes
 * @deny_errno: GRAFT_DENY: the positive errno to fail with, else 0
 * @endpoint: GRAFT_ENDPOINT and GRAFT_FROM: its name, the policy's; else NULL
 * @address: the address to use: the one asked for, the endpoint's, or (GRAFT_FROM) the
 * one to bind to first. A dynamic port is 0.
 * @address_len: bytes of @address
 */
struct graft_verdict {
	enum graft_target target;
	int deny_errno;
	const char *endpoint;
	struct sockaddr_storage address;
	socklen_t address_len;
};

/**
 * graft_policy_resolve() - judges a call, without making it
 *
 * Return: 0, or -EINVAL (not sealed; a family or address that is neither IPv4 nor IPv6).
 */
GRAFT_PUBLIC int graft_policy_resolve(const struct graft_policy *policy,
				      const struct graft_call *call,
				      struct graft_verdict *ret_verdict);

/**
 * graft_policy_explain() - says in one sentence what becomes of a call, and why
 * @text: where to put the sentence, cut at @size and NUL-terminated
 *
 * Return: 0, or as graft_policy_resolve().
 */
GRAFT_PUBLIC int graft_policy_explain(const struct graft_policy *policy,
				      const struct graft_call *call, char *text,
				      size_t size);

/**
 * graft_socket() - judges a call and makes the socket it asks for
 *
 * The socket is made in the endpoint's network namespace, or in that of the calling
 * thread (which is what "own" and "host" both mean here), and is bound or connected as
 * the verdict says. Streams are bound with SO_REUSEADDR. With SOCK_NONBLOCK a connection
 * may still be in progress. Another namespace than the caller's is entered by a thread of
 * the library that ends at once; the caller's threads stay where they are.
 *
 * Return: the socket, close-on-exec, the caller's to close; or
 * -EINVAL as graft_policy_resolve(); the negative errno of a denial; -EADDRNOTAVAIL for
 * connect to an endpoint with a dynamic port, which only whoever bound it knows; -EPERM
 * where entering the namespace takes a privilege the caller lacks; and whatever opening
 * the namespace, socket(), bind() or connect() fail with.
 */
GRAFT_PUBLIC int graft_socket(const struct graft_policy *policy,
			      const struct graft_call *call);

/**
 * graft_endpoint_socket() - makes a socket on an endpoint, whatever the rules say
 * @name: of the endpoint
 * @op: bind it there or connect it to whoever is
 * @type: SOCK_STREAM, SOCK_DGRAM ...; may have SOCK_NONBLOCK
 * @protocol: 0 for the usual one
 *
 * Return: as graft_socket(); -ENOENT when there is no such endpoint.
 */
GRAFT_PUBLIC int graft_endpoint_socket(const struct graft_policy *policy,
				       const char *name, enum graft_op op, int type,
				       int protocol);

#ifdef __cplusplus
}
#endif

#endif
