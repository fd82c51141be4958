/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets that somebody else made, handed in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "escape.h"
#include "modes.h"

union control {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static void attack(int fd, const struct way *way)
{
	struct target canary = target_canary(way), target = target_denied(way);

	if (!way_is_stream(way)) {
		seen("sendto", sendto(fd, "x", 1, 0, &canary.any, canary.len));
		seen("sendto", sendto(fd, "x", 1, 0, &target.any, target.len));
	}
	reach(fd, &canary);
	seen_disconnect(fd);
	reach(fd, &target);
	seen_disconnect(fd);
	reach(fd, &canary);
	close(fd);
}

static int unix_socket(const char *path, struct sockaddr_un *address)
{
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof(address->sun_path), "%s", path ?: "");
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int receive_descriptor(int via)
{
	union control control = {};
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(via, &message, 0) != 1 ||
	    message.msg_controllen < CMSG_LEN(sizeof(int))) {
		note("no descriptor came");
		return -1;
	}
	memcpy(&fd, CMSG_DATA(&control.align), sizeof(fd));
	return fd;
}

static int take(const char *path, const struct way *way)
{
	struct sockaddr_un address = {};
	int via = unix_socket(path, &address), fd = -1;

	if (seen("connect(AF_UNIX)",
		 connect(via, (struct sockaddr *)&address, sizeof(address))) < 0)
		return -1;
	if (send(via, way->name, 4, MSG_NOSIGNAL) == 4)
		fd = receive_descriptor(via);
	close(via);
	return fd;
}

static void from_path(const char *path, const struct way *way)
{
	attack(take(path, way), way);
	/* before and after an allowed use */
	for (int i = 0; i < 2; i++) {
		struct target allowed = target_allowed(way);
		int fd = take(path, way);

		reach(fd, &allowed);
		seen_disconnect(fd);
		attack(fd, way);
	}
}

static void from_helper(const struct way *way)
{
	from_path(getenv("ESCAPE_HELPER"), way);
}

static void from_giver(const struct way *way)
{
	from_path(getenv("ESCAPE_GIVER"), way);
}

static void inherited(const struct way *way)
{
	int index = 0;

	while (!(way->bit & 1 << index))
		index++;
	attack(FD_INHERITED + index, way);
}

/* Where the policy lets no datagram leave, sends are not looked at. */
static void datagram(const struct way *way)
{
	attack(take(getenv("ESCAPE_HELPER"),
		    way_find(way->family == AF_INET ? "udp4" : "udp6")),
	       way_find(way->family == AF_INET ? "udp4" : "udp6"));
}

static void send_descriptor(int via, int fd)
{
	union control control = {};
	struct iovec iov = { "x", 1 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	control.align.cmsg_len = CMSG_LEN(sizeof(fd));
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	sendmsg(via, &message, MSG_NOSIGNAL);
}

static void give_one(int via, const struct way *way)
{
	char name[8];
	int fd = host_socket(way);

	if (recv(via, name, sizeof(name), 0) > 0)
		send_descriptor(via, fd);
	close(fd);
}

static void take_one(int via, const struct way *way)
{
	int fd = receive_descriptor(via);

	if (fd >= 0)
		attack(fd, way);
	send(via, "x", 1, MSG_NOSIGNAL);
}

static int serve(const char *path, const struct way *way,
		 void (*one)(int via, const struct way *way))
{
	struct sockaddr_un address = {};
	int listener = unix_socket(path, &address), via;

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 8) < 0) {
		perror(path);
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while ((via = accept(listener, NULL, NULL)) >= 0) {
		one(via, way);
		close(via);
	}
	return 1;
}

int mode_give(const char *path, const struct way *way)
{
	return serve(path, way, give_one);
}

int mode_take(const char *path, const struct way *way)
{
	return serve(path, way, take_one);
}

/* What was made here is used in a run whose policy allows everything. */
static void to_taker(const struct way *way)
{
	for (int i = 0; i < 2; i++) {
		struct sockaddr_un address = {};
		int via = unix_socket(getenv("ESCAPE_GIVER"), &address);
		int fd = i ? host_socket(way) : fresh(way);
		char byte;

		if (seen("connect(AF_UNIX)",
			 connect(via, (struct sockaddr *)&address, sizeof(address))) < 0)
			return;
		send_descriptor(via, fd);
		if (recv(via, &byte, 1, 0) != 1)
			note("the taker did not answer");
		close(fd);
		close(via);
	}
}

const struct attempt attempts_rights[] = {
	{ "rights-helper", WAY_ALL, 0, from_helper,
	  "an unconnected host socket handed in by a process outside" },
	{ "rights-datagram", WAY_TCP, IS_GRANTED | TCP_ONLY, datagram,
	  "a UDP socket handed in from outside, where the policy is for TCP alone" },
	{ "rights-run", WAY_ALL, NEEDS_GIVER, from_giver,
	  "a socket made in a run whose policy allows everything" },
	{ "rights-taker", WAY_ALL, NEEDS_TAKER | ONLY_CGROUP, to_taker,
	  "a socket handed to a run whose policy allows everything, and used there" },
	{ "rights-inherited", WAY_ALL, NEEDS_INHERIT, inherited,
	  "an unconnected host socket left open before graft started" },
	{}
};
