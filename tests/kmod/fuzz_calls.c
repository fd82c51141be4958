/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random calls on sockets of AF_GRAFT, by threads that share them, for as long as
 * wanted:
 *
 *	fuzz_calls [--seconds N] [--seed N] [--workers N] [--threads N] [--faults]
 *		[--family N]
 *
 * Nothing it sees is wrong: the kernel, which watches itself, is the judge. At the end
 * it says how often each call was made, and how often it did what it should; a call that
 * never does makes it fail, for then nothing was tried. --faults has allocations and
 * copies of the kernel fail during the calls, some chosen, some by chance. --family is
 * another family for comparison: does the kernel complain without AF_GRAFT, too?
 *
 * The namespaces are its own, and made by root. In the initial one it adds two
 * endpoints, which go again, and devices watch0 ... that go with its namespaces.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/graft.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#ifndef sigev_notify_thread_id
#	define sigev_notify_thread_id _sigev_un._tid
#endif

#define MAX_CALLS  80
#define NOBODY     65534
#define INTERRUPT  500 /* milliseconds a call may wait */
#define RELUCTANCE 300 /* calls of a kind that never succeeds until that is a failure */

struct fuzz fuzz = {
	.seconds = 60,
	.n_workers = 3,
	.n_threads = 3,
	.family = AF_GRAFT,
};

static const struct fuzz_call *calls[MAX_CALLS];
static int n_calls, all_weights;

/* In memory that all workers share. */
static struct count {
	uint64_t n_made, n_done;
	int last_error;
} * counts;

static const struct fuzz_call *const lists[] = { socket_calls,   option_calls,
						 transfer_calls, wait_calls,
						 netlink_calls,  other_calls };

static void calls_gather(void)
{
	const struct fuzz_call *call;
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		if (lists[i] == netlink_calls && !fuzz.netlink_family)
			continue;
		for (call = lists[i]; call->name; call++) {
			calls[n_calls++] = call;
			all_weights += call->weight;
		}
	}
}

static int call_pick(struct actor *actor)
{
	int i = 0, at = random_below(actor, all_weights);

	while (at >= calls[i]->weight)
		at -= calls[i++]->weight;
	return i;
}

/* --- an actor -------------------------------------------------------------------- */

static void on_signal(int number)
{
}

/* A signal now and then ends whatever waits: that is tried, too. */
static void interrupt_often(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID,
				  .sigev_signo = SIGALRM };
	struct itimerspec often = { { 0, INTERRUPT * 1000000 },
				    { 0, INTERRUPT * 1000000 } };
	timer_t timer;

	event.sigev_notify_thread_id = syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
		timer_settime(timer, 0, &often, NULL);
}

static void fault_plan(struct actor *actor)
{
	char number[12];

	snprintf(number, sizeof(number), "%u", 1 + random_below(actor, 30));
	if (pwrite(actor->fail_fd, number, strlen(number), 0) < 0)
		return;
}

static int open_own(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC), own;

	own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FUZZ_OWN_FD);
	if (fd >= 0)
		close(fd);
	return own;
}

/* What fails by chance fails in those who have asked for it. */
static void faults_begin(struct actor *actor)
{
	int fd = open("/proc/thread-self/make-it-fail", O_WRONLY | O_CLOEXEC);

	actor->fail_fd = open_own("/proc/thread-self/fail-nth", O_RDWR);
	if (fd < 0)
		return;
	/* Not for those without rights: for them fail-nth has to do. */
	if (write(fd, "1", 1) != 1 && errno != EPERM)
		perror("make-it-fail");
	close(fd);
}

