/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The seccomp filter.
 *
 * What the rules may rely on: register values alone, since memory can change after it
 * was looked at. Native socket() is always harmless (it makes a socket in the caller's
 * own namespace), so trapping it is a matter of service, not of safety. What must never
 * run unseen is a call that names an address: bind, connect, and sends with a name.
 *
 *  - Arguments the kernel takes as int are compared under a 32-bit mask: the upper half
 *    of the register is the program's to fill.
 *  - Addresses shorter than 16 bytes reach no inet socket but as AF_UNSPEC (dissolve),
 *    so those calls pass; that spares short UNIX paths and netlink.
 *  - close, fork, dup, read, write, accept, poll are never trapped: interrupted
 *    notifications return EINTR from calls that must not.
 *  - Source routes (IP_OPTIONS, IPV6_RTHDR) would let a packet for an allowed address
 *    travel by way of a forbidden one; they are refused with EPERM.
 *  - io_uring can do all of this out of sight: ENOSYS. clone3 hides its flags in
 *    memory: ENOSYS, and the C libraries fall back to clone.
 *  - A listener of the program's own would hear the calls once ours is gone, and could
 *    let them continue: EBUSY, which is what the kernel says while ours is there.
 *  - Entering another network namespace is noted (not judged), so that namespaces the
 *    program makes for itself are left alone.
 *  - 32-bit code on a 64-bit kernel packs socket arguments in memory (socketcall); its
 *    socket calls get ENOSYS. Any other foreign ABI (x32) gets ENOSYS throughout.
 *
 * Kernels since 5.11 keep a bitmap of calls that a filter always allows: the calls on
 * the data path do not even run it.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/graft.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/notify/filter.h"
#include "intercept/notify/kernel.h"
#include "policy/policy.h"

#define LOW_WORD         0xffffffffULL
#define ADDRESS_SHORTEST sizeof(struct sockaddr_in)

#ifndef IPV6_2292RTHDR
#	define IPV6_2292RTHDR 5
#endif
#ifndef IPV6_2292PKTOPTIONS
#	define IPV6_2292PKTOPTIONS 6
#endif

struct filter_rule {
	int call;
	uint32_t action;
	unsigned int n;
	struct scmp_arg_cmp args[2];
};

#define IS_INT(arg, value)  SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, LOW_WORD, value)
#define HAS_BITS(arg, bits) SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, bits, bits)
#define IS_SET(arg)         SCMP_CMP64(arg, SCMP_CMP_NE, 0)
#define NOT_SHORT(arg)      SCMP_CMP64(arg, SCMP_CMP_GE, ADDRESS_SHORTEST)

unsigned int filter_plan(const struct policy_reach *reach)
{
	unsigned int leaves = reach->bind_leaves | reach->connect_leaves;
	unsigned int datagrams = POLICY_UDP | POLICY_OTHER;
	unsigned int traps = 0;

	if (!leaves && !reach->denies && !reach->has_endpoints)
		return 0;
	traps |= TRAP_NAMES | TRAP_FAMILY;
	/* Where only binds leave, sockets move once, at bind. */
	if (reach->connect_roams & (POLICY_TCP | POLICY_UDP))
		traps |= TRAP_SOCKET_V4 | TRAP_SOCKET_V6;
	if ((leaves | reach->denies) & datagrams)
		traps |= TRAP_DATAGRAMS;
	else
		traps |= TRAP_FAST_OPEN;
	if (reach->has_unix)
		traps |= TRAP_OPTIONS;
	return traps;
}

/*
 * The sockets are made where they are judged, and named natively. What the kernel's judge
 * does not see is trapped: listen(), control messages of datagrams, which may hold a
 * source route, and the datagrams of other protocols.
 */
unsigned int filter_plan_judged(const struct policy_reach *reach)
{
	unsigned int leaves = reach->bind_leaves | reach->connect_leaves;

	if (!filter_plan(reach))
		return 0;
	return TRAP_SOCKET_V4 | TRAP_SOCKET_V6 | TRAP_LISTEN |
	       (leaves & POLICY_OTHER ? TRAP_DATAGRAMS : TRAP_MESSAGES);
}

static int add_rules(scmp_filter_ctx ctx, const struct filter_rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct filter_rule *r = &rules[i];
		int error =
			seccomp_rule_add_array(ctx, r->action, r->call, r->n, r->args);

		if (error < 0)
			return error;
	}
	return 0;
}

