/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loading, pinning and finding the programs.
 *
 *	BPFFS/graft/TAG/graft_bind4 ...		programs
 *	BPFFS/graft/TAG/graft_images ...	maps
 *	BPFFS/graft/TAG/tracer0 ...		directories, locked while it is there
 *
 * TAG stands for the programs as they were built: another build has a directory of its
 * own, and cgroups go on being judged by the one they were attached to. The directory
 * itself, locked, is the lock of everything below.
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "graft.skel.h"
#include "intercept/cgroup/internal.h"

const struct program_row program_rows[N_PROGRAMS] = {
	[PROGRAM_BIND4] = { "graft_bind4", BPF_CGROUP_INET4_BIND },
	[PROGRAM_BIND6] = { "graft_bind6", BPF_CGROUP_INET6_BIND },
	[PROGRAM_POST_BIND4] = { "graft_post_bind4", BPF_CGROUP_INET4_POST_BIND },
	[PROGRAM_POST_BIND6] = { "graft_post_bind6", BPF_CGROUP_INET6_POST_BIND },
	[PROGRAM_CONNECT4] = { "graft_connect4", BPF_CGROUP_INET4_CONNECT },
	[PROGRAM_CONNECT6] = { "graft_connect6", BPF_CGROUP_INET6_CONNECT },
	[PROGRAM_SENDMSG4] = { "graft_sendmsg4", BPF_CGROUP_UDP4_SENDMSG },
	[PROGRAM_SENDMSG6] = { "graft_sendmsg6", BPF_CGROUP_UDP6_SENDMSG },
	[PROGRAM_RECVMSG4] = { "graft_recvmsg4", BPF_CGROUP_UDP4_RECVMSG },
	[PROGRAM_RECVMSG6] = { "graft_recvmsg6", BPF_CGROUP_UDP6_RECVMSG },
	[PROGRAM_GETPEERNAME4] = { "graft_getpeername4", BPF_CGROUP_INET4_GETPEERNAME },
	[PROGRAM_GETPEERNAME6] = { "graft_getpeername6", BPF_CGROUP_INET6_GETPEERNAME },
	[PROGRAM_GETSOCKNAME4] = { "graft_getsockname4", BPF_CGROUP_INET4_GETSOCKNAME },
	[PROGRAM_GETSOCKNAME6] = { "graft_getsockname6", BPF_CGROUP_INET6_GETSOCKNAME },
	[PROGRAM_CREATE] = { "graft_create", BPF_CGROUP_INET_SOCK_CREATE,
			     .wants = IMAGE_DENIES },
	[PROGRAM_RELEASE] = { "graft_release", BPF_CGROUP_INET_SOCK_RELEASE },
	[PROGRAM_EGRESS] = { "graft_egress", BPF_CGROUP_INET_EGRESS,
			     .wants = IMAGE_DENIES },
	[PROGRAM_INGRESS] = { "graft_ingress", BPF_CGROUP_INET_INGRESS,
			      .wants = IMAGE_ISOLATED },
	[PROGRAM_CONNECTION] = { "graft_connection", BPF_CGROUP_SOCK_OPS,
				 .wants = IMAGE_SHORTCUT },
	[PROGRAM_CLOSE] = { "graft_close", BPF_CGROUP_INET_SOCK_RELEASE,
			    .wants = IMAGE_SHORTCUT },
	[PROGRAM_MESSAGE] = { "graft_message", BPF_SK_MSG_VERDICT, .is_of_map = true },
	[PROGRAM_CONNECT_UNIX] = { "graft_connect_unix", UNIX_CONNECT,
				   .wants = IMAGE_UNIXES, .is_unix = true },
	[PROGRAM_SENDMSG_UNIX] = { "graft_sendmsg_unix", UNIX_SENDMSG,
				   .wants = IMAGE_UNIXES, .is_unix = true },
	[PROGRAM_RECVMSG_UNIX] = { "graft_recvmsg_unix", UNIX_RECVMSG,
				   .wants = IMAGE_UNIXES, .is_unix = true },
	[PROGRAM_GETPEERNAME_UNIX] = { "graft_getpeername_unix", UNIX_GETPEERNAME,
				       .wants = IMAGE_UNIXES, .is_unix = true },
	[PROGRAM_DEAD_INGRESS] = { "graft_dead_ingress", BPF_CGROUP_INET_INGRESS },
	[PROGRAM_DEAD_EGRESS] = { "graft_dead_egress", BPF_CGROUP_INET_EGRESS },
	[PROGRAM_MADE_TCP] = { "graft_made_tcp", BPF_TRACE_ITER },
	[PROGRAM_MADE_UDP] = { "graft_made_udp", BPF_TRACE_ITER },
	[PROGRAM_MADE_FILE] = { "graft_made_file", BPF_TRACE_ITER },
	[PROGRAM_MADE_UNIX] = { "graft_made_unix", BPF_TRACE_ITER, .is_unix = true },
	[PROGRAM_MADE_UNIX_FILE] = { "graft_made_unix_file", BPF_TRACE_ITER,
				     .is_unix = true },
};

