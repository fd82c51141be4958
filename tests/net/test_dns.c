/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DNS forwarder between two network namespaces of our own.
 *
 *	"program": thread, own netns          "host": the other threads
 *
 *	client ──> 10.53.0.1:53 ─┐        ┌──> 10.53.0.1:53  fake server (thread)
 *	           127.0.0.53:53 ├ forwarder ─> 127.0.0.53:53
 *	           [fd53::1]:53 ─┘ (main thread) [fd53::1]:53
 *
 * The fake server does what the third byte of a query says: 'A' answer the bytes
 * reversed, 'T' the same on UDP with only the header ("truncated"), anything else: stay
 * silent. Over TCP it sends back what it gets, and end of file at end of file; 'Q' as the
 * first byte makes it close at once. The forwarder's time limits are short in this build.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/event.h"
#include "base/fd.h"
#include "run/dns.h"

#define SERVERS 3
#define WAIT_MS 10000

static struct dns_server servers[DNS_SERVERS_MAX];
static int server_fds[DNS_SERVERS_MAX][2];
static int client_fds[DNS_SERVERS_MAX][2];
static struct dns *dns;
static struct event_loop loop;
static atomic_size_t n_queries, n_streams, n_silent;
static atomic_bool stop;

static void write_file(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		perror(path);
}

static void lo_up(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
}

static int serve_udp(int fd)
{
	char query[4096], answer[4096];
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(fd, query, sizeof(query), MSG_DONTWAIT,
			     (struct sockaddr *)&from, &len);

	if (n < 12)
		return n < 0 ? -1 : 0;
	for (ssize_t i = 0; i < n; i++)
		answer[i] = query[n - 1 - i];
	if (query[2] == 'T')
		n = 12;
	if (query[2] == 'A' || query[2] == 'T')
		sendto(fd, answer, (size_t)n, 0, (struct sockaddr *)&from, len);
	else
		atomic_fetch_add(&n_silent, 1);
	return 0;
}

static void *serve_stream(void *argument)
{
	int fd = (int)(intptr_t)argument;
	char data[4096];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0)
		if (data[0] == 'Q' || fd_write_all(fd, data, (size_t)n) < 0)
			break;
	close(fd);
	return NULL;
}

static void *serve(void *unused)
{
	while (!atomic_load(&stop)) {
		struct pollfd fds[SERVERS * 2];

		for (int i = 0; i < SERVERS * 2; i++)
			fds[i] = (struct pollfd){ server_fds[i / 2][i % 2], POLLIN, 0 };
		poll(fds, SERVERS * 2, 50);
		for (int i = 0; i < SERVERS; i++) {
			pthread_t thread;
			int fd;

			while (serve_udp(server_fds[i][0]) == 0)
				;
			fd = accept4(server_fds[i][1], NULL, NULL, SOCK_CLOEXEC);
			if (fd < 0)
				continue;
			pthread_create(&thread, NULL, serve_stream, (void *)(intptr_t)fd);
			pthread_detach(thread);
		}
	}
	return NULL;
}

static void *forward(void *unused)
{
	while (!atomic_load(&stop)) {
		event_loop_run_once(&loop, 20);
		atomic_store(&n_queries, dns_n_queries(dns));
		atomic_store(&n_streams, dns_n_streams(dns));
	}
	return NULL;
}

/* Waits until @value is @wanted or WAIT_MS have passed. */
static void wait_for(atomic_size_t *value, size_t wanted)
{
	for (int i = 0; i < WAIT_MS / 5 && atomic_load(value) != wanted; i++)
		poll(NULL, 0, 5);
	assert_int_equal(atomic_load(value), wanted);
}

static int client(int server, int type)
{
	const struct timeval wait = { .tv_sec = WAIT_MS / 1000 };
	int fd = socket(servers[server].address.ss_family, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	assert_int_equal(connect(fd, (struct sockaddr *)&servers[server].address,
				 servers[server].len),
			 0);
	return fd;
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

static size_t rss_kb(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/statm", "re");
	unsigned long total, resident;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &total, &resident), 2);
	return resident * (unsigned long)getpagesize() / 1024;
}

