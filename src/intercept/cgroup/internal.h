/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of this folder share.
 */
#pragma once

#include <bpf/bpf.h>
#include <stddef.h>
#include <stdint.h>

#include "base/unix_hooks.h"
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
	PROGRAM_INGRESS,
	PROGRAM_CONNECTION,
	PROGRAM_CLOSE,
	PROGRAM_MESSAGE,
	PROGRAM_CONNECT_UNIX,
	PROGRAM_SENDMSG_UNIX,
	PROGRAM_RECVMSG_UNIX,
	PROGRAM_GETPEERNAME_UNIX,
	N_JUDGING, /* those are attached to each cgroup with a policy */
	PROGRAM_DEAD_INGRESS = N_JUDGING,
	PROGRAM_DEAD_EGRESS,
	PROGRAM_MADE_TCP,
	PROGRAM_MADE_UDP,
	PROGRAM_MADE_FILE,
	PROGRAM_MADE_UNIX,
	PROGRAM_MADE_UNIX_FILE,
	N_PROGRAMS,
};

enum map {
	MAP_IMAGES,
	MAP_SLOTS,
	MAP_RETIRED,
	MAP_JUDGED,
	MAP_VIEWS,
	MAP_SENT,
	MAP_LAST,
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
	MAP_MADE,
	MAP_BRIEF,
	MAP_REVOKING,
	N_MAPS,
};

struct cgroup_programs {
	int directory; /* of the pins; its lock is that of whatever changes here */
	int programs[N_PROGRAMS]; /* -1: this kernel has no hook for it */
	int maps[N_MAPS];
};

struct program_row {
	const char *name;
	enum bpf_attach_type type;
	/* Flags of the image, IMAGE_*, of which one has to be set for it to be attached;
	 * 0: it always is. */
	uint32_t wants;
	bool is_of_map; /* attached to the map of the shortcuts once, and to no cgroup */
	bool is_unix;   /* not there before Linux 6.7 */
};

extern const struct program_row program_rows[N_PROGRAMS];

/* What control says now, and shall say. The lock is held. Return: 0 or -errno. */
int control_read(const struct cgroup_programs *programs, struct control *ret);
int control_write(const struct cgroup_programs *programs, const struct control *control);
/* A number that no endpoint and no edition of a policy had before. Likewise. */
int control_next(const struct cgroup_programs *programs, uint32_t *ret);

/* The lock of an open directory of pins, until that is closed. Return: 0 or -errno. */
int pins_lock(int directory);
/* The same of @programs', until programs_unlock(). */
int programs_lock(struct cgroup_programs *programs);
void programs_unlock(struct cgroup_programs *programs);

/* The path of a pin in an open directory: bpf() of this libbpf takes no directory. */
const char *pin_path(int directory, const char *name, char path[96]);
const char *map_name(enum map map);
/* Removes the directories beside @own in the open directory @all whose programs judge no
 * cgroup. */
void builds_sweep(int all, const char *own);
/* Removes that one, likewise. */
void build_sweep(int all, const char *tag);
/* A map of any build's, by its pin in an open directory; it may be of another shape.
 * Return: a descriptor, or -errno: -ENOENT: there is none, so nothing is in it. */
int build_map(int directory, enum map map, struct bpf_map_info *ret);

/* Takes the rings of tracers away that did not end by themselves. The lock is held. */
void tracers_sweep(struct cgroup_programs *programs);

/* Frees it, with all that its policy had. */
void slot_empty(struct cgroup_programs *programs, uint32_t slot);
/* One that was free, its finder's from now on; what cgroups had that are gone is freed.
 * Return: its number, or -ENOSPC, or another -errno. */
int slot_find(struct cgroup_programs *programs);
/* The id of an open cgroup. Return: 0 or -errno. */
int cgroup_id(int cgroup, uint64_t *ret);
/* The number of the image @cgroup is judged by. Return: 0; -ENOENT: none. */
int image_judging(const struct cgroup_programs *programs, int cgroup, uint32_t *ret);
/* Makes @policy the image of that number, which is not judged by; waits until no call of
 * before is. @is_first: of its slot, where there is room for a second one then. The lock
 * is held. Return: 0 or -errno. */
int image_fill(struct cgroup_programs *programs, uint32_t image,
	       const struct policy *policy, unsigned int flags, bool is_first);
/* Makes the cells the image of that number, as image_fill() does. Return: 0 or -errno. */
int image_put(const struct cgroup_programs *programs, uint32_t image,
	      const struct image_cell *cells, size_t n);
/* All cells of an image, to be freed. Return: 0 or -errno. */
int image_read(const struct cgroup_programs *programs, uint32_t image,
	       struct image_cell **ret_cells, size_t *ret_n);
