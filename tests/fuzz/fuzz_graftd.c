/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole conversations with graftd: its server, without its process, and a few clients of
 * it over socketpairs. An input is a list of steps, each a letter and what it needs:
 *
 *	0-3	from now on this client speaks; a client is made when it first does
 *	h	hello
 *	a TEXT	add	d TEXT	del	e TEXT	place	(up to a newline)
 *	l w p	ask-endpoints, watch, ask-page
 *	r	reload
 *	b C NAME	ask: bind, of what C says; c: connect; f: from; s: a supply
 *	m N BYTES	a packet of N bytes as they are
 *	t	time to read the answers
 *	x	it goes
 *
 * After each input everything must be gone: connections, endpoints, descriptors.
 *
 * It works in namespaces of its own and may write nowhere but in the directories that the
 * command line names: endpoints lead to any path.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/change.h"
#include "broker/conf.h"
#include "broker/graftd.h"
#include "broker/journal.h"
#include "broker/metrics.h"
#include "broker/page.h"
#include "broker/places.h"
#include "broker/quota.h"
#include "broker/registry.h"
#include "broker/restore.h"
#include "broker/server.h"
#include "stack/stack.h"

#define CLIENTS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

struct input {
	const uint8_t *at, *end;
};

static struct graftd graftd = { .state = -1 };
static int clients[CLIENTS];
static size_t n_descriptors; /* open between inputs */

static void must(bool is_good, const char *what)
{
	if (is_good)
		return;
	perror(what);
	exit(77);
}

static void allow_below(int rules, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = rights,
		.parent_fd = open(path, O_PATH | O_CLOEXEC),
	};

	if (rule.parent_fd < 0)
		return;
	syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
}

/* Sockets at paths, above all. */
static void fence(int argc, char **argv, const char *state)
{
	const uint64_t rights =
		LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
		LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK;
	struct landlock_ruleset_attr attributes = { .handled_access_fs = rights };
	int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes,
				 sizeof(attributes), 0);

	must(rules >= 0, "landlock");
	allow_below(rules, state, rights);
	allow_below(rules, "/dev", LANDLOCK_ACCESS_FS_WRITE_FILE);
	for (int i = 1; i < argc; i++)
		if (argv[i][0] != '-')
			allow_below(rules, argv[i], rights);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	must(syscall(SYS_landlock_restrict_self, rules, 0) == 0, "landlock");
	close(rules);
}

static void put(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && write(fd, text, strlen(text)) > 0, path);
}

/* Root there is who we are here. */
static void map(const char *path, unsigned int id)
{
	char text[32];

	snprintf(text, sizeof(text), "0 %u 1", id);
	put(path, text);
}

static void ignore(void *context, const struct policy_error *error)
{
}

static int listen_anywhere(void)
{
	const struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	/* An address without a name: the kernel picks one. */
	must(bind(fd, (const struct sockaddr *)&address, sizeof(sa_family_t)) == 0 &&
		     listen(fd, 1) == 0,
	     "listen");
	return fd;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char state[] = "/tmp/graft-fuzz-XXXXXX";

	unsigned int uid = geteuid(), gid = getegid();

	must(unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) == 0, "unshare");
	put("/proc/self/setgroups", "deny");
	map("/proc/self/uid_map", uid);
	map("/proc/self/gid_map", gid);
	must(mkdtemp(state) != NULL, "mkdtemp");
	/* It goes with the namespace. */
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     mount("state", state, "tmpfs", 0, "size=64m") == 0,
	     "mount");
	rmdir(state);
	graftd.state = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fence(*argc, *argv, state);
	log_init(STDERR_FILENO, LOG_LEVEL_ERROR, "fuzz");
	must(event_loop_init(&graftd.loop) == 0 && self_read(&graftd.self) == 0 &&
		     stack_host_new(&graftd.host) == 0,
	     "start");
	strcpy(graftd.boot, "boot");
	graftd.config_path = "/proc/nonexistent";
	graftd.config_is_optional = true;
	graftd.registry = registry_new();
	graftd.quota = quota_new();
	graftd.metrics = metrics_new();
	graftd.places = places_new("/proc/nonexistent");
	must(graftd.places != NULL, "places");
	must(page_new(&graftd.page, graftd.state) == 0 &&
		     restore_registry(&graftd) == 0 &&
		     conf_parse(&graftd.config, "", "", 0, ignore, NULL) == 0 &&
		     server_new(&graftd.server, &graftd, listen_anywhere()) == 0,
	     "start");
	return 0;
}

/* Turns until nothing happens any more; timers do not count. */
static void turn(void)
{
	for (int i = 0; i < 1000; i++) {
		int n = event_loop_run_once(&graftd.loop, 0);

		server_settle(graftd.server);
		if (n <= 0)
			return;
	}
}

static void drain(int fd)
{
	int fds[4];
	size_t n_fds;
	char data[WIRE_MAX];

	for (;;) {
		struct wire_message message;
		ssize_t n;

		n_fds = 0;
		n = fd_receive(fd, data, sizeof(data), fds, 4, &n_fds);
		if (n <= 0)
			return;
		/* Nothing it says may be nonsense. */
		assert(wire_parse(data, (size_t)n, &message) == 0);
		for (size_t i = 0; i < n_fds; i++)
			close(fds[i]);
	}
}

static void leave(int *client)
{
	if (*client >= 0)
		close(*client);
	*client = -1;
}

