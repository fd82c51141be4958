/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * Nothing a client says about itself counts. The kernel noted who called connect():
 *
 *	SO_PEERCRED	uid, gid, pid, translated into our user namespace
 *	SO_PEERGROUPS	further groups
 *	SO_PEERPIDFD	a handle on that very process; before Linux 6.5 pidfd_open() of
 *			the pid, believed when the process has that uid
 *	SO_NETNS_COOKIE	an accepted UNIX socket lives in the namespace its client
 *			connected from, and tells its cookie, unique until reboot
 *	SIOCGSKNS	a descriptor of that same namespace, for whom has CAP_NET_ADMIN
 *			over it
 *
 * What only /proc tells (cgroup, user namespace, capabilities) is read under the pid and
 * believed if the process the pidfd stands for is still alive afterwards: then the pid
 * was its own all the time. A connection may be inherited or handed on: whoever uses it
 * acts as the one that made it.
 *
 * Root of a container on the host's network is no administrator, whatever it may do
 * there: he has CAP_NET_ADMIN, and the root directory we have.
 *
 * CAP_NET_ADMIN over a namespace is worked out as the kernel does: the process has the
 * capability in the user namespace that owns the network namespace or in one above it, or
 * its user made that one and it lives in the one just above.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fd.h"
#include "base/number.h"
#include "base/process.h"
#include "broker/identity.h"
#include "stack/stack.h"

#define GROUPS_MAX     65536
#define USERNS_DEPTH   33
#define PROC_FILE_SIZE 4096

int self_read(struct self *ret)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct stat net, user, root;
	int r;

	if (fd < 0)
		return -errno;
	r = stack_cookie_of(fd, &ret->netns);
	if (r < 0)
		return r;
	if (stat("/proc/self/ns/net", &net) < 0 ||
	    stat("/proc/self/ns/user", &user) < 0 || stat("/", &root) < 0)
		return -errno;
	ret->uid = getuid();
	ret->net_dev = net.st_dev;
	ret->net_ino = net.st_ino;
	ret->user_dev = user.st_dev;
	ret->user_ino = user.st_ino;
	ret->root_dev = root.st_dev;
	ret->root_ino = root.st_ino;
	return 0;
}

static bool is_alive(const struct identity *identity)
{
	struct pollfd poll_fd = { .fd = identity->pidfd, .events = POLLIN };

	return identity->pidfd >= 0 && poll(&poll_fd, 1, 0) == 0;
}

/* "/proc/PID/@file" in @path. */
static void proc_path(const struct identity *identity, const char *file, char *path,
		      size_t size)
{
	snprintf(path, size, "/proc/%d/%s", (int)identity->pid, file);
}

