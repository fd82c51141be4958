/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A loopback of a policy's own: 127.0.0.0/8 and [::1] of those it judges, whom no other
 * policy's sockets see there.
 *
 * Theory of operation. A socket that binds to such an address really gets any port of
 * it, and an entry says by policy, address and port asked for where it is; one that
 * connects is led there, or is refused. A socket bound to all addresses is where it says
 * it is, and has an entry so that it is found; so has one that asked for no port, by the
 * one it got, or by another one where somebody has asked for that and is elsewhere. A
 * second entry, by the port it really has, puts back what was asked for in the source of
 * datagrams and in accept(). Where the policy is isolated (IMAGE_ISOLATED) a socket bound
 * to all addresses gets any port too. One of datagrams hears nothing but lo until a rule
 * leads it out (VIEW_LOCAL, graft_ingress); one of streams is kept to lo by who sees
 * listen().
 *
 * An address that may be shared (SO_REUSEPORT, and SO_REUSEADDR of datagrams) has an
 * entry for each socket, by index; index 0 is one that may not be shared, or the first
 * that came. bpf_map_update_elem(BPF_NOEXIST) decides who gets an index, and only who
 * has the socket whose cookie is in an entry takes it away, so there is no lock.
 *
 * A datagram socket that is not bound has no entry. It is answered because its view
 * shows that it belongs to this policy. One of another's, or the host's, is answered by
 * who heard of it: a socket that a rule led out of this loopback.
 */
#pragma once

#include "intercept/cgroup/endpoint.bpf.h"

static __always_inline int is_loopback(const struct judge_call *call)
{
	if (judge_is_mapped(call))
		return call->address[3] >> 24 == 127;
	return !call->address[0] && !call->address[1] && !call->address[2] &&
	       call->address[3] == 1;
}

/* Is it a call to the policy's own loopback? */
static __always_inline int is_own(const struct call *call)
{
	return call->flags & IMAGE_LOOPBACK && target_of(call) == TARGET_OWN &&
	       (is_loopback(&call->judged) ||
		(call->judged.op == JUDGE_BIND && is_wildcard(&call->judged)));
}

/* Is it one to the own stack that has nothing but its loopback? */
static __always_inline int leads_nowhere(const struct call *call)
{
	return call->flags & IMAGE_ISOLATED && target_of(call) == TARGET_OWN &&
	       !is_own(call);
}

/* Does it go where it says, in a policy without a loopback of its own? */
static __always_inline int goes_there(const struct call *call)
{
	__u32 target = target_of(call);

	return !(call->flags & (IMAGE_LOOPBACK | IMAGE_ISOLATED)) &&
	       target != TARGET_ENDPOINT && target != TARGET_FROM &&
	       target != TARGET_DENY;
}

/* The socket goes out, by a rule: whoever it is spoken to may answer. */
static __always_inline void let_out(struct bpf_sock_addr *ctx, const struct call *call,
				    const struct spot *given)
{
	struct view *view;

	if (!(call->flags & IMAGE_ISOLATED) || call->judged.proto == 0 ||
	    spot_is_loopback(given))
		return;
	view = view_of(ctx, 1);
	if (!view)
		return;
	view->flags &= ~VIEW_LOCAL;
	view->flags |= VIEW_OUT;
}

/* It is spoken to by its policy's own loopback alone, until it goes out. */
static __always_inline void keep_in(struct view *view, const struct call *call)
{
	if (call->flags & IMAGE_ISOLATED && call->judged.proto != 0 &&
	    !(view->flags & VIEW_OUT))
		view->flags |= VIEW_LOCAL;
}

static __always_inline void own_key(struct loopback_key *key, const struct call *call)
{
	key->slot = CGROUP_SLOT(call->image);
	key->proto = call->judged.proto;
	key->port = call->judged.port;
	for (int i = 0; i < 4; i++)
		key->address[i] = call->judged.address[i];
}

