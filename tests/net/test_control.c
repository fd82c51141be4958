/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket, the census and `graft ps` over real processes.
 *
 *	this test ("supervisor", "host" netns of its own)
 *	 ├── child: own netns; inherited a host listener, a host UDP socket and a host
 *	 │          UNIX socket; accepted a connection; has a socket of its own stack too
 *	 └── orphan: its parent is gone; another netns; inherited the listener
 *
 * Usage: test_control GRAFT. Control's time limit is short in this build.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/event.h"
#include "base/fd.h"
#include "run/census.h"
#include "run/control.h"
#include "run/grafts.h"
#include "stack/stack.h"
#include "wire/wire.h"

static const char *const rules[] = {
	"bind tcp 0.0.0.0:80 = web",
	"connect udp [::]/0 = host",
	"connect tcp 127.0.0.1:6379 = cache",
};

static const char *graft_path;
static struct census census;
static struct event_loop loop;
static struct stack *host;
static struct control *control;
static atomic_bool stop;
static atomic_uint n_synthetic; /* answer with so many invented grafts instead */
static int listener, udp, un, client;
static uint16_t port;
static pid_t child, orphan;
static uint64_t started_ns;

static size_t rule_text(void *context, uint32_t rule, char *text, size_t size)
{
	return (size_t)snprintf(text, size, "%s", rules[rule]);
}

static void op_run(void *context, struct run_info *ret)
{
	ret->pid = getpid();
	ret->supervisor = getpid();
	ret->program = child;
	ret->uid = getuid();
	ret->name = "web\x1b[2J\xff";
	ret->command = "nginx -g 'daemon off;'";
	ret->engine = "notify";
	ret->policy = "-p 8080:80";
	ret->started_ns = started_ns;
	ret->n_grafts = 1000;
}

static int op_grafts(void *context, control_emit *emit, void *emit_context)
{
	unsigned int n = atomic_load(&n_synthetic);
	struct graft_info info = { .pid = 1, .rule = rules[0], .state = "open" };

	if (!n)
		return census_walk(&census, emit, emit_context);
	for (unsigned int i = 0; i < n; i++) {
		int r;

		info.fd = (int)i;
		r = emit(emit_context, &info);
		if (r != 0)
			return r;
	}
	return 0;
}

static void *serve(void *unused)
{
	while (!atomic_load(&stop))
		event_loop_run_once(&loop, 20);
	return NULL;
}

/* Runs `graft ARGUMENTS`; the text is valid until the next call. Return: exit status. */
static int graft(const char *arguments, const char **ret_text)
{
	static char text[1 << 20];
	char command[512];
	size_t n;
	FILE *pipe;
	int status;

	snprintf(command, sizeof(command), "'%s' %s", graft_path, arguments);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	n = fread(text, 1, sizeof(text) - 1, pipe);
	text[n] = '\0';
	status = pclose(pipe);
	assert_true(WIFEXITED(status));
	*ret_text = text;
	return WEXITSTATUS(status);
}

static struct json_object *member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	assert_true(json_object_object_get_ex(object, name, &value));
	return value;
}

static int64_t number(struct json_object *object, const char *name)
{
	return json_object_get_int64(member(object, name));
}

static const char *string(struct json_object *object, const char *name)
{
	return json_object_get_string(member(object, name));
}

/* The run of this test among those the command sees. */
static struct json_object *own(struct json_object *array, const char *of)
{
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *item = json_object_array_get_idx(array, i);

		if (number(of ? member(item, of) : item, "pid") == getpid())
			return item;
	}
	fail_msg("this run is not in the list");
	return NULL;
}

static void test_ps(void **state)
{
	const char *text;
	struct json_object *array, *run;

	assert_int_equal(graft("ps --json", &text), 0);
	array = json_tokener_parse(text);
	assert_non_null(array);
	run = own(array, NULL);
	assert_string_equal(string(run, "name"), "web?[2J?");
	assert_string_equal(string(run, "engine"), "notify");
	assert_string_equal(string(run, "policy"), "-p 8080:80");
	assert_int_equal(number(run, "uid"), getuid());
	assert_int_equal(number(run, "program"), child);
	assert_true(number(run, "age_ns") > 0);
	assert_int_equal(number(run, "n_grafts"), 1000); /* made so far */
	assert_int_equal(number(run, "n_live"), 5);      /* test_sockets has them */
	json_object_put(array);

	assert_int_equal(graft("ps", &text), 0);
	assert_memory_equal(text, "PID ", 4);
	assert_non_null(strstr(text, "nginx -g 'daemon off;'"));
	assert_null(strchr(text, '\x1b'));
}

