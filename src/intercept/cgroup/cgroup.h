/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cgroup engine, from outside: BPF programs that judge the sockets a cgroup's
 * processes make (graft.bpf.c), by a policy of that cgroup's. Needs root.
 *
 * What is loaded is kept by the kernel, not by a process: programs and maps are pinned
 * in a BPF file system, once for all who use it, in a directory named after the
 * programs; a cgroup keeps what is attached to it as long as it is there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_BPFFS "/sys/fs/bpf"

struct policy;
struct policy_error;
struct cgroup_programs;

enum cgroup_flag {
	CGROUP_AUDIT = 1 << 0, /* what is denied is counted, and goes on */
};

/*
 * Loads the programs, or finds those that are loaded. @bpffs: where, or NULL:
 * CGROUP_BPFFS, which is mounted if it is not.
 *
 * Return: 0; -ENODEV: this kernel lacks something, which was said by log_error();
 * -EPERM, or another -errno, said likewise.
 */
int cgroup_programs_open(struct cgroup_programs **ret, const char *bpffs);
/* Loads them and forgets them again: does this kernel take them? Return: 0 or -errno. */
int cgroup_programs_try(void);
/* Whether this kernel serves POLICY_SHORTCUT; if not, it is as if it were off. */
bool cgroup_can_shortcut(void);
struct cgroup_programs *cgroup_programs_free(struct cgroup_programs *programs);

/*
 * Return: 0, or -ENOTSUP with a sentence in @error: @policy has a rule that leads where
 * a socket of the host's stack cannot be put by its address.
 */
int cgroup_check(const struct policy *policy, struct policy_error *error);

/*
 * Judges @cgroup, a descriptor of its directory, by @policy from now on. If it is judged
 * already, by another one, that is replaced: each call is judged by one of the two.
 *
 * Return: 0, or -errno: -ENOSPC: there are CGROUP_SLOTS policies.
 */
int cgroup_attach(struct cgroup_programs *programs, int cgroup,
		  const struct policy *policy, unsigned int flags);
/* Return: 0; -ENOENT: nothing of ours is attached. */
int cgroup_detach(struct cgroup_programs *programs, int cgroup);

/* What was judged in a cgroup, since its policy is what it is. */
struct cgroup_counters {
	size_t n_rules;
	uint64_t *hits; /* by rule, and behind the last those that none decided */
	char *text;     /* the rules, a line each */
	bool is_audit;
};

/* cgroup_counters_release() on success. Return: 0; -ENOENT as above. */
int cgroup_count(struct cgroup_programs *programs, int cgroup,
		 struct cgroup_counters *ret);
void cgroup_counters_release(struct cgroup_counters *counters);
