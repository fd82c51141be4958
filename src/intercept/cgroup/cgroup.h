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

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_BPFFS "/sys/fs/bpf"

struct policy;
struct policy_error;
struct cgroup_programs;

enum cgroup_flag {
	CGROUP_AUDIT = 1 << 0, /* what is denied is counted, and goes on */
	/* What the policy leaves to the program's own stack is on the policy's own
	 * loopback (it says `loopback own`) or nowhere: as in a namespace that has lo
	 * alone. What it gives to the host may be a port below 1024. A replacement
	 * keeps it. */
	CGROUP_ISOLATED = 1 << 1,
	/* A replacement returns when no call is judged by the policy it replaced. */
	CGROUP_WAIT = 1 << 2,
	/* No call is judged, counted or changed: the policy is there for its `shortcut
	 * on` alone. A replacement does not keep it. */
	CGROUP_UNJUDGED = 1 << 3,
};

/*
 * Loads the programs, or finds those that are loaded. @bpffs: where, or NULL:
 * CGROUP_BPFFS, which is mounted if it is not.
 *
 * Return: 0; -ENODEV: this kernel lacks something, which was said by log_error();
 * -EPERM, or another -errno, said likewise.
 */
int cgroup_programs_open(struct cgroup_programs **ret, const char *bpffs);
/* Those that are loaded. Return: 0; -ENOENT: none are; or another -errno. */
int cgroup_programs_find(struct cgroup_programs **ret);
/* Loads them and forgets them again: does this kernel take them? Return: 0 or -errno. */
int cgroup_programs_try(void);
/* Whether this kernel serves POLICY_SHORTCUT; if not, it is as if it were off. */
bool cgroup_can_shortcut(void);
/* Whether this kernel has hooks for UNIX sockets; if not, rules on paths are refused. */
bool cgroup_can_unix(void);
struct cgroup_programs *cgroup_programs_free(struct cgroup_programs *programs);

/*
 * Return: 0, or -ENOTSUP with a sentence in @error: @policy has a rule that leads where
 * a socket of the host's stack cannot be put by its address, or one on UNIX paths, which
 * this kernel has no hooks for.
 */
int cgroup_check(const struct policy *policy, struct policy_error *error);

/*
 * Gives the registry's endpoints that @policy names their numbers, by which graftd tells
 * the programs where they are; it is to be told, then @policy attached. Return: 0, or
 * -errno: -E2BIG: too many.
 */
int cgroup_name_endpoints(struct cgroup_programs *programs, const struct policy *policy);

/*
 * Judges @cgroup, a descriptor of its directory, by @policy from now on. If it is judged
 * already, by another one, that is replaced: each call is judged by one of the two, and
 * one that begins when this has returned by @policy. One that began before may be on its
 * way still, without CGROUP_WAIT.
 *
 * Return: 0, or -errno: -ENOSPC: there are CGROUP_SLOTS policies.
 */
int cgroup_attach(struct cgroup_programs *programs, int cgroup,
		  const struct policy *policy, unsigned int flags);
/* Return: 0; -ENOENT: nothing of ours is attached. */
int cgroup_detach(struct cgroup_programs *programs, int cgroup);

struct cgroup_build;
/* Return: 0, or a negative number, which ends the walk. */
typedef int cgroup_build_fn(struct cgroup_build *build, void *context);

/*
 * Calls @visit for the programs of each build that are pinned, of this one too; @bpffs as
 * above, but nothing is mounted or loaded. Then no call is judged any more by what @visit
 * has taken away, and the pins of builds that nobody needs are gone, unless @is_dry.
 * Return: 0, with how many builds' are still there; what @visit returned; or -errno.
 */
int cgroup_builds_walk(const char *bpffs, bool is_dry, cgroup_build_fn *visit,
		       void *context, size_t *ret_left);
/* Takes @build's policy and programs from @cgroup; @is_dry: only looks. Return: 1: there
 * was something, 0: there was not, or -errno. */
int cgroup_build_leave(struct cgroup_build *build, int cgroup, bool is_dry);
/* Takes its policy from cgroups that were removed, and live on by their sockets. @top:
 * any directory of the hierarchy's. Return: 0 or -errno. */
int cgroup_build_leave_gone(struct cgroup_build *build, int top);

/* Whether @socket, which a policy judges, is bound to that policy's own loopback. Any
 * thread, any privileges. */
bool cgroup_is_own(const struct cgroup_programs *programs, int socket);

/* The ids of the cgroups that have a policy, to be freed. Return: 0 or -errno. */
int cgroup_list(struct cgroup_programs *programs, uint64_t **ret_ids, size_t *ret_n);

/*
 * Ports whose listeners connections past TCP may lead to. Who listens in a cgroup with
 * `shortcut on` is put there by himself, at the port he is bound to. Return: a
 * descriptor, the caller's, which outlives @programs; or -errno.
 */
