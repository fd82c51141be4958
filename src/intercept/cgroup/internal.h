/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of this folder share.
 */
#pragma once

#include <bpf/bpf.h>
#include <stddef.h>
#include <stdint.h>

#include "intercept/cgroup/cgroup.h"
#include "intercept/cgroup/maps.h"
#include "policy/image.h"

enum program {
	PROGRAM_BIND4,
	PROGRAM_BIND6,
	PROGRAM_POST_BIND4,
	PROGRAM_POST_BIND6,
	PROGRAM_CONNECT4,
	PROGRAM_CONNECT6,
	PROGRAM_SENDMSG4,
	PROGRAM_SENDMSG6,
	PROGRAM_RECVMSG4,
	PROGRAM_RECVMSG6,
	PROGRAM_GETPEERNAME4,
	PROGRAM_GETPEERNAME6,
	PROGRAM_GETSOCKNAME4,
	PROGRAM_GETSOCKNAME6,
	PROGRAM_CREATE,
	PROGRAM_RELEASE,
	PROGRAM_EGRESS,
	PROGRAM_CONNECTION,
	PROGRAM_CLOSE,
	PROGRAM_MESSAGE,
	N_PROGRAMS,
};

enum map {
	MAP_IMAGES,
	MAP_SLOTS,
	MAP_JUDGED,
	MAP_VIEWS,
	MAP_SENT,
	MAP_ENDPOINTS,
	MAP_NAMES,
	MAP_PLACES,
	MAP_GRANTED,
	MAP_LOOPBACK,
	MAP_LOOPBACK_N,
	MAP_TRACERS,
	MAP_TRACED,
	MAP_CONTROL,
	MAP_SHORTCUTS,
	MAP_ENDS,
	MAP_SIDES,
	MAP_SERVED,
	N_MAPS,
};

struct cgroup_programs {
	int directory; /* of the pins; its lock is that of whatever changes here */
	int programs[N_PROGRAMS];
	int maps[N_MAPS];
};

struct program_row {
	const char *name;
	enum bpf_attach_type type;
	/* Flags of the image, IMAGE_*, of which one has to be set for it to be attached;
	 * 0: it always is. */
	uint32_t wants;
	bool is_of_map; /* attached to the map of the shortcuts once, and to no cgroup */
};

extern const struct program_row program_rows[N_PROGRAMS];

/* What control says now, and shall say. The lock is held. Return: 0 or -errno. */
int control_read(const struct cgroup_programs *programs, struct control *ret);
int control_write(const struct cgroup_programs *programs, const struct control *control);

/* The lock. Return: 0 or -errno. */
int programs_lock(struct cgroup_programs *programs);
void programs_unlock(struct cgroup_programs *programs);

/* Takes the rings of tracers away that did not end by themselves. The lock is held. */
void tracers_sweep(struct cgroup_programs *programs);

/* Makes @policy the image of that number, which no call is judged by. The lock is held.
 * Return: 0 or -errno. */
int slot_fill(struct cgroup_programs *programs, uint32_t image,
	      const struct policy *policy, unsigned int flags);
/* Until no call can have what was an image before. Return: 0 or -errno. */
int slot_wait(const struct cgroup_programs *programs);
/* Frees it, and its endpoints. */
void slot_empty(struct cgroup_programs *programs, uint32_t slot);
/* One that was free, its finder's from now on; what cgroups had that are gone is freed.
 * Return: its number, or -ENOSPC, or another -errno. */
int slot_find(struct cgroup_programs *programs);
/* Its id. Return: 0 or -errno. */
int cgroup_id(int cgroup, uint64_t *ret);
/* The number of the image @cgroup is judged by. Return: 0; -ENOENT: none. */
int image_judging(const struct cgroup_programs *programs, int cgroup, uint32_t *ret);
/* The flags of an image, IMAGE_*. Return: 0 or -errno. */
int slot_flags(const struct cgroup_programs *programs, uint32_t image, uint32_t *ret);
/* The map of an image. Return: a descriptor, or -errno. */
int slot_open(const struct cgroup_programs *programs, uint32_t image);