static const char *const map_names[N_MAPS] = {
	[MAP_IMAGES] = "graft_images",
	[MAP_JUDGED] = "graft_judged",
	[MAP_SLOTS] = "graft_slots",
	[MAP_RETIRED] = "graft_retired",
	[MAP_VIEWS] = "graft_views",
	[MAP_SENT] = "graft_sent",
	[MAP_LAST] = "graft_last",
	[MAP_ENDPOINTS] = PLACES_BINDERS_MAP,
	[MAP_NAMES] = PLACES_NAMES_MAP,
	[MAP_PLACES] = PLACES_PLACES_MAP,
	[MAP_GRANTED] = PLACES_GRANTED_MAP,
	[MAP_LOOPBACK] = "graft_loopback",
	[MAP_LOOPBACK_N] = "graft_loopback_n",
	[MAP_TRACERS] = "graft_tracers",
	[MAP_TRACED] = "graft_traced",
	[MAP_CONTROL] = "graft_control",
	[MAP_SHORTCUTS] = "graft_shortcuts",
	[MAP_ENDS] = "graft_ends",
	[MAP_SIDES] = "graft_sides",
	[MAP_SERVED] = "graft_served",
	[MAP_MADE] = "graft_made",
	[MAP_BRIEF] = "graft_brief",
	[MAP_REVOKING] = "graft_revoking",
};

const char *map_name(enum map map)
{
	return map_names[map];
}

/* libbpf's own words, for who asks for them. */
static int on_libbpf(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char text[512];

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(text, sizeof(text), format, arguments);
	log_debug("libbpf: %.*s", (int)strcspn(text, "\n"), text);
	return 0;
}

/* Of the programs, by their bytes (FNV-1a). */
static uint64_t tag_of(void)
{
	uint64_t hash = 0xcbf29ce484222325u;
	size_t size;
	const unsigned char *bytes = graft_bpf__elf_bytes(&size);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash;
}

