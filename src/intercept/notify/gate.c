/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Our filter, run by us: what it would have said of a call that another filter told us
 * of.
 *
 * The code is filter_compile()'s own, and libseccomp makes it of the few instructions
 * below. One that is not among them ends in ENOSYS, as does a program without an end:
 * what is not understood is refused.
 */
#include <errno.h>
#include <linux/filter.h>
#include <string.h>

#include "intercept/notify/engine.h"

#define REFUSE (SECCOMP_RET_ERRNO | ENOSYS)

/* Return: whether the jump @at is one we know. */
static bool jump(const struct sock_filter *at, uint32_t a, bool *ret)
{
	switch (at->code) {
	case BPF_JMP | BPF_JEQ | BPF_K:
		*ret = a == at->k;
		return true;
	case BPF_JMP | BPF_JGT | BPF_K:
		*ret = a > at->k;
		return true;
	case BPF_JMP | BPF_JGE | BPF_K:
		*ret = a >= at->k;
		return true;
	case BPF_JMP | BPF_JSET | BPF_K:
		*ret = (a & at->k) != 0;
		return true;
	}
	return false;
}

uint32_t gate_ask(const struct sock_filter *code, size_t n,
		  const struct seccomp_data *data)
{
	uint32_t a = 0;
	bool is_true;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *at = &code[pc];

		switch (at->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (at->k > sizeof(*data) - sizeof(a))
				return REFUSE;
			memcpy(&a, (const char *)data + at->k, sizeof(a));
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= at->k;
			continue;
		case BPF_JMP | BPF_JA:
			pc += at->k;
			continue;
		case BPF_RET | BPF_K:
			return at->k;
		}
		if (!jump(at, a, &is_true))
			return REFUSE;
		pc += is_true ? at->jt : at->jf;
	}
	return REFUSE;
}