static void *actor_run(void *argument)
{
	struct actor *actor = argument;
	bool has_fault;
	int i, result;

	interrupt_often();
	if (fuzz.has_faults)
		faults_begin(actor);
	for (;;) {
		i = call_pick(actor);
		has_fault = actor->fail_fd >= 0 && random_one_in(actor, 4);
		if (has_fault)
			fault_plan(actor);
		errno = 0;
		result = calls[i]->run(actor);
		if (has_fault && pwrite(actor->fail_fd, "0", 1, 0) < 0)
			break;
		__atomic_fetch_add(&counts[i].n_made, 1, __ATOMIC_RELAXED);
		if (result >= 0)
			__atomic_fetch_add(&counts[i].n_done, 1, __ATOMIC_RELAXED);
		else
			counts[i].last_error = errno;
	}
	return NULL;
}

/* --- a worker -------------------------------------------------------------------- */

/* Some may do everything, some nothing, some only in namespaces of their own. */
static void worker_rights(int turn)
{
	switch (turn % 8) {
	case 3:
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		    setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(1);
		prctl(PR_SET_DUMPABLE, 1);
		break;
	case 6:
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)
			loopback_up();
		break;
	}
}

static void worker_run(int turn, uint64_t seed)
{
	struct rlimit files = { FUZZ_OWN_FD + 100, FUZZ_OWN_FD + 100 };
	int slots[FUZZ_SLOTS], i;
	struct actor *actors;
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_NOFILE, &files);
	i = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (i >= 0 && write(i, "1000", 4) != 4)
		perror("oom_score_adj");
	close(i);
	worker_rights(turn);
	memset(slots, -1, sizeof(slots));
	actors = calloc(fuzz.n_threads, sizeof(*actors));
	for (i = 0; actors && i < fuzz.n_threads; i++) {
		actors[i].random = (seed + i + 1) * 0x9e3779b97f4a7c15ULL;
		actors[i].slots = slots;
		actors[i].fail_fd = actors[i].netlink = actors[i].map = -1;
		if (pthread_create(&thread, NULL, actor_run, &actors[i]) != 0)
			break;
	}
	sleep(1 + seed / 1000 % 20);
	_exit(0);
}

static pid_t worker_start(int turn, uint64_t seed)
{
	pid_t pid = fork();

	if (pid == 0)
		worker_run(turn, seed);
	return pid;
}

/* --- all of them ----------------------------------------------------------------- */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		printf("cannot write %s to %s: %s\n", value, path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void faults_allow(void)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc",
					     "fail_usercopy" };
	char path[80];
	size_t i;

	for (i = 0; i < 3; i++) {
		const struct {
			const char *name, *value;
		} settings[] = { { "task-filter", "Y" },
				 { "verbose", "0" },
				 { "times", "-1" },
				 { "interval", "101" },
				 { "probability", i == 2 ? "10" : "100" },
				 { "ignore-gfp-wait", "N" },
				 { "ignore-gfp-highmem", "N" },
				 { "min-order", "0" } };
		size_t j;

		for (j = 0; j < sizeof(settings) / sizeof(*settings); j++) {
			snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", kinds[i],
				 settings[j].name);
			if (access(path, F_OK) == 0)
				setting(path, settings[j].value);
		}
	}
}

static int initial = -1; /* the namespace we come from */

static int spaces_make(void)
{
	int i;

	initial = open_own("/proc/self/ns/net", O_RDONLY);

	for (i = 0; i < FUZZ_SPACES; i++) {
		if (unshare(CLONE_NEWNET) < 0 || loopback_up() < 0)
			return -1;
		fuzz.spaces[i] = open_own("/proc/self/ns/net", O_RDONLY);
		if (fuzz.spaces[i] < 0 || setns(initial, CLONE_NEWNET) < 0 ||
		    netlink_watch(i, fuzz.spaces[i]) < 0)
			return -1;
	}
	return 0;
}