static __always_inline void key_at(struct loopback_key *key, const struct spot *spot)
{
	if (spot->family == AF_INET6) {
		for (int i = 0; i < 4; i++)
			key->address[i] = bpf_ntohl(spot->address[i]);
	} else {
		key->address[2] = 0xffff;
		key->address[3] = bpf_ntohl(spot->address[0]);
	}
}

static __always_inline void key_to_wildcard(struct loopback_key *key, int is_v4)
{
	key->address[0] = key->address[1] = key->address[3] = 0;
	key->address[2] = is_v4 ? 0xffff : 0;
}

static __always_inline void key_to_loopback(struct loopback_key *key, int is_v4)
{
	key_to_wildcard(key, is_v4);
	key->address[3] = is_v4 ? 0x7f000001 : 1;
}

/* --- who is there --- */

struct sharers {
	struct loopback_key key;
	struct loopback_value chosen;
	__u32 n;
};

/* One of those at @key, each as likely as another: the n-th takes over with a chance of
 * 1 in n. */
static int try_sharer(__u32 index, struct sharers *sharers)
{
	struct loopback_value *value;

	sharers->key.index = index;
	value = bpf_map_lookup_elem(&graft_loopback, &sharers->key);
	if (!value)
		return 0;
	sharers->n++;
	if (bpf_get_prandom_u32() % sharers->n == 0)
		sharers->chosen = *value;
	return 0;
}

__noinline int find_sharer(struct loopback_key *key, struct loopback_value *ret)
{
	struct sharers sharers = {};

	if (!key || !ret)
		return 0;
	sharers.key = *key;
	bpf_loop(LOOPBACK_SHARERS, try_sharer, &sharers, 0);
	*ret = sharers.chosen;
	return sharers.n > 0;
}

/* Mostly there is one at most, and it does not share. */
static __always_inline int find_at(struct loopback_key *key, struct loopback_value *ret)
{
	struct loopback_value *value;

	key->index = 0;
	value = bpf_map_lookup_elem(&graft_loopback, key);
	if (!value || value->flags & (LOOPBACK_PORT_SHARED | LOOPBACK_ADDR_SHARED))
		return find_sharer(key, ret);
	*ret = *value;
	return 1;
}

/* Whoever is bound to the address @wanted has, or to all addresses. */
__noinline int find_own_binder(const struct loopback_key *wanted,
			       struct loopback_value *ret)
{
	struct loopback_key key = {};
	int is_v4;

	if (!wanted || !ret)
		return 0;
	key = *wanted; /* Linux 6.1 takes none of a caller's */
	is_v4 = key.address[2] == 0xffff;
	if (find_at(&key, ret))
		return 1;
	if (is_v4) {
		key_to_wildcard(&key, 1);
		if (find_at(&key, ret))
			return 1;
	}
	key_to_wildcard(&key, 0);
	return find_at(&key, ret) && !(is_v4 && ret->flags & LOOPBACK_V6ONLY);
}

/* Of a datagram from here; it may be connected to us. From a wildcard address they come
 * from the first of the loopback's. */
static __always_inline struct bpf_sock *find_receiver(struct bpf_sock_addr *ctx,
						      const struct call *call)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk = ctx->sk;

	if (judge_is_mapped(&call->judged)) {
		tuple.ipv4.saddr = sk->src_ip4 ? sk->src_ip4 : bpf_htonl(0x7f000001);
		tuple.ipv4.sport = bpf_htons(sk->src_port);
		tuple.ipv4.daddr = bpf_htonl(call->judged.address[3]);
		tuple.ipv4.dport = call->asked.port;
		return bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4),
					 BPF_F_CURRENT_NETNS, 0);
	}
	tuple.ipv6.saddr[3] = tuple.ipv6.daddr[3] = bpf_htonl(1);
	tuple.ipv6.sport = bpf_htons(sk->src_port);
	tuple.ipv6.dport = call->asked.port;
	return bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
}

