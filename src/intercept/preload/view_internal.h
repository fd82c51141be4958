/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What view.c shares with view_inet.c and view_unix.c.
 */
#pragma once

#include <stdbool.h>

#include "base/address.h"

struct rule;

/* An address a program asked for, as a note; AF_UNSPEC: it is shown what the kernel says.
 */
struct asked {
	uint64_t words[4];
};

struct asked asked_of(const union address *address);
union address asked_address(const struct asked *asked);
/* Return: 0 for a family that no program asks for. */
socklen_t view_address_len(const union address *address);
void view_turn_on(unsigned int uses);

/* @rule ends in an endpoint. */
void view_inet_start(const struct rule *rule);
/* There are rules to be read backwards. */
void view_inet_read_back(void);
void view_note_inet_bind(int fd, const union address *local, const union address *asked);
void view_note_inet_peer(int fd, const union address *actual, const union address *asked);
/* What the program sees of inet socket @fd, and of its peer or who sent a datagram.
 * Return: false for: what the kernel says. */
bool view_inet_local_of(int fd, const union address *local, union address *ret);
bool view_inet_peer_of(int fd, const union address *actual, union address *ret);

void view_note_unix_bind(int fd, const union address *local, socklen_t len,
			 const union address *asked);
void view_note_unix_peer(int fd, const union address *actual, const union address *asked);

/* What the program sees of AF_UNIX socket @fd, of its peer, and of who sent a datagram.
 * Return: false for: what the kernel says. */
bool view_unix_local_of(int fd, const union address *local, socklen_t len,
			union address *ret);
bool view_unix_peer_of(int fd, const union address *peer, socklen_t len,
		       union address *ret);
bool view_unix_source_of(int fd, const union address *source, socklen_t len,
			 union address *ret);
