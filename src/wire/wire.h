/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages between processes of graft: what they hold, how they look as bytes and as
 * text. No I/O here; a message travels as one packet (SOCK_SEQPACKET) on one machine.
 *
 *	header   u32 size | u16 type | u16 version      size counts the header
 *	field    u16 tag  | u16 size | size bytes       any number, any order
 *
 * Numbers are in the machine's byte order. A tag unknown to the reader is skipped, so
 * fields may be added; a tag never changes its meaning. A field that is missing where it
 * is required, twice there, of the wrong size, or text with control characters in it
 * spoils the message. Descriptors, where a type has any, travel beside it (SCM_RIGHTS).
 *
 * Control conversation, one per connection:
 *
 *	client                         server
 *	hello                      ->
 *	                           <-  hello
 *	ask-runs | ask-grafts      ->
 *	                           <-  run* | graft*
 *	                           <-  bye                 or, at any point, error
 *
 * Asking a broker (graftd, or the one inside a run) for a socket. Any number of asks on
 * one connection; the first descriptor beside an ask with WIRE_F_REPLY is where the
 * answer goes, so that threads and processes may share a connection without a lock:
 *
 *	ask                        ->        [+ reply] [+ for] [+ the socket to replace]
 *	                           <-  grant + socket [+ path], or error
 *	ask-supply                 ->        [+ reply] + one end of a SOCK_SEQPACKET pair
 *	                           <-  bye, or error; then sockets arrive on the pair,
 *	                               each beside one byte, made ahead of need
 *	ask-policy | ask-page      ->        [+ reply]
 *	                           <-  policy | page + memfd, or error
 *
 * Who asks is the process that sent the message; who asks for another passes a pidfd of
 * that one (WIRE_F_FOR), which counts for who has a held socket and for nothing else.
 *
 * The page is one uint64_t, mapped read-only: a number that changes whenever something in
 * the registry does. What a grant said holds as long as its generation is the page's.
 *
 * The registry, after hello:
 *
 *	add | del | reload         ->
 *	                           <-  bye, or error; asks may be sent ahead of answers
 *	place                      ->
 *	                           <-  bye, or error: there is none of that name yet
 *	ask-endpoints              ->
 *	                           <-  endpoint* bye, or error
 *	watch                      ->
 *	                           <-  endpoint* bye event*, until the connection ends
 *
 * "place" is for BPF programs that know an endpoint by name: they are told where it is,
 * from now on (places.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define WIRE_VERSION 1
#define WIRE_MAX     4096 /* bytes in one message */

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_ERROR = 2,
	WIRE_BYE = 3,
	WIRE_ASK_RUNS = 16,
	WIRE_RUN = 17,
	WIRE_ASK_GRAFTS = 18,
	WIRE_GRAFT = 19,
	WIRE_ASK = 32,
	WIRE_GRANT = 33,
	WIRE_ASK_SUPPLY = 34,
	WIRE_ASK_POLICY = 35,
	WIRE_POLICY = 36,
	WIRE_ASK_PAGE = 37,
	WIRE_PAGE = 38,
	WIRE_ADD = 48,
	WIRE_DEL = 49,
	WIRE_RELOAD = 50,
	WIRE_ASK_ENDPOINTS = 51,
	WIRE_ENDPOINT = 52,
	WIRE_WATCH = 53,
	WIRE_EVENT = 54,
	WIRE_PLACE = 55,
};

struct wire_header {
	uint32_t size;
	uint16_t type;
	uint16_t version;
};

struct wire_address {
	struct sockaddr_storage address; /* AF_INET, AF_INET6 or AF_UNIX */
	socklen_t len;                   /* 0: none */
};

struct wire_hello {
	uint32_t pid;
	char software[32]; /* "graft 0.1.0" */
};

struct wire_error {
	uint32_t number; /* errno, positive */
	char text[256];
};

struct wire_bye {
	uint64_t n_left_off; /* answers there was no room for */
};

struct wire_run {
	uint32_t pid, supervisor, program, uid;
	char name[64], command[512], engine[32], policy[1024];
	uint64_t age_ns;
	uint64_t n_traps, n_grafts, n_swaps, n_refused;
	char image[256]; /* of a container */
};

struct wire_graft {
	uint32_t pid, fd;
	char program[32];
	uint32_t family, type, protocol;
	struct wire_address local, peer;
	char rule[256], state[32];
	uint64_t age_ns; /* 0: not known */
	uint64_t cookie;
};

