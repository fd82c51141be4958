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
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "intercept/notify/engine.h"
#include "intercept/notify/kernel.h"

#define WORKER_STACK_SIZE  (256 * 1024)
#define INTERRUPT_SIGNAL   SIGUSR2
#define TICKS_AFTER        50 /* goes on this long, so that calls need not ask again */
#define HAND_OVER_AFTER_NS 1000000 /* a call that takes longer is blocking */
#define CHECK_EVERY_NS     20000000
#define EAGER_CALLS        64

static const struct handler {
	int nr;
	struct answer (*handle)(struct call *call, struct subject *subject);
	/* Opens the socket that the first argument names; NULL: it names none. */
	int (*open)(const struct call *call, uint64_t number, struct subject *ret);
} handlers[] = {
	{ SYS_socket, call_socket, NULL },
	{ SYS_connect, call_connect, subject_open_known },
	{ SYS_bind, call_bind, subject_open },
	{ SYS_listen, call_listen, subject_open },
	{ SYS_sendto, call_sendto, subject_open },
	{ SYS_sendmsg, call_sendmsg, subject_open },
	{ SYS_sendmmsg, call_sendmmsg, subject_open },
	{ SYS_setsockopt, call_setsockopt, subject_open },
	{ SYS_getsockopt, call_getsockopt, subject_open },
	{ SYS_unshare, call_namespace, NULL },
	{ SYS_setns, call_namespace, NULL },
	{ SYS_clone, call_namespace, NULL },
};

