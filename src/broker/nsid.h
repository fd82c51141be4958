/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hearing of the end of other network namespaces without keeping them alive: a namespace
 * can be given a number in our own (as `ip netns set` does), and the kernel tells when
 * that number is free again.
 */
#pragma once

struct event_loop;
struct nsid;

struct nsid_ops {
	/* The namespace with this number is gone. */
	void (*gone)(void *context, int number);
	/* Some may be gone that we did not hear of. */
	void (*missed)(void *context);
};

/* Return: 0 or -errno. */
int nsid_new(struct nsid **ret, struct event_loop *loop, const struct nsid_ops *ops,
	     void *context);
struct nsid *nsid_free(struct nsid *nsid);

/* Return: the number of namespace @netns, given now if it had none; or -errno (-EPERM:
 * takes CAP_NET_ADMIN). */
int nsid_of(struct nsid *nsid, int netns);
/* Return: 1 or 0, or -errno. */
int nsid_is_there(struct nsid *nsid, int number);
