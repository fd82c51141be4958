/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections to addresses that others hold, steered to sockets of a container's.
 *
 * A socket that is to serve a port somebody else has reserved is bound to an address
 * that no machine has (HIDDEN4, HIDDEN6, with the program's own port in it), where nobody
 * reaches it. A BPF program of the network namespace (sk_lookup) hands it what arrives
 * for the addresses it was put down for. Two more let a program that asks for its name
 * see the wildcard and the port it bound. All of it goes with this process.
 */
#pragma once

#include <linux/types.h>

/* As in the map: addresses and ports in network order, IPv4 in the first of four words;
 * all zeroes: every address. */
struct steer_key {
	__u32 family;
	__u32 port;
	__u32 address[4];
};

#define STEER_MAX   8192 /* addresses of one container */
#define STEER_SLOTS 2048 /* its sockets, IPv4 and IPv6 */

/* 240.103.0.0/16 is of a block that is not used; the rest is a port. */
#define HIDDEN4 0xf0670000
/* 100::/64 is for what is to be thrown away. */
#define HIDDEN6_FIRST 0x01000000
#define HIDDEN6_THIRD 0x67726674

#ifndef __bpf__
#	include <stdint.h>

struct steer;

/*
 * In the calling process's network namespace, for sockets made in @cgroup (-1: names are
 * shown as they are). Takes CAP_NET_ADMIN and CAP_BPF. Return: 0 or -errno.
 */
int steer_new(struct steer **ret, int cgroup);
/* Return: NULL. */
struct steer *steer_free(struct steer *steer);
/* Connections to @key go to whatever socket is in @slot, if there is one. Return: 0 or
 * -errno. */
int steer_add(struct steer *steer, const struct steer_key *key, uint32_t slot);
void steer_remove(struct steer *steer, const struct steer_key *key);
/* Puts @socket, which listens, into @slot until it is closed or another one is put there.
 * Return: 0 or -errno. */
int steer_put(struct steer *steer, uint32_t slot, int socket);
/* A UDP socket that is bound to @hidden, in host order, is shown to be bound to @port.
 * Return: 0 or -errno. */
int steer_name(struct steer *steer, uint16_t hidden, uint16_t port);
#endif
