/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seccomp filter, for every combination of traps: a table of calls and what the
 * compiled program says of each. The program is run by an interpreter of classic BPF
 * over struct seccomp_data, as the kernel would; the kernel is asked to take it, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/graft.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "intercept/notify/filter.h"
#include "intercept/notify/kernel.h"
#include "policy/policy.h"

#define ALL_TRAPS                                                        \
	(TRAP_SOCKET_V4 | TRAP_SOCKET_V6 | TRAP_NAMES | TRAP_DATAGRAMS | \
	 TRAP_FAST_OPEN | TRAP_OPTIONS | TRAP_FAMILY)
#define ALWAYS (1U << 31)
#define NEVER  0
#define HIGH   (1ULL << 32) /* the half of a register that int arguments do not use */

#define NOTIFY  SECCOMP_RET_USER_NOTIF
#define FAIL(e) (SECCOMP_RET_ERRNO | (e))

#define THREAD_FLAGS \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

/* A program whose sockets are those of another table is not the native one. */
#if defined(__x86_64__)
#	define NATIVE AUDIT_ARCH_X86_64
#	define X32    0x40000000
#elif defined(__aarch64__)
#	define NATIVE AUDIT_ARCH_AARCH64
#endif

/* --- classic BPF --- */

static bool jumps(const struct sock_filter *at, uint32_t a)
{
	switch (BPF_OP(at->code)) {
	case BPF_JEQ:
		return a == at->k;
	case BPF_JGT:
		return a > at->k;
	case BPF_JGE:
		return a >= at->k;
	case BPF_JSET:
		return a & at->k;
	}
	fail_msg("jump %#x is unknown", at->code);
	return false;
}

static uint32_t run(const struct sock_filter *code, size_t n,
		    const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *at = &code[pc];

		switch (at->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(at->k % 4 == 0 && at->k <= sizeof(*data) - 4);
			memcpy(&a, (const char *)data + at->k, sizeof(a));
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= at->k;
			continue;
		case BPF_JMP | BPF_JA:
			pc += at->k;
			continue;
		case BPF_RET | BPF_K:
			return at->k;
		}
		if (BPF_CLASS(at->code) != BPF_JMP || BPF_SRC(at->code) != BPF_K)
			fail_msg("instruction %#x is unknown", at->code);
		pc += jumps(at, a) ? at->jt : at->jf;
	}
	fail_msg("the program has no end");
	return 0;
}

/* --- native calls --- */

