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
 * with the module, and without it under libgraft-hijack.so and `graft run`.
 *
 * bind() puts the socket where the endpoint is. connect(), sendto(), sendmsg() and
 * sendmmsg() take a struct sockaddr_gr as destination, or any address of the endpoint's
 * own family. A socket that connects or sends before it is bound is bound to the endpoint
 * GRAFT_DEFAULT_SOURCE, if there is one.
 *
 * Errors of bind() and connect() beyond those of the endpoint's own family:
 *
 *	EINVAL		address shorter than struct sockaddr_gr; bound already
 *	EAFNOSUPPORT	bind() with another family than AF_GRAFT
 *	ENOENT		no endpoint of that name
 *	EACCES		the endpoint is not for the caller
 *	EPROTOTYPE	the endpoint has no socket of this type
 */
#ifndef _UAPI_LINUX_GRAFT_H
#define _UAPI_LINUX_GRAFT_H

#include <linux/socket.h>
#include <linux/types.h>

/* The number of AF_IPX, which left the kernel with Linux 5.15. */
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
 * int. On: options set before bind() take effect at bind(), and setsockopt() says 0 for
 * them; off, which is the default: each takes effect, and may fail, where it is set.
 */
#define GRAFT_SO_DELAYED 1

/* Write only, value ignored. Runs what is delayed now; 0 also before bind(). */
#define GRAFT_SO_DELAYED_EXECUTE 2

/* Read only: an array of struct graft_sso_result, oldest first, as many as fit; those
 * read are forgotten. Each option runs once. */
#define GRAFT_SO_DELAYED_RESULT 3

/* Write only: struct graft_sso_trans, an option for the socket at the endpoint. */
#define GRAFT_SO_TRANSPARENT 4

/* int. On: getsockname() tells the address at the endpoint, off: struct sockaddr_gr. */
#define GRAFT_NAME_TRANSPARENT 5

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
 * Generic netlink, version 0: one binary attribute. Commands that change something take
 * CAP_NET_ADMIN.
 */
#define AF_GRAFT_GENL_NAME    "af_graft"
#define AF_GRAFT_GENL_VERSION 0x00

enum {
	AF_GRAFT_CMD_ADD_ENDPOINT,
	AF_GRAFT_CMD_DEL_ENDPOINT, /* by name */
	AF_GRAFT_CMD_GET_ENDPOINT, /* dump only */
};

enum {
	AF_GRAFT_ATTR_NONE,
	AF_GRAFT_ATTR_ENDPOINT, /* struct graft_genl_endpoint */
};

/* 268 bytes on 64-bit machines. netns_fd above 0 wins over netns_pid above 0; without
 * either the target is the initial namespace. netns_path is for display. */
struct graft_genl_endpoint {
	char name[AF_GRAFT_EPNAME_MAX];
	char netns_path[108];
	int netns_fd;
	int netns_pid;
	__kernel_ssize_t addrlen;
	char saddr[128]; /* struct sockaddr_storage */
} __attribute__((packed));

#endif
