/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Somebody else's program, by the name of one of ours. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("cgroup/connect4") int graft_connect4(struct bpf_sock_addr *ctx)
{
	return 1;
}

char LICENCE[] SEC("license") = "GPL";
