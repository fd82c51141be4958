/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cgroup engine: a policy judged by the kernel, on the sockets themselves.
 *
 * Theory of operation. The programs are attached to a cgroup and run for the sockets its
 * processes made, wherever those are by now. Which policy it is they find in the
 * cgroup's own storage (maps.h). What a call comes to is the judge's (judge.bpf.h); here
 * is what is made of that:
 *
 *	own, host	the call goes on: the program is in the host's stack already
 *	endpoint	the address is replaced
 *	from		the socket is bound there first
 *	deny		the error the rule names
 *
 * A program sees what it asked for. struct view, with the socket, remembers both sides;
 * getsockname and getpeername put back what was asked while the socket still has what it
 * was given. A socket that accept() made inherits how its listener is bound and no peer.
 *
 * No structure here begins with a value that is known when it is compiled, other than
 * zeroes: clang 14 copies such from a constant, and for BPF it loses stores beside that
 * copy. tests/lint/bpf.sh looks for them.
 */
#include "intercept/cgroup/bind.bpf.h"
#include "intercept/cgroup/connect.bpf.h"
#include "intercept/cgroup/revoke.bpf.h"
#include "intercept/cgroup/revoke_unix.bpf.h"
#include "intercept/cgroup/route.bpf.h"
#include "intercept/cgroup/send.bpf.h"
#include "intercept/cgroup/shortcut.bpf.h"
#include "intercept/cgroup/show.bpf.h"
#include "intercept/cgroup/unix.bpf.h"

/* Whatever others send, nothing looks at: raw sockets, ICMP echo, UDP-Lite, SCTP and so
 * on. Not where anything is denied. */
SEC("cgroup/sock_create") int graft_create(struct bpf_sock *ctx)
{
	__u32 image = image_now(), flags;

	if (!image || is_judged(ctx->type, ctx->protocol))
		return 1;
	flags = image_flags(image);
	if (!(flags & IMAGE_DENIES))
		return 1;
	trace_refused(TRACED_SOCKET, JUDGE_OTHER, TRACED_RAW, flags, NULL);
	return flags & IMAGE_AUDIT ? 1 : 0;
}

/* Attached where a policy is isolated, and only there: it meets every packet. */
SEC("cgroup_skb/ingress") int graft_ingress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct view *view;

	if (skb->ifindex == LOOPBACK || !sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != IPPROTO_UDP)
		return 1;
	view = bpf_sk_storage_get(&graft_views, sk, 0, 0);
	return !(view && view->flags & VIEW_LOCAL);
}

/* Some of what the kernel offers is for programs under the GPL alone, and ours may be
 * used under it: LGPL 2.1, section 3. */
char LICENSE[] SEC("license") = "GPL";
