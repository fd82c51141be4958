/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * A profile allows a call, perhaps under conditions; ours has to hear of some of these
 * calls. libseccomp, which compiles the profile in every runtime, has no order of rules:
 * an unconditional rule for a call beats all conditional ones, whichever came first; of
 * two that overlap, one wins, and which one is its own affair. So "allow connect" and
 * "notify connect if the length is 16 or more" together mean allow. What the profile
 * allows is therefore written anew as rules that exclude one another:
 *
 *	allow connect	->	notify connect, length >= 16
 *				allow  connect, length < 16
 *
 * There is no "not equal under a mask", and arguments that the kernel takes as int have
 * an upper half that is the program's to fill. So where single values are looked for,
 * the argument is cut by bits, as few as tell the values looked for from those that
 * should pass untrapped:
 *
 *	socket(AF_INET = 00010, AF_GRAFT = 00100, AF_INET6 = 01010; AF_UNIX = 00001)
 *		...0 notify	...1 allow
 *
 * A cell that is judged holds more than what our filter judges: the supervisor asks that
 * filter (gate.c) and lets the rest continue. A cell that passes holds nothing of it. It
 * is the second half that the safety rests on, and tests/unit/test_profile.c tries it
 * over compiled profiles.
 *
 * socketcall(), by which 32-bit code packs socket calls in memory, is judged whole, where
 * the profile does not name it too: libseccomp adds to it what it is told of bind() and
 * others, without the conditions, and finds that these contradict one another. After an
 * unconditional rule it does not look at them, so that one comes first in the profile.
 */
#include <linux/graft.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/seccomp.h>

#include "base/cleanup.h"
#include "intercept/notify/filter.h"
#include "runtime/cell.h"

#define LOW_WORD         0xffffffffULL
#define ADDRESS_SHORTEST sizeof(struct sockaddr_in)
#define FAMILIES         46 /* AF_MAX of Linux 6 */
#define VALUES_MAX       64

/* Values of one argument, and the cells they are to be in. */
struct values {
	struct value {
		uint64_t value;
		enum cell_kind is;
	} at[VALUES_MAX];
	size_t n;
};

/* The first word counts. */
static void value_add(struct values *values, uint64_t value, enum cell_kind is)
{
	for (size_t i = 0; i < values->n; i++)
		if (values->at[i].value == (value & LOW_WORD))
			return;
	if (values->n < VALUES_MAX) {
		values->at[values->n].value = value & LOW_WORD;
		values->at[values->n++].is = is;
	}
}

static void cell_add(struct cells *cells, enum cell_kind kind,
		     const struct cell_condition *conditions, unsigned int n)
{
	struct cell *cell;

	if (cells->n == CELLS_MAX) {
		/* Never so by the tables below; judging everything is always right. */
		cells->n = 0;
		kind = CELL_JUDGED;
		n = 0;
	}
	cell = &cells->at[cells->n++];
	cell->kind = kind;
	cell->n = n;
	if (n)
		memcpy(cell->conditions, conditions, n * sizeof(*conditions));
}

/* Where the values are that agree with @mask, @bits: are they all of one kind? */
static bool is_uniform(const struct values *values, uint64_t mask, uint64_t bits,
		       enum cell_kind *ret_kind)
{
	bool is_first = true;

	*ret_kind = CELL_JUDGED;
	for (size_t i = 0; i < values->n; i++) {
		if ((values->at[i].value & mask) != bits)
			continue;
		if (!is_first && values->at[i].is != *ret_kind)
			return false;
		*ret_kind = values->at[i].is;
		is_first = false;
	}
	return true;
}

/* A bit in which values that agree with @mask, @bits differ; the lowest. */
static uint64_t telling_bit(const struct values *values, uint64_t mask, uint64_t bits)
{
	uint64_t ones = 0, zeroes = 0, both;

	for (size_t i = 0; i < values->n; i++)
		if ((values->at[i].value & mask) == bits) {
			ones |= values->at[i].value;
			zeroes |= ~values->at[i].value;
		}
	both = ones & zeroes & LOW_WORD & ~mask;
	return both & -both;
}

