/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostile SOCKET KIND [SECONDS]	a client that harms, for a while; --list: the
 * kinds hostile SOCKET good			well-behaved: asks for sockets until its
 * input ends hostile SOCKET crowd N		N clients at once, each is served
 *
 * "good" prints "calls N failed N median_ms N max_ms N" and fails when a call failed.
 * The others tell what they did; that graftd survived it is for the script to say.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

#define ENDPOINT "good"   /* 127.0.0.1:18500, for anybody */
#define THEIRS   "theirs" /* 127.0.0.1:18501: who may bind an endpoint may keep it busy */
#define IDLE_MAX 900

static const char *path;
static double end;
static unsigned long n_done, n_refused;

static bool goes_on(void)
{
	return seconds() < end;
}

/* --- the well-behaved one --- */

static int ask_bind(int via)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(80) };
	int on = 1, socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	setsockopt(socket_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	fd = client_ask(via, WIRE_OP_BIND, ENDPOINT, (struct sockaddr *)&in, sizeof(in),
			socket_fd);
	close(socket_fd);
	return fd;
}

static int ask_connect(int via)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(80) };

	in.sin_addr.s_addr = htonl(0xc0000201);
	return client_ask(via, WIRE_OP_CONNECT, ENDPOINT, (struct sockaddr *)&in,
			  sizeof(in), -1);
}

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* One round: a new connection, a bind and a connect. Return: 0 or -errno. */
static int good_round(void)
{
	int via = client_open(path), fd = -1, r = via;

	if (via < 0)
		return r;
	for (int i = 0; i < 2 && r >= 0; i++) {
		r = fd = i ? ask_connect(via) : ask_bind(via);
		if (fd >= 0)
			close(fd);
	}
	close(via);
	return r < 0 ? r : 0;
}

static int good(void)
{
	static double times[100000];
	struct pollfd input = { .fd = 0, .events = POLLIN };
	size_t n = 0, n_failed = 0;

	while (n < 100000 && poll(&input, 1, 2) == 0) {
		double start = seconds();
		int r = good_round();

		if (r < 0 && n_failed++ < 5)
			printf("a call failed: %s\n", strerrorname_np(-r) ?: "?");
		times[n++] = (seconds() - start) * 1000;
	}
	if (n == 0)
		return 1;
	qsort(times, n, sizeof(*times), by_number);
	printf("calls %zu failed %zu median_ms %.2f max_ms %.1f\n", n, n_failed,
	       times[n / 2], times[n - 1]);
	return n_failed > 0;
}

/* Every client connects before any of them asks; children, for the limit on
 * descriptors. */
static int crowd_part(int n, int go, int ready)
{
	int *fds = calloc((size_t)n, sizeof(*fds)), n_bad = 0;
	char byte;

	for (int i = 0; i < n; i++) {
		fds[i] = client_open(path);
		if (fds[i] < 0 && n_bad++ < 3)
			printf("client %d: %s\n", i, strerrorname_np(-fds[i]) ?: "?");
	}
	if (write(ready, "", 1) != 1 || read(go, &byte, 1) < 0)
		return 1;
	for (int i = 0; i < n; i++) {
		int fd = fds[i] < 0 ? fds[i] : ask_connect(fds[i]);

		if (fd < 0 && n_bad++ < 3)
			printf("ask of client %d: %s\n", i, strerrorname_np(-fd) ?: "?");
		if (fd >= 0)
			close(fd);
	}
	fflush(stdout);
	return n_bad > 0;
}

static int crowd(int n)
{
	enum { PARTS = 10 };
	int go[2], ready[2], status, n_bad = 0;
	double start;
	char byte;

	if (pipe(go) < 0 || pipe(ready) < 0)
		return 1;
	for (int i = 0; i < PARTS; i++) {
		if (fork() == 0) {
			/* As many users: each has its own quota. */
			if (setresgid(3000, 3000, 3000) < 0 ||
			    setresuid((uid_t)(3000 + i), (uid_t)(3000 + i),
				      (uid_t)(3000 + i)) < 0)
				_exit(1);
			close(go[1]);
			_exit(crowd_part(n / PARTS, go[0], ready[1]));
		}
	}
	close(ready[1]);
	for (int i = 0; i < PARTS; i++)
		n_bad += read(ready[0], &byte, 1) != 1;
	start = seconds();
	close(go[1]);
	for (int i = 0; i < PARTS; i++)
		n_bad += wait(&status) > 0 && status != 0;
	printf("%d clients at once: served in %.0f ms\n", n, (seconds() - start) * 1000);
	return n_bad > 0;
}