/* The connected socket also proves that the answer's source is ADDR:53. */
static void test_thousand_queries(void **state)
{
	int fds[SERVERS][10];
	char query[40] = "..A", answer[64];

	for (int i = 0; i < SERVERS * 10; i++)
		fds[i / 10][i % 10] = client(i / 10, SOCK_DGRAM);
	for (int round = 0; round < 34; round++) {
		for (int i = 0; i < SERVERS * 10; i++) {
			memcpy(query + 4, &(int[]){ round, i }, 2 * sizeof(int));
			assert_int_equal(send(fds[i / 10][i % 10], query, sizeof(query),
					      0),
					 sizeof(query));
		}
		for (int i = 0; i < SERVERS * 10; i++) {
			assert_int_equal(recv(fds[i / 10][i % 10], answer, sizeof(answer),
					      0),
					 sizeof(query));
			memcpy(query + 4, &(int[]){ round, i }, 2 * sizeof(int));
			for (size_t j = 0; j < sizeof(query); j++)
				assert_int_equal(answer[j], query[sizeof(query) - 1 - j]);
		}
	}
	for (int i = 0; i < SERVERS * 10; i++)
		close(fds[i / 10][i % 10]);
	wait_for(&n_queries, 0);
}

/* Two queries from one port, the first never answered, as getaddrinfo() may see it. */
static void test_silent_query_does_not_block(void **state)
{
	_cleanup_fd_ int fd = client(0, SOCK_DGRAM);
	char answer[64];

	assert_int_equal(send(fd, "..S.........1", 13, 0), 13);
	assert_int_equal(send(fd, "..A.........2", 13, 0), 13);
	assert_int_equal(recv(fd, answer, sizeof(answer), 0), 13);
	assert_int_equal(answer[0], '2');
	wait_for(&n_queries, 0); /* given up after its time */
}

static void test_too_short(void **state)
{
	_cleanup_fd_ int fd = client(0, SOCK_DGRAM);
	char answer[64];

	send(fd, "", 0, 0);
	send(fd, "..A", 3, 0);
	send(fd, "..A........", 11, 0);
	assert_int_equal(send(fd, "..A.........", 12, 0), 12);
	assert_int_equal(recv(fd, answer, sizeof(answer), 0), 12);
	assert_int_equal(recv(fd, answer, sizeof(answer), MSG_DONTWAIT), -1);
}

static void test_flood(void **state)
{
	_cleanup_fd_ int fd = client(0, SOCK_DGRAM);
	size_t fds_before = count_fds(), rss_before = rss_kb(), most = 0;
	char answer[64];

	for (int i = 0; i < 10000; i++) {
		assert_int_equal(send(fd, "..S.........", 12, 0), 12);
		if (i % 16 == 0)
			sched_yield();
		if (i % 500 == 0 && count_fds() > most)
			most = count_fds();
	}
	print_message("flood: %zu descriptors at most over %zu, RSS %zu -> %zu kB\n",
		      most - fds_before, fds_before, rss_before, rss_kb());
	assert_true(most <= fds_before + 256 + 2);
	assert_true(rss_kb() <= rss_before + 1024);
	assert_true(atomic_load(&n_queries) <= 256);
	/* Still served. */
	for (int tries = 0; tries < 100; tries++) {
		struct pollfd ready = { fd, POLLIN, 0 };

		send(fd, "..A.........", 12, 0);
		if (poll(&ready, 1, 100) == 1)
			break;
	}
	assert_int_equal(recv(fd, answer, sizeof(answer), MSG_DONTWAIT), 12);
	wait_for(&n_queries, 0);
	assert_true(count_fds() <= fds_before + 1);
}

/* A truncated answer, then the same over TCP, in pieces, both ends closing their half. */
static void test_tcp_fallback(void **state)
{
	for (int server = 0; server < SERVERS; server++) {
		_cleanup_fd_ int udp = client(server, SOCK_DGRAM);
		_cleanup_fd_ int tcp = client(server, SOCK_STREAM);
		char sent[60000], got[60000];

		assert_int_equal(send(udp, "..T.............", 16, 0), 16);
		assert_int_equal(recv(udp, got, sizeof(got), 0), 12);
		for (size_t i = 0; i < sizeof(sent); i++)
			sent[i] = (char)('a' + i % 23);
		assert_int_equal(fd_write_all(tcp, sent, 7), 7);
		assert_int_equal(fd_read_all(tcp, got, 7), 7);
		assert_int_equal(fd_write_all(tcp, sent + 7, sizeof(sent) - 7),
				 sizeof(sent) - 7);
		assert_int_equal(shutdown(tcp, SHUT_WR), 0);
		assert_int_equal(fd_read_all(tcp, got + 7, sizeof(got) - 7),
				 sizeof(got) - 7);
		assert_memory_equal(sent, got, sizeof(sent));
		assert_int_equal(read(tcp, got, 1), 0);
	}
	wait_for(&n_streams, 0);
}

static void test_tcp_server_closes(void **state)
{
	_cleanup_fd_ int tcp = client(0, SOCK_STREAM);
	char got[16];

	assert_int_equal(fd_write_all(tcp, "Q", 1), 1);
	assert_true(read(tcp, got, sizeof(got)) <= 0);
	close(fd_steal(&tcp));
	wait_for(&n_streams, 0);
}