static __always_inline void heard_key(struct sent_key *key, struct bpf_sock_addr *ctx,
				      const struct spot *source)
{
	key->cookie = bpf_get_socket_cookie(ctx);
	key->to = *source;
	if (source->family == AF_INET)
		spot_map(&key->to);
}

/* A datagram came from @source. */
static __always_inline void note_heard(struct bpf_sock_addr *ctx,
				       const struct spot *source)
{
	struct sent_key key = {};

	heard_key(&key, ctx, source);
	if (!bpf_map_lookup_elem(&graft_sent, &key))
		bpf_map_update_elem(&graft_sent, &key, &key.to, BPF_NOEXIST);
}

static __always_inline int was_heard(struct bpf_sock_addr *ctx, const struct spot *source)
{
	struct sent_key key = {};

	heard_key(&key, ctx, source);
	return bpf_map_lookup_elem(&graft_sent, &key) != NULL;
}

/* A datagram socket of this policy's that is not bound? */
static __always_inline int is_own_client(struct bpf_sock_addr *ctx,
					 const struct call *call)
{
	struct bpf_sock *found;
	struct view *view;
	int is_it;

	if (call->judged.proto != 1 || !ctx->sk)
		return 0;
	if (is_peer_now(ctx, &call->asked, call->judged.is_v6) ||
	    was_heard(ctx, &call->asked))
		return 1;
	found = find_receiver(ctx, call);
	if (!found)
		return 0;
	view = bpf_sk_storage_get(&graft_views, found, 0, 0);
	is_it = view && view->slot == CGROUP_SLOT(call->image) &&
		!(view->flags & VIEW_BOUND);
	bpf_sk_release(found);
	return is_it;
}

/* Where a connect, or a datagram, really goes. Return: 0, or the error to fail with. */
static __always_inline int find_own(struct bpf_sock_addr *ctx, const struct call *call,
				    struct spot *given)
{
	struct loopback_value value = {};
	struct loopback_key key = {};

	own_key(&key, call);
	*given = call->asked;
	if (!find_own_binder(&key, &value))
		return is_own_client(ctx, call) ? 0 : ECONNREFUSED;
	given->port = value.at.port;
	if (!spot_is_zero(&value.at)) {
		*given = value.at;
		return fit_family(call, given);
	}
	/* A wildcard address asked for is loopback. */
	if (spot_is_zero(given))
		spot_to_loopback(given, call->judged.is_v6);
	return 0;
}

/* --- bind --- */

static __always_inline __u32 shares(struct bpf_sock_addr *ctx, const struct call *call)
{
	__u32 flags = 0;
	struct sock_head head = {};
	struct sock *sk = (void *)&head;

	if (!ctx->sk)
		return 0;
	bpf_probe_read_kernel(&head, sizeof(head), ctx->sk);
	if (BPF_CORE_READ_BITFIELD(sk, __sk_common.skc_reuseport))
		flags |= LOOPBACK_PORT_SHARED;
	if (call->judged.proto == 1 && BPF_CORE_READ_BITFIELD(sk, __sk_common.skc_reuse))
		flags |= LOOPBACK_ADDR_SHARED;
	if (call->judged.v6only)
		flags |= LOOPBACK_V6ONLY;
	if (call->flags & IMAGE_ISOLATED)
		flags |= LOOPBACK_MOVED;
	return flags;
}

static __always_inline int is_taken(struct loopback_key *key, __u32 flags, int asks_v4)
{
	const __u32 shared = LOOPBACK_PORT_SHARED | LOOPBACK_ADDR_SHARED;
	struct loopback_value value = {};

	if (!find_at(key, &value) || value.flags & flags & shared)
		return 0;
	/* An IPv4 address is not what an IPv6 socket alone has. */
	return !(asks_v4 && value.flags & LOOPBACK_V6ONLY);
}

/* By somebody whose socket is another than the kernel would find: at the address itself,
 * or at one that holds it. */
