/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Packets that the kernel threw away, and whose loss that is. */

/* kfree_skb doesn't nest on a CPU: the kernel skips a tracing program that is already running there. */
struct drop_work {
	struct packet packet;
	struct tuple_key key;
	struct tuple reply; /* the packet's flow from its destination's side */
	struct process owner;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct drop_work);
} drop_scratch SEC(".maps");

static __always_inline bool is_quiet(u32 reason, u64 location)
{
	if (reason < REASONS_MAX && cfg_quiet_reasons[reason])
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
	struct process *p = bpf_map_lookup_elem(&listeners, &k);

	if (!p)
		return false;
	w->owner = *p;
	return true;
}

static __always_inline int dropped(struct sk_buff *skb, u64 location, u32 reason, struct sock *rx_sk)
{
	u64 netns = 0, sk_netns = 0, cookie = 0, peer = 0;
	struct flow_value *here, *there;
	struct netns_counters *c;
	struct sock_state *st = 0;
	struct net_device *dev;
	u32 inum = 0, zero = 0, ifindex = 0, segments;
	struct drop_work *w;
	u8 direction = DIR_NONE, state;
	const struct tuple *flow;
	struct ev_drop *e;
	bool target = false, owned = false;
	struct sock *sk;

	if (is_quiet(reason, location))
		return 0;
	w = bpf_map_lookup_elem(&drop_scratch, &zero);
	if (!w || !parse_packet(&w->packet, skb))
		return 0;
	reverse(&w->reply, &w->packet.tuple);
	__builtin_memset(&w->owner, 0, sizeof(w->owner));

	if (rx_sk) {
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
		}
	} else {
		/* skb->dev shares its place with other things; what doesn't read as a device isn't one. */
		dev = skb->dev;
		ifindex = BPF_CORE_READ(dev, ifindex);
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
	if (reason == cfg_reason_netfilter)
		COUNT(c, drops_netfilter, 1);
	if (reason == cfg_reason_rcvbuff && w->packet.tuple.proto == IPPROTO_UDP)
		COUNT(c, udp_rcvbuf_errors, 1);
	COUNT(c, drop_segments, segments);

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
	if (!target && !peer)
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
	e->ifindex = ifindex;
	e->seq = w->packet.seq;
	e->payload_len = w->packet.payload_len;
	e->segments = segments;
	e->tcp_flags = w->packet.tcp_flags;
	e->direction = direction;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("tp_btf/kfree_skb")
int on_kfree_skb(u64 *ctx)
{
	struct sock *rx_sk = 0;

	if (cfg_kfree_skb_has_rx_sk)
		rx_sk = (struct sock *)ctx[3];
	return dropped((struct sk_buff *)ctx[0], ctx[1], (u32)ctx[2], rx_sk);
}
