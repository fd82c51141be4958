/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mark of an image that was replaced: it is there while a program runs that ran when
 * the mark was left, and goes by itself. A program that is held up (hold.bpf.c) stands
 * for a call. Needs root and two processors, for that program uses one.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "hold.skel.h"
#include "intercept/cgroup/internal.h"

#define SKIPPED  77
#define IMAGE    2 /* which one is all the same */
#define LIMIT_NS 20000000000u
#define LOOK_NS  200000000u

static struct hold_bpf *skeleton;
static struct cgroup_programs *programs;
static cpu_set_t held_on; /* the program has it for itself, as far as that goes */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t read_flag(const uint32_t *flag)
{
	return __atomic_load_n(flag, __ATOMIC_SEQ_CST);
}

static void *run_program(void *context)
{
	char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet,
		    .data_size_in = sizeof(packet));

	assert_int_equal(sched_setaffinity(0, sizeof(cpu_set_t), context), 0);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skeleton->progs.hold),
						&options),
			 0);
	return NULL;
}

static pthread_t hold(void)
{
	uint64_t start = now_ns();
	pthread_t thread;

	skeleton->bss->is_held = skeleton->bss->is_let_go = skeleton->bss->is_over = 0;
	assert_int_equal(pthread_create(&thread, NULL, run_program, &held_on), 0);
	while (!read_flag(&skeleton->bss->is_held))
		assert_true(now_ns() - start < LIMIT_NS);
	return thread;
}

static void let_go(pthread_t thread)
{
	__atomic_store_n(&skeleton->bss->is_let_go, 1, __ATOMIC_SEQ_CST);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void leave_mark(void)
{
	int mark = -1;

	assert_int_equal(retired_mark(programs, IMAGE, &mark), 0);
	assert_true(mark >= 0);
	assert_int_equal(retired_ask(programs, IMAGE), 1);
	fd_close(mark);
}

/* Until the mark has gone. */
static void await_none(void)
{
	uint64_t start = now_ns();
	int r;

	while ((r = retired_ask(programs, IMAGE)) > 0) {
		assert_true(now_ns() - start < LIMIT_NS);
		sched_yield();
	}
	assert_int_equal(r, 0);
}

static void goes_by_itself(void **state)
{
	(void)state;
	leave_mark();
	await_none();
	assert_int_equal(retired_wait(programs, IMAGE), 0);
}

/* Not before it is closed: a caller that is stopped, or killed. */
static void stays_with_its_descriptor(void **state)
{
	uint64_t start = now_ns();
	int mark = -1;

	(void)state;
	assert_int_equal(retired_mark(programs, IMAGE, &mark), 0);
	while (now_ns() - start < LOOK_NS)
		assert_int_equal(retired_ask(programs, IMAGE), 1);
	fd_close(mark);
	await_none();
}

static void stays_while_a_program_runs(void **state)
{
	pthread_t thread = hold();
	uint64_t start = now_ns();
	int there = 1;

	(void)state;
	leave_mark();
	while (there == 1 && now_ns() - start < LOOK_NS)
		there = retired_ask(programs, IMAGE);
	if (read_flag(&skeleton->bss->is_over))
		there = -EAGAIN; /* it took so long that nothing was held any more */
	let_go(thread);
	if (there == -EAGAIN)
		skip();
	assert_int_equal(there, 1);
	await_none();
}

struct waiter {
	atomic_int thread;
	atomic_bool is_done;
	bool was_over;
	int r;
};

static void *wait_for_image(void *context)
{
	struct waiter *waiter = context;

	atomic_store(&waiter->thread, (int)syscall(SYS_gettid));
	waiter->r = retired_wait(programs, IMAGE);
	waiter->was_over = read_flag(&skeleton->bss->is_over);
	atomic_store(&waiter->is_done, true);
	return NULL;
}

/* Does it wait in the kernel, or has it ended? */
static bool is_settled(struct waiter *waiter)
{
	char path[64], text[256] = "", *state;
	FILE *file;

	if (atomic_load(&waiter->is_done))
		return true;
	if (!atomic_load(&waiter->thread))
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat",
		 atomic_load(&waiter->thread));
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	state = strrchr(text, ')');
	return state && state[1] == ' ' && state[2] == 'D';
}

/* Who writes over an image waits for what is judged by it. */
static void is_waited_for(bool is_unmarked)
{
	struct waiter waiter = { 0 };
	pthread_t held = hold(), thread;
	uint32_t image = IMAGE, none = UINT32_MAX;
	uint64_t start = now_ns();

	leave_mark();
	if (is_unmarked)
		assert_int_equal(bpf_map_update_elem(programs->maps[MAP_RETIRED], &image,
						     &none, BPF_ANY),
				 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_image, &waiter), 0);
	while (!is_settled(&waiter) && now_ns() - start < LIMIT_NS)
		sched_yield();
	let_go(held);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(waiter.r, 0);
	assert_true(waiter.was_over);
	assert_int_equal(retired_ask(programs, IMAGE), 0);
}

static void is_waited_for_by_its_mark(void **state)
{
	(void)state;
	is_waited_for(false);
}

/* As where the kernel had no memory for one. */
static void is_waited_for_without_one(void **state)
{
	(void)state;
	is_waited_for(true);
}

/* All else is kept away from the processor of the program, which a kernel that does not
 * preempt would let wait with it. Return: whether there are two. */
static bool share_processors(void)
{
	cpu_set_t set;
	int last = CPU_SETSIZE - 1;

	if (sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) < 2)
		return false;
	while (!CPU_ISSET(last, &set))
		last--;
	CPU_ZERO(&held_on);
	CPU_SET(last, &held_on);
	CPU_CLR(last, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

static int set_up(void **state)
{
	const char *directory = "/tmp";

	(void)state;
	/* The kernel's own, and no more than this process's. */
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("bpf", directory, "bpf", 0, "mode=0700") < 0)
		return -errno;
	skeleton = hold_bpf__open_and_load();
	return skeleton ? cgroup_programs_open(&programs, directory) : -errno;
}

static int tear_down(void **state)
{
	(void)state;
	hold_bpf__destroy(skeleton);
	cgroup_programs_free(programs);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_by_itself),
		cmocka_unit_test(stays_with_its_descriptor),
		cmocka_unit_test(stays_while_a_program_runs),
		cmocka_unit_test(is_waited_for_by_its_mark),
		cmocka_unit_test(is_waited_for_without_one),
	};

	log_init(STDERR_FILENO, LOG_LEVEL_WARNING, "test_retired");
	if (geteuid() != 0 || !share_processors()) {
		printf("1..0 # SKIP needs root and two processors\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