static int open_at(int directory, const char *name)
{
	int fd, r;

	r = mkdirat(directory, name, 0700) < 0 && errno != EEXIST ? -errno : 0;
	if (r < 0)
		return r;
	fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* Return: a descriptor of the directory of the pins, or -errno. Those of other builds go
 * where nobody needs them. */
static int open_directory(const char *bpffs)
{
	const char *path = bpffs ? bpffs : CGROUP_BPFFS;
	_cleanup_fd_ int top = -1, graft = -1;
	struct statfs fs;
	char tag[20];

	if (!bpffs && statfs(path, &fs) == 0 && fs.f_type != BPF_FS_MAGIC &&
	    mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		return -errno;
	top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return -errno;
	if (fstatfs(top, &fs) < 0)
		return -errno;
	if (fs.f_type != BPF_FS_MAGIC)
		return -EMEDIUMTYPE;
	graft = open_at(top, "graft");
	if (graft < 0)
		return graft;
	snprintf(tag, sizeof(tag), "%016llx", (unsigned long long)tag_of());
	builds_sweep(graft, tag);
	return open_at(graft, tag);
}

int pins_lock(int directory)
{
	while (flock(directory, LOCK_EX) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int programs_lock(struct cgroup_programs *programs)
{
	return pins_lock(programs->directory);
}

void programs_unlock(struct cgroup_programs *programs)
{
	flock(programs->directory, LOCK_UN);
}

int control_read(const struct cgroup_programs *programs, struct control *ret)
{
	uint32_t zero = 0;

	return bpf_map_lookup_elem(programs->maps[MAP_CONTROL], &zero, ret) < 0 ? -errno
										: 0;
}

int control_write(const struct cgroup_programs *programs, const struct control *control)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(programs->maps[MAP_CONTROL], &zero, control, BPF_ANY) <
			       0
		       ? -errno
		       : 0;
}

int control_next(const struct cgroup_programs *programs, uint32_t *ret)
{
	struct control control;
	int r = control_read(programs, &control);

	if (r < 0)
		return r;
	*ret = control.next++;
	return control_write(programs, &control);
}

const char *pin_path(int directory, const char *name, char path[96])
{
	snprintf(path, 96, "/proc/self/fd/%d/%s", directory, name);
	return path;
}

static int take_pin(const struct cgroup_programs *programs, const char *name, int *ret)
{
	char path[96];

	*ret = bpf_obj_get(pin_path(programs->directory, name, path));
	return *ret < 0 ? -errno : 0;
}

/* Return: 0; -ENOENT: they are not all there. Those that a kernel may lack are pinned
 * before the last ones, so whoever was interrupted has left gaps behind them, too. */
static int find_pinned(struct cgroup_programs *programs)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < N_PROGRAMS; i++) {
		r = take_pin(programs, program_rows[i].name, &programs->programs[i]);
		if (r == -ENOENT && program_rows[i].is_unix) {
			programs->programs[i] = -1;
			r = 0;
		}
	}
	for (size_t i = 0; r == 0 && i < N_MAPS; i++)
		r = take_pin(programs, map_names[i], &programs->maps[i]);
	return r;
}

static void forget(struct cgroup_programs *programs)
{
	for (size_t i = 0; i < N_PROGRAMS; i++)
		programs->programs[i] = fd_close(programs->programs[i]);
	for (size_t i = 0; i < N_MAPS; i++)
		programs->maps[i] = fd_close(programs->maps[i]);
}

static int put_pin(const struct cgroup_programs *programs, const char *name, int fd)
{
	char path[96];

	unlinkat(programs->directory, name, 0);
	return bpf_obj_pin(fd, pin_path(programs->directory, name, path)) < 0 ? -errno
									      : 0;
}

static int pin_all(struct cgroup_programs *programs, const struct bpf_object *object)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < N_PROGRAMS; i++) {
		const struct bpf_program *program =
			bpf_object__find_program_by_name(object, program_rows[i].name);

		if (program && !bpf_program__autoload(program))
			continue;
		r = program ? put_pin(programs, program_rows[i].name,
				      bpf_program__fd(program))
			    : -ENOENT;
	}
	for (size_t i = 0; r == 0 && i < N_MAPS; i++) {
		int fd = bpf_object__find_map_fd_by_name(object, map_names[i]);

		r = fd < 0 ? fd : put_pin(programs, map_names[i], fd);
	}
	return r;
}

/* It stays there without us, as those on a cgroup do. */
static int attach_to_map(const struct graft_bpf *skeleton)
{
	int program = bpf_program__fd(skeleton->progs.graft_message);
	int map = bpf_map__fd(skeleton->maps.graft_shortcuts);

	return bpf_prog_attach(program, map, BPF_SK_MSG_VERDICT, 0) < 0 ? -errno : 0;
}

static struct btf *load_btf(void)
{
	struct btf *btf;

	libbpf_set_print(on_libbpf);
	btf = btf__load_vmlinux_btf();
	return libbpf_get_error(btf) ? NULL : btf;
}