static struct json_object *find(struct json_object *grafts, pid_t pid,
				const char *socket_is, const char *state)
{
	struct json_object *found = NULL;

	for (size_t i = 0; i < json_object_array_length(grafts); i++) {
		struct json_object *graft_is = json_object_array_get_idx(grafts, i);

		if (number(graft_is, "pid") == pid &&
		    !strcmp(string(graft_is, "socket"), socket_is) &&
		    !strcmp(string(graft_is, "state"), state)) {
			assert_null(found);
			found = graft_is;
		}
	}
	assert_non_null(found);
	return found;
}

static void test_sockets(void **state)
{
	struct json_object *array, *grafts, *item;
	const char *text;

	assert_int_equal(graft("ps --sockets --json", &text), 0);
	array = json_tokener_parse(text);
	assert_non_null(array);
	grafts = member(own(array, "run"), "grafts");
	assert_int_equal(json_object_array_length(grafts), 5);

	item = find(grafts, child, "tcp", "listen");
	assert_string_equal(string(item, "rule"), rules[0]);
	assert_int_equal(number(member(item, "local"), "port"), port);
	assert_string_equal(string(member(item, "local"), "address"), "127.0.0.1");
	assert_null(member(item, "peer"));
	assert_true(number(item, "age_ns") > 0);
	assert_string_equal(string(item, "program"), "test-child");

	item = find(grafts, child, "tcp", "established");
	assert_string_equal(string(item, "rule"), rules[0]); /* the listener's */
	assert_int_equal(number(member(item, "local"), "port"), port);
	assert_null(member(item, "age_ns")); /* accepted: nobody saw it begin */

	item = find(grafts, child, "udp6", "connected");
	assert_string_equal(string(item, "rule"), rules[1]);
	assert_int_equal(number(member(item, "peer"), "port"), 9);

	item = find(grafts, child, "unix", "listen");
	assert_string_equal(string(item, "rule"), rules[2]);

	item = find(grafts, orphan, "tcp", "listen");
	assert_int_equal(number(item, "cookie"),
			 number(find(grafts, child, "tcp", "listen"), "cookie"));
	json_object_put(array);
}

static void test_sockets_one(void **state)
{
	char arguments[64], address[32];
	const char *text;

	snprintf(arguments, sizeof(arguments), "ps --sockets %d", (int)getpid());
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	assert_int_equal(graft(arguments, &text), 0);
	assert_memory_equal(text, "RUN ", 4);
	assert_non_null(strstr(text, address));
	assert_non_null(strstr(text, "test-child"));
	assert_int_equal(graft("ps --sockets 'web?[2J\377'", &text), 0);
	assert_int_equal(graft("ps --sockets 999999999 2>&1", &text), 1);
	assert_non_null(strstr(text, "no live run '999999999'"));
	assert_int_equal(graft("ps --sockets a b 2>&1", &text), 2);
	assert_int_equal(graft("ps 999999999 2>&1", &text), 1);
	assert_int_equal(graft("ps 'web?[2J\377'", &text), 0);
	assert_non_null(strstr(text, "nginx -g 'daemon off;'"));
	assert_int_equal(graft("ps a b 2>&1", &text), 2);
	assert_int_equal(graft("ps --bad 2>&1", &text), 2);
}

static int dial(void)
{
	const struct timeval wait = { .tv_sec = 10 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int n = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
			 CONTROL_PREFIX "%u/%d", getuid(), (int)getpid());

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	assert_int_equal(connect(fd, (struct sockaddr *)&address,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
					     (size_t)n)),
			 0);
	return fd;
}

static void tell(int fd, enum wire_type type)
{
	struct wire_message message = { .type = type };
	char data[WIRE_MAX];
	ssize_t n = wire_write(&message, data, sizeof(data));

	assert_int_equal(send(fd, data, (size_t)n, MSG_NOSIGNAL), n);
}

