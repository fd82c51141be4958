/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program that shares its descriptor table can put a grafted socket in the place of a
 * UNIX one after the supervisor has looked and let the call continue (SECURITY.md, (a)).
 * The kernel then names the address on the grafted socket, unjudged. Landlock closes that
 * for TCP where it can be raised; this closes it wherever the supervisor may load BPF:
 *
 *	a socket is judged by the cgroup of the task that made it, whoever has it
 *	the supervisor, and nobody else, is in a cgroup of its own, having gone on in a
 *	child that was started there
 *	programs there let bind, connect and sends with a name be made by tasks that are
 *	in that same cgroup: the supervisor's threads
 *
 * UNIX sockets that the supervisor made for an endpoint are in the host's namespace, with
 * its abstract names, so the same holds of their connects and sends, from Linux 6.7 on.
 *
 * Data, accepting and sends without a name are not looked at. The programs stay as long
 * as a socket does, also without the supervisor and its cgroup. Sockets that graftd
 * hands out are made elsewhere.
 *
 * Where the policy says `shortcut on`, those of the cgroup engine that bring sockets
 * together past TCP are attached beside them (run/shortcut.h). They meet connections that
 * TCP has made and messages sent, and decide about no call.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/unix_hooks.h"
#include "run/scope.h"
#include "run/shortcut.h"
#include "runtime/pen.h"

#define LICENCE "GPL"
#define NAME    "graft_pen"
/* BPF_LD | BPF_DW | BPF_IMM, two of which are 0. Half of the number is in the next. */
#define LOAD_NUMBER BPF_DW

static struct scope pen = { .cgroup = -1, .sockets = -1, .parent = -1 };
static int served = -1;

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* return bpf_get_current_cgroup_id() == @id; */
static int load(uint64_t id, enum bpf_attach_type type)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_cgroup_id },
		{ .code = LOAD_NUMBER, .dst_reg = 1, .imm = (int)id },
		{ .imm = (int)(id >> 32) },
		{ .code = BPF_JMP | BPF_JEQ | BPF_X, .src_reg = 1, .off = 2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr;
	long fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
	attr.expected_attach_type = type;
	attr.insns = (uintptr_t)code;
	attr.insn_cnt = ARRAY_SIZE(code);
	attr.license = (uintptr_t)LICENCE;
	memcpy(attr.prog_name, NAME, sizeof(NAME));
	fd = bpf(BPF_PROG_LOAD, &attr);
	return fd < 0 ? -errno : (int)fd;
}

static int attach(int cgroup, uint64_t id, enum bpf_attach_type type)
{
	_cleanup_fd_ int program = load(id, type);
	union bpf_attr attr;

	if (program < 0)
		return program;
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)cgroup;
	attr.attach_bpf_fd = (uint32_t)program;
	attr.attach_type = type;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	return bpf(BPF_PROG_ATTACH, &attr) < 0 ? -errno : 0;
}

static int attach_all(int cgroup, bool has_unix)
{
	static const enum bpf_attach_type types[] = {
		BPF_CGROUP_INET4_BIND,
		BPF_CGROUP_INET6_BIND,
		BPF_CGROUP_INET4_CONNECT,
		BPF_CGROUP_INET6_CONNECT,
		BPF_CGROUP_UDP4_SENDMSG,
		BPF_CGROUP_UDP6_SENDMSG,
		UNIX_CONNECT,
		UNIX_SENDMSG,
	};
	size_t n = ARRAY_SIZE(types) - (has_unix ? 0 : 2);
	struct stat st;
	int r = fstat(cgroup, &st) < 0 ? -errno : 0;

	/* The number of a cgroup's directory is its id. */
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = attach(cgroup, st.st_ino, types[i]);
		if (r == -EINVAL && types[i] >= UNIX_CONNECT) {
			log_warning("before Linux 6.7 a UNIX endpoint is a way to the "
				    "host's abstract UNIX sockets");
			return 0;
		}
	}
	return r;
}

/*
 * Moving a process between cgroups keeps every other from being started meanwhile, the
 * container's among them, for milliseconds. Starting one in a cgroup does not.
 */
static int go_on_in(int cgroup)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)cgroup,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid > 0)
		_exit(EXIT_SUCCESS);
	return pid < 0 ? -errno : 0;
}

int pen_enter(bool has_unix, bool has_shortcut)
{
	int r = scope_new(&pen, getpid());

	if (r < 0)
		return r;
	r = attach_all(pen.cgroup, has_unix);
	/* A container works without it. */
	if (r == 0 && has_shortcut)
		run_shortcut_attach(pen.cgroup, &served);
	if (r == 0)
		r = go_on_in(pen.cgroup);
	if (r < 0)
		pen_leave();
	return r;
}

int pen_cgroup(void)
{
	return pen.cgroup;
}

int pen_served(void)
{
	return served;
}

void pen_leave(void)
{
	served = fd_close(served);
	if (pen.cgroup < 0)
		return;
	scope_join(pen.parent);
	scope_remove(&pen);
}
