/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A container that was given no policy, and sees the sockets where supervisors of others
 * wait for their runtime: it makes a listener for its own calls, hands it in there, as a
 * runtime would, and asks for what the others may have.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inside.h"

/* Return: a listener for socket() and connect() of IPv4 in this process. */
static int make_listener(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			    SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static int hand_in(int via, const char *metadata, int listener)
{
	char text[512];
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .align = { .cmsg_len = CMSG_LEN(sizeof(int)),
				 .cmsg_level = SOL_SOCKET,
				 .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { text, 0 };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	iov.iov_len = (size_t)
		snprintf(text, sizeof(text),
			 "{\"ociVersion\":\"1.0.2\",\"fds\":[\"seccompFd\"],\"pid\":1,"
			 "\"metadata\":\"%s\",\"state\":{\"status\":\"creating\"}}",
			 metadata);
	memcpy(CMSG_DATA(&control.align), &listener, sizeof(listener));
	return sendmsg(via, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* At every door there is, until the other side is done with it. */
static void hand_in_everywhere(const char *directory, const char *metadata, int listener)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int via = socket(AF_UNIX, SOCK_STREAM, 0);
		char byte;

		if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s",
			     directory, entry->d_name) < (int)sizeof(address.sun_path) &&
		    entry->d_type == DT_SOCK &&
		    !connect(via, (struct sockaddr *)&address, sizeof(address))) {
			puts("at a door");
			if (hand_in(via, metadata, listener) || read(via, &byte, 1) < 0)
				puts("turned away");
		}
		close(via);
	}
	if (dir)
		closedir(dir);
	fflush(stdout);
}

int door(const char *directory, const char *metadata, const char *host, const char *port)
{
	int listener = -1, pair[2];
	pid_t pid;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
	pid = fork();
	if (!pid) {
		char byte;

		int status;

		listener = make_listener();
		if (listener < 0)
			exit(fail("seccomp"));
		/* Its number, which the parent takes it by. */
		if (write(pair[1], &listener, sizeof(listener)) < 0 ||
		    read(pair[1], &byte, 1) < 0)
			exit(fail("socketpair"));
		close(listener);
		status = get(host, port);
		exit(status);
	}
	close(pair[1]);
	if (read(pair[0], &listener, sizeof(listener)) != sizeof(listener))
		return 1;
	listener = (int)syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, pid, 0),
				listener, 0);
	if (listener < 0)
		return fail("pidfd_getfd");
	hand_in_everywhere(directory, metadata, listener);
	/* Nobody else has it: who is not served hears ENOSYS. */
	close(listener);
	if (write(pair[0], "x", 1) != 1)
		return fail("socketpair");
	return waitpid(pid, NULL, 0) == pid ? 0 : 1;
}

int borrow(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int request[] = { AF_INET, SOCK_STREAM, 0 };
	int via = socket(AF_UNIX, SOCK_SEQPACKET, 0), answer;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(via, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fail("connect");
	if (send(via, request, sizeof(request), MSG_NOSIGNAL) < 0 ||
	    recv(via, &answer, sizeof(answer), 0) <= 0)
		puts("turned away");
	else
		puts("lent");
	return 0;
}