int cgroup_served_open(const struct cgroup_programs *programs);
/* Who listens at port @bound of the network namespace with the cookie @netns is reached
 * at @port, too. Takes CAP_BPF. Return: 0; -ENOENT: nobody does; or another -errno. */
int cgroup_served_at(int served, uint64_t netns, uint16_t bound, uint16_t port);

/* What was judged in a cgroup, since its policy is what it is. */
struct cgroup_counters {
	size_t n_rules;
	uint64_t *hits;   /* by rule, and behind the last those that none decided */
	char *text;       /* the rules, a line each */
	bool *is_revoked; /* by rule */
	bool is_audit;
};

/* cgroup_counters_release() on success. Return: 0; -ENOENT as above. */
int cgroup_count(struct cgroup_programs *programs, int cgroup,
		 struct cgroup_counters *ret);
void cgroup_counters_release(struct cgroup_counters *counters);

/* --- what is judged, as it happens --- */

struct cgroup_tracer;
struct traced; /* traced.h */

struct cgroup_trace_filter {
	int cgroup;    /* a descriptor of the policy's, or -1 */
	uint32_t pid;  /* of the caller, or 0 */
	bool is_error; /* what fails, or would */
};

/* Return: 0; a negative number ends the reading. */
typedef int cgroup_trace_fn(const struct traced *traced, void *context);

/*
 * From now on what @filter asks for is kept for this tracer, until cgroup_trace_close(),
 * which releases @programs too. @filter's descriptor stays the caller's.
 *
 * Return: 0; -EBUSY: there are CGROUP_TRACERS; or another -errno. @programs stays the
 * caller's then.
 */
int cgroup_trace_open(struct cgroup_tracer **ret, struct cgroup_programs *programs,
		      const struct cgroup_trace_filter *filter);
/* Can be read while there is something to read. It is the tracer's. */
int cgroup_trace_descriptor(const struct cgroup_tracer *tracer);
/*
 * Calls @function for each call that was kept, or the first of many; what it is given
 * lasts that long.
 *
 * Return: 0, or 1: there may be more; with the number of calls there was no room for
 * since the last time. What @function returned; or -errno.
 */
int cgroup_trace_read(struct cgroup_tracer *tracer, cgroup_trace_fn *function,
		      void *context, uint64_t *ret_lost);
/* No more are kept; those that were can be read. Return: 0 or -errno. */
int cgroup_trace_stop(struct cgroup_tracer *tracer);
struct cgroup_tracer *cgroup_trace_close(struct cgroup_tracer *tracer);
/* What is revoked: all of a policy, if nothing here is set. */
struct cgroup_choice {
	size_t rule;          /* its number, from 1 */
	const char *line;     /* it, as text */
	const char *endpoint; /* every rule with that one */
	bool is_dry;          /* nothing is done, only said */
	bool is_listed;       /* likewise, and of a policy that denies nothing, too */
};

enum cgroup_fate {
	CGROUP_LIVES, /* a UNIX socket that no process has, nor its other end */
	CGROUP_DESTROYED,
	CGROUP_SILENCED, /* it is there, and hears nothing and may do nothing */
};

struct traced_path; /* traced.h */

/* Addresses are struct sockaddr_in or _in6; a UNIX socket has none. */
struct cgroup_socket {
	uint64_t cookie;
	struct sockaddr_in6 local, peer; /* port 0: none */
	uint32_t netns, device;
	size_t rule; /* from 1 */
	int protocol;
	int type;  /* of a UNIX socket, SOCK_*; or 0 */
	int state; /* when it was found: TCP_* of <netinet/tcp.h> */
	enum cgroup_fate fate;
	bool is_bound;      /* and stays so where it was destroyed */
	bool is_idle;       /* bound and no more: there is nothing to destroy */
	unsigned int round; /* that saw it last */
	const struct traced_path *asked; /* of a UNIX socket: whom it asked for */
};

struct cgroup_revoked {
	size_t n_rules; /* that let something through before */
	struct cgroup_socket **sockets;
	size_t n_sockets;
	size_t n_living;     /* of those: CGROUP_LIVES, after all was done */
	bool cannot_destroy; /* this kernel, not every kind */
};

/*
 * Has rules of @cgroup's policy deny from now on, and destroys the sockets that are what
 * they are by them. Rules that were revoked before count as chosen.
 *
 * Return: 0, cgroup_revoked_release() then; -ENOENT: no policy of ours; -ESRCH: no such
 * rule or endpoint; -EBUSY: the policy denies nothing, CGROUP_AUDIT; or another -errno,
 * where it may be that the rules deny and sockets are left.
 */
int cgroup_revoke(struct cgroup_programs *programs, int cgroup,
		  const struct cgroup_choice *choice, struct cgroup_revoked *ret);
void cgroup_revoked_release(struct cgroup_revoked *revoked);
/* Can this kernel destroy sockets? Tries it in the namespace of the caller. Return: 0, or
 * -errno: -EOPNOTSUPP: it cannot. */
int cgroup_destroy_try(void);
