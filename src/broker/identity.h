/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who is at the other end of a connection, as the kernel says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* This process, to compare others with. */
struct self {
	uid_t uid;
	uint64_t netns;          /* cookie */
	dev_t net_dev, user_dev; /* of its namespaces' files */
	ino_t net_ino, user_ino;
	dev_t root_dev; /* of the root directory */
	ino_t root_ino;
};

struct identity {
	const struct self *self;
	int socket; /* the connection's; not ours to close */
	int pidfd;  /* or -1: it has ended */
	pid_t pid;
	uid_t uid;
	gid_t gid;
	uint64_t netns; /* cookie of the namespace it connected from */
	bool is_local;  /* which is graftd's own */
	/* In graftd's own namespaces: root with CAP_NET_ADMIN and graftd's root
	 * directory; or a user's graftd's user. */
	bool is_admin;
};

/* Return: 0 or -errno. */
int self_read(struct self *ret);

/* @socket: accepted, and open as long as @ret is used. Return: 0 or -errno. */
int identity_read(struct identity *ret, int socket, const struct self *self);
void identity_deinit(struct identity *identity);

/* What follows asks the kernel each time. */
bool identity_has_group(const struct identity *identity, gid_t gid);
/* Return: whether its cgroup is @path, or lies below it. */
bool identity_in_cgroup(const struct identity *identity, const char *path);
mode_t identity_umask(const struct identity *identity);
/* The namespace it connected from. Return: a descriptor, the caller's, or -errno. */
int identity_netns(const struct identity *identity);
/* Is its root directory ours, so that a path means to it what it means to us? */
bool identity_shares_root(const struct identity *identity);
/* May it do in that namespace what takes CAP_NET_ADMIN? */
bool identity_rules_netns(const struct identity *identity);