/* What a socket is asked for. */
enum wire_op {
	WIRE_OP_BIND = 1,
	WIRE_OP_CONNECT = 2,
	WIRE_OP_FROM = 3, /* a socket bound to the endpoint as its source */
};

enum wire_flag {
	WIRE_F_REPLY = 1 << 0,  /* ask: the first descriptor is where to answer */
	WIRE_F_SOCKET = 1 << 1, /* ask: the last one is the socket to replace */
	WIRE_F_V6ONLY = 1 << 2, /* ask: it is IPV6_V6ONLY */
	WIRE_F_BOUND = 1 << 3,  /* grant: bound already; address is its local one */
	WIRE_F_HELD = 1 << 4,   /* grant: the broker keeps it open */
	WIRE_F_LOCAL = 1 << 5,  /* grant: the UNIX path means the same to the asker */
	WIRE_F_FOR = 1 << 6,    /* ask: beside it, a pidfd of who will have the socket */
};

/* The name that asks for a socket of the host's stack instead of an endpoint. */
#define WIRE_NAME_HOST "host"

struct wire_ask {
	uint32_t op;                     /* enum wire_op; ask-supply: CONNECT or FROM */
	char name[64];                   /* endpoint, or WIRE_NAME_HOST */
	uint32_t family, type, protocol; /* of the socket, as in socket(2), no flags */
	uint32_t flags;                  /* enum wire_flag */
	struct wire_address address;     /* what the program asked for; host: required */
};

struct wire_grant {
	uint32_t flags;
	uint32_t family;             /* of the socket: AF_UNIX too */
	struct wire_address address; /* BIND: where it is; CONNECT: where to connect */
	uint64_t generation;         /* 0: not to be kept */
	uint64_t cookie;             /* SO_COOKIE of the socket */
};

/* One line of policy: "NAME ipv4 ADDR:PORT ..." without the word endpoint. */
struct wire_add {
	char line[1024];
};

struct wire_del {
	char name[64];
};

struct wire_endpoint {
	char line[1024];
	uint32_t uid;   /* who added it */
	uint64_t netns; /* cookie of the namespace it was added in */
	uint32_t port;  /* dynamic: the one bound now, 0: none */
	uint64_t n_binds, n_connects, n_denied;
	char state[16]; /* "idle", "bound", "held" */
};

struct wire_event {
	char kind[16]; /* add del bind release connect deny reload */
	char name[64];
	uint32_t uid, pid;
	uint64_t netns;
	char text[256];
};

struct wire_message {
	enum wire_type type;
	union {
		struct wire_hello hello;
		struct wire_error error;
		struct wire_bye bye;
		struct wire_run run;
		struct wire_graft graft;
		struct wire_ask ask; /* ask, ask-supply */
		struct wire_grant grant;
		struct wire_add add;
		struct wire_del del; /* del, place */
		struct wire_endpoint endpoint;
		struct wire_event event;
	};
};

enum wire_kind {
	WIRE_U32,
	WIRE_U64,
	WIRE_TEXT,
	WIRE_ADDRESS,
};

/* One field of one type: where it lies in its struct. */
struct wire_field {
	uint16_t tag;
	uint16_t offset; /* in struct wire_message */
	uint16_t size;
	uint8_t kind;
	bool required;
	const char *name;
};

/* Return: the fields of @type, or NULL for an unknown type. */
const struct wire_field *wire_fields(unsigned int type, size_t *ret_n);
/* "ask-runs", or NULL for an unknown type. */
const char *wire_type_name(unsigned int type);

/* Copies @text (NULL: nothing) into a text field of @size bytes, cut if need be, control
 * characters replaced. */
void wire_set_text(char *field, size_t size, const char *text);

/* Return: bytes written to @data, -EINVAL for a message that could not be parsed back,
 * or -EMSGSIZE. */
ssize_t wire_write(const struct wire_message *message, void *data, size_t size);
/*
 * Return: 0; -EBADMSG when it is none; -EPROTONOSUPPORT for another version. @ret is
 * zero but for what the message holds.
 */
int wire_parse(const void *data, size_t size, struct wire_message *ret);
/* "graft pid=12 fd=3 local=127.0.0.1:8080 ...", cut at @size. Return: the whole length.
 */
size_t wire_print(const struct wire_message *message, char *text, size_t size);
/* "127.0.0.1:80", "[::1]:80", "/run/x", "@x", "-" for none. Return: the whole length. */
size_t wire_print_address(const struct wire_address *address, char *text, size_t size);
