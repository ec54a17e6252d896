/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What every probe needs: records, owners, sockets' tuples and counters. */
#ifndef TRACENET_COMMON_H
#define TRACENET_COMMON_H

/*
 * Fields are read by BPF_CORE_READ where it is not hot: the verifier of newer kernels searches the whole BTF for
 * each plain load through a trusted pointer, which made attaching take twice as long.
 */

/* The sum stands at 0, and is raised last: one look says whether there are any. Programs interrupt each other. */
static __always_inline void count_lost(u32 kind)
{
	u64 *n = bpf_map_lookup_elem(&lost, &kind), *all;
	u32 sum = 0;

	all = bpf_map_lookup_elem(&lost, &sum);
	if (n && all) {
		__sync_fetch_and_add(n, 1);
		__sync_fetch_and_add(all, 1);
	}
}

/*
 * A zeroed record with its header, or NULL with the loss counted. Records are submitted with the default wake-up:
 * the kernel then wakes the reader only when it had caught up, without a race against a reader that goes to sleep.
 */
#define RESERVE(type, event_kind)                                             \
	({                                                                    \
		type *e_ = (event_kind == KIND_IO || event_kind == KIND_SCHEDULED || \
			    event_kind == KIND_READABLE || event_kind == KIND_SIGNAL) ? \
			bpf_ringbuf_reserve(&bulk, sizeof(type), 0) :         \
			bpf_ringbuf_reserve(&news, sizeof(type), 0);          \
		if (e_) {                                                     \
			__builtin_memset(e_, 0, sizeof(type));                \
			e_->h.t = bpf_ktime_get_ns();                         \
			e_->h.kind = event_kind;                              \
		} else {                                                      \
			count_lost(event_kind);                               \
		}                                                             \
		e_;                                                           \
	})

/* Where every process is a target the reader comes by itself: a wake-up costs more than the record. */
#define WAKE_UP (cfg_wide ? BPF_RB_NO_WAKEUP : 0)

/* Only where the context is the acting task's own. */
static __always_inline void set_task(struct ev_header *h)
{
	u64 id = bpf_get_current_pid_tgid();

	h->tgid = id >> 32;
	h->tid = (u32)id;
}

/* It may be a target: one look at an array ends it for those who are none. */
static __always_inline bool hinted(u32 tgid)
{
	u32 slot = tgid % HINT_SLOTS;
	u32 *hint = bpf_map_lookup_elem(&target_hints, &slot);

	return hint && *hint;
}

static __always_inline bool is_target(u32 tgid)
{
	if (cfg_wide)
		return tgid && tgid != cfg_self;
	return hinted(tgid) && bpf_map_lookup_elem(&targets, &tgid);
}

static __always_inline void add_target(u32 tgid, bool announced)
{
	struct target t = { .since_ns = bpf_ktime_get_ns(), .announced = announced };
	u32 slot = tgid % HINT_SLOTS, one = 1;

	bpf_map_update_elem(&target_hints, &slot, &one, BPF_ANY);
	bpf_map_update_elem(&targets, &tgid, &t, BPF_ANY);
}

static __always_inline void process_of(struct process *p, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	p->tgid = task->tgid;
	p->start_ns = leader->start_boottime;
	p->flags = is_target(p->tgid) ? PROCESS_TARGET : 0;
	bpf_probe_read_kernel(p->comm, sizeof(p->comm), leader->comm);
}

/* The bucket of a histogram of times: four to a power of two, so a quarter of the value wide at most. */
static __always_inline u32 bucket_of(u64 ns)
{
	u32 power = 0;
	u64 n = ns;

	if (n < 4)
		return (u32)n;
	if (n >> 32) { n >>= 32; power += 32; }
	if (n >> 16) { n >>= 16; power += 16; }
	if (n >> 8) { n >>= 8; power += 8; }
	if (n >> 4) { n >>= 4; power += 4; }
	if (n >> 2) { n >>= 2; power += 2; }
	if (n >> 1) power += 1;
	return (power - 1) * 4 + (ns >> (power - 2) & 3);
}

static __noinline struct netns_counters *counters_of(u64 netns, u32 inum)
{
	struct netns_counters *c = bpf_map_lookup_elem(&netns_totals, &netns);
	struct netns_counters zero = {};

	if (c)
		return c;
	zero.inum = inum;
	bpf_map_update_elem(&netns_totals, &netns, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&netns_totals, &netns);
}