/* --- the others --- */

static void count(int r)
{
	if (r < 0)
		n_refused++;
	else
		n_done++;
}

static void fill_random(unsigned char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)rand();
}

/* Random bytes; and well-formed messages with random bytes changed. */
static void garbage(void)
{
	unsigned char data[WIRE_MAX + 100];
	struct wire_message hello = { .type = WIRE_HELLO, .hello = { 1, "x" } };

	while (goes_on()) {
		int via = rand() % 2 ? client_connect(path) : client_open(path);

		for (int i = 0; via >= 0 && i < 50; i++) {
			size_t size = (size_t)rand() % sizeof(data);
			ssize_t n = wire_write(&hello, data, sizeof(data));

			if (rand() % 2) {
				fill_random(data, size);
			} else {
				size = (size_t)n;
				data[rand() % n] = (unsigned char)rand();
			}
			count(client_send_bytes(via, data, size, NULL, 0));
		}
		if (via >= 0)
			close(via);
	}
}

/* Messages cut anywhere, empty ones, wrong sizes, versions and types. */
static void halves(void)
{
	unsigned char data[WIRE_MAX];
	struct wire_message ask = { .type = WIRE_ASK,
				    .ask = { .op = WIRE_OP_BIND,
					     .name = THEIRS,
					     .family = AF_INET,
					     .type = SOCK_STREAM } };
	ssize_t size = wire_write(&ask, data, sizeof(data));

	while (goes_on()) {
		int via = client_open(path);
		struct wire_header head;

		for (ssize_t n = 0; via >= 0 && n < size; n += 1 + rand() % 4) {
			count(client_send_bytes(via, data, (size_t)n, NULL, 0));
			if (rand() % 8 == 0) {
				close(via);
				via = client_open(path);
			}
		}
		memcpy(&head, data, sizeof(head));
		head.size = (uint32_t)rand();
		head.version = (uint16_t)(1 + rand() % 3);
		head.type = (uint16_t)(rand() % 64);
		memcpy(data, &head, sizeof(head));
		if (via >= 0) {
			count(client_send_bytes(via, data, (size_t)size, NULL, 0));
			close(via);
		}
		size = wire_write(&ask, data, sizeof(data));
	}
}

/* 253 descriptors beside each message, whether it takes any or not. */
static void descriptors(void)
{
	struct wire_message message = { .type = WIRE_ASK_ENDPOINTS };
	int fds[253], null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i < 253; i++)
		fds[i] = null;
	while (goes_on()) {
		int via = rand() % 2 ? client_open(path) : client_connect(path);

		for (int i = 0; via >= 0 && i < 40; i++) {
			message.type = i % 2 ? WIRE_ASK_ENDPOINTS : WIRE_HELLO;
			count(client_send(via, &message, fds, 1 + (size_t)rand() % 253));
		}
		if (via >= 0)
			close(via);
	}
}

/* Asks for everything, again and again, and reads nothing. */
static void deaf(void)
{
	struct wire_message message = { .type = WIRE_ASK_ENDPOINTS };
	struct wire_message watch = { .type = WIRE_WATCH };
	int fds[100];

	for (int i = 0; i < 100; i++) {
		fds[i] = client_open(path);
		if (fds[i] < 0)
			continue;
		fcntl(fds[i], F_SETFL, O_NONBLOCK);
		if (i % 4 == 0)
			count(client_send(fds[i], &watch, NULL, 0));
	}
	while (goes_on()) {
		for (int i = 0; i < 100; i++)
			count(fds[i] < 0 ? fds[i]
					 : client_send(fds[i], &message, NULL, 0));
		poll(NULL, 0, 1);
	}
}

/* Connects and says nothing; or hello, and then nothing. */
static void idle(void)
{
	struct rlimit limit = { IDLE_MAX + 100, IDLE_MAX + 100 };

	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < IDLE_MAX; i++)
		count(i % 2 ? client_connect(path) : client_open(path));
	while (goes_on())
		poll(NULL, 0, 10);
}

/* As many asks as fit, answers unread, then gone. */
static void flood(void)
{
	struct wire_message ask = { .type = WIRE_ASK,
				    .ask = { .op = WIRE_OP_CONNECT,
					     .name = THEIRS,
					     .family = AF_INET,
					     .type = SOCK_STREAM } };

	while (goes_on()) {
		int via = client_open(path);

		if (via < 0) {
			count(via);
			continue;
		}
		fcntl(via, F_SETFL, O_NONBLOCK);
		for (int i = 0; i < 2000; i++) {
			struct pollfd poll_fd = { .fd = via, .events = POLLOUT };

			ask.ask.op = 1 + (uint32_t)i % 3;
			count(client_send(via, &ask, NULL, 0));
			if (poll(&poll_fd, 1, 5) == 0)
				break;
		}
		close(via);
	}
}

