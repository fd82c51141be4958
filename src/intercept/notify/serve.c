/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine's threads: receive, answer, repeat.
 *
 * Kernel facts this file rests on
 *
 *  - RECV and SEND fail with ENOENT when the program was killed (or, on kernels without
 *    WAIT_KILLABLE_RECV, interrupted) in the meantime. That is normal: go on.
 *  - With SYNC_WAKE_UP the kernel hands the CPU straight to the other side; without it
 *    each call costs two ordinary wake-ups.
 *  - A thread that waits in RECV stays there when the last process with the filter ends
 *    (older kernels); so the host process watches the listener with poll and ends the
 *    whole process, threads included.
 *  - After RECV the program cannot be interrupted but by a fatal signal
 *    (WAIT_KILLABLE_RECV): what was done on its behalf always reaches it. The price is
 *    that signals wait for calls that block; notify_tick() pays it back: it finds calls
 *    whose thread has a signal to take and interrupts the worker, which then answers as
 *    the kernel would have (EINTR, or a restart).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "intercept/notify/engine.h"
#include "intercept/notify/kernel.h"

#define WORKER_STACK_SIZE (256 * 1024)
#define INTERRUPT_SIGNAL  SIGUSR2
#define TICKS_AFTER       50 /* goes on ticking this long, so that calls need not ask again */

static const struct handler {
	int nr;
	struct answer (*handle)(struct call *call);
} handlers[] = {
	{ SYS_socket, call_socket },     { SYS_connect, call_connect },
	{ SYS_bind, call_bind },         { SYS_listen, call_listen },
	{ SYS_sendto, call_sendto },     { SYS_sendmsg, call_sendmsg },
	{ SYS_sendmmsg, call_sendmmsg }, { SYS_setsockopt, call_setsockopt },
	{ SYS_unshare, call_namespace }, { SYS_setns, call_namespace },
	{ SYS_clone, call_namespace },
};

bool call_is_live(const struct call *call)
{
	uint64_t id = call->id;

	return ioctl(call->notify->config.listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) ==
	       0;
}

static void *worker_main(void *argument);

static int spawn_worker(struct notify *notify)
{
	struct worker *worker;
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	if (atomic_fetch_add(&notify->n_workers, 1) >= WORKERS_MAX) {
		atomic_fetch_sub(&notify->n_workers, 1);
		return -EAGAIN;
	}
	worker = calloc(1, sizeof(*worker));
	if (!worker) {
		atomic_fetch_sub(&notify->n_workers, 1);
		return -ENOMEM;
	}
	worker->notify = notify;
	worker->pidfd_is_exact = true;
	for (size_t i = 0; i < PIDFD_CACHE_SIZE; i++)
		worker->slots[i].fd = -1;
	/* Signals are the host thread's business; ours is the interrupt alone. */
	sigfillset(&all);
	sigdelset(&all, INTERRUPT_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WORKER_STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	atomic_fetch_add(&notify->n_receiving, 1);
	r = -pthread_create(&worker->thread, &attr, worker_main, worker);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0) {
		atomic_fetch_sub(&notify->n_receiving, 1);
		atomic_fetch_sub(&notify->n_workers, 1);
		free(worker);
	}
	return r;
}

void call_enter_blocking(struct call *call)
{
	struct notify *notify = call->notify;
	uint64_t one = 1;
	bool start;

	if (atomic_load(&notify->n_receiving) == 0 && spawn_worker(notify) < 0)
		log_limited(LOG_LEVEL_WARNING,
			    "%d calls are blocking at once; others wait for them",
			    atomic_load(&notify->n_workers));
	pthread_mutex_lock(&notify->blocked_lock);
	start = !notify->is_ticking;
	notify->is_ticking = true;
	call->next = notify->blocked;
	call->is_listed = true;
	notify->blocked = call;
	pthread_mutex_unlock(&notify->blocked_lock);
	if (start && write(notify->tick_fd, &one, sizeof(one)) < 0)
		log_debug("cannot ask for ticks: %m");
}

void call_leave_blocking(struct call *call)
{
	struct notify *notify = call->notify;
	int saved = errno;

	pthread_mutex_lock(&notify->blocked_lock);
	for (struct call **at = &notify->blocked; *at; at = &(*at)->next)
		if (*at == call) {
			*at = call->next;
			break;
		}
	call->is_listed = false;
	pthread_mutex_unlock(&notify->blocked_lock);
	errno = saved;
}

bool call_was_interrupted(const struct call *call)
{
	return call->is_interrupted;
}

