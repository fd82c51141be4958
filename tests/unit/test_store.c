/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store in both places: with a holder, which is this program executed anew as it is
 * graftd elsewhere, and with a service manager, which is a socket of the test.
 */
#include "kept.h"

#include "base/log.h"

#define FOUND_MAX 600

static struct event_loop loop;

static struct found {
	char name[STORE_NAME_MAX + 1];
	int fd;
} founds[FOUND_MAX];
static size_t n_found, n_lost;

static void on_found(void *context, const char *name, int fd)
{
	assert_true(n_found < FOUND_MAX);
	snprintf(founds[n_found].name, sizeof(founds[n_found].name), "%s", name);
	founds[n_found++].fd = fd;
}

static void on_lost(void *context)
{
	n_lost++;
}

static const struct store_ops ops = { .found = on_found, .lost = on_lost };

static struct store *open_store(void)
{
	struct store *store;

	n_found = n_lost = 0;
	assert_int_equal(store_new(&store, &loop, state, &ops, NULL), 0);
	return store;
}

/* Return: its descriptor, or -1. */
static int found(const char *name)
{
	for (size_t i = 0; i < n_found; i++)
		if (!strcmp(founds[i].name, name))
			return founds[i].fd;
	return -1;
}

static void close_found(void)
{
	for (size_t i = 0; i < n_found; i++)
		fd_close(founds[i].fd);
	n_found = 0;
}

/* Keeps the end for reading under @name. Return: the one for writing. */
static int keep_pipe(struct store *store, const char *name)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(store_put(store, name, ends[0]), 0);
	fd_close(ends[0]);
	return ends[1];
}

static void run_until_lost(size_t n)
{
	uint64_t end = event_now_ns() + DEADLINE_MS * 1000000ull;

	while (n_lost < n) {
		assert_true(event_now_ns() < end);
		event_loop_run_once(&loop, 100);
	}
}

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* The line of /proc/PID/status that begins with @key, without that. */
static bool read_status(pid_t pid, const char *key, char value[64])
{
	char path[64], line[128];
	bool is_there = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && !is_there && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			is_there = sscanf(line + strlen(key), "%63s", value) == 1;
	if (file)
		fclose(file);
	return is_there;
}

/* What nobody has waited for yet is not alive. */
static bool is_alive(pid_t pid)
{
	char value[64];

	return read_status(pid, "State:", value) && value[0] != 'Z';
}

/* The holder that is our child, and that of every store here, as all are opened by us.
 * Return: 0 when there is none. */
static pid_t holder_pid(void)
{
	char path[64], name[64];
	FILE *children;
	int pid, holder = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	children = fopen(path, "re");
	assert_non_null(children);
	while (!holder && fscanf(children, "%d", &pid) == 1)
		if (is_alive(pid) && read_status(pid, "Name:", name) &&
		    !strcmp(name, HOLDER_PROCESS_NAME))
			holder = pid;
	fclose(children);
	return holder;
}

static pid_t await_holder(void)
{
	uint64_t end = event_now_ns() + DEADLINE_MS * 1000000ull;
	pid_t pid;

	while (!(pid = holder_pid())) {
		assert_true(event_now_ns() < end);
		poll(NULL, 0, 1);
	}
	return pid;
}

/* --- the holder's place --- */

