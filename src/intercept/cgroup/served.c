/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "intercept/cgroup/internal.h"

int cgroup_served_open(const struct cgroup_programs *programs)
{
	int fd = fcntl(programs->maps[MAP_SERVED], F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? -errno : fd;
}

int cgroup_served_at(int served, uint64_t netns, uint16_t bound, uint16_t port)
{
	struct served_key key = { .netns = netns, .port = bound };
	struct served value;

	if (bpf_map_lookup_elem(served, &key, &value) < 0)
		return -errno;
	value.score = 0;
	key.port = port;
	return bpf_map_update_elem(served, &key, &value, BPF_ANY) < 0 ? -errno : 0;
}