static const struct row {
	int nr;
	uint64_t args[6];
	unsigned int traps; /* the traps under which it is judged; ALWAYS, NEVER */
	uint32_t verdict;   /* then; else it is allowed */
} rows[] = {
	{ SCMP_SYS(socket), { AF_INET, SOCK_STREAM }, TRAP_SOCKET_V4, NOTIFY },
	{ SCMP_SYS(socket), { AF_INET | HIGH, SOCK_DGRAM }, TRAP_SOCKET_V4, NOTIFY },
	{ SCMP_SYS(socket), { AF_INET6, SOCK_STREAM }, TRAP_SOCKET_V6, NOTIFY },
	{ SCMP_SYS(socket), { AF_INET6 | ~0ULL << 32 }, TRAP_SOCKET_V6, NOTIFY },
	{ SCMP_SYS(socket), { AF_UNIX, SOCK_STREAM }, NEVER, 0 },
	{ SCMP_SYS(socket), { AF_UNIX | HIGH }, NEVER, 0 },
	{ SCMP_SYS(socket), { AF_NETLINK, SOCK_RAW }, NEVER, 0 },
	{ SCMP_SYS(socket), { AF_PACKET, SOCK_RAW }, NEVER, 0 },
	{ SCMP_SYS(socket), { AF_UNSPEC }, NEVER, 0 },
	{ SCMP_SYS(socketpair), { AF_INET }, NEVER, 0 },
	{ SCMP_SYS(socket), { AF_GRAFT, SOCK_STREAM }, TRAP_FAMILY, NOTIFY },
	{ SCMP_SYS(socket), { AF_GRAFT | HIGH, SOCK_DGRAM }, TRAP_FAMILY, NOTIFY },
	{ SCMP_SYS(socketpair), { AF_GRAFT }, TRAP_FAMILY, FAIL(EOPNOTSUPP) },

	{ SCMP_SYS(connect), { 3, 0x7000, 16 }, TRAP_NAMES, NOTIFY },
	{ SCMP_SYS(connect), { 3, 0x7000, 15 }, NEVER, 0 },
	{ SCMP_SYS(connect), { 3, 0x7000, 0 }, NEVER, 0 },
	{ SCMP_SYS(connect), { 3, 0x7000, 28 }, TRAP_NAMES, NOTIFY },
	{ SCMP_SYS(connect), { 3, 0x7000, 110 }, TRAP_NAMES, NOTIFY },
	{ SCMP_SYS(connect), { 3, 0x7000, HIGH | 8 }, TRAP_NAMES, NOTIFY },
	{ SCMP_SYS(connect), { 3, 0x7000, HIGH | 16 }, TRAP_NAMES, NOTIFY },
	{ SCMP_SYS(connect), { 3, 0x7000, 0xffffffff }, TRAP_NAMES, NOTIFY },
	{ SCMP_SYS(connect), { 3, 0x7000, ~0ULL }, TRAP_NAMES, NOTIFY },
	{ SCMP_SYS(connect), { HIGH | 3, 0, 16 }, TRAP_NAMES, NOTIFY },
	{ SCMP_SYS(bind), { 3, 0x7000, 16 }, TRAP_NAMES, NOTIFY },
	{ SCMP_SYS(bind), { 3, 0x7000, 15 }, NEVER, 0 },
	{ SCMP_SYS(bind), { 3, 0x7000, HIGH | 8 }, TRAP_NAMES, NOTIFY },
	{ SCMP_SYS(listen), { 3, 128 }, TRAP_NAMES, NOTIFY },
	{ SCMP_SYS(listen), { 3, 0 }, TRAP_NAMES, NOTIFY },

	{ SCMP_SYS(sendto), { 3, 1, 1, 0, 0x7000, 16 }, TRAP_DATAGRAMS, NOTIFY },
	{ SCMP_SYS(sendto), { 3, 1, 1, 0, HIGH, 16 }, TRAP_DATAGRAMS, NOTIFY },
	{ SCMP_SYS(sendto), { 3, 1, 1, 0, 0x7000, 0 }, TRAP_DATAGRAMS, NOTIFY },
	{ SCMP_SYS(sendto),
	  { 3, 1, 1, 0, 0x7000, 18 },
	  TRAP_DATAGRAMS | TRAP_FAMILY,
	  NOTIFY },
	{ SCMP_SYS(sendto), { 3, 1, 1, 0, 0, 18 }, NEVER, 0 },
	{ SCMP_SYS(sendto), { 3, 1, 1, 0, 0, 0 }, NEVER, 0 },
	{ SCMP_SYS(sendto), { 3, 1, 1, MSG_NOSIGNAL, 0, 16 }, NEVER, 0 },
	{ SCMP_SYS(sendto),
	  { 3, 1, 1, MSG_FASTOPEN, 0x7000, 16 },
	  TRAP_DATAGRAMS | TRAP_FAST_OPEN,
	  NOTIFY },
	{ SCMP_SYS(sendto),
	  { 3, 1, 1, HIGH | MSG_FASTOPEN | MSG_NOSIGNAL, 0x7000, 16 },
	  TRAP_DATAGRAMS | TRAP_FAST_OPEN,
	  NOTIFY },
	{ SCMP_SYS(sendto), { 3, 1, 1, MSG_FASTOPEN, 0, 0 }, NEVER, 0 },
	{ SCMP_SYS(sendmsg), { 3, 0x7000, 0 }, TRAP_DATAGRAMS, NOTIFY },
	{ SCMP_SYS(sendmsg),
	  { 3, 0x7000, MSG_FASTOPEN },
	  TRAP_DATAGRAMS | TRAP_FAST_OPEN,
	  NOTIFY },
	{ SCMP_SYS(sendmmsg), { 3, 0x7000, 2, 0 }, TRAP_DATAGRAMS, NOTIFY },
	{ SCMP_SYS(sendmmsg),
	  { 3, 0x7000, 2, MSG_FASTOPEN },
	  TRAP_DATAGRAMS | TRAP_FAST_OPEN,
	  NOTIFY },

	{ SCMP_SYS(setsockopt), { 3, IPPROTO_TCP, 1 }, TRAP_OPTIONS, NOTIFY },
	{ SCMP_SYS(setsockopt), { 3, IPPROTO_TCP | HIGH, 1 }, TRAP_OPTIONS, NOTIFY },
	{ SCMP_SYS(setsockopt), { 3, IPPROTO_GRAFT, 1 }, TRAP_FAMILY, NOTIFY },
	{ SCMP_SYS(getsockopt), { 3, IPPROTO_GRAFT | HIGH, 1 }, TRAP_FAMILY, NOTIFY },
	{ SCMP_SYS(getsockopt), { 3, SOL_SOCKET, SO_ERROR }, NEVER, 0 },
	{ SCMP_SYS(setsockopt), { 3, SOL_SOCKET, SO_REUSEADDR }, NEVER, 0 },
	{ SCMP_SYS(setsockopt), { 3, SOL_SOCKET, IP_OPTIONS }, NEVER, 0 },
	{ SCMP_SYS(setsockopt), { 3, IPPROTO_IP, IP_TOS }, NEVER, 0 },
	{ SCMP_SYS(setsockopt), { 3, IPPROTO_IP, IPV6_RTHDR }, NEVER, 0 },
	{ SCMP_SYS(setsockopt), { 3, IPPROTO_IPV6, IPV6_V6ONLY }, NEVER, 0 },
	{ SCMP_SYS(setsockopt), { 3, IPPROTO_IPV6, IP_OPTIONS }, NEVER, 0 },
	{ SCMP_SYS(setsockopt), { 3, IPPROTO_IP, IP_OPTIONS }, ALWAYS, FAIL(EPERM) },
	{ SCMP_SYS(setsockopt),
	  { 3, IPPROTO_IP | HIGH, IP_OPTIONS | HIGH },
	  ALWAYS,
	  FAIL(EPERM) },
	{ SCMP_SYS(setsockopt), { 3, IPPROTO_IPV6, IPV6_RTHDR }, ALWAYS, FAIL(EPERM) },
	{ SCMP_SYS(setsockopt),
	  { 3, IPPROTO_IPV6, IPV6_RTHDR | HIGH },
	  ALWAYS,
	  FAIL(EPERM) },
	/* IPV6_2292RTHDR, IPV6_2292PKTOPTIONS */
	{ SCMP_SYS(setsockopt), { 3, IPPROTO_IPV6, 5 }, ALWAYS, FAIL(EPERM) },
	{ SCMP_SYS(setsockopt), { 3, IPPROTO_IPV6, 6 }, ALWAYS, FAIL(EPERM) },

	{ SCMP_SYS(io_uring_setup), { 8, 0x7000 }, ALWAYS, FAIL(ENOSYS) },
	{ SCMP_SYS(io_uring_enter), { 3 }, ALWAYS, FAIL(ENOSYS) },
	{ SCMP_SYS(io_uring_register), { 3 }, ALWAYS, FAIL(ENOSYS) },
	{ SCMP_SYS(clone3), { 0x7000, 88 }, ALWAYS, FAIL(ENOSYS) },
	{ SCMP_SYS(seccomp), { 1, 0, 0x7000 }, NEVER, 0 },
	{ SCMP_SYS(seccomp),
	  { 1, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG },
	  NEVER,
	  0 },
	{ SCMP_SYS(seccomp),
	  { 1, SECCOMP_FILTER_FLAG_NEW_LISTENER },
	  ALWAYS,
	  FAIL(EBUSY) },
	{ SCMP_SYS(seccomp),
	  { 1, HIGH | SECCOMP_FILTER_FLAG_NEW_LISTENER |
		       SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
	  ALWAYS,
	  FAIL(EBUSY) },

	{ SCMP_SYS(clone), { SIGCHLD }, NEVER, 0 },
	{ SCMP_SYS(clone), { CLONE_VM | CLONE_VFORK | SIGCHLD }, NEVER, 0 },
	{ SCMP_SYS(clone), { THREAD_FLAGS }, NEVER, 0 },
	{ SCMP_SYS(clone), { CLONE_NEWPID | CLONE_NEWNS | SIGCHLD }, NEVER, 0 },
	{ SCMP_SYS(clone), { CLONE_NEWNET | SIGCHLD }, ALWAYS, NOTIFY },
	{ SCMP_SYS(clone), { CLONE_NEWUSER | CLONE_NEWNET | HIGH }, ALWAYS, NOTIFY },
	{ SCMP_SYS(clone), { CLONE_FILES | SIGCHLD }, ALWAYS, NOTIFY },
	{ SCMP_SYS(unshare), { CLONE_NEWNS }, NEVER, 0 },
	{ SCMP_SYS(unshare), { CLONE_FILES }, NEVER, 0 },
	{ SCMP_SYS(unshare), { CLONE_NEWUSER | CLONE_NEWNET }, ALWAYS, NOTIFY },
	{ SCMP_SYS(setns), { 3, 0 }, ALWAYS, NOTIFY },
	{ SCMP_SYS(setns), { 3, CLONE_NEWNET }, ALWAYS, NOTIFY },
};

/* The data path, and what makes and drops descriptors. */
static const int untouched[] = {
	SCMP_SYS(accept),      SCMP_SYS(accept4),     SCMP_SYS(read),
	SCMP_SYS(readv),       SCMP_SYS(write),       SCMP_SYS(writev),
	SCMP_SYS(recvfrom),    SCMP_SYS(recvmsg),     SCMP_SYS(recvmmsg),
	SCMP_SYS(sendfile),    SCMP_SYS(splice),      SCMP_SYS(close),
	SCMP_SYS(close_range), SCMP_SYS(dup),         SCMP_SYS(dup2),
	SCMP_SYS(dup3),        SCMP_SYS(fcntl),       SCMP_SYS(fork),
	SCMP_SYS(vfork),       SCMP_SYS(execve),      SCMP_SYS(poll),
	SCMP_SYS(ppoll),       SCMP_SYS(select),      SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),   SCMP_SYS(epoll_wait),  SCMP_SYS(epoll_pwait),
	SCMP_SYS(shutdown),    SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),  SCMP_SYS(ioctl),       SCMP_SYS(prctl),
	SCMP_SYS(pidfd_getfd),
};

