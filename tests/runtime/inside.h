/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of `inside`. Each returns an exit status. */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

/* Prints "@what: ERRNO". */
int fail(const char *what);
int get(const char *host, const char *port);
struct sockaddr_in address_of(const char *host, const char *port);
/* Of either family. Return: its size. */
socklen_t any_address_of(const char *host, const char *port,
			 struct sockaddr_storage *ret);
/* inside_port.c */
int share(const char *port);
int echo_udp(const char *name, const char *port, const char *family);
int ask_udp(const char *host, const char *port);
int tell(const char *name, const char *port, const char *family);
/* inside_door.c */
int door(const char *directory, const char *metadata, const char *host, const char *port);
int borrow(const char *path);
/* inside_name.c */
int name(const char *endpoint, const char *what);
/* inside_crowd.c */
int storm(const char *host, const char *port, const char *n_threads);
int many(const char *host, const char *port, const char *n);
int mirror(const char *port);
