/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may add, delete and use. */
#include <sched.h>

#include "native.h"

#define ALICE 1000

static struct endpoint low = {
	.name = "low", .family = AF_INET, .address = "127.0.0.1", .port = 81, .uid = -1
};

static int bind_low(void *argument)
{
	become(ALICE);
	return (int)-rc(bind_name(graft(SOCK_STREAM), argument));
}

static void ports(void)
{
	int fd = graft(SOCK_STREAM);

	low.netns = host_netns;
	want(0, add(&low));
	want(EACCES, in_child(bind_low, "low"));
	low.name = "low-alice";
	low.has_rule = true;
	low.uid = ALICE;
	want(0, add(&low));
	want(0, in_child(bind_low, "low-alice"));
	low.name = "low-bob";
	low.uid = ALICE + 1;
	want(0, add(&low));
	want(EACCES, in_child(bind_low, "low-bob"));
	want_rc(0, bind_name(fd, "low-bob"));
	close(fd);
	low.name = "low-any";
	low.uid = -1;
	want(0, add(&low));
	want(0, in_child(bind_low, "low-any"));
	low.name = "low-connect";
	low.uses = GRAFT_USE_CONNECT;
	want(0, add(&low));
	want(EACCES, in_child(bind_low, "low-connect"));
}

static int connect_as(void *argument)
{
	become(ALICE);
	return (int)-rc(connect_name(graft(SOCK_STREAM), argument));
}

static void connecting(void)
{
	int server = plain_listen(host_netns, 0);
	struct endpoint ep = { .name = "open",
			       .family = AF_INET,
			       .address = "127.0.0.1",
			       .port = port_of(server),
			       .netns = host_netns,
			       .uid = -1 };

	want(0, add(&ep));
	want(0, in_child(connect_as, "open"));
	ep.name = "closed";
	ep.has_rule = true;
	ep.uid = ALICE + 1;
	want(0, add(&ep));
	want(EACCES, in_child(connect_as, "closed"));
	ep.name = "binders";
	ep.uses = GRAFT_USE_BIND;
	want(0, add(&ep));
	want(0, in_child(connect_as, "binders"));
}

static int add_as_alice(void *argument)
{
	const struct endpoint ep = { .name = "mine", .family = AF_INET, .netns = -1 };

	(void)argument;
	become(ALICE);
	want(-EPERM, del("there"));
	want(-EPERM, add(&ep));
	return 0;
}

/* Root of a user namespace rules the network namespace it makes, and no other. */
static int in_userns(void *argument)
{
	struct endpoint ep = { .name = "mine", .family = AF_INET, .netns = -1 };
	int fd;

	(void)argument;
	become(ALICE);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return 77;
	want(0, add(&ep));
	fd = graft(SOCK_STREAM);
	want_rc(0, bind_name(fd, "mine"));
	ep.name = "hosts";
	ep.netns = host_netns;
	want(-EPERM, add(&ep));
	ep.netns = box_netns;
	want(-EPERM, add(&ep));
	want(0, del("mine"));
	/* Its sockets obey the limits of the namespace they are in. */
	return 0;
}

static void adding(void)
{
	add_host("there", 0);
	want(0, in_child(add_as_alice, NULL));
	want(true, in_child(in_userns, NULL) != 1);
	want(-EEXIST, add(&(struct endpoint){
			      .name = "there", .family = AF_INET, .netns = host_netns }));
	want(0, del("there"));
	want(-ENOENT, del("there"));
}

/* Those of the host's own table are for others if a rule says so. */
static void from_elsewhere(void)
{
	struct endpoint ep = { .name = "hosts-own",
			       .family = AF_INET,
			       .netns = -1,
			       .address = "127.0.0.1",
			       .uid = -1 };

	enter(host_netns);
	want(0, add(&ep));
	ep.name = "hosts-any";
	ep.has_rule = true;
	want(0, add(&ep));
	enter(box_netns);
	want_rc(-ENOENT, bind_name(graft(SOCK_STREAM), "hosts-own"));
	want_rc(0, bind_name(graft(SOCK_STREAM), "hosts-any"));
	want(0, in_child(bind_low, "hosts-any"));
	/* One's own goes first. */
	add_kind("hosts-any", AF_INET6, "::1", 0, -1);
	want(0, in_child(bind_low, "hosts-any"));
	enter(host_netns);
	want(0, del("hosts-own"));
	want(0, del("hosts-any"));
}

const struct test_case authority_cases[] = {
	{ "authority.ports", "11.46", "low ports by a rule, and not without", ports },
	{ "authority.connecting", "11.46, 11.47", "who may connect", connecting },
	{ "authority.adding", "11.46", "who may add and delete", adding },
	{ "authority.from_elsewhere", "11.46",
	  "the host's endpoints in another namespace", from_elsewhere },
};
const size_t n_authority_cases = ARRAY_SIZE(authority_cases);
