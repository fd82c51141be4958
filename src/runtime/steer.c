/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "runtime/steer.h"
#include "steer.skel.h"

struct steer {
	int slots, sockets, names; /* the maps */
	int link;                  /* of the namespace: open for as long as it steers */
};

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static int keep(const struct bpf_map *map)
{
	return fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
}

static int attach(struct steer *steer, const struct steer_bpf *skeleton)
{
	_cleanup_fd_ int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (netns < 0)
		return -errno;
	steer->link = bpf_link_create(bpf_program__fd(skeleton->progs.steer_lookup),
				      netns, BPF_SK_LOOKUP, NULL);
	if (steer->link < 0)
		return steer->link;
	steer->slots = keep(skeleton->maps.steer_slots);
	steer->sockets = keep(skeleton->maps.steer_sockets);
	steer->names = keep(skeleton->maps.steer_names);
	return steer->slots < 0 || steer->sockets < 0 || steer->names < 0 ? -errno : 0;
}

/* They stay for as long as the cgroup or a socket of it does. */
static int attach_names(const struct steer_bpf *skeleton, int cgroup)
{
	int r = bpf_prog_attach(bpf_program__fd(skeleton->progs.steer_name4), cgroup,
				BPF_CGROUP_INET4_GETSOCKNAME, BPF_F_ALLOW_MULTI);

	if (r == 0)
		r = bpf_prog_attach(bpf_program__fd(skeleton->progs.steer_name6), cgroup,
				    BPF_CGROUP_INET6_GETSOCKNAME, BPF_F_ALLOW_MULTI);
	return r;
}

static int load(struct steer *steer, int cgroup)
{
	struct steer_bpf *skeleton = steer_bpf__open();
	struct stat st;
	int r;

	if (!skeleton)
		return -errno;
	/* The number of a cgroup's directory is its id. */
	if (cgroup >= 0 && fstat(cgroup, &st) == 0)
		skeleton->rodata->steer_cgroup = st.st_ino;
	r = steer_bpf__load(skeleton);
	if (r == 0)
		r = attach(steer, skeleton);
	if (r == 0 && cgroup >= 0)
		r = attach_names(skeleton, cgroup);
	steer_bpf__destroy(skeleton);
	return r;
}

int steer_new(struct steer **ret, int cgroup)
{
	struct steer *steer = malloc(sizeof(*steer));
	int r;

	if (!steer)
		return -ENOMEM;
	*steer = (struct steer){ .slots = -1, .sockets = -1, .names = -1, .link = -1 };
	libbpf_set_print(quiet);
	r = load(steer, cgroup);
	if (r < 0)
		steer_free(steer);
	else
		*ret = steer;
	return r;
}

struct steer *steer_free(struct steer *steer)
{
	if (steer) {
		fd_close(steer->link);
		fd_close(steer->slots);
		fd_close(steer->sockets);
		fd_close(steer->names);
		free(steer);
	}
	return NULL;
}

int steer_add(struct steer *steer, const struct steer_key *key, uint32_t slot)
{
	return bpf_map_update_elem(steer->slots, key, &slot, BPF_ANY) < 0 ? -errno : 0;
}

void steer_remove(struct steer *steer, const struct steer_key *key)
{
	bpf_map_delete_elem(steer->slots, key);
}

int steer_put(struct steer *steer, uint32_t slot, int socket)
{
	uint64_t value = (uint64_t)socket;

	return bpf_map_update_elem(steer->sockets, &slot, &value, BPF_ANY) < 0 ? -errno
									       : 0;
}

int steer_name(struct steer *steer, uint16_t hidden, uint16_t port)
{
	uint32_t key = hidden, value = port;

	return bpf_map_update_elem(steer->names, &key, &value, BPF_ANY) < 0 ? -errno : 0;
}