__noinline int is_own_taken(const struct loopback_key *wanted, __u32 flags)
{
	struct loopback_key key = {};
	int is_v4, is_all;

	if (!wanted)
		return 0;
	key = *wanted;
	is_v4 = key.address[2] == 0xffff;
	is_all = !key.address[3];
	if (is_taken(&key, flags, 0))
		return 1;
	if (!is_all) {
		key_to_wildcard(&key, is_v4);
		if (is_taken(&key, flags, 0))
			return 1;
		key_to_wildcard(&key, 0);
		return is_v4 && is_taken(&key, flags, 1);
	}
	/* Where the ports are others the kernel finds no such two. */
	if (flags & LOOPBACK_MOVED && (is_v4 || !(flags & LOOPBACK_V6ONLY))) {
		key_to_wildcard(&key, !is_v4);
		if (is_taken(&key, flags, is_v4))
			return 1;
	}
	key_to_loopback(&key, is_v4);
	if (is_taken(&key, flags, 0))
		return 1;
	if (is_v4 || flags & LOOPBACK_V6ONLY)
		return 0;
	key_to_loopback(&key, 1);
	return is_taken(&key, flags, 0);
}

/* Return: 0 with @given, or the error to fail with. */
__noinline int bind_own(struct bpf_sock_addr *ctx, const struct call *call,
			struct spot *given)
{
	struct loopback_key key = {};
	struct view *view;
	__u32 flags;

	if (!call || !given)
		return EPERM;
	flags = shares(ctx, call);
	own_key(&key, call);
	if (key.port && is_own_taken(&key, flags))
		return EADDRINUSE;
	*given = call->asked;
	if (call->flags & IMAGE_ISOLATED || !is_wildcard(&call->judged))
		given->port = 0;
	view = note_bind(ctx, &call->asked, given, 0);
	if (!view)
		return ENOBUFS;
	view->slot = key.slot;
	view->shares = flags;
	keep_in(view, call);
	return 0;
}

/* --- the entries --- */

/* The socket's, as @view has it: by what it asked for. */
static __always_inline void key_of(struct loopback_key *key, const struct view *view,
				   __u32 proto)
{
	const struct spot *asked = &view->bound_asked;

	key->slot = view->slot;
	key->proto = proto;
	key->port = bpf_ntohs(asked->port ? asked->port : view->bound_is.port);
	key_at(key, asked);
}

static __always_inline void key_to_reverse(struct loopback_key *key,
					   const struct view *view)
{
	key->port = bpf_ntohs(view->bound_is.port);
	key->index = LOOPBACK_REVERSE;
}

static __always_inline int is_full(__u32 slot, int more)
{
	__u32 *n = bpf_map_lookup_elem(&graft_loopback_n, &slot);

	if (!n)
		return 1;
	if (more < 0) {
		__sync_fetch_and_add(n, -1);
		return 0;
	}
	if (*n >= LOOPBACK_OF_ONE)
		return 1;
	__sync_fetch_and_add(n, 1);
	return 0;
}

/* Return: the index, or -EADDRINUSE: others have it, or all of them; -ENOBUFS: the map
 * is full, or the kernel has no memory for it. */
__noinline int take_index(const struct loopback_key *wanted,
			  const struct loopback_value *entry)
{
	const __u32 shared = LOOPBACK_PORT_SHARED | LOOPBACK_ADDR_SHARED;
	struct loopback_value value = {};
	struct loopback_key key = {};
	int error; /* Linux 6.1 returns no more than that */

	if (!wanted || !entry)
		return -EADDRINUSE;
	key = *wanted;
	value = *entry;
	for (__u32 i = 0; i < LOOPBACK_SHARERS; i++) {
		key.index = i;
		error = (int)bpf_map_update_elem(&graft_loopback, &key, &value,
						 BPF_NOEXIST);
		if (!error)
			return i;
		if (error != -EEXIST)
			return -ENOBUFS;
		if (!(value.flags & shared))
			return -EADDRINUSE;
	}
	return -EADDRINUSE;
}