bool call_is_live(const struct call *call)
{
	uint64_t id = call->id;

	return ioctl(call_listener(call), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static void *worker_main(void *argument);

static _Thread_local bool is_worker;

/* Starts a worker, which begins by receiving. To be called with the listener's lock. */
static int spawn_worker(struct listener *listener)
{
	struct notify *notify = listener->notify;
	struct worker *worker;
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	if (atomic_load(&notify->n_workers) >= WORKERS_MAX)
		return -EAGAIN;
	worker = calloc(1, sizeof(*worker));
	if (!worker)
		return -ENOMEM;
	worker->notify = notify;
	worker->listener = listener;
	worker->joins = notify->config.is_judged && !is_worker;
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
	r = -pthread_create(&worker->thread, &attr, worker_main, worker);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0) {
		free(worker);
		return r;
	}
	listener->n_workers++;
	atomic_fetch_add(&notify->n_workers, 1);
	return 0;
}

/* Puts another worker in the place of the caller, who is about to block. */
static int hand_place_over(struct listener *listener)
{
	int r = 0;

	pthread_mutex_lock(&listener->lock);
	listener->worker = NULL;
	if (listener->n_parked > listener->n_wanted) {
		listener->n_wanted++;
		pthread_cond_signal(&listener->wanted);
	} else {
		r = spawn_worker(listener);
	}
	listener->is_received = r == 0;
	pthread_mutex_unlock(&listener->lock);
	return r;
}

static bool park(struct listener *listener)
{
	if (listener->n_parked >= WORKERS_PARKED_MAX)
		return false;
	listener->n_parked++;
	while (!listener->n_wanted && !listener->is_over)
		pthread_cond_wait(&listener->wanted, &listener->lock);
	listener->n_parked--;
	if (listener->n_wanted)
		listener->n_wanted--;
	return true;
}

/* Takes the place, if it is free, or parks until it is needed.
 * Return: false when there is nothing to do for @worker. */
static bool take_place(struct worker *worker)
{
	struct listener *listener = worker->listener;
	bool stay = true;

	pthread_mutex_lock(&listener->lock);
	if (listener->is_received)
		stay = park(listener);
	stay = stay && !listener->is_over;
	if (stay) {
		listener->is_received = true;
		listener->worker = worker;
	}
	pthread_mutex_unlock(&listener->lock);
	return stay;
}

/* The worker's last act: the listener may be gone afterwards. */
static void retire(struct worker *worker)
{
	struct listener *listener = worker->listener;

	pthread_mutex_lock(&listener->lock);
	if (listener->worker == worker)
		listener->worker = NULL;
	listener->n_workers--;
	atomic_fetch_sub(&listener->notify->n_workers, 1);
	pthread_mutex_unlock(&listener->lock);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void hand_call_over(struct call *call)
{
	if (!call->has_place)
		return;
	if (hand_place_over(call->worker->listener) == 0)
		call->has_place = false;
	else
		log_limited(LOG_LEVEL_WARNING,
			    "too many calls are blocking at once; others wait for them");
}

void call_enter_blocking(struct call *call)
{
	struct notify *notify = call->notify;
	uint64_t one = 1;
	bool start;

	if (atomic_load_explicit(&notify->eagerness, memory_order_relaxed) > 0)
		hand_call_over(call);
	call->since_ns = call->checked_ns = now_ns();
	pthread_mutex_lock(&notify->blocked_lock);
	start = !notify->is_ticking;
	notify->is_ticking = true;
	call->next = notify->blocked;
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
	pthread_mutex_unlock(&notify->blocked_lock);
	if (atomic_load_explicit(&notify->eagerness, memory_order_relaxed) > 0)
		atomic_fetch_sub(&notify->eagerness, 1);
	errno = saved;
}

/* Looks after one call that is blocking. To be called with blocked_lock held. */
static void look_after(struct call *call, uint64_t now)
{
	if (call->has_place && now - call->since_ns >= HAND_OVER_AFTER_NS) {
		atomic_store(&call->notify->eagerness, EAGER_CALLS);
		hand_call_over(call);
	}
	if (now - call->checked_ns < CHECK_EVERY_NS)
		return;
	call->checked_ns = now;
	if (!call_is_live(call) || target_pending_signal(call->pid) != TARGET_SIGNAL_NONE)
		pthread_kill(call->worker->thread, INTERRUPT_SIGNAL);
}

bool notify_tick(struct notify *notify)
{
	uint64_t now = now_ns();
	bool more;

	pthread_mutex_lock(&notify->blocked_lock);
	for (struct call *call = notify->blocked; call; call = call->next)
		look_after(call, now);
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

static struct answer handle(struct call *call, const struct handler *handler)
{
	struct subject subject;
	struct answer answer;
	int r;

	if (!handler->open)
		return handler->handle(call, NULL);
	r = handler->open(call, call->args[0], &subject);
	if (r < 0)
		return answer_result(r);
	answer = handler->handle(call, &subject);
	/* Before the answer: a close() of the program's must find the last reference. */
	fd_close(subject.fd);
	return answer;
}

static struct answer dispatch(struct call *call)
{
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
		if (handlers[i].nr == call->nr)
			return handle(call, &handlers[i]);
	/* The filter sends nothing else. */
	return answer_result(-ENOSYS);
}

/* What our filter would have done; it sends us what it says nothing else of. */
static struct answer pass_gate(struct call *call, const struct seccomp_data *data)
{
	const struct notify_config *config = &call->notify->config;
	uint32_t verdict = gate_ask(config->gate, config->n_gate, data);

	switch (verdict & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
		return answer_continue();
	case SECCOMP_RET_USER_NOTIF:
		return dispatch(call);
	default:
		return answer_result(-(int64_t)(verdict & SECCOMP_RET_DATA));
	}
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
	if (ioctl(call_listener(call), SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 &&
	    errno != ENOENT)
		log_limited(LOG_LEVEL_WARNING, "cannot answer a call: %m");
}

/* Return: whether the worker still has the receiver's place. */
static bool serve_one(struct worker *worker, const struct seccomp_notif *request)
{
	struct notify *notify = worker->notify;
	struct call call = {
		.notify = notify,
		.worker = worker,
		.has_place = true,
		.id = request->id,
		.pid = (pid_t)request->pid,
		.nr = request->data.nr,
	};
	struct answer answer;

	memcpy(call.args, request->data.args, sizeof(call.args));
	atomic_fetch_add_explicit(&notify->n_calls, 1, memory_order_relaxed);
	answer = notify->config.gate ? pass_gate(&call, &request->data) : dispatch(&call);
	send_answer(&call, &answer);
	return call.has_place;
}

/* Sockets that nobody judges would be a way out: rather nobody answers. */
static void join(const struct notify *notify)
{
	int r = notify->config.ops->join(notify->config.context);

	if (r == 0)
		return;
	log_error("cannot join the cgroup of judged sockets: %s", strerror(-r));
	_exit(EXIT_FAILURE);
}

static bool has_hung_up(const struct listener *listener)
{
	struct pollfd ready = { listener->fd, POLLIN, 0 };

	return poll(&ready, 1, 0) == 1 && ready.revents & POLLHUP;
}

/* Until there is nothing to do for the worker. */
static void work(struct worker *worker)
{
	struct listener *listener = worker->listener;

	for (;;) {
		struct seccomp_notif request = { 0 };
		int r = ioctl(listener->fd, SECCOMP_IOCTL_NOTIF_RECV, &request);

		if (r < 0 && (errno == EINTR || errno == ENOENT)) {
			/* Both also mean that nobody is left to call. */
			if (has_hung_up(listener))
				return;
			continue;
		}
		if (r < 0) {
			log_error("cannot receive calls: %m");
			return;
		}
		if (!serve_one(worker, &request) && !take_place(worker))
			return;
	}
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct listener *listener = worker->listener;

	is_worker = true;
	if (worker->joins)
		join(worker->notify);
	pthread_mutex_lock(&listener->lock);
	listener->worker = worker;
	pthread_mutex_unlock(&listener->lock);
	work(worker);
	target_close_all(worker);
	retire(worker);
	free(worker->buffer);
	free(worker);
	return NULL;
}

static void on_interrupt(int signal)
{
	(void)signal; /* its work is to end a blocking call with EINTR */
}

static void release(struct notify *notify)
{
	bound_free(notify->bound);
	held_free(notify->held);
	named_free(notify->named);
	family_free(notify->family);
	fd_close(notify->tick_fd);
	free(notify);
}

int notify_new(struct notify **ret, const struct notify_config *config)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	struct notify *notify = calloc(1, sizeof(*notify));
	int r;

	if (!notify)
		return -ENOMEM;
	notify->config = *config;
	policy_get_reach(config->policy, &notify->reach);
	guess_init(notify);
	pthread_mutex_init(&notify->blocked_lock, NULL);
	notify->bound = bound_new();
	notify->held = held_new(policy_n_endpoints(config->policy));
	notify->named = named_new(config->policy);
	notify->family = family_new();
	notify->tick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!notify->bound || !notify->held || !notify->named || !notify->family) {
		release(notify);
		return -ENOMEM;
	}
	if (notify->tick_fd < 0) {
		r = -errno;
		release(notify);
		return r;
	}
	sigaction(INTERRUPT_SIGNAL, &action, NULL);
	*ret = notify;
	return 0;
}

static void release_listener(struct listener *listener)
{
	pthread_cond_destroy(&listener->wanted);
	pthread_mutex_destroy(&listener->lock);
	fd_close(listener->fd);
	free(listener);
}

int notify_listen(struct notify *notify, int fd, struct listener **ret)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int r;

	if (!listener) {
		fd_close(fd);
		return -ENOMEM;
	}
	listener->notify = notify;
	listener->fd = fd;
	listener->is_received = true;
	pthread_mutex_init(&listener->lock, NULL);
	pthread_cond_init(&listener->wanted, NULL);
	/* Kernels before 6.6 do without. */
	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) <
	    0)
		log_debug("no synchronous wake-up: %m");
	pthread_mutex_lock(&listener->lock);
	r = spawn_worker(listener);
	pthread_mutex_unlock(&listener->lock);
	if (r < 0) {
		release_listener(listener);
		return r;
	}
	if (ret)
		*ret = listener;
	return 0;
}

bool notify_leave(struct listener *listener)
{
	bool is_gone;

	pthread_mutex_lock(&listener->lock);
	listener->is_over = true;
	pthread_cond_broadcast(&listener->wanted);
	/* Kernels before 6.6 leave it waiting. */
	if (listener->worker)
		pthread_kill(listener->worker->thread, INTERRUPT_SIGNAL);
	is_gone = listener->n_workers == 0;
	pthread_mutex_unlock(&listener->lock);
	if (is_gone)
		release_listener(listener);
	return is_gone;
}

void notify_get_counters(const struct notify *notify, struct notify_counters *ret)
{
	ret->n_calls = atomic_load(&notify->n_calls);
	ret->n_grafts = atomic_load(&notify->n_grafts);
	ret->n_swaps = atomic_load(&notify->n_swaps);
	ret->n_refused = atomic_load(&notify->n_refused);
}