/* Clients that hold connections open, and one that never reads what it asked for. */
static void test_tcp_greedy(void **state)
{
	size_t fds_before = count_fds();
	int idle[60];
	_cleanup_fd_ int deaf = client(0, SOCK_STREAM), good = -1;
	char block[4096] = "x", got[8];

	fcntl(deaf, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 2000; i++)
		if (send(deaf, block, sizeof(block), MSG_NOSIGNAL) < 0)
			break;
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
		idle[i] = client(0, SOCK_STREAM);
	good = client(1, SOCK_STREAM);
	assert_int_equal(fd_write_all(good, "hello", 5), 5);
	assert_int_equal(fd_read_all(good, got, 5), 5);
	assert_true(atomic_load(&n_streams) <= 32);
	close(fd_steal(&good));
	wait_for(&n_streams, 0); /* idle ones end by themselves */
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
		close(idle[i]);
	close(fd_steal(&deaf));
	for (int i = 0; i < 1000 && count_fds() > fds_before; i++)
		poll(NULL, 0, 5);
	assert_true(count_fds() <= fds_before);
}

/* No server upstream: UDP stays silent, TCP ends, nothing stays behind. */
static void test_dead_upstream(void **state)
{
	_cleanup_fd_ int udp = client(3 - 1, SOCK_DGRAM), tcp = -1;
	char got[8];

	server_fds[2][0] = fd_close(server_fds[2][0]);
	server_fds[2][1] = fd_close(server_fds[2][1]);
	assert_int_equal(send(udp, "..A.........", 12, 0), 12);
	wait_for(&n_queries, 0);
	assert_int_equal(recv(udp, got, sizeof(got), MSG_DONTWAIT), -1);
	tcp = client(2, SOCK_STREAM);
	assert_true(read(tcp, got, sizeof(got)) <= 0);
	wait_for(&n_streams, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_thousand_queries),
	cmocka_unit_test(test_silent_query_does_not_block),
	cmocka_unit_test(test_too_short),
	cmocka_unit_test(test_flood),
	cmocka_unit_test(test_tcp_fallback),
	cmocka_unit_test(test_tcp_server_closes),
	cmocka_unit_test(test_tcp_greedy),
	cmocka_unit_test(test_dead_upstream),
};

static int opened = -1; /* eventfd: the program's sockets are there */
static int go = -1;     /* eventfd: they are being served */
static int result;

static void *program(void *unused)
{
	uint64_t one = 1;

	if (unshare(CLONE_NEWNET) < 0) {
		perror("unshare");
		exit(1);
	}
	lo_up();
	result = dns_open(servers, SERVERS, client_fds);
	if (result < 0 || write(opened, &one, sizeof(one)) < 0 ||
	    read(go, &one, sizeof(one)) < 0)
		exit(1);
	result = cmocka_run_group_tests(tests, NULL, NULL);
	return NULL;
}

static int enter_namespaces(void)
{
	char map[64];
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	write_file("/proc/self/gid_map", map);
	return 0;
}

int main(void)
{
	static const char resolv[] =
		"nameserver 10.53.0.1\nnameserver 127.0.0.53\nnameserver fd53::1\n";
	pthread_t threads[3];
	uint64_t one = 1;
	int r = enter_namespaces();

	if (r < 0) {
		printf("SKIP: no user and network namespaces here: %s\n", strerror(-r));
		return 77;
	}
	lo_up();
	/* One arena: the flood test watches memory. */
	mallopt(M_ARENA_MAX, 1);
	if (dns_parse_resolv(resolv, sizeof(resolv) - 1, servers) != SERVERS ||
	    dns_open(servers, SERVERS, server_fds) < 0) {
		perror("servers");
		return 1;
	}
	if (server_fds[2][0] < 0) {
		printf("SKIP: no IPv6 here\n");
		return 77;
	}
	opened = eventfd(0, EFD_CLOEXEC);
	go = eventfd(0, EFD_CLOEXEC);
	pthread_create(&threads[0], NULL, program, NULL);
	if (read(opened, &one, sizeof(one)) < 0 || event_loop_init(&loop) < 0 ||
	    dns_new(&dns, servers, (const int(*)[2])client_fds, SERVERS) < 0 ||
	    dns_attach(dns, &loop) < 0)
		return 1;
	pthread_create(&threads[1], NULL, serve, NULL);
	pthread_create(&threads[2], NULL, forward, NULL);
	if (write(go, &one, sizeof(one)) < 0)
		return 1;
	pthread_join(threads[0], NULL);
	atomic_store(&stop, true);
	pthread_join(threads[1], NULL);
	pthread_join(threads[2], NULL);
	dns_free(dns);
	event_loop_deinit(&loop);
	return result;
}