/* The flags of an image, IMAGE_*. Return: 0 or -errno. */
int image_flags(const struct cgroup_programs *programs, uint32_t image, uint32_t *ret);
/* The map of an image. Return: a descriptor, or -errno. */
int image_open(const struct cgroup_programs *programs, uint32_t image);
/* One of nothing: what would be judged by it is refused. Return: a descriptor, or
 * -errno. */
int image_nothing(void);
/* Puts the numbers of @policy's endpoints, new ones where a name is new in @slot, into
 * its cells, which have their places in the policy. Return: 0 or -errno. */
int endpoints_number(const struct cgroup_programs *programs, uint32_t slot,
		     const struct policy *policy, struct image_cell *cells);

/*
 * Before @image is judged by no more: @ret_mark is to be closed when it is not. If the
 * caller is killed, it is closed by that. The lock is held. Return: 0 or -errno.
 */
int retired_mark(const struct cgroup_programs *programs, uint32_t image, int *ret_mark);
/* Until no call is judged by @image, which was marked; at once if there is none already.
 * The lock is held. Return: 0 or -errno. */
int retired_wait(const struct cgroup_programs *programs, uint32_t image);
/* Would that wait? Return: 0, 1, or -errno. */
int retired_ask(const struct cgroup_programs *programs, uint32_t image);
/* Until no call can have what any image was before. Return: 0 or -errno. */
int calls_wait(void);

/* The edition of a policy its image is; and the first one of that policy, where the
 * outcome of no rule has no address. */
static inline uint32_t *image_edition(struct image_cell *cells)
{
	return &cells[1].word[1];
}

static inline uint32_t *image_first(struct image_cell *cells)
{
	return &image_outcome(cells, cells[0].word[2])[1].word[0];
}

/* The lock, and who @cgroup is. Return: 0, or -errno without the lock. */
int lock_cgroup(struct cgroup_programs *programs, int cgroup, uint64_t *ret_id);
/* Return: 0 with the number of the image @id is judged by; -ENOENT. */
int image_of(const struct cgroup_programs *programs, uint64_t id, uint32_t *ret);
/* Judges by @to instead of @from. What it has more is attached before, what it has less
 * goes afterwards: the programs ask the image whether they are meant. @waits: until no
 * call is judged by @from; one that is killed meanwhile leaves a word for the next, who
 * waits instead. If not, who writes over @from does. Return: 0 or -errno. */
int switch_image(struct cgroup_programs *programs, int cgroup, uint64_t id, uint32_t from,
		 uint32_t to, bool waits);

/* Sockets that are there by revoked rules; found.c. */
struct found {
	struct cgroup_socket **sockets; /* by cookie, to be freed each */
	size_t n;
	size_t n_seen;    /* in the last round */
	size_t n_pending; /* of those: calls that may be on their way */
	size_t n_waiting; /* the same of UNIX streams, which may wait for ever */
	size_t n_calling; /* such calls of anybody's */
	bool is_changed;  /* by the last round */
	unsigned int round;
	bool cannot;    /* be destroyed, by this kernel */
	bool is_listed; /* only: nothing is destroyed */
	bool has_unix;  /* those of UNIX are looked at, too */
	uint32_t netns; /* where the caller is while they are read */
	void *tree;
};

/* Looks at every socket there is, by MAP_REVOKING, and destroys those that are found.
 * Return: 0 or -errno. */
int found_round(struct cgroup_programs *programs, struct found *found);
void found_release(struct found *found);

/* Return: 0 or -errno. */
typedef int found_merge_fn(struct found *found, const void *record);
/* Has @merge take what the iterator @program writes, in records of @size bytes, a
 * multiple of eight. Return: 0 or -errno. */
int found_iterate(const struct cgroup_programs *programs, enum program program,
		  struct found *found, size_t size, found_merge_fn *merge);
/* One more, @found's, with a copy of @asked if that is not NULL. Return: it, or NULL. */
struct cgroup_socket *found_add(struct found *found, uint64_t cookie,
				const struct traced_path *asked);
/* Return: the one with that cookie, or NULL. */
struct cgroup_socket *found_known(const struct found *found, uint64_t cookie);
/* This round has met it, and it was not destroyed after all if it @is_alive. */
void found_see(struct found *found, struct cgroup_socket *socket, bool is_alive);
/* The same for UNIX sockets by the one or the other iterator; found_unix.c. */
int found_unix(const struct cgroup_programs *programs, enum program program,
	       struct found *found);

/* Runs @visit in each network namespace of a task or with a name, the caller's first, by
 * its inode number. Return: 0, or what @visit did if that is negative, or -errno. */
int netns_walk(int (*visit)(void *context, uint32_t netns), void *context);

/* Dead sockets of @cgroup that are there hear nothing any more. Return: 0 or -errno. */
int silence_begin(struct cgroup_programs *programs, int cgroup);
/* No more of it where none of @image's policy is left. */
void silence_end(struct cgroup_programs *programs, int cgroup, uint32_t image);
