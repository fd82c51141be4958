/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The list of probes, and those with one side only.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "base/fd.h"
#include "ctl/probe.h"
#include "run/dns.h"

#ifndef SO_NETNS_COOKIE
#	define SO_NETNS_COOKIE 71
#endif
#ifndef SYS_landlock_create_ruleset
#	define SYS_landlock_create_ruleset 444
#	define SYS_landlock_restrict_self  446
#endif
#ifndef SYS_io_uring_setup
#	define SYS_io_uring_setup 425
#endif
#define LANDLOCK_VERSION   (1u << 0) /* flag: ask for the ABI */
#define LANDLOCK_TCP       3ull      /* bind and connect */
#define LANDLOCK_TCP_SINCE 4
#define RESOLV_MAX         16384

/* Return: the number in a file, or -1. */
static long read_number(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32];
	ssize_t n = fd < 0 ? -1 : fd_read_all(fd, text, sizeof(text) - 1);
	char *end;
	long value;

	if (n <= 0)
		return -1;
	text[n] = '\0';
	value = strtol(text, &end, 10);
	return end == text ? -1 : value;
}

static void probe_kernel(struct probe_result *ret)
{
	struct utsname name;

	uname(&name);
	probe_say(ret, PROBE_OK, NULL, "%s %s %s", name.sysname, name.release,
		  name.machine);
}

static void probe_userns(struct probe_result *ret)
{
	int r = probe_in_child(probe_enter_userns);

	if (r == 0)
		probe_say(ret, PROBE_OK, NULL, "created, with the identity map");
	else
		probe_say(ret, PROBE_NO,
			  "user.max_user_namespaces, kernel.unprivileged_userns_clone, "
			  "AppArmor or a container's profile forbids it",
			  "%s", strerror(-r));
}

static void probe_max_userns(struct probe_result *ret)
{
	long n = read_number("/proc/sys/user/max_user_namespaces");

	if (n == 0)
		probe_say(ret, PROBE_NO, "sysctl -w user.max_user_namespaces=10000",
			  "user.max_user_namespaces is 0");
	else if (n < 0)
		probe_say(ret, PROBE_WEAK, "built without CONFIG_USER_NS?",
			  "user.max_user_namespaces cannot be read");
	else
		probe_say(ret, PROBE_OK, NULL, "user.max_user_namespaces is %ld", n);
}

/* Both knobs bind ordinary users only, and a profile may lift them: what was really
 * tried decides. */
static void probe_userns_policy(struct probe_result *ret)
{
	long apparmor =
		read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
	long debian = read_number("/proc/sys/kernel/unprivileged_userns_clone");
	bool works = probe_in_child(probe_enter_netns) == 0;

	if (apparmor == 1)
		probe_say(ret, works ? PROBE_OK : PROBE_NO,
			  works ? "not in this user's way"
				: "give graft an AppArmor profile with `userns,` or "
				  "sysctl -w "
				  "kernel.apparmor_restrict_unprivileged_userns=0",
			  "AppArmor restricts them for ordinary users");
	else if (debian == 0)
		probe_say(ret, works ? PROBE_OK : PROBE_NO,
			  works ? "not in this user's way"
				: "sysctl -w kernel.unprivileged_userns_clone=1",
			  "kernel.unprivileged_userns_clone is 0");
	else
		probe_say(ret, PROBE_OK, NULL, "no restriction for ordinary users");
}

static int use_loopback(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				       .sin_port = htons(80) };
	_cleanup_fd_ int fd = -1;
	int r = probe_enter_netns();

	if (r < 0)
		return r;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return 0;
}

static void probe_netns(struct probe_result *ret)
{
	int r = probe_in_child(use_loopback);

	if (r == 0)
		probe_say(ret, PROBE_OK, NULL,
			  "created, lo is up, port 80 can be bound there");
	else
		probe_say(ret, PROBE_NO,
			  "needs CONFIG_NET_NS and the user namespaces above", "%s",
			  strerror(-r));
}

static size_t read_resolv(struct dns_server *ret)
{
	static char text[RESOLV_MAX];
	_cleanup_fd_ int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_all(fd, text, sizeof(text));

	return n < 0 ? 0 : dns_parse_resolv(text, (size_t)n, ret);
}

static int open_dns(void)
{
	struct dns_server servers[DNS_SERVERS_MAX];
	int fds[DNS_SERVERS_MAX][2];
	size_t n = read_resolv(servers);
	int r = probe_enter_netns();

	return r < 0 ? r : dns_open(servers, n, fds);
}

static void probe_dns(struct probe_result *ret)
{
	struct dns_server servers[DNS_SERVERS_MAX];
	size_t n = read_resolv(servers);
	int r = probe_in_child(open_dns);

	if (n == 0)
		probe_say(ret, PROBE_WEAK, "names resolve through /etc/hosts only",
			  "/etc/resolv.conf names no server");
	else if (r == 0)
		probe_say(ret, PROBE_OK, NULL,
			  "%zu server%s of /etc/resolv.conf can "
			  "answer inside",
			  n, n == 1 ? "" : "s");
	else
		probe_say(ret, PROBE_WEAK, "names may not resolve inside",
			  "the servers' addresses cannot be used: %s", strerror(-r));
}

