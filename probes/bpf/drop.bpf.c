/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Packets that the kernel threw away, and whose loss that is. */

#define DEVICES_A_PLACE 16

/* One for each program. They don't nest on a CPU: the kernel skips a tracing program that is already running there. */
struct drop_work {
	struct packet packet;
	struct tuple_key key;
	struct tuple reply; /* the packet's flow from its destination's side */
	struct process owner;
	u32 second; /* in which 'told' records were written, where every process is a target */
	u32 told;
};

/* Where every process is a target, a CPU tells of so many drops a second: all of them are counted by process. */
#define DROPS_TOLD 256

static __always_inline bool told_enough(struct drop_work *w)
{
	u32 second = bpf_ktime_get_ns() / 1000000000;

	if (w->second != second) {
		w->second = second;
		w->told = 0;
	}
	return w->told++ >= DROPS_TOLD;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct drop_work);
} drop_scratch SEC(".maps");

static __always_inline u8 class_of(u32 reason)
{
	return reason < REASONS_MAX ? cfg_reasons[reason] : DROP_PLAIN;
}

static __always_inline bool is_quiet(u32 reason, u64 location)
{
	if (class_of(reason) == DROP_QUIET)
		return true;
	if (reason != cfg_reason_not_specified)
		return false;
	for (int i = 0; i < QUIET_MAX; i++)
		if (location >= cfg_quiet_ranges[2 * i] && location < cfg_quiet_ranges[2 * i + 1])
			return true;
	return false;
}

/* 127.0.0.0/8, IPv4-mapped, or ::1 */
static __always_inline bool is_loopback(const u8 *a)
{
	u64 high;
	u32 middle, low;

	__builtin_memcpy(&high, a, 8);
	__builtin_memcpy(&middle, a + 8, 4);
	__builtin_memcpy(&low, a + 12, 4);
	if (high)
		return false;
	if (middle == bpf_htonl(0xffff))
		return a[12] == 127;
	return !middle && low == bpf_htonl(1);
}

/* The target's socket that has this flow, where it can be the one meant in this namespace. */
static __always_inline struct flow_value *flow_at(const struct tuple *t, u64 netns)
{
	struct flow_value *f = bpf_map_lookup_elem(&flows, t);

	if (f && f->netns != netns && is_loopback(t->local))
		return 0;
	return f;
}

static __always_inline bool owner_by_tuple(struct drop_work *w, const struct tuple *t, u64 *cookie)
{
	struct tuple_value *v;

	w->key.tuple = *t;
	v = bpf_map_lookup_elem(&tuples, &w->key);
	if (!v)
		return false;
	*cookie = v->cookie;
	w->owner = v->owner;
	return true;
}

static __always_inline bool owner_by_port(struct drop_work *w, u64 netns, const struct tuple *t)
{
	struct listener_key k = { .netns = netns, .port = t->lport, .proto = t->proto };
	struct listener *l = bpf_map_lookup_elem(&listeners, &k);

	if (!l)
		return false;
	w->owner = l->owner;
	return true;
}

/* The device of this number. The kernel's table of them has 256 places (NETDEV_HASHENTRIES), each with few devices. */
static __always_inline struct net_device *device_by_index(struct net *net, int ifindex)
{
	struct hlist_head *heads = BPF_CORE_READ(net, dev_index_head);
	struct hlist_node *node = BPF_CORE_READ(&heads[ifindex & 255], first);

	for (int i = 0; i < DEVICES_A_PLACE && node; i++) {
		struct net_device *dev = (void *)node - bpf_core_field_offset(struct net_device, index_hlist);

		if (BPF_CORE_READ(dev, ifindex) == ifindex)
			return dev;
		node = BPF_CORE_READ(node, next);
	}
	return 0;
}

/* skb->dev shares its place with other things, and is gone where a socket has the packet: then the way it came by. */
static __always_inline struct net_device *device_of(struct sk_buff *skb, const struct sock *sk, u8 direction)
{
	struct net_device *dev = BPF_CORE_READ(skb, dev);
	struct dst_entry *dst;
	int iif;

	if (BPF_CORE_READ(dev, nd_net.net, net_cookie) && BPF_CORE_READ(dev, ifindex))
		return dev;
	iif = BPF_CORE_READ(skb, skb_iif);
	if (direction != DIR_OUT && sk && iif)
		return device_by_index(BPF_CORE_READ(sk, __sk_common.skc_net.net), iif);
	/* The lowest bit tells whether the route is counted. */
	dst = (struct dst_entry *)(BPF_CORE_READ(skb, _skb_refdst) & ~1ul);
	return dst ? BPF_CORE_READ(dst, dev) : 0;
}

