/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What listeners throw away. */
#ifndef TRACENET_LISTENER_H
#define TRACENET_LISTENER_H

/* sk_acceptq_is_full() */
static __always_inline bool accept_queue_is_full(const struct sock *listening)
{
	return BPF_CORE_READ(listening, sk_ack_backlog) > BPF_CORE_READ(listening, sk_max_ack_backlog);
}

/*
 * Takes one of the drops that a listener has counted and nobody told of. Two CPUs may be at it at once: each takes one.
 */
static __always_inline bool take_drop(struct listener *l, const struct sock *sk)
{
	for (int i = 0; i < 4; i++) {
		u32 now = BPF_CORE_READ(sk, sk_drops.counter), before = l->drops;

		if ((s32)(now - before) <= 0)
			return false;
		if (__sync_val_compare_and_swap(&l->drops, before, before + 1) == before)
			return true;
	}
	return false;
}

/*
 * A packet that a listener threw away before our eyes is none that on_consume_skb() has to look for. True where the listener
 * has counted it.
 */
static __always_inline bool account_listener(struct sock *sk, u64 netns)
{
	struct listener_key k = { .netns = netns, .port = sk->__sk_common.skc_num, .proto = IPPROTO_TCP };
	struct listener *l = bpf_map_lookup_elem(&listeners, &k);

	return l && l->sock == (u64)sk && take_drop(l, sk);
}

/* inet_csk_reqsk_queue_is_full() */
static __always_inline bool request_queue_is_full(const struct sock *listening)
{
	const struct inet_connection_sock *icsk = (const struct inet_connection_sock *)listening;
	u32 most = BPF_CORE_READ(listening, sk_max_ack_backlog);

	return (u32)BPF_CORE_READ(icsk, icsk_accept_queue.qlen.counter) > most;
}

#endif
