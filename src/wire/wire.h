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
 * The numbers from 32 up are for asking a socket of a broker (ask, grant, deny).
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

struct wire_message {
	enum wire_type type;
	union {
		struct wire_hello hello;
		struct wire_error error;
		struct wire_bye bye;
		struct wire_run run;
		struct wire_graft graft;
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
