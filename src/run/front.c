/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The front process of a run: what the shell sees.
 *
 *	front (this) ---> supervisor ---> program
 *
 * It does next to nothing, so that it can be killed, stopped and waited for as if it
 * were the program:
 *
 *  - signals sent to it are passed to the program; those that keys at the terminal send
 *    reach it by themselves, being meant for the whole group;
 *  - it ends with the program's status;
 *  - when it is killed, the supervisor sees the pair close and kills the whole run;
 *  - when the supervisor is killed, the program becomes this process's child
 *    (subreaper) and goes on with the sockets it has; its later calls get ENOSYS.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "run/exit.h"
#include "run/run.h"

struct front {
	struct run *run;
	pid_t supervisor, program;
	int pair, signals, program_fd;
	int status; /* exit status to end with */
	bool is_done;
};

static const int forwarded[] = {
	SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,   SIGUSR2,
	SIGALRM, SIGCONT, SIGPIPE, SIGIO,   SIGVTALRM, SIGWINCH,
};

static int status_of(int wait_status)
{
	if (WIFEXITED(wait_status))
		return WEXITSTATUS(wait_status);
	return EXIT_SIGNAL_BASE + WTERMSIG(wait_status);
}

static void forward(const struct front *front, const struct signalfd_siginfo *info)
{
	/* A hang-up goes to the session's leader alone, and that may be us. */
	bool reaches_all = info->ssi_code == SI_KERNEL && info->ssi_signo != SIGHUP;

	if (reaches_all || front->program_fd < 0)
		return;
	if (syscall(SYS_pidfd_send_signal, front->program_fd, info->ssi_signo, NULL, 0) <
	    0)
		log_debug("signal %u: %m", info->ssi_signo);
}

static void on_exec_failed(struct front *front, int error)
{
	const char *program = front->run->argv[0];

	front->is_done = true;
	if (error == ENOENT) {
		log_error("'%s' was not found", program);
		front->status = EXIT_NOT_FOUND;
	} else {
		log_error("cannot execute '%s': %s", program, strerror(error));
		front->status = EXIT_CANNOT_EXECUTE;
	}
}

static void on_supervisor_gone(struct front *front)
{
	if (front->program <= 0) {
		log_error("the supervisor died before the program started");
		front->is_done = true;
		front->status = EXIT_GRAFT_FAILED;
		return;
	}
	log_warning("the supervisor died; %s[%d] keeps the sockets it has, new ones fail",
		    front->run->argv[0], front->program);
	front->pair = fd_close(front->pair);
}

static void on_report(struct front *front)
{
	struct run_report report;
	int fd = -1;
	size_t n_fds = 0;
	ssize_t n = fd_receive(front->pair, &report, sizeof(report), &fd, 1, &n_fds);

	if (n != sizeof(report)) {
		on_supervisor_gone(front);
		return;
	}
	switch (report.event) {
	case RUN_STARTED:
		front->program = report.value;
		front->program_fd = fd;
		return;
	case RUN_EXITED:
		front->is_done = true;
		front->status = status_of(report.value);
		break;
	case RUN_EXEC_FAILED:
		on_exec_failed(front, report.value);
		break;
	case RUN_FAILED:
		front->is_done = true;
		front->status = EXIT_GRAFT_FAILED;
		break;
	}
	if (n_fds)
		fd_close(fd);
}

/* Reaps; matters only when the supervisor is gone and the program became ours. */
static void on_child(struct front *front)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == front->program) {
			front->is_done = true;
			front->status = status_of(status);
		}
}

static void on_signal(struct front *front)
{
	struct signalfd_siginfo info;

	while (read(front->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			on_child(front);
		else
			forward(front, &info);
	}
}

/* The caller may have closed standard streams; nothing of ours may take their numbers,
 * and the program gets them closed, as it would without us. */
static void keep_standard_numbers(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	fd_close(fd);
}

static int start(struct front *front)
{
	sigset_t set;
	int pair[2];

	keep_standard_numbers();
	/* Ignored children leave no status behind. */
	front->run->ignores_children = signal(SIGCHLD, SIG_DFL) == SIG_IGN;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, &front->run->mask);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	front->run->front = getpid();
	front->supervisor = fork();
	if (front->supervisor == 0) {
		fd_close(pair[0]);
		supervisor_main(front->run, pair[1]);
	}
	fd_close(pair[1]);
	front->pair = pair[0];
	if (front->supervisor < 0)
		return -errno;
	front->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return front->signals < 0 ? -errno : 0;
}

int front_main(struct run *run)
{
	struct front front = { .run = run, .pair = -1, .signals = -1, .program_fd = -1 };
	int r = start(&front);

	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return EXIT_GRAFT_FAILED;
	}
	while (!front.is_done) {
		struct pollfd ready[] = { { front.pair, POLLIN, 0 },
					  { front.signals, POLLIN, 0 } };

		if (poll(ready, ARRAY_SIZE(ready), -1) < 0)
			continue;
		/* Reports first: an exit said by the supervisor beats its own end. */
		if (ready[0].revents)
			on_report(&front);
		if (ready[1].revents)
			on_signal(&front);
	}
	return front.status;
}