static void cut(struct cells *cells, unsigned int index, const struct values *values,
		uint64_t mask, uint64_t bits)
{
	struct cell_condition condition = { index, CELL_MASKED, mask, bits };
	enum cell_kind is;
	uint64_t bit;

	if (is_uniform(values, mask, bits, &is)) {
		cell_add(cells, is, &condition, mask ? 1 : 0);
		return;
	}
	bit = telling_bit(values, mask, bits);
	cut(cells, index, values, mask | bit, bits);
	cut(cells, index, values, mask | bit, bits | bit);
}

/* --- the calls --- */

static void all(struct cells *cells, enum cell_kind kind)
{
	cell_add(cells, kind, NULL, 0);
}

/* Judged where @bit of argument @index is set. */
static void by_bit(struct cells *cells, unsigned int index, uint64_t bit)
{
	const struct cell_condition set = { index, CELL_MASKED, bit, bit };
	const struct cell_condition clear = { index, CELL_MASKED, bit, 0 };

	cell_add(cells, CELL_JUDGED, &set, 1);
	cell_add(cells, CELL_PASSES, &clear, 1);
}

static void cells_socket(struct cells *cells, unsigned int traps,
			 const struct values *apart)
{
	struct values values = { .n = 0 };

	if (traps & TRAP_SOCKET_V4)
		value_add(&values, AF_INET, CELL_JUDGED);
	if (traps & TRAP_SOCKET_V6)
		value_add(&values, AF_INET6, CELL_JUDGED);
	if (traps & (TRAP_FAMILY | TRAP_LISTEN))
		value_add(&values, AF_GRAFT, CELL_JUDGED);
	for (size_t i = 0; i < apart->n; i++)
		value_add(&values, apart->at[i].value, CELL_APART);
	for (uint64_t family = 0; family < FAMILIES; family++)
		value_add(&values, family, CELL_PASSES);
	cut(cells, 0, &values, 0, 0);
}

static void cells_socketpair(struct cells *cells, unsigned int traps,
			     const struct values *apart)
{
	struct values values = { .n = 0 };

	if (!(traps & (TRAP_FAMILY | TRAP_LISTEN)))
		return;
	value_add(&values, AF_GRAFT, CELL_JUDGED);
	value_add(&values, AF_UNIX, CELL_PASSES);
	cut(cells, 0, &values, 0, 0);
}

static void cells_name(struct cells *cells, unsigned int traps,
		       const struct values *apart)
{
	const struct cell_condition is_long = { 2, CELL_GE, ADDRESS_SHORTEST, 0 };
	const struct cell_condition is_short = { 2, CELL_LT, ADDRESS_SHORTEST, 0 };

	if (!(traps & TRAP_NAMES))
		return;
	cell_add(cells, CELL_JUDGED, &is_long, 1);
	cell_add(cells, CELL_PASSES, &is_short, 1);
}

static void cells_listen(struct cells *cells, unsigned int traps,
			 const struct values *apart)
{
	if (traps & (TRAP_NAMES | TRAP_LISTEN))
		all(cells, CELL_JUDGED);
}

/*
 * A name shorter than an AF_INET address is none to the sockets we look after. By the
 * pointer it cannot be told, of which libseccomp compares but a half where it compiles
 * for x32. Without datagrams to look after: those that open a connection, and those
 * whose name has the length of a struct sockaddr_gr (18 = 10010, where others have 16,
 * 28 or 110).
 */
