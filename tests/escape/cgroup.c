/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Out of the cgroup that has the policy, or the policy out of the cgroup. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "escape.h"

void reach_both(const struct way *way)
{
	struct target canary = target_canary(way), denied = target_denied(way);
	int fd = fresh(way);

	if (!way_is_stream(way))
		seen("sendto", sendto(fd, "x", 1, 0, &canary.any, canary.len));
	reach(fd, &canary);
	close(fd);
	fd = fresh(way);
	reach(fd, &denied);
	close(fd);
}

bool own_cgroup(char mount[256], char *own, size_t size)
{
	char line[4096], device[64], type[64];
	bool has_mount = false, has_own = false;
	FILE *mounts = fopen("/proc/self/mounts", "re"),
	     *file = fopen("/proc/self/cgroup", "re");

	while (mounts && !has_mount && fgets(line, sizeof(line), mounts))
		has_mount = sscanf(line, "%63s %255s %63s", device, mount, type) == 3 &&
			    !strcmp(type, "cgroup2");
	while (file && !has_own && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		has_own = !strncmp(line, "0::", 3);
	}
	if (has_own)
		snprintf(own, size, "%.255s%.3000s", mount, line + 3);
	if (mounts)
		fclose(mounts);
	if (file)
		fclose(file);
	if (!has_mount || !has_own)
		note("no cgroup v2");
	return has_mount && has_own;
}

static void join(const char *cgroup)
{
	char path[4200], call[64];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	snprintf(call, sizeof(call), "write %.40s", path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	seen(call, fd < 0 ? fd : write(fd, "0", 1));
	close(fd);
}

static void leave(const struct way *way)
{
	char top[256], own[4096], made[4200];

	if (own_cgroup(top, own, sizeof(own))) {
		join(top);
		snprintf(made, sizeof(made), "%s/graft-escape", top);
		if (!mkdir(made, 0755)) {
			join(made);
			reach_both(way);
			join(top);
			rmdir(made);
		}
	}
	reach_both(way);
}

/* A child that is born elsewhere. */
static void born_elsewhere(const struct way *way)
{
	char top[256], own[4096];
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	long pid;

	if (!own_cgroup(top, own, sizeof(own)))
		return;
	args.cgroup = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid = seen("clone3(CLONE_INTO_CGROUP)", syscall(SYS_clone3, &args, sizeof(args)));
	if (pid < 0 && !is_grafted)
		pid = fork();
	if (!pid) {
		reach_both(way);
		_exit(0);
	}
	if (pid > 0)
		reap((int)pid);
}

/* The hierarchy seen from namespaces where the program is root. */
static void by_namespace(const struct way *way)
{
	int pid = fork();

	if (!pid) {
		seen("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP));
		if (!seen("mount", mount("none", "/tmp", "cgroup2", 0, NULL))) {
			join("/tmp");
			join("/tmp/..");
		}
		reach_both(way);
		_exit(0);
	}
	reap(pid);
}

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static void detach_type(int cgroup, uint32_t type)
{
	uint32_t ids[8] = {};
	union bpf_attr query = { .query = { .target_fd = cgroup,
					    .attach_type = type,
					    .prog_ids = (uintptr_t)ids,
					    .prog_cnt = ARRAY_SIZE(ids) } };

	if (seen("BPF_PROG_QUERY", bpf(BPF_PROG_QUERY, &query)) < 0)
		query.query.prog_cnt = 0;
	for (uint32_t i = 0; i < query.query.prog_cnt; i++) {
		union bpf_attr get = { .prog_id = ids[i] };
		union bpf_attr detach = { .target_fd = cgroup, .attach_type = type };

		detach.attach_bpf_fd = bpf(BPF_PROG_GET_FD_BY_ID, &get);
		seen("BPF_PROG_DETACH", bpf(BPF_PROG_DETACH, &detach));
	}
	query = (union bpf_attr){ .target_fd = cgroup, .attach_type = type };
	seen("BPF_PROG_DETACH", bpf(BPF_PROG_DETACH, &query));
}

/* Takes the number of the policy out of the pinned map: none is judged any more. */
static void unjudge(const char *own)
{
	glob_t paths;
	struct stat cgroup;
	uint64_t key, none = 0;

	if (stat(own, &cgroup) < 0 ||
	    glob("/sys/fs/bpf/graft/*/graft_judged", 0, NULL, &paths) != 0) {
		note("no pinned map in sight");
		return;
	}
	key = cgroup.st_ino;
	for (size_t i = 0; i < paths.gl_pathc; i++) {
		union bpf_attr get = { .pathname = (uintptr_t)paths.gl_pathv[i] };
		union bpf_attr set = { .key = (uintptr_t)&key,
				       .value = (uintptr_t)&none,
				       .flags = BPF_EXIST };

		set.map_fd = seen("BPF_OBJ_GET", bpf(BPF_OBJ_GET, &get));
		seen("BPF_MAP_UPDATE_ELEM", bpf(BPF_MAP_UPDATE_ELEM, &set));
	}
	globfree(&paths);
}

static void by_map(const struct way *way)
{
	char top[256], own[4096];

	if (own_cgroup(top, own, sizeof(own)))
		unjudge(own);
	reach_both(way);
}

static void detach(const struct way *way)
{
	static const uint32_t types[] = { BPF_CGROUP_INET4_CONNECT,
					  BPF_CGROUP_INET6_CONNECT,
					  BPF_CGROUP_UDP4_SENDMSG,
					  BPF_CGROUP_UDP6_SENDMSG };
	char top[256], own[4096];
	int cgroup = -1;

	if (own_cgroup(top, own, sizeof(own)))
		cgroup = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		detach_type(cgroup, types[i]);
	reach_both(way);
}

const struct attempt attempts_cgroup[] = {
	{ "cgroup-leave", WAY_ALL, ONLY_CGROUP, leave,
	  "to another cgroup by cgroup.procs" },
	{ "cgroup-born", WAY_ALL, ONLY_CGROUP, born_elsewhere,
	  "a child born in another cgroup, CLONE_INTO_CGROUP" },
	{ "cgroup-namespace", WAY_ALL, ONLY_CGROUP, by_namespace,
	  "the hierarchy mounted in own user and cgroup namespaces" },
	{ "cgroup-detach", WAY_ALL, ONLY_CGROUP, detach, "detach the programs" },
	{ "cgroup-map", WAY_ALL, ONLY_CGROUP, by_map,
	  "take the policy's number out of the pinned map" },
	{}
};