/* Return: the type of the next message, 0 at the end. */
static int hear(int fd, struct wire_message *ret)
{
	char data[WIRE_MAX];
	ssize_t n = recv(fd, data, sizeof(data), 0);

	if (n <= 0) {
		assert_true(n == 0 || errno == ECONNRESET);
		return 0;
	}
	assert_int_equal(wire_parse(data, (size_t)n, ret), 0);
	return (int)ret->type;
}

static void test_rude_clients(void **state)
{
	struct wire_message message;
	int fd = dial();

	assert_int_equal(send(fd, "junk!", 5, 0), 5);
	assert_int_equal(hear(fd, &message), WIRE_ERROR);
	assert_int_equal(message.error.number, EBADMSG);
	assert_int_equal(hear(fd, &message), 0);
	close(fd);

	fd = dial();
	tell(fd, WIRE_ASK_RUNS); /* no hello */
	assert_int_equal(hear(fd, &message), WIRE_ERROR);
	assert_int_equal(hear(fd, &message), 0);
	close(fd);

	fd = dial();
	tell(fd, WIRE_HELLO);
	assert_int_equal(hear(fd, &message), WIRE_HELLO);
	tell(fd, WIRE_HELLO);
	assert_int_equal(hear(fd, &message), WIRE_ERROR);
	close(fd);

	fd = dial(); /* says nothing: closed after its time */
	assert_int_equal(hear(fd, &message), 0);
	close(fd);
}

static size_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Two hundred connections that say nothing take eight places, then give them up. */
static void test_many_clients(void **state)
{
	size_t before = count_fds();
	struct wire_message message;
	int fds[200];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = dial();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		assert_int_equal(hear(fds[i], &message), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	assert_true(count_fds() <= before);
}

/* More grafts than an answer holds: those left off are counted. A client that asks and
 * never reads is closed. */
static void test_big_answer(void **state)
{
	struct wire_message message = { 0 };
	unsigned int n = 0;
	int fd = dial(), deaf = dial();

	atomic_store(&n_synthetic, 50000);
	tell(deaf, WIRE_HELLO);
	tell(deaf, WIRE_ASK_GRAFTS);
	tell(fd, WIRE_HELLO);
	assert_int_equal(hear(fd, &message), WIRE_HELLO);
	tell(fd, WIRE_ASK_GRAFTS);
	while (hear(fd, &message) == WIRE_GRAFT)
		n++;
	assert_int_equal(message.type, WIRE_BYE);
	assert_true(n > 10000);
	assert_int_equal(n + message.bye.n_left_off, 50000);
	close(fd);
	/* What was queued for it is all it gets. */
	assert_int_equal(poll(&(struct pollfd){ deaf, POLLRDHUP, 0 }, 1, 10000), 1);
	close(deaf);
	atomic_store(&n_synthetic, 0);
}

/* Another user is closed without a word. */
static void test_stranger(void **state)
{
	struct wire_message message;
	int status, fd;
	pid_t pid;

	if (getuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int n = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
				 CONTROL_PREFIX "0/%d", (int)getppid());

		if (setresuid(65534, 65534, 65534) < 0)
			_exit(77); /* only one user here */
		fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		if (connect(fd, (struct sockaddr *)&address,
			    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
					(size_t)n)) < 0)
			_exit(2);
		send(fd, "hello", 5, MSG_NOSIGNAL);
		_exit(recv(fd, &message, sizeof(message), 0) > 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* A run that hangs is counted and does not hide the others; a name that only looks like
 * one is passed over. */
static void test_silent_run(void **state)
{
	static const char *const names[] = { "1", "x" };
	int fds[ARRAY_SIZE(names)];
	const char *text;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int n = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
				 CONTROL_PREFIX "%u/%s", getuid(), names[i]);

		fds[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fds[i], (struct sockaddr *)&address,
				      (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
						  1 + (size_t)n)),
				 0);
		assert_int_equal(listen(fds[i], 5), 0);
	}
	assert_int_equal(graft("ps 2>&1", &text), 0);
	assert_non_null(strstr(text, "graft ps: 1 of the runs did not answer\n"));
	assert_non_null(strstr(text, "nginx -g 'daemon off;'"));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		close(fds[i]);
}

