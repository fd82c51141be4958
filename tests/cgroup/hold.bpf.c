/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program that runs until it is let go, or for HOLD_NS, so that a test can look at what
 * the kernel does about programs that are running.
 */
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#define HOLD_NS   10000000000
#define MANY      (1 << 20)
#define MANY_MORE (1 << 16)

__u32 is_held, is_let_go, is_over;
__u64 since;

static long look(__u32 i, void *context)
{
	*(__u32 *)context =
		*(volatile __u32 *)&is_let_go || bpf_ktime_get_ns() - since > HOLD_NS;
	return *(__u32 *)context & 1;
}

static long look_more(__u32 i, void *context)
{
	bpf_loop(MANY, look, context, 0);
	return *(__u32 *)context & 1;
}

SEC("tc") int hold(struct __sk_buff *skb)
{
	__u32 is_done = 0;

	since = bpf_ktime_get_ns();
	*(volatile __u32 *)&is_held = 1;
	bpf_loop(MANY_MORE, look_more, &is_done, 0);
	*(volatile __u32 *)&is_over = 1;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
