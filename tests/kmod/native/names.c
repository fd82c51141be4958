/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses: names of every length, where they lead, what sockets are called. */
#include <arpa/inet.h>
#include <net/if.h>
#include <pthread.h>

#include "native.h"

static void bind_lengths(void)
{
	union {
		struct sockaddr_gr gr;
		char bytes[4096];
	} address = { .gr = gr("ep") };

	add_host("ep", 0);
	for (int len = 0; len <= 200; len++) {
		int fd = graft(SOCK_STREAM);
		int wanted = len < (int)sizeof(address.gr)                ? -EINVAL
			     : len > (int)sizeof(struct sockaddr_storage) ? -EINVAL
									  : 0;

		want_rc(wanted, bind(fd, (struct sockaddr *)&address, (socklen_t)len));
		close(fd);
	}
	want_rc(-EINVAL, bind(graft(SOCK_STREAM), (struct sockaddr *)&address, 4096));
	want_rc(-EINVAL,
		bind(graft(SOCK_STREAM), (struct sockaddr *)&address, (socklen_t)-1));
}

static void bind_twice(void)
{
	int fd = graft(SOCK_STREAM);
	uint16_t port;

	add_host("ep", 0);
	add_host("ep2", 0);
	want_rc(0, bind_name(fd, "ep"));
	port = port_of(fd);
	want_rc(-EINVAL, bind_name(fd, "ep"));
	want_rc(-EINVAL, bind_name(fd, "ep2"));
	want(port, port_of(fd));
}

static void bind_others(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	char zeros[18] = { 0 };
	int fd = graft(SOCK_STREAM);

	want_rc(-EAFNOSUPPORT, bind(fd, (struct sockaddr *)zeros, sizeof(zeros)));
	want_rc(-EINVAL, bind(fd, (struct sockaddr *)&in, sizeof(in)));
	want_rc(-ENOENT, bind_name(fd, "none"));
	want_rc(-EINVAL, bind_name(fd, ""));
	add_host("ep", 0);
	want_rc(0, bind_name(fd, "ep"));
	want_rc(-EINVAL, bind(fd, (struct sockaddr *)&in, sizeof(in)));
}

#define N_RACERS 8

struct race {
	int fd, n_bound, n_refused;
	pthread_barrier_t barrier;
};

