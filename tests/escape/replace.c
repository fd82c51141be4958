/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens when the policy is replaced. The runner does so when an attempt prints
 * "replace CGROUP" (once) or "swap CGROUP" (in turn until the attempt has ended). The
 * two policies of a swap, by address:
 *
 *			a			b
 *	10.77.0.81	goes to port 7704	ENETDOWN
 *	10.77.0.82	EHOSTDOWN		goes to port 7705
 *	10.77.0.66	ENETDOWN		EHOSTDOWN
 */
#include <errno.h>
#include <netinet/icmp6.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "escape.h"
#include "race.h"

static void ask(const char *what)
{
	char top[256], own[4096], byte;

	if (!is_grafted || !own_cgroup(top, own, sizeof(own)))
		return;
	printf("%s %s\n", what, own);
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) != 1)
		note("the runner did not answer");
}

/* Made while everything was allowed: unused, connected, disconnected, bound. */
static void older(const struct way *way)
{
	struct target canary = target_canary(way), denied = target_denied(way),
		      allowed = target_allowed(way),
		      local = target_local(way, PORT_UNLISTED);
	int fds[4];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = fresh(way);
	seen_connect(fds[1], &allowed);
	seen_connect(fds[2], &allowed);
	seen_disconnect(fds[2]);
	seen("bind", bind(fds[3], &local.any, local.len));
	ask("replace");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (!way_is_stream(way)) {
			seen("sendto",
			     sendto(fds[i], "x", 1, 0, &canary.any, canary.len));
			seen("sendto",
			     sendto(fds[i], "x", 1, 0, &denied.any, denied.len));
		}
		reach(fds[i], &canary);
		seen_disconnect(fds[i]);
		reach(fds[i], &denied);
		seen_disconnect(fds[i]);
		reach(fds[i], &canary);
	}
}

/* Of kinds that nothing judges, made before there was anything to judge. */
static void older_kind(const struct way *way, int type, int protocol)
{
	struct target denied = target_denied(way);
	char packet[] = "\10\0\0\0\0\0\0\0graft\0";
	int fd = seen("socket", socket(way->family, type, protocol));

	if (way->family == AF_INET6)
		packet[0] = (char)ICMP6_ECHO_REQUEST;
	if (type == SOCK_RAW && way->family == AF_INET)
		memcpy(packet + 2, "\273\46", 2); /* its checksum */
	denied.v4.sin_port = protocol == IPPROTO_UDPLITE ? denied.v4.sin_port : 0;
	ask("replace");
	seen("sendto",
	     sendto(fd, packet, sizeof(packet) - 1, 0, &denied.any, denied.len));
	if (!seen_connect(fd, &denied))
		seen("send", send(fd, packet, sizeof(packet) - 1, 0));
	close(fd);
}

static void older_ping(const struct way *way)
{
	older_kind(way, SOCK_DGRAM,
		   way->family == AF_INET ? IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
}

static void older_udplite(const struct way *way)
{
	older_kind(way, SOCK_DGRAM, IPPROTO_UDPLITE);
}

static void older_raw(const struct way *way)
{
	older_kind(way, SOCK_RAW,
		   way->family == AF_INET ? IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
}

static unsigned long counts[4]; /* denied by a, by b, led by a, by b */

static void count(const char *asked, long result, int denied_by_a, int denied_by_b,
		  bool is_led_by_a)
{
	if (result >= 0 && denied_by_a && denied_by_b)
		breach("%s got through", asked);
	else if (result >= 0)
		counts[is_led_by_a ? 2 : 3]++;
	else if (errno == denied_by_a)
		counts[0]++;
	else if (errno == denied_by_b)
		counts[1]++;
	else if (errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED)
		breach("%s: %s", asked, strerrorname_np(errno));
}

static bool are_met(void)
{
	return counts[0] && counts[1] && counts[2] && counts[3];
}

static long call_once(const struct way *way, int fd, struct target *target, char letter)
{
	if (!way_is_stream(way))
		return sendto(fd, &letter, 1, MSG_DONTWAIT, &target->any, target->len);
	if (connect(fd, &target->any, target->len) < 0)
		return -1;
	send(fd, &letter, 1, MSG_NOSIGNAL);
	return 0;
}

static void swap(const struct way *way)
{
	bool is_v4 = way->family == AF_INET;
	struct target a = target_make(way->family, is_v4 ? "10.77.0.81" : "fd77::81",
				      PORT_ALLOWED),
		      b = target_make(way->family, is_v4 ? "10.77.0.82" : "fd77::82",
				      PORT_ALLOWED),
		      none = target_denied(way);
	struct race race;

	if (!is_grafted) {
		reach_both(way);
		return;
	}
	ask("swap");
	race_start(&race, NULL, NULL);
	for (int i = 0; race_goes_on(&race) || (!are_met() && race_has_time()); i++) {
		int fd = fresh(way);

		if (i % 3 == 0)
			count("a", call_once(way, fd, &a, 'a'), 0, ENETDOWN, true);
		else if (i % 3 == 1)
			count("b", call_once(way, fd, &b, 'b'), EHOSTDOWN, 0, false);
		else
			count("denied", call_once(way, fd, &none, 'x'), ENETDOWN,
			      EHOSTDOWN, true);
		close(fd);
	}
	race_end(&race);
	note("met: %lu %lu %lu %lu", counts[0], counts[1], counts[2], counts[3]);
	if (!are_met())
		breach("one of the policies was never met");
}

const struct attempt attempts_replace[] = {
	{ "policy-older", WAY_ALL, ONLY_CGROUP | STARTS_OPEN, older,
	  "sockets made under a policy that allowed it, used under the next" },
	{ "policy-older-ping", WAY_UDP, ONLY_CGROUP | STARTS_OPEN, older_ping,
	  "the same by an ICMP echo socket" },
	{ "policy-older-udplite", WAY_UDP, ONLY_CGROUP | STARTS_OPEN, older_udplite,
	  "the same by UDP-Lite" },
	{ "policy-older-raw", WAY_UDP, ONLY_CGROUP | STARTS_OPEN | NEEDS_ROOT, older_raw,
	  "the same by a raw socket" },
	{ "policy-swap", WAY_ALL, ONLY_CGROUP | IS_RACE | SWAPS, swap,
	  "two policies replace each other during calls" },
	{}
};