/* Of a socket that asked for no port: which one it is found by. */
struct naming {
	struct loopback_key key;
	struct loopback_value value;
	int index;
};

static long try_name(__u32 i, struct naming *naming)
{
	struct loopback_value value = naming->value;
	struct loopback_key key = naming->key;

	if (i)
		key.port = NAMES_FROM + bpf_get_prandom_u32() % NAMES;
	if (is_own_taken(&key, 0))
		return 0;
	naming->index = take_index(&key, &value);
	naming->key.port = key.port;
	return naming->index != -EADDRINUSE;
}

/* The kernel picks a port that nobody is at, but somebody may have asked for it who is
 * at another. Return: as take_index(), with the port in @key. */
static __always_inline int take_name(struct loopback_key *key,
				     const struct loopback_value *value)
{
	struct naming naming = {};

	naming.key = *key;
	naming.value = *value;
	naming.index = -EADDRINUSE;
	bpf_loop(NAMES_TRIED, try_name, &naming, 0);
	key->port = naming.key.port;
	return naming.index;
}

/* Return: 0, or the error to fail with: somebody has it, or there is no room. */
static __always_inline int add_own(struct view *view, __u32 proto, const struct spot *at)
{
	struct loopback_value value = {};
	struct loopback_key key = {};
	int index;

	key_of(&key, view, proto);
	value.cookie = view->cookie;
	value.at = *at;
	value.flags = view->shares;
	if (is_full(view->slot, 1))
		return EPERM;
	/* Where others see a socket that is bound to all addresses, it is where it is. */
	if (view->bound_asked.port ||
	    (spot_is_all(&view->bound_asked) && !(view->shares & LOOPBACK_MOVED)))
		index = take_index(&key, &value);
	else
		index = take_name(&key, &value);
	if (index < 0) {
		is_full(view->slot, -1);
		return -index;
	}
	if (key.port != bpf_ntohs(at->port))
		view->bound_asked.port = bpf_htons(key.port);
	view->index = index;
	view->flags |= VIEW_OWN;
	if (view->bound_asked.port && view->bound_asked.port != at->port) {
		key_to_reverse(&key, view);
		value.at = view->bound_asked;
		bpf_map_update_elem(&graft_loopback, &key, &value, BPF_ANY);
	}
	return 0;
}

static __always_inline void drop_own(const struct view *view, __u32 proto)
{
	struct loopback_key key = {};
	struct loopback_value *value;

	key_of(&key, view, proto);
	key.index = view->index;
	value = bpf_map_lookup_elem(&graft_loopback, &key);
	if (!value || value->cookie != view->cookie)
		return;
	bpf_map_delete_elem(&graft_loopback, &key);
	is_full(view->slot, -1);
	key_to_reverse(&key, view);
	value = bpf_map_lookup_elem(&graft_loopback, &key);
	if (value && value->cookie == view->cookie)
		bpf_map_delete_elem(&graft_loopback, &key);
}

/* --- what is shown --- */

/* @is, seen by a socket of @slot's: was another port asked for? */
static __always_inline void show_own_port(__u32 slot, __u32 proto, struct spot *is)
{
	struct loopback_value *value;
	struct loopback_key key = {};

	key.slot = slot;
	key.proto = proto;
	key.port = bpf_ntohs(is->port);
	key.index = LOOPBACK_REVERSE;
	key_at(&key, is);
	value = bpf_map_lookup_elem(&graft_loopback, &key);
	/* Bound to all addresses, where that is another port too. */
	if (!value) {
		key_to_wildcard(&key, key.address[2] == 0xffff);
		value = bpf_map_lookup_elem(&graft_loopback, &key);
	}
	if (!value) {
		key_to_wildcard(&key, 0);
		value = bpf_map_lookup_elem(&graft_loopback, &key);
	}
	if (value)
		is->port = value->at.port;
}