static int report(void)
{
	uint64_t n_made = 0, n_done = 0;
	int i, result = 0;

	printf("%-20s %10s %10s  last error\n", "call", "made", "done");
	for (i = 0; i < n_calls; i++) {
		printf("%-20s %10lu %10lu  %s\n", calls[i]->name, counts[i].n_made,
		       counts[i].n_done, strerror(counts[i].last_error));
		n_made += counts[i].n_made;
		n_done += counts[i].n_done;
	}
	printf("%-20s %10lu %10lu\n", "all", n_made, n_done);
	for (i = 0; i < n_calls; i++) {
		if (counts[i].n_made > RELUCTANCE && !counts[i].n_done) {
			printf("%s has not succeeded once\n", calls[i]->name);
			result = 1;
		}
	}
	return n_done ? result : 1;
}

static void run(void)
{
	double end = now() + fuzz.seconds;
	uint64_t seed = fuzz.seed * 1000003;
	int i, turn = 0;

	for (i = 0; i < fuzz.n_workers; i++)
		fuzz.workers[i] = worker_start(turn++, seed += 1000);
	srandom(fuzz.seed);
	while (now() < end) {
		/* Killed in the middle, if it is still there. */
		usleep(2000000 + random() % 4000000);
		i = turn % fuzz.n_workers;
		if (fuzz.workers[i] > 0) {
			kill(fuzz.workers[i], SIGKILL);
			waitpid(fuzz.workers[i], NULL, 0);
		}
		fuzz.workers[i] = worker_start(turn++, seed += 1000);
	}
	for (i = 0; i < fuzz.n_workers; i++)
		kill(fuzz.workers[i], SIGKILL);
	while (wait(NULL) > 0)
		;
}

static int prepare(void)
{
	int pair[2], i;

	counts = mmap(NULL, sizeof(*counts) * MAX_CALLS, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fuzz.workers = mmap(NULL, sizeof(pid_t) * fuzz.n_workers, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED || fuzz.workers == MAP_FAILED || spaces_make() < 0 ||
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	for (i = 0; i < 2; i++) {
		fuzz.pair[i] = fcntl(pair[i], F_DUPFD_CLOEXEC, FUZZ_OWN_FD);
		close(pair[i]);
	}
	if (fuzz.family == AF_GRAFT &&
	    (netlink_find() < 0 || netlink_endpoints_initial(true) < 0))
		return -1;
	if (setns(fuzz.spaces[0], CLONE_NEWNET) < 0 ||
	    (fuzz.family == AF_GRAFT && netlink_endpoints() < 0))
		return -1;
	if (fuzz.has_faults)
		faults_allow();
	return 0;
}

static void options_read(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },
		{ "workers", required_argument, NULL, 'w' },
		{ "threads", required_argument, NULL, 't' },
		{ "family", required_argument, NULL, 'f' },
		{ "faults", no_argument, NULL, 'x' },
		{},
	};
	int option;

	fuzz.seed = time(NULL) ^ getpid();
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			fuzz.seconds = atoi(optarg);
			break;
		case 'r':
			fuzz.seed = strtoull(optarg, NULL, 0);
			break;
		case 'w':
			fuzz.n_workers = atoi(optarg);
			break;
		case 't':
			fuzz.n_threads = atoi(optarg);
			break;
		case 'f':
			fuzz.family = atoi(optarg);
			break;
		case 'x':
			fuzz.has_faults = true;
			break;
		default:
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct rlimit files = { FUZZ_OWN_FD + 100, FUZZ_OWN_FD + 100 };

	options_read(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGIO, &action, NULL);
	sigaction(SIGURG, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	printf("seed %lu, %d s, %d workers of %d threads%s\n", fuzz.seed, fuzz.seconds,
	       fuzz.n_workers, fuzz.n_threads, fuzz.has_faults ? ", with faults" : "");
	if (prepare() < 0) {
		perror("fuzz_calls: cannot prepare");
		return 1;
	}
	calls_gather();
	run();
	if (fuzz.family == AF_GRAFT && setns(initial, CLONE_NEWNET) == 0)
		netlink_endpoints_initial(false);
	return report();
}