static int add_always(scmp_filter_ctx ctx)
{
	const uint32_t no_call = SCMP_ACT_ERRNO(ENOSYS), no_right = SCMP_ACT_ERRNO(EPERM);
	const uint32_t notify = SCMP_ACT_NOTIFY, busy = SCMP_ACT_ERRNO(EBUSY);
	const struct filter_rule rules[] = {
		{ SCMP_SYS(io_uring_setup), no_call, 0, {} },
		{ SCMP_SYS(io_uring_enter), no_call, 0, {} },
		{ SCMP_SYS(io_uring_register), no_call, 0, {} },
		{ SCMP_SYS(clone3), no_call, 0, {} },
		{ SCMP_SYS(seccomp),
		  busy,
		  1,
		  { HAS_BITS(1, SECCOMP_FILTER_FLAG_NEW_LISTENER) } },
		{ SCMP_SYS(clone), notify, 1, { HAS_BITS(0, CLONE_NEWNET) } },
		{ SCMP_SYS(clone),
		  notify,
		  1,
		  { SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, CLONE_FILES | CLONE_THREAD,
			       CLONE_FILES) } },
		{ SCMP_SYS(unshare), notify, 1, { HAS_BITS(0, CLONE_NEWNET) } },
		{ SCMP_SYS(setns), notify, 0, {} },
		{ SCMP_SYS(setsockopt),
		  no_right,
		  2,
		  { IS_INT(1, IPPROTO_IP), IS_INT(2, IP_OPTIONS) } },
		{ SCMP_SYS(setsockopt),
		  no_right,
		  2,
		  { IS_INT(1, IPPROTO_IPV6), IS_INT(2, IPV6_RTHDR) } },
		{ SCMP_SYS(setsockopt),
		  no_right,
		  2,
		  { IS_INT(1, IPPROTO_IPV6), IS_INT(2, IPV6_2292RTHDR) } },
		{ SCMP_SYS(setsockopt),
		  no_right,
		  2,
		  { IS_INT(1, IPPROTO_IPV6), IS_INT(2, IPV6_2292PKTOPTIONS) } },
	};

	return add_rules(ctx, rules, ARRAY_SIZE(rules));
}

static int add_traps(scmp_filter_ctx ctx, unsigned int traps)
{
	const uint32_t notify = SCMP_ACT_NOTIFY;
	const struct {
		unsigned int trap;
		struct filter_rule rule;
	} rows[] = {
		{ TRAP_SOCKET_V4,
		  { SCMP_SYS(socket), notify, 1, { IS_INT(0, AF_INET) } } },
		{ TRAP_SOCKET_V6,
		  { SCMP_SYS(socket), notify, 1, { IS_INT(0, AF_INET6) } } },
		{ TRAP_NAMES, { SCMP_SYS(bind), notify, 1, { NOT_SHORT(2) } } },
		{ TRAP_NAMES, { SCMP_SYS(connect), notify, 1, { NOT_SHORT(2) } } },
		{ TRAP_NAMES, { SCMP_SYS(listen), notify, 0, {} } },
		{ TRAP_LISTEN, { SCMP_SYS(listen), notify, 0, {} } },
		{ TRAP_DATAGRAMS, { SCMP_SYS(sendto), notify, 1, { IS_SET(4) } } },
		{ TRAP_DATAGRAMS, { SCMP_SYS(sendmsg), notify, 0, {} } },
		{ TRAP_DATAGRAMS, { SCMP_SYS(sendmmsg), notify, 0, {} } },
		{ TRAP_MESSAGES, { SCMP_SYS(sendmsg), notify, 0, {} } },
		{ TRAP_MESSAGES, { SCMP_SYS(sendmmsg), notify, 0, {} } },
		{ TRAP_FAST_OPEN,
		  { SCMP_SYS(sendto),
		    notify,
		    2,
		    { HAS_BITS(3, MSG_FASTOPEN), IS_SET(4) } } },
		{ TRAP_FAST_OPEN,
		  { SCMP_SYS(sendmsg), notify, 1, { HAS_BITS(2, MSG_FASTOPEN) } } },
		{ TRAP_FAST_OPEN,
		  { SCMP_SYS(sendmmsg), notify, 1, { HAS_BITS(3, MSG_FASTOPEN) } } },
		{ TRAP_OPTIONS,
		  { SCMP_SYS(setsockopt), notify, 1, { IS_INT(1, IPPROTO_TCP) } } },
		{ TRAP_FAMILY, { SCMP_SYS(socket), notify, 1, { IS_INT(0, AF_GRAFT) } } },
		{ TRAP_FAMILY,
		  { SCMP_SYS(socketpair),
		    SCMP_ACT_ERRNO(EOPNOTSUPP),
		    1,
		    { IS_INT(0, AF_GRAFT) } } },
		{ TRAP_FAMILY,
		  { SCMP_SYS(setsockopt), notify, 1, { IS_INT(1, IPPROTO_GRAFT) } } },
		{ TRAP_FAMILY,
		  { SCMP_SYS(getsockopt), notify, 1, { IS_INT(1, IPPROTO_GRAFT) } } },
		/* No other family has addresses of this size. */
		{ TRAP_FAMILY,
		  { SCMP_SYS(sendto),
		    notify,
		    2,
		    { IS_SET(4), IS_INT(5, sizeof(struct sockaddr_gr)) } } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int error = rows[i].trap & traps ? add_rules(ctx, &rows[i].rule, 1) : 0;

		if (error < 0)
			return error;
	}
	return 0;
}

/* Where the kernel judges: the module's sockets are judged by nobody. */
static int refuse_family(scmp_filter_ctx ctx)
{
	const uint32_t unknown = SCMP_ACT_ERRNO(EAFNOSUPPORT);
	const struct filter_rule rules[] = {
		{ SCMP_SYS(socket), unknown, 1, { IS_INT(0, AF_GRAFT) } },
		{ SCMP_SYS(socketpair), unknown, 1, { IS_INT(0, AF_GRAFT) } },
	};

	return add_rules(ctx, rules, ARRAY_SIZE(rules));
}

/* The only calls of the data path that the filter looks into come first. */
static int put_sends_first(scmp_filter_ctx ctx)
{
	int r = seccomp_syscall_priority(ctx, SCMP_SYS(sendto), UINT8_MAX);

	return r < 0 ? r
		     : seccomp_syscall_priority(ctx, SCMP_SYS(sendmsg), UINT8_MAX - 1);
}

/* The 32-bit ABI beside the native one: everything but sockets and io_uring. */
static int add_foreign(scmp_filter_ctx native)
{
	static const int refused[] = {
		SCMP_SYS(setsockopt),     SCMP_SYS(seccomp),
		SCMP_SYS(socketcall),     SCMP_SYS(socket),
		SCMP_SYS(bind),           SCMP_SYS(connect),
		SCMP_SYS(listen),         SCMP_SYS(sendto),
		SCMP_SYS(sendmsg),        SCMP_SYS(sendmmsg),
		SCMP_SYS(io_uring_setup), SCMP_SYS(clone3),
		SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
	};
	uint32_t foreign = seccomp_arch_native() == SCMP_ARCH_X86_64    ? SCMP_ARCH_X86
			   : seccomp_arch_native() == SCMP_ARCH_AARCH64 ? SCMP_ARCH_ARM
									: 0;
	scmp_filter_ctx ctx;
	int r;

	if (!foreign)
		return 0;
	ctx = seccomp_init(SCMP_ACT_ALLOW);
	if (!ctx)
		return -ENOMEM;
	r = seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE);
	if (r == 0)
		r = seccomp_arch_add(ctx, foreign);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
				     SCMP_ACT_ERRNO(ENOSYS));
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(refused); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), refused[i], 0);
	/* Unlike the native one it is not told of. Threads and vfork do without. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone), 1,
				     SCMP_CMP64(0, SCMP_CMP_MASKED_EQ,
						CLONE_FILES | CLONE_THREAD, CLONE_FILES));
	if (r == 0)
		r = seccomp_merge(native, ctx); /* takes ctx over */
	if (r < 0)
		seccomp_release(ctx);
	return r;
}