/* Somebody else holds the name. */
static void test_name_taken(void **state)
{
	static const struct control_ops ops = { op_run, op_grafts };
	struct event_loop other;
	struct control *second = NULL, *third = NULL;

	assert_int_equal(event_loop_init(&other), 0);
	assert_int_equal(control_new(&second, &other, host, 4711, &ops, NULL), 0);
	assert_int_equal(control_new(&third, &other, host, 4711, &ops, NULL), 0);
	assert_null(control_free(third));
	assert_null(control_free(second));
	assert_null(control_free(NULL));
	event_loop_deinit(&other);
}

static void lo_up(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		exit(1);
}

static void write_file(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		perror(path);
}

static int enter_namespaces(void)
{
	char map[64];
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (uid == 0 && unshare(CLONE_NEWNET) == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	write_file("/proc/self/gid_map", map);
	return 0;
}

static void note(struct grafts *grafts, int fd, uint32_t rule)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie = 0;

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	grafts_note(grafts, cookie, rule, event_now_ns());
}

static void make_sockets(void)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_addr = in6addr_loopback,
				   .sin6_port = htons(9) };
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(v4);
	struct grafts *grafts = grafts_new();

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	udp = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	un = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&v4, len) < 0 || listen(listener, 5) < 0 ||
	    getsockname(listener, (struct sockaddr *)&v4, &len) < 0 ||
	    connect(client, (struct sockaddr *)&v4, len) < 0 ||
	    connect(udp, (struct sockaddr *)&v6, sizeof(v6)) < 0 ||
	    bind(un, (struct sockaddr *)&name, sizeof(sa_family_t)) < 0 ||
	    listen(un, 5) < 0) {
		perror("sockets");
		exit(1);
	}
	port = ntohs(v4.sin_port);
	note(grafts, listener, 0);
	note(grafts, udp, 1);
	note(grafts, un, 2);
	census.grafts = grafts;
}

static _Noreturn void be_child(int ready)
{
	int pair[2], fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "test-child");
	close(client);
	fd = accept(listener, NULL, NULL);
	/* of its own stack, and inherited ones nobody grafted: not to be listed */
	if (unshare(CLONE_NEWNET) < 0 || fd < 0 || socket(AF_INET, SOCK_STREAM, 0) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || write(ready, "c", 1) < 0)
		_exit(1);
	for (;;)
		pause();
}

static _Noreturn void be_orphan(int ready)
{
	pid_t pid = fork();

	if (pid != 0)
		_exit(0);
	close(client);
	close(udp);
	close(un);
	pid = getpid();
	if (unshare(CLONE_NEWNET) < 0 || write(ready, &pid, sizeof(pid)) < 0)
		_exit(1);
	for (;;)
		pause();
}

static int start_processes(void)
{
	int ready[2], status;
	pid_t parent;
	char byte;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (pipe2(ready, O_CLOEXEC) < 0)
		return -1;
	child = fork();
	if (child == 0)
		be_child(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		return -1;
	parent = fork();
	if (parent == 0)
		be_orphan(ready[1]);
	waitpid(parent, &status, 0);
	if (read(ready[0], &orphan, sizeof(orphan)) != sizeof(orphan))
		return -1;
	close(ready[0]);
	close(ready[1]);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct control_ops ops = { op_run, op_grafts };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ps),           cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_sockets_one),  cmocka_unit_test(test_rude_clients),
		cmocka_unit_test(test_many_clients), cmocka_unit_test(test_big_answer),
		cmocka_unit_test(test_silent_run),   cmocka_unit_test(test_stranger),
		cmocka_unit_test(test_name_taken),
	};
	pthread_t thread;
	int r = enter_namespaces();

	graft_path = argc == 2 ? argv[1] : "graft";
	if (r < 0) {
		printf("SKIP: no user and network namespaces here: %s\n", strerror(-r));
		return 77;
	}
	lo_up();
	started_ns = event_now_ns();
	make_sockets();
	if (start_processes() < 0 || census_netns_cookie(-1, &census.host_cookie) < 0)
		return 1;
	census.root = getpid();
	census.program = child;
	census.rule_text = rule_text;
	if (event_loop_init(&loop) < 0 || stack_host_new(&host) < 0 ||
	    control_new(&control, &loop, host, getpid(), &ops, NULL) < 0)
		return 1;
	pthread_create(&thread, NULL, serve, NULL);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	control_free(control);
	event_loop_deinit(&loop);
	grafts_free(census.grafts);
	kill(child, SIGKILL);
	kill(orphan, SIGKILL);
	while (wait(NULL) > 0)
		;
	return r;
}
