/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Constants and maps of the programs; maps.h says what is in them.
 */
#pragma once

#include "intercept/cgroup/image.bpf.h"
#include "intercept/cgroup/maps.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <linux/in.h>

/* <sys/socket.h>, <netinet/in.h> and <errno.h> are not for BPF. */
#define AF_UNIX         1
#define AF_INET         2
#define AF_INET6        10
#define SOCK_STREAM     1
#define SOCK_DGRAM      2
#define SOCK_RAW        3
#define SHUT            3 /* sk_shutdown, both ways */
#define EPERM           1
#define ENOENT          2
#define EACCES          13
#define EEXIST          17
#define EAFNOSUPPORT    97
#define EADDRINUSE      98
#define EADDRNOTAVAIL   99
#define ENETUNREACH     101
#define ENOBUFS         105
#define ECONNREFUSED    111
#define TCP_ESTABLISHED 1 /* a connected datagram socket, too */
#define TCP_CLOSE       7 /* of datagrams too, while they are not connected */
#define TCP_LISTEN      10
#define TARGET_OWN      0 /* enum policy_target */
#define TARGET_ENDPOINT 2
#define TARGET_FROM     3
#define TARGET_DENY     4
#define KIND_IPV4       0 /* enum endpoint_kind */
#define KIND_IPV6       1
#define KIND_NAMED      4
#define UNIX_PATH_MAX   108

/* What is read of the kernel's own structures, wherever it stands in them. */
struct ns_common {
	unsigned int inum;
} __attribute__((preserve_access_index));

struct net {
	struct ns_common ns;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
} __attribute__((preserve_access_index));

struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	unsigned char skc_ipv6only : 1;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	unsigned long skc_flags;
	struct {
		__s64 counter;
	} skc_cookie;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
} __attribute__((preserve_access_index));

struct net_device {
	int ifindex;
} __attribute__((preserve_access_index));

struct dst_entry {
	struct net_device *dev;
} __attribute__((preserve_access_index));

struct file {
	unsigned int f_flags;
} __attribute__((preserve_access_index));

struct sock;

struct socket {
	struct file *file;
	struct sock *sk;
} __attribute__((preserve_access_index));

typedef struct {
	int owned;
} __attribute__((preserve_access_index)) socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	struct socket *sk_socket;
	struct dst_entry *sk_dst_cache;
	void *sk_user_data;
	__u16 sk_type, sk_protocol;
	__u8 sk_shutdown;
	__u8 sk_kern_sock : 1;
} __attribute__((preserve_access_index));

struct inet_sock {
	struct sock sk;
} __attribute__((preserve_access_index));

struct request_sock_queue {
	__u8 rskq_defer_accept;
} __attribute__((preserve_access_index));

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
	const void *icsk_ulp_ops;
} __attribute__((preserve_access_index));

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 copied_seq;
	__u32 write_seq, snd_una;
	__u32 data_segs_in;
} __attribute__((preserve_access_index));

struct sk_psock {
	__u32 msg_tot_len; /* not in every kernel */
} __attribute__((preserve_access_index));

struct sk_msg {
	struct sock *sk_redir;
} __attribute__((preserve_access_index));

enum sock_flags {
	SOCK_ZEROCOPY,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2 * CGROUP_SLOTS);
	__type(key, __u32);
	__array(values, struct image_map);
} graft_images SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct judged);
} graft_judged SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slots);
} graft_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * CGROUP_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} graft_retired SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct view);
} graft_views SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct notes);
} graft_made SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CGROUP_BRIEF);
	__type(key, __u32);
	__type(value, struct brief);
} graft_brief SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct revoking);
} graft_revoking SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CGROUP_SENT);
	__type(key, struct sent_key);
	__type(value, struct spot);
} graft_sent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CGROUP_LAST);
	__type(key, __u32);
	__type(value, struct last);
} graft_last SEC(".maps");

/* As struct endpoint_value. */
struct binders {
	struct bpf_spin_lock lock;
	__u32 n;
	struct binder of[PLACES_BINDERS];
};

_Static_assert(sizeof(struct binders) == sizeof(struct endpoint_value), "endpoint");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PLACES_ENDPOINTS);
	__type(key, __u32);
	__type(value, struct binders);
} graft_endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PLACES_ENDPOINTS);
	__type(key, struct endpoint_key);
	__type(value, __u32);
} graft_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PLACES_ENDPOINTS);
	__type(key, __u32);
	__type(value, struct place);
} graft_places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PLACES_ENDPOINTS);
	__type(key, __u32);
	__type(value, struct granted);
} graft_granted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LOOPBACK_MAX);
	__type(key, struct loopback_key);
	__type(value, struct loopback_value);
} graft_loopback SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CGROUP_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} graft_loopback_n SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CGROUP_TRACERS);
	__type(key, __u32);
	__type(value, struct tracer);
} graft_tracers SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CGROUP_RING);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, CGROUP_TRACERS);
	__type(key, __u32);
	__array(values, struct ring);
} graft_traced SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} graft_control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, CGROUP_SHORTCUTS);
	__type(key, __u64);
	__type(value, __u64);
} graft_shortcuts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CGROUP_SHORTCUTS);
	__type(key, struct end_key);
	__type(value, struct speaker);
} graft_ends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct side);
} graft_sides SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CGROUP_SERVED);
	__type(key, struct served_key);
	__type(value, struct served);
} graft_served SEC(".maps");
