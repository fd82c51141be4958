/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cases on AF_GRAFT sockets of the module. Each runs in a process of its own, as root, in
 * a network namespace of its own ("box") with lo up, beside that of the machine ("host").
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/graft.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct test_case {
	const char *name; /* "topic.what" */
	const char
		*defects; /* of the module of 2017-2019 that it is about; "11.1, 11.2" */
	const char *about;
	void (*run)(void);
};

#define CASES(topic)                                   \
	extern const struct test_case topic##_cases[]; \
	extern const size_t n_##topic##_cases
CASES(names);
CASES(fresh);
CASES(options);
CASES(data);
CASES(kinds);
CASES(multipath);
CASES(authority);
CASES(lifetime);

/* Number of the family: the module's parameter. */
extern int af_graft;
extern int host_netns, box_netns; /* descriptors */
extern int n_failures;

/* --- what is seen and what is wanted; a case goes on after a failure --- */

void want_at(const char *file, int line, const char *what, long wanted, long got);
#define want(wanted, got) want_at(__FILE__, __LINE__, #got, (long)(wanted), (long)(got))
/* Of a call: its result, or -errno. */
#define want_rc(wanted, call) want_at(__FILE__, __LINE__, #call, (long)(wanted), rc(call))
long rc(long result);
/* Ends the case: what follows makes no sense. */
#define need(condition)                                          \
	do {                                                     \
		if (!(condition))                                \
			give_up(__FILE__, __LINE__, #condition); \
	} while (0)
void give_up(const char *file, int line, const char *what) __attribute__((noreturn));
void skip(const char *why) __attribute__((noreturn));

/* --- endpoints (endpoint.c) --- */

struct endpoint {
	const char *name;
	int family;
	const char *address; /* text, or NULL: any */
	uint16_t port;
	const char *path; /* AF_UNIX; begins with '@': abstract */
	int netns;        /* descriptor, -1: the caller's */
	uint32_t flags, scope;
	bool has_rule;
	uint32_t uses;
	int uid; /* -1: anybody */
};

/* Return: 0 or -errno. */
int add(const struct endpoint *endpoint);
int del(const char *name);
/* The usual one: 127.0.0.1 in the host's namespace. Must succeed. */
void add_host(const char *name, uint16_t port);
/* @n of those, called by @format of a number. */
void add_many(const char *format, int n);
void add_kind(const char *name, int family, const char *address, uint16_t port,
	      int netns);

/* --- sockets --- */

struct sockaddr_gr gr(const char *name);
int graft(int type);                     /* must succeed */
int bind_name(int fd, const char *name); /* 0 or -1 */
int connect_name(int fd, const char *name);
int connect_inet(int fd, const char *address, uint16_t port);
int plain_connect(int netns, uint16_t port); /* an ordinary stream in @netns, or -1 */
int plain_listen(int netns, uint16_t port);
uint16_t port_of(int fd);
int get_int(int fd, int level, int name); /* or -errno */
int set_int(int fd, int level, int name, int value);
void enter(int netns);
/* One byte each way. */
bool exchange(int a, int b);
/* Waits, as long as it takes but not for ever. */
bool poll_for(int fd, short events);
short poll_now(int fd);
/* The function in a child: its exit status. */
int in_child(int (*function)(void *), void *argument);
/* The second thread of two: until it sleeps. */
void until_other_waits(void);
void become(uid_t uid);