static void cells_sendto(struct cells *cells, unsigned int traps,
			 const struct values *apart)
{
	static const struct cell_condition is_long = { 5, CELL_GE, ADDRESS_SHORTEST, 0 };
	static const struct cell_condition is_short = { 5, CELL_LT, ADDRESS_SHORTEST, 0 };
	static const struct cell_condition opens = { 3, CELL_MASKED, MSG_FASTOPEN,
						     MSG_FASTOPEN };
	static const struct cell_condition plain = { 3, CELL_MASKED, MSG_FASTOPEN, 0 };
	static const struct {
		enum cell_kind kind;
		struct cell_condition length;
	} rows[] = {
		{ CELL_PASSES, { 5, CELL_MASKED, 0x02, 0x00 } },
		{ CELL_PASSES, { 5, CELL_MASKED, 0x22, 0x22 } },
		{ CELL_JUDGED, { 5, CELL_MASKED, 0x22, 0x02 } },
	};

	_Static_assert((sizeof(struct sockaddr_gr) & 0x22) == 0x02, "see above");
	if (traps & TRAP_DATAGRAMS) {
		cell_add(cells, CELL_JUDGED, &is_long, 1);
		cell_add(cells, CELL_PASSES, &is_short, 1);
		return;
	}
	if (!(traps & TRAP_FAST_OPEN))
		return;
	cell_add(cells, CELL_JUDGED, (struct cell_condition[]){ opens, is_long }, 2);
	cell_add(cells, CELL_PASSES, (struct cell_condition[]){ opens, is_short }, 2);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cell_add(cells, rows[i].kind,
			 (struct cell_condition[]){ plain, rows[i].length }, 2);
}

static void cells_sendmsg(struct cells *cells, unsigned int traps,
			  const struct values *apart)
{
	if (traps & (TRAP_DATAGRAMS | TRAP_MESSAGES))
		all(cells, CELL_JUDGED);
	else if (traps & TRAP_FAST_OPEN)
		by_bit(cells, 2, MSG_FASTOPEN);
}

static void cells_sendmmsg(struct cells *cells, unsigned int traps,
			   const struct values *apart)
{
	if (traps & (TRAP_DATAGRAMS | TRAP_MESSAGES))
		all(cells, CELL_JUDGED);
	else if (traps & TRAP_FAST_OPEN)
		by_bit(cells, 3, MSG_FASTOPEN);
}

/* Source routes are options of these levels. */
static void cells_setsockopt(struct cells *cells, unsigned int traps,
			     const struct values *apart)
{
	struct values values = { .n = 0 };

	value_add(&values, IPPROTO_IP, CELL_JUDGED);
	value_add(&values, IPPROTO_IPV6, CELL_JUDGED);
	if (traps & TRAP_FAMILY)
		value_add(&values, IPPROTO_GRAFT, CELL_JUDGED);
	value_add(&values, IPPROTO_TCP, traps & TRAP_OPTIONS ? CELL_JUDGED : CELL_PASSES);
	value_add(&values, SOL_SOCKET, CELL_PASSES);
	value_add(&values, IPPROTO_UDP, CELL_PASSES);
	value_add(&values, SOL_NETLINK, CELL_PASSES);
	cut(cells, 1, &values, 0, 0);
}

static void cells_getsockopt(struct cells *cells, unsigned int traps,
			     const struct values *apart)
{
	static const uint64_t passing[] = { IPPROTO_IP,  SOL_SOCKET,   IPPROTO_TCP,
					    IPPROTO_UDP, IPPROTO_IPV6, SOL_NETLINK };
	struct values values = { .n = 0 };

	if (!(traps & TRAP_FAMILY))
		return;
	value_add(&values, IPPROTO_GRAFT, CELL_JUDGED);
	for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
		value_add(&values, passing[i], CELL_PASSES);
	cut(cells, 1, &values, 0, 0);
}

static void cells_clone(struct cells *cells, unsigned int traps,
			const struct values *apart)
{
	const struct {
		enum cell_kind kind;
		uint64_t mask, bits;
	} rows[] = {
		{ CELL_JUDGED, CLONE_NEWNET, CLONE_NEWNET },
		{ CELL_JUDGED, CLONE_NEWNET | CLONE_FILES | CLONE_THREAD, CLONE_FILES },
		{ CELL_PASSES, CLONE_NEWNET | CLONE_FILES, 0 },
		{ CELL_PASSES, CLONE_NEWNET | CLONE_FILES | CLONE_THREAD,
		  CLONE_FILES | CLONE_THREAD },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cell_condition condition = { 0, CELL_MASKED, rows[i].mask,
						    rows[i].bits };

		cell_add(cells, rows[i].kind, &condition, 1);
	}
}

static void cells_unshare(struct cells *cells, unsigned int traps,
			  const struct values *apart)
{
	by_bit(cells, 0, CLONE_NEWNET);
}

