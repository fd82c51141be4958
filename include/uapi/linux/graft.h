/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * AF_GRAFT: sockets named by an endpoint instead of an address.
 *
 *	int fd = socket(AF_GRAFT, SOCK_STREAM, 0);
 *	struct sockaddr_gr name = { .sgr_family = AF_GRAFT, .sgr_epname = "ep-test" };
 *
 *	bind(fd, (struct sockaddr *)&name, sizeof(name));
 *
 * The layout and the numbers are those of the af_graft module of 2017-2019. They hold
 * with the module, and without it under libgraft-hijack.so and `graft run`; what only
 * the module has says so.
 *
 * bind() puts the socket where the endpoint is. connect(), sendto(), sendmsg() and
 * sendmmsg() take a struct sockaddr_gr as destination, or any address of the endpoint's
 * own family. A socket that connects or sends before it is bound is bound to the endpoint
 * GRAFT_DEFAULT_SOURCE, if there is one; else it goes to the namespace of a destination
 * that is a name; else it is an AF_INET socket of the caller's own namespace.
 *
 * From then on the socket is one of the endpoint's family and namespace in everything but
 * its name: getsockopt() of SO_DOMAIN, SO_PROTOCOL, SO_ERROR and SO_ACCEPTCONN is that
 * socket's, and sockets that accept() returns are of its family altogether.
 *
 * An endpoint without an address (the module's, GRAFT_A_FAMILY AF_UNSPEC) names a
 * namespace only: bind() to it puts the socket there, unbound, of the family that
 * GRAFT_SO_FAMILY says, and a second bind() with an address of that family binds it.
 *
 * Errors of bind() and connect() beyond those of the endpoint's own family:
 *
 *	EINVAL		address shorter than struct sockaddr_gr; bound already
 *	EAFNOSUPPORT	bind() with another family than AF_GRAFT
 *	ENOENT		no endpoint of that name
 *	EACCES		the endpoint is not for the caller
 *	EPROTOTYPE	the endpoint has no socket of this type
 *	ENETUNREACH	connect() to an endpoint in another namespace than the socket's
 *	ECONNREFUSED	connect() to a dynamic endpoint that nobody is bound to
 */
#ifndef _UAPI_LINUX_GRAFT_H
#define _UAPI_LINUX_GRAFT_H

#include <linux/socket.h>
#include <linux/types.h>

/* The number of AF_IPX, which left the kernel with Linux 5.15. The module may have been
 * loaded with another: /sys/module/af_graft/parameters/family. */
#ifndef AF_GRAFT
#	define AF_GRAFT 4
#endif
#ifndef PF_GRAFT
#	define PF_GRAFT AF_GRAFT
#endif

/* Bytes of a name in an address: shorter names end in NUL, one of 16 need not. */
#define AF_GRAFT_EPNAME_MAX 16

#define GRAFT_DEFAULT_SOURCE "default-source"

/* 18 bytes, aligned to 2. Longer addresses are accepted, and what follows ignored. */
struct sockaddr_gr {
	__kernel_sa_family_t sgr_family;      /* AF_GRAFT */
	char sgr_epname[AF_GRAFT_EPNAME_MAX]; /* endpoint name */
};

/* The level of the options below. */
#define IPPROTO_GRAFT 254

/*
 * int. On: options of other levels than SOL_SOCKET that are set before bind() take effect
 * at bind(), and setsockopt() says 0 for them; off, which is the default: each takes
 * effect, and may fail, where it is set, and is set once more on the socket at the
 * endpoint.
 */
#define GRAFT_SO_DELAYED 1

/* Write only, value ignored. Runs what is delayed now; 0 also before bind(). */
#define GRAFT_SO_DELAYED_EXECUTE 2

/* Read only: an array of struct graft_sso_result, oldest first, as many as fit; those
 * read are forgotten. Each option runs once. The module also reports here what was set
 * before bind() and then failed at the endpoint. */
#define GRAFT_SO_DELAYED_RESULT 3

/* Write only: struct graft_sso_trans, an option for the socket at the endpoint. */
#define GRAFT_SO_TRANSPARENT 4

/* int. On: getsockname() tells the address at the endpoint, off: struct sockaddr_gr. */
#define GRAFT_NAME_TRANSPARENT 5

/* int, the module's: AF_INET or AF_INET6, the family the socket has in the caller's own
 * namespace, and at an endpoint without an address. Once set, bind() takes addresses of
 * this family, too, and is then an ordinary one. Not after bind(): EISCONN. */
#define GRAFT_SO_FAMILY 6

/* Most bytes of a struct graft_sso_trans, value included. */
#define GRAFT_SSO_TRANS_SIZE 128

struct graft_sso_result {
	int level;
	int optname;
	int ret; /* 0 or -errno */
} __attribute__((packed));

struct graft_sso_trans {
	int level;
	int optname;
	unsigned int optlen; /* bytes in optval */
	char optval[];
} __attribute__((packed));

/*
 * Generic netlink
 *
 * An endpoint belongs to the network namespace of the netlink socket that adds it. A name
 * is looked up in the namespace in which the socket was made; if it is not there, among
 * those of the initial namespace that have a rule for the caller.
 *
 *	command			attributes of the request	answer
 *	GRAFT_CMD_ENDPOINT_NEW	NAME, FAMILY, and of		ack. EEXIST, EPERM
 *				ADDRESS PORT SCOPE PATH
 *				NETNS FLAGS ACCESS what
 *				the endpoint has
 *	GRAFT_CMD_ENDPOINT_DEL	NAME				ack. ENOENT, EPERM
 *	GRAFT_CMD_ENDPOINT_GET	NAME				one ENDPOINT_NEW. ENOENT
 *	  with NLM_F_DUMP	none				an ENDPOINT_NEW each
 *
 * Whoever adds needs CAP_NET_ADMIN over the namespace of the netlink socket and over the
 * one the endpoint leads to, whoever deletes over the first. Anybody may get.
 *
 * To group GRAFT_MCGRP_ENDPOINTS of its namespace goes what happens: ENDPOINT_NEW (added)
 * and ENDPOINT_DEL (deleted, or the namespace it led to is gone), with all attributes;
 * ENDPOINT_BIND, _RELEASE, _CONNECT and _DENY with NAME and, of who it was, UID and PID.
 *
 * Version 0 had one binary attribute. Its three commands are still understood.
 */
#define AF_GRAFT_GENL_NAME    "af_graft"
#define AF_GRAFT_GENL_VERSION 0x01

#define GRAFT_MCGRP_ENDPOINTS "endpoints"

enum {
	AF_GRAFT_CMD_ADD_ENDPOINT, /* version 0 */
	AF_GRAFT_CMD_DEL_ENDPOINT, /* version 0: by name */
	AF_GRAFT_CMD_GET_ENDPOINT, /* version 0: dump only */
	GRAFT_CMD_ENDPOINT_NEW,
	GRAFT_CMD_ENDPOINT_DEL,
	GRAFT_CMD_ENDPOINT_GET,
	GRAFT_CMD_ENDPOINT_BIND,    /* event */
	GRAFT_CMD_ENDPOINT_RELEASE, /* event: who bound is gone */
	GRAFT_CMD_ENDPOINT_CONNECT, /* event: connect() or a send by name */
	GRAFT_CMD_ENDPOINT_DENY,    /* event: EACCES */
	__GRAFT_CMD_MAX,
};
#define GRAFT_CMD_MAX (__GRAFT_CMD_MAX - 1)

enum {
	AF_GRAFT_ATTR_NONE,
	AF_GRAFT_ATTR_ENDPOINT, /* version 0: struct graft_genl_endpoint */
	GRAFT_A_NAME,           /* string of 1 to 16 characters */
	GRAFT_A_FAMILY,   /* u16: AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC: no address */
	GRAFT_A_ADDRESS,  /* 4 or 16 bytes; without: any */
	GRAFT_A_PORT,     /* u16, network order; without, or 0: dynamic */
	GRAFT_A_SCOPE,    /* u32: interface of a link-local address */
	GRAFT_A_PATH,     /* 1 to 107 bytes; the first one NUL: an abstract name */
	GRAFT_A_NETNS,    /* nested, GRAFT_NETNS_A_*; without: that of the sender */
	GRAFT_A_FLAGS,    /* u32, GRAFT_F_* */
	GRAFT_A_ACCESS,   /* nested: GRAFT_A_RULE each, at most GRAFT_RULES_MAX */
	GRAFT_A_RULE,     /* nested, GRAFT_RULE_A_* */
	GRAFT_A_BOUND,    /* answer: u16, network order: the port a dynamic one is at */
	GRAFT_A_SOCKETS,  /* answer: u32: how many sockets are bound to it */
	GRAFT_A_BINDS,    /* answer: u64: how often it was bound */
	GRAFT_A_CONNECTS, /* answer: u64: connected or sent to, by name */
	GRAFT_A_DENIALS,  /* answer: u64 */
	GRAFT_A_UID,      /* answer: u32: who added it; event: who did it */
	GRAFT_A_PID,      /* event: u32 */
	GRAFT_A_PAD,
	__GRAFT_A_MAX,
};
#define GRAFT_A_MAX (__GRAFT_A_MAX - 1)

/* Where an endpoint leads. A request has one of FD and PID. */
enum {
	GRAFT_NETNS_A_UNSPEC,
	GRAFT_NETNS_A_FD,     /* u32: descriptor of a namespace */
	GRAFT_NETNS_A_PID,    /* u32: a process */
	GRAFT_NETNS_A_LABEL,  /* string of at most 107: how it was called; for display */
	GRAFT_NETNS_A_COOKIE, /* answer: u64, as SO_NETNS_COOKIE */
	GRAFT_NETNS_A_INODE,  /* answer: u32, of /proc/PID/ns/net */
	GRAFT_NETNS_A_PAD,
	__GRAFT_NETNS_A_MAX,
};
#define GRAFT_NETNS_A_MAX (__GRAFT_NETNS_A_MAX - 1)

/* Several sockets may be bound to it at once: each gets SO_REUSEPORT. */
#define GRAFT_F_SHARE (1U << 0)
#define GRAFT_F_ALL   GRAFT_F_SHARE

/*
 * Who may use an endpoint. Without a rule for what is asked: whoever is in its
 * namespace, for what a socket of theirs could do there. With some: whom one of them
 * names, and bind() is then done by the right of who added the endpoint, as for a port
 * below 1024. A rule names whom all of its UID and GID fit; it names everybody when it
 * has neither.
 */
enum {
	GRAFT_RULE_A_UNSPEC,
	GRAFT_RULE_A_USES, /* u32: of GRAFT_USE_* */
	GRAFT_RULE_A_UID,  /* u32 */
	GRAFT_RULE_A_GID,  /* u32 */
	__GRAFT_RULE_A_MAX,
};
#define GRAFT_RULE_A_MAX (__GRAFT_RULE_A_MAX - 1)

#define GRAFT_USE_BIND    (1U << 0)
#define GRAFT_USE_CONNECT (1U << 1)
#define GRAFT_USE_ALL     (GRAFT_USE_BIND | GRAFT_USE_CONNECT)

#define GRAFT_RULES_MAX 16

/*
 * Version 0. 268 bytes on 64-bit machines, 264 for 32-bit programs. netns_fd above 0 wins
 * over netns_pid above 0; without either the target is the initial namespace. netns_path
 * is for display.
 */
struct graft_genl_endpoint {
	char name[AF_GRAFT_EPNAME_MAX];
	char netns_path[108];
	int netns_fd;
	int netns_pid;
	__kernel_ssize_t addrlen;
	char saddr[128]; /* struct sockaddr_storage */
} __attribute__((packed));

#endif
