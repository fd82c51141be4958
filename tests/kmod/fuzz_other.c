/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens around sockets: namespaces that come and go, processes that fork with
 * them, those who look at them through /proc and sock_diag, and who destroys them that
 * way.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"
#include "fuzz_message.h"

/* Mostly back to where the endpoints are. A new one goes with the last that is in it. */
static int call_namespace(struct actor *actor)
{
	int result;

	if (actor->netlink >= 0) {
		close(actor->netlink);
		actor->netlink = -1;
	}
	switch (random_below(actor, 16)) {
	case 0: /* takes longer than all else */
		result = unshare(CLONE_NEWNET);
		return result < 0 ? result : loopback_up();
	case 1 ... 2:
		return setns(fuzz.spaces[random_below(actor, FUZZ_SPACES)], CLONE_NEWNET);
	default:
		return setns(fuzz.spaces[0], CLONE_NEWNET);
	}
}

/* The child has every socket, too, for a moment. */
static int call_fork(struct actor *actor)
{
	pid_t pid = fork();

	if (pid < 0)
		return -1;
	if (pid == 0) {
		close(slot_get(actor));
		shutdown(slot_get(actor), SHUT_RDWR);
		_exit(0);
	}
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static int call_proc(struct actor *actor)
{
	static const char *const files[] = { "protocols", "sockstat", "sockstat6", "tcp",
					     "tcp6",      "udp",      "udp6",      "unix",
					     "raw",       "netlink",  "ptype",     "snmp",
					     "packet" };
	char path[64];
	ssize_t size;
	int fd;

	if (random_one_in(actor, 3))
		snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d",
			 slot_get(actor));
	else
		snprintf(path, sizeof(path), "/proc/thread-self/net/%s",
			 random_of(actor, files));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	while ((size = read(fd, actor->bytes, sizeof(actor->bytes))) > 0)
		;
	close(fd);
	return size < 0 ? -1 : 0;
}

static int call_file(struct actor *actor)
{
	struct stat status;
	char path[64];

	if (random_one_in(actor, 2)) {
		snprintf(path, sizeof(path), "/fuzz%u", random_below(actor, 8));
		return unlink(path);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", slot_get(actor));
	return stat(path, &status) < 0 || readlink(path, (char *)actor->bytes, 64) < 0
		       ? -1
		       : 0;
}

static int diag(struct actor *actor, int type, int flags, const void *request,
		size_t size)
{
	static _Thread_local struct message message;
	int fd = netlink_open(NETLINK_SOCK_DIAG), result;

	if (fd < 0)
		return -1;
	message_init(&message, type, flags, request, size);
	message.header.nlmsg_seq = 1;
	result = message_talk(fd, &message);
	close(fd);
	return result < 0 ? -1 : 0;
}

static int call_diag(struct actor *actor)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	struct inet_diag_req_v2 request = {
		.sdiag_family = random_one_in(actor, 2) ? AF_INET : AF_INET6,
		.sdiag_protocol = random_of(actor, protocols),
		.idiag_ext = random_bits(actor),
		.idiag_states = -1,
	};
	struct unix_diag_req names = { .sdiag_family = AF_UNIX,
				       .udiag_states = -1,
				       .udiag_show = 0x7f };

	switch (random_below(actor, 4)) {
	case 0:
		return diag(actor, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &names,
			    sizeof(names));
	case 1: /* `ss --kill` for a listener */
		request.id.idiag_sport = htons(FUZZ_PORT + random_below(actor, 12));
		request.id.idiag_src[0] = htonl(INADDR_LOOPBACK);
		request.id.idiag_cookie[0] = request.id.idiag_cookie[1] =
			INET_DIAG_NOCOOKIE;
		return diag(actor, SOCK_DESTROY, NLM_F_ACK, &request, sizeof(request));
	case 2: /* for all of them */
		return diag(actor, SOCK_DESTROY, NLM_F_DUMP, &request, sizeof(request));
	default:
		return diag(actor, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request,
			    sizeof(request));
	}
}

const struct fuzz_call other_calls[] = {
	{ "namespace", 6, call_namespace }, { "fork", 1, call_fork },
	{ "proc", 3, call_proc },           { "file", 3, call_file },
	{ "diag", 4, call_diag },           {},
};