/* --- every combination --- */

static struct sock_filter *code;
static size_t n_code;

static uint32_t verdict_of(uint32_t arch, int nr, const uint64_t args[6])
{
	struct seccomp_data data = { .nr = nr, .arch = arch };

	memcpy(data.args, args, sizeof(data.args));
	return run(code, n_code, &data);
}

static void for_each_combination(void (*check)(unsigned int traps))
{
	for (unsigned int traps = 0; traps <= ALL_TRAPS; traps++) {
		assert_int_equal(filter_compile(traps, &code, &n_code), 0);
		assert_true(n_code > 0 && n_code <= BPF_MAXINSNS);
		check(traps);
		free(code);
		code = NULL;
	}
}

static void check_native(unsigned int traps)
{
	static const uint64_t any[6] = { 1, 2, 3, ~0ULL, 5, 6 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool judged = rows[i].traps & (traps | ALWAYS);
		uint32_t want = judged ? rows[i].verdict : SECCOMP_RET_ALLOW;
		uint32_t got = verdict_of(NATIVE, rows[i].nr, rows[i].args);

		if (got != want)
			fail_msg("traps %#x, row %zu, call %d: %#x, not %#x", traps, i,
				 rows[i].nr, got, want);
	}
	/* Numbers below 0 are calls that this architecture has not got. */
	for (size_t i = 0; i < ARRAY_SIZE(untouched); i++)
		if (untouched[i] >= 0)
			assert_int_equal(verdict_of(NATIVE, untouched[i], any),
					 SECCOMP_RET_ALLOW);
}