bool cgroup_can_unix(void)
{
	struct btf *btf = load_btf();
	bool can = btf && btf__find_by_name_kind(btf, "bpf_sock_addr_set_sun_path",
						 BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return can;
}

/* Loads them, with those for UNIX sockets where there are hooks for such; older libbpf
 * knows no sections for them. Return: 0 or -errno. */
static int load_skeleton(struct graft_bpf **ret)
{
	struct graft_bpf *skeleton = graft_bpf__open();
	int r = skeleton ? 0 : -errno;
	bool can;

	if (!skeleton)
		return r < 0 ? r : -ENOMEM;
	can = cgroup_can_unix();
	for (size_t i = 0; i < N_PROGRAMS; i++) {
		struct bpf_program *program =
			bpf_object__find_program_by_name(skeleton->obj,
							 program_rows[i].name);

		if (!program || !program_rows[i].is_unix)
			continue;
		bpf_program__set_autoload(program, can);
		if (program_rows[i].type == BPF_TRACE_ITER)
			continue;
		bpf_program__set_type(program, BPF_PROG_TYPE_CGROUP_SOCK_ADDR);
		bpf_program__set_expected_attach_type(program, program_rows[i].type);
	}
	r = graft_bpf__load(skeleton);
	if (r < 0)
		graft_bpf__destroy(skeleton);
	else
		*ret = skeleton;
	return r;
}

static int load(struct cgroup_programs *programs)
{
	struct graft_bpf *skeleton = NULL;
	int r = load_skeleton(&skeleton);

	if (r < 0) {
		log_error(
			"cannot load the programs of the cgroup engine: %s; -vv says more",
			strerror(-r));
		r = r == -EPERM ? r : -ENODEV;
	} else {
		r = attach_to_map(skeleton);
		if (r == 0)
			r = pin_all(programs, skeleton->obj);
		if (r < 0)
			log_error("cannot pin the programs: %s", strerror(-r));
	}
	graft_bpf__destroy(skeleton);
	return r;
}

int cgroup_programs_try(void)
{
	struct graft_bpf *skeleton = NULL;
	int r;

	libbpf_set_print(on_libbpf);
	r = load_skeleton(&skeleton);
	if (r == 0)
		r = attach_to_map(skeleton);
	graft_bpf__destroy(skeleton);
	return r;
}

static bool has_member(const struct btf *btf, const char *type, const char *name)
{
	int id = btf__find_by_name_kind(btf, type, BTF_KIND_STRUCT);
	const struct btf_type *found = id < 0 ? NULL : btf__type_by_id(btf, (uint32_t)id);
	const struct btf_member *members = found ? btf_members(found) : NULL;

	for (int i = 0; found && i < btf_vlen(found); i++) {
		const char *member = btf__name_by_offset(btf, members[i].name_off);

		if (member && !strcmp(member, name))
			return true;
	}
	return false;
}

/* As is_shortcut_on() of shortcut.bpf.h asks. */
bool cgroup_can_shortcut(void)
{
	struct btf *btf = load_btf();
	bool can;

	can = btf && has_member(btf, "sk_psock", "msg_tot_len");
	btf__free(btf);
	return can;
}

static int find_or_load(struct cgroup_programs *programs)
{
	int r = find_pinned(programs);

	if (r != -ENOENT)
		return r;
	forget(programs);
	r = load(programs);
	return r < 0 ? r : find_pinned(programs);
}

/* The directory may have gone before it was locked, by who thought that nobody needs
 * it. */
static int open_locked(struct cgroup_programs *programs, const char *bpffs)
{
	struct stat st;
	int r;

	do {
		fd_close(programs->directory);
		programs->directory = open_directory(bpffs);
		r = programs->directory < 0 ? programs->directory
					    : programs_lock(programs);
		if (r == 0 && fstat(programs->directory, &st) < 0)
			r = -errno;
	} while (r == 0 && st.st_nlink == 0);
	return r;
}

int cgroup_programs_open(struct cgroup_programs **ret, const char *bpffs)
{
	struct cgroup_programs *programs = malloc(sizeof(*programs));
	int r;

	if (!programs)
		return -ENOMEM;
	memset(programs, -1, sizeof(*programs));
	libbpf_set_print(on_libbpf);
	r = open_locked(programs, bpffs);
	if (r < 0) {
		log_error("cannot keep BPF programs in %s: %s",
			  bpffs ? bpffs : CGROUP_BPFFS, strerror(-r));
	} else {
		r = find_or_load(programs);
		if (r == 0)
			tracers_sweep(programs);
		programs_unlock(programs);
	}
	if (r < 0)
		cgroup_programs_free(programs);
	else
		*ret = programs;
	return r;
}

int cgroup_programs_find(struct cgroup_programs **ret)
{
	struct cgroup_programs *programs = malloc(sizeof(*programs));
	char path[64];
	int r;

	if (!programs)
		return -ENOMEM;
	memset(programs, -1, sizeof(*programs));
	snprintf(path, sizeof(path), CGROUP_BPFFS "/graft/%016llx",
		 (unsigned long long)tag_of());
	programs->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	r = programs->directory < 0 ? -errno : programs_lock(programs);
	if (r == 0) {
		r = find_pinned(programs);
		programs_unlock(programs);
	}
	if (r < 0)
		cgroup_programs_free(programs);
	else
		*ret = programs;
	return r;
}

struct cgroup_programs *cgroup_programs_free(struct cgroup_programs *programs)
{
	if (!programs)
		return NULL;
	forget(programs);
	fd_close(programs->directory);
	free(programs);
	return NULL;
}
