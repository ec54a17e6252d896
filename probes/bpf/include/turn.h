/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Where every process is a target ('cfg_wide'): turns are put together here, added up by process, and told of where they are
 * worth it. A socket is told of once, before the first thing that is told of it.
 */
#ifndef TRACENET_TURN_H
#define TRACENET_TURN_H

/* Until user space has set a threshold. */
#define SLOW_NS 1000000000ull
/* An answered turn is over when its connection has been silent for so long. */
#define TURN_SILENT_NS 1000000000ull

static __always_inline void tell(struct sock *sk, struct sock_state *st)
{
	if (cfg_wide && !(st->flags & SOCK_ANNOUNCED))
		emit_socket(sk, st, REASON_OWNER, -1, 0);
}

static __noinline struct turn_stats *turn_stats_of(const struct process *owner, u8 role)
{
	struct turn_key k = { .start_ns = owner->start_ns, .tgid = owner->tgid, .role = role };
	struct turn_stats *s, *new;
	u32 first = 0;

	s = bpf_map_lookup_elem(&turn_stats, &k);
	if (s)
		return s;
	new = bpf_map_lookup_elem(&new_turn_stats, &first);
	if (!new)
		return 0;
	if (bpf_map_update_elem(&turn_stats, &k, new, BPF_NOEXIST) == -E2BIG)
		count_lost(KIND_ACCOUNT);
	return bpf_map_lookup_elem(&turn_stats, &k);
}

/* A number that both ends of the connection make of the turn, on whatever hosts: so both choose the same ones. */
static __always_inline u32 lot_of(const struct sock_state *st, u32 index)
{
	u32 n = (st->local_isn ^ st->remote_isn) + index * 0x9e3779b1u;

	/* The last steps of MurmurHash3. */
	n ^= n >> 16;
	n *= 0x85ebca6bu;
	n ^= n >> 13;
	n *= 0xc2b2ae35u;
	return n ^ n >> 16;
}

/* Adds a turn up. Why it is to be told of, 0 if it isn't. */
static __always_inline u32 add_turn(struct turn_stats *s, const struct sock_state *st, const struct turn *t,
				    u32 retransmits, u32 *share)
{
	const struct turn_policy *policy = &st->policy;
	u64 n, took, slow;
	u32 bucket;

	if (!t->response_start) {
		__sync_fetch_and_add(&s->unanswered, 1);
		return TURN_UNANSWERED;
	}
	n = __sync_fetch_and_add(&s->turns, 1);
	took = t->end - t->start;
	__sync_fetch_and_add(&s->ns, took);
	bucket = bucket_of(took);
	if (bucket < COUNT_BUCKETS)
		__sync_fetch_and_add(&s->buckets[bucket], 1);
	slow = policy->slow_ns ? policy->slow_ns : SLOW_NS;
	if (took >= slow)
		return TURN_SLOW;
	if (retransmits)
		return TURN_LOSS;
	*share = policy->slow_ns ? policy->share : (n < cfg_first_turns ? (u32)-1 : 0);
	return *share && lot_of(st, t->index) <= *share ? TURN_SHARE : 0;
}

/* The turn in hand is over, if it is still the one that began at 'start': of two that see it one takes it. */
static __noinline int end_turn(struct sock *sk, struct sock_state *st, u64 start)
{
	struct turn t = st->turn;
	u32 retransmits, reason, share = 0;
	struct turn_stats *s;
	struct ev_turn *e;

	if (!start || __sync_val_compare_and_swap(&st->turn.start, start, 0) != start)
		return 0;
	s = turn_stats_of(&st->owner, st->role);
	if (!s)
		return 0;
	retransmits = st->retransmitted - t.retransmitted;
	reason = add_turn(s, st, &t, retransmits, &share);
	if (!reason)
		return 0;
	tell(sk, st);
	e = RESERVE(struct ev_turn, KIND_TURN);
	if (!e)
		return 0;
	__sync_fetch_and_add(&s->told, 1);
	e->cookie = st->cookie;
	e->start = start;
	e->request_end = t.request_end;
	e->response_start = t.response_start;
	e->end = t.end;
	e->request_bytes = t.request_bytes;
	e->response_bytes = t.response_bytes;
	e->index = t.index;
	e->retransmits = retransmits;
	e->reason = reason;
	e->share = share;
	bpf_ringbuf_submit(e, WAKE_UP);
	return 0;
}

/* The current task sent or received 'len' bytes. Whoever writes with others at once shares their turn's byte counts. */
static __noinline int follow_turn(struct sock *sk, struct sock_state *st, u32 len, u8 dir)
{
	struct turn *t = &st->turn;
	u64 now = bpf_ktime_get_ns(), start = t->start;

	if ((st->role == ROLE_CLIENT) == (dir == DIR_OUT)) {
		if (start && t->response_start) {
			end_turn(sk, st, start);
			start = 0;
		}
		if (!start) {
			t->response_start = 0;
			t->request_bytes = 0;
			t->response_bytes = 0;
			t->index = st->turns;
			t->retransmitted = st->retransmitted;
			t->start = now;
		}
		t->request_end = t->end = now;
		t->request_bytes += len;
	} else if (start) {
		if (!t->response_start) {
			t->response_start = now;
			st->turns++;
		}
		t->end = now;
		t->response_bytes += len;
	}
	return 0;
}

/* From time to time: a turn that is long over, and how far the socket's owner is followed now. */
static __always_inline void look_at_turn(struct sock *sk, struct sock_state *st)
{
	u64 start = st->turn.start, end = st->turn.end;

	look_at_owner(st);
	if (start && st->turn.response_start && (s64)(bpf_ktime_get_ns() - end) > (s64)TURN_SILENT_NS)
		end_turn(sk, st, start);
}

#endif