static uint64_t cookie_of_socket(void)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie = 0;

	getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len);
	return cookie;
}

static int compare_cookies(void)
{
	uint64_t outside = cookie_of_socket();
	int r;

	if (!outside)
		return -ENOPROTOOPT;
	r = probe_enter_netns();
	if (r < 0)
		return r;
	return cookie_of_socket() != outside ? 0 : -EEXIST;
}

static void probe_cookie(struct probe_result *ret)
{
	int r = probe_in_child(compare_cookies);

	if (r == 0)
		probe_say(ret, PROBE_OK, NULL, "the stack of a socket can be told");
	else
		probe_say(ret, PROBE_NO, "needs Linux 5.14", "%s", strerror(-r));
}

/* Shuts TCP in and expects to be refused. */
static int use_landlock(void)
{
	uint64_t rules[2] = { 0, LANDLOCK_TCP };
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_fd_ int fd =
		(int)syscall(SYS_landlock_create_ruleset, rules, sizeof(rules), 0);
	_cleanup_fd_ int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || tcp < 0)
		return -errno;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return -errno;
	if (bind(tcp, (struct sockaddr *)&address, sizeof(address)) == 0)
		return -ENOTSUP;
	return errno == EACCES ? 0 : -errno;
}

static void probe_landlock(struct probe_result *ret)
{
	static const char advice[] = "no second line of defence behind the filter; Linux "
				     "6.7 with landlock in its list of LSMs has it";
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
	int r;

	if (abi < LANDLOCK_TCP_SINCE) {
		if (abi < 0)
			probe_say(ret, PROBE_WEAK, advice, "%s", strerror(errno));
		else
			probe_say(ret, PROBE_WEAK, advice, "ABI %ld knows no TCP", abi);
		return;
	}
	r = probe_in_child(use_landlock);
	if (r < 0)
		probe_say(ret, PROBE_WEAK, advice, "ABI %ld, but: %s", abi, strerror(-r));
	else
		probe_say(ret, PROBE_OK, NULL, "ABI %ld fences TCP in", abi);
}

static void probe_yama(struct probe_result *ret)
{
	long scope = read_number("/proc/sys/kernel/yama/ptrace_scope");

	if (scope < 0)
		probe_say(ret, PROBE_OK, NULL, "Yama is not in use");
	else if (scope < 3)
		probe_say(ret, PROBE_OK, NULL,
			  "ptrace_scope %ld lets a supervisor serve its own children",
			  scope);
	else
		probe_say(ret, PROBE_NO, "it can be lowered by a reboot only",
			  "ptrace_scope %ld forbids to look into any process", scope);
}

static int use_io_uring(void)
{
	unsigned char parameters[256] = { 0 };
	_cleanup_fd_ int fd = (int)syscall(SYS_io_uring_setup, 1, parameters);

	return fd < 0 ? -errno : 0;
}

static void probe_io_uring(struct probe_result *ret)
{
	int r = probe_in_child(use_io_uring);

	if (r == 0)
		probe_say(ret, PROBE_OK, "programs under graft are told it is not there",
			  "available here");
	else
		probe_say(ret, PROBE_OK, NULL, "not available here: %s", strerror(-r));
}

const struct probe probes[] = {
	{ "kernel", 0, probe_kernel },
	{ "user-namespaces", PROBE_EVERY, probe_userns },
	{ "user-namespace-limit", 0, probe_max_userns },
	{ "user-namespace-policy", 0, probe_userns_policy },
	{ "network-namespaces", PROBE_EVERY, probe_netns },
	{ "seccomp-notification", PROBE_NOTIFY, probe_notify },
	{ "seccomp-wait-killable", 0, probe_killable },
	{ "seccomp-sync-wake-up", 0, probe_sync },
	{ "pidfd-getfd", PROBE_EVERY, probe_getfd },
	{ "process-vm-readv", PROBE_NOTIFY, probe_memory },
	{ "yama", 0, probe_yama },
	{ "netns-cookie", PROBE_EVERY, probe_cookie },
	{ "landlock-tcp", 0, probe_landlock },
	{ "dns", 0, probe_dns },
	{ "io-uring", 0, probe_io_uring },
	{ "preload-library", PROBE_PRELOAD, probe_library },
	{ "graftd", 0, probe_graftd },
	{ "af-graft-module", PROBE_AF_GRAFT, probe_module },
	{ "cgroup2", PROBE_CGROUP, probe_cgroup },
	{ "bpf-programs", PROBE_CGROUP, probe_bpf },
	{ "destroying-sockets", 0, probe_destroy },
};
const size_t n_probes = ARRAY_SIZE(probes);
