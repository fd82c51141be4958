/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * UNIX sockets at a path.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/*
 * Binds @fd to @address, which names a path. A socket there that no process has open any
 * more gives way. Return: 0 or -errno (-EADDRINUSE: somebody is there, or it is not a
 * socket).
 */
int path_bind(int fd, const struct sockaddr_un *address, socklen_t len);

/* A SOCK_SEQPACKET socket that does not block, bound to @path as path_bind() does, which
 * its owner alone may connect to. Return: a descriptor, the caller's, or -errno. */
int path_socket(const char *path);

/*
 * Gives the inode that @fd is bound to an owner. The inode is found through the socket,
 * never by its path: a path may be somebody else's by now. Needs CAP_NET_ADMIN over the
 * socket's namespace and CAP_CHOWN. Return: 0 or -errno.
 */
int path_give(int fd, uid_t uid, gid_t gid);

/* Does @path still lead to the inode that @fd is bound to? Without CAP_NET_ADMIN over the
 * socket's namespace: to any socket. */
bool path_leads_to(const char *path, int fd);

/* Return: an O_PATH descriptor of what a connect to @path would reach, or -errno. */
int path_open(const char *path);