static void test_next_one(void **unused)
{
	struct store *store = open_store();
	int a = keep_pipe(store, "held-1"), b = keep_pipe(store, STORE_CONTROL);
	int gone = keep_pipe(store, "held-2");

	assert_int_equal(n_found, 0);
	store_drop(store, "held-2");
	store_free(store, true);
	await_closed(gone);

	store = open_store();
	assert_int_equal(n_found, 2);
	assert_same_pipe(a, found("held-1"));
	assert_same_pipe(b, found(STORE_CONTROL));
	close_found();
	store_free(store, true);

	/* They have not been taken away by that. */
	store = open_store();
	assert_int_equal(n_found, 2);
	assert_int_equal(fcntl(founds[0].fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(n_lost, 0);
	close_found();
	store_free(store, false);
	await_closed(a);
	await_closed(b);
	assert_false(has_path());
	assert_int_equal(holder_pid(), 0);
	fd_close(a);
	fd_close(b);
	fd_close(gone);
}

static void test_same_name(void **unused)
{
	struct store *store = open_store();
	int a = keep_pipe(store, "x"), b = keep_pipe(store, "x");

	await_closed(a);
	store_free(store, true);
	store = open_store();
	assert_int_equal(n_found, 1);
	assert_same_pipe(b, found("x"));
	close_found();
	store_free(store, false);
	fd_close(a);
	fd_close(b);
}

static void test_name_size(void **unused)
{
	struct store *store = open_store();
	char name[STORE_NAME_MAX + 2];
	int a;

	memset(name, 'n', sizeof(name));
	name[STORE_NAME_MAX + 1] = '\0';
	assert_int_equal(store_put(store, name, 0), -ENAMETOOLONG);
	name[STORE_NAME_MAX] = '\0';
	a = keep_pipe(store, name);
	store_free(store, true);
	store = open_store();
	assert_same_pipe(a, found(name));
	close_found();
	store_free(store, false);
	fd_close(a);
}

/* More than any socket's buffer holds. */
static void test_many(void **unused)
{
	struct store *store = open_store();
	int ends[2], n_closed = 0;
	char name[32];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	for (int i = 0; i < FOUND_MAX; i++) {
		snprintf(name, sizeof(name), "held-%d", i);
		assert_int_equal(store_put(store, name, ends[0]), 0);
	}
	for (int i = 0; i < FOUND_MAX; i += 2, n_closed++) {
		snprintf(name, sizeof(name), "held-%d", i);
		store_drop(store, name);
	}
	store_free(store, true);
	store = open_store();
	assert_int_equal(n_found, FOUND_MAX - n_closed);
	assert_true(found("held-0") < 0);
	assert_same_pipe(ends[1], found("held-1"));
	close_found();
	store_free(store, false);
	fd_close(ends[0]);
	fd_close(ends[1]);
}

static void test_killed(void **unused)
{
	struct store *store = open_store();
	int a = keep_pipe(store, "x"), b;
	pid_t first = await_holder();

	kill(first, SIGKILL);
	run_until_lost(1);
	await_closed(a); /* nobody else had it */
	b = keep_pipe(store, "y");
	assert_int_not_equal(await_holder(), first);
	assert_false(is_alive(first));
	store_free(store, true);
	store = open_store();
	assert_int_equal(n_found, 1);
	assert_same_pipe(b, found("y"));
	close_found();
	store_free(store, false);
	fd_close(a);
	fd_close(b);
}

/* Ends itself as often as it is started: graftd is not kept busy with that. */
static void test_killed_often(void **unused)
{
	struct store *store = open_store();
	uint64_t start;

	kill(await_holder(), SIGKILL);
	run_until_lost(1);
	start = event_now_ns();
	for (size_t i = 2; i < 5; i++) {
		kill(await_holder(), SIGKILL);
		run_until_lost(i);
	}
	/* 100, 200 and 400 ms. */
	assert_true(event_now_ns() - start > 600 * 1000000ull);
	store_free(store, false);
	assert_false(has_path());
}

/* One that does not read is ended; what it had is asked for again. */
static void test_stuck(void **unused)
{
	struct store *store = open_store();
	pid_t first = await_holder();
	int ends[2];
	char name[32];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	kill(first, SIGSTOP);
	for (int i = 0; i < 5000 && holder_pid(); i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(store_put(store, name, ends[0]), 0);
	}
	assert_false(is_alive(first));
	run_until_lost(1);
	assert_int_equal(store_put(store, "x", ends[0]), 0);
	store_free(store, true);
	store = open_store();
	assert_int_equal(n_found, 1);
	assert_same_pipe(ends[1], found("x"));
	close_found();
	store_free(store, false);
	fd_close(ends[0]);
	fd_close(ends[1]);
}

/* A stuck one, met at the start, that is nobody's child: what it has is lost, and said
 * to be, but its sockets are free again. */
static void test_stuck_at_start(void **unused)
{
	struct store *store;
	int status, a, report[2];
	pid_t child, holder = 0;

	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		store = open_store();
		a = keep_pipe(store, "x");
		holder = await_holder();
		kill(holder, SIGSTOP);
		_exit(write(report[1], &holder, sizeof(holder)) != sizeof(holder) ||
		      a < 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(read(report[0], &holder, sizeof(holder)), sizeof(holder));
	store = open_store();
	assert_int_equal(n_found, 0);
	run_until_lost(1);
	while (is_alive(holder)) /* until init has seen it */
		poll(NULL, 0, 1);
	a = keep_pipe(store, "y");
	store_free(store, true);
	store = open_store();
	assert_same_pipe(a, found("y"));
	close_found();
	store_free(store, false);
	fd_close(a);
	fd_close(report[0]);
	fd_close(report[1]);
}

static void test_no_leaks(void **unused)
{
	int before = count_descriptors();

	test_next_one(NULL);
	test_killed(NULL);
	test_stuck(NULL);
	assert_int_equal(count_descriptors(), before);
	assert_null(loop.timers);
}

/* What is executed has nothing of ours but what it needs, and not our terminal's session.
 */
static void test_process(void **unused)
{
	struct store *store = open_store();
	int a = keep_pipe(store, "x"), n = 0;
	pid_t pid = await_holder();
	char path[64];
	DIR *dir;

	/* Until it has taken what was sent. */
	store_free(store, true);
	store = open_store();
	close_found();
	assert_int_equal(getsid(pid), pid);
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	/* ".", "..", three of /dev/null, listener, directory, graftd, "x". Whoever may
	 * not look sees no more than two of them. */
	assert_true(n <= 2 || n == 9);
	store_free(store, false);
	fd_close(a);
}

/* --- the service manager's place --- */

static int open_manager(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", directory);
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	return fd;
}

static void close_manager(int fd)
{
	char path[128];

	unsetenv("NOTIFY_SOCKET");
	snprintf(path, sizeof(path), "%s/notify", directory);
	unlink(path);
	fd_close(fd);
}

static void test_systemd(void **unused)
{
	int manager = open_manager(), fd = -1, a;
	struct store *store = open_store();
	char text[256];
	size_t n_fds;
	ssize_t n;

	assert_false(has_path());
	a = keep_pipe(store, "held-1");
	n = fd_receive(manager, text, sizeof(text) - 1, &fd, 1, &n_fds);
	assert_true(n > 0);
	text[n] = '\0';
	assert_string_equal(text, "FDSTORE=1\nFDPOLL=0\nFDNAME=held-1");
	assert_int_equal(n_fds, 1);
	assert_same_pipe(a, fd);
	fd_close(fd);
	store_drop(store, "held-1");
	n = fd_receive(manager, text, sizeof(text) - 1, NULL, 0, NULL);
	assert_true(n > 0);
	text[n] = '\0';
	assert_string_equal(text, "FDSTOREREMOVE=1\nFDNAME=held-1");
	store_free(store, false);
	assert_int_equal(poll(&(struct pollfd){ .fd = manager, .events = POLLIN }, 1, 0),
			 0);
	close_manager(manager);
	fd_close(a);
	setenv("NOTIFY_SOCKET", "/nowhere", 1);
	store = open_store();
	assert_true(store_put(store, "x", 0) < 0);
	store_free(store, false);
	unsetenv("NOTIFY_SOCKET");
}

/* A holder from before the service manager came: everything moves. */
static void test_inherited(void **unused)
{
	struct store *store = open_store();
	int a = keep_pipe(store, "held-1"), fd = -1, manager;
	char text[256];
	ssize_t n;

	store_free(store, true);
	manager = open_manager();
	store = open_store();
	assert_int_equal(n_found, 1);
	assert_same_pipe(a, found("held-1"));
	n = fd_receive(manager, text, sizeof(text) - 1, &fd, 1, NULL);
	assert_true(n > 0);
	text[n] = '\0';
	assert_string_equal(text, "FDSTORE=1\nFDPOLL=0\nFDNAME=held-1");
	assert_same_pipe(a, fd);
	assert_int_equal(holder_pid(), 0);
	assert_false(has_path());
	close_found();
	store_free(store, true);
	close_manager(manager);
	fd_close(fd);
	fd_close(a);
}

/* In a process of its own, whose descriptors 3 and 4 they are. */
static void check_given(int a, int b)
{
	struct store *store;
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", STORE_CONTROL ":held-1", 1);
	a = fcntl(a, F_DUPFD, 10);
	b = fcntl(b, F_DUPFD, 10);
	dup2(a, 3);
	dup2(b, 4);
	loop.epoll_fd = fcntl(loop.epoll_fd, F_DUPFD, 10);
	store = open_store();
	assert_int_equal(n_found, 2);
	assert_int_equal(found(STORE_CONTROL), 3);
	assert_int_equal(found("held-1"), 4);
	assert_int_equal(fcntl(3, F_GETFD), FD_CLOEXEC);
	assert_null(getenv("LISTEN_FDS"));
	store_free(store, true);
	_exit(0);
}

static void test_given(void **unused)
{
	int manager = open_manager(), ends[2], status;
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0)
		check_given(ends[0], ends[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	fd_close(ends[0]);
	fd_close(ends[1]);
	close_manager(manager);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_one),  cmocka_unit_test(test_same_name),
		cmocka_unit_test(test_name_size), cmocka_unit_test(test_many),
		cmocka_unit_test(test_process),   cmocka_unit_test(test_killed),
		cmocka_unit_test(test_stuck),     cmocka_unit_test(test_stuck_at_start),
		cmocka_unit_test(test_no_leaks),  cmocka_unit_test(test_killed_often),
		cmocka_unit_test(test_systemd),   cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_given),
	};
	int r;

	if (argc && !strcmp(argv[0], HOLDER_PROCESS_NAME))
		return holder_main();
	log_init(STDERR_FILENO, LOG_LEVEL_ERROR, "test_store");
	unsetenv("NOTIFY_SOCKET");
	if (!make_directory("/tmp/test_store.XXXXXX") || event_loop_init(&loop) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	event_loop_deinit(&loop);
	remove_directory();
	return r;
}
