/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What TCP sent again, and resets. Segments are the growth of tcp_sock.total_retrans, which TcpRetransSegs counts. */

static __always_inline u32 cause_of(const struct sock *sk, struct tcp_sock *tp, bool *timer)
{
	u8 ca_state = BPF_CORE_READ_BITFIELD_PROBED(&tp->inet_conn, icsk_ca_state);
	u8 pending = tp->inet_conn.icsk_pending;
	u8 state = sk->__sk_common.skc_state;

	*timer = false;
	if (state == TCP_SYN_SENT) {
		*timer = true;
		return CAUSE_SYN;
	}
	if (state == TCP_SYN_RECV)
		return CAUSE_SYNACK;
	if (ca_state == TCP_CA_LOSS) {
		/* tcp_write_timer_handler() clears icsk_pending before the timeout; in slow start the timer runs. */
		*timer = pending == 0;
		return CAUSE_TIMEOUT;
	}
	/* In recovery a pending loss probe is just not cancelled yet. */
	if (ca_state == TCP_CA_RECOVERY)
		return CAUSE_FAST;
	if (pending == ICSK_TIME_LOSS_PROBE)
		return CAUSE_TLP;
	return CAUSE_OTHER;
}

SEC("tp_btf/tcp_retransmit_skb")
int on_retransmit(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct sk_buff *skb = (struct sk_buff *)ctx[1];
	struct tcp_skb_cb *cb = (void *)skb->cb;
	struct netns_counters *c;
	struct ev_retransmit *e;
	struct sock_state *st;
	struct tcp_sock *tp;
	u32 segments, cause, seq = 0, end_seq = 0;
	bool known, timer;

	known = bpf_sk_storage_get(&sock_states, sk, 0, 0) != 0;
	st = sock_state_of(sk, true);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!st || !tp)
		return 0;
	if (known) {
		segments = tp->total_retrans - st->retrans_seen;
	} else {
		u16 n = 0;

		bpf_core_read(&n, sizeof(n), &cb->tcp_gso_segs);
		segments = n;
	}
	if (segments && (!cfg_wide || st->depth >= DEPTH_CONNECTIONS) && (st->flags & SOCK_TARGET))
		tell(sk, st);
	st->retrans_seen = tp->total_retrans;
	st->retransmitted += segments;
	cause = cause_of(sk, tp, &timer);

	c = counters_of(st->netns, netns_inum_of(sk));
	COUNT(c, retransmitted_segments, segments);
	if (cause == CAUSE_FAST)
		COUNT(c, fast, segments);
	else if (cause == CAUSE_TLP)
		COUNT(c, tail_loss_probe, segments);
	else if (cause == CAUSE_TIMEOUT)
		COUNT(c, timeout, segments);
	else if (cause == CAUSE_SYN)
		COUNT(c, syn, segments);
	else if (cause == CAUSE_SYNACK)
		COUNT(c, syn_ack, segments);
	else
		COUNT(c, other, segments);
	if (timer) {
		COUNT(c, timeouts, 1);
		if (cause == CAUSE_SYN)
			COUNT(c, timeouts_syn, 1);
	}
	if (!st->owner.tgid)
		COUNT(c, retransmits_unowned, segments);
	if (cfg_accounts)
		account_retransmits(&st->owner, cause, segments);
	/* -EBUSY: the segment still waits in a queue of this host, and nothing was sent again. */
	if (!segments || !(st->flags & SOCK_TARGET) || (cfg_wide && st->depth < DEPTH_CONNECTIONS))
		return 0;

	e = RESERVE(struct ev_retransmit, KIND_RETRANSMIT);
	if (!e)
		return 0;
	bpf_core_read(&seq, sizeof(seq), &cb->seq);
	bpf_core_read(&end_seq, sizeof(end_seq), &cb->end_seq);
	e->cookie = st->cookie;
	e->netns = st->netns;
	tuple_of(&e->tuple, &sk->__sk_common, IPPROTO_TCP);
	e->owner = st->owner;
	e->seq = seq;
	e->len = skb->len;
	e->segments = segments;
	e->cause = cause;
	bpf_ringbuf_submit(e, WAKE_UP);
	return 0;
}