/* Return: 0, or -errno; -ESRCH when it was somebody else's. */
static int proc_read(const struct identity *identity, const char *file, char *text,
		     size_t size)
{
	_cleanup_fd_ int fd = -1;
	char path[64];
	ssize_t n;

	proc_path(identity, file, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -errno : fd_read_all(fd, text, size - 1);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	return is_alive(identity) ? 0 : -ESRCH;
}

static bool is_of_our_userns(const struct identity *identity)
{
	struct stat st;
	char path[64];

	proc_path(identity, "ns/user", path, sizeof(path));
	return stat(path, &st) == 0 && st.st_dev == identity->self->user_dev &&
	       st.st_ino == identity->self->user_ino && is_alive(identity);
}

/* Its file system may be one that the client itself serves, and must not be asked. */
bool identity_shares_root(const struct identity *identity)
{
	struct statx st;
	char path[64];

	proc_path(identity, "root", path, sizeof(path));
	return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
	       makedev(st.stx_dev_major, st.stx_dev_minor) == identity->self->root_dev &&
	       st.stx_ino == identity->self->root_ino && is_alive(identity);
}

static bool has_net_admin(const struct identity *identity)
{
	char text[PROC_FILE_SIZE];
	const char *at;
	uint64_t mask;

	if (proc_read(identity, "status", text, sizeof(text)) < 0)
		return false;
	at = strstr(text, "\nCapEff:");
	return at && number_skip_word(&at, "CapEff:") && number_take(&at, 16, &mask) &&
	       mask & 1ull << CAP_NET_ADMIN;
}

int identity_read(struct identity *ret, int socket, const struct self *self)
{
	struct identity identity = { .self = self, .socket = socket, .pidfd = -1 };
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int r;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	r = stack_cookie_of(socket, &identity.netns);
	if (r < 0)
		return r;
	identity.pid = peer.pid;
	identity.uid = peer.uid;
	identity.gid = peer.gid;
	identity.pidfd = process_open_peer(socket, &peer);
	identity.is_local = identity.netns == self->netns;
	identity.is_admin = identity.is_local && is_of_our_userns(&identity) &&
			    ((peer.uid == self->uid && self->uid != 0) ||
			     (peer.uid == 0 && has_net_admin(&identity) &&
			      identity_shares_root(&identity)));
	*ret = identity;
	return 0;
}

void identity_deinit(struct identity *identity)
{
	identity->pidfd = fd_close(identity->pidfd);
}

bool identity_has_group(const struct identity *identity, gid_t gid)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t len = 64 * sizeof(*groups);
	int r;

	if (identity->gid == gid)
		return true;
	do {
		gid_t *bigger = realloc(groups, len);

		if (!bigger)
			return false;
		groups = bigger;
		r = getsockopt(identity->socket, SOL_SOCKET, SO_PEERGROUPS, groups, &len);
	} while (r < 0 && errno == ERANGE && len <= GROUPS_MAX * sizeof(*groups));
	for (size_t i = 0; r == 0 && i < len / sizeof(*groups); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

bool identity_in_cgroup(const struct identity *identity, const char *path)
{
	char text[PROC_FILE_SIZE], *own;
	size_t size = strlen(path);

	if (proc_read(identity, "cgroup", text, sizeof(text)) < 0)
		return false;
	/* The unified hierarchy's is the line with an empty list of controllers. */
	own = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!own)
		return false;
	own += *own == '\n' ? 4 : 3;
	own[strcspn(own, "\n")] = '\0';
	while (size > 1 && path[size - 1] == '/')
		size--;
	if (size == 1)
		return true;
	return strncmp(own, path, size) == 0 && (own[size] == '\0' || own[size] == '/');
}

int identity_netns(const struct identity *identity)
{
	int fd = ioctl(identity->socket, SIOCGSKNS);

	return fd < 0 ? -errno : fd;
}

/* Is @userns the user namespace of @identity? */
static bool lives_in(const struct identity *identity, int userns)
{
	struct stat own, other;
	char path[64];

	proc_path(identity, "ns/user", path, sizeof(path));
	return stat(path, &own) == 0 && fstat(userns, &other) == 0 &&
	       own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

mode_t identity_umask(const struct identity *identity)
{
	char text[PROC_FILE_SIZE];
	const char *at;
	uint64_t mask;

	if (proc_read(identity, "status", text, sizeof(text)) < 0)
		return 077;
	at = strstr(text, "\nUmask:");
	if (!at || !number_skip_word(&at, "Umask:") || !number_take(&at, 8, &mask))
		return 077;
	return (mode_t)mask & 0777;
}

bool identity_rules_netns(const struct identity *identity)
{
	_cleanup_fd_ int netns = identity_netns(identity);
	_cleanup_fd_ int userns = netns < 0 ? -1 : ioctl(netns, NS_GET_USERNS);
	bool is_owner = false;

	for (int depth = 0; userns >= 0 && depth < USERNS_DEPTH; depth++) {
		uid_t owner;
		int parent;

		if (lives_in(identity, userns))
			return (is_owner || has_net_admin(identity)) &&
			       is_alive(identity);
		is_owner = ioctl(userns, NS_GET_OWNER_UID, &owner) == 0 &&
			   owner == identity->uid;
		parent = ioctl(userns, NS_GET_PARENT);
		fd_close(userns);
		userns = parent;
	}
	return false;
}