static void *racer(void *argument)
{
	struct race *race = argument;

	pthread_barrier_wait(&race->barrier);
	if (bind_name(race->fd, "ep") == 0)
		__atomic_fetch_add(&race->n_bound, 1, __ATOMIC_RELAXED);
	else if (errno == EINVAL)
		__atomic_fetch_add(&race->n_refused, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void bind_race(void)
{
	add_host("ep", 0);
	for (int i = 0; i < 50; i++) {
		struct race race = { .fd = graft(SOCK_STREAM) };
		pthread_t threads[N_RACERS];

		pthread_barrier_init(&race.barrier, NULL, N_RACERS);
		for (int j = 0; j < N_RACERS; j++)
			need(pthread_create(&threads[j], NULL, racer, &race) == 0);
		for (int j = 0; j < N_RACERS; j++)
			pthread_join(threads[j], NULL);
		want(1, race.n_bound);
		want(N_RACERS - 1, race.n_refused);
		close(race.fd);
	}
}

static void name_lengths(void)
{
	static const char *const names[] = { "a", "fifteen-letters", "sixteen-letters-" };
	struct sockaddr_gr address;
	socklen_t len = sizeof(address);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int fd = graft(SOCK_STREAM);

		add_host(names[i], 0);
		want_rc(0, bind_name(fd, names[i]));
		want_rc(0, getsockname(fd, (struct sockaddr *)&address, &len));
		want(sizeof(address), len);
		want(0,
		     strncmp(address.sgr_epname, names[i], sizeof(address.sgr_epname)));
		/* What follows the NUL does not count. */
		if (strlen(names[i]) < 16) {
			fd = graft(SOCK_STREAM);
			address = gr(names[i]);
			memset(address.sgr_epname + strlen(names[i]) + 1, 'x',
			       15 - strlen(names[i]));
			want_rc(0,
				bind(fd, (struct sockaddr *)&address, sizeof(address)));
		}
	}
	want(-EINVAL, add(&(struct endpoint){ .name = "seventeen-letters",
					      .family = AF_INET,
					      .netns = host_netns }) == 0
			      ? 0
			      : -EINVAL);
}

static void names(void)
{
	struct sockaddr_gr address;
	struct sockaddr_in in;
	socklen_t len = sizeof(address);
	int fd = graft(SOCK_STREAM), peer, other;

	want_rc(0, getsockname(fd, (struct sockaddr *)&address, &len));
	want(sizeof(address), len);
	want(af_graft, address.sgr_family);
	want(0, address.sgr_epname[0]);
	want_rc(-ENOTCONN, getpeername(fd, (struct sockaddr *)&address, &len));
	add_host("ep", 0);
	want_rc(0, bind_name(fd, "ep"));
	want_rc(0, listen(fd, 1));
	len = sizeof(address);
	want_rc(0, getsockname(fd, (struct sockaddr *)&address, &len));
	want(0, strcmp(address.sgr_epname, "ep"));
	want_rc(-ENOTCONN, getpeername(fd, (struct sockaddr *)&address, &len));
	peer = graft(SOCK_STREAM);
	want_rc(0, connect_name(peer, "ep"));
	len = sizeof(in);
	want_rc(0, getpeername(peer, (struct sockaddr *)&in, &len));
	want(port_of(fd), ntohs(in.sin_port));
	other = accept(fd, NULL, NULL);
	want(true, exchange(peer, other));
	/* What is accepted is a plain socket. */
	len = sizeof(in);
	want_rc(0, getsockname(other, (struct sockaddr *)&in, &len));
	want(AF_INET, in.sin_family);
	want(-ENOPROTOOPT,
	     get_int(other, IPPROTO_GRAFT, GRAFT_SO_DELAYED) == 0 ? 0 : -ENOPROTOOPT);
}

static void dynamic(void)
{
	int first = graft(SOCK_STREAM), second = graft(SOCK_STREAM), fd, other;

	add_host("dyn", 0);
	want_rc(-ECONNREFUSED, connect_name(graft(SOCK_STREAM), "dyn"));
	need(bind_name(first, "dyn") == 0 && listen(first, 4) == 0);
	need(bind_name(second, "dyn") == 0 && listen(second, 4) == 0);
	fd = graft(SOCK_STREAM);
	want_rc(0, connect_name(fd, "dyn"));
	other = accept(second, NULL, NULL);
	want(true, exchange(fd, other));
	close(second);
	fd = graft(SOCK_STREAM);
	want_rc(0, connect_name(fd, "dyn"));
	other = accept(first, NULL, NULL);
	want(true, exchange(fd, other));
	close(first);
	want_rc(-ECONNREFUSED, connect_name(graft(SOCK_STREAM), "dyn"));
}

static void other_netns(void)
{
	int server = plain_listen(host_netns, 0), fd = graft(SOCK_STREAM);

	add_host("there", port_of(server));
	add_kind("here", AF_INET, "127.0.0.1", 0, box_netns);
	want_rc(0, connect_name(fd, "there"));
	want(true, exchange(fd, accept(server, NULL, NULL)));
	fd = graft(SOCK_STREAM);
	need(bind_name(fd, "here") == 0);
	want_rc(-ENETUNREACH, connect_name(fd, "there"));
	fd = graft(SOCK_STREAM);
	want_rc(-ENOENT, connect_name(fd, "none"));
}

static void send_to_names(void)
{
	int server = graft(SOCK_DGRAM), fd = graft(SOCK_DGRAM), late = graft(SOCK_DGRAM);
	struct sockaddr_gr to = gr("udp");
	char byte;

	add_host("udp", 0);
	add_host("source", 0);
	need(bind_name(server, "udp") == 0 && bind_name(fd, "source") == 0);
	want_rc(1, sendto(fd, "a", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	want_rc(1, recv(server, &byte, 1, 0));
	want('a', byte);
	/* One that was not bound goes where the name leads. */
	want_rc(1, sendto(late, "b", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	want_rc(1, recv(server, &byte, 1, 0));
	want('b', byte);
	want_rc(0, connect_name(fd, "udp"));
	want_rc(1, send(fd, "c", 1, 0));
	want_rc(1, recv(server, &byte, 1, 0));
	want('c', byte);
	want_rc(-EINVAL, sendto(fd, "d", 1, 0, (struct sockaddr *)&to, 10));
	to = gr("none");
	want_rc(-ENOENT, sendto(fd, "d", 1, 0, (struct sockaddr *)&to, sizeof(to)));
}

static void default_source(void)
{
	int server = plain_listen(host_netns, 0), fd = graft(SOCK_STREAM);
	uint16_t port = port_of(server);

	/* Without one it is a socket of the caller's own namespace. */
	want_rc(-ECONNREFUSED, connect_inet(fd, "127.0.0.1", port));
	want(AF_INET, get_int(fd, SOL_SOCKET, SO_DOMAIN));
	add_host(GRAFT_DEFAULT_SOURCE, 0);
	fd = graft(SOCK_STREAM);
	want_rc(0, connect_inet(fd, "127.0.0.1", port));
	want(true, exchange(fd, accept(server, NULL, NULL)));
	want_rc(0, del(GRAFT_DEFAULT_SOURCE));
	fd = graft(SOCK_STREAM);
	want_rc(-ECONNREFUSED, connect_inet(fd, "127.0.0.1", port));
}

/* fe80::1%lo in the host's namespace would do, but it must leave that as it was. */
static void scopes(void)
{
	struct sockaddr_in6 in6;
	socklen_t len = sizeof(in6);
	int fd = graft(SOCK_STREAM);
	struct endpoint ep = { .name = "ll",
			       .family = AF_INET6,
			       .address = "fe80::1234",
			       .netns = box_netns,
			       .scope = 1 };

	if (system("ip addr add fe80::1234/64 dev lo") != 0)
		skip("no ip");
	want(0, add(&ep));
	want_rc(0, bind_name(fd, "ll"));
	set_int(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, 1);
	want_rc(0, getsockname(fd, (struct sockaddr *)&in6, &len));
	want(1, in6.sin6_scope_id);
	want_rc(0, listen(fd, 1));
	want_rc(0, connect_name(graft(SOCK_STREAM), "ll"));
	ep.name = "ll-none";
	ep.scope = 0;
	if (add(&ep) == 0)
		want_rc(-EINVAL, bind_name(graft(SOCK_STREAM), "ll-none"));
}

const struct test_case names_cases[] = {
	{ "names.bind_lengths", "11.1", "bind() with an address of every length",
	  bind_lengths },
	{ "names.bind_twice", "11.2", "a bound socket is not bound again", bind_twice },
	{ "names.bind_others", "11.19", "other families, names that are none",
	  bind_others },
	{ "names.bind_race", "11.3", "of threads that bind one socket one does",
	  bind_race },
	{ "names.name_lengths", "11.5", "names of 1, 15 and 16 characters",
	  name_lengths },
	{ "names.names", "11.16, 11.31", "getsockname(), getpeername() at every stage",
	  names },
	{ "names.dynamic", "11.11", "a dynamic endpoint is where its newest binder is",
	  dynamic },
	{ "names.other_netns", "11.6", "a name leads into its own namespace",
	  other_netns },
	{ "names.send_to_names", "11.7", "sendto() to names", send_to_names },
	{ "names.default_source", "11.17, 11.19", "with and without default-source",
	  default_source },
	{ "names.scopes", "11.8", "link-local endpoints have a scope", scopes },
};
const size_t n_names_cases = ARRAY_SIZE(names_cases);