static __always_inline void tell_qdisc(struct ev_drop *e, struct sk_buff *skb, struct net_device *dev)
{
	u32 queue = BPF_CORE_READ(skb, queue_mapping);
	void *queues = BPF_CORE_READ(dev, _tx);
	struct Qdisc_ops *ops;
	struct Qdisc *q;

	if (queue < BPF_CORE_READ(dev, num_tx_queues))
		queues += queue * bpf_core_type_size(struct netdev_queue);
	q = BPF_CORE_READ((struct netdev_queue *)queues, qdisc);
	if (!q)
		return;
	e->queue = QUEUE_QDISC;
	e->qdisc_handle = BPF_CORE_READ(q, handle);
	e->queue_limit = BPF_CORE_READ(q, limit);
	e->queue_fill = BPF_CORE_READ(q, q.qlen);
	e->queue_bytes = BPF_CORE_READ(q, qstats.backlog);
	ops = BPF_CORE_READ(q, ops);
	bpf_probe_read_kernel_str(e->qdisc, sizeof(e->qdisc), &ops->id);
}

static __always_inline void tell_accept_queue(struct ev_drop *e, const struct sock *listening)
{
	e->queue = QUEUE_ACCEPT;
	e->queue_limit = BPF_CORE_READ(listening, sk_max_ack_backlog);
	e->queue_fill = BPF_CORE_READ(listening, sk_ack_backlog);
}

/* The queue that was full, as it is now. */
static __always_inline void tell_queue(struct ev_drop *e, u8 class, struct sk_buff *skb, struct net_device *dev,
				       const struct sock *sk)
{
	if (class == DROP_QDISC) {
		if (dev)
			tell_qdisc(e, skb, dev);
		return;
	}
	if (!sk)
		return;
	switch (class) {
	case DROP_RECEIVE:
		e->queue = QUEUE_RECEIVE;
		e->queue_limit = BPF_CORE_READ(sk, sk_rcvbuf);
		e->queue_fill = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
		break;
	case DROP_BACKLOG:
		e->queue = QUEUE_BACKLOG;
		/* tcp_add_backlog(): limit of both buffers together, and some room. */
		e->queue_limit = BPF_CORE_READ(sk, sk_rcvbuf) + BPF_CORE_READ(sk, sk_sndbuf);
		e->queue_fill = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter) + BPF_CORE_READ(sk, sk_backlog.len);
		break;
	case DROP_ACCEPT:
		tell_accept_queue(e, sk);
		break;
	}
}

static __always_inline void count_drop(u64 netns, u32 reason, const struct packet *p, u32 packets, u32 segments)
{
	struct drop_key k = { .netns = netns, .reason = reason, .proto = p->tuple.proto };
	struct drop_count *n, zero = {};

	k.ip = p->ip;
	n = bpf_map_lookup_elem(&drop_totals, &k);
	if (!n) {
		bpf_map_update_elem(&drop_totals, &k, &zero, BPF_NOEXIST);
		n = bpf_map_lookup_elem(&drop_totals, &k);
	}
	if (n) {
		__sync_fetch_and_add(&n->packets, packets);
		__sync_fetch_and_add(&n->segments, segments);
	}
}

/* A packet of other protocols: it is counted, since the kernel's own counters count it. */
static __always_inline void count_other(struct drop_work *w, struct sk_buff *skb, u32 reason)
{
	struct net_device *dev = device_of(skb, 0, DIR_NONE);

	w->packet.tuple.proto = 0;
	if (dev)
		count_drop(BPF_CORE_READ(dev, nd_net.net, net_cookie), reason, &w->packet, 1, 1);
}

/*
 * 'rx_sk': the socket that had the packet, where the kernel tells. 'listening': the listener that swallowed it, found
 * by its port.
 */
