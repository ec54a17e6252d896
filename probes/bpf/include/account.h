/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What each process of the host did on the network, where 'cfg_accounts' asks for it. */
#ifndef TRACENET_ACCOUNT_H
#define TRACENET_ACCOUNT_H

#define EAGAIN 11
#define DNS_PORT 53

/* NULL where there is no room for one more process, which is counted, or nobody is known. */
static __noinline struct account *account_of(const struct process *owner)
{
	struct account_key k = {};
	struct account zero = {};
	struct account *a;

	if (!owner || !owner->tgid)
		return 0;
	k.start_ns = owner->start_ns;
	k.tgid = owner->tgid;
	a = bpf_map_lookup_elem(&accounts, &k);
	if (a)
		return a;
	__builtin_memcpy(zero.comm, owner->comm, sizeof(zero.comm));
	if (bpf_map_update_elem(&accounts, &k, &zero, BPF_NOEXIST) == -E2BIG)
		count_lost(KIND_ACCOUNT);
	return bpf_map_lookup_elem(&accounts, &k);
}

#define ACCOUNT(a, field, n)                                      \
	do {                                                      \
		if ((n))                                          \
			__sync_fetch_and_add(&(a)->field, (n));   \
	} while (0)

/* Segments since the last time. */
static __always_inline void account_segments(struct account *a, struct sock_state *st, const struct tcp_sock *tp)
{
	u32 sent = tp->segs_out - st->segs_out_seen, received = tp->segs_in - st->segs_in_seen;

	st->segs_out_seen += sent;
	st->segs_in_seen += received;
	ACCOUNT(a, segments_sent, (u64)sent);
	ACCOUNT(a, segments_received, (u64)received);
}

/* The current task sent or received 'len' bytes; of TCP 'taken' left the receive queue since the last time. */
static __always_inline void account_bytes(struct sock_state *st, const struct sock *sk, const struct tcp_sock *tp,
					  u64 len, u64 taken, u8 dir)
{
	/* Whoever has the socket now is the one that does it. */
	struct account *a = account_of(&st->owner);

	if (!a)
		return;
	if (tp) {
		ACCOUNT(a, tcp_received, taken);
		if (dir == DIR_OUT) {
			ACCOUNT(a, tcp_sent, len);
		} else {
			ACCOUNT(a, rtt_us, (u64)(tp->srtt_us >> 3));
			ACCOUNT(a, rtts, 1);
		}
		account_segments(a, st, tp);
	} else if (dir == DIR_OUT) {
		ACCOUNT(a, udp_sent, len);
		ACCOUNT(a, datagrams_sent, 1);
		if (sk->__sk_common.skc_dport == bpf_htons(DNS_PORT))
			ACCOUNT(a, lookups, 1);
	} else {
		ACCOUNT(a, udp_received, len);
		ACCOUNT(a, datagrams_received, 1);
	}
}

/* The end of a connection: what nobody was there to be told of. */
static __always_inline void account_rest(const struct sock *sk, struct sock_state *st, struct tcp_sock *tp)
{
	struct account *a = account_of(&st->owner);
	u64 before = st->received;

	if (!a)
		return;
	absorb(sk, st, tp);
	ACCOUNT(a, tcp_received, st->received - before);
	account_segments(a, st, tp);
}

/* A call that sends or receives failed. */
static __always_inline void account_error(int error)
{
	struct process current = {};
	struct account *a;

	if (error >= 0 || error == -EAGAIN)
		return;
	process_of(&current, bpf_get_current_task_btf());
	a = account_of(&current);
	if (a)
		ACCOUNT(a, errors, 1);
}

/* A connection came about, or not. */
static __always_inline void account_state(struct sock_state *st, int old_state, int new_state)
{
	bool made = new_state == TCP_ESTABLISHED, failed = new_state == TCP_CLOSE && old_state == TCP_SYN_SENT;
	struct account *a;

	if (!made && !failed)
		return;
	a = account_of(&st->owner);
	if (!a)
		return;
	if (failed)
		ACCOUNT(a, failed, 1);
	else if (st->role == ROLE_SERVER)
		ACCOUNT(a, accepted, 1);
	else
		ACCOUNT(a, opened, 1);
}

static __always_inline void account_retransmits(const struct process *owner, u32 cause, u32 segments)
{
	struct account *a = account_of(owner);

	if (a && cause <= CAUSE_OTHER)
		ACCOUNT(a, retransmitted[cause], (u64)segments);
}

static __always_inline void account_drops(const struct process *owner, u32 packets)
{
	struct account *a = account_of(owner);

	if (a)
		ACCOUNT(a, drops, (u64)packets);
}

#endif
