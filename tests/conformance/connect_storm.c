/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect() in great numbers: at once, beside calls that wait, under a storm of signals.
 */
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/time.h>

#include "topics.h"

enum {
	N_AT_ONCE = 50,
	N_WAITING = 8,
	N_QUICK = 200,
	N_STORM = 2000,
	STORM_US = 200,
};

struct caller {
	struct address server;
	pthread_barrier_t *gate; /* NULL: none */
	int type;
	int fd;
	int result;
};

static void *call(void *argument)
{
	struct caller *caller = argument;

	if (caller->gate) {
		pthread_barrier_wait(caller->gate);
		caller->fd = socket(caller->server.sa.sa_family, caller->type, 0);
	}
	caller->result = connect(caller->fd, &caller->server.sa, caller->server.len) < 0
				 ? errno
				 : 0;
	return NULL;
}

static void at_once(struct ctx *t)
{
	static struct caller callers[N_AT_ONCE];
	pthread_t threads[N_AT_ONCE];
	pthread_barrier_t gate;
	struct address server;
	int listener = serve(t, &server), n_good = 0, n_apart = 0;

	(void)listener;
	pthread_barrier_init(&gate, NULL, N_AT_ONCE);
	for (int i = 0; i < N_AT_ONCE; i++) {
		callers[i] = (struct caller){ .server = server,
					      .gate = &gate,
					      .type = t->type };
		xthread(t, &threads[i], call, &callers[i]);
	}
	for (int i = 0; i < N_AT_ONCE; i++) {
		pthread_join(threads[i], NULL);
		n_good += callers[i].result == 0;
	}
	want_int(t, "connected", N_AT_ONCE, n_good);
	for (int i = 0; i < N_AT_ONCE; i++) {
		bool is_own = callers[i].fd > 2;

		for (int j = 0; j < i; j++)
			is_own &= callers[i].fd != callers[j].fd;
		n_apart += is_own;
	}
	want_int(t, "numbers", N_AT_ONCE, n_apart);
}

/* No answer is on its way for the first ones; the others must not stand in their queue.
 */
static void quick_beside_waiting(struct ctx *t)
{
	static struct caller waiting[N_WAITING];
	struct address full, server = at_lo(t, 0);
	pthread_t thread;
	int filler, fuller, listener, n_good = 0, n_waiting = 0;

	listener = serve_at(t, &server, &server);
	fuller = full_listener(t, &full, &filler);
	(void)fuller;
	for (int i = 0; i < N_WAITING; i++) {
		waiting[i] =
			(struct caller){ .server = full, .fd = xsocket(t), .result = -1 };
		xthread(t, &thread, call, &waiting[i]);
	}
	for (int i = 0; i < N_WAITING; i++)
		until_state(waiting[i].fd, TCP_SYN_SENT);
	for (int i = 0; i < N_QUICK; i++) {
		int fd = xsocket(t);

		n_good += connect(fd, &server.sa, server.len) == 0;
		close(take(t, listener));
		close(fd);
	}
	want_int(t, "connected", N_QUICK, n_good);
	for (int i = 0; i < N_WAITING; i++)
		n_waiting += __atomic_load_n(&waiting[i].result, __ATOMIC_SEQ_CST) == -1;
	want_int(t, "still-wait", N_WAITING, n_waiting);
}

static volatile sig_atomic_t n_ticks;

static void on_tick(int number)
{
	n_ticks++;
}

static void tick(struct ctx *t, int us)
{
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, us }, { 0, us } };

	if (sigaction(SIGALRM, &action, NULL) < 0 ||
	    setitimer(ITIMER_REAL, &often, NULL) < 0)
		give_up(t, "timer");
}

static int count_open(void)
{
	int n = 0;

	for (int fd = 3; fd < 800; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Return: 0 or errno of the first call that failed. */
static int one_connection(struct ctx *t, int listener, const struct address *server)
{
	int fd = socket(t->family, t->type, 0), peer = -1, error = 0;

	if (fd < 0 || connect(fd, &server->sa, server->len) < 0)
		error = errno;
	if (!error && t->stream) {
		peer = accept(listener, NULL, NULL);
		error = peer < 0 ? errno : 0;
	}
	if (peer >= 0)
		close(peer);
	if (fd >= 0)
		close(fd);
	return error;
}

/* Whatever is interrupted starts again unseen: no EINTR, nothing done twice. In turn to
 * two addresses, so that no guess about the next one gets settled. */
static void signal_storm(struct ctx *t)
{
	struct address servers[2] = { at_lo(t, 0), at_veth(t, 0) };
	const int n = N_STORM / slowness;
	int listeners[2], n_before, n_good = 0, first = 0;

	for (int i = 0; i < 2; i++)
		listeners[i] = serve_at(t, &servers[i], &servers[i]);
	n_before = count_open();
	n_ticks = 0;
	/* Where a signal takes as long as that, there is no time left for the rest. */
	tick(t, STORM_US * slowness * slowness);
	for (int i = 0; i < n; i++) {
		int error = one_connection(t, listeners[i % 2], &servers[i % 2]);

		n_good += error == 0;
		if (!first)
			first = error;
	}
	tick(t, 0);
	want_int(t, "connected", n, n_good);
	errno = first;
	want_rc(t, "first-error", 0, first ? -1 : 0);
	want_int(t, "left-open", 0, count_open() - n_before);
	want(t, "signals", "came", "%s", n_ticks ? "came" : "none");
}

const struct test_case connect_storm_cases[] = {
	{ "connect.at_once", ALL, at_once, "50 threads at the same moment" },
	{ "connect.quick_beside_waiting", INET | STREAM, quick_beside_waiting,
	  "200 connects while 8 threads wait for no answer" },
	{ "connect.signal_storm", ALL, signal_storm,
	  "2000 connects, a signal with SA_RESTART every 200 us" },
};
CASES(connect_storm);