static int odd_descriptor(int i)
{
	static int pair[2], pipes[2];

	switch (i % 14) {
	case 0:
		return pipe(pipes) == 0 ? pipes[0] : -1;
	case 1:
		return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case 2:
		return socket(AF_UNIX, SOCK_STREAM, 0);
	case 3:
		return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0 ? pair[0] : -1;
	case 4:
		return epoll_create1(0);
	case 5:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 6:
		return open("/etc/passwd", O_PATH | O_CLOEXEC);
	case 7:
		return memfd_create("odd", 0);
	case 8:
		return socket(AF_NETLINK, SOCK_RAW, 0);
	case 9:
		return socket(AF_INET, SOCK_DGRAM, 0);
	case 10:
		return socket(AF_INET6, SOCK_STREAM, 0);
	case 11:
		return eventfd(0, 0);
	case 12:
		return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	default:
		return client_connect(path); /* a connection to graftd itself */
	}
}

/* What is to be replaced, answered to or filled is anything but what it should be. */
static void wrong_descriptors(void)
{
	for (int i = 0; goes_on(); i++) {
		int via = client_open(path), odd = odd_descriptor(i), fds[3], beside = -1;
		struct wire_message message = { .type = i % 5 == 4 ? WIRE_ASK_SUPPLY
								   : WIRE_ASK };

		if (via < 0 || odd < 0) {
			count(-1);
			close(via);
			continue;
		}
		message.ask = (struct wire_ask){ .op = 1 + (uint32_t)(i / 14) % 3,
						 .name = THEIRS,
						 .family = i % 3 ? AF_INET : AF_INET6,
						 .type = SOCK_STREAM,
						 .flags = (uint32_t)(i / 7) % 4 };
		fds[0] = fds[1] = fds[2] = odd;
		count(client_send(via, &message, fds, 1 + (size_t)(i / 3) % 3));
		client_receive(via, &message, &beside, 20);
		if (beside >= 0)
			close(beside);
		close(odd);
		close(via);
	}
}

/* Supplies that nobody takes from, and ends that are closed while they are filled. */
static void supplies(void)
{
	while (goes_on()) {
		int via = client_open(path), pair[2], beside = -1;
		struct wire_message message = { .type = WIRE_ASK_SUPPLY };

		for (int i = 0; via >= 0 && i < 50; i++) {
			if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
				break;
			message.type = WIRE_ASK_SUPPLY;
			message.ask = (struct wire_ask){ .op = WIRE_OP_CONNECT,
							 .name = THEIRS,
							 .family = AF_INET,
							 .type = SOCK_STREAM };
			count(client_send(via, &message, &pair[1], 1));
			close(pair[1]);
			if (i % 2)
				close(pair[0]);
			client_receive(via, &message, &beside, 5);
			if (beside >= 0)
				close(beside);
		}
		closefrom(3);
	}
}

/* Endpoints without end. */
static void endpoints(void)
{
	int via = client_open(path);
	char line[128];

	for (unsigned long i = 0; goes_on(); i++) {
		snprintf(line, sizeof(line), "flood-%lu ipv4 127.0.0.1:dynamic", i);
		count(client_add(via, line));
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} kinds[] = {
	{ "garbage", garbage },
	{ "halves", halves },
	{ "descriptors", descriptors },
	{ "deaf", deaf },
	{ "idle", idle },
	{ "flood", flood },
	{ "wrong_descriptors", wrong_descriptors },
	{ "supplies", supplies },
	{ "endpoints", endpoints },
};

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
			puts(kinds[i].name);
		return 0;
	}
	if (argc < 3)
		return 2;
	path = argv[1];
	if (!strcmp(argv[2], "good"))
		return good();
	if (!strcmp(argv[2], "crowd") && argc > 3)
		return crowd(atoi(argv[3]));
	end = seconds() + (argc > 3 ? atof(argv[3]) : 1);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(argv[2], kinds[i].name) != 0)
			continue;
		kinds[i].run();
		printf("%s: %lu sent, %lu refused\n", argv[2], n_done, n_refused);
		return 0;
	}
	return 2;
}