static __always_inline int dropped(void *ctx, struct sk_buff *skb, u64 location, u32 reason, struct sock *rx_sk,
				   const struct sock *listening)
{
	u64 netns = 0, sk_netns = 0, cookie = 0, peer = 0;
	struct flow_value *here, *there;
	struct netns_counters *c;
	struct sock_state *st = 0;
	struct net_device *dev;
	u32 inum = 0, slot = !!listening, segments;
	u8 class = class_of(reason);
	struct drop_work *w;
	u8 direction = DIR_NONE, state;
	const struct tuple *flow;
	struct ev_drop *e;
	bool target = false, owned = false;
	struct sock *sk = rx_sk;

	if (is_quiet(reason, location))
		return 0;
	w = bpf_map_lookup_elem(&drop_scratch, &slot);
	if (!w)
		return 0;
	w->packet.tuple.proto = w->packet.ip = 0;
	if (!parse_packet(&w->packet, skb)) {
		count_other(w, skb, reason);
		return 0;
	}
	reverse(&w->reply, &w->packet.tuple);
	__builtin_memset(&w->owner, 0, sizeof(w->owner));

	if (listening) {
		netns = netns_of(listening);
		inum = netns_inum_of(listening);
		direction = DIR_IN;
	} else if (rx_sk) {
		/* A packet socket's or a raw socket's copy is not the flow's loss. */
		if (!inet_proto(rx_sk))
			return 0;
		netns = netns_of(rx_sk);
		inum = netns_inum_of(rx_sk);
		direction = DIR_IN;
		state = rx_sk->__sk_common.skc_state;
		if (state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV && state != TCP_LISTEN) {
			st = sock_state_of(rx_sk, false);
		} else if (state == TCP_LISTEN) {
			struct sock_state *l = sock_state_of(rx_sk, false);

			if (l) {
				w->owner = l->owner;
				owned = true;
			}
			/*
			 * cookie_v4_check() gives this reason to a handshake that ends at a full accept queue, which the
			 * listener counts; meanwhile there may be room again.
			 */
			if (account_listener(rx_sk, netns) && reason == cfg_reason_no_socket) {
				reason = cfg_reason_listen_overflow;
				class = DROP_ACCEPT;
			}
		}
	} else {
		/* skb->dev shares its place with other things; what doesn't read as a device isn't one. */
		dev = skb->dev;
		netns = BPF_CORE_READ(dev, nd_net.net, net_cookie);
		inum = BPF_CORE_READ(dev, nd_net.net, ns.inum);
		sk = skb->sk;
		if (sk) {
			sk_netns = netns_of(sk);
			state = sk->__sk_common.skc_state;
			if (!netns) {
				netns = sk_netns;
				inum = netns_inum_of(sk);
			}
			/* Across a veth a packet may still carry its sender, of another namespace. */
			if (netns == sk_netns) {
				if (state == TCP_NEW_SYN_RECV) {
					struct sock *listener = BPF_CORE_READ(sk, __sk_common.skc_listener);
					u64 key = BPF_CORE_READ(listener, __sk_common.skc_cookie.counter);
					struct process *p = bpf_map_lookup_elem(&listener_owners, &key);

					direction = sk->__sk_common.skc_num == w->packet.tuple.lport ? DIR_OUT :
												      DIR_IN;
					if (p) {
						w->owner = *p;
						owned = true;
					}
				} else if (state != TCP_TIME_WAIT && inet_proto(sk)) {
					direction = sk->__sk_common.skc_num == w->packet.tuple.lport ? DIR_OUT :
												      DIR_IN;
					st = bpf_sk_storage_get(&sock_states, sk, 0, 0);
					if (!st && current_sends_on(sk)) {
						st = sock_state_of(by_socket(sk), true);
						if (st)
							own(st);
					}
				}
			}
		}
	}

	/* At the packet filter, what came in by no interface goes out: a reset, an answer of a socket that is gone. */
	if (class == DROP_NETFILTER && direction == DIR_NONE && !BPF_CORE_READ(skb, skb_iif))
		direction = DIR_OUT;
	w->key.netns = netns;
	if (st) {
		cookie = st->cookie;
		w->owner = st->owner;
		target = st->flags & SOCK_TARGET;
		owned = st->owner.tgid != 0;
	} else if (!owned) {
		if (direction != DIR_OUT && owner_by_tuple(w, &w->reply, &cookie)) {
			direction = DIR_IN;
			owned = true;
		} else if (direction != DIR_IN && owner_by_tuple(w, &w->packet.tuple, &cookie)) {
			direction = DIR_OUT;
			owned = true;
		} else if (direction != DIR_OUT && owner_by_port(w, netns, &w->reply)) {
			direction = DIR_IN;
			owned = true;
		} else if (direction != DIR_IN && owner_by_port(w, netns, &w->packet.tuple)) {
			direction = DIR_OUT;
			owned = true;
		}
	}

	segments = segments_of(skb);
	c = counters_of(netns, inum);
	if (owned)
		COUNT(c, drops_owned, 1);
	else
		COUNT(c, drops_unowned, 1);
	count_drop(netns, reason, &w->packet, 1, segments);
	if (cfg_accounts && owned)
		account_drop(&w->owner, reason);

	/* Whom to tell: the target that was hurt here, or the target at the other end. */
	here = flow_at(&w->reply, netns);
	there = flow_at(&w->packet.tuple, netns);
	if (direction == DIR_NONE) {
		/* Nobody's here, as on a router: told from the side whose other end is a target's. */
		direction = there ? DIR_IN : DIR_OUT;
	}
	flow = direction == DIR_IN ? &w->reply : &w->packet.tuple;
	if (direction == DIR_OUT) {
		struct flow_value *swap = here;

		here = there;
		there = swap;
	}
	if (there && there->cookie != cookie)
		peer = there->cookie;
	if (!target && owned)
		target = (here && here->cookie == cookie) || is_target(w->owner.tgid);
	if ((!target && !peer) || (cfg_wide && (!cookie || told_enough(w))))
		return 0;

	e = RESERVE(struct ev_drop, KIND_DROP);
	if (!e)
		return 0;
	e->location = location;
	e->netns = netns;
	e->cookie = cookie;
	e->peer_cookie = peer;
	e->tuple = *flow;
	e->owner = w->owner;
	if (target)
		e->owner.flags |= PROCESS_TARGET;
	e->netns_inum = inum;
	e->reason = reason;
	e->seq = w->packet.seq;
	e->payload_len = w->packet.payload_len;
	e->segments = segments;
	e->tcp_flags = w->packet.tcp_flags;
	e->direction = direction;
	e->ttl = w->packet.ttl;
	dev = device_of(skb, listening ? listening : sk, direction);
	if (dev) {
		e->ifindex = BPF_CORE_READ(dev, ifindex);
		bpf_probe_read_kernel_str(e->ifname, sizeof(e->ifname), &dev->name);
	}
	tell_queue(e, class, skb, dev, listening ? listening : rx_sk);
	if (class == DROP_NETFILTER)
		bpf_get_stack(ctx, e->stack, sizeof(e->stack), 0);
	bpf_ringbuf_submit(e, WAKE_UP);
	return 0;
}

