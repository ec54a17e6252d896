/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What each process of the host did on the network, where 'cfg_accounts' asks for it. */
#ifndef TRACENET_ACCOUNT_H
#define TRACENET_ACCOUNT_H

#define EAGAIN 11
#define HELD_UP_MAX_NS 20000
/* Reading the clock takes some 35 ns, of which the way into the program, which can't be timed, stands for one half. */
#define CLOCK_NS 16
#define DNS_PORT 53

/* Where the process is among the control groups, once it runs itself: in a softirq somebody else is the current one. */
static __always_inline void account_groups(struct account *a, const struct process *owner)
{
	if (!a->cgroup[0] && bpf_get_current_pid_tgid() >> 32 == owner->tgid)
		cgroup_names(bpf_get_current_task_btf(), (char *)a->cgroup);
}

/* NULL where there is none yet. */
static __always_inline struct account *known_account(const struct process *owner)
{
	struct account_key k = {};

	k.start_ns = owner->start_ns;
	k.tgid = owner->tgid;
	return bpf_map_lookup_elem(&accounts, &k);
}

/* NULL where there is no room for one more process, which is counted, or nobody is known. */
static __noinline struct account *account_of(const struct process *owner)
{
	struct account_key k = {};
	struct account *a, *new;
	u32 first = 0;

	if (!owner || !owner->tgid)
		return 0;
	a = known_account(owner);
	if (a)
		return a;
	k.start_ns = owner->start_ns;
	k.tgid = owner->tgid;
	new = bpf_map_lookup_elem(&new_account, &first);
	if (!new)
		return 0;
	if (bpf_map_update_elem(&accounts, &k, new, BPF_NOEXIST) == -E2BIG)
		count_lost(KIND_ACCOUNT);
	a = bpf_map_lookup_elem(&accounts, &k);
	if (a) {
		__builtin_memcpy(a->comm, owner->comm, sizeof(a->comm));
		account_groups(a, owner);
	}
	return a;
}

#define ACCOUNT(a, field, n)                                      \
	do {                                                      \
		if ((n))                                          \
			__sync_fetch_and_add(&(a)->field, (n));   \
	} while (0)

static __always_inline u64 untold(u64 total, u64 *told)
{
	u64 before = *told;

	/* Whoever reads the accounts and the socket's own end may both come here: one of them wins, and who comes late with
	 * an older total has nothing to tell. */
	if ((s64)(total - before) <= 0 || __sync_val_compare_and_swap(told, before, total) != before)
		return 0;
	return total - before;
}

static __always_inline u64 untold_segments(u32 total, u32 *told)
{
	u32 before = *told;

	if ((s32)(total - before) <= 0 || __sync_val_compare_and_swap(told, before, total) != before)
		return 0;
	return total - before;
}

/*
 * What a TCP socket did since the last time, put to its owner's account: not with each call, but when the accounts are read,
 * when another process takes the socket, and at its end.
 */
static __noinline int account_socket(const struct sock *sk, struct sock_state *st, struct tcp_sock *tp)
{
	u64 sent, received, segments_sent, segments_received;
	struct account *a;

	st->moved = 0;
	absorb(sk, st, tp);
	absorb_sent(st, tp, sk->__sk_common.skc_state);
	sent = untold(st->sent, &st->sent_told);
	received = untold(st->received, &st->received_told);
	segments_sent = untold_segments(tp->segs_out, &st->segs_out_told);
	segments_received = untold_segments(tp->segs_in, &st->segs_in_told);
	if (!sent && !received && !segments_sent && !segments_received)
		return 0;
	a = account_of(&st->owner);
	if (!a)
		return 0;
	ACCOUNT(a, tcp_sent, sent);
	ACCOUNT(a, tcp_received, received);
	ACCOUNT(a, segments_sent, segments_sent);
	ACCOUNT(a, segments_received, segments_received);
	if (received && tp->srtt_us) {
		ACCOUNT(a, rtt_us, (u64)(tp->srtt_us >> 3));
		ACCOUNT(a, rtts, 1);
	}
	return 0;
}

/* Another process takes the socket, and has moved 'len' bytes with it: what was before is its owner's. */
static __always_inline void account_taken(const struct sock *sk, struct sock_state *st, struct tcp_sock *tp, u64 len,
					  u8 dir)
{
	u64 *sum = dir == DIR_IN ? &st->received : &st->sent;

	absorb(sk, st, tp);
	absorb_sent(st, tp, sk->__sk_common.skc_state);
	__sync_fetch_and_add(sum, -len);
	account_socket(sk, st, tp);
	__sync_fetch_and_add(sum, len);
}

