/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libgraft through its public header alone: sockets on IPv4, IPv6 and UNIX endpoints, as
 * rules say and by name, here and in another network namespace.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <graft/graft.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct graft_policy *policy_of(const char *text)
{
	struct graft_policy *policy = graft_policy_new();
	char error[GRAFT_ERROR_SIZE] = "";

	if (graft_policy_add_text(policy, "p", text, strlen(text), error, sizeof(error)) <
		    0 ||
	    graft_policy_seal(policy, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	return policy;
}

static struct graft_call call_of(enum graft_op op, int type, const char *address,
				 uint16_t port)
{
	struct graft_call call = { .op = op, .family = AF_INET, .type = type };
	struct sockaddr_in *in = (struct sockaddr_in *)&call.address;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	assert_int_equal(inet_pton(AF_INET, address, &in->sin_addr), 1);
	return call;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 name; /* the port lies where sockaddr_in has it */
	socklen_t len = sizeof(name);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	return ntohs(name.sin6_port);
}

static void paths_are_refused(void **state)
{
	struct graft_policy *policy = graft_policy_new();
	static const char text[] = "connect unix * = deny\n";
	char error[GRAFT_ERROR_SIZE] = "";

	(void)state;
	assert_int_equal(graft_policy_add_text(policy, "p", text, strlen(text), error,
					       sizeof(error)),
			 0);
	assert_int_equal(graft_policy_seal(policy, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "p:1:1: UNIX paths are judged by the cgroup engine "
				      "alone"));
	graft_policy_free(policy);
}

static void assert_talk(int listener, int client)
{
	char byte = 'x';
	int server = accept(listener, NULL, NULL);

	assert_true(server >= 0);
	assert_int_equal(write(client, &byte, 1), 1);
	assert_int_equal(read(server, &byte, 1), 1);
	close(server);
	close(client);
	close(listener);
}

static void test_messages(void **state)
{
	struct graft_policy *policy = graft_policy_new();
	char error[GRAFT_ERROR_SIZE], *text;

	assert_int_equal(graft_policy_add_text(policy, "p", "bind", 4, error,
					       sizeof(error)),
			 -EINVAL);
	assert_string_equal(error,
			    "p:1:5: the protocol is missing; expected tcp, udp or any");
	assert_int_equal(graft_policy_add_publish(policy, "80:x", error, 8), -EINVAL);
	assert_string_equal(error, "-p 80:x");
	assert_int_equal(graft_policy_add_ingress(policy, "x", NULL, 0), -EINVAL);
	assert_int_equal(graft_policy_add_conv_pairs(policy, "x", NULL, 0), -EINVAL);
	assert_int_equal(graft_policy_add_egress(policy, "10.0.0.0/8=host", NULL, 0), 0);
	text = graft_policy_print(policy);
	assert_string_equal(text, "connect any 10.0.0.0/8 = host\n");
	free(text);
	graft_policy_free(policy);
	graft_policy_free(NULL);
}

static void test_judges(void **state)
{
	struct graft_policy *policy =
		policy_of("endpoint web ipv4 127.0.0.1:8080\n"
			  "bind tcp 0.0.0.0:80 = web\n"
			  "connect any 192.0.2.0/24 = deny:ENETUNREACH\n");
	struct graft_call call =
		call_of(GRAFT_BIND, SOCK_STREAM | SOCK_NONBLOCK, "0.0.0.0", 80);
	struct graft_verdict verdict;
	char text[256];

	assert_int_equal(graft_policy_resolve(policy, &call, &verdict), 0);
	assert_int_equal(verdict.target, GRAFT_ENDPOINT);
	assert_string_equal(verdict.endpoint, "web");
	assert_int_equal(verdict.address_len, sizeof(struct sockaddr_in));
	assert_int_equal(graft_policy_explain(policy, &call, text, sizeof(text)), 0);
	assert_string_equal(text,
			    "rule p:2 'bind tcp 0.0.0.0:80 = web' matches; the socket is "
			    "made in the host's stack and bound to 127.0.0.1:8080");
	call = call_of(GRAFT_CONNECT, SOCK_DGRAM, "192.0.2.7", 80);
	assert_int_equal(graft_socket(policy, &call), -ENETUNREACH);
	call.address.ss_family = AF_UNIX;
	assert_int_equal(graft_socket(policy, &call), -EINVAL);
	graft_policy_free(policy);
	policy = graft_policy_new();
	call = call_of(GRAFT_CONNECT, SOCK_DGRAM, "192.0.2.7", 80);
	assert_int_equal(graft_policy_resolve(policy, &call, &verdict), -EINVAL);
	assert_int_equal(graft_endpoint_socket(policy, "web", GRAFT_BIND, SOCK_STREAM, 0),
			 -EINVAL);
	graft_policy_free(policy);
}

static void test_dynamic_endpoint(void **state)
{
	struct graft_policy *policy =
		policy_of("endpoint d ipv4 127.0.0.1:dynamic\n"
			  "endpoint source ipv4 127.0.0.9:dynamic\n"
			  "bind tcp 0.0.0.0:80 = d\n"
			  "connect tcp 127.0.0.0/8 = from source\n");
	struct graft_call call = call_of(GRAFT_BIND, SOCK_STREAM, "0.0.0.0", 80);
	struct sockaddr_in peer = { 0 };
	socklen_t len = sizeof(peer);
	int listener = graft_socket(policy, &call), client;

	assert_true(listener >= 0);
	assert_true(fcntl(listener, F_GETFD) & FD_CLOEXEC);
	assert_int_not_equal(port_of(listener), 80);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(graft_endpoint_socket(policy, "d", GRAFT_CONNECT, SOCK_STREAM,
					       0),
			 -EADDRNOTAVAIL);
	call = call_of(GRAFT_CONNECT, SOCK_STREAM, "127.0.0.1", port_of(listener));
	client = graft_socket(policy, &call);
	assert_true(client >= 0);
	assert_int_equal(getsockname(client, (struct sockaddr *)&peer, &len), 0);
	assert_int_equal(ntohl(peer.sin_addr.s_addr), 0x7f000009);
	assert_talk(listener, client);
	graft_policy_free(policy);
}

static void test_fixed_endpoint_by_name(void **state)
{
	struct graft_policy *policy = policy_of("endpoint d ipv6 [::]:dynamic\n");
	int listener = graft_endpoint_socket(policy, "d", GRAFT_BIND, SOCK_STREAM, 0),
	    client;
	char text[64];

	if (listener == -EAFNOSUPPORT)
		skip();
	assert_true(listener >= 0);
	assert_int_equal(listen(listener, 1), 0);
	graft_policy_free(policy);
	snprintf(text, sizeof(text), "endpoint d ipv6 [::]:%u\n", port_of(listener));
	policy = policy_of(text);
	/* The wildcard means loopback to whoever connects. */
	client = graft_endpoint_socket(policy, "d", GRAFT_CONNECT, SOCK_STREAM, 0);
	assert_true(client >= 0);
	assert_talk(listener, client);
	assert_int_equal(graft_endpoint_socket(policy, "no", GRAFT_BIND, SOCK_STREAM, 0),
			 -ENOENT);
	graft_policy_free(policy);
}

static void unix_round_trip(const char *path)
{
	struct graft_policy *policy;
	struct graft_call call = call_of(GRAFT_CONNECT, SOCK_STREAM, "10.1.2.3", 6379);
	char text[256];
	int listener, client;

	snprintf(text, sizeof(text),
		 "endpoint u unix %s\nconnect tcp 10.1.2.3:6379 = u\n", path);
	policy = policy_of(text);
	assert_true(graft_socket(policy, &call) < 0);
	listener = graft_endpoint_socket(policy, "u", GRAFT_BIND, SOCK_STREAM, 0);
	assert_true(listener >= 0);
	assert_int_equal(listen(listener, 1), 0);
	client = graft_socket(policy, &call);
	assert_true(client >= 0);
	assert_talk(listener, client);
	graft_policy_free(policy);
}

static void test_unix_endpoints(void **state)
{
	char folder[] = "/tmp/graft-lib-XXXXXX", path[64];

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	unix_round_trip(path);
	unlink(path);
	rmdir(folder);
	snprintf(path, sizeof(path), "@graft-lib-%d", (int)getpid());
	unix_round_trip(path);
}

/* A child in a namespace of its own, alive until the pipe closes. */
static pid_t start_child(int ready, const int leave[2])
{
	pid_t pid = fork();
	char byte;

	if (pid != 0)
		return pid;
	close(leave[1]);
	byte = unshare(CLONE_NEWNET) == 0;
	if (write(ready, &byte, 1) == 1 && byte && read(leave[0], &byte, 1) < 0)
		_exit(1);
	_exit(0);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len), 0);
	return cookie;
}