static void cells_seccomp(struct cells *cells, unsigned int traps,
			  const struct values *apart)
{
	by_bit(cells, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

static void cells_judged(struct cells *cells, unsigned int traps,
			 const struct values *apart)
{
	all(cells, CELL_JUDGED);
}

static void cells_socketcall(struct cells *cells, unsigned int traps,
			     const struct values *apart)
{
	all(cells, CELL_JUDGED);
	cells->is_whole = true;
}

static void cells_absent(struct cells *cells, unsigned int traps,
			 const struct values *apart)
{
	all(cells, CELL_ABSENT);
}

static const struct {
	const char *name;
	void (*fill)(struct cells *cells, unsigned int traps, const struct values *apart);
} calls[] = {
	{ "socket", cells_socket },
	{ "socketpair", cells_socketpair },
	{ "bind", cells_name },
	{ "connect", cells_name },
	{ "listen", cells_listen },
	{ "sendto", cells_sendto },
	{ "sendmsg", cells_sendmsg },
	{ "sendmmsg", cells_sendmmsg },
	{ "setsockopt", cells_setsockopt },
	{ "getsockopt", cells_getsockopt },
	{ "clone", cells_clone },
	{ "unshare", cells_unshare },
	{ "setns", cells_judged },
	{ "seccomp", cells_seccomp },
	{ "socketcall", cells_socketcall },
	{ "clone3", cells_absent },
	{ "io_uring_setup", cells_absent },
	{ "io_uring_enter", cells_absent },
	{ "io_uring_register", cells_absent },
};

const char *cells_call(size_t index)
{
	return index < ARRAY_SIZE(calls) ? calls[index].name : NULL;
}

size_t cells_of(size_t index, unsigned int traps, const uint64_t *apart, size_t n_apart,
		struct cells *ret)
{
	struct values values = { .n = 0 };

	for (size_t i = 0; i < n_apart && i < VALUES_MAX - FAMILIES - 3; i++)
		value_add(&values, apart[i], CELL_APART);
	ret->n = 0;
	ret->is_whole = false;
	calls[index].fill(ret, traps, &values);
	return ret->n;
}

/* --- conditions --- */

static bool holds(const struct cell_condition *c, uint64_t value)
{
	switch (c->op) {
	case CELL_EQ:
		return value == c->value;
	case CELL_NE:
		return value != c->value;
	case CELL_LT:
		return value < c->value;
	case CELL_LE:
		return value <= c->value;
	case CELL_GT:
		return value > c->value;
	case CELL_GE:
		return value >= c->value;
	case CELL_MASKED:
		return (value & c->value) == c->value_two;
	case CELL_N_OPS:
		break;
	}
	return false;
}

/* What libraries make of a value that its mask does not cover, we need not know. */
static bool is_odd(const struct cell_condition *c)
{
	return c->op == CELL_MASKED && c->value_two & ~c->value;
}

static enum cell_meet meet_masked(const struct cell_condition *a,
				  const struct cell_condition *b,
				  struct cell_condition *ret)
{
	if ((a->value_two ^ b->value_two) & a->value & b->value)
		return CELL_NEVER;
	*ret = (struct cell_condition){ a->index, CELL_MASKED, a->value | b->value,
					a->value_two | b->value_two };
	return CELL_MEETS;
}

enum cell_meet cell_meet(const struct cell_condition *a, const struct cell_condition *b,
			 struct cell_condition *ret)
{
	if (is_odd(a) || is_odd(b))
		return CELL_UNKNOWN;
	if (a->op == CELL_MASKED && b->op == CELL_MASKED)
		return meet_masked(a, b, ret);
	if (b->op == CELL_EQ || b->op == CELL_NE) {
		const struct cell_condition *swap = a;

		a = b;
		b = swap;
	}
	if (a->op == CELL_EQ) {
		bool meets = holds(b, a->value);

		*ret = *a;
		return meets ? CELL_MEETS : CELL_NEVER;
	}
	if (a->op == CELL_NE && !holds(b, a->value)) {
		*ret = *b;
		return CELL_MEETS;
	}
	return CELL_UNKNOWN;
}