/* The socket's owner sent or received a datagram of 'len' bytes. Nothing tells of the end of a UDP socket. */
static __always_inline void account_datagram(struct sock_state *st, const struct sock *sk, u64 len, u8 dir)
{
	struct account *a = account_of(&st->owner);

	if (!a)
		return;
	if (dir == DIR_OUT) {
		ACCOUNT(a, udp_sent, len);
		ACCOUNT(a, datagrams_sent, 1);
		if (sk->__sk_common.skc_dport == bpf_htons(DNS_PORT))
			ACCOUNT(a, lookups, 1);
	} else {
		ACCOUNT(a, udp_received, len);
		ACCOUNT(a, datagrams_received, 1);
	}
}

/* A call that sends or receives failed, and not because it would have to wait. */
static __always_inline void account_error(void)
{
	struct process current = {};
	struct account *a;

	process_of(&current, bpf_get_current_task_btf());
	a = account_of(&current);
	if (a)
		ACCOUNT(a, errors, 1);
}

/* When the program began, if this run of it is timed, else 0. */
static __always_inline u64 timed_from(void)
{
	struct probe_runs *r;
	u32 zero = 0;

	if (!cfg_wide)
		return 0;
	r = bpf_map_lookup_elem(&probe_runs, &zero);
	return r && (s32)(++r->runs - r->next) >= 0 ? bpf_ktime_get_ns() : 0;
}

/*
 * The current process was held up since 'began', in this run as in those since the one timed before.
 */
static __always_inline void charge(u64 began)
{
	struct account_key k = {};
	struct task_struct *task;
	struct probe_runs *r;
	struct account *a;
	u32 zero = 0, n;
	u64 now, took;

	if (!cfg_wide || !began)
		return;
	r = bpf_map_lookup_elem(&probe_runs, &zero);
	if (!r)
		return;
	now = bpf_ktime_get_ns();
	n = r->runs - r->last;
	r->last = r->runs;
	/* Some 64 runs, and never as many: calls come in patterns. */
	r->next = r->runs + 32 + (now & 63);
	task = bpf_get_current_task_btf();
	k.tgid = task->tgid;
	k.start_ns = task->group_leader->start_boottime;
	a = bpf_map_lookup_elem(&accounts, &k);
	took = now - began;
	/* A longer one was interrupted. */
	if (a && took > CLOCK_NS && took < HELD_UP_MAX_NS)
		ACCOUNT(a, probe_ns, (took - CLOCK_NS) * n);
}

/* Both ways to measure: what every process is charged for, and what a budget of the targets is held against. */
static __always_inline u64 call_begins(u32 site, u32 tgid)
{
	return cfg_wide ? timed_from() : cost_begin(site, tgid);
}

static __always_inline void call_ends(u32 site, u64 began)
{
	charge(began);
	cost_end(site, began);
}

/* A connection came about, or not. */
static __always_inline void account_state(struct sock_state *st, int old_state, int new_state)
{
	bool made = new_state == TCP_ESTABLISHED, failed = new_state == TCP_CLOSE && old_state == TCP_SYN_SENT;
	struct account *a;

	/* What opens a connection runs itself now, and what closes it may. */
	a = made || failed || new_state == TCP_SYN_SENT ? account_of(&st->owner) : known_account(&st->owner);
	if (!a)
		return;
	account_groups(a, &st->owner);
	if (failed)
		ACCOUNT(a, failed, 1);
	else if (made && st->role == ROLE_SERVER)
		ACCOUNT(a, accepted, 1);
	else if (made)
		ACCOUNT(a, opened, 1);
}

static __always_inline void account_retransmits(const struct process *owner, u32 cause, u32 segments)
{
	struct account *a = account_of(owner);

	if (a && cause <= CAUSE_OTHER)
		ACCOUNT(a, retransmitted[cause], (u64)segments);
}

/* At its end: what the socket has sent again and no event told of. */
static __always_inline void settle_retransmits(const struct sock *sk, struct sock_state *st, const struct tcp_sock *tp)
{
	u32 n = tp->total_retrans - st->retrans_seen;
	struct netns_counters *c;

	if ((s32)n <= 0)
		return;
	c = counters_of(st->netns, netns_inum_of(sk));
	COUNT(c, retransmitted_segments, n);
	COUNT(c, other, n);
	st->retrans_seen += n;
	st->retransmitted += n;
	if (cfg_accounts)
		account_retransmits(&st->owner, CAUSE_OTHER, n);
}

static __always_inline void account_drop(const struct process *owner, u32 reason)
{
	struct account *a = account_of(owner);
	struct account_drop_key k = {};
	u64 *n, one = 1;

	if (!a)
		return;
	ACCOUNT(a, drops, 1);
	k.start_ns = owner->start_ns;
	k.tgid = owner->tgid;
	k.reason = reason;
	n = bpf_map_lookup_elem(&account_drops, &k);
	if (n)
		__sync_fetch_and_add(n, 1);
	else if (bpf_map_update_elem(&account_drops, &k, &one, BPF_NOEXIST) == -E2BIG)
		count_lost(KIND_ACCOUNT);
	else
		return;
}

#endif