/* tcp_rtx_synack(): TcpRetransSegs and TCPSynRetrans grow by one. The owner is the listener's. */
SEC("tp_btf/tcp_retransmit_synack")
int on_retransmit_synack(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct request_sock *req = (struct request_sock *)ctx[1];
	struct netns_counters *c;
	struct ev_retransmit *e;
	struct sock_state *st;

	st = sock_state_of(sk, true);
	if (!st)
		return 0;
	c = counters_of(st->netns, netns_inum_of(sk));
	COUNT(c, retransmitted_segments, 1);
	COUNT(c, syn_ack, 1);
	/* Not pending: its own timer sends it (tcp_syn_ack_timeout() counts that), not a repeated SYN. */
	if (!BPF_CORE_READ(req, rsk_timer.entry.pprev)) {
		COUNT(c, timeouts, 1);
		COUNT(c, timeouts_syn_ack, 1);
	}
	if (!st->owner.tgid)
		COUNT(c, retransmits_unowned, 1);
	if (cfg_accounts)
		account_retransmits(&st->owner, CAUSE_SYNACK, 1);
	if (!(st->flags & SOCK_TARGET))
		return 0;
	e = RESERVE(struct ev_retransmit, KIND_RETRANSMIT);
	if (!e)
		return 0;
	e->cookie = st->cookie;
	e->netns = st->netns;
	tuple_of(&e->tuple, &req->__req_common, IPPROTO_TCP);
	e->owner = st->owner;
	e->segments = 1;
	e->cause = CAUSE_SYNACK;
	bpf_ringbuf_submit(e, WAKE_UP);
	return 0;
}

static __always_inline void emit_reset(u64 cookie, u64 netns, const struct tuple *t, u8 direction, u32 reason,
				       u8 has_reason)
{
	struct ev_reset *e = RESERVE(struct ev_reset, KIND_RESET);

	if (!e)
		return;
	e->cookie = cookie;
	e->netns = netns;
	e->tuple = *t;
	e->direction = direction;
	e->reason = reason;
	e->has_reason = has_reason;
	bpf_ringbuf_submit(e, WAKE_UP);
}

/* sk is NULL for a reset that answers a segment without a socket; skb is NULL for one of our own accord. */
SEC("tp_btf/tcp_send_reset")
int on_send_reset(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct sk_buff *skb = (struct sk_buff *)ctx[1];
	struct flow_value *flow;
	struct sock_state *st = 0;
	struct packet p;
	struct tuple t;
	u32 reason = 0;

	if (cfg_send_reset_has_reason)
		reason = (u32)ctx[2];
	if (sk) {
		u8 state = sk->__sk_common.skc_state;

		if (state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV)
			st = sock_state_of(sk, false);
		COUNT(counters_of(netns_of(sk), netns_inum_of(sk)), resets_sent, 1);
		/* Replying from a listener: the flow is the packet's, not the socket's. */
		if (st && state != TCP_LISTEN) {
			if (!(st->flags & SOCK_TARGET) || (cfg_wide && st->depth < DEPTH_CONNECTIONS))
				return 0;
			tell(sk, st);
			tuple_of(&t, &sk->__sk_common, IPPROTO_TCP);
			emit_reset(st->cookie, st->netns, &t, DIR_OUT, reason, cfg_send_reset_has_reason);
			return 0;
		}
	}
	if (!skb || !parse_packet(&p, skb))
		return 0;
	if (!sk)
		COUNT(counters_of(BPF_CORE_READ(skb, dev, nd_net.net, net_cookie),
				  BPF_CORE_READ(skb, dev, nd_net.net, ns.inum)),
		      resets_sent, 1);
	reverse(&t, &p.tuple);
	flow = bpf_map_lookup_elem(&flows, &t);
	if (flow) {
		emit_reset(flow->cookie, flow->netns, &t, DIR_OUT, reason, cfg_send_reset_has_reason);
	} else if (st && (st->flags & SOCK_TARGET)) {
		emit_reset(0, st->netns, &t, DIR_OUT, reason, cfg_send_reset_has_reason);
	}
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int on_receive_reset(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct sock_state *st = sock_state_of(sk, false);
	struct tuple t;

	COUNT(counters_of(netns_of(sk), netns_inum_of(sk)), resets_received, 1);
	if (!st || !(st->flags & SOCK_TARGET) || (cfg_wide && st->depth < DEPTH_CONNECTIONS))
		return 0;
	tell(sk, st);
	tuple_of(&t, &sk->__sk_common, IPPROTO_TCP);
	emit_reset(st->cookie, st->netns, &t, DIR_IN, 0, 0);
	return 0;
}
