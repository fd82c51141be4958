/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the environment asked for, read once when the library is loaded.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "policy/policy.h"

enum state_mode {
	STATE_NEW,     /* nothing was read yet */
	STATE_LOADING, /* somebody is at it; calls are libc's until then */
	STATE_OFF,     /* no rule */
	STATE_ON,
	STATE_DISABLED, /* for good */
};

/* Whether the kernel module is used, and no broker is asked for sockets. */
enum state_module {
	STATE_MODULE_UNUSED,
	STATE_MODULE_USED,
	STATE_MODULE_IF_LOADED,
};

struct state {
	_Atomic int mode;   /* enum state_mode */
	_Atomic int module; /* enum state_module; the first to need it finds out */
	/* Written before mode becomes STATE_ON, read-only from then on. */
	struct policy *policy; /* sealed */
	struct policy_reach reach;
	char broker[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	bool is_run; /* the broker is that of a run, and knows the policy's endpoints */
	bool is_verbose;
};

extern struct state state;

/* Reads the environment. Return: whether there is a rule. */
bool state_load(void);
/* Return: whether the module is loaded. */
bool state_find_module(void);
/* Turns the library on although there is no rule. Return: false if it is disabled. */
bool state_wake(void);

static inline int state_mode(void)
{
	return atomic_load_explicit(&state.mode, memory_order_acquire);
}

static inline bool state_has_module(void)
{
	int module = atomic_load_explicit(&state.module, memory_order_relaxed);

	if (__builtin_expect(module == STATE_MODULE_IF_LOADED, 0))
		return state_find_module();
	return module == STATE_MODULE_USED;
}

static inline bool state_is_on(void)
{
	int mode = state_mode();

	if (__builtin_expect(mode == STATE_OFF, 1))
		return false;
	return mode == STATE_ON || (mode < STATE_OFF && state_load());
}