#define COUNT(c, field, n)                                        \
	do {                                                      \
		struct netns_counters *c_ = (c);                  \
		if (c_)                                           \
			__sync_fetch_and_add(&c_->field, (n));    \
	} while (0)

static __always_inline u64 netns_of(const struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie);
}

static __always_inline u32 netns_inum_of(const struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline void map_v4(u8 *to, __be32 addr)
{
	__builtin_memset(to, 0, 10);
	to[10] = 0xff;
	to[11] = 0xff;
	__builtin_memcpy(to + 12, &addr, 4);
}

/* IPv4 by family; a dual-stack socket's addresses are IPv4-mapped already. */
static __always_inline void tuple_of(struct tuple *t, const struct sock_common *c, u8 proto)
{
	__builtin_memset(t, 0, sizeof(*t));
	t->proto = proto;
	t->lport = BPF_CORE_READ(c, skc_num);
	t->rport = bpf_ntohs(BPF_CORE_READ(c, skc_dport));
	if (BPF_CORE_READ(c, skc_family) == AF_INET) {
		map_v4(t->local, BPF_CORE_READ(c, skc_rcv_saddr));
		map_v4(t->remote, BPF_CORE_READ(c, skc_daddr));
	} else {
		bpf_probe_read_kernel(t->local, 16, &c->skc_v6_rcv_saddr);
		bpf_probe_read_kernel(t->remote, 16, &c->skc_v6_daddr);
	}
}

static __always_inline void reverse(struct tuple *to, const struct tuple *from)
{
	__builtin_memcpy(to->local, from->remote, 16);
	__builtin_memcpy(to->remote, from->local, 16);
	to->lport = from->rport;
	to->rport = from->lport;
	to->proto = from->proto;
	to->pad[0] = to->pad[1] = to->pad[2] = 0;
}

/* TCP or UDP over IP; 0 for every other socket. */
static __always_inline u8 inet_proto(const struct sock *sk)
{
	u16 family = sk->__sk_common.skc_family, proto = sk->sk_protocol, type = sk->sk_type;

	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (proto == IPPROTO_TCP && type == SOCK_STREAM)
		return IPPROTO_TCP;
	if (proto == IPPROTO_UDP && type == SOCK_DGRAM)
		return IPPROTO_UDP;
	return 0;
}

static __always_inline void fill_tcp(struct tcp_counters *c, struct tcp_sock *tp, u8 role)
{
	u32 isn;

	c->bytes_acked = tp->bytes_acked;
	c->bytes_received = tp->bytes_received;
	c->bytes_sent = tp->bytes_sent;
	c->bytes_retrans = tp->bytes_retrans;
	/* As tcp_get_info() scales them. */
	c->srtt_us = tp->srtt_us >> 3;
	c->rttvar_us = tp->mdev_us >> 2;
	c->min_rtt_us = tp->rtt_min.s[0].v;
	c->snd_cwnd = tp->snd_cwnd;
	c->snd_ssthresh = tp->snd_ssthresh;
	c->total_retrans = tp->total_retrans;
	c->segs_in = tp->segs_in;
	c->segs_out = tp->segs_out;
	c->snd_una = tp->snd_una;
	c->snd_nxt = tp->snd_nxt;
	c->write_seq = tp->write_seq;
	c->rcv_nxt = tp->rcv_nxt;
	c->copied_seq = tp->copied_seq;
	c->snd_wnd = tp->snd_wnd;
	c->rcv_wnd = tp->rcv_wnd;
	c->mss_cache = tp->mss_cache;
	c->lost = tp->lost;
	c->reordering = tp->reordering;
	c->dsack_dups = tp->dsack_dups;
	c->rcv_ooopack = tp->rcv_ooopack;
	c->ca_state = BPF_CORE_READ_BITFIELD_PROBED(&tp->inet_conn, icsk_ca_state);
	/*
	 * bytes_acked counts the SYN of an active open (tcp_rcv_synsent_state_process -> tcp_ack), not that of a
	 * passive one, whose snd_una starts behind it (tcp_create_openreq_child).
	 */
	isn = c->snd_una - (u32)c->bytes_acked;
	if (c->write_seq)
		c->local_isn = role == ROLE_SERVER ? isn - 1 : isn;
	/* bytes_received counts the FIN. 0 before the peer's SYN. */
	if (c->rcv_nxt)
		c->remote_isn = c->rcv_nxt - (u32)c->bytes_received - 1;
}

#endif
