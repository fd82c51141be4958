/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The judge of the cgroup engine's BPF programs, in user space, and queries for it.
 */
#pragma once

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#include "policy/image.h"

struct judged {
	const struct image_cell *cells;
	size_t n;
	const bool *is_bound; /* by endpoint */
};

#define JUDGE_IMAGE const struct judged *
#define JUDGE_CELLS const struct judged *
#define JUDGE_CALL  static inline
#define JUDGE_LOOP(n, function, context)                        \
	do                                                      \
		for (image_u32 loop_ = 0; loop_ < (n); loop_++) \
			if (function(loop_, context))           \
				break;                          \
	while (0)

#ifndef __always_inline
#	define __always_inline inline
#endif

static inline JUDGE_CELLS judge_open(JUDGE_IMAGE image)
{
	return image;
}

static inline const struct image_cell *judge_cell(JUDGE_CELLS image, image_u32 number)
{
	return number < image->n ? &image->cells[number] : NULL;
}

static inline int judge_is_bound(JUDGE_IMAGE image, image_u32 endpoint)
{
	return image->is_bound && image->is_bound[endpoint];
}

#include "intercept/cgroup/judge.bpf.h"
#include "intercept/cgroup/judge_path.bpf.h"

static inline void judge_set_address(struct judge_call *call, const void *bytes)
{
	uint32_t words[4];

	memcpy(words, bytes, sizeof(words));
	for (int i = 0; i < 4; i++)
		call->address[i] = ntohl(words[i]);
}

/* A path as unix.bpf.h has it. */
static inline struct judge_path judge_path_of(const struct policy_query *query)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&query->address;
	size_t before = offsetof(struct sockaddr_un, sun_path);
	size_t size = query->address_len > before ? query->address_len - before : 0;
	struct judge_path path = { { 0 } };

	if (un->sun_path[0])
		size = strnlen(un->sun_path, size);
	memcpy(&path, un->sun_path, size);
	for (int i = 0; i < 4 * IMAGE_PATH - 1; i++)
		path.word[i] = ntohl(path.word[i]);
	path.word[4 * IMAGE_PATH - 1] = (uint32_t)size;
	return path;
}

/* @query as a program sees it. */
static inline struct judge_call judge_call_of(const struct policy_query *query)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&query->address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&query->address;
	struct judge_call call = {
		.op = (image_u8)query->op,
		.proto = query->proto == POLICY_TCP   ? 0
			 : query->proto == POLICY_UDP ? 1
						      : JUDGE_OTHER,
		.is_v6 = query->family == AF_INET6,
		.v6only = query->v6only,
	};

	if (query->address.ss_family == AF_INET) {
		call.address[2] = 0xffff;
		call.address[3] = ntohl(in->sin_addr.s_addr);
		call.port = ntohs(in->sin_port);
	} else {
		judge_set_address(&call, &in6->sin6_addr);
		call.port = ntohs(in6->sin6_port);
	}
	return call;
}