static int export_code(scmp_filter_ctx ctx, struct sock_filter **ret_code, size_t *ret_n)
{
	_cleanup_fd_ int file = memfd_create("graft-filter", MFD_CLOEXEC);
	_cleanup_free_ struct sock_filter *code = NULL;
	struct stat st;
	ssize_t n;
	int r;

	if (file < 0)
		return -errno;
	r = seccomp_export_bpf(ctx, file);
	if (r < 0)
		return r;
	if (fstat(file, &st) < 0)
		return -errno;
	code = malloc((size_t)st.st_size);
	if (!code)
		return -ENOMEM;
	if (lseek(file, 0, SEEK_SET) < 0)
		return -errno;
	n = fd_read_all(file, code, (size_t)st.st_size);
	if (n != st.st_size)
		return n < 0 ? (int)n : -EIO;
	*ret_n = (size_t)n / sizeof(*code);
	*ret_code = steal_pointer(code);
	return 0;
}

int filter_compile(unsigned int traps, struct sock_filter **ret_code, size_t *ret_n)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!ctx)
		return -ENOMEM;
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (r == 0)
		r = add_always(ctx);
	if (r == 0)
		r = add_traps(ctx, traps);
	if (r == 0 && traps & TRAP_LISTEN)
		r = refuse_family(ctx);
	if (r == 0)
		r = put_sends_first(ctx);
	if (r == 0)
		r = add_foreign(ctx);
	if (r == 0)
		r = export_code(ctx, ret_code, ret_n);
	seccomp_release(ctx);
	return r;
}

int filter_install(const struct sock_filter *code, size_t n)
{
	struct sock_fprog program = { (unsigned short)n, (struct sock_filter *)code };
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	long fd;

	if (n > BPF_MAXINSNS)
		return -E2BIG;
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		     flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
	if (fd < 0 && errno == EINVAL)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	return fd < 0 ? -errno : (int)fd;
}