SEC("tp_btf/kfree_skb")
int on_kfree_skb(u64 *ctx)
{
	struct sock *rx_sk = 0;

	if (cfg_kfree_skb_has_rx_sk)
		rx_sk = (struct sock *)ctx[3];
	return dropped(ctx, (struct sk_buff *)ctx[0], ctx[1], (u32)ctx[2], rx_sk, 0);
}

/*
 * A SYN that finds no room in the accept queue is told to nobody: tcp_conn_request() counts it with the listener, and
 * the packet is consumed as one that was answered. The listener's count tells them apart, and so does the queue: where there
 * is room, what has been counted is another CPU's.
 */
SEC("tp_btf/consume_skb")
int on_consume_skb(u64 *ctx)
{
	struct listener_key k = { .proto = IPPROTO_TCP };
	struct sk_buff *skb = (struct sk_buff *)ctx[0];
	struct drop_work *w;
	struct dst_entry *dst;
	struct listener *l;
	struct sock *sk;
	u32 mine = 1, reason;

	if (ctx[1] < cfg_listen_range[0] || ctx[1] >= cfg_listen_range[1])
		return 0;
	w = bpf_map_lookup_elem(&drop_scratch, &mine);
	if (!w || !parse_packet(&w->packet, skb) || (w->packet.tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return 0;
	/* tcp_v4_rcv() has taken skb->dev away. The lowest bit tells whether the route is counted. */
	dst = (struct dst_entry *)(BPF_CORE_READ(skb, _skb_refdst) & ~1ul);
	k.netns = BPF_CORE_READ(dst, dev, nd_net.net, net_cookie);
	k.port = w->packet.tuple.rport;
	l = bpf_map_lookup_elem(&listeners, &k);
	if (!l || !l->sock)
		return 0;
	sk = (struct sock *)l->sock;
	if ((u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) != l->cookie)
		return 0;
	if (accept_queue_is_full(sk))
		reason = cfg_reason_listen_overflow;
	else if (request_queue_is_full(sk))
		reason = cfg_reason_not_specified;
	else
		return 0;
	if (!take_drop(l, sk))
		return 0;
	return dropped(ctx, skb, cfg_conn_request, reason, 0, sk);
}