bool notify_tick(struct notify *notify)
{
	bool more;

	pthread_mutex_lock(&notify->blocked_lock);
	for (struct call *call = notify->blocked; call; call = call->next) {
		bool gone = !call_is_live(call);

		if (gone || target_pending_signal(call->pid) != TARGET_SIGNAL_NONE) {
			call->is_interrupted = true;
			pthread_kill(call->worker->thread, INTERRUPT_SIGNAL);
		}
	}
	notify->n_idle_ticks = notify->blocked ? 0 : notify->n_idle_ticks + 1;
	more = notify->n_idle_ticks < TICKS_AFTER;
	notify->is_ticking = more;
	pthread_mutex_unlock(&notify->blocked_lock);
	return more;
}

int notify_tick_fd(const struct notify *notify)
{
	return notify->tick_fd;
}

static struct answer dispatch(struct call *call)
{
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
		if (handlers[i].nr == call->nr)
			return handlers[i].handle(call);
	/* The filter sends nothing else. */
	return answer_result(-ENOSYS);
}

static void send_answer(const struct call *call, const struct answer *answer)
{
	struct seccomp_notif_resp response = { .id = call->id };

	switch (answer->kind) {
	case ANSWER_SENT:
		return;
	case ANSWER_VALUE:
		response.val = answer->value;
		break;
	case ANSWER_ERROR:
		response.error = (int)answer->value;
		break;
	case ANSWER_CONTINUE:
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		break;
	}
	if (ioctl(call->notify->config.listener, SECCOMP_IOCTL_NOTIF_SEND, &response) <
		    0 &&
	    errno != ENOENT)
		log_limited(LOG_LEVEL_WARNING, "cannot answer a call: %m");
}

static void serve_one(struct worker *worker, const struct seccomp_notif *request)
{
	struct notify *notify = worker->notify;
	struct call call = {
		.notify = notify,
		.worker = worker,
		.id = request->id,
		.pid = (pid_t)request->pid,
		.nr = request->data.nr,
	};
	struct answer answer;

	memcpy(call.args, request->data.args, sizeof(call.args));
	atomic_fetch_add_explicit(&notify->n_calls, 1, memory_order_relaxed);
	answer = dispatch(&call);
	send_answer(&call, &answer);
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct notify *notify = worker->notify;

	for (;;) {
		struct seccomp_notif request = { 0 };
		int r = ioctl(notify->config.listener, SECCOMP_IOCTL_NOTIF_RECV,
			      &request);

		if (r < 0 && (errno == EINTR || errno == ENOENT)) {
			struct pollfd ready = { notify->config.listener, POLLIN, 0 };

			/* ENOENT also means that nobody is left to call. */
			if (errno == ENOENT && poll(&ready, 1, 0) == 1 &&
			    ready.revents & POLLHUP)
				break;
			continue;
		}
		if (r < 0) {
			log_error("cannot receive calls: %m");
			break;
		}
		atomic_fetch_sub(&notify->n_receiving, 1);
		serve_one(worker, &request);
		if (atomic_fetch_add(&notify->n_receiving, 1) >= WORKERS_SPARE)
			break;
	}
	atomic_fetch_sub(&notify->n_receiving, 1);
	atomic_fetch_sub(&notify->n_workers, 1);
	target_close_all(worker);
	free(worker->buffer);
	free(worker);
	return NULL;
}

static void on_interrupt(int signal)
{
	(void)signal; /* its work is to end a blocking call with EINTR */
}

int notify_new(struct notify **ret, const struct notify_config *config)
{
	_cleanup_fd_ int listener = config->listener;
	struct notify *notify = calloc(1, sizeof(*notify));

	if (!notify)
		return -ENOMEM;
	notify->config = *config;
	policy_get_reach(config->policy, &notify->reach);
	pthread_mutex_init(&notify->blocked_lock, NULL);
	notify->bound = bound_new();
	notify->tick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!notify->bound || notify->tick_fd < 0) {
		int r = notify->bound ? -errno : -ENOMEM;

		bound_free(notify->bound);
		fd_close(notify->tick_fd);
		free(notify);
		return r;
	}
	fd_steal(&listener);
	*ret = notify;
	return 0;
}

int notify_start(struct notify *notify)
{
	struct sigaction action = { .sa_handler = on_interrupt };

	sigaction(INTERRUPT_SIGNAL, &action, NULL);
	/* Kernels before 6.6 do without. */
	if (ioctl(notify->config.listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
		  SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) < 0)
		log_debug("no synchronous wake-up: %m");
	return spawn_worker(notify);
}

void notify_get_counters(const struct notify *notify, struct notify_counters *ret)
{
	ret->n_calls = atomic_load(&notify->n_calls);
	ret->n_grafts = atomic_load(&notify->n_grafts);
	ret->n_swaps = atomic_load(&notify->n_swaps);
	ret->n_refused = atomic_load(&notify->n_refused);
}
