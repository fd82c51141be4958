/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The DNS forwarder of one run: the resolver's own addresses answer inside the program's
 * network namespace. dns.c tells how it works.
 */
#pragma once

#include <stddef.h>
#include <sys/socket.h>

#define DNS_SERVERS_MAX 3

struct event_loop;

struct dns_server {
	struct sockaddr_storage address; /* port 53 */
	socklen_t len;
};

/*
 * Reads resolv.conf text: `nameserver` lines as the C library reads them. A %scope is
 * ignored, the unspecified address means loopback, an address named twice counts once.
 * Return: the number of servers, 0 to DNS_SERVERS_MAX.
 */
size_t dns_parse_resolv(const char *text, size_t size, struct dns_server *ret_servers);

/*
 * To be called in the program's namespaces, with CAP_NET_ADMIN and CAP_NET_BIND_SERVICE
 * there and lo up. Gives lo the address of each server (loopback ones are there already)
 * and makes the sockets on its port 53: ret_fds[i][0] UDP, ret_fds[i][1] TCP, listening;
 * -1 where that one could not be made. They are the caller's.
 * Return: 0, or the first -errno when there was something to make and nothing was made.
 */
int dns_open(const struct dns_server *servers, size_t n, int (*ret_fds)[2]);

/* Keeps those on loopback, in their order. Return: how many. */
size_t dns_keep_loopback(struct dns_server *servers, size_t n);

struct dns;

/*
 * Upstream traffic leaves from the network namespace of the calling thread to the same
 * address. Takes ownership of the descriptors, on failure too. Return: 0 or -errno.
 */
int dns_new(struct dns **ret, const struct dns_server *servers, const int (*fds)[2],
	    size_t n);
/* Leaves the loop. Return: NULL. */
struct dns *dns_free(struct dns *dns);
/* Serves on @loop, which must outlive @dns. Return: 0 or -errno. */
int dns_attach(struct dns *dns, struct event_loop *loop);

/* For tests and `--verbose`: what is being carried now. */
size_t dns_n_queries(const struct dns *dns);
size_t dns_n_streams(const struct dns *dns);