static void test_native(void **state)
{
	for_each_combination(check_native);
}

#ifdef X32
static void check_foreign(unsigned int traps)
{
	/* socketcall; then socket, bind, connect, listen, setsockopt, sendto, sendmsg,
	 * sendmmsg by themselves; io_uring_*, clone3, seccomp */
	static const int refused[] = { 102, 359, 361, 362, 363, 366, 369,
				       370, 345, 425, 426, 427, 435, 354 };
	/* read, write, open, close, clone, recvfrom, accept4, getsockopt */
	static const int let_be[] = { 3, 4, 5, 6, 120, 371, 364, 365 };
	static const uint64_t none[6];
	static const uint64_t shares_table[6] = { CLONE_FILES | CLONE_VM };
	static const uint64_t thread[6] = { THREAD_FLAGS };

	assert_int_equal(verdict_of(AUDIT_ARCH_I386, 120, shares_table), FAIL(ENOSYS));
	assert_int_equal(verdict_of(AUDIT_ARCH_I386, 120, thread), SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		for (uint64_t first = 0; first < 32; first++)
			assert_int_equal(verdict_of(AUDIT_ARCH_I386, refused[i],
						    (uint64_t[6]){ first }),
					 FAIL(ENOSYS));
	for (size_t i = 0; i < ARRAY_SIZE(let_be); i++)
		assert_int_equal(verdict_of(AUDIT_ARCH_I386, let_be[i], none),
				 SECCOMP_RET_ALLOW);
	/* x32 is told by a bit of the number; what no kernel here runs, by its arch. */
	for (int nr = 0; nr < 600; nr++) {
		assert_int_equal(verdict_of(NATIVE, nr | X32, none), FAIL(ENOSYS));
		assert_int_equal(verdict_of(AUDIT_ARCH_ARM, nr, none), FAIL(ENOSYS));
		assert_int_equal(verdict_of(AUDIT_ARCH_AARCH64, nr, none), FAIL(ENOSYS));
	}
}
#endif

static void test_foreign(void **state)
{
#ifdef X32
	for_each_combination(check_foreign);
#else
	skip();
#endif
}

/* In a child, which keeps the filter. Return: 0, an errno. */
static int install_in_child(void)
{
	pid_t child = fork();
	int status, fd;

	if (child == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			_exit(errno);
		fd = filter_install(code, n_code);
		if (fd < 0)
			_exit(-fd);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check_kernel(unsigned int traps)
{
	int error = install_in_child();

	/* EBUSY: the test itself runs below somebody's listener. */
	if (error && error != EBUSY)
		fail_msg("traps %#x: %s", traps, strerror(error));
}

static void test_kernel_takes_it(void **state)
{
	for_each_combination(check_kernel);
}

/* --- what a policy needs --- */

static void test_plan(void **state)
{
	static const struct {
		struct policy_reach reach;
		unsigned int traps;
	} plans[] = {
		{ { 0 }, 0 },
		/* -p 8080:80: only binds leave */
		{ { .bind_leaves = POLICY_TCP, .connect_leaves = POLICY_TCP },
		  TRAP_NAMES | TRAP_FAST_OPEN },
		{ { .bind_leaves = POLICY_UDP }, TRAP_NAMES | TRAP_DATAGRAMS },
		/* a narrow connect rule: no default, and socket() is trapped */
		{ { .connect_leaves = POLICY_TCP, .connect_roams = POLICY_TCP },
		  TRAP_SOCKET_V4 | TRAP_SOCKET_V6 | TRAP_NAMES | TRAP_FAST_OPEN },
		{ { .connect_leaves = POLICY_UDP, .connect_roams = POLICY_UDP },
		  TRAP_SOCKET_V4 | TRAP_SOCKET_V6 | TRAP_NAMES | TRAP_DATAGRAMS },
		{ { .connect_leaves = POLICY_OTHER, .connect_roams = POLICY_OTHER },
		  TRAP_NAMES | TRAP_DATAGRAMS },
		{ { .denies = POLICY_TCP }, TRAP_NAMES | TRAP_FAST_OPEN },
		/* endpoints without rules, for programs that name them */
		{ { .has_endpoints = true }, TRAP_NAMES | TRAP_FAST_OPEN },
		{ { .denies = POLICY_ANY }, TRAP_NAMES | TRAP_DATAGRAMS },
		{ { .bind_leaves = POLICY_TCP, .has_unix = true },
		  TRAP_NAMES | TRAP_FAST_OPEN | TRAP_OPTIONS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(plans); i++)
		assert_int_equal(filter_plan(&plans[i].reach),
				 plans[i].traps ? plans[i].traps | TRAP_FAMILY : 0);
}

/* Where the kernel judges: what it cannot see, and nothing else that names an address. */
static void test_judged(void **state)
{
	static const struct policy_reach reaches[] = {
		{ .connect_leaves = POLICY_TCP, .connect_roams = POLICY_TCP },
		{ .connect_leaves = POLICY_ANY, .connect_roams = POLICY_ANY },
	};
	static const struct {
		int nr;
		uint64_t args[6];
		uint32_t verdicts[ARRAY_SIZE(reaches)];
	} calls[] = {
		{ SCMP_SYS(socket), { AF_INET }, { NOTIFY, NOTIFY } },
		{ SCMP_SYS(socket), { AF_INET6 }, { NOTIFY, NOTIFY } },
		{ SCMP_SYS(socket),
		  { AF_GRAFT },
		  { FAIL(EAFNOSUPPORT), FAIL(EAFNOSUPPORT) } },
		{ SCMP_SYS(socketpair),
		  { AF_GRAFT },
		  { FAIL(EAFNOSUPPORT), FAIL(EAFNOSUPPORT) } },
		{ SCMP_SYS(listen), { 3, 8 }, { NOTIFY, NOTIFY } },
		{ SCMP_SYS(sendmsg), { 3, 1 }, { NOTIFY, NOTIFY } },
		{ SCMP_SYS(sendmmsg), { 3, 1, 1 }, { NOTIFY, NOTIFY } },
		{ SCMP_SYS(sendto),
		  { 3, 1, 1, 0, 0x7000, 16 },
		  { SECCOMP_RET_ALLOW, NOTIFY } },
		{ SCMP_SYS(bind),
		  { 3, 0x7000, 16 },
		  { SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW } },
		{ SCMP_SYS(connect),
		  { 3, 0x7000, 16 },
		  { SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW } },
		{ SCMP_SYS(io_uring_setup), { 1 }, { FAIL(ENOSYS), FAIL(ENOSYS) } },
		{ SCMP_SYS(setsockopt),
		  { 3, IPPROTO_IP, IP_OPTIONS },
		  { FAIL(EPERM), FAIL(EPERM) } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(reaches); i++) {
		unsigned int traps = filter_plan_judged(&reaches[i]);

		assert_int_equal(filter_compile(traps, &code, &n_code), 0);
		for (size_t j = 0; j < ARRAY_SIZE(calls); j++)
			assert_int_equal(verdict_of(NATIVE, calls[j].nr, calls[j].args),
					 calls[j].verdicts[i]);
		free(code);
	}
	assert_int_equal(filter_plan_judged(&(struct policy_reach){ 0 }), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_native),          cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_kernel_takes_it), cmocka_unit_test(test_plan),
		cmocka_unit_test(test_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