static int open_client(bool is_admin)
{
	struct connection *connection;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) <
	    0)
		abort();
	connection = server_adopt(graftd.server, pair[1]);
	if (connection)
		connection->identity.is_admin = is_admin;
	return pair[0];
}

static uint8_t take(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static void take_text(struct input *input, char *text, size_t size)
{
	size_t n = 0;
	uint8_t c;

	while (input->at < input->end && (c = *input->at++) != '\n')
		if (n < size - 1)
			text[n++] = (char)c;
	memset(text + n, 0, size - n);
}

static void say_raw(int client, const void *data, size_t size, const int *fds, size_t n)
{
	fd_send_now(client, data, size, fds, n);
}

static void say(int client, const struct wire_message *message, const int *fds, size_t n)
{
	char data[WIRE_MAX];
	ssize_t size = wire_write(message, data, sizeof(data));

	if (size > 0)
		say_raw(client, data, (size_t)size, fds, n);
}

/* Bits of @how: family, type, what comes with it. */
static void say_ask(int client, struct input *input, enum wire_type type, uint32_t op)
{
	static const uint32_t families[] = { AF_INET, AF_INET6, AF_UNIX, 4 };
	static const uint32_t types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET,
					  SOCK_RAW };
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct wire_message message = { .type = type };
	uint8_t how = take(input);
	int pair[2] = { -1, -1 }, old = -1, fds[2];
	size_t n = 0;

	message.ask.op = op;
	message.ask.family = families[how & 3];
	message.ask.type = types[how >> 2 & 3];
	message.ask.address.len = sizeof(address);
	memcpy(&message.ask.address.address, &address, sizeof(address));
	if (how & 16) {
		message.ask.flags |= WIRE_F_REPLY;
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
			abort();
		fds[n++] = pair[1];
	}
	if (how & 32 || type == WIRE_ASK_SUPPLY) {
		message.ask.flags |= WIRE_F_SOCKET;
		old = how & 64 ? dup(0) : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (type == WIRE_ASK_SUPPLY && !(how & 64)) {
			close(old);
			old = open_client(false);
		}
		fds[n++] = old;
	}
	if (how & 128)
		message.ask.flags ^= WIRE_F_REPLY;
	take_text(input, message.ask.name, sizeof(message.ask.name));
	say(client, &message, fds, n);
	fd_close(pair[0]);
	fd_close(pair[1]);
	fd_close(old);
}

static void say_text(int client, struct input *input, enum wire_type type)
{
	struct wire_message message = { .type = type };

	if (type == WIRE_ADD)
		take_text(input, message.add.line, sizeof(message.add.line));
	else
		take_text(input, message.del.name, sizeof(message.del.name));
	say(client, &message, NULL, 0);
}

static void say_packet(int client, struct input *input)
{
	size_t size = (size_t)take(input) * 8;

	if (size > (size_t)(input->end - input->at))
		size = (size_t)(input->end - input->at);
	say_raw(client, input->at, size, NULL, 0);
	input->at += size;
}

static void say_alone(int client, enum wire_type type)
{
	struct wire_message message = { .type = type };

	say(client, &message, NULL, 0);
}

static void step(int *client, struct input *input, uint8_t what)
{
	switch (what) {
	case 'h':
		say_alone(*client, WIRE_HELLO);
		break;
	case 'a':
		say_text(*client, input, WIRE_ADD);
		break;
	case 'd':
		say_text(*client, input, WIRE_DEL);
		break;
	case 'e':
		say_text(*client, input, WIRE_PLACE);
		break;
	case 'l':
		say_alone(*client, WIRE_ASK_ENDPOINTS);
		break;
	case 'w':
		say_alone(*client, WIRE_WATCH);
		break;
	case 'p':
		say_alone(*client, WIRE_ASK_PAGE);
		break;
	case 'r':
		say_alone(*client, WIRE_RELOAD);
		break;
	case 'b':
		say_ask(*client, input, WIRE_ASK, WIRE_OP_BIND);
		break;
	case 'c':
		say_ask(*client, input, WIRE_ASK, WIRE_OP_CONNECT);
		break;
	case 'f':
		say_ask(*client, input, WIRE_ASK, WIRE_OP_FROM);
		break;
	case 's':
		say_ask(*client, input, WIRE_ASK_SUPPLY, WIRE_OP_CONNECT);
		break;
	case 'm':
		say_packet(*client, input);
		break;
	case 't':
		turn();
		drain(*client);
		break;
	case 'x':
		leave(client);
		break;
	default:
		break;
	}
}

static size_t count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void clean_up(void)
{
	struct entry *entry;
	uint32_t cursor = 0;

	turn();
	for (int i = 0; i < CLIENTS; i++) {
		if (clients[i] >= 0)
			drain(clients[i]);
		leave(&clients[i]);
	}
	turn();
	while ((entry = registry_next(graftd.registry, &cursor)))
		change_drop(&graftd, entry, NULL);
	turn();
	assert(server_n_connections(graftd.server) == 0);
	assert(registry_n(graftd.registry) == 0);
	assert(count_descriptors() == n_descriptors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, data + size };
	int current = 0;

	n_descriptors = count_descriptors();
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = -1;
	while (input.at < input.end) {
		uint8_t what = take(&input);

		if (what >= '0' && what < '0' + CLIENTS)
			current = what - '0';
		if (clients[current] < 0 && what != 'x')
			clients[current] = open_client(current < 2);
		step(&clients[current], &input, what);
	}
	clean_up();
	return 0;
}