static void test_other_namespace(void **state)
{
	struct graft_policy *policy;
	int ready[2], leave[2], there, here;
	char text[128], byte = 0;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(leave, O_CLOEXEC), 0);
	pid = start_child(ready[1], leave);
	assert_true(pid > 0);
	close(leave[0]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	if (byte) {
		snprintf(text, sizeof(text),
			 "endpoint n ipv4 0.0.0.0:dynamic netns %d\n"
			 "endpoint gone ipv4 0.0.0.0:1 netns /nowhere/net\n",
			 (int)pid);
		policy = policy_of(text);
		there = graft_endpoint_socket(policy, "n", GRAFT_BIND, SOCK_DGRAM, 0);
		here = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_true(there >= 0);
		assert_true(cookie_of(there) != cookie_of(here));
		assert_int_equal(graft_endpoint_socket(policy, "gone", GRAFT_BIND,
						       SOCK_DGRAM, 0),
				 -ENOENT);
		close(there);
		close(here);
		graft_policy_free(policy);
	}
	close(leave[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	if (!byte)
		skip(); /* takes CAP_SYS_ADMIN */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_refused),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_judges),
		cmocka_unit_test(test_dynamic_endpoint),
		cmocka_unit_test(test_fixed_endpoint_by_name),
		cmocka_unit_test(test_unix_endpoints),
		cmocka_unit_test(test_other_namespace),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
