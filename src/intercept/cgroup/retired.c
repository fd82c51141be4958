/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images that were replaced, and when they may be written over.
 *
 * Theory of operation. A call that had begun when a policy was replaced is judged by the
 * old image to its end, microseconds later. Who writes over that image has to know that
 * there is none, and the kernel tells it by letting him wait, for some ticks. Whoever
 * replaces a policy does not wait for that; he leaves a mark, which the kernel takes
 * away.
 *
 * The mark is a map that is used by one program, which is attached nowhere and does
 * nothing, and by nobody else. Its descriptor is closed after the store that replaces
 * the policy. The kernel lets go of a program's maps when no program is running any more
 * that was when the last descriptor was closed: a grace period of RCU, in which all
 * programs run; it could not know of this one that it never did. So when the map's number
 * is no map's, no call is judged by the old image. A test holds a program up and looks.
 *
 * The number stands in MAP_RETIRED before the store. Who is killed then leaves no more
 * than that: the kernel closes the program. A number that came to be another map's makes
 * somebody wait for nothing, as does a program that somebody looks at (bpftool)
 * meanwhile; nothing makes him go on too early.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/cgroup/internal.h"

#define NO_MARK UINT32_MAX /* there is none, and it has to be waited for */

static int read_mark(const struct cgroup_programs *programs, uint32_t image,
		     uint32_t *ret)
{
	return bpf_map_lookup_elem(programs->maps[MAP_RETIRED], &image, ret) < 0 ? -errno
										 : 0;
}

static int write_mark(const struct cgroup_programs *programs, uint32_t image,
		      uint32_t mark)
{
	return bpf_map_update_elem(programs->maps[MAP_RETIRED], &image, &mark, BPF_ANY) <
			       0
		       ? -errno
		       : 0;
}

/* A program that uses @map. Return: a descriptor, or -errno. */
static int make_user(int map)
{
	const struct bpf_insn instructions[] = {
		{ .code = BPF_LD | BPF_DW, /* BPF_IMM */
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "graft_mark", "GPL",
			       instructions, sizeof(instructions) / sizeof(*instructions),
			       NULL);

	return fd < 0 ? -errno : fd;
}

/* Return: a descriptor of the program, or -errno. */
static int make_mark(uint32_t *ret)
{
	_cleanup_fd_ int map =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "graft_mark", sizeof(uint32_t),
			       sizeof(uint32_t), 1, NULL);
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);
	int user;

	if (map < 0 || bpf_obj_get_info_by_fd(map, &info, &size) < 0)
		return -errno;
	user = make_user(map);
	if (user >= 0)
		*ret = info.id;
	return user;
}

int retired_mark(const struct cgroup_programs *programs, uint32_t image, int *ret_mark)
{
	uint32_t mark = NO_MARK;
	_cleanup_fd_ int user = make_mark(&mark);
	int r = write_mark(programs, image, mark);

	if (r < 0)
		return r;
	*ret_mark = fd_steal(&user);
	return 0;
}

static bool is_there(uint32_t mark)
{
	_cleanup_fd_ int map = bpf_map_get_fd_by_id(mark);

	return map >= 0 || errno != ENOENT;
}

int retired_ask(const struct cgroup_programs *programs, uint32_t image)
{
	uint32_t mark;
	int r = read_mark(programs, image, &mark);

	if (r < 0)
		return r;
	return mark == NO_MARK || (mark && is_there(mark));
}

int retired_wait(const struct cgroup_programs *programs, uint32_t image)
{
	int r = retired_ask(programs, image);

	if (r > 0)
		r = calls_wait();
	return r < 0 ? r : write_mark(programs, image, 0);
}

/* The kernel returns from a change of a map of maps, whichever, when no program has what
 * was there; membarrier() does so neither on one processor nor with nohz_full. */
int calls_wait(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);
	const uint32_t size = sizeof(uint32_t), zero = 0;
	_cleanup_fd_ int outer = -1,
			 inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "graft_none", size,
						size, 1, NULL);

	if (inner < 0)
		return -errno;
	options.inner_map_fd = (uint32_t)inner;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "graft_nones", size, size, 1,
			       &options);
	if (outer < 0 || bpf_map_update_elem(outer, &zero, &inner, BPF_ANY) < 0)
		return -errno;
	return 0;
}
