/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A sealed policy without pointers: one array of cells of 16 bytes, for readers who can
 * only index one, as BPF programs do. The index of index.c, as it is, in sections.
 *
 *	cell 0		header: {IMAGE_VERSION, cells, rules, outcomes}
 *	cell 1		{flags: IMAGE_*, and the reader's own: which edition of a
 *			policy it is, where something follows the cells, and how
 *			many bytes of it}
 *	cells 2-3	bind: {segments4, how many, segments6, how many}, {roots,
 *			nodes, entries of bound rules, blocks of ports}
 *	cells 4-5	connect: the same
 *	cell 6		paths of UNIX sockets: {starts, how many, rules}
 *	...		sections, each named there by its first cell
 *
 * Numbers are of this machine's byte order, addresses big-endian words made numbers.
 *
 *	segments4	two to a cell: {start, node, start, node}, the last one
 *			doubled where they are odd
 *	segments6	{start: four words, the uppermost first}, then their nodes,
 *			four to a cell
 *	roots		by node, six cells: trees of ports by protocol (tcp, udp,
 *			other) and group, eight words each
 *	nodes		{nearest node with bound rules, the one around it, entries:
 *			first, how many}
 *	bound		entries as in index.h, two to a cell: {upper, lower, upper,
 *			lower}; where there are none the section is said to be at 0
 *	blocks		{depth << 24 | heap, child, child, least rule}
 *	starts		IMAGE_PATH cells each: 27 words of four bytes of the path, the
 *			first byte uppermost, and how many bytes it has; ascending
 *	rules		the first one from there to the next start, four to a cell
 *	outcomes	by rule, IMAGE_OUTCOME cells: {IMAGE_TARGET() and so on,
 *			port | errno << 16, endpoint, 0: the reader's own},
 *			{address, or the first of IMAGE_PATH cells}, {calls it
 *			decided: two words of one number, which readers may count
 *			up}; the last one is for calls that no rule decides
 */
#ifndef POLICY_IMAGE_H
#define POLICY_IMAGE_H

#ifndef __bpf__
#	include <stddef.h>
#	include <stdint.h>
#	include "policy/policy.h"
typedef uint8_t image_u8;
typedef uint16_t image_u16;
typedef uint32_t image_u32;
typedef uint64_t image_u64;
#else
typedef __u8 image_u8;
typedef __u16 image_u16;
typedef __u32 image_u32;
typedef __u64 image_u64;
#endif

#define IMAGE_VERSION   0x67720002 /* "gr", 2 */
#define IMAGE_NONE      0xffffffffu
#define IMAGE_OP(op)    (2 + 2 * (op)) /* enum policy_op */
#define IMAGE_PATHS     6
#define IMAGE_HEAD      7 /* cells that are always there */
#define IMAGE_OUTCOME   3
#define IMAGE_PATH      7
#define IMAGE_ROOTS     6 /* cells by node */
#define IMAGE_PROTOS    3
#define IMAGE_GROUPS    8 /* words by protocol: enum rule_group, rounded up */
#define IMAGE_DEPTH     24
#define IMAGE_PORT_BITS 16

/* Flags. */
#define IMAGE_DENIES \
	(1u << 0) /* some rule does: sockets that are not judged are refused */
#define IMAGE_AUDIT    (1u << 1) /* what is denied is counted, and goes on */
#define IMAGE_SHORTCUT (1u << 2) /* POLICY_SHORTCUT is on */
#define IMAGE_LOOPBACK (1u << 3) /* POLICY_LOOPBACK is own */
#define IMAGE_REVOKES  (1u << 4) /* some outcome is IMAGE_REVOKED */
#define IMAGE_ISOLATED (1u << 5) /* with IMAGE_LOOPBACK: own is there, or nowhere */
#define IMAGE_ASKS     (1u << 6) /* some rule asks whether its endpoint is bound */
#define IMAGE_UNIXES   (1u << 7) /* some rule is on the paths of UNIX sockets */
#define IMAGE_UNJUDGED (1u << 8) /* no call is judged by it */

struct image_cell {
	image_u32 word[4];
};

/* enum rule_group of internal.h; a test says that they are the same. */
enum image_group {
	IMAGE_STAY,
	IMAGE_HOST,
	IMAGE_IPV4,
	IMAGE_IPV6,
	IMAGE_UNIX,
	IMAGE_BOUND,
	IMAGE_ALL,
};

/* Word 0 of an outcome. */
#define IMAGE_TARGET(word) ((word)&0xff)         /* enum policy_target */
#define IMAGE_KIND(word)   ((word) >> 8 & 0xff)  /* enum endpoint_kind */
#define IMAGE_GROUP(word)  ((word) >> 16 & 0xff) /* of its endpoint, `bound` or not */
#define IMAGE_WILDCARD     (1u << 24)
#define IMAGE_REVOKED      (1u << 25) /* it let calls through, and denies now */
#define IMAGE_IS_UNIX      (1u << 26) /* the rule is on a path of UNIX sockets */

#ifndef __bpf__
/*
 * Return: 0 with the array in @ret_cells, to be freed, or -ENOMEM, -E2BIG. @policy is
 * sealed.
 */
int image_new(const struct policy *policy, struct image_cell **ret_cells, size_t *ret_n);
/* The outcome of @rule in @cells; that of no rule is the one after the last. */
struct image_cell *image_outcome(struct image_cell *cells, size_t rule);
#endif

#endif
